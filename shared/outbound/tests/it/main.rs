//! Tests of the client from outside, over sockets on loopback. They need no network.

mod address_tricks;
mod exchange;
mod limits;
mod rebinding;
mod support;
