use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::task::{MAX_DESCRIPTION, Priority, Task, TaskStatus};
use garde::Validate;
use kernel::{TaskId, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::assignee::{Candidate, NewAssignee};
use crate::run;

/// A new task.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    /// What is to be done, in a line.
    #[garde(custom(api::text::name))]
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "Find the oil change interval"
    )]
    title: String,
    /// More about it. An agent is asked the title and, after it, this.
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[serde(default)]
    #[schema(max_length = 10_000)]
    description: String,
    #[garde(skip)]
    #[serde(default)]
    priority: Priority,
    #[garde(skip)]
    due_at: Option<Timestamp>,
    /// Who is to do it; nobody yet if absent.
    #[garde(skip)]
    assignee: Option<NewAssignee>,
    /// Whether an agent that is given the task begins at once, now or later.
    #[garde(skip)]
    #[serde(default)]
    auto_run: bool,
}

/// Create a task. Given to an agent with `auto_run`, an execution starts with it, for which the
/// caller needs `executions:write` too.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks", operation_id = "create_task",
    request_body = NewTask,
    security(("bearer" = ["tasks:write"])),
    responses((status = 201, body = Task), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Task, Write>,
    Json(body): Json<NewTask>,
) -> Result<Response, Problem> {
    let (cause, now) = (caller.cause(), app.store().now());
    let mut task = Task {
        id: TaskId::generate(now),
        org: caller.tenant().org(),
        title: body.title,
        description: body.description,
        status: TaskStatus::Todo,
        priority: body.priority,
        assignee: None,
        auto_run: body.auto_run,
        due_at: body.due_at,
        execution: None,
        result: None,
        created_by: cause.actor,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let mut run = None;
    if let Some(assignee) = body.assignee {
        let assignee = assignee.read("/assignee/id")?;
        let candidate = Candidate::find(&app, &caller, assignee, "/assignee/id").await?;
        run = run::give(&app, &caller, &mut task, &candidate).await?;
    }
    app.store()
        .tasks(caller.tenant())
        .create(&cause, &task, run.as_ref())
        .await?;
    let location = format!("/v1/tasks/{}", task.id);
    Ok(created(&location, Versioned::new(task.version, task)))
}
