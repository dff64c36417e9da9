//! Prefixed, time-sortable identifiers.
//!
//! An id is `<prefix>_` and 26 characters of Crockford base32, which spell the 128 bits of a
//! UUIDv7: ids of one kind sort by the millisecond of their creation, and an id read in a log
//! says what it names. Each kind is its own type, so an agent id cannot be passed for a task id.

use std::fmt;

use uuid::Uuid;

use crate::clock::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ENCODED_LEN: usize = 26;

/// Why a string is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected `{prefix}_` and 26 characters of base32")]
pub struct InvalidId {
    /// The noun the id should name, such as `agent`.
    pub kind: &'static str,
    /// The prefix such ids have, such as `agt`.
    pub prefix: &'static str,
}

fn encode(value: u128) -> String {
    let mut out = [0u8; ENCODED_LEN];
    let mut rest = value;
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out.iter().map(|&byte| byte as char).collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != ENCODED_LEN {
        return None;
    }
    let mut value: u128 = 0;
    for (index, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&letter| letter == byte)? as u128;
        // 26 digits hold 130 bits: the first may only use the low three.
        if index == 0 && digit > 7 {
            return None;
        }
        value = (value << 5) | digit;
    }
    Some(value)
}

fn uuid_at(time: Timestamp) -> Uuid {
    let millis = u64::try_from(time.as_millis()).unwrap_or(0);
    let mut random = [0u8; 10];
    random.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! define_ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of these ids, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts by `now`.
            #[must_use]
            pub fn generate(now: Timestamp) -> Self {
                Self(uuid_at(now))
            }

            /// The id that a fixed value stands for. The same value gives the same id.
            #[must_use]
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }

            /// The 128 bits of the id.
            #[must_use]
            pub const fn as_u128(&self) -> u128 {
                self.0.as_u128()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0.as_u128()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or(InvalidId { kind: $kind, prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-9a-hjkmnp-tv-z]{26}$")))
                    .description(Some(concat!("Id of one ", $kind, ".")))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

define_ids! {
    /// The tenant.
    OrgId, "org", "organization";
    /// A person, known by issuer and subject of their token.
    UserId, "usr", "user";
    /// An invitation to join an org.
    InvitationId, "inv", "invitation";
    /// A machine's credential.
    ApiKeyId, "key", "API key";
    /// An agent.
    AgentId, "agt", "agent";
    /// A tool an agent may call.
    ToolId, "tol", "tool";
    /// A unit of work for an agent or a person.
    TaskId, "tsk", "task";
    /// One run of an agent.
    ExecutionId, "exe", "execution";
    /// Something that people are asked during an execution.
    ApprovalId, "apr", "approval";
    /// A thread of turns with an agent.
    ConversationId, "cnv", "conversation";
    /// Agents that work together.
    SwarmId, "swm", "swarm";
    /// A message among the agents of a swarm.
    MessageId, "msg", "message";
    /// A change of what an account has available.
    LedgerEntryId, "led", "ledger entry";
    /// Something an agent remembers.
    MemoryId, "mem", "memory";
    /// An uploaded file.
    FileId, "fil", "file";
    /// A set of files that agents may search.
    KnowledgeBaseId, "kb", "knowledge base";
    /// A question that somebody put to a search.
    SearchId, "sea", "search";
    /// A place on the web that a knowledge base is filled from.
    SourceId, "src", "source";
    /// A background job.
    JobId, "job", "job";
    /// Something that happened.
    EventId, "evt", "event";
    /// One request, as it came in.
    RequestId, "req", "request";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_spells_its_kind_and_reads_back() {
        let id = AgentId::from_u128(0x0192_f3a4_b5c6_7d8e_9f01_2345_6789_abcd);
        assert_eq!(id.to_string(), "agt_01jbst9de6fp79y0938nkrkayd");
        assert_eq!(id.to_string().parse::<AgentId>(), Ok(id));
    }

    #[test]
    fn another_kinds_id_is_refused() {
        let agent = AgentId::generate(Timestamp::from_millis(1_700_000_000_000));
        let error = agent.to_string().parse::<TaskId>().unwrap_err();
        assert_eq!(error.kind, "task");
    }

    #[test]
    fn ids_sort_by_creation_time() {
        let earlier = TaskId::generate(Timestamp::from_millis(1_700_000_000_000));
        let later = TaskId::generate(Timestamp::from_millis(1_700_000_000_001));
        assert!(earlier.to_string() < later.to_string());
        assert!(earlier < later);
    }

    proptest! {
        #[test]
        fn every_value_round_trips(value: u128) {
            let id = EventId::from_u128(value);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap().as_u128(), value);
        }

        #[test]
        fn no_text_panics_the_parser(text in ".{0,40}") {
            let _ = text.parse::<OrgId>();
            let _ = format!("org_{text}").parse::<OrgId>();
        }

        #[test]
        fn text_order_is_value_order(a: u128, b: u128) {
            prop_assert_eq!(
                a.cmp(&b),
                JobId::from_u128(a).to_string().cmp(&JobId::from_u128(b).to_string())
            );
        }
    }
}
