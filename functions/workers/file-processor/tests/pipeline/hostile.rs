//! Files that nobody should have to read, beside one that is read.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use documents::{Isolation, Limits};
use file_processor::Reader;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::world::{World, sample};

/// The container in which Office keeps a document under a password.
fn protected_document() -> Vec<u8> {
    let name: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    [
        &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1][..],
        &[0; 504],
        &name,
        &[0; 64],
    ]
    .concat()
}

/// A Word file of a few kilobytes that unfolds to megabytes.
fn zip_bomb() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, content) in [
        ("[Content_Types].xml", &b"<Types/>"[..]),
        ("word/document.xml", &vec![b' '; 8 * 1024 * 1024][..]),
    ] {
        writer.start_file(name, options).expect("an entry");
        writer.write_all(content).expect("written");
    }
    writer.finish().expect("an archive").into_inner()
}

#[tokio::test]
async fn a_hostile_file_fails_with_a_reason_and_its_neighbour_is_read() {
    let limits = Limits {
        inflated_bytes: 1024 * 1024,
        ..Limits::default()
    };
    let isolation = Isolation::Process {
        program: PathBuf::from(env!("CARGO_BIN_EXE_file-processor")),
        arguments: Vec::new(),
    };
    let world = World::with_reader(Reader { isolation, limits }).await;
    let base = world.base().await;
    let deep = "[".repeat(10_000).into_bytes();
    let handbook = sample("turbine-maintenance-handbook.pdf");
    let cases = [
        (
            "letter.docx",
            protected_document(),
            "encrypted",
            "protected by a password",
        ),
        (
            "bomb.docx",
            zip_bomb(),
            "decompression_bomb",
            "unfolds to more data",
        ),
        ("deep.json", deep, "too_deep", "nested more than"),
        (
            "half.pdf",
            handbook[..handbook.len() / 2].to_vec(),
            "corrupt",
            "damaged or incomplete",
        ),
        (
            "wrong.pdf",
            b"no PDF".to_vec(),
            "unsupported_type",
            "cannot be read",
        ),
    ];
    let mut uploaded = Vec::new();
    for (name, content, code, words) in &cases {
        uploaded.push((world.upload(name, content, Some(base)).await, code, words));
    }
    let neighbour = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    let delivered = world.work().await;

    for (file, code, words) in uploaded {
        let failed = world.file(&file).await;
        assert_eq!(failed["status"], "failed", "{failed}");
        assert_eq!(failed["failure"]["code"], **code, "{failed}");
        let message = failed["failure"]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
        let document = world.document(base, &file).await.expect("a document");
        assert_eq!(document["status"], "failed");
        assert_eq!(document["failure"], failed["failure"]);
    }
    assert_eq!(world.file(&neighbour).await["status"], "ready");
    assert_eq!(
        world.document(base, &neighbour).await.expect("there")["status"],
        "ready"
    );
    let undone: Vec<_> = world
        .jobs(&delivered)
        .await
        .into_iter()
        .filter(|job| job.state != work::JobState::Done)
        .collect();
    assert!(
        undone.is_empty(),
        "a file's failure is not its job's: {undone:#?}"
    );
    let events = world.events().await;
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!(
        (count("file.failed"), count("file.processed")),
        (cases.len(), 1)
    );
    assert_eq!(
        (count("document.failed"), count("document.indexed")),
        (cases.len(), 1)
    );
}

#[tokio::test]
async fn a_file_that_takes_too_long_is_given_up() {
    let limits = Limits {
        wall_clock: Duration::ZERO,
        ..Limits::default()
    };
    let world = World::with_reader(Reader {
        limits,
        ..Reader::on_threads()
    })
    .await;
    let file = world
        .upload("slow.md", "A line.\n".repeat(100_000).as_bytes(), None)
        .await;
    world.work().await;
    let failed = world.file(&file).await;
    assert_eq!(failed["failure"]["code"], "timed_out", "{failed}");
}

#[tokio::test]
async fn content_that_is_gone_is_the_end_of_a_file() {
    let world = World::new().await;
    let file = world.upload("a.md", b"# Title", None).await;
    let content = domain::file::Content {
        file: file.parse().expect("an id"),
        number: 1,
    };
    world
        .store
        .objects(world.tenant)
        .remove(content)
        .await
        .expect("removed");
    world.work().await;
    assert_eq!(
        world.file(&file).await["failure"]["code"],
        "content_missing"
    );
}
