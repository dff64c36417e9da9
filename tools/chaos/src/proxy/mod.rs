//! Between the product and its stores.
//!
//! | module | holds |
//! |---|---|
//! | [`wire`] | a server that can also stay silent, hang up, or reset |
//! | [`upstream`] | the way on to the embedded service |
//! | [`rows`] | what stands in the requests of DynamoDB |
//! | [`faults`] | the faults, and which operation may meet which |
//! | [`tables`] | the proxy before DynamoDB |
//! | [`queues`] | the proxy before SQS |

mod faults;
mod queues;
mod rows;
mod tables;
mod upstream;
mod wire;

pub(crate) use faults::{Fault, Operation};
pub(crate) use queues::Queues;
pub(crate) use rows::{Born, Row};
pub(crate) use tables::Tables;
pub(crate) use wire::serve;
