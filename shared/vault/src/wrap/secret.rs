//! Wrapping by a secret of the process, for hosts without KMS.

use async_trait::async_trait;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::signing::{MIN_SECRET_BYTES, SigningError};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, ExposeSecretMut as _, SecretBox};

use super::{KeyBytes, KeyContext, KeyWrap, WrapError};
use crate::key::{DataKey, KEY_BYTES};

const FORMAT: u8 = 1;

/// Wraps data keys under a key that is derived from a secret, and used for nothing else. Whoever
/// has the secret and the rows has the keys.
#[derive(Debug)]
pub struct SecretWrap(DataKey);

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl SecretWrap {
    /// Reads the secret as configured: base64 of at least 32 bytes.
    ///
    /// # Errors
    /// [`SigningError::WeakSecret`] if it is not.
    pub fn from_base64(secret: &str) -> Result<Self, SigningError> {
        let bytes = STANDARD
            .decode(secret.trim())
            .map(Zeroizing::new)
            .map_err(|_| SigningError::WeakSecret)?;
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SigningError::WeakSecret);
        }
        Ok(Self(DataKey::new(&derive(&bytes))))
    }
}

fn derive(secret: &[u8]) -> KeyBytes {
    let mut key = SecretBox::new(Box::new([0; KEY_BYTES]));
    Salt::new(HKDF_SHA256, b"overglass.vault")
        .extract(secret)
        .expand(&[b"wrap.1"], KeyLength)
        .and_then(|output| output.fill(key.expose_secret_mut()))
        .unwrap_or_else(|_| unreachable!("HKDF gives up to 8,160 bytes"));
    key
}

#[async_trait]
impl KeyWrap for SecretWrap {
    fn name(&self) -> &'static str {
        "secret"
    }

    async fn generate(&self, context: &KeyContext) -> Result<(KeyBytes, Vec<u8>), WrapError> {
        let mut key = SecretBox::new(Box::new([0; KEY_BYTES]));
        aws_lc_rs::rand::fill(key.expose_secret_mut())
            .map_err(|_| WrapError::Unavailable("no random numbers are to be had".to_owned()))?;
        let mut wrapped = vec![FORMAT];
        let authenticated = context.authenticated();
        self.0
            .encrypt(&authenticated, key.expose_secret(), &mut wrapped);
        Ok((key, wrapped))
    }

    async fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<KeyBytes, WrapError> {
        let encrypted = match wrapped {
            [FORMAT, rest @ ..] => rest,
            _ => return Err(WrapError::DoesNotUnwrap),
        };
        let key = self
            .0
            .decrypt(&context.authenticated(), encrypted)
            .map_err(|_| WrapError::DoesNotUnwrap)?;
        super::key_bytes(key.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use kernel::OrgId;

    use super::*;

    fn wrap(byte: u8) -> SecretWrap {
        SecretWrap::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    /// Made by another implementation of HKDF and AES-GCM: a changed derivation loses every key.
    const GOLDEN: &str = "016465666768696a6b6c6d6e6fdbaea0de8b7ea2931acac062f39166527917781ea6995e9779e495f75cbcf6807a805740cc969d0b44ac67c5f0852f3b";

    #[tokio::test]
    async fn what_was_wrapped_once_unwraps_for_ever() {
        let context = KeyContext::of(OrgId::from_u128(1));
        let wrapped = hex::decode(GOLDEN).unwrap();
        let key = wrap(1).unwrap(&context, &wrapped).await.unwrap();
        assert_eq!(
            hex::encode(key.expose_secret()),
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        );
    }

    #[tokio::test]
    async fn a_key_unwraps_in_its_context_and_by_its_secret_only() {
        let (mine, theirs) = (
            KeyContext::of(OrgId::from_u128(1)),
            KeyContext::of(OrgId::from_u128(2)),
        );
        let other_purpose = KeyContext {
            purpose: "something-else",
            ..mine
        };
        let (key, wrapped) = wrap(1).generate(&mine).await.unwrap();
        let again = wrap(1).unwrap(&mine, &wrapped).await.unwrap();
        assert_eq!(key.expose_secret(), again.expose_secret());
        for context in [&theirs, &other_purpose] {
            let refused = wrap(1).unwrap(context, &wrapped).await;
            assert_eq!(refused.unwrap_err(), WrapError::DoesNotUnwrap);
        }
        let refused = wrap(2).unwrap(&mine, &wrapped).await;
        assert_eq!(refused.unwrap_err(), WrapError::DoesNotUnwrap);
    }

    #[tokio::test]
    async fn every_flipped_bit_and_every_lost_byte_is_noticed() {
        let context = KeyContext::of(OrgId::from_u128(1));
        let (_, wrapped) = wrap(1).generate(&context).await.unwrap();
        for bit in 0..wrapped.len() * 8 {
            let mut changed = wrapped.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(wrap(1).unwrap(&context, &changed).await.is_err(), "{bit}");
        }
        for length in 0..wrapped.len() {
            let cut = &wrapped[..length];
            assert!(wrap(1).unwrap(&context, cut).await.is_err(), "{length}");
        }
    }

    #[test]
    fn a_weak_secret_is_refused_and_none_is_shown() {
        let short = STANDARD.encode([1; 31]);
        assert!(SecretWrap::from_base64(&short).is_err());
        assert!(SecretWrap::from_base64("not base64!").is_err());
        assert_eq!(format!("{:?}", wrap(1)), "SecretWrap(DataKey(…))");
    }
}
