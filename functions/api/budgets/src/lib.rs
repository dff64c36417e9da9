//! Budgets: what an org, its agents and its executions may spend, and the ledgers that add up to it.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/budgets` | `budgets:read` | `list.rs` |
//! | GET | `/v1/budgets/org` | `budgets:read` | `org.rs` |
//! | PUT | `/v1/budgets/org` | `budgets:write` | `org.rs` |
//! | DELETE | `/v1/budgets/org` | `budgets:write` | `org.rs` |
//! | GET | `/v1/budgets/org/ledger` | `budgets:read` | `ledger.rs` |
//! | GET | `/v1/budgets/org/verify` | `budgets:read` | `verify.rs` |
//! | GET | `/v1/budgets/agents/{agent_id}` | `budgets:read` | `agent.rs` |
//! | PUT | `/v1/budgets/agents/{agent_id}` | `budgets:write` | `agent.rs` |
//! | DELETE | `/v1/budgets/agents/{agent_id}` | `budgets:write` | `agent.rs` |
//! | GET | `/v1/budgets/agents/{agent_id}/ledger` | `budgets:read` | `ledger.rs` |
//! | GET | `/v1/budgets/executions/{execution_id}` | `budgets:read` | `execution.rs` |
//! | PUT | `/v1/budgets/executions/{execution_id}` | `budgets:write` | `execution.rs` |
//! | GET | `/v1/budgets/executions/{execution_id}/ledger` | `budgets:read` | `ledger.rs` |
//!
//! Whoever has no budget is unlimited. A budget is set to what is granted in all, so that setting it
//! twice is setting it once; what was spent of it is counted from its beginning.

use api::{Table, routes};

mod agent;
mod amount;
mod execution;
mod ledger;
mod list;
mod org;
mod verify;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list))
        .routes(routes!(org::get, org::set, org::remove))
        .routes(routes!(ledger::of_org))
        .routes(routes!(verify::verify))
        .routes(routes!(agent::get, agent::set, agent::remove))
        .routes(routes!(ledger::of_agent))
        .routes(routes!(execution::get, execution::set))
        .routes(routes!(ledger::of_execution))
}
