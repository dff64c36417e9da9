//! The credentials of tools. A secret is sealed before it is stored, and opened only to be sent, and
//! only to where it was meant for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::credential::{Credential, CredentialKind, OriginError};
use domain::event::EventKind;
use domain::tool::Tool;
use kernel::ToolId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vault::place::joined;
use vault::{Place, VaultError};
use work::{Lane, NewJob};

use crate::executions::{AUTHORISED_JOB, AuthorisedPayload};
use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Cause, Commit, CommitError, ReadError, Store, Tenant};

/// What the sealed secret of a tool belongs to, as the vault is told.
const KIND: &str = "tool_credential";
const AUTHORIZATION: &str = "authorization";

/// A secret as somebody gives it. Nothing of it prints.
#[derive(Debug, Clone)]
pub enum ToolSecret {
    Bearer {
        token: SecretString,
    },
    Header {
        /// The name of the header, in any case.
        name: String,
        value: SecretString,
    },
    Basic {
        username: String,
        password: SecretString,
    },
}

impl ToolSecret {
    /// How it is sent.
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Bearer { .. } => CredentialKind::Bearer,
            Self::Header { .. } => CredentialKind::Header,
            Self::Basic { .. } => CredentialKind::Basic,
        }
    }

    /// The header that carries it, in lower case.
    #[must_use]
    pub fn header(&self) -> String {
        match self {
            Self::Bearer { .. } | Self::Basic { .. } => AUTHORIZATION.to_owned(),
            Self::Header { name, .. } => name.to_ascii_lowercase(),
        }
    }

    /// The value of that header.
    fn value(&self) -> SecretString {
        match self {
            Self::Bearer { token } => format!("Bearer {}", token.expose_secret()).into(),
            Self::Header { value, .. } => value.clone(),
            Self::Basic { username, password } => {
                let pair = SecretString::from(format!("{username}:{}", password.expose_secret()));
                let encoded = SecretString::from(STANDARD.encode(pair.expose_secret()));
                format!("Basic {}", encoded.expose_secret()).into()
            }
        }
    }
}

/// A credential as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCredential {
    #[serde(flatten)]
    credential: Credential,
    /// What the vault has sealed, in base64.
    sealed: String,
}

impl Record for StoredCredential {
    const NOUN: &'static str = "credential";

    fn key(&self) -> Key {
        keys::tool_credential(self.credential.org, self.credential.tool)
    }

    fn version(&self) -> u64 {
        self.credential.version
    }
}

/// Why a credential could not be set, removed or used. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No secret may be sent to the tool's address.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The tool leads elsewhere than when the credential was set: somebody has to set it again.
    #[error("the credential was set for {meant}, and the tool now leads to {asked}")]
    OtherOrigin { meant: String, asked: String },
}

impl CredentialError {
    /// Whether the same may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Read(ReadError::Unavailable(_)) | Self::Commit(CommitError::Unavailable(_)) => {
                true
            }
            Self::Vault(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// The credentials of the tools of one org.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The credentials of an org's tools.
    #[must_use]
    pub fn credentials(&self, tenant: Tenant) -> Credentials<'_> {
        Credentials {
            store: self,
            tenant,
        }
    }
}

