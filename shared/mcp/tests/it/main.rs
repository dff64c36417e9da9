//! The client from outside, against servers on loopback that follow a script. They need no network.

mod addresses;
mod calling;
mod handshake;
mod hostile;
mod listing;
mod refusals;
mod sessions;
mod streams;
mod support;

#[path = "../../../outbound/tests/it/corpus.rs"]
mod corpus;
