//! A whole platform in one process, with one org and one API key.

mod calls;
mod workers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, App, Table as _};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use documents::Isolation;
use domain::event::{Actor, Event};
use domain::permission::Permission;
use embedded::{
    Options, QueueSource, QueueSpec, Services, TableNames, create_bucket, create_queues,
    create_tables,
};
use embedding::{Embedder, Embedders, Scripted};
use file_processor::{Embedding, Reader};
use identity::{ApiKey, KeyEnvironment, StaticKeys, Verifier};
use kernel::signing::SigningKey;
use kernel::{Clock as _, ManualClock, SystemClock};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::api_keys::{HashedSecret, NewApiKey};
use store::clients::LocalEndpoints;
use store::identity::Presented;
use store::{Cause, Clients, Store, StoreConfig, Tenant};
use work::{Runner, RunnerConfig};

const BUCKET: &str = "files";
pub struct World {
    services: Services,
    pub store: Store,
    pub tenant: Tenant,
    pub clock: ManualClock,
    key: String,
    api: Router,
    runner: Runner,
    queue: QueueSource,
    embedding: Embedding,
    browser: reqwest::Client,
}

impl World {
    /// A platform that reads files in processes of the worker's own program.
    pub async fn new() -> Self {
        let isolation = Isolation::Process {
            program: PathBuf::from(env!("CARGO_BIN_EXE_file-processor")),
            arguments: Vec::new(),
        };
        Self::with_reader(Reader {
            isolation,
            ..Reader::on_threads()
        })
        .await
    }

    pub async fn with_reader(reader: Reader) -> Self {
        Self::with(reader, Embedders::default()).await
    }

    /// A platform with these models beside the static one, which reads files on threads.
    pub async fn with_models<const N: usize>(models: [Scripted; N]) -> Self {
        let built_in: Arc<dyn Embedder> = Arc::new(embedding::StaticModel);
        let models = models
            .into_iter()
            .map(|model| Arc::new(model) as Arc<dyn Embedder>);
        let embedders = Embedders::new(std::iter::once(built_in).chain(models).collect());
        Self::with(Reader::on_threads(), embedders).await
    }

    async fn with(reader: Reader, embedders: Embedders) -> Self {
        let services = Services::start(Options::memory())
            .await
            .expect("services start");
        let (config, queue) = resources(&services).await;
        let clients = Clients::local(&local(&services));
        let clock = ManualClock::at(SystemClock.now());
        let store = Store::new(clients, config, Arc::new(clock.clone()));
        let (tenant, key) = org_with_key(&store, &Permission::ALL.iter().copied().collect()).await;
        let embedding = Embedding {
            embedders,
            ..Embedding::default()
        };
        let handlers = file_processor::handlers_with(&store, reader, embedding.clone());
        Self {
            api: api(&store, &embedding.embedders),
            runner: lambda::batch::runner(&store, handlers, RunnerConfig::default()),
            browser: browser(),
            services,
            store,
            tenant,
            clock,
            key,
            queue,
            embedding,
        }
    }

    /// What happened in the org, in order, by type.
    pub async fn events(&self) -> Vec<String> {
        let page = self
            .services
            .clients()
            .dynamodb
            .query()
            .table_name(&self.store.config().log)
            .key_condition_expression("pk = :org")
            .expression_attribute_values(
                ":org",
                aws_sdk_dynamodb::types::AttributeValue::S(format!("ORG#{}", self.tenant.org())),
            )
            .send()
            .await
            .expect("the log is read");
        let events = page.items.unwrap_or_default().into_iter();
        events
            .map(|item| serde_dynamo::from_item::<_, Event>(item).expect("an event"))
            .map(|event| event.kind.name().to_owned())
            .collect()
    }

    /// The keys of every object that is kept.
    pub async fn objects(&self) -> Vec<String> {
        let s3 = &self.services.clients().s3;
        let listed = s3
            .list_objects_v2()
            .bucket(BUCKET)
            .send()
            .await
            .expect("listed");
        listed
            .contents()
            .iter()
            .filter_map(|object| object.key().map(str::to_owned))
            .collect()
    }

    /// Another org.
    pub async fn other_tenant(&self) -> Tenant {
        org_with_key(&self.store, &Permission::ALL.iter().copied().collect())
            .await
            .0
    }

    pub fn clock_now(&self) -> kernel::Timestamp {
        self.clock.now()
    }

