//! What cannot be understood.

use crate::folder;
use crate::machine::Machine;

#[test]
fn what_cannot_be_understood_ends_as_2_and_says_why() {
    let machine = Machine::new();
    let file = folder::handbook(machine.data());
    let nowhere = machine.data().join("nowhere");
    let (nowhere, data) = (nowhere.to_str().expect("UTF-8"), machine.data());
    for (arguments, why) in [
        (vec!["import"], "<FOLDER>"),
        (vec!["import", nowhere], "No such file or directory"),
        (
            vec!["import", data.to_str().expect("UTF-8")],
            "part of the data folder",
        ),
        (vec!["ask"], "<FILE>"),
        (vec!["ask", &file], "is missing"),
        (
            vec!["ask", &file, "How?", "--knowledge-base", "x"],
            "not both",
        ),
        (vec!["brew"], "brew"),
    ] {
        let ended = machine.run(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(
            ended.out.is_empty() && ended.err.contains(why),
            "{arguments:?}: {ended:?}"
        );
    }
}

#[test]
fn what_the_api_refuses_is_said_in_its_words() {
    let machine = Machine::new();
    let folder = folder::of(&[("a.md", b"a".to_vec())]);
    let path = folder.path().to_str().expect("UTF-8");
    let ended = machine.run(&["import", path, "--knowledge-base", " "]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("/name must not be blank"), "{ended:?}");
    let ended = machine.run(&["ask", "/nowhere/handbook.pdf", "How?"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("cannot be read"), "{ended:?}");
}
