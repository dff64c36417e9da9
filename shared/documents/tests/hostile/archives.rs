//! Archives that lie about what is in them.

use documents::Limits;

use super::support::{book, slides, word};
use super::{MIB, code, limits, read, read_with};

/// Office files of each kind with something beside their text.
fn each_kind(part: &str, content: &[u8]) -> [(Vec<u8>, &'static str); 3] {
    [
        (
            word::with_parts(
                &word::document(&word::paragraph("text")),
                &[(&format!("word/{part}"), content)],
            ),
            "a.docx",
        ),
        (
            book::with_parts(
                &[book::sheet("x", &[&["text"]])],
                &[(&format!("xl/{part}"), content)],
            ),
            "a.xlsx",
        ),
        (
            slides::with_parts(
                &[slides::shape("title", "text")],
                &[(&format!("ppt/{part}"), content)],
            ),
            "a.pptx",
        ),
    ]
}

#[test]
fn bombs_beside_the_text() {
    for (file, name) in each_kind("media/a.png", &vec![0; 40 * MIB as usize]) {
        assert_eq!(code(&file, name), "decompression_bomb", "{name}");
    }
}

#[test]
fn bombs_of_many_small_parts() {
    let content = vec![0; MIB as usize];
    let names: Vec<String> = (0..40).map(|n| format!("xl/media/{n}.png")).collect();
    let parts: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), content.as_slice()))
        .collect();
    let file = book::with_parts(&[book::sheet("x", &[&["text"]])], &parts);
    assert_eq!(code(&file, "a.xlsx"), "decompression_bomb");
}

#[test]
fn overlapping_parts_of_each_kind() {
    for (file, name) in each_kind("media/a.png", b"picture") {
        assert_eq!(
            code(&word::with_overlap(&file), name),
            "decompression_bomb",
            "{name}"
        );
    }
}

#[test]
fn archives_within_archives_of_each_kind() {
    let mut nested = word::archive(&[("zeros", &vec![0; 4 * MIB as usize])]);
    for _ in 0..50 {
        nested = word::archive(&[("inner.zip", &nested)]);
    }
    for (file, name) in each_kind("embeddings/a.zip", &nested) {
        assert!(read(&file, name).is_ok(), "{name}");
    }
}

/// An archive with a part that is the archive before it: what it holds unfolds without end for
/// whoever follows it.
#[test]
fn an_archive_that_holds_itself_is_not_followed() {
    let mut inner = word::of(&word::paragraph("text"));
    for _ in 0..20 {
        let document = word::document(&word::paragraph("text"));
        inner = word::with_parts(&document, &[("word/embeddings/self.docx", &inner)]);
    }
    assert!(read(&inner, "a.docx").is_ok());
}

#[test]
fn entries_at_the_bound_and_one_more() {
    let parts = |count: usize| {
        let names: Vec<String> = (0..count - 3)
            .map(|n| format!("word/media/{n}.png"))
            .collect();
        let parts: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
        word::with_parts(&word::document(&word::paragraph("text")), &parts)
    };
    let few = Limits {
        archive_entries: 50,
        ..limits()
    };
    assert!(read_with(&parts(50), "a.docx", &few).is_ok());
    let outcome = read_with(&parts(51), "a.docx", &few);
    assert_eq!(outcome.unwrap_err().code(), "too_large");
}

#[test]
fn inflated_size_at_the_bound_and_one_more() {
    let file = word::with_parts(
        &word::document(&word::paragraph("text")),
        &[("word/media/a.png", &vec![7; 100_000])],
    );
    let whole: u64 = {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&file)).unwrap();
        (0..archive.len())
            .map(|index| archive.by_index(index).unwrap().size())
            .sum()
    };
    let bound = |inflated_bytes| Limits {
        inflated_bytes,
        ..limits()
    };
    assert!(read_with(&file, "a.docx", &bound(whole)).is_ok());
    let outcome = read_with(&file, "a.docx", &bound(whole - 1));
    assert_eq!(outcome.unwrap_err().code(), "decompression_bomb");
}

#[test]
fn a_size_that_is_declared_and_not_there() {
    let mut file = word::of(&word::paragraph("text"));
    // The declared sizes in the directory: four gigabytes each.
    let entries: Vec<usize> = memchr::memmem::find_iter(&file, b"PK\x01\x02").collect();
    for at in entries {
        file[at + 24..at + 28].fill(0xFE);
    }
    match read(&file, "a.docx") {
        Ok(document) => assert_eq!(document.text(), "text"),
        Err(rejection) => assert!(["corrupt", "decompression_bomb"].contains(&rejection.code())),
    }
}

#[test]
fn a_directory_that_points_outside_of_the_file() {
    let whole = word::of(&word::paragraph("text"));
    for place in [10, 16] {
        for value in [0u32, 1, u32::MAX, u32::MAX - 1] {
            let mut file = whole.clone();
            let end = memchr::memmem::rfind(&file, b"PK\x05\x06").unwrap() + place;
            file[end..end + 4].copy_from_slice(&value.to_le_bytes());
            match read(&file, "a.docx") {
                Ok(document) => assert_eq!(document.text(), "text"),
                Err(rejection) => {
                    let code = rejection.code();
                    let expected = ["corrupt", "unsupported_type", "decompression_bomb"];
                    assert!(expected.contains(&code), "{place} {value}: {code}");
                }
            }
        }
    }
}

#[test]
fn names_that_climb_out_of_the_archive() {
    let document = word::document(&word::paragraph("text"));
    let names = [
        "../../../../tmp/evil.xml",
        "/etc/passwd.xml",
        "word\\..\\..\\evil.xml",
        "\0.xml",
    ];
    for name in names {
        let file = word::with_parts(&document, &[(name, b"<x/>")]);
        match read(&file, "a.docx") {
            Ok(document) => assert_eq!(document.text(), "text"),
            Err(rejection) => assert_eq!(rejection.code(), "corrupt"),
        }
    }
    assert!(!std::path::Path::new("/tmp/evil.xml").exists());
}

#[test]
fn containers_that_are_not_read() {
    let files: [(&[u8], &str); 8] = [
        (b"Rar!\x1a\x07\x01\0xxxx", "a.docx"),
        (b"7z\xbc\xaf\x27\x1c\0\x04xxxx", "a.docx"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03xxxx\0\0", "a.docx"),
        (b"BZh91AY&SY\0\0\0\0\0\xff", "a.docx"),
        (b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46", "a.xlsx"),
        (b"\x28\xb5\x2f\xfd\x04\0\0\0\0\xff\xff", "a.pptx"),
        (b"GIF89a\x01\0\x01\0\0\0\0", "a.eml"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34\0\xff\0\0", "A.java"),
    ];
    for (bytes, name) in files {
        assert_eq!(code(bytes, name), "unsupported_type", "{name}");
    }
}
