use api::{FieldProblem, IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::credential::{
    Credential, CredentialKind, header_name_problem, header_value_problem, password_problem,
    token_problem, username_problem,
};
use domain::tool::Tool;
use garde::Validate;
use kernel::ToolId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use store::credentials::ToolSecret;
use utoipa::ToSchema;

use crate::secret::Secret;

/// The credential of a tool. Each kind has its own fields; those of another kind are refused.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "bearer", "token": "TOKEN" }))]
pub(crate) struct NewCredential {
    #[garde(skip)]
    kind: CredentialKind,
    /// Of a `bearer` credential: sent as `Authorization: Bearer <token>`.
    #[garde(inner(custom(valid_token)))]
    #[schema(value_type = Option<String>, write_only, min_length = 1, max_length = 8_192)]
    token: Option<Secret>,
    /// Of a `header` credential: the header's name.
    #[garde(inner(custom(valid_header_name)))]
    #[schema(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$", example = "X-Api-Key")]
    name: Option<String>,
    /// Of a `header` credential: the header's value.
    #[garde(inner(custom(valid_header_value)))]
    #[schema(value_type = Option<String>, write_only, min_length = 1, max_length = 8_192)]
    value: Option<Secret>,
    /// Of a `basic` credential.
    #[garde(inner(custom(valid_username)))]
    #[schema(min_length = 1, max_length = 256)]
    username: Option<String>,
    /// Of a `basic` credential; may be empty.
    #[garde(inner(custom(valid_password)))]
    #[schema(value_type = Option<String>, write_only, max_length = 4_096)]
    password: Option<Secret>,
}

fn judged(problem: Option<&'static str>) -> garde::Result {
    problem.map_or(Ok(()), |reason| Err(garde::Error::new(reason)))
}

fn valid_token(token: &Secret, (): &()) -> garde::Result {
    judged(token_problem(token.0.expose_secret()))
}

fn valid_header_name(name: &str, (): &()) -> garde::Result {
    judged(header_name_problem(name))
}

fn valid_header_value(value: &Secret, (): &()) -> garde::Result {
    judged(header_value_problem(value.0.expose_secret()))
}

fn valid_username(name: &str, (): &()) -> garde::Result {
    judged(username_problem(name))
}

fn valid_password(password: &Secret, (): &()) -> garde::Result {
    judged(password_problem(password.0.expose_secret()))
}

impl NewCredential {
    /// The secret, if the body has the fields of its kind and no others.
    fn secret(self) -> Result<ToolSecret, Problem> {
        let given = [
            ("/token", self.token.is_some()),
            ("/name", self.name.is_some()),
            ("/value", self.value.is_some()),
            ("/username", self.username.is_some()),
            ("/password", self.password.is_some()),
        ];
        let kind = self.kind;
        let secret = match (kind, self.token, self.name, self.value) {
            (CredentialKind::Bearer, Some(token), None, None) => {
                Some(ToolSecret::Bearer { token: token.0 })
            }
            (CredentialKind::Header, None, Some(name), Some(value)) => Some(ToolSecret::Header {
                name,
                value: value.0,
            }),
            (CredentialKind::Basic, None, None, None) => match (self.username, self.password) {
                (Some(username), Some(password)) => Some(ToolSecret::Basic {
                    username,
                    password: password.0,
                }),
                _ => None,
            },
            _ => None,
        };
        let wanted: &[&str] = match kind {
            CredentialKind::Bearer => &["/token"],
            CredentialKind::Header => &["/name", "/value"],
            CredentialKind::Basic => &["/username", "/password"],
        };
        let errors: Vec<FieldProblem> = given
            .into_iter()
            .filter(|(field, is_given)| wanted.contains(field) != *is_given)
            .map(|(field, is_given)| FieldProblem {
                field: field.to_owned(),
                message: if is_given {
                    format!("does not belong to a credential of kind `{}`", kind.name())
                } else {
                    "is missing".to_owned()
                },
            })
            .collect();
        match secret {
            Some(secret) if errors.is_empty() => Ok(secret),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// Set the credential that a tool's requests are sent with. It is encrypted, sent to the origin of
/// the tool's address as it is now and nowhere else, and never shown again. An earlier credential
/// of the tool is replaced.
#[utoipa::path(
    put, path = "/v1/tools/{tool_id}/credential", tag = "tools", operation_id = "set_tool_credential",
    params(
        ("tool_id" = ToolId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = NewCredential,
    security(("bearer" = ["tools:write"])),
    responses((status = 200, body = Credential), Problems),
)]
pub(crate) async fn set(
    State(app): State<api::App>,
    tool: Owned<Tool, Write>,
    if_match: IfMatch,
    Json(body): Json<NewCredential>,
) -> Result<Versioned<Credential>, Problem> {
    let secret = body.secret()?;
    let credentials = app.store().credentials(tool.caller.tenant());
    let current = credentials.get(tool.id).await?;
    // A tool without a credential is at version 0, which no ETag names.
    let version = current.as_ref().map_or(0, |current| current.version);
    if_match.check(version, "credential")?;
    let cause = tool.caller.cause();
    let credential = credentials
        .set(&cause, &tool.item, current.as_ref(), &secret)
        .await?;
    Ok(Versioned::new(credential.version, credential))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Result<ToolSecret, Problem> {
        let body: NewCredential = serde_json::from_value(body).expect("a body");
        body.secret()
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        for body in [
            json!({ "kind": "bearer", "token": "t" }),
            json!({ "kind": "header", "name": "X-Api-Key", "value": "v" }),
            json!({ "kind": "basic", "username": "ada", "password": "" }),
        ] {
            let kind = body["kind"].clone();
            let secret = read(body).expect("a secret");
            assert_eq!(json!(secret.kind()), kind);
        }
        for (body, named) in [
            (json!({ "kind": "bearer" }), &["/token"][..]),
            (
                json!({ "kind": "bearer", "token": "t", "name": "x" }),
                &["/name"],
            ),
            (
                json!({ "kind": "bearer", "token": "t", "password": "p" }),
                &["/password"],
            ),
            (
                json!({ "kind": "header", "token": "t" }),
                &["/token", "/name", "/value"],
            ),
            (
                json!({ "kind": "basic", "username": "ada" }),
                &["/password"],
            ),
            (
                json!({ "kind": "basic", "username": "a", "password": "p", "value": "v" }),
                &["/value"],
            ),
        ] {
            let problem = format!("{:?}", read(body.clone()).expect_err("refused"));
            for field in named {
                assert!(
                    problem.contains(&format!("\"{field}\"")),
                    "{body}: {problem}"
                );
            }
        }
    }

    #[test]
    fn nothing_of_a_body_prints() {
        let body = json!({
            "kind": "basic", "username": "ada", "password": "canary-1", "token": "canary-2",
            "value": "canary-3",
        });
        let body: NewCredential = serde_json::from_value(body).expect("a body");
        let shown = format!("{body:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let problem = format!("{:?}", body.secret().expect_err("refused"));
        assert!(!problem.contains("canary"), "{problem}");
    }
}
