use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::task::Task;
use http::StatusCode;
use kernel::TaskId;

use crate::run;

/// Delete a task. Refused while an execution works on it.
#[utoipa::path(
    delete, path = "/v1/tasks/{task_id}", tag = "tasks", operation_id = "delete_task",
    params(
        ("task_id" = TaskId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["tasks:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    task: Owned<Task, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(task.version, "task")?;
    run::refuse_while_running(&app, &task.caller, &task).await?;
    let cause = task.caller.cause();
    app.store()
        .tasks(task.caller.tenant())
        .delete(&cause, &task.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
