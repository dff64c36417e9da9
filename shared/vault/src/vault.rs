//! Sealing and opening, and the data keys that both need.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock, OrgId, Timestamp};
use secrecy::SecretSlice;

use crate::cache::KeyCache;
use crate::key::DataKey;
use crate::place::Place;
use crate::sealed::{self, MAX_SECRET_BYTES, NotSealed};
use crate::wrap::{KeyContext, KeyWrap, WrapError};

/// How old an org's data key may be when something is sealed with it. Beyond that a new version is
/// made; the old ones stay and go on opening what they sealed.
pub const KEY_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A data key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub org: OrgId,
    /// From 1 on.
    pub version: u32,
    /// The [name](KeyWrap::name) of the wrap.
    pub wrapped_by: String,
    /// What only that wrap can unwrap.
    pub wrapped: Vec<u8>,
    pub created_at: Timestamp,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedKey")
            .field("org", &self.org)
            .field("version", &self.version)
            .field("wrapped_by", &self.wrapped_by)
            .finish_non_exhaustive()
    }
}

/// Why rows could not be read or written.
pub type RowError = Box<dyn Error + Send + Sync>;

/// Where the data keys of one org are kept.
#[async_trait]
pub trait DataKeyRows: Send + Sync {
    /// The key with the highest version.
    async fn newest(&self) -> Result<Option<WrappedKey>, RowError>;

    /// The key of a version.
    async fn version(&self, version: u32) -> Result<Option<WrappedKey>, RowError>;

    /// Keeps a new key; `false`, and nothing is changed, if its version is there already.
    async fn insert(&self, key: &WrappedKey) -> Result<bool, RowError>;
}

/// Why something could not be sealed or opened. No message holds a secret or a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// This process was given no key.
    #[error("this process has no vault key: it neither seals nor opens secrets")]
    NotConfigured,
    /// The secret is larger than what is sealed.
    #[error("a secret of {0} bytes is too large to be sealed")]
    TooLarge(usize),
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The data keys cannot be read or written at the moment.
    #[error("the data keys are unavailable: {0}")]
    Rows(#[source] RowError),
    #[error("a sealed secret cannot be read: {0}")]
    NotSealed(#[from] NotSealed),
    /// The version of the data key that sealed this is gone.
    #[error("the data key of version {0} does not exist")]
    NoSuchKey(u32),
    /// The data key was wrapped by something that this process does not have.
    #[error("the data key was wrapped by `{recorded}`, and this process unwraps by `{own}`")]
    OtherWrap { recorded: String, own: &'static str },
    /// It was changed, or sealed for another place.
    #[error("a sealed secret does not open here: it was changed, or belongs elsewhere")]
    DoesNotOpen,
}

impl VaultError {
    /// Whether the same may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Wrap(WrapError::Unavailable(_)) | Self::Rows(_))
    }
}

/// Seals and opens secrets. Clones share everything.
#[derive(Clone, Default)]
pub struct Vault(Option<Arc<Inner>>);

struct Inner {
    wrap: Arc<dyn KeyWrap>,
    clock: Arc<dyn Clock>,
    keys: KeyCache,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(inner) => write!(f, "Vault({})", inner.wrap.name()),
            None => f.write_str("Vault(not configured)"),
        }
    }
}

impl Vault {
    /// A vault whose data keys this wraps.
    #[must_use]
    pub fn new(wrap: Arc<dyn KeyWrap>, clock: Arc<dyn Clock>) -> Self {
        Self(Some(Arc::new(Inner {
            wrap,
            clock,
            keys: KeyCache::default(),
        })))
    }

