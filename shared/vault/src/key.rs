//! Data keys: AES-256-GCM with a random nonce.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretBox, SecretSlice};

/// The length of a key, in bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// What encryption adds to a text: its nonce and its tag, in bytes.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG_BYTES;

const TAG_BYTES: usize = 16;

/// The bytes of a key, erased when they are dropped.
pub type KeyBytes = SecretBox<[u8; KEY_BYTES]>;

/// A key that is ready to be used.
pub(crate) struct DataKey(RandomizedNonceKey);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// What was encrypted by another key, for another place, or changed since: the three look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

impl DataKey {
    pub(crate) fn new(bytes: &KeyBytes) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.expose_secret());
        Self(key.unwrap_or_else(|_| unreachable!("a key of AES-256 has {KEY_BYTES} bytes")))
    }

    /// Adds nonce, encrypted text and tag to `out`.
    pub(crate) fn encrypt(&self, authenticated: &[u8], text: &[u8], out: &mut Vec<u8>) {
        // One allocation, in which the text is overwritten by what it becomes.
        let mut buffer = Vec::with_capacity(text.len() + TAG_BYTES);
        buffer.extend_from_slice(text);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(authenticated), &mut buffer)
            .unwrap_or_else(|_| unreachable!("a text of this size can be encrypted"));
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&buffer);
    }

    /// The text of what [`encrypt`](Self::encrypt) made.
    pub(crate) fn decrypt(
        &self,
        authenticated: &[u8],
        encrypted: &[u8],
    ) -> Result<SecretSlice<u8>, DoesNotOpen> {
        let (nonce, rest) = encrypted
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(DoesNotOpen)?;
        let mut buffer = rest.to_vec();
        let opened = self.0.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(authenticated),
            &mut buffer,
        );
        // Copied to a place of just its size: a buffer that shrinks may leave a copy behind.
        let text = opened.map(|text| SecretSlice::from(text.to_vec()));
        buffer.zeroize();
        text.map_err(|_| DoesNotOpen)
    }
}
