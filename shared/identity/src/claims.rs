//! What a token says, and whether it says it to us and now.

use std::fmt;

use serde::Deserialize;

use crate::error::TokenError;

/// How far the clocks of issuer and verifier may differ, in seconds.
pub(crate) const LEEWAY_SECONDS: i64 = 60;

const MAX_SUBJECT_BYTES: usize = 255;
const MAX_EMAIL_BYTES: usize = 254;
const MAX_NAME_CHARS: usize = 200;

/// What a genuine, current token for this product says about its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: the holder, unique and never reused within the issuer. 1 to 255 bytes.
    pub subject: String,
    /// `iss`, equal to the configured issuer.
    pub issuer: String,
    /// `email`, if the token has a usable one. Not proof of anything unless `email_verified`.
    pub email: Option<String>,
    /// `email_verified`; false when absent, or when there is no email.
    pub email_verified: bool,
    /// `name`, cut at 200 characters.
    pub name: Option<String>,
    /// `exp`, in seconds since the Unix epoch. The token is accepted up to 60 s later.
    pub expires_at: i64,
}

impl fmt::Debug for Claims {
    /// Names and addresses are personal data and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("email_verified", &self.email_verified)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The payload of a token whose signature is good.
#[derive(Deserialize)]
pub(crate) struct RawClaims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    /// `NumericDate` may have a fraction.
    exp: Option<f64>,
    nbf: Option<f64>,
    client_id: Option<String>,
    token_use: Option<String>,
    email: Option<String>,
    email_verified: Option<Flag>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Some issuers write their booleans as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
}

impl RawClaims {
    /// Checks issuer, audience and times.
    pub(crate) fn check(
        self,
        issuer: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Claims, TokenError> {
        if self.iss.as_deref() != Some(issuer) {
            return Err(TokenError::WrongIssuer);
        }
        if !self.is_for(audiences) {
            return Err(TokenError::WrongAudience);
        }
        let expires_at = seconds(self.exp.ok_or(TokenError::Malformed("it has no expiry"))?);
        if now >= expires_at.saturating_add(LEEWAY_SECONDS) {
            return Err(TokenError::Expired);
        }
        if self
            .nbf
            .is_some_and(|nbf| now.saturating_add(LEEWAY_SECONDS) < seconds(nbf))
        {
            return Err(TokenError::NotYetValid);
        }
        let subject = self.sub.unwrap_or_default();
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            return Err(TokenError::Malformed(
                "its subject is empty or over 255 bytes",
            ));
        }
        let email = self.email.filter(|email| is_plausible_email(email));
        let email_verified =
            email.is_some() && self.email_verified.is_some_and(|flag| flag.is_true());
        let name = self
            .name
            .map(|name| name.trim().chars().take(MAX_NAME_CHARS).collect::<String>());
        Ok(Claims {
            subject,
            issuer: issuer.to_owned(),
            email,
            email_verified,
            name: name.filter(|name| !name.is_empty()),
            expires_at,
        })
    }

    /// Whether the token was issued for one of `audiences`. Cognito's access tokens have no `aud`;
    /// they name the application in `client_id` and say that they are access tokens.
    fn is_for(&self, audiences: &[String]) -> bool {
        match &self.aud {
            Some(OneOrMany::One(audience)) => audiences.contains(audience),
            Some(OneOrMany::Many(listed)) => {
                listed.iter().any(|audience| audiences.contains(audience))
            }
            None => {
                self.token_use.as_deref() == Some("access")
                    && self
                        .client_id
                        .as_ref()
                        .is_some_and(|client| audiences.contains(client))
            }
        }
    }
}

impl Flag {
    fn is_true(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            Self::Text(text) => text == "true",
        }
    }
}

/// Whole seconds; casting saturates, so a date beyond the range of time is merely far away.
fn seconds(numeric_date: f64) -> i64 {
    numeric_date.floor() as i64
}

/// Enough to keep nonsense out of an address field; only a message delivered proves an address.
fn is_plausible_email(text: &str) -> bool {
    let has_two_sides = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    has_two_sides
        && text.len() <= MAX_EMAIL_BYTES
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}
