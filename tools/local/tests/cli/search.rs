//! What is found of what was imported.

use serde_json::{Value, json};

use crate::folder;
use crate::machine::{Ended, Machine};

fn plain(ended: &Ended) -> bool {
    let control = |letter: char| letter != '\n' && letter.is_control();
    !ended.out.contains(control) && ended.err.is_empty()
}

#[test]
fn what_was_imported_is_found_at_once_by_words_and_by_meaning() {
    let machine = Machine::new();
    let folder = folder::of(&[
        (
            "yaw.md",
            b"# Yaw\n\n## Grease\n\nThe yaw drive is greased twice a year.\n".to_vec(),
        ),
        (
            "noise.md",
            b"# Noise\n\nNoise is measured at night.\n".to_vec(),
        ),
    ]);
    let path = folder.path().to_str().expect("UTF-8");
    assert_eq!(machine.run(&["import", path]).code, 0);

    let found = machine.run(&["search", "greased", "--mode", "text", "--kind", "chunk"]);
    assert_eq!(found.code, 0, "{found:?}");
    assert!(plain(&found), "{found:?}");
    let lines: Vec<&str> = found.out.lines().collect();
    assert_eq!(lines.len(), 3, "{found:?}");
    assert!(
        lines[0].starts_with("1. yaw.md, \u{201c}Yaw > Grease"),
        "{found:?}"
    );
    assert!(
        lines[1].contains("The yaw drive is greased twice a year."),
        "{found:?}"
    );
    assert!(
        lines[2].starts_with("   chunk  ") && lines[2].contains("/v1/files/fil_"),
        "{found:?}"
    );

    for mode in ["text", "semantic", "hybrid"] {
        let found = machine.run(&["search", "noise at night", "--mode", mode, "--json"]);
        assert_eq!(found.code, 0, "{found:?}");
        let found = found.json();
        assert_eq!(found["mode"], mode);
        let titles: Vec<&Value> = found["hits"]
            .as_array()
            .expect("hits")
            .iter()
            .map(|hit| &hit["title"])
            .collect();
        assert_eq!(titles[0], &json!("noise.md"), "{found:#}");
    }
    let two = machine.run(&[
        "search", "the", "--kind", "document", "--kind", "chunk", "--limit", "1", "--json",
    ]);
    assert_eq!(
        two.json()["hits"].as_array().map(Vec::len),
        Some(1),
        "{two:?}"
    );
    let none = machine.run(&["search", "xylophone", "--mode", "text"]);
    assert!(
        none.code == 0 && none.out.starts_with("Nothing was found."),
        "{none:?}"
    );
    let other = machine.run(&["search", "noise", "--knowledge-base", "Other"]);
    assert!(
        other.code == 1 && other.err.contains("\u{201c}Other\u{201d}"),
        "{other:?}"
    );
    let refused = machine.run(&["search", "noise", "--mode", "semantic", "--kind", "task"]);
    assert!(
        refused.code == 1 && refused.err.contains("/kinds/0"),
        "{refused:?}"
    );
    for wrong in [
        ["--mode", "fuzzy"],
        ["--kind", "node"],
        ["--limit", "0"],
        ["--limit", "101"],
    ] {
        let ended = machine.run(&[&["search", "noise"], &wrong[..]].concat());
        assert_eq!(ended.code, 2, "{wrong:?}: {ended:?}");
    }
}
