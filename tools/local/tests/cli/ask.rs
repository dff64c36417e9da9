//! Questions about what was imported.

use crate::folder;
use crate::machine::Machine;

const QUESTION: &str = "How often is the yaw drive greased?";

#[test]
fn a_question_is_answered_from_what_was_imported_and_the_command_ends() {
    let machine = Machine::new();
    let folder = folder::of(&[
        (
            "yaw.md",
            b"# Yaw\n\nThe yaw drive is greased twice a year.\n".to_vec(),
        ),
        (
            "noise.md",
            b"# Noise\n\nNoise is measured at night.\n".to_vec(),
        ),
    ]);
    let before = machine.run(&["ask", QUESTION]);
    assert_eq!(before.code, 1, "{before:?}");
    assert!(before.err.contains("`import FOLDER`"), "{before:?}");

    let path = folder.path().to_str().expect("UTF-8");
    assert_eq!(machine.run(&["import", path]).code, 0);
    let ended = machine.run(&["ask", QUESTION]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("greased twice a year"), "{ended:?}");
    assert!(ended.out.contains("yaw.md"), "{ended:?}");
    let elsewhere = machine.run(&["ask", QUESTION, "--knowledge-base", "Other"]);
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert!(
        elsewhere.err.contains("\u{201c}Other\u{201d}"),
        "{elsewhere:?}"
    );
}

#[test]
fn commands_use_the_host_that_serves_the_data_already() {
    let machine = Machine::new();
    let host = machine.serve();
    let folder = folder::of(&[(
        "yaw.md",
        b"The yaw drive is greased twice a year.\n".to_vec(),
    )]);
    let path = folder.path().to_str().expect("UTF-8");
    let imported = machine.run(&["import", path]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert!(
        imported.out.starts_with("Overglass  at http://127.0.0.1:"),
        "{imported:?}"
    );
    let asked = machine.run(&["ask", QUESTION]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.out.contains("greased twice a year"), "{asked:?}");
    // About a file, it ends as well: the other process goes on serving.
    let file = folder::handbook(machine.data());
    let asked = machine.run(&["ask", &file, "How often is the oil changed?"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.out.contains("every 500 hours"), "{asked:?}");
    // To serve the folder twice is refused.
    let second = machine.run(&["--port", "0"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("is in use by process"), "{second:?}");
    drop(host);
    // Killed, it holds nothing any more, and its address is not believed.
    let asked = machine.run(&["ask", QUESTION]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.out.starts_with("Overglass  model "), "{asked:?}");
}
