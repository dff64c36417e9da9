//! The local issuer: signs people in as presets, without a password. It exists in this crate only,
//! which no function links, and the host refuses to start beside a real issuer.

use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use identity::{StaticKeys, Verifier};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::secrets::Secrets;

/// What the tokens name as their issuer. The same for every host and port, so that a person is the
/// same person whenever the data folder is used.
pub const ISSUER: &str = "urn:overglass:local";
const AUDIENCE: &str = "overglass";
const KEY_ID: &str = "local";
const TOKEN_LIFETIME_SECONDS: i64 = 12 * 60 * 60;

/// The people one can be: subject and name.
pub const PRESETS: &[(&str, &str)] = &[
    ("ada", "Ada Admin"),
    ("mel", "Mel Manager"),
    ("tom", "Tom Member"),
    ("eve", "Eve Elsewhere"),
];

/// Signs tokens for presets.
pub struct LocalIssuer {
    key: EncodingKey,
    key_set: Value,
}

impl LocalIssuer {
    /// An issuer with the host's key.
    ///
    /// # Errors
    /// A key that is damaged.
    pub fn new(secrets: &Secrets) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secrets.token_key())
            .map_err(|_| anyhow::anyhow!("the token key of the data folder is damaged"))?;
        // An uncompressed point: a marker byte, then both coordinates.
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let key_set = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }] });
        Ok(Self {
            key: EncodingKey::from_ec_der(secrets.token_key()),
            key_set,
        })
    }

    /// The verifier that accepts this issuer's tokens and no others.
    ///
    /// # Errors
    /// Never, for the keys that this issuer makes.
    pub fn verifier(&self) -> anyhow::Result<Verifier> {
        let keys = StaticKeys(serde_json::to_vec(&self.key_set)?);
        Ok(Verifier::new(ISSUER, [AUDIENCE], Arc::new(keys))?)
    }

    /// A token for the person with this subject; anybody, preset or not.
    ///
    /// # Errors
    /// Never, for a key that works.
    pub fn token(&self, subject: &str, name: &str) -> anyhow::Result<String> {
        let now = SystemClock.now().as_seconds();
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "name": name,
            "email": format!("{subject}@example.com"),
            "email_verified": true,
            "iat": now,
            "exp": now + TOKEN_LIFETIME_SECONDS,
        });
        let header = Header {
            kid: Some(KEY_ID.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).context("a token could not be signed")
    }

    /// Who one can be, and a token for each.
    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/local/people", get(people))
            .route("/local/token/{subject}", post(token))
            .with_state(Arc::clone(self))
    }
}

async fn people() -> Json<Value> {
    let people: Vec<Value> = PRESETS
        .iter()
        .map(|(subject, name)| json!({ "subject": subject, "name": name }))
        .collect();
    Json(json!({ "people": people }))
}

async fn token(State(issuer): State<Arc<LocalIssuer>>, Path(subject): Path<String>) -> Response {
    let Some((subject, name)) = PRESETS.iter().find(|(known, _)| *known == subject) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match issuer.token(subject, name) {
        Ok(token) => Json(json!({
            "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME_SECONDS,
        }))
        .into_response(),
        Err(error) => {
            tracing::error!(%error, "no token");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
