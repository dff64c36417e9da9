//! The issuer's keys, kept between requests.
//!
//! - A set is fresh for an hour.
//! - A key id that is not in a fresh set may mean that the issuer has rotated its keys, so the set is
//!   fetched again, but at most every 30 seconds: whoever sends made-up key ids learns nothing and
//!   makes no traffic.
//! - One fetch at a time. Callers whose key is known from an older set do not wait for it.
//! - When the issuer cannot be reached, the last set serves for a day. After that a key that the
//!   issuer may long have withdrawn is worth less than an honest refusal.

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::Algorithm;
use tokio::sync::Mutex;

use crate::error::TokenError;
use crate::keys::{KeySet, VerifyingKey};
use crate::source::KeySource;

/// How long a fetched set is used without asking again.
pub(crate) const FRESH_SECONDS: i64 = 60 * 60;
/// How long a fetched set is used at all.
pub(crate) const USABLE_SECONDS: i64 = 24 * 60 * 60;
/// The least time between two fetches while there is a usable set.
pub(crate) const REFRESH_INTERVAL_SECONDS: i64 = 30;
/// The least time between two fetches while there is none and every token is turned away.
pub(crate) const EMPTY_INTERVAL_SECONDS: i64 = 2;

pub(crate) struct KeyCache {
    source: Arc<dyn KeySource>,
    state: RwLock<State>,
    /// Held while fetching.
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    fetched: Option<Fetched>,
    attempted_at: Option<i64>,
    /// Whether the last attempt failed, was abandoned, or is still under way.
    last_attempt_failed: bool,
}

#[derive(Clone)]
struct Fetched {
    keys: Arc<KeySet>,
    at: i64,
}

impl State {
    /// A key from a set younger than `max_age` seconds.
    fn find(&self, id: &str, algorithm: Algorithm, now: i64, max_age: i64) -> Option<VerifyingKey> {
        self.set(now, max_age)
            .and_then(|keys| keys.find(id, algorithm))
            .cloned()
    }

    fn set(&self, now: i64, max_age: i64) -> Option<&KeySet> {
        let fetched = self.fetched.as_ref()?;
        (now.saturating_sub(fetched.at) < max_age).then_some(&*fetched.keys)
    }

    fn may_fetch(&self, now: i64) -> bool {
        let interval = match self.set(now, USABLE_SECONDS) {
            Some(_) => REFRESH_INTERVAL_SECONDS,
            None => EMPTY_INTERVAL_SECONDS,
        };
        // The distance and not the difference: a clock set back must not stop fetching for as long.
        self.attempted_at
            .is_none_or(|attempt| now.abs_diff(attempt) >= interval.unsigned_abs())
    }
}

impl KeyCache {
    pub(crate) fn new(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            state: RwLock::default(),
            fetching: Mutex::new(()),
        }
    }

    /// The key that a token claims to be signed with.
    pub(crate) async fn key(
        &self,
        id: &str,
        algorithm: Algorithm,
        now: i64,
    ) -> Result<VerifyingKey, TokenError> {
        let state = self.state();
        if let Some(key) = state.find(id, algorithm, now, FRESH_SECONDS) {
            return Ok(key);
        }
        let _fetching = match state.find(id, algorithm, now, USABLE_SECONDS) {
            Some(older_key) => match self.fetching.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(older_key),
            },
            None => self.fetching.lock().await,
        };
        // Another caller may have fetched while this one waited.
        let state = self.state();
        if state.find(id, algorithm, now, FRESH_SECONDS).is_none() && state.may_fetch(now) {
            self.fetch(now).await;
        }
        let state = self.state();
        if let Some(key) = state.find(id, algorithm, now, USABLE_SECONDS) {
            return Ok(key);
        }
        if state.set(now, USABLE_SECONDS).is_none() || state.last_attempt_failed {
            return Err(TokenError::KeysUnavailable);
        }
        Err(TokenError::UnknownKey)
    }

    /// Fetches once. The attempt is noted before it starts, so that one that is abandoned half-way
    /// (its caller hung up) counts towards the limit too.
    async fn fetch(&self, now: i64) {
        self.update(|state| {
            state.attempted_at = Some(now);
            state.last_attempt_failed = true;
        });
        let outcome = match self.source.fetch().await {
            Ok(document) => KeySet::parse(&document).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(keys) => self.update(|state| {
                state.fetched = Some(Fetched {
                    keys: Arc::new(keys),
                    at: now,
                });
                state.last_attempt_failed = false;
            }),
            Err(error) => tracing::warn!(
                error,
                "the token issuer's signing keys could not be fetched"
            ),
        }
    }

    fn state(&self) -> State {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}
