use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::api_key::ApiKey;
use http::StatusCode;
use kernel::ApiKeyId;

/// Revoke an API key with all its secrets. They open nothing within a minute. The key stays in the
/// list; revoking it again changes nothing.
#[utoipa::path(
    delete, path = "/v1/api-keys/{key_id}", tag = "api-keys", operation_id = "revoke_api_key",
    params(
        ("key_id" = ApiKeyId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["api-keys:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn revoke(
    State(app): State<api::App>,
    key: Owned<ApiKey, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(key.version, "API key")?;
    if key.revoked_at.is_none() {
        let cause = key.caller.cause();
        app.store()
            .api_keys(key.caller.tenant())
            .revoke(&cause, &key.item)
            .await?;
        app.forget_keys(key.org);
    }
    Ok(StatusCode::NO_CONTENT)
}
