//! What becomes of the files of a folder.

use serde_json::{Value, json};

use crate::folder::{self, fill, of_every_kind, told};
use crate::machine::Machine;

/// What is refused, and why.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = crate::made::sample("bearing-supply-agreement.docx");
    vec![
        (
            "bad/half.docx",
            whole[..whole.len() / 2].to_vec(),
            "corrupt",
        ),
        (
            "bad/notes.rtf",
            b"{\\rtf1 Hello}".to_vec(),
            "unsupported_type",
        ),
        (
            "bad/text.pdf",
            b"No PDF at all.".to_vec(),
            "unsupported_type",
        ),
        ("bad/empty.txt", Vec::new(), "empty"),
    ]
}

#[test]
fn every_file_of_a_folder_is_told_of_and_a_second_import_uploads_nothing() {
    let machine = Machine::new();
    let folder = folder::of(&of_every_kind());
    let root = folder.path();
    for (path, content, _) in refused() {
        fill(root, &[(path, content)]);
    }
    fill(
        root,
        &[
            (
                "zz-copy.md",
                b"# Noise\n\nNoise is measured at night.\n".to_vec(),
            ),
            (".secret.md", b"hidden".to_vec()),
            (".gitignore", b"/build\n".to_vec()),
            ("build/out.md", b"ignored".to_vec()),
            (
                "\u{1b}[31mred.md",
                b"A name that would colour the terminal.\n".to_vec(),
            ),
        ],
    );
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", root.join("link.md")).expect("a link");
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.md");
        std::fs::write(root.join(name), "Coffee is served at six.\n").expect("is written");
    }
    let path = root.to_str().expect("UTF-8");
    let first = machine.run(&["import", path, "--json"]);
    let report = first.json();
    assert_eq!(first.code, 1, "{report:#}");

    for (path, _) in of_every_kind() {
        assert_eq!(
            told(&report, path)["status"],
            "imported",
            "{path}: {report:#}"
        );
    }
    for (path, _, code) in refused() {
        let file = told(&report, path);
        assert_eq!(file["status"], "refused", "{file}");
        assert_eq!(file["reason"]["code"], code, "{file}");
        assert!(
            file["reason"]["message"]
                .as_str()
                .is_some_and(|why| why.ends_with('.'))
        );
    }
    assert_eq!(
        told(&report, "zz-copy.md"),
        &json!({
            "path": "zz-copy.md", "bytes": 37, "status": "duplicate", "of": "notes/five.md",
        })
    );
    assert_eq!(told(&report, "\u{1b}[31mred.md")["status"], "imported");
    let all = report["files"].as_array().expect("a list");
    let has = |path: &str| all.iter().any(|file| file["path"] == path);
    assert!(!has(".secret.md") && !has("build/out.md") && !has(".gitignore"));
    if cfg!(unix) {
        assert_eq!(told(&report, "link.md")["reason"]["code"], "symbolic_link");
    }
    if cfg!(target_os = "linux") {
        assert_eq!(told(&report, "caf\u{fffd}.md")["status"], "imported");
    }
    assert_eq!(report["knowledge_base"]["name"], "Imported");
    assert!(report["bytes_sent"].as_u64() > Some(50_000), "{report}");

    let second = machine.run(&["import", path, "--json"]);
    let again = second.json();
    assert_eq!(second.code, 1);
    assert_eq!(again["bytes_sent"], 0, "{again:#}");
    assert_eq!(again["counts"]["imported"], 0);
    assert_eq!(again["counts"]["known"], report["counts"]["imported"]);
    // Each is the very file that it was, and is refused for the same reason.
    for file in all {
        let mut expected = file.clone();
        if file["status"] == "imported" {
            expected["status"] = json!("known");
        }
        let path = file["path"].as_str().expect("a path");
        assert_eq!(told(&again, path), &expected);
    }
}

#[test]
fn a_pipe_gets_plain_lines_and_everything_imported_is_success() {
    let machine = Machine::new();
    let folder = folder::of(&[
        ("a.md", b"The oil is changed every 500 hours.\n".to_vec()),
        (
            "b/\u{1b}]0;title\u{7}.md",
            b"The filter is changed with it.\n".to_vec(),
        ),
    ]);
    let path = folder.path().to_str().expect("UTF-8");
    let ended = machine.run(&["import", path, "--knowledge-base", "Oil"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let control = |text: &str| {
        text.chars()
            .any(|letter| letter != '\n' && letter.is_control())
    };
    assert!(!control(&ended.out) && ended.err.is_empty(), "{ended:?}");
    for line in [
        "into \u{201c}Oil\u{201d}: 2 files, 67 B",
        "  ready    a.md: 1 chunks",
        "  ready    b/\u{fffd}]0;title\u{fffd}.md: 1 chunks",
        "2 imported; 67 B sent in ",
        "cargo run -- ask \"QUESTION\" --knowledge-base \"Oil\"",
    ] {
        assert!(ended.out.contains(line), "{line:?} is not in {}", ended.out);
    }
    // A single file, and nothing at all.
    let file = folder.path().join("a.md");
    let arguments = [
        "import",
        file.to_str().expect("UTF-8"),
        "--knowledge-base",
        "Oil",
    ];
    let ended = machine.run(&arguments);
    assert!(
        ended.code == 0 && ended.out.contains("1 known before; 0 B sent"),
        "{ended:?}"
    );
    let empty = tempfile::tempdir().expect("a folder");
    let ended = machine.run(&["import", empty.path().to_str().expect("UTF-8")]);
    assert!(
        ended.code == 0 && ended.out.contains("There is no file to import."),
        "{ended:?}"
    );
}

#[test]
fn a_file_that_the_organization_has_elsewhere_is_not_uploaded_for_another_knowledge_base() {
    let machine = Machine::new();
    let folder = folder::of(&[("a.md", b"The oil is changed every 500 hours.\n".to_vec())]);
    let path = folder.path().to_str().expect("UTF-8");
    let import = |base: &str| -> Value {
        let ended = machine.run(&["import", path, "--json", "--knowledge-base", base]);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.json()
    };
    let (first, second) = (import("One"), import("Two"));
    assert_ne!(
        first["knowledge_base"]["id"],
        second["knowledge_base"]["id"]
    );
    let file = told(&second, "a.md");
    assert_eq!(
        (&file["status"], &file["chunks"]),
        (&json!("known"), &json!(1))
    );
    assert_eq!(file["file"], told(&first, "a.md")["file"]);
    assert_eq!(second["bytes_sent"], 0);
}
