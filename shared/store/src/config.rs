//! What the store is pointed at: names from the environment, clients made from them.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use kernel::env::{ConfigError, EnvReader};
use work::Lane;

use crate::executions::MAX_PLACES;
use crate::metering::CallMeter;

/// The certificates under which AWS serves its endpoints. Reading these few instead of the
/// machine's whole store saves milliseconds of every cold start.
const AMAZON_ROOTS: &[u8] = include_bytes!("../certs/amazon-roots.pem");

/// How many executions of one org may run at the same time, unless it is configured. Less than
/// what the workers can run at once, so that no org has all of them.
pub const DEFAULT_RUNS_PER_ORG: u32 = 20;

/// How many executions of one org may run at the same time, by the environment.
///
/// # Errors
/// Says what the variable must be, if it is something else.
pub fn runs_per_org(source: &dyn Fn(&str) -> Option<String>) -> Result<u32, ConfigError> {
    let mut env = EnvReader::new(source);
    let runs = read_runs_per_org(&mut env);
    env.finish(runs)
}

fn read_runs_per_org(env: &mut EnvReader<'_>) -> u32 {
    let name = "OVERGLASS_RUNS_PER_ORG";
    let Some(text) = env.optional(name) else {
        return DEFAULT_RUNS_PER_ORG;
    };
    let runs = text.parse().ok();
    let allowed = runs.filter(|runs| (1..=MAX_PLACES).contains(runs));
    allowed.unwrap_or_else(|| {
        env.reject(name, format!("must be a number from 1 to {MAX_PLACES}"));
        DEFAULT_RUNS_PER_ORG
    })
}

/// A table: a boundary of trust, retention and backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Definitions: orgs, members, users, keys, agents, tools, tasks, files, knowledge bases.
    Core,
    /// Jobs and executions with their journals and streams.
    Work,
    /// Domain events; its stream feeds the event router.
    Log,
    /// Read models that follow the events.
    Metrics,
    /// Documents and chunks with their vectors.
    Knowledge,
    /// The audit chains.
    Audit,
    /// Budgets and their ledgers.
    Ledger,
    /// Encrypted credentials, and the wrapped keys that encrypt them.
    Vault,
    /// What expires: idempotency records, caches.
    Ephemeral,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Core,
        Self::Work,
        Self::Log,
        Self::Metrics,
        Self::Knowledge,
        Self::Audit,
        Self::Ledger,
        Self::Vault,
        Self::Ephemeral,
    ];

    /// The environment variable with the table's name.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Core => "OVERGLASS_TABLE_CORE",
            Self::Work => "OVERGLASS_TABLE_WORK",
            Self::Log => "OVERGLASS_TABLE_LOG",
            Self::Metrics => "OVERGLASS_TABLE_METRICS",
            Self::Knowledge => "OVERGLASS_TABLE_KNOWLEDGE",
            Self::Audit => "OVERGLASS_TABLE_AUDIT",
            Self::Ledger => "OVERGLASS_TABLE_LEDGER",
            Self::Vault => "OVERGLASS_TABLE_VAULT",
            Self::Ephemeral => "OVERGLASS_TABLE_EPHEMERAL",
        }
    }
}

/// Names of tables, queues and bucket. A function is given only those that it may touch; the name
/// of any other is empty, and its use fails at DynamoDB as it would by policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreConfig {
    pub core: String,
    pub work: String,
    pub log: String,
    pub metrics: String,
    pub knowledge: String,
    pub audit: String,
    pub ledger: String,
    pub vault: String,
    pub ephemeral: String,
    /// The bucket of uploaded files and what was extracted from them.
    pub files_bucket: String,
    /// URLs of the queues, one for each lane.
    pub agent_interactive_queue: String,
    pub agent_bulk_queue: String,
    pub files_queue: String,
    /// How many executions of one org may run at the same time.
    pub runs_per_org: u32,
}

