//! The API once more, over the stores of a host, with each call to DynamoDB counted and timed. It
//! has one thread, as a function has, so its processor time is its own.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::api::{ApiConfig, App};
use anyhow::Context as _;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use identity::KeyEnvironment;
use kernel::SystemClock;
use kernel::signing::SigningKey;
use local::Host;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The name of the thread that serves.
pub const THREAD: &str = "metered-api";

/// Counts calls to DynamoDB and measures the time in which any was under way: from the signed
/// request on the wire to the head of its answer. Clones share the account.
#[derive(Debug, Clone, Default)]
pub struct StoreMeter(Arc<Mutex<Account>>);

/// What a meter has seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    pub calls: u64,
    pub under_way: Duration,
}

#[derive(Debug, Default)]
struct Account {
    total: Reading,
    open: u32,
    since: Option<Instant>,
}

impl StoreMeter {
    /// What was seen so far.
    pub fn read(&self) -> Reading {
        self.account().total
    }

    fn begin(&self, now: Instant) {
        let mut account = self.account();
        account.total.calls += 1;
        account.open += 1;
        account.since.get_or_insert(now);
    }

    fn end(&self, now: Instant) {
        let mut account = self.account();
        account.open = account.open.saturating_sub(1);
        if account.open == 0
            && let Some(since) = account.since.take()
        {
            account.total.under_way += now - since;
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for StoreMeter {
    fn name(&self) -> &'static str {
        "StoreMeter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.begin(Instant::now());
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.end(Instant::now());
        Ok(())
    }
}

/// The API of a host, served a second time. It ends with the value.
pub struct MeteredApi {
    pub address: String,
    pub meter: StoreMeter,
    _stop: DropGuard,
}

impl MeteredApi {
    /// Serves the same operations over the same stores.
    pub fn serve(host: &Host) -> anyhow::Result<Self> {
        let meter = StoreMeter::default();
        let router = ::api::service(local::host::routes(), app(host, &meter)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let (sender, address) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                    let _ = sender.send(listener.local_addr()?);
                    tokio::select! {
                        served = axum::serve(listener, router) => served,
                        () = stopped => Ok(()),
                    }
                })
            })
            .context("no thread for the metered API")?;
        let address = address
            .recv_timeout(Duration::from_secs(5))
            .context("the metered API does not listen")?;
        Ok(Self {
            address: address.to_string(),
            meter,
            _stop: stop.drop_guard(),
        })
    }
}

fn app(host: &Host, meter: &StoreMeter) -> anyhow::Result<App> {
    let store = host.app().store();
    let mut clients = store.clients().clone();
    let dynamo = clients.dynamo.config().to_builder();
    clients.dynamo = aws_sdk_dynamodb::Client::from_conf(dynamo.interceptor(meter.clone()).build());
    let vault = store.vault().clone();
    let store =
        Store::new(clients, store.config().clone(), Arc::new(SystemClock)).with_vault(vault);
    let config = ApiConfig {
        environment: KeyEnvironment::new("local")?,
        verifier: host.issuer().verifier()?,
        signing: SigningKey::ephemeral(),
        streams_url: None,
    };
    Ok(App::new(store, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_overlap_take_their_time_once() {
        let (meter, start) = (StoreMeter::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        meter.begin(at(0));
        meter.begin(at(2));
        meter.end(at(5));
        meter.end(at(7));
        meter.begin(at(10));
        meter.end(at(11));
        let reading = meter.read();
        assert_eq!(
            (reading.calls, reading.under_way),
            (3, Duration::from_millis(8))
        );
    }
}
