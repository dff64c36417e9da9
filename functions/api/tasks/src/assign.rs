use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::event::EventKind;
use domain::task::{Assignee, Task};
use garde::Validate;
use kernel::{AgentId, TaskId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::assignee::Candidate;
use crate::run;

/// Who gets the task: an agent or a user.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = TaskAssignment,
    example = json!({ "agent_id": "agt_01jbst9de6fp79y0938nkrkayd", "auto_run": true }),
)]
pub(crate) struct Assignment {
    /// The agent, unless it is a user.
    #[garde(skip)]
    agent_id: Option<AgentId>,
    /// The user, unless it is an agent.
    #[garde(skip)]
    user_id: Option<UserId>,
    /// Whether the agent begins at once. As the task says, if absent.
    #[garde(skip)]
    auto_run: Option<bool>,
}

impl Assignment {
    /// The one who is meant, and the field that says so.
    fn assignee(&self) -> Result<(Assignee, &'static str), Problem> {
        match (self.agent_id, self.user_id) {
            (Some(id), None) => Ok((Assignee::Agent { id }, "/agent_id")),
            (None, Some(_)) if self.auto_run == Some(true) => Err(Problem::invalid_field(
                "/auto_run",
                "is for agents: people begin by themselves",
            )),
            (None, Some(id)) => Ok((Assignee::User { id }, "/user_id")),
            (None, None) => Err(Problem::invalid_field(
                "/agent_id",
                "is missing: give `agent_id` or `user_id`",
            )),
            (Some(_), Some(_)) => Err(Problem::invalid_field(
                "/user_id",
                "cannot be given together with `agent_id`",
            )),
        }
    }
}

/// Give a task to an agent or a person, or to another one. With `auto_run` an agent begins at once,
/// for which the caller needs `executions:write` too. Refused while an execution works on the task.
#[utoipa::path(
    post, path = "/v1/tasks/{task_id}/assign", tag = "tasks", operation_id = "assign_task",
    params(
        ("task_id" = TaskId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = Assignment,
    security(("bearer" = ["tasks:write"])),
    responses((status = 200, body = Task), Problems),
)]
pub(crate) async fn assign(
    State(app): State<api::App>,
    task: Owned<Task, Write>,
    if_match: IfMatch,
    Json(body): Json<Assignment>,
) -> Result<Versioned<Task>, Problem> {
    if_match.check(task.version, "task")?;
    let (assignee, field) = body.assignee()?;
    let caller = &task.caller;
    let candidate = Candidate::find(&app, caller, assignee, field).await?;
    run::refuse_while_running(&app, caller, &task).await?;
    let mut changed = task.item.clone();
    changed.auto_run = body.auto_run.unwrap_or(changed.auto_run);
    let run = run::give(&app, caller, &mut changed, &candidate).await?;
    let tasks = app.store().tasks(caller.tenant());
    let kind = EventKind::TaskAssigned;
    let updated = tasks
        .update(&caller.cause(), kind, &task.item, changed, run.as_ref())
        .await?;
    Ok(Versioned::new(updated.version, updated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_is_meant_and_only_agents_run_by_themselves() {
        let (agent, user) = (AgentId::from_u128(1), UserId::from_u128(2));
        let read = |agent_id, user_id, auto_run| {
            Assignment {
                agent_id,
                user_id,
                auto_run,
            }
            .assignee()
            .map_err(|p| format!("{p:?}"))
        };
        assert_eq!(
            read(Some(agent), None, Some(true)),
            Ok((Assignee::Agent { id: agent }, "/agent_id"))
        );
        assert_eq!(
            read(None, Some(user), Some(false)),
            Ok((Assignee::User { id: user }, "/user_id"))
        );
        for (agent_id, user_id, auto_run, field) in [
            (None, None, None, "/agent_id"),
            (Some(agent), Some(user), None, "/user_id"),
            (None, Some(user), Some(true), "/auto_run"),
        ] {
            let refused = read(agent_id, user_id, auto_run).expect_err(field);
            assert!(refused.contains(field), "{refused}");
        }
    }
}
