//! Tasks: work for agents and people, and where it stands.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/tasks` | `tasks:read` | `list.rs` |
//! | POST | `/v1/tasks` | `tasks:write` | `create.rs` |
//! | GET | `/v1/tasks/{task_id}` | `tasks:read` | `get.rs` |
//! | PATCH | `/v1/tasks/{task_id}` | `tasks:write` | `update.rs` |
//! | DELETE | `/v1/tasks/{task_id}` | `tasks:write` | `delete.rs` |
//! | POST | `/v1/tasks/{task_id}/assign` | `tasks:write` | `assign.rs` |
//! | POST | `/v1/tasks/{task_id}/execute` | `tasks:write` | `execute.rs` |
//! | POST | `/v1/tasks/{task_id}/status` | `tasks:write` | `status.rs` |
//!
//! A task that runs by itself starts an execution, which needs `executions:write` as well.

use api::{Table, routes};

mod assign;
mod assignee;
mod create;
mod delete;
mod execute;
mod get;
mod list;
mod run;
mod status;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(assign::assign))
        .routes(routes!(execute::execute))
        .routes(routes!(status::set_status))
}
