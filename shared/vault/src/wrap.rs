//! Wrapping data keys: encrypting the key of an org under a key that this process never holds, or
//! on a local host under one that is made from its secret.

use async_trait::async_trait;
use kernel::OrgId;
use secrecy::{ExposeSecretMut as _, SecretBox};

mod kms;
mod secret;

pub use kms::KmsWrap;
pub use secret::SecretWrap;

use crate::key::KEY_BYTES;
pub use crate::key::KeyBytes;
use crate::place::joined;

/// What every data key is for, as KMS is told and writes to CloudTrail.
pub const PURPOSE: &str = "overglass-vault";

/// What a wrapped key is bound to: it is unwrapped in the same context only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyContext {
    pub org: OrgId,
    pub purpose: &'static str,
}

impl KeyContext {
    /// The context of an org's data keys.
    #[must_use]
    pub const fn of(org: OrgId) -> Self {
        Self {
            org,
            purpose: PURPOSE,
        }
    }

    /// The context as the bytes that are authenticated.
    pub(crate) fn authenticated(&self) -> Vec<u8> {
        joined(&[
            b"overglass.wrapped.1",
            self.org.to_string().as_bytes(),
            self.purpose.as_bytes(),
        ])
    }
}

/// Why a data key could not be made or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The key service does not answer, or asks to be asked later.
    #[error("the key service is unavailable: {0}")]
    Unavailable(String),
    /// The key service refuses: no permission, a disabled key. Somebody has to do something.
    #[error("the key service refused: {0}")]
    Refused(String),
    /// The wrapped key was changed, or belongs elsewhere.
    #[error("the data key does not unwrap")]
    DoesNotUnwrap,
}

/// Wraps data keys.
#[async_trait]
pub trait KeyWrap: Send + Sync + std::fmt::Debug {
    /// A name that is recorded with each key that this wraps.
    fn name(&self) -> &'static str;

    /// A new data key, and itself wrapped.
    ///
    /// # Errors
    /// [`WrapError::Unavailable`] or [`WrapError::Refused`].
    async fn generate(&self, context: &KeyContext) -> Result<(KeyBytes, Vec<u8>), WrapError>;

    /// The data key of what [`generate`](Self::generate) wrapped in the same context.
    ///
    /// # Errors
    /// [`WrapError::DoesNotUnwrap`] if it was changed or wrapped in another context; the others as
    /// for [`generate`](Self::generate).
    async fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<KeyBytes, WrapError>;
}

/// Bytes as a key.
fn key_bytes(bytes: &[u8]) -> Result<KeyBytes, WrapError> {
    let bytes: &[u8; KEY_BYTES] = bytes.try_into().map_err(|_| WrapError::DoesNotUnwrap)?;
    let mut key = SecretBox::new(Box::new([0; KEY_BYTES]));
    key.expose_secret_mut().copy_from_slice(bytes);
    Ok(key)
}
