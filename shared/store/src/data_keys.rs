//! The data keys of an org, wrapped. What wraps them, and what they encrypt, is the vault's.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::cursor::PageRequest;
use kernel::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use vault::{DataKeyRows, RowError, WrappedKey};

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Commit, CommitError, Store, Tenant};

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataKey {
    org: OrgId,
    version: u32,
    wrapped_by: String,
    /// In base64.
    wrapped: String,
    created_at: Timestamp,
}

impl Record for DataKey {
    const NOUN: &'static str = "data key";

    fn key(&self) -> Key {
        keys::data_key(self.org, self.version)
    }
}

impl From<&WrappedKey> for DataKey {
    fn from(key: &WrappedKey) -> Self {
        Self {
            org: key.org,
            version: key.version,
            wrapped_by: key.wrapped_by.clone(),
            wrapped: STANDARD.encode(&key.wrapped),
            created_at: key.created_at,
        }
    }
}

impl TryFrom<DataKey> for WrappedKey {
    type Error = RowError;

    fn try_from(row: DataKey) -> Result<Self, RowError> {
        Ok(Self {
            org: row.org,
            version: row.version,
            wrapped_by: row.wrapped_by,
            wrapped: STANDARD.decode(row.wrapped)?,
            created_at: row.created_at,
        })
    }
}

/// The data keys of one org.
#[derive(Debug, Clone, Copy)]
pub struct DataKeys<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The data keys of an org, for the vault.
    #[must_use]
    pub fn data_keys(&self, tenant: Tenant) -> DataKeys<'_> {
        DataKeys {
            store: self,
            tenant,
        }
    }
}

#[async_trait]
impl DataKeyRows for DataKeys<'_> {
    async fn newest(&self) -> Result<Option<WrappedKey>, RowError> {
        let page = PageRequest {
            limit: 1,
            after: None,
        };
        let list = keys::data_keys(self.tenant.org());
        let page = self
            .store
            .page::<DataKey>(&list, &page, Order::Descending)
            .await?;
        page.items
            .into_iter()
            .next()
            .map(TryInto::try_into)
            .transpose()
    }

    async fn version(&self, version: u32) -> Result<Option<WrappedKey>, RowError> {
        let key = keys::data_key(self.tenant.org(), version);
        let row: Option<DataKey> = self.store.get(&key).await?;
        row.map(TryInto::try_into).transpose()
    }

    async fn insert(&self, key: &WrappedKey) -> Result<bool, RowError> {
        let row = DataKey {
            org: self.tenant.org(),
            ..DataKey::from(key)
        };
        let commit = Commit::new(self.tenant).create(&row);
        match self.store.commit(commit).await {
            Ok(()) => Ok(true),
            Err(CommitError::Exists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
