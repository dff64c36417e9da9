//! Page cursors: opaque to clients, signed, and bound to the list they came from.

use crate::signing::{SigningError, SigningKey};

/// A position in one list: the sort key after which the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The position just after the row with this sort key.
    #[must_use]
    pub fn after(sort_key: impl Into<String>) -> Self {
        Self(sort_key.into())
    }

    /// The sort key to start after.
    #[must_use]
    pub fn sort_key(&self) -> &str {
        &self.0
    }

    /// The text handed to clients. `list` names the tenant, the list and its filters: a cursor is
    /// refused by any other list.
    #[must_use]
    pub fn seal(&self, key: &SigningKey, list: &str) -> String {
        key.seal(&purpose(list), self.0.as_bytes())
    }

    /// Reads a client's cursor back for the same `list`.
    pub fn open(key: &SigningKey, list: &str, text: &str) -> Result<Self, SigningError> {
        let payload = key.open(&purpose(list), text)?;
        String::from_utf8(payload)
            .map(Self)
            .map_err(|_| SigningError::BadSignature)
    }
}

fn purpose(list: &str) -> String {
    format!("cursor:{list}")
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows of this page, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}

/// How much of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The most rows to return.
    pub limit: u32,
    /// Where to start; `None` at the beginning.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_cursor_opens_only_for_its_own_list() {
        let secret = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        let key = SigningKey::from_base64(&secret).unwrap();
        let text = Cursor::after("agt_1").seal(&key, "org_a/agents");
        assert_eq!(
            Cursor::open(&key, "org_a/agents", &text)
                .unwrap()
                .sort_key(),
            "agt_1"
        );
        assert!(Cursor::open(&key, "org_b/agents", &text).is_err());
    }
}
