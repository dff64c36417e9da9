//! Where a secret belongs.

use kernel::OrgId;

/// Where a secret belongs. All of it is authenticated with the secret, and none of it is kept in
/// the sealed bytes: whoever opens them says where they were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    pub org: OrgId,
    /// What kind of thing the secret belongs to, such as `tool_credential`.
    pub kind: &'static str,
    /// The id of that thing.
    pub id: &'a str,
    /// Rises with every change of the secret.
    pub version: u64,
    /// What else must not be changed without the secret, such as where it may be sent. Must be
    /// spelt the same way each time.
    pub facts: &'a [u8],
}

impl Place<'_> {
    /// The place and the version of the data key as the bytes that are authenticated.
    pub(crate) fn authenticated(&self, key_version: u32) -> Vec<u8> {
        joined(&[
            b"overglass.sealed.1",
            &key_version.to_be_bytes(),
            self.org.to_string().as_bytes(),
            self.kind.as_bytes(),
            self.id.as_bytes(),
            &self.version.to_be_bytes(),
            self.facts,
        ])
    }
}

/// Parts as one text from which they can be told apart: each with its length before it, so that no
/// byte can move from one part to the next.
#[must_use]
pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_can_move_from_one_part_to_the_next() {
        assert_ne!(joined(&[b"ab", b"c"]), joined(&[b"a", b"bc"]));
        assert_ne!(joined(&[b"a", b""]), joined(&[b"a"]));
    }
}
