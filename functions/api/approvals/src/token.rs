//! Tokens of links: signed for one approval of one org, with a secret that is stored as a hash, so
//! that neither the store nor a log of it can make one. All else is read when a link is used.

use kernel::digest::sha256_hex;
use kernel::signing::SigningKey;
use kernel::{ApprovalId, OrgId, Timestamp};

/// The longest text that is looked at as a token.
pub(crate) const MAX_CHARS: usize = 200;

const PURPOSE: &str = "approval-link";
/// The form of what is signed, in its first byte.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 16;
const BYTES: usize = 1 + 16 + 16 + NONCE_BYTES + 8;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) org: OrgId,
    pub(crate) approval: ApprovalId,
    /// Epoch seconds.
    pub(crate) expires_at: i64,
    nonce: [u8; NONCE_BYTES],
}

impl Token {
    /// A token that nobody can guess.
    pub(crate) fn new(org: OrgId, approval: ApprovalId, expires_at: Timestamp) -> Self {
        Self {
            org,
            approval,
            expires_at: expires_at.as_seconds(),
            nonce: rand::random(),
        }
    }

    /// The text that goes into the link.
    pub(crate) fn seal(&self, key: &SigningKey) -> String {
        let mut payload = Vec::with_capacity(BYTES);
        payload.push(VERSION);
        payload.extend_from_slice(&self.org.as_u128().to_be_bytes());
        payload.extend_from_slice(&self.approval.as_u128().to_be_bytes());
        payload.extend_from_slice(&self.nonce);
        payload.extend_from_slice(&self.expires_at.to_be_bytes());
        key.seal(PURPOSE, &payload)
    }

    /// What a text says, if it is a token that was made here.
    pub(crate) fn open(key: &SigningKey, text: &str) -> Option<Self> {
        if text.len() > MAX_CHARS {
            return None;
        }
        let payload = key.open(PURPOSE, text).ok()?;
        let payload: &[u8; BYTES] = payload.as_slice().try_into().ok()?;
        let (version, rest) = payload.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (org, rest) = rest.split_first_chunk()?;
        let (approval, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let expires_at = rest.try_into().ok()?;
        Some(Self {
            org: OrgId::from_u128(u128::from_be_bytes(*org)),
            approval: ApprovalId::from_u128(u128::from_be_bytes(*approval)),
            nonce: *nonce,
            expires_at: i64::from_be_bytes(expires_at),
        })
    }

    /// Under which the link is stored.
    pub(crate) fn digest(&self) -> String {
        sha256_hex(&self.nonce)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.as_seconds() >= self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 bytes in base64.
    const SECRET: &str = "c2lnbmVkIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNlIQ==";

    fn key() -> SigningKey {
        SigningKey::from_base64(SECRET).unwrap()
    }

    fn token() -> Token {
        Token::new(
            OrgId::from_u128(1),
            ApprovalId::from_u128(2),
            Timestamp::from_millis(9_000),
        )
    }

    #[test]
    fn a_token_says_what_it_was_made_for() {
        let token = token();
        let text = token.seal(&key());
        assert_eq!(Token::open(&key(), &text), Some(token));
        assert!(text.len() < 120, "{}", text.len());
        assert!(!token.is_over(Timestamp::from_millis(8_999)));
        assert!(token.is_over(Timestamp::from_millis(9_000)));
    }

    #[test]
    fn every_changed_character_and_every_cut_makes_it_void() {
        let text = token().seal(&key());
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Token::open(&key(), &changed), None, "{changed}");
            assert_eq!(Token::open(&key(), &text[..place]), None);
        }
    }

    #[test]
    fn nothing_else_that_the_key_signed_is_a_token() {
        let key = key();
        let other = SigningKey::ephemeral();
        let mut of_tomorrow = vec![0; BYTES];
        of_tomorrow[0] = VERSION + 1;
        for text in [
            String::new(),
            "A".repeat(MAX_CHARS + 1),
            key.seal(PURPOSE, b""),
            key.seal(PURPOSE, &[VERSION; BYTES - 1]),
            key.seal(PURPOSE, &[VERSION; BYTES + 1]),
            key.seal(PURPOSE, &of_tomorrow),
            key.seal("cursor", &[VERSION; BYTES]),
            token().seal(&other),
        ] {
            assert_eq!(Token::open(&key, &text), None, "{text}");
        }
    }

    #[test]
    fn no_two_tokens_are_alike_and_the_hash_is_of_the_secret() {
        let (one, two) = (token(), token());
        assert_ne!(one.seal(&key()), two.seal(&key()));
        assert_ne!(one.digest(), two.digest());
        assert_eq!(one.digest(), sha256_hex(&one.nonce));
    }
}
