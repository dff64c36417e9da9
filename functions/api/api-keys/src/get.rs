use api::{Owned, Problems, Read, Versioned};
use domain::api_key::ApiKey;
use kernel::ApiKeyId;

/// An API key, without its secret.
#[utoipa::path(
    get, path = "/v1/api-keys/{key_id}", tag = "api-keys", operation_id = "get_api_key",
    params(("key_id" = ApiKeyId, Path)),
    security(("bearer" = ["api-keys:read"])),
    responses((status = 200, body = ApiKey), Problems),
)]
pub(crate) async fn get(key: Owned<ApiKey, Read>) -> Versioned<ApiKey> {
    Versioned::new(key.version, key.item)
}
