//! A whole platform in one process, with one org and one API key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, App};
use aws_lambda_events::event::sqs::SqsEvent;
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use documents::Isolation;
use domain::event::{Actor, Event};
use domain::permission::Permission;
use embedded::{
    Options, QueueSource, QueueSpec, Services, TableNames, create_bucket, create_queues,
    create_tables,
};
use file_processor::Reader;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use identity::{ApiKey, KeyEnvironment, StaticKeys, Verifier};
use kernel::signing::SigningKey;
use kernel::{Clock as _, KnowledgeBaseId, ManualClock, SystemClock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::api_keys::{HashedSecret, NewApiKey};
use store::config::LocalEndpoints;
use store::identity::Presented;
use store::{Cause, Clients, Store, StoreConfig, Tenant};
use tower::ServiceExt as _;
use work::{Attempt, Fence, Job, JobStore, Outcome, Runner, RunnerConfig};

const BUCKET: &str = "files";
/// What a worker of the cloud has for one batch.
const INVOCATION: Duration = Duration::from_secs(300);

pub struct World {
    services: Services,
    pub store: Store,
    pub tenant: Tenant,
    pub clock: ManualClock,
    key: String,
    api: Router,
    runner: Runner,
    queue: QueueSource,
    browser: reqwest::Client,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of an answer that has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
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
        let services = Services::start(Options::memory())
            .await
            .expect("services start");
        let (config, queue) = resources(&services).await;
        let clients = Clients::local(&local(&services));
        let clock = ManualClock::at(SystemClock.now());
        let store = Store::new(clients, config, Arc::new(clock.clone()));
        let (tenant, key) = org_with_key(&store, &Permission::ALL.iter().copied().collect()).await;
        let handlers = file_processor::handlers_with(&store, reader);
        Self {
            api: api(&store),
            runner: lambda::batch::runner(&store, handlers, RunnerConfig::default()),
            browser: browser(),
            services,
            store,
            tenant,
            clock,
            key,
            queue,
        }
    }

    /// The key of a machine of the same org with fewer permissions.
    pub async fn key_with(&self, scopes: &[Permission]) -> String {
        new_key(&self.store, self.tenant, &scopes.iter().copied().collect()).await
    }

    /// The key of a machine of another org that may do everything there.
    pub async fn foreign_key(&self) -> String {
        org_with_key(&self.store, &Permission::ALL.iter().copied().collect())
            .await
            .1
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.key, method, path, body).await
    }

    pub async fn call_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        // What is made later is newer.
        self.clock.advance(Duration::from_millis(1));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).expect("a request");
        let response = self
            .api
            .clone()
            .oneshot(request)
            .await
            .expect("the API never fails");
        let status = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A new knowledge base.
    pub async fn base(&self) -> KnowledgeBaseId {
        let base = self
            .post("/v1/knowledge-bases", json!({ "name": "Handbooks" }))
            .await;
        id(&base.expect(201)["id"])
    }

    /// Announces a file, as part of a knowledge base if one is given.
    pub async fn announce(
        &self,
        name: &str,
        content: &[u8],
        base: Option<KnowledgeBaseId>,
    ) -> Value {
        let path = format!("/v1/orgs/{}/files/upload", self.tenant.org());
        let mut body = json!({
            "name": name,
            "content_type": "application/octet-stream",
            "size_bytes": content.len(),
            "sha256": STANDARD.encode(Sha256::digest(content)),
        });
        if let Some(base) = base {
            body["knowledge_base_id"] = json!(base);
        }
        self.post(&path, body).await.expect(201)
    }

    /// Sends content to where an announced file is to be uploaded; the status of the answer.
    pub async fn send(&self, announced: &Value, content: &[u8]) -> u16 {
        let upload = &announced["upload"];
        assert_eq!(upload["method"], "PUT");
        let headers: BTreeMap<String, String> =
            serde_json::from_value(upload["headers"].clone()).expect("headers");
        let mut request = self.browser.put(upload["url"].as_str().expect("a URL"));
        for (name, value) in headers {
            // The client counts for itself.
            if name != "content-length" {
                request = request.header(name, value);
            }
        }
        let reply = request
            .body(content.to_vec())
            .send()
            .await
            .expect("answered");
        reply.status().as_u16()
    }

    /// Announces, uploads and confirms a file; its id.
    pub async fn upload(
        &self,
        name: &str,
        content: &[u8],
        base: Option<KnowledgeBaseId>,
    ) -> String {
        let announced = self.announce(name, content, base).await;
        assert_eq!(self.send(&announced, content).await, 200);
        let file = announced["file"]["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/files/{file}/confirm");
        let confirmed = self.call(Method::POST, &path, None).await.expect(200);
        assert_eq!(confirmed["status"], "processing");
        file
    }

    pub async fn file(&self, file: &str) -> Value {
        self.get(&format!("/v1/files/{file}")).await.expect(200)
    }

    pub async fn document(&self, base: KnowledgeBaseId, file: &str) -> Option<Value> {
        let path = format!("/v1/knowledge-bases/{base}/documents");
        let listing = self.get(&path).await.expect(200);
        let items = listing["items"].as_array().expect("a list").clone();
        items.into_iter().find(|document| document["file"] == file)
    }

    pub async fn search(&self, base: KnowledgeBaseId, query: &str, limit: usize) -> Vec<Value> {
        let path = format!("/v1/knowledge-bases/{base}/search");
        let answer = self
            .post(&path, json!({ "query": query, "limit": limit }))
            .await
            .expect(200);
        assert_eq!(answer["model"], retrieval::embedding_model());
        answer["passages"].as_array().expect("a list").clone()
    }

    /// What a URL of a download gives.
    pub async fn download(&self, file: &str) -> (u16, Vec<u8>) {
        let download = self
            .get(&format!("/v1/files/{file}/download"))
            .await
            .expect(200);
        assert_eq!(download["method"], "GET");
        let url = download["url"].as_str().expect("a URL");
        let reply = self.browser.get(url).send().await.expect("answered");
        (
            reply.status().as_u16(),
            reply.bytes().await.expect("a body").to_vec(),
        )
    }

    /// Runs every job that was rung for, and those that they ring for. The messages that came, for
    /// them to be delivered again.
    pub async fn work(&self) -> Vec<SqsEvent> {
        let mut delivered = Vec::new();
        while let Some(event) = self.queue.poll().await.expect("the queue answers") {
            let again = self.deliver(event.clone()).await;
            assert_eq!(again, 0, "a message has to come again");
            delivered.push(event);
        }
        delivered
    }

    /// Delivers a batch of messages; how many of them are to come again.
    pub async fn deliver(&self, event: SqsEvent) -> usize {
        self.deliver_to(&self.runner, event).await
    }

    pub async fn deliver_to(&self, runner: &Runner, event: SqsEvent) -> usize {
        self.clock.advance(Duration::from_millis(1));
        let deadline = self.clock.now().plus(INVOCATION);
        let response = lambda::batch::run_doorbells(runner, event.clone(), deadline).await;
        self.queue
            .acknowledge(&event, &response)
            .await
            .expect("acknowledged");
        response.batch_item_failures.len()
    }

    /// Rings for a job that waits.
    pub async fn ring(&self, job: &Job) {
        self.store
            .bell()
            .ring(&job.doorbell(), Duration::ZERO)
            .await
            .expect("rung");
    }

    /// Claims the job of a message and dies of it: its lease is over. The fence of that attempt holds
    /// until somebody takes the job over.
    pub async fn claim(&self, event: &SqsEvent) -> Fence {
        let lease = Duration::from_secs(30);
        let job = self.jobs(std::slice::from_ref(event)).await.remove(0);
        let claimed = work::protocol::claim(&job, self.clock.now(), lease, job.version);
        let claimed = claimed.expect("claimed");
        self.replace(&claimed, job.version).await;
        self.clock.advance(lease);
        claimed.fence()
    }

    /// Writes a job over the one of that version.
    pub async fn replace(&self, job: &Job, version: u64) {
        let replaced = JobStore::replace(&self.store, job, version).await;
        assert!(replaced.expect("written"), "the job was changed meanwhile");
    }

    /// Makes one attempt at a job, in so much time. Whatever it commits is refused unless somebody has
    /// claimed the job.
    pub async fn attempt(&self, job: Job, time: Duration) -> Outcome {
        let mut handlers = file_processor::handlers(&self.store).into_iter();
        let handler = handlers.find(|handler| handler.kinds().contains(&job.kind.as_str()));
        let clock = Arc::new(self.clock.clone());
        handler
            .expect("a handler")
            .run(Attempt::detached(job, clock, time))
            .await
    }

    /// The next message.
    pub async fn message(&self) -> SqsEvent {
        self.queue
            .poll()
            .await
            .expect("the queue answers")
            .expect("a message")
    }

    /// A worker whose file storage does not answer.
    pub fn runner_without_storage(&self) -> Runner {
        let mut endpoints = local(&self.services);
        // A privileged port on which nothing listens.
        endpoints.s3 = "http://127.0.0.1:1".to_owned();
        let config = self.store.config().clone();
        let store = Store::new(
            Clients::local(&endpoints),
            config,
            Arc::new(self.clock.clone()),
        );
        let handlers = file_processor::handlers(&store);
        lambda::batch::runner(&store, handlers, RunnerConfig::default())
    }

    /// The jobs that these messages named, as they stand.
    pub async fn jobs(&self, delivered: &[SqsEvent]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for record in delivered.iter().flat_map(|event| &event.records) {
            let body = record.body.as_deref().expect("a body");
            let doorbell: work::Doorbell = serde_json::from_str(body).expect("a doorbell");
            let job = JobStore::load(&self.store, doorbell.org, doorbell.job).await;
            jobs.push(job.expect("read").expect("a job"));
        }
        jobs
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
        ephemeral: names.ephemeral,
        files_bucket: BUCKET.to_owned(),
        files_queue: queues[0].url.clone(),
        ..StoreConfig::default()
    };
    (config, queue.with_wait(Duration::ZERO))
}

fn api(store: &Store) -> Router {
    let issuer = "https://issuer.example";
    let keys = StaticKeys(br#"{"keys":[]}"#.to_vec());
    let config = ApiConfig {
        environment: environment(),
        verifier: Verifier::new(issuer, ["tests"], Arc::new(keys)).expect("a verifier"),
        signing: SigningKey::from_base64(&STANDARD.encode([7_u8; 32])).expect("a signing key"),
        streams_url: None,
    };
    let routes = files::routes().merge(knowledge_bases::routes());
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
