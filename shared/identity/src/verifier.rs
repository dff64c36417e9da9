//! From the text of a token to what it says.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cache::KeyCache;
use crate::claims::{Claims, RawClaims};
use crate::error::{ConfigError, TokenError};
use crate::keys::VerifyingKey;
use crate::source::KeySource;

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
const MAX_KEY_ID_BYTES: usize = 256;

/// Checks tokens of one issuer.
pub struct Verifier {
    issuer: String,
    audiences: Vec<String>,
    keys: KeyCache,
}

/// The part of a JOSE header that decides how a token is checked. Nothing else in a header is
/// followed, least of all the keys and addresses of keys that it may carry.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Verifier {
    /// A verifier for tokens whose `iss` equals `issuer` and that are meant for one of `audiences`.
    ///
    /// # Errors
    /// [`ConfigError`] when the issuer or the audiences are missing.
    pub fn new<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
        source: Arc<dyn KeySource>,
    ) -> Result<Self, ConfigError> {
        let issuer = issuer.into();
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        if issuer.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(ConfigError::NoAudience);
        }
        Ok(Self {
            issuer,
            audiences,
            keys: KeyCache::new(source),
        })
    }

    /// The issuer whose tokens are accepted.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Checks a token: form, algorithm, key, signature, issuer, audience and times, in this order, so
    /// that nothing is said about the claims of a token that is not genuine. `now` is in seconds
    /// since the Unix epoch. May fetch the issuer's keys.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        let header = read_header(token)?;
        let algorithm = allowed_algorithm(&header.alg).ok_or(TokenError::UnsupportedAlgorithm)?;
        let key_id = check_header(&header)?;
        let key = self.keys.key(key_id, algorithm, now).await?;
        if key.algorithm != algorithm {
            return Err(TokenError::BadSignature);
        }
        verified_claims(token, &key)?.check(&self.issuer, &self.audiences, now)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

/// Reads the header of a token in compact form: three parts, none of them empty.
fn read_header(token: &str) -> Result<Header, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed("it is over 8 KiB"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(TokenError::Malformed("it does not have three parts"));
    };
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::Malformed("its header is not base64url"))?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| TokenError::Malformed("its header is not usable JSON"))?;
    // An unsigned token is told that it is unsigned, whatever its last part.
    if allowed_algorithm(&header.alg).is_some() && (payload.is_empty() || signature.is_empty()) {
        return Err(TokenError::Malformed("it has an empty part"));
    }
    Ok(header)
}

/// The algorithms that exist here. HMAC is not among them: it would make a secret of what is public.
fn allowed_algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// Checks the rest of a header and gives the key id.
fn check_header(header: &Header) -> Result<&str, TokenError> {
    if header.crit.is_some() {
        return Err(TokenError::Malformed(
            "it needs extensions that are not supported",
        ));
    }
    // Issuers sign other things with the same keys, such as logout notices; those say what they are.
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if !matches!(
        typ.as_str(),
        "jwt" | "at+jwt" | "application/jwt" | "application/at+jwt"
    ) {
        return Err(TokenError::Malformed(
            "it is not an access or identity token",
        ));
    }
    header
        .kid
        .as_deref()
        .filter(|id| !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES)
        .ok_or(TokenError::Malformed("it has no usable key id"))
}

/// Verifies the signature and reads the payload. Times, issuer and audience are not looked at here:
/// they are checked against the clock that was passed in.
fn verified_claims(token: &str, key: &VerifyingKey) -> Result<RawClaims, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode::<RawClaims>(token, &key.key, &validation);
    decoded
        .map(|token| token.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
                TokenError::Malformed("its claims are not usable JSON")
            }
            ErrorKind::Base64(_) => TokenError::Malformed("a part is not base64url"),
            ErrorKind::InvalidToken => TokenError::Malformed("it does not have three parts"),
            _ => TokenError::BadSignature,
        })
}
