//! API keys. A key has a row in its org and, for each secret that works, a row under its hash,
//! which is all that authentication reads.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::api_key::{ApiKey, KeySecret};
use domain::event::EventKind;
use domain::permission::Permission;
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, ApiKeyId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

/// A key with the hashes of its secrets: what the org's row holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeyRow {
    #[serde(flatten)]
    key: ApiKey,
    /// Hashes of every secret that may still work, newest last.
    secrets: Vec<String>,
}

impl Record for KeyRow {
    const NOUN: &'static str = "API key";

    fn key(&self) -> Key {
        keys::api_key(self.key.org, self.key.id)
    }

    fn version(&self) -> u64 {
        self.key.version
    }
}

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    pub name: String,
    pub scopes: BTreeSet<Permission>,
    pub agent: Option<AgentId>,
    pub expires_at: Option<Timestamp>,
}

/// A secret, by its hash and the characters that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedSecret {
    /// SHA-256 in hexadecimal.
    pub hash: String,
    /// The first characters.
    pub hint: String,
}

/// The API keys of one org.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The API keys of an org.
    #[must_use]
    pub fn api_keys(&self, tenant: Tenant) -> ApiKeys<'_> {
        ApiKeys {
            store: self,
            tenant,
        }
    }
}

impl ApiKeys<'_> {
    /// The key with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ApiKeyId) -> Result<Option<ApiKey>, ReadError> {
        Ok(self.row(id).await?.map(|row| row.key))
    }

    /// Keys, newest first, revoked ones included.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<ApiKey>, ReadError> {
        let list = keys::api_keys(self.tenant.org());
        let page = self
            .store
            .page::<KeyRow>(&list, page, Order::Descending)
            .await?;
        Ok(page.map(|row| row.key))
    }

    /// Creates a key that opens with `secret`.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        new: NewApiKey,
        secret: HashedSecret,
    ) -> Result<ApiKey, Error> {
        let now = self.store.now();
        let key = ApiKey {
            id: ApiKeyId::generate(now),
            org: self.tenant.org(),
            name: new.name,
            scopes: new.scopes,
            agent: new.agent,
            hint: secret.hint,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            created_by: cause.actor,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let data = json!({ "name": key.name, "scopes": key.scopes });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::ApiKeyCreated, key.id, data);
        let commit = Commit::new(self.tenant)
            .create(&secret_row(&key, secret.hash.clone(), key.expires_at))
            .create(&KeyRow {
                key: key.clone(),
                secrets: vec![secret.hash],
            })
            .event(event);
        self.store.commit(commit).await?;
        Ok(key)
    }

    /// Gives a key a new secret. The old ones work on for `overlap`, at most to the key's expiry.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the key is no longer at `current`'s version.
    pub async fn rotate(
        &self,
        cause: &Cause,
        current: &ApiKey,
        secret: HashedSecret,
        overlap: Duration,
    ) -> Result<ApiKey, Error> {
        let now = self.store.now();
        let old = self
            .row(current.id)
            .await?
            .map(|row| row.secrets)
            .unwrap_or_default();
        let ends = Some(
            now.plus(overlap)
                .min(current.expires_at.unwrap_or(now.plus(overlap))),
        );
        let key = ApiKey {
            hint: secret.hint,
            updated_at: now,
            version: current.version + 1,
            ..current.clone()
        };
        let data = json!({ "old_secret_ends_at": ends });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::ApiKeyRotated, key.id, data);
        let mut commit = Commit::new(self.tenant)
            .create(&secret_row(&key, secret.hash.clone(), key.expires_at))
            .event(event);
        let mut secrets = Vec::new();
        for hash in old {
            let Some(known) = self.store.identities().key_secret(&hash).await? else {
                continue;
            };
            if !known.is_usable(now) {
                continue;
            }
            let ends = known
                .expires_at
                .map_or(ends, |earlier| ends.map(|end| end.min(earlier)));
            commit = commit.put(&KeySecret {
                expires_at: ends,
                ..known
            });
            secrets.push(hash);
        }
        secrets.push(secret.hash);
        let commit = commit.replace(
            &KeyRow {
                key: key.clone(),
                secrets,
            },
            current.version,
        );
        self.store.commit(commit).await?;
        Ok(key)
    }

    /// Ends a key and all its secrets. Instances that have seen it forget it within a minute.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the key is no longer at `current`'s version.
    pub async fn revoke(&self, cause: &Cause, current: &ApiKey) -> Result<ApiKey, Error> {
        let now = self.store.now();
        let secrets = self
            .row(current.id)
            .await?
            .map(|row| row.secrets)
            .unwrap_or_default();
        let key = ApiKey {
            revoked_at: Some(now),
            updated_at: now,
            version: current.version + 1,
            ..current.clone()
        };
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::ApiKeyRevoked,
            key.id,
            json!({}),
        );
        let mut commit = Commit::new(self.tenant)
            .replace(
                &KeyRow {
                    key: key.clone(),
                    secrets: secrets.clone(),
                },
                current.version,
            )
            .event(event);
        for hash in secrets {
            let mut row = secret_row(&key, hash, key.expires_at);
            row.revoked_at = Some(now);
            commit = commit.put(&row);
        }
        self.store.commit(commit).await?;
        Ok(key)
    }

    /// Notes that a key was used. Best effort: a lost note harms nobody.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn note_use(&self, id: ApiKeyId) -> Result<(), ReadError> {
        let key = keys::api_key(self.tenant.org(), id);
        self.store
            .clients
            .dynamo
            .update_item()
            .table_name(self.store.config.table(key.table))
            .set_key(Some(crate::commit::key_item(&key)))
            .update_expression("SET last_used_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(
                ":now",
                aws_sdk_dynamodb::types::AttributeValue::S(self.store.now().to_string()),
            )
            .send()
            .await
            .map(drop)
            .map_err(ReadError::sdk)
    }

    async fn row(&self, id: ApiKeyId) -> Result<Option<KeyRow>, ReadError> {
        self.store.get(&keys::api_key(self.tenant.org(), id)).await
    }
}

fn secret_row(key: &ApiKey, hash: String, expires_at: Option<Timestamp>) -> KeySecret {
    KeySecret {
        hash,
        org: key.org,
        key: key.id,
        scopes: key.scopes.clone(),
        agent: key.agent,
        expires_at,
        revoked_at: key.revoked_at,
    }
}
