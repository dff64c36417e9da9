//! Why a token is not accepted.

/// Why a token is not accepted. Messages name no claim values and no key ids, so they may be shown to
/// whoever sent the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a signed JWT that this product reads.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Signed by something other than RS256, ES256 or EdDSA, or not signed at all.
    #[error("the token's algorithm is not accepted: use RS256, ES256 or EdDSA")]
    UnsupportedAlgorithm,
    /// The signature does not belong to this content and key.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// The issuer does not publish a key with the token's key id.
    #[error("the token is signed with a key that the issuer does not publish")]
    UnknownKey,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is another issuer, or missing.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// The token was issued for another application.
    #[error("the token is for another audience")]
    WrongAudience,
    /// The issuer's keys cannot be had now; this says nothing about the token.
    #[error("the issuer's signing keys are not available")]
    KeysUnavailable,
}

impl TokenError {
    /// A stable, machine-readable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// Whether the same token may be accepted later: a fault on our side or the issuer's, not the
    /// caller's.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}

/// A verifier or key source cannot work as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The issuer is empty.
    #[error("the token issuer is not set")]
    NoIssuer,
    /// There is no audience, or one is empty.
    #[error("the token audience is not set")]
    NoAudience,
    /// A URL of the issuer is not usable.
    #[error("the issuer URL `{url}` is not usable: {reason}")]
    IssuerUrl {
        /// The URL as configured or discovered.
        url: String,
        /// What to change.
        reason: &'static str,
    },
}
