//! Tests of the client from outside, over sockets on loopback. They need no network.

mod address_tricks;
mod corpus;
mod exchange;
mod limits;
mod rebinding;
mod support;