    /// The vault of a process that has to do with no secrets: whatever is asked of it is refused.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Encrypts a secret for one place, under the newest data key of the org; the first one is made
    /// when it is needed, and the next when the newest is [too old](KEY_AGE).
    ///
    /// # Errors
    /// [`VaultError`], transient or not.
    pub async fn seal(
        &self,
        rows: &dyn DataKeyRows,
        place: &Place<'_>,
        secret: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let inner = self.inner()?;
        if secret.len() > MAX_SECRET_BYTES {
            return Err(VaultError::TooLarge(secret.len()));
        }
        let newest = rows.newest().await.map_err(VaultError::Rows)?;
        let wrapped = match newest {
            Some(key) if inner.clock.now().since(key.created_at) < KEY_AGE => key,
            other => inner.next(rows, place.org, other.as_ref()).await?,
        };
        let key = inner.unwrap(place.org, &wrapped).await?;
        Ok(sealed::seal(&key, wrapped.version, place, secret))
    }

    /// Decrypts what was sealed for this very place.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`] if it was sealed for another place or changed since; others,
    /// transient or not.
    pub async fn open(
        &self,
        rows: &dyn DataKeyRows,
        place: &Place<'_>,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, VaultError> {
        let inner = self.inner()?;
        let version = sealed::key_version(sealed)?;
        let key = inner.key(rows, place.org, version).await?;
        sealed::open(&key, version, place, sealed).map_err(|_| VaultError::DoesNotOpen)
    }

    /// Makes a new version of an org's data key, which seals from now on. What earlier versions
    /// sealed goes on opening.
    ///
    /// # Errors
    /// [`VaultError`], transient or not.
    pub async fn rotate(&self, rows: &dyn DataKeyRows, org: OrgId) -> Result<u32, VaultError> {
        let inner = self.inner()?;
        let newest = rows.newest().await.map_err(VaultError::Rows)?;
        Ok(inner.next(rows, org, newest.as_ref()).await?.version)
    }

    fn inner(&self) -> Result<&Inner, VaultError> {
        self.0.as_deref().ok_or(VaultError::NotConfigured)
    }
}

impl Inner {
    /// Makes the version after `newest`. Where another process makes it at the same time, one of
    /// the two is kept, and both use that.
    async fn next(
        &self,
        rows: &dyn DataKeyRows,
        org: OrgId,
        newest: Option<&WrappedKey>,
    ) -> Result<WrappedKey, VaultError> {
        let version = newest.map_or(0, |key| key.version) + 1;
        let (bytes, wrapped) = self.wrap.generate(&KeyContext::of(org)).await?;
        let made = WrappedKey {
            org,
            version,
            wrapped_by: self.wrap.name().to_owned(),
            wrapped,
            created_at: self.clock.now(),
        };
        if rows.insert(&made).await.map_err(VaultError::Rows)? {
            self.keep(org, version, Arc::new(DataKey::new(&bytes)));
            return Ok(made);
        }
        let kept = rows.version(version).await.map_err(VaultError::Rows)?;
        kept.ok_or(VaultError::NoSuchKey(version))
    }

    async fn key(
        &self,
        rows: &dyn DataKeyRows,
        org: OrgId,
        version: u32,
    ) -> Result<Arc<DataKey>, VaultError> {
        if let Some(known) = self.keys.get(org, version, self.clock.now()) {
            return Ok(known);
        }
        let wrapped = rows.version(version).await.map_err(VaultError::Rows)?;
        let wrapped = wrapped.ok_or(VaultError::NoSuchKey(version))?;
        self.unwrap(org, &wrapped).await
    }

    /// The key of a row. The context is the org that asks, whatever the row says.
    async fn unwrap(&self, org: OrgId, row: &WrappedKey) -> Result<Arc<DataKey>, VaultError> {
        if let Some(known) = self.keys.get(org, row.version, self.clock.now()) {
            return Ok(known);
        }
        if row.wrapped_by != self.wrap.name() {
            return Err(VaultError::OtherWrap {
                recorded: row.wrapped_by.clone(),
                own: self.wrap.name(),
            });
        }
        let bytes = self.wrap.unwrap(&KeyContext::of(org), &row.wrapped).await?;
        Ok(self.keep(org, row.version, Arc::new(DataKey::new(&bytes))))
    }

    fn keep(&self, org: OrgId, version: u32, key: Arc<DataKey>) -> Arc<DataKey> {
        self.keys.put(org, version, &key, self.clock.now());
        key
    }
}

#[cfg(test)]
mod tests;
