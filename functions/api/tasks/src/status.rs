use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::event::EventKind;
use domain::task::{Task, TaskStatus};
use garde::Validate;
use kernel::TaskId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::run;

/// Where a task stands from now on.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTaskStatus, example = json!({ "status": "in_progress" }))]
pub(crate) struct NewStatus {
    #[garde(skip)]
    status: TaskStatus,
}

/// Say where a task stands. `todo` takes it from whoever has it. Refused while an execution
/// works on it; beginning one here starts no execution.
#[utoipa::path(
    post, path = "/v1/tasks/{task_id}/status", tag = "tasks", operation_id = "set_task_status",
    params(
        ("task_id" = TaskId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = NewStatus,
    security(("bearer" = ["tasks:write"])),
    responses((status = 200, body = Task), Problems),
)]
pub(crate) async fn set_status(
    State(app): State<api::App>,
    task: Owned<Task, Write>,
    if_match: IfMatch,
    Json(body): Json<NewStatus>,
) -> Result<Versioned<Task>, Problem> {
    if_match.check(task.version, "task")?;
    let mut changed = task.item.clone();
    changed.transition(body.status)?;
    // The run would go on, and its answer would find no task to be the result of.
    run::refuse_while_running(&app, &task.caller, &task).await?;
    let cause = task.caller.cause();
    let tasks = app.store().tasks(task.caller.tenant());
    let kind = EventKind::TaskStatusChanged;
    let updated = tasks
        .update(&cause, kind, &task.item, changed, None)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
