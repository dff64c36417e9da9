//! What a client and a server have agreed on, to be kept from one call to a later one.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::text::line;

const MAX_SESSION_ID_BYTES: usize = 2048;

/// A version of the protocol that this client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProtocolVersion {
    /// The first one; servers that answer over streamable HTTP still name it.
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// The first one with streamable HTTP.
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// With structured results.
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// The last one with a handshake and sessions.
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// Without either: every request says all about itself.
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl ProtocolVersion {
    const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];
    /// What is offered in a handshake.
    pub(crate) const LATEST_WITH_HANDSHAKE: Self = Self::V2025_11_25;

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The version of this name, if this client speaks it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == name)
    }

    /// Whether requests say all about themselves, without handshake and session.
    #[must_use]
    pub fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }
}

/// What a server says of itself. It is the server's word, for logs and for show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// The server software's name, cleaned.
    pub name: String,
    /// Its version, cleaned.
    pub version: String,
}

impl ServerInfo {
    pub(crate) fn read(info: Option<&Value>) -> Self {
        let text = |key: &str| {
            let value = info.and_then(|info| info.get(key)).and_then(Value::as_str);
            line(value.unwrap_or_default(), 100)
        };
        Self {
            name: text("name"),
            version: text("version"),
        }
    }
}

/// What a client and a server have agreed on. With it, another client goes on without asking again.
///
/// Its serialised form holds the session id as it is, and belongs to the credentials that the
/// session was opened with: keep it where those may be kept, and for them alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// The version that is spoken.
    pub protocol_version: ProtocolVersion,
    /// The id that the server gave, if it keeps sessions.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "expose",
        deserialize_with = "conceal"
    )]
    pub id: Option<SecretString>,
    /// What the server says of itself.
    #[serde(default)]
    pub server: ServerInfo,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("protocol_version", &self.protocol_version)
            .field("has_id", &self.id.is_some())
            .field("server", &self.server)
            .finish()
    }
}

/// Whether this can be a session's id.
pub(crate) fn is_session_id(id: &str) -> bool {
    (1..=MAX_SESSION_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

fn expose<S: Serializer>(id: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_ref()
        .map(|id| id.expose_secret())
        .serialize(serializer)
}

fn conceal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let id = Option::<String>::deserialize(deserializer)?;
    if id.as_deref().is_some_and(|id| !is_session_id(id)) {
        return Err(serde::de::Error::custom("not a session id"));
    }
    Ok(id.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_session_can_be_kept_and_does_not_print() {
        let session = Session {
            protocol_version: ProtocolVersion::V2025_06_18,
            id: Some("canary-5d1".to_owned().into()),
            server: ServerInfo::read(Some(&json!({ "name": "a\nb", "version": 7 }))),
        };
        let kept = serde_json::to_value(&session).expect("JSON");
        assert_eq!(
            kept,
            json!({
                "protocol_version": "2025-06-18",
                "id": "canary-5d1",
                "server": { "name": "a b", "version": "" },
            })
        );
        assert!(!format!("{session:?}").contains("canary"));
        let back: Session = serde_json::from_value(kept).expect("a session");
        assert_eq!(
            back.id.as_ref().map(|id| id.expose_secret().to_owned()),
            Some("canary-5d1".to_owned())
        );
        let least: Session =
            serde_json::from_value(json!({ "protocol_version": "2026-07-28" })).expect("a session");
        assert!(least.id.is_none() && least.protocol_version.is_stateless());
        for id in ["", "a b", "a\r\nHost: b", "ä", &"x".repeat(2049)] {
            let broken = json!({ "protocol_version": "2025-06-18", "id": id });
            assert!(serde_json::from_value::<Session>(broken).is_err(), "{id:?}");
        }
    }

    #[test]
    fn versions_have_one_name() {
        for version in ProtocolVersion::ALL {
            assert_eq!(ProtocolVersion::parse(version.as_str()), Some(version));
            assert_eq!(
                serde_json::to_value(version).expect("JSON"),
                json!(version.as_str())
            );
        }
        assert_eq!(ProtocolVersion::parse("2025-06-17"), None);
        assert!(!ProtocolVersion::LATEST_WITH_HANDSHAKE.is_stateless());
    }
}
