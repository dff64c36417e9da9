//! The command line as a process of its own, as people and scripts run it.
//!
//! | module | holds |
//! |---|---|
//! | [`ask`] | questions about what was imported |
//! | [`folder`] | folders for the tests, with a file of every kind |
//! | [`import`] | what becomes of the files of a folder |
//! | [`interruption`] | imports that somebody ends, and what goes on afterwards |
//! | [`machine`] | a data folder, the program over it, and a host that serves |
//! | [`search`] | what is found of what was imported |
//! | [`usage`] | what cannot be understood |

mod ask;
mod folder;
mod import;
mod interruption;
mod machine;
#[path = "../../../../shared/documents/tests/support/mod.rs"]
#[expect(
    dead_code,
    reason = "the readers of documents are tested with the rest"
)]
mod made;
mod search;
mod usage;