impl StoreConfig {
    /// Reads the names that are set.
    ///
    /// # Errors
    /// Names each variable of `needed` that is missing, all in one error.
    pub fn from_env(
        source: &dyn Fn(&str) -> Option<String>,
        needed: &[&str],
    ) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(source);
        for name in needed {
            env.required(name);
        }
        let runs_per_org = read_runs_per_org(&mut env);
        let mut read = |name: &str| env.optional(name).unwrap_or_default();
        let config = Self {
            core: read(Table::Core.variable()),
            work: read(Table::Work.variable()),
            log: read(Table::Log.variable()),
            metrics: read(Table::Metrics.variable()),
            knowledge: read(Table::Knowledge.variable()),
            audit: read(Table::Audit.variable()),
            ledger: read(Table::Ledger.variable()),
            vault: read(Table::Vault.variable()),
            ephemeral: read(Table::Ephemeral.variable()),
            files_bucket: read("OVERGLASS_BUCKET_FILES"),
            agent_interactive_queue: read("OVERGLASS_QUEUE_AGENT_INTERACTIVE"),
            agent_bulk_queue: read("OVERGLASS_QUEUE_AGENT_BULK"),
            files_queue: read("OVERGLASS_QUEUE_FILES"),
            runs_per_org,
        };
        env.finish(config)
    }

    /// The name of a table.
    #[must_use]
    pub fn table(&self, table: Table) -> &str {
        match table {
            Table::Core => &self.core,
            Table::Work => &self.work,
            Table::Log => &self.log,
            Table::Metrics => &self.metrics,
            Table::Knowledge => &self.knowledge,
            Table::Audit => &self.audit,
            Table::Ledger => &self.ledger,
            Table::Vault => &self.vault,
            Table::Ephemeral => &self.ephemeral,
        }
    }

    /// The URL of a lane's queue.
    #[must_use]
    pub fn queue(&self, lane: Lane) -> &str {
        match lane {
            Lane::AgentInteractive => &self.agent_interactive_queue,
            Lane::AgentBulk => &self.agent_bulk_queue,
            Lane::Files => &self.files_queue,
        }
    }
}

/// The AWS clients of one process. Cheap to clone; connections are made on first use.
#[derive(Clone)]
pub struct Clients {
    pub dynamo: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
    /// Counts the calls to DynamoDB.
    pub meter: CallMeter,
    /// What the clients share, for clients of other services that are made when they are needed.
    pub sdk: SdkConfig,
}

/// Where the services of a local host listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEndpoints {
    pub dynamo: String,
    pub s3: String,
    pub sqs: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Clients {
    /// Clients for the account and region that the environment names.
    pub async fn from_env() -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .load()
            .await;
        // Emulators serve buckets by path; AWS takes both forms from a client with an endpoint.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(path_style)
            .build();
        Self::with(
            &config,
            aws_sdk_dynamodb::config::Builder::from(&config),
            s3,
            aws_sdk_sqs::config::Builder::from(&config),
        )
    }

    /// Clients for the embedded services of a local host.
    #[must_use]
    pub fn local(endpoints: &LocalEndpoints) -> Self {
        let credentials = aws_credential_types::Credentials::new(
            endpoints.access_key_id.clone(),
            endpoints.secret_access_key.clone(),
            None,
            None,
            "local",
        );
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new(endpoints.region.clone()))
            .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
                credentials,
            ))
            .sleep_impl(aws_smithy_async_sleep())
            .http_client(http_client())
            .build();
        Self::with(
            &config,
            aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&endpoints.dynamo),
            aws_sdk_s3::config::Builder::from(&config)
                .endpoint_url(&endpoints.s3)
                .force_path_style(true)
                .build(),
            aws_sdk_sqs::config::Builder::from(&config).endpoint_url(&endpoints.sqs),
        )
    }

    fn with(
        sdk: &SdkConfig,
        dynamo: aws_sdk_dynamodb::config::Builder,
        s3: aws_sdk_s3::Config,
        sqs: aws_sdk_sqs::config::Builder,
    ) -> Self {
        let meter = CallMeter::default();
        Self {
            dynamo: aws_sdk_dynamodb::Client::from_conf(dynamo.interceptor(meter.clone()).build()),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            meter,
            sdk: sdk.clone(),
        }
    }
}

fn aws_smithy_async_sleep() -> aws_sdk_dynamodb::config::SharedAsyncSleep {
    aws_sdk_dynamodb::config::SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new())
}

fn http_client() -> SharedHttpClient {
    let context = tls::TlsContext::builder()
        .with_trust_store(tls::TrustStore::empty().with_pem_certificate(AMAZON_ROOTS))
        .build()
        .unwrap_or_else(|error| unreachable!("the embedded certificates are valid: {error}"));
    Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_and_missing_is_named_together() {
        let source = |name: &str| (name == "OVERGLASS_TABLE_CORE").then(|| "core".to_owned());
        let error = StoreConfig::from_env(
            &source,
            &[
                "OVERGLASS_TABLE_CORE",
                "OVERGLASS_TABLE_WORK",
                "OVERGLASS_QUEUE_FILES",
            ],
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("OVERGLASS_TABLE_WORK") && error.contains("OVERGLASS_QUEUE_FILES"));
        assert!(!error.contains("OVERGLASS_TABLE_CORE is not set"));
    }

    #[test]
    fn the_embedded_certificates_are_usable() {
        let _ = http_client();
    }
}
