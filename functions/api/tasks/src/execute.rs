use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::event::EventKind;
use domain::permission::Permission;
use domain::task::{Assignee, Task};
use kernel::TaskId;

use crate::assignee::Candidate;
use crate::run;

/// Have the agent that the task is given to work on it now, for which the caller needs
/// `executions:write` too. The execution is named in the answer. Refused while another works on the
/// task.
#[utoipa::path(
    post, path = "/v1/tasks/{task_id}/execute", tag = "tasks", operation_id = "execute_task",
    params(("task_id" = TaskId, Path)),
    security(("bearer" = ["tasks:write", "executions:write"])),
    responses((status = 200, body = Task), Problems),
)]
pub(crate) async fn execute(
    State(app): State<api::App>,
    task: Owned<Task, Write>,
) -> Result<Versioned<Task>, Problem> {
    let caller = &task.caller;
    caller.require(Permission::ExecutionWrite, &app).await?;
    run::refuse_while_running(&app, caller, &task).await?;
    let Some(assignee @ Assignee::Agent { .. }) = task.assignee else {
        return Err(Problem::conflict(
            "not_given_to_an_agent",
            "The task is given to nobody, or to a person. Give it to an agent first.",
        ));
    };
    let candidate = Candidate::find(&app, caller, assignee, "/assignee").await?;
    let mut changed = task.item.clone();
    let run = run::begin(&app, caller, &mut changed, &candidate).await?;
    let tasks = app.store().tasks(caller.tenant());
    let kind = EventKind::TaskStatusChanged;
    let updated = tasks
        .update(&caller.cause(), kind, &task.item, changed, run.as_ref())
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
