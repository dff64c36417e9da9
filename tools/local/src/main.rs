//! `overglass`: the product on one machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The same program, started as the process that reads one file and nothing else.
    documents::serve_if_child();
    local::commands::main()
}
