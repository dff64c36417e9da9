//! What a function is made of, read from the environment at cold start.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use api::{ApiConfig, App};
use kernel::env::process_environment;
use kernel::{SystemClock, Timestamp};
use lambda_runtime::{Context, Error};
use store::{Clients, Store, StoreConfig};
use vault::VaultConfig;

const API_NEEDS: &[&str] = &[
    "OVERGLASS_TABLE_CORE",
    "OVERGLASS_TABLE_LOG",
    "OVERGLASS_TABLE_EPHEMERAL",
];
const VAULT_NEEDS: &[&str] = &["OVERGLASS_TABLE_VAULT"];
pub(crate) const WORKER_NEEDS: &[&str] = &[
    "OVERGLASS_TABLE_CORE",
    "OVERGLASS_TABLE_LOG",
    "OVERGLASS_TABLE_WORK",
];
pub(crate) const STREAM_NEEDS: &[&str] = &[
    "OVERGLASS_TABLE_AUDIT",
    "OVERGLASS_TABLE_METRICS",
    "OVERGLASS_TABLE_KNOWLEDGE",
    "OVERGLASS_TABLE_WORK",
    "OVERGLASS_QUEUE_INDEX",
];
pub(crate) const SCHEDULE_NEEDS: &[&str] = &["OVERGLASS_TABLE_WORK"];

pub(crate) fn app() -> Result<App, Error> {
    let config = ApiConfig::from_env(&process_environment)?;
    Ok(App::new(store(API_NEEDS)?, config))
}

pub(crate) fn app_with_vault() -> Result<App, Error> {
    let config = ApiConfig::from_env(&process_environment)?;
    let store = store(&[API_NEEDS, VAULT_NEEDS].concat())?;
    Ok(App::new(with_vault(store)?, config))
}

pub(crate) fn open_app() -> Result<App, Error> {
    Ok(App::new(store(&[])?, ApiConfig::without_callers()))
}

pub(crate) fn store(needs: &[&str]) -> Result<Store, Error> {
    let config = StoreConfig::from_env(&process_environment, needs)?;
    Ok(Store::new(
        Clients::from_env(process_environment)?,
        config,
        Arc::new(SystemClock),
    ))
}

/// The store with the vault that the environment names. Connects to nothing: a client of KMS is made
/// when the first secret is sealed or opened.
///
/// # Errors
/// Names what is missing.
pub fn with_vault(store: Store) -> Result<Store, Error> {
    StoreConfig::from_env(&process_environment, VAULT_NEEDS)?;
    let config = VaultConfig::from_env(&process_environment)?;
    let vault = config.open(&store.clients().sdk, store.clock());
    Ok(store.with_vault(vault))
}

/// When Lambda ends this invocation.
pub(crate) fn deadline(context: &Context) -> Timestamp {
    let since_epoch = context
        .deadline()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    debug_assert!(context.deadline() >= SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
