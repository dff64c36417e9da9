use std::time::Duration;

use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write, shown_once};
use axum::extract::State;
use axum::response::Response;
use domain::api_key::{ApiKey, DEFAULT_ROTATION_OVERLAP, MAX_ROTATION_OVERLAP};
use garde::Validate;
use kernel::{ApiKeyId, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::grants;
use crate::secret::{ApiKeyWithSecret, generate};

/// How a key's secret is replaced.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRotation)]
pub(crate) struct Rotation {
    /// For how many seconds the old secret works on; 0 ends it at once.
    #[garde(range(max = MAX_ROTATION_OVERLAP.as_secs()))]
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    #[serde(default = "default_overlap")]
    overlap_seconds: u64,
}

fn default_overlap() -> u64 {
    DEFAULT_ROTATION_OVERLAP.as_secs()
}

/// Give an API key a new secret, which is in this answer and nowhere else. The old one works on
/// through the overlap. A key that was revoked (`key_revoked`) or has expired (`key_expired`)
/// cannot be rotated.
#[utoipa::path(
    post, path = "/v1/api-keys/{key_id}/rotate", tag = "api-keys",
    operation_id = "rotate_api_key",
    params(
        ("key_id" = ApiKeyId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = Rotation,
    security(("bearer" = ["api-keys:write"])),
    responses((status = 200, body = ApiKeyWithSecret), Problems),
)]
pub(crate) async fn rotate(
    State(app): State<api::App>,
    key: Owned<ApiKey, Write>,
    if_match: IfMatch,
    Json(body): Json<Rotation>,
) -> Result<Response, Problem> {
    if_match.check(key.version, "API key")?;
    check_alive(&key, app.store().now())?;
    grants::check(&key.caller, &key)?;
    let overlap = Duration::from_secs(body.overlap_seconds);
    let (secret, hashed) = generate(&app);
    let cause = key.caller.cause();
    let keys = app.store().api_keys(key.caller.tenant());
    let key = keys.rotate(&cause, &key.item, hashed, overlap).await?;
    app.forget_keys(key.org);
    let version = key.version;
    let answer = ApiKeyWithSecret {
        key,
        secret: secret.expose().to_owned(),
    };
    Ok(shown_once(Versioned::new(version, answer)))
}

fn check_alive(key: &ApiKey, now: Timestamp) -> Result<(), Problem> {
    if key.revoked_at.is_some() {
        return Err(Problem::conflict(
            "key_revoked",
            "A revoked key cannot be rotated.",
        ));
    }
    if key.expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(Problem::conflict(
            "key_expired",
            "An expired key cannot be rotated.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::event::Actor;
    use kernel::OrgId;

    use super::*;

    #[test]
    fn a_key_that_has_ended_is_not_given_a_new_secret() {
        let at = Timestamp::from_millis;
        let key = ApiKey {
            id: ApiKeyId::from_u128(1),
            org: OrgId::from_u128(1),
            name: "Nightly import".to_owned(),
            scopes: BTreeSet::new(),
            agent: None,
            hint: String::new(),
            expires_at: Some(at(10)),
            revoked_at: None,
            last_used_at: None,
            created_by: Actor::System,
            created_at: at(0),
            updated_at: at(0),
            version: 1,
        };
        let code = |key: &ApiKey, now| check_alive(key, at(now)).err().map(|e| e.code());
        assert_eq!(code(&key, 9), None);
        assert_eq!(code(&key, 10), Some("key_expired"));
        let revoked = ApiKey {
            revoked_at: Some(at(5)),
            ..key
        };
        assert_eq!(code(&revoked, 9), Some("key_revoked"));
    }
}