impl Credentials<'_> {
    /// The credential of a tool, without its secret.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, tool: ToolId) -> Result<Option<Credential>, ReadError> {
        Ok(self.stored(tool).await?.map(|stored| stored.credential))
    }

    /// Sets the credential of a tool, in the place of `current` if it has one. It is good for the
    /// address that the tool has at this moment. Executions that wait for it go on.
    ///
    /// # Errors
    /// [`CredentialError::Origin`] if no secret may be sent to that address;
    /// [`CredentialError::Commit`], as `Changed` if tool or credential were changed since they were
    /// read, and as `Exists` if there was no credential and now there is one;
    /// [`CredentialError::Vault`] if the secret cannot be sealed.
    pub async fn set(
        &self,
        cause: &Cause,
        tool: &Tool,
        current: Option<&Credential>,
        secret: &ToolSecret,
    ) -> Result<Credential, CredentialError> {
        let credential = Credential {
            org: self.tenant.org(),
            tool: tool.id,
            kind: secret.kind(),
            header: secret.header(),
            origin: origin(tool)?,
            version: current.map_or(0, |current| current.version) + 1,
            updated_at: self.store.now(),
            updated_by: cause.actor,
        };
        let (id, facts) = (tool.id.to_string(), facts(&credential));
        let place = self.place(&id, credential.version, &facts);
        let rows = self.store.data_keys(self.tenant);
        let value = secret.value();
        let value = value.expose_secret().as_bytes();
        let sealed = self.store.vault.seal(&rows, &place, value).await?;
        let stored = StoredCredential {
            credential,
            sealed: STANDARD.encode(sealed),
        };
        let data = told(&stored.credential);
        let kind = EventKind::ToolCredentialSet;
        let event = self.store.event(self.tenant, cause, kind, tool.id, data);
        let commit = Commit::new(self.tenant)
            .unless_changed(tool, tool.version)
            .event(event)
            .job(self.authorised(cause, tool.id));
        let commit = match current {
            Some(current) => commit.replace(&stored, current.version),
            None => commit.create(&stored),
        };
        self.store.commit(commit).await?;
        Ok(stored.credential)
    }

    /// Removes a credential.
    ///
    /// # Errors
    /// [`CommitError::Changed`] if it was changed or removed since it was read.
    pub async fn delete(&self, cause: &Cause, current: &Credential) -> Result<(), CommitError> {
        let kind = EventKind::ToolCredentialRemoved;
        let data = told(current);
        let event = self
            .store
            .event(self.tenant, cause, kind, current.tool, data);
        let stored = StoredCredential {
            credential: current.clone(),
            sealed: String::new(),
        };
        let commit = Commit::new(self.tenant)
            .delete(&stored, current.version)
            .event(event);
        self.store.commit(commit).await
    }

    /// The headers that authenticate a request of this tool, names in lower case: none if it has no
    /// credential. Ask just before the request, and keep them no longer than it.
    ///
    /// # Errors
    /// [`CredentialError::OtherOrigin`] if the tool leads elsewhere than when the credential was
    /// set; [`CredentialError::Vault`] if the secret does not open; others if the store does not
    /// answer.
    pub async fn headers_for(
        &self,
        tool: &Tool,
    ) -> Result<Vec<(String, SecretString)>, CredentialError> {
        let Some(stored) = self.stored(tool.id).await? else {
            return Ok(Vec::new());
        };
        let credential = &stored.credential;
        let asked = origin(tool)?;
        if credential.origin != asked {
            return Err(CredentialError::OtherOrigin {
                meant: credential.origin.clone(),
                asked,
            });
        }
        let sealed = STANDARD
            .decode(&stored.sealed)
            .map_err(|_| VaultError::DoesNotOpen)?;
        let (id, facts) = (tool.id.to_string(), facts(credential));
        let place = self.place(&id, credential.version, &facts);
        let rows = self.store.data_keys(self.tenant);
        let value = self.store.vault.open(&rows, &place, &sealed).await?;
        let value =
            std::str::from_utf8(value.expose_secret()).map_err(|_| VaultError::DoesNotOpen)?;
        Ok(vec![(credential.header.clone(), value.into())])
    }

    /// The job that lets the executions go on which wait for a credential of this tool.
    fn authorised(&self, cause: &Cause, tool: ToolId) -> NewJob {
        let payload = json!(AuthorisedPayload { tool });
        let lane = Lane::AgentInteractive;
        NewJob::new(self.tenant.org(), AUTHORISED_JOB, lane, payload)
            .correlation_id(&cause.correlation_id)
    }

    async fn stored(&self, tool: ToolId) -> Result<Option<StoredCredential>, ReadError> {
        let key = keys::tool_credential(self.tenant.org(), tool);
        self.store.get(&key).await
    }

    /// Where a secret belongs: to the org and the tool that ask for it, whatever its row says.
    fn place<'a>(&self, id: &'a str, version: u64, facts: &'a [u8]) -> Place<'a> {
        Place {
            org: self.tenant.org(),
            kind: KIND,
            id,
            version,
            facts,
        }
    }
}

/// What must not be changed without the secret: how it is sent, and where to.
fn facts(credential: &Credential) -> Vec<u8> {
    joined(&[
        credential.kind.name().as_bytes(),
        credential.header.as_bytes(),
        credential.origin.as_bytes(),
    ])
}

/// Where the requests of a tool go.
fn origin(tool: &Tool) -> Result<String, OriginError> {
    domain::credential::origin(tool.spec.action.url())
}

fn told(credential: &Credential) -> serde_json::Value {
    json!({
        "kind": credential.kind,
        "header": credential.header,
        "origin": credential.origin,
        "version": credential.version,
    })
}
