//! Signatures of what the product hands out and takes back: cursors, invitations, links.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The shortest acceptable secret, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

const TAG_BYTES: usize = 16;

/// Why a secret or a signed text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The configured secret is not base64 or too short.
    #[error("the signing secret must be base64 of at least {MIN_SECRET_BYTES} bytes")]
    WeakSecret,
    /// The text was not made by this key for this purpose.
    #[error("the signature does not match")]
    BadSignature,
}

/// A secret key from which each purpose derives its own signing key.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Reads a secret as configured: base64 of at least [`MIN_SECRET_BYTES`] bytes.
    pub fn from_base64(secret: &str) -> Result<Self, SigningError> {
        let bytes = STANDARD
            .decode(secret.trim())
            .map_err(|_| SigningError::WeakSecret)?;
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SigningError::WeakSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A key that nobody else has and that ends with the process.
    #[must_use]
    pub fn ephemeral() -> Self {
        let bytes = [
            uuid::Uuid::new_v4().into_bytes(),
            uuid::Uuid::new_v4().into_bytes(),
        ]
        .concat();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// `payload` and its signature as one URL-safe text. A text signed for one purpose is refused
    /// for every other.
    #[must_use]
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> String {
        let mut sealed = self.tag(purpose, payload).as_ref()[..TAG_BYTES].to_vec();
        sealed.extend_from_slice(payload);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The payload of a text made by [`seal`](Self::seal) for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SigningError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| SigningError::BadSignature)?;
        let (tag, payload) = bytes
            .split_at_checked(TAG_BYTES)
            .ok_or(SigningError::BadSignature)?;
        let expected = self.tag(purpose, payload);
        aws_lc_rs::constant_time::verify_slices_are_equal(tag, &expected.as_ref()[..TAG_BYTES])
            .map_err(|_| SigningError::BadSignature)?;
        Ok(payload.to_vec())
    }

    fn tag(&self, purpose: &str, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(purpose.len() as u64).to_be_bytes());
        context.update(purpose.as_bytes());
        context.update(payload);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_purpose_and_key_only() {
        let sealed = key(1).seal("cursor", b"payload");
        assert_eq!(key(1).open("cursor", &sealed).unwrap(), b"payload");
        assert_eq!(
            key(1).open("link", &sealed),
            Err(SigningError::BadSignature)
        );
        assert_eq!(
            key(2).open("cursor", &sealed),
            Err(SigningError::BadSignature)
        );
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let sealed = key(1).seal("cursor", b"page 2");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key(1).open("cursor", &changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(
            SigningKey::from_base64(&STANDARD.encode([0; 31])).unwrap_err(),
            SigningError::WeakSecret
        );
    }
}
