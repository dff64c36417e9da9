use std::time::Duration;

use api::{Caller, Json, Owned, Principal, Problem, Problems, Write, created, shown_once};
use axum::extract::State;
use axum::response::Response;
use domain::approval::{Answerer, Approval, ApprovalPolicy, ApprovalState};
use domain::event::Actor;
use domain::org::Role;
use garde::Validate;
use kernel::{ApprovalId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::approvals::{AnswerError, LinkRow};
use utoipa::ToSchema;

use crate::holders;
use crate::token::Token;

/// Where people open a link.
pub(crate) const FOLDER: &str = "/v1/approval-links";

/// For whom a link is, and for how long.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApprovalLink)]
pub(crate) struct NewLink {
    /// The member on whose behalf the link answers; you, if absent. To name somebody else needs the
    /// role manager.
    #[garde(skip)]
    approver_user_id: Option<UserId>,
    /// Seconds until the link ends. It ends with the approval at the latest, which is also what
    /// follows if this is absent.
    #[garde(range(min = 60, max = ApprovalPolicy::MAX_SECONDS))]
    #[schema(minimum = 60, maximum = 2_592_000)]
    expires_in_seconds: Option<u32>,
}

/// A link that answers an approval, once.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalLink)]
pub(crate) struct Link {
    approval_id: ApprovalId,
    /// On whose behalf it answers.
    holder: Actor,
    /// The address of the link at this API. Whoever has it can answer. Shown in this answer only.
    path: String,
    expires_at: Timestamp,
}

/// Make a link that answers an approval without signing in: for a mail or a message to whoever may
/// answer. It shows what is asked and answers once; opening it changes nothing. The answer counts
/// as that of whom the link is for, who must still be allowed to answer when it is used.
#[utoipa::path(
    post, path = "/v1/approvals/{approval_id}/links", tag = "approvals",
    operation_id = "create_approval_link",
    params(("approval_id" = ApprovalId, Path)),
    request_body = NewLink,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = Link), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    approval: Owned<Approval, Write>,
    Json(body): Json<NewLink>,
) -> Result<Response, Problem> {
    let holder = holder(&app, &approval.caller, &approval, body.approver_user_id).await?;
    let now = app.store().now();
    if approval.state != ApprovalState::Pending || approval.is_over(now) {
        return Err(AnswerError::Closed(Box::new(approval.item)).into());
    }
    let expires_at = body
        .expires_in_seconds
        .map(|seconds| now.plus(Duration::from_secs(seconds.into())))
        .map_or(approval.expires_at, |end| end.min(approval.expires_at));
    let token = Token::new(approval.org, approval.id, expires_at);
    let cause = approval.caller.cause();
    let row = LinkRow {
        org: approval.org,
        approval: approval.id,
        digest: token.digest(),
        holder,
        made_by: cause.actor,
        created_at: now,
        expires_at: token.expires_at,
    };
    let approvals = app.store().approvals(approval.caller.tenant());
    approvals.create_link(&cause, &row).await?;
    let link = Link {
        approval_id: approval.id,
        holder,
        path: format!("{FOLDER}/{}", token.seal(app.signing())),
        expires_at,
    };
    // The place of the approval: that of the link is a secret.
    let place = format!("/v1/approvals/{}", approval.id);
    Ok(shown_once(created(&place, axum::Json(link))))
}

/// On whose behalf the link answers: the caller, or somebody whom the caller may speak for.
async fn holder(
    app: &api::App,
    caller: &Caller,
    approval: &Approval,
    named: Option<UserId>,
) -> Result<Actor, Problem> {
    let myself = caller.principal().actor();
    let other = named.filter(|id| myself != Actor::User { id: *id });
    let Some(id) = other else {
        caller.require_admission(approval, app).await?;
        let is_member = caller.role().is_some();
        if matches!(caller.principal(), Principal::User(_)) && !is_member {
            let message = "must name a member: you are none of this organization";
            return Err(Problem::invalid_field("/approver_user_id", message));
        }
        return Ok(myself);
    };
    if !speaks_for_others(caller.answerer()) {
        return Err(Problem::forbidden(
            "To make a link for somebody else needs the role `manager`.",
        ));
    }
    let refused = |message: String| Problem::invalid_field("/approver_user_id", message);
    let Some(who) = holders::member(app, caller.tenant(), id).await? else {
        return Err(refused("is not a member of this organization".to_owned()));
    };
    if let Err(reason) = approval.policy.admits(who) {
        return Err(refused(format!("may not answer: {reason}")));
    }
    Ok(Actor::User { id })
}

/// Managers and machines with all that managers may, unless they act as agents.
fn speaks_for_others(caller: Option<Answerer>) -> bool {
    match caller {
        Some(Answerer::Person { role, .. }) => role >= Role::Manager,
        Some(Answerer::Machine { role, agent }) => role >= Role::Manager && agent.is_none(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use kernel::AgentId;

    use super::*;

    #[test]
    fn only_managers_speak_for_others_and_no_agent_does() {
        let person = |role| {
            Some(Answerer::Person {
                id: UserId::from_u128(1),
                role,
            })
        };
        let machine = |role, agent| Some(Answerer::Machine { role, agent });
        let agent = Some(AgentId::from_u128(1));
        for (caller, expected) in [
            (person(Role::Member), false),
            (person(Role::Manager), true),
            (person(Role::Admin), true),
            (machine(Role::Member, None), false),
            (machine(Role::Manager, None), true),
            (machine(Role::Admin, agent), false),
            (None, false),
        ] {
            assert_eq!(speaks_for_others(caller), expected, "{caller:?}");
        }
    }
}
