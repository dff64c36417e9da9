//! The name under which vectors are stored.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

const MAX_LENGTH: usize = 200;

/// A model's name and version, written `name@version`: `static-en-256@1`.
///
/// The version changes whenever the same text would get another vector, so equal ids mean
/// comparable vectors.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    name: Cow<'static, str>,
    version: Cow<'static, str>,
}

/// A string that is no [`ModelId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a model id is name@version in at most {MAX_LENGTH} bytes, both parts printable ASCII without spaces or a further @"
)]
pub struct InvalidModelId;

impl ModelId {
    /// An id from its two parts.
    ///
    /// # Errors
    /// [`InvalidModelId`] when a part is empty, the whole is over 200 bytes, or a part holds
    /// anything but printable ASCII without spaces and `@`.
    pub fn new(name: &str, version: &str) -> Result<Self, InvalidModelId> {
        let printable = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@')
        };
        if !printable(name) || !printable(version) || name.len() + version.len() >= MAX_LENGTH {
            return Err(InvalidModelId);
        }
        Ok(Self {
            name: Cow::Owned(name.to_owned()),
            version: Cow::Owned(version.to_owned()),
        })
    }

    /// For ids written in this crate, whose parts a test checks.
    pub(crate) const fn from_static(name: &'static str, version: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            version: Cow::Borrowed(version),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for ModelId {
    type Err = InvalidModelId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (name, version) = s.split_once('@').ok_or(InvalidModelId)?;
        Self::new(name, version)
    }
}

impl TryFrom<String> for ModelId {
    type Error = InvalidModelId;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "static-en-256@1",
            "openai/text-embedding-3-small@256",
            "bedrock/amazon.titan-embed-text-v2:0@1",
        ] {
            let id: ModelId = text.parse().expect("valid");
            assert_eq!(id.to_string(), text);
            let json = serde_json::to_string(&id).expect("serialises");
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(
                serde_json::from_str::<ModelId>(&json).expect("deserialises"),
                id
            );
        }
    }

    #[test]
    fn the_whole_stays_within_its_limit() {
        let longest = "n".repeat(MAX_LENGTH - 2);
        let id = ModelId::new(&longest, "1").expect("valid");
        assert_eq!(id.to_string().len(), MAX_LENGTH);
        assert_eq!(ModelId::new(&longest, "10"), Err(InvalidModelId));
    }

    #[test]
    fn refuses_what_would_not_read_back() {
        for text in [
            "", "@", "name", "name@", "@1", "a@b@c", "a b@1", "a@1\n", "é@1",
        ] {
            assert_eq!(text.parse::<ModelId>(), Err(InvalidModelId), "{text:?}");
        }
        assert!(serde_json::from_str::<ModelId>("\"name\"").is_err());
    }
}
