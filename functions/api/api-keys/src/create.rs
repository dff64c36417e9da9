use api::{
    App, Caller, FieldProblem, Granted, Json, Problem, Problems, Versioned, Write, created,
    shown_once,
};
use axum::extract::State;
use axum::response::Response;
use domain::api_key::ApiKey;
use domain::permission::Permission;
use garde::Validate;
use kernel::{AgentId, Timestamp};
use serde::Deserialize;
use store::api_keys::NewApiKey;
use utoipa::ToSchema;

use crate::grants;
use crate::secret::{ApiKeyWithSecret, generate};

/// A new API key.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKey)]
pub(crate) struct NewKey {
    /// What people call it.
    #[garde(custom(api::text::name))]
    #[schema(min_length = 1, max_length = 200, example = "Nightly import")]
    name: String,
    /// What it may do: permissions that you have yourself.
    #[garde(length(min = 1, max = Permission::ALL.len()))]
    #[schema(min_items = 1, example = json!(["agents:read", "executions:write"]))]
    scopes: Vec<Permission>,
    /// The agent it acts as, if any.
    #[garde(skip)]
    agent: Option<AgentId>,
    /// When it stops working; never if absent.
    #[garde(skip)]
    expires_at: Option<Timestamp>,
}

/// Create an API key. Its secret is in this answer and nowhere else: a repetition with the same
/// `Idempotency-Key` is answered `secret_shown_once`, with the place of the key.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api-keys", operation_id = "create_api_key",
    request_body = NewKey,
    security(("bearer" = ["api-keys:write"])),
    responses((status = 201, body = ApiKeyWithSecret), Problems),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Granted<ApiKey, Write>,
    Json(body): Json<NewKey>,
) -> Result<Response, Problem> {
    check(&app, &caller, &body).await?;
    let new = NewApiKey {
        name: body.name,
        scopes: body.scopes.into_iter().collect(),
        agent: body.agent,
        expires_at: body.expires_at,
    };
    let (secret, hashed) = generate(&app);
    let key = app
        .store()
        .api_keys(caller.tenant())
        .create(&caller.cause(), new, hashed)
        .await?;
    app.forget_keys(key.org);
    let location = format!("/v1/api-keys/{}", key.id);
    let version = key.version;
    let answer = ApiKeyWithSecret {
        key,
        secret: secret.expose().to_owned(),
    };
    Ok(shown_once(created(
        &location,
        Versioned::new(version, answer),
    )))
}

/// Checks what a key may be against whoever makes it, and that what it names is there.
async fn check(app: &App, caller: &Caller, body: &NewKey) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut refuse = |field: String, message: &str| {
        errors.push(FieldProblem {
            field,
            message: message.to_owned(),
        });
    };
    for index in beyond(&body.scopes, |scope| caller.may(scope)) {
        refuse(
            format!("/scopes/{index}"),
            "is a permission that you do not have yourself",
        );
    }
    if body
        .expires_at
        .is_some_and(|expiry| expiry <= app.store().now())
    {
        refuse("/expires_at".to_owned(), "must lie in the future");
    }
    let own_agent = grants::agent_of(caller);
    if own_agent.is_some() && body.agent != own_agent {
        refuse(
            "/agent".to_owned(),
            "must be the agent that your own key acts as",
        );
    } else if let Some(agent) = body.agent
        && app
            .store()
            .agents(caller.tenant())
            .get(agent)
            .await?
            .is_none()
    {
        refuse("/agent".to_owned(), "is not an agent of this organization");
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

/// Which of these scopes, by their places, the caller lacks.
fn beyond(scopes: &[Permission], may: impl Fn(Permission) -> bool) -> Vec<usize> {
    let lacked = scopes.iter().enumerate().filter(|(_, scope)| !may(**scope));
    lacked.map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use domain::org::Role;

    use super::*;

    #[test]
    fn each_scope_beyond_the_caller_is_named_by_its_place() {
        let scopes = [
            Permission::AgentRead,
            Permission::AuditRead,
            Permission::TaskWrite,
            Permission::ApiKeyWrite,
        ];
        let of = |role: Role| beyond(&scopes, |scope| scope.granted_to_role(role));
        assert_eq!(of(Role::Member), vec![1, 3]);
        assert_eq!(of(Role::Admin), Vec::<usize>::new());
    }
}
