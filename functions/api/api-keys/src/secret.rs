//! Secrets of keys: made here, shown once, stored as a hash.

use api::App;
use domain::api_key::ApiKey;
use serde::Serialize;
use store::api_keys::HashedSecret;
use utoipa::ToSchema;

/// An API key with its new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyWithSecret {
    #[serde(flatten)]
    pub(crate) key: ApiKey,
    /// Send it as `Authorization: Bearer …`. Shown in this answer only.
    #[schema(example = "og_prod_…")]
    pub(crate) secret: String,
}

/// A new secret, and what is stored of it.
pub(crate) fn generate(app: &App) -> (identity::ApiKey, HashedSecret) {
    let secret = identity::ApiKey::generate(app.environment(), &mut rand::rng());
    let hashed = HashedSecret {
        hash: secret.hash(),
        hint: secret.hint(),
    };
    (secret, hashed)
}
