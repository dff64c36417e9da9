//! What every handler can reach: the store, the verifier of tokens, the signing key.

use std::sync::Arc;
use std::time::Duration;

use domain::api_key::KeySecret;
use domain::org::Member;
use domain::user::User;
use identity::{HttpKeySource, KeyEnvironment, StaticKeys, Verifier};
use kernel::env::{ConfigError, EnvReader};
use kernel::signing::SigningKey;
use kernel::{ExecutionId, OrgId, UserId};
use store::Store;

use crate::cache::TtlCache;

/// How long an instance trusts what it has read about a caller: a revoked key or a removed member
/// is out within this time.
const CALLER_LIFETIME: Duration = Duration::from_secs(30);
const CALLERS_KEPT: usize = 10_000;

/// The state of the API functions. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    verifier: Verifier,
    signing: SigningKey,
    environment: KeyEnvironment,
    streams_url: Option<String>,
    pub(crate) users: TtlCache<String, User>,
    pub(crate) members: TtlCache<(UserId, OrgId), Option<Member>>,
    pub(crate) key_secrets: TtlCache<String, Option<KeySecret>>,
}

/// How the API is configured.
pub struct ApiConfig {
    /// `local`, `dev`, `staging`, `prod`: part of every API key, so that a key of one environment
    /// is refused by another before any look-up.
    pub environment: KeyEnvironment,
    pub verifier: Verifier,
    pub signing: SigningKey,
    /// Where executions are streamed from, if not from the API's own address.
    pub streams_url: Option<String>,
}

impl ApiConfig {
    /// The configuration of a function that nobody signs in to: it knows no token, no key and no
    /// secret.
    #[must_use]
    pub fn without_callers() -> Self {
        let nobody = StaticKeys(br#"{"keys":[]}"#.to_vec());
        let verifier = Verifier::new("urn:overglass:nobody", ["nobody"], Arc::new(nobody));
        match (KeyEnvironment::new("none"), verifier) {
            (Ok(environment), Ok(verifier)) => Self {
                environment,
                verifier,
                signing: SigningKey::ephemeral(),
                streams_url: None,
            },
            _ => unreachable!("the names above are valid"),
        }
    }

    /// Reads the configuration of a deployed function.
    ///
    /// # Errors
    /// Names everything that is missing or wrong, in one error.
    pub fn from_env(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(source);
        let issuer = env.required("OVERGLASS_OIDC_ISSUER");
        let audience = env.required("OVERGLASS_OIDC_AUDIENCE");
        let secret = env.required("OVERGLASS_SECRET");
        let name = env.required("OVERGLASS_ENV");
        let jwks_uri = env.optional("OVERGLASS_OIDC_JWKS_URI");
        let streams_url = env.optional("OVERGLASS_STREAMS_URL");
        let environment = KeyEnvironment::new(&name)
            .map_err(|error| reject(&mut env, "OVERGLASS_ENV", &name, error))
            .ok();
        let signing = SigningKey::from_base64(&secret)
            .map_err(|error| reject(&mut env, "OVERGLASS_SECRET", &secret, error))
            .ok();
        let keys = match jwks_uri {
            Some(uri) => HttpKeySource::from_jwks_uri(&uri),
            None => HttpKeySource::discover(&issuer),
        };
        let audiences: Vec<String> = audience
            .split(',')
            .map(|one| one.trim().to_owned())
            .collect();
        let verifier = keys
            .and_then(|keys| Verifier::new(issuer.clone(), audiences, Arc::new(keys)))
            .map_err(|error| reject(&mut env, "OVERGLASS_OIDC_ISSUER", &issuer, error))
            .ok();
        let parts = env.finish((environment, signing, verifier))?;
        match parts {
            (Some(environment), Some(signing), Some(verifier)) => Ok(Self {
                environment,
                verifier,
                signing,
                streams_url,
            }),
            _ => unreachable!("whatever could not be read was rejected"),
        }
    }
}

/// Notes that a setting is unusable, unless it is missing, which is noted already.
fn reject(env: &mut EnvReader<'_>, name: &str, value: &str, error: impl std::fmt::Display) {
    if !value.is_empty() {
        env.reject(name, error);
    }
}

impl App {
    /// The state over a store.
    #[must_use]
    pub fn new(store: Store, config: ApiConfig) -> Self {
        let clock = store.clock();
        Self(Arc::new(Inner {
            store,
            verifier: config.verifier,
            signing: config.signing,
            environment: config.environment,
            streams_url: config.streams_url,
            users: TtlCache::new(Arc::clone(&clock), CALLER_LIFETIME, CALLERS_KEPT),
            members: TtlCache::new(Arc::clone(&clock), CALLER_LIFETIME, CALLERS_KEPT),
            key_secrets: TtlCache::new(clock, CALLER_LIFETIME, CALLERS_KEPT),
        }))
    }

    /// The product's state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The key that signs cursors and invitations.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.0.signing
    }

    /// The environment that API keys name.
    #[must_use]
    pub fn environment(&self) -> &KeyEnvironment {
        &self.0.environment
    }

    /// Where an execution is streamed from.
    #[must_use]
    pub fn stream_url(&self, execution: ExecutionId) -> String {
        let base = self.0.streams_url.as_deref().unwrap_or_default();
        let base = base.trim_end_matches('/');
        format!("{base}/v1/executions/{execution}/stream")
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    pub(crate) fn users(&self) -> &TtlCache<String, User> {
        &self.0.users
    }

    pub(crate) fn members(&self) -> &TtlCache<(UserId, OrgId), Option<Member>> {
        &self.0.members
    }

    pub(crate) fn key_secrets(&self) -> &TtlCache<String, Option<KeySecret>> {
        &self.0.key_secrets
    }

    /// Forgets what this instance has read about a user, after a change made through it.
    pub fn forget_user(&self, user: UserId) {
        self.0.users.retain(|known| known.id != user);
        self.0.members.remove_where(|(known, _)| *known == user);
    }

    /// Forgets the members of an org, after a change made through this instance.
    pub fn forget_members(&self, org: OrgId) {
        self.0.members.remove_where(|(_, known)| *known == org);
    }

    /// Forgets the keys of an org, after a change made through this instance.
    pub fn forget_keys(&self, org: OrgId) {
        self.0
            .key_secrets
            .retain(|secret| secret.as_ref().is_none_or(|s| s.org != org));
    }
}