    pub fn cause(&self) -> Cause {
        Cause {
            actor: Actor::System,
            correlation_id: "test".to_owned(),
        }
    }
}

/// A file that the repository carries.
pub fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../samples")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The checksum of a content, as an announcement has it.
pub fn sha256(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}

/// An id of the API.
pub fn id<T: std::str::FromStr>(value: &Value) -> T {
    let text = value.as_str().expect("an id");
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is not an id of that kind"))
}

fn local(services: &Services) -> LocalEndpoints {
    let endpoints = services.endpoints();
    LocalEndpoints {
        dynamo: endpoints.dynamodb.clone(),
        s3: endpoints.s3.clone(),
        sqs: endpoints.sqs.clone(),
        region: endpoints.region.clone(),
        access_key_id: endpoints.access_key_id.clone(),
        secret_access_key: endpoints.secret_access_key.clone(),
    }
}

async fn resources(services: &Services) -> (StoreConfig, QueueSource) {
    let clients = services.clients();
    let names = TableNames::default();
    create_tables(&clients.dynamodb, &names)
        .await
        .expect("tables");
    create_bucket(&clients.s3, BUCKET).await.expect("a bucket");
    let spec = QueueSpec::new("files", Duration::from_secs(30));
    let queues = create_queues(&clients.sqs, &[spec]).await.expect("queues");
    let queue = QueueSource::new(&clients.sqs, &queues[0].url, 1)
        .await
        .expect("a queue");
    let config = StoreConfig {
        core: names.core,
        work: names.work,
        log: names.log,
        metrics: names.metrics,
        knowledge: names.knowledge,
        audit: names.audit,
        ledger: names.ledger,
        vault: names.vault,
        ephemeral: names.ephemeral,
        files_bucket: BUCKET.to_owned(),
        files_queue: queues[0].url.clone(),
        runs_per_org: store::config::DEFAULT_RUNS_PER_ORG,
        ..StoreConfig::default()
    };
    (config, queue.with_wait(Duration::ZERO))
}

fn api(store: &Store, embedders: &Embedders) -> Router {
    let issuer = "https://issuer.example";
    let keys = StaticKeys(br#"{"keys":[]}"#.to_vec());
    let config = ApiConfig {
        environment: environment(),
        verifier: Verifier::new(issuer, ["tests"], Arc::new(keys)).expect("a verifier"),
        signing: SigningKey::from_base64(&STANDARD.encode([7_u8; 32])).expect("a signing key"),
        streams_url: None,
    };
    let routes = files::routes::<api::Routes>().merge(knowledge_bases::routes());
    let routes = routes.with(embedders.clone());
    api::service(routes, App::new(store.clone(), config))
}

fn environment() -> KeyEnvironment {
    KeyEnvironment::new("local").expect("an environment")
}

async fn org_with_key(store: &Store, scopes: &BTreeSet<Permission>) -> (Tenant, String) {
    let presented = Presented {
        issuer: "https://issuer.example",
        subject: "founder",
        email: Some("founder@example.com"),
        email_verified: true,
        name: Some("Founder"),
    };
    let founder = store
        .identities()
        .recognise(&presented)
        .await
        .expect("a user");
    let cause = Cause {
        actor: Actor::System,
        correlation_id: "test".to_owned(),
    };
    let org = store
        .create_org(&cause, "Org".to_owned(), &founder)
        .await
        .expect("an org");
    let tenant = Tenant::authorised(org.id);
    (tenant, new_key(store, tenant, scopes).await)
}

async fn new_key(store: &Store, tenant: Tenant, scopes: &BTreeSet<Permission>) -> String {
    let key = ApiKey::generate(&environment(), &mut rand::rng());
    let new = NewApiKey {
        name: "Test".to_owned(),
        scopes: scopes.clone(),
        agent: None,
        expires_at: None,
    };
    let secret = HashedSecret {
        hash: key.hash(),
        hint: key.hint(),
    };
    let cause = Cause {
        actor: Actor::System,
        correlation_id: "test".to_owned(),
    };
    store
        .api_keys(tenant)
        .create(&cause, new, secret)
        .await
        .expect("a key");
    key.expose().to_owned()
}

/// A plain HTTP client, as a browser would be.
fn browser() -> reqwest::Client {
    // Fails when another test of this process was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client")
}
