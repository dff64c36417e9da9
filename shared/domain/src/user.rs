//! People, as their identity provider knows them.

use kernel::digest::sha256_hex;
use kernel::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person. Created on first sight of a valid token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Whether the issuer vouches for the address.
    pub email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// A role outside all orgs; set by operators only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform_role: Option<PlatformRole>,
    pub preferences: Preferences,
    /// Rises by one with every change; the ETag of the user.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A role that stands outside orgs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    /// Reads every org, changes none.
    Support,
    /// May do everything everywhere.
    SuperAdmin,
}

/// What a user has chosen for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Preferences {
    /// A language tag, such as `en` or `pt-BR`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// An IANA time zone, such as `Europe/Lisbon`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_zone: Option<String>,
}

/// The id of the person whom `issuer` calls `subject`: always the same one, so that no row has to
/// map the two.
#[must_use]
pub fn user_id(issuer: &str, subject: &str) -> UserId {
    let digest = sha256_hex(format!("{}:{issuer}{subject}", issuer.len()).as_bytes());
    let value = u128::from_str_radix(&digest[..32], 16).unwrap_or_default();
    UserId::from_u128(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_issuer_and_subject_together() {
        assert_eq!(user_id("https://a", "1"), user_id("https://a", "1"));
        assert_ne!(user_id("https://a", "1"), user_id("https://a", "2"));
        assert_ne!(user_id("https://a", "1"), user_id("https://a1", ""));
    }
}
