use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::event::EventKind;
use domain::task::{MAX_DESCRIPTION, Priority, Task};
use garde::Validate;
use kernel::{TaskId, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

/// Changes to a task. What is absent stays as it is. Assignee and status have operations of their
/// own.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "Find the gearbox oil change interval"
    )]
    title: Option<String>,
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[garde(skip)]
    priority: Option<Priority>,
    /// `null` takes the due date away.
    #[garde(skip)]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<Timestamp>)]
    due_at: Option<Option<Timestamp>>,
}

/// Change what a task says. An execution under way was told what it said before.
#[utoipa::path(
    patch, path = "/v1/tasks/{task_id}", tag = "tasks", operation_id = "update_task",
    params(
        ("task_id" = TaskId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = TaskChanges,
    security(("bearer" = ["tasks:write"])),
    responses((status = 200, body = Task), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    task: Owned<Task, Write>,
    if_match: IfMatch,
    Json(changes): Json<TaskChanges>,
) -> Result<Versioned<Task>, Problem> {
    if_match.check(task.version, "task")?;
    let old = task.item.clone();
    let changed = Task {
        title: changes.title.unwrap_or(old.title),
        description: changes.description.unwrap_or(old.description),
        priority: changes.priority.unwrap_or(old.priority),
        due_at: changes.due_at.unwrap_or(old.due_at),
        ..old
    };
    let cause = task.caller.cause();
    let tasks = app.store().tasks(task.caller.tenant());
    let updated = tasks
        .update(&cause, EventKind::TaskUpdated, &task.item, changed, None)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
