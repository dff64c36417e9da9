//! Executions: one run of an agent each, from the question to the answer or the reason why not.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/executions` | `executions:read` | `list.rs` |
//! | POST | `/v1/executions` | `executions:write` | `create.rs` |
//! | POST | `/v1/agents/{agent_id}/executions` | `executions:write` | `of_agent.rs` |
//! | POST | `/v1/swarms/{swarm_id}/executions` | `executions:write` | `of_swarm.rs` |
//! | GET | `/v1/executions/{execution_id}` | `executions:read` | `get.rs` |
//! | GET | `/v1/executions/{execution_id}/trace` | `executions:read` | `trace.rs` |
//! | GET | `/v1/executions/{execution_id}/results/{sha256}` | `executions:read` | `result.rs` |
//! | POST | `/v1/executions/{execution_id}/pause` | `executions:write` | `pause.rs` |
//! | POST | `/v1/executions/{execution_id}/resume` | `executions:write` | `resume.rs` |
//! | POST | `/v1/executions/{execution_id}/cancel` | `executions:write` | `cancel.rs` |
//! | POST | `/v1/executions/{execution_id}/input` | `executions:write` | `input.rs` |
//!
//! `GET /v1/executions/{execution_id}/stream` is served by the `streams` function.

use api::{Table, routes};

mod cancel;
mod create;
mod get;
mod input;
mod list;
mod of_agent;
mod of_swarm;
mod pause;
mod result;
mod resume;
mod start;
mod trace;
mod view;
mod wait;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(of_agent::create))
        .routes(routes!(of_swarm::create))
        .routes(routes!(get::get))
        .routes(routes!(trace::trace))
        .routes(routes!(result::result))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(cancel::cancel))
        .routes(routes!(input::input))
}
