//! Chat: a message to an agent, its answer as it comes, and what was said before.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | POST | `/v1/chat/{agent_id}` | `executions:write` | `say.rs` |
//! | GET | `/v1/chat/{agent_id}/history` | `executions:read` | `history.rs` |
//!
//! A message is a turn of a conversation, and a turn is an execution: a worker drives it, and what
//! is streamed here is the log that is kept of it. Whoever goes away changes nothing.
//!
//! A function of its own, behind a Function URL, since an HTTP API does not stream.

use api::{Table, routes};

mod history;
mod message;
mod say;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(say::say))
        .routes(routes!(history::history))
}
