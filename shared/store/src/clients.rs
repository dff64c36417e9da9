//! The AWS clients of a process: what every request needs is made at start, the rest when it is
//! first used.

use std::sync::{Arc, OnceLock};

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use kernel::env::{ConfigError, EnvReader};

use crate::metering::CallMeter;

/// The certificates under which AWS serves its endpoints. Reading these few instead of the
/// machine's whole store saves milliseconds of every cold start.
const AMAZON_ROOTS: &[u8] = include_bytes!("../certs/amazon-roots.pem");

/// The AWS clients of one process. Cheap to clone; connections are made on first use.
#[derive(Clone)]
pub struct Clients {
    pub dynamo: aws_sdk_dynamodb::Client,
    /// Counts the calls to DynamoDB.
    pub meter: CallMeter,
    /// What the clients share, for clients of other services that are made when they are needed.
    pub sdk: SdkConfig,
    later: Arc<Later>,
}

/// Clients that most starts do not need: each takes a part of a millisecond to make.
#[derive(Default)]
struct Later {
    s3: OnceLock<aws_sdk_s3::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
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
    /// Clients as Lambda's environment says: region and credentials are variables, and so may
    /// endpoints be. The other places where an SDK looks, profiles, metadata services and tokens,
    /// are not there, and looking would cost every start.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn from_env(source: fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(&source);
        let region = env.required("AWS_REGION");
        let region = Region::new(env.finish(region)?);
        let credentials = EnvironmentVariableCredentialsProvider::new();
        Ok(Self::of(
            SdkConfig::builder()
                .region(region)
                .credentials_provider(SharedCredentialsProvider::new(credentials)),
            Endpoints::Environment(source),
        ))
    }

    /// Clients for the embedded services of a local host.
    #[must_use]
    pub fn local(endpoints: &LocalEndpoints) -> Self {
        let credentials = Credentials::new(
            endpoints.access_key_id.clone(),
            endpoints.secret_access_key.clone(),
            None,
            None,
            "local",
        );
        Self::of(
            SdkConfig::builder()
                .region(Region::new(endpoints.region.clone()))
                .credentials_provider(SharedCredentialsProvider::new(credentials)),
            Endpoints::Local(endpoints.clone()),
        )
    }

    fn of(sdk: aws_types::sdk_config::Builder, endpoints: Endpoints) -> Self {
        let sdk = sdk
            .behavior_version(BehaviorVersion::latest())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .http_client(http_client())
            .service_config(endpoints)
            .build();
        let meter = CallMeter::default();
        let dynamo = aws_sdk_dynamodb::config::Builder::from(&sdk).interceptor(meter.clone());
        Self {
            dynamo: aws_sdk_dynamodb::Client::from_conf(dynamo.build()),
            meter,
            sdk,
            later: Arc::default(),
        }
    }

    /// The client of S3, made when it is first asked for.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        self.later.s3.get_or_init(|| {
            let config = aws_sdk_s3::config::Builder::from(&self.sdk);
            // Emulators serve buckets by path; AWS takes both forms from a client with an endpoint.
            let has_endpoint = endpoint_of("S3", self.sdk.service_config()).is_some();
            aws_sdk_s3::Client::from_conf(config.force_path_style(has_endpoint).build())
        })
    }

    /// The client of SQS, made when it is first asked for.
    #[must_use]
    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.later
            .sqs
            .get_or_init(|| aws_sdk_sqs::Client::new(&self.sdk))
    }
}

const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL";

/// What the SDK is told of each service.
#[derive(Debug)]
enum Endpoints {
    /// By the SDK's own variables: `AWS_ENDPOINT_URL_S3` before `AWS_ENDPOINT_URL`.
    Environment(fn(&str) -> Option<String>),
    Local(LocalEndpoints),
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        match self {
            Self::Environment(source) => {
                let service = key.service_id().to_uppercase().replace(' ', "_");
                let set = |name: &str| source(name).filter(|value| !value.is_empty());
                set(&format!("{}_{service}", key.env())).or_else(|| set(key.env()))
            }
            Self::Local(endpoints) if key.env() == ENDPOINT_VARIABLE => match key.service_id() {
                "DynamoDB" => Some(endpoints.dynamo.clone()),
                "S3" => Some(endpoints.s3.clone()),
                "SQS" => Some(endpoints.sqs.clone()),
                _ => None,
            },
            Self::Local(_) => None,
        }
    }
}

fn endpoint_of(service: &str, services: Option<&dyn LoadServiceConfig>) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env(ENDPOINT_VARIABLE)
        .profile("endpoint_url");
    services?.load_config(key.build().ok()?)
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

    fn variable(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-central-1",
            "AWS_ENDPOINT_URL" => "http://general",
            "AWS_ENDPOINT_URL_S3" => "http://files",
            "AWS_ENDPOINT_URL_SQS" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn an_endpoint_of_a_service_goes_before_the_one_of_all() {
        let clients = Clients::from_env(variable).unwrap();
        let endpoint = |service| endpoint_of(service, clients.sdk.service_config());
        assert_eq!(endpoint("S3").as_deref(), Some("http://files"));
        assert_eq!(endpoint("SQS").as_deref(), Some("http://general"));
        assert_eq!(endpoint("DynamoDB").as_deref(), Some("http://general"));
    }

    #[test]
    fn a_local_service_has_its_own_endpoint_and_no_other_setting() {
        let local = LocalEndpoints {
            dynamo: "http://tables".to_owned(),
            s3: "http://files".to_owned(),
            sqs: "http://queues".to_owned(),
            region: "local".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let clients = Clients::local(&local);
        let endpoint = |service| endpoint_of(service, clients.sdk.service_config());
        assert_eq!(endpoint("DynamoDB").as_deref(), Some("http://tables"));
        assert_eq!(endpoint("SQS").as_deref(), Some("http://queues"));
        assert_eq!(endpoint("KMS"), None);
    }

    #[test]
    fn without_a_region_there_are_no_clients() {
        let error = Clients::from_env(|_| None).err().unwrap().to_string();
        assert!(error.contains("AWS_REGION is not set"), "{error}");
    }

    #[test]
    fn the_other_clients_are_made_once_and_only_when_asked_for() {
        let clients = Clients::from_env(variable).unwrap();
        assert!(clients.later.s3.get().is_none() && clients.later.sqs.get().is_none());
        let clone = clients.clone();
        assert!(std::ptr::eq(clients.s3(), clone.s3()));
        assert!(std::ptr::eq(clients.sqs(), clone.sqs()));
    }
}
