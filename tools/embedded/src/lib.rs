//! The AWS services of the local host and of the tests, in one process.
//!
//! [`Services::start`] serves DynamoDB with its streams, S3 and SQS on three
//! loopback ports, over a data folder or in memory, so that application code
//! reaches them through the AWS SDK as it reaches AWS.
//!
//! | module | holds |
//! |---|---|
//! | [`services`] | [`Services`]: start, clients, shutdown |
//! | [`endpoints`] | [`Endpoints`] and [`Clients`]: where the services answer |
//! | [`folder`] | the data folder, its layout and its lock |
//! | [`tables`] | [`create_tables`]: the nine tables |
//! | [`objects`] | [`create_bucket`] and the S3 server |
//! | [`queues`] | [`create_queues`] and [`QueueSource`], which speaks Lambda's SQS events |
//! | [`log_stream`] | [`LogStream`], which speaks Lambda's stream events |
//!
//! # What differs from AWS
//!
//! Every row was run; the tests of this crate keep them true.
//!
//! DynamoDB (`dynoxide`):
//! - Signatures are not verified, and every reply allows any web origin. It
//!   listens on loopback only, but what runs on the same machine, a page in a
//!   browser included, can reach it once it has found the port.
//! - Reads are always consistent. `ConsistentRead` on a global index is still
//!   refused, as on AWS.
//! - There is no throttling, and no `TransactionConflict`: writes are
//!   serialised.
//! - `ClientRequestToken` is remembered in memory only: a restart forgets it.
//! - A page that ends exactly at the last match has a `LastEvaluatedKey`; the
//!   next is empty.
//! - Stream records are never trimmed by the engine. On start this crate
//!   removes those that are older than a day and that every consumer has
//!   passed.
//! - Every ARN names the region `dynoxide`.
//! - Vector search is exact, where AWS is approximate. A vector index made
//!   with its table answers at once.
//!
//! S3 (`s3s-fs`), for a `PUT` presigned with a length, a type and a SHA-256:
//! - another `Content-Type`, `Content-Length` or checksum header, or a missing
//!   one, is 403 `SignatureDoesNotMatch`, since all three are signed headers;
//! - a body that does not have the declared checksum is 400 `BadDigest`, and
//!   the object is left as it was (this crate adds the second half);
//! - a body shorter than its `Content-Length` never becomes an object.
//! - Keys are paths: `a` and `a/b` cannot both exist, and a key is limited to
//!   [`objects::MAX_KEY_BYTES`] bytes instead of 1,024.
//! - There is no versioning, lifecycle, encryption or notification.
//!
//! SQS (`winterbaume-sqs`):
//! - Messages live in memory and end with the process.
//! - A message comes back without its `MessageGroupId`, and groups get no fair
//!   share.
//! - A long poll that waits for a delay or a visibility timeout looks every
//!   100 ms (this crate wakes it when a message is sent).
//! - A receive with `VisibilityTimeout` 0 or a send with `DelaySeconds` 0 takes
//!   the queue's default.
//! - Sizes, batch counts and delays above the limits of SQS are accepted.

pub mod endpoints;
pub mod folder;
pub mod log_stream;
pub mod objects;
pub mod queues;
pub mod services;
pub mod tables;

mod checkpoint;
mod database;
mod definition;
mod error;
mod queue_server;

pub use endpoints::{Clients, Endpoints};
pub use error::{Error, StartError};
pub use log_stream::{Batch, LogStream};
pub use objects::create_bucket;
pub use queues::{Queue, QueueSource, QueueSpec, create_queues};
pub use services::{Options, Services, Storage};
pub use tables::{TableNames, create_tables};
