use api::{Owned, Problems, Read, Versioned};
use domain::task::Task;
use kernel::TaskId;

/// A task as it stands.
#[utoipa::path(
    get, path = "/v1/tasks/{task_id}", tag = "tasks", operation_id = "get_task",
    params(("task_id" = TaskId, Path)),
    security(("bearer" = ["tasks:read"])),
    responses((status = 200, body = Task), Problems),
)]
pub(crate) async fn get(task: Owned<Task, Read>) -> Versioned<Task> {
    Versioned::new(task.version, task.item)
}
