//! Imports that somebody ends, and what goes on afterwards.

#![cfg(unix)]

use std::fs::File;

use local::client::Client;

use crate::folder::{self, told};
use crate::machine::Machine;

/// More than one request uploads.
const FILM_BYTES: u64 = 100 * 1024 * 1024 + 1;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_interrupted_goes_on_and_leaves_nothing_twice() {
    let machine = Machine::new();
    let folder = folder::of(&[
        ("b.md", b"The oil is changed every 500 hours.\n".to_vec()),
        ("c.md", b"The filter is changed with it.\n".to_vec()),
    ]);
    // A hole: it takes no room here, and the time of its length to upload.
    let film = File::create(folder.path().join("a-film.bin")).expect("a file");
    film.set_len(FILM_BYTES).expect("a length");
    let path = folder.path().to_str().expect("UTF-8");

    let mut import = machine.start(&["import", path]);
    import.until("Importing ");
    import.interrupt();
    let ended = import.ended();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("  not yet  a-film.bin: "), "{ended:?}");
    assert!(
        ended.out.contains("import the folder again to go on"),
        "{ended:?}"
    );

    let second = machine.run(&["import", path, "--json"]);
    let report = second.json();
    assert_eq!(second.code, 1, "{report:#}");
    let film = told(&report, "a-film.bin");
    assert_eq!(film["reason"]["code"], "unsupported_type", "{film}");
    assert!(
        report["bytes_sent"].as_u64() >= Some(FILM_BYTES),
        "{report:#}"
    );
    for name in ["b.md", "c.md"] {
        let status = told(&report, name)["status"].as_str();
        assert!(matches!(status, Some("imported" | "known")), "{report:#}");
    }

    // Each is there once, whatever the first run had begun.
    let mut host = machine.start(&["--port", "0"]);
    let told = host.until("The API is at ");
    let url = told.split(',').next().expect("an address");
    let client = Client::sign_in(url, "ada").await.expect("a client");
    let base = report["knowledge_base"]["id"].as_str().expect("an id");
    let files = format!("/v1/files?knowledge_base_id={base}");
    let files = client.list(&files).await.expect("a list");
    let mut names: Vec<&str> = files
        .iter()
        .filter_map(|file| file["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a-film.bin", "b.md", "c.md"]);
}

#[test]
fn a_file_that_was_being_read_is_not_judged_by_an_interruption() {
    let machine = Machine::new();
    let long = "The gearbox is inspected in spring, and the rotor in autumn.\n\n".repeat(10_000);
    let folder = folder::of(&[
        ("a.md", b"The oil is changed every 500 hours.\n".to_vec()),
        ("long.txt", long.into_bytes()),
    ]);
    let path = folder.path().to_str().expect("UTF-8");
    let mut import = machine.start(&["import", path]);
    import.until("ready    a.md");
    import.interrupt();
    let ended = import.ended();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("  not yet  long.txt: "), "{ended:?}");
    let second = machine.run(&["import", path]);
    assert_eq!(second.code, 0, "{second:?}");
}
