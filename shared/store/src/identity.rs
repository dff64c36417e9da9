//! Rows that belong to no org, because they say who somebody is before it is known where they
//! belong: users, and the hashes of API keys.

use domain::api_key::KeySecret;
use domain::user::{Preferences, User, user_id};
use kernel::UserId;

use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Commit, CommitError, Error, ReadError, Store, Tenant};

impl Record for User {
    const NOUN: &'static str = "user";

    fn key(&self) -> Key {
        keys::user(self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for KeySecret {
    const NOUN: &'static str = "key secret";

    fn key(&self) -> Key {
        keys::key_secret(&self.hash)
    }
}

/// A person, as a valid token presents them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub email: Option<&'a str>,
    pub email_verified: bool,
    pub name: Option<&'a str>,
}

/// Users and key secrets.
#[derive(Debug, Clone, Copy)]
pub struct Identities<'a> {
    store: &'a Store,
}

impl Store {
    /// Users and key secrets, which belong to no org.
    #[must_use]
    pub fn identities(&self) -> Identities<'_> {
        Identities { store: self }
    }
}

impl Identities<'_> {
    /// The user with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, ReadError> {
        self.store.get(&keys::user(id)).await
    }

    /// The user whom a valid token presents; created on first sight, brought up to date where the
    /// token says something new.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn recognise(&self, presented: &Presented<'_>) -> Result<User, Error> {
        let id = user_id(presented.issuer, presented.subject);
        let email = presented.email.map(str::to_lowercase);
        let now = self.store.now();
        let Some(known) = self.user(id).await? else {
            let user = User {
                id,
                email,
                email_verified: presented.email_verified,
                name: presented.name.map(str::to_owned),
                platform_role: None,
                preferences: Preferences::default(),
                version: 1,
                created_at: now,
                updated_at: now,
            };
            return self.create_or_find(user).await;
        };
        let news = email.is_some()
            && (email != known.email || presented.email_verified != known.email_verified);
        if !news {
            return Ok(known);
        }
        let user = User {
            email,
            email_verified: presented.email_verified,
            version: known.version + 1,
            updated_at: now,
            ..known.clone()
        };
        match self.update(&user, known.version).await {
            Ok(()) => Ok(user),
            // Another request of the same person was faster; its word is as good.
            Err(Error::Commit(CommitError::Changed { .. })) => Ok(known),
            Err(error) => Err(error),
        }
    }

    /// Writes a user over the one with version `expected`.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if that is no longer the version.
    pub async fn update(&self, user: &User, expected: u64) -> Result<(), Error> {
        Ok(self.store.commit(no_org().replace(user, expected)).await?)
    }

    /// The secret with this hash.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn key_secret(&self, hash: &str) -> Result<Option<KeySecret>, ReadError> {
        self.store.get(&keys::key_secret(hash)).await
    }

    async fn create_or_find(&self, user: User) -> Result<User, Error> {
        match self.store.commit(no_org().create(&user)).await {
            Ok(()) => Ok(user),
            Err(CommitError::Exists { .. }) => Ok(self.user(user.id).await?.unwrap_or(user)),
            Err(error) => Err(error.into()),
        }
    }
}

/// A change of rows that belong to no org.
fn no_org() -> Commit {
    Commit::new(Tenant::authorised(kernel::OrgId::from_u128(0)))
}
