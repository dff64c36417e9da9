use api::{Granted, Listing, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::task::{Task, TaskStatus};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use store::tasks::TaskFilter;
use utoipa::IntoParams;

/// Which tasks to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// Only tasks of this agent. Not together with `status`.
    #[garde(skip)]
    agent_id: Option<AgentId>,
    /// Only tasks that stand so. Not together with `agent_id`.
    #[garde(skip)]
    status: Option<TaskStatus>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// Tasks of the organization, newest first. Filtered lists may lag behind by moments.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks", operation_id = "list_tasks",
    params(TaskQuery),
    security(("bearer" = ["tasks:read"])),
    responses((status = 200, body = Listing<Task>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Task, Read>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<Listing<Task>>, Problem> {
    let (filter, list) = filter(query.agent_id, query.status)?;
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &caller, &list)?;
    let tasks = app
        .store()
        .tasks(caller.tenant())
        .page(filter, &page)
        .await?;
    Ok(Json(Listing::new(&app, &caller, &list, tasks)))
}

/// The filter, and the name of the list it makes: a cursor of one list is none of another.
fn filter(
    agent: Option<AgentId>,
    status: Option<TaskStatus>,
) -> Result<(TaskFilter, String), Problem> {
    match (agent, status) {
        (None, None) => Ok((TaskFilter::All, "tasks".to_owned())),
        (Some(agent), None) => Ok((TaskFilter::OfAgent(agent), format!("tasks/of/{agent}"))),
        (None, Some(status)) => Ok((
            TaskFilter::WithStatus(status),
            format!("tasks/{}", status.name()),
        )),
        (Some(_), Some(_)) => Err(Problem::invalid_field(
            "status",
            "cannot be given together with `agent_id`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_filter_at_a_time_and_a_name_for_each_list() {
        let agent = AgentId::from_u128(1);
        assert!(filter(Some(agent), Some(TaskStatus::Todo)).is_err());
        let mut names: Vec<String> = TaskStatus::ALL
            .iter()
            .map(|status| filter(None, Some(*status)).unwrap().1)
            .collect();
        names.push(filter(None, None).unwrap().1);
        names.push(filter(Some(agent), None).unwrap().1);
        names.push(filter(Some(AgentId::from_u128(2)), None).unwrap().1);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
