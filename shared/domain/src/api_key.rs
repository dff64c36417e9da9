//! API keys: the credentials of machines.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{AgentId, ApiKeyId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;
use crate::permission::Permission;

/// How long a rotated key's old secret keeps working when the caller names no other overlap.
pub const DEFAULT_ROTATION_OVERLAP: Duration = Duration::from_hours(24);
/// The longest overlap a rotation may ask for.
pub const MAX_ROTATION_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// An API key without its secret, which is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub org: OrgId,
    pub name: String,
    /// What the key may do.
    pub scopes: BTreeSet<Permission>,
    /// The agent that the key is for, if any: a note, which limits nothing by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<AgentId>,
    /// The first characters of the secret, to tell keys apart.
    pub hint: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revoked_at: Option<Timestamp>,
    /// When the key was last seen, to the nearest few minutes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_used_at: Option<Timestamp>,
    pub created_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the key.
    pub version: u64,
}

/// One secret of a key, as it is stored: by its hash. A key has two of them during a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySecret {
    /// SHA-256 of the secret, in hexadecimal.
    pub hash: String,
    pub org: OrgId,
    pub key: ApiKeyId,
    pub scopes: BTreeSet<Permission>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<AgentId>,
    /// When this secret stops working: the key's own expiry or the end of a rotation's overlap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revoked_at: Option<Timestamp>,
}

impl KeySecret {
    /// Whether the secret opens anything at `now`.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expiry| now < expiry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_ends_at_its_expiry_or_revocation() {
        let mut secret = KeySecret {
            hash: String::new(),
            org: OrgId::from_u128(1),
            key: ApiKeyId::from_u128(1),
            scopes: BTreeSet::new(),
            agent: None,
            expires_at: Some(Timestamp::from_millis(10)),
            revoked_at: None,
        };
        assert!(secret.is_usable(Timestamp::from_millis(9)));
        assert!(!secret.is_usable(Timestamp::from_millis(10)));
        secret.revoked_at = Some(Timestamp::from_millis(1));
        assert!(!secret.is_usable(Timestamp::from_millis(2)));
    }
}
