//! Streams: what happens in an execution, as it happens, by server-sent events.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/executions/{execution_id}/stream` | `executions:read` | `execution.rs` |
//!
//! A function of its own, behind a Function URL, since an HTTP API does not stream.

use api::{Table, routes};

mod execution;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new().routes(routes!(execution::stream))
}
