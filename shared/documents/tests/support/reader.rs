//! The process that reads one file: this test program again.

use documents::Isolation;

pub fn a_process() -> Isolation {
    let arguments = [
        "--exact",
        "reader::reader_process",
        "--ignored",
        "--nocapture",
    ];
    Isolation::Process {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(str::to_owned).to_vec(),
    }
}

#[test]
#[ignore = "the other tests start it as the reader of one file"]
fn reader_process() {
    documents::serve_if_child();
    panic!("this process was not started as a reader");
}
