//! The stores and the API without any worker, so that a journey hands out the events itself, at
//! the times that it chooses.

use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, App, Routes};
use axum::Router;
use embedded::{Options, Services};
use embedding::Embedders;
use identity::KeyEnvironment;
use kernel::{Clock as _, ManualClock, OrgId, SystemClock};
use lambda::batch;
use llm::scripted::Scripted;
use local::issuer::LocalIssuer;
use local::secrets::Secrets;
use outbound::Policy;
use serde_json::json;
use store::clients::LocalEndpoints;
use store::config::DEFAULT_RUNS_PER_ORG;
use store::{Clients, Store};
use work::{DUE_SHARDS, Delivery, Handler, Job, JobStore as _, Runner, RunnerConfig};

use super::client::{Api, http_client, text};
use super::tables::Tables;

/// Running stores and an API over them.
pub struct Bare {
    pub store: Store,
    /// The clock of the store and the API.
    pub clock: ManualClock,
    issuer: LocalIssuer,
    url: String,
    secrets: Secrets,
    services: Services,
}

impl Bare {
    pub async fn start() -> Self {
        Self::reaching(Policy::public()).await
    }

    /// The same, where sources may be at these addresses.
    pub async fn reaching(policy: Policy) -> Self {
        let services = Services::start(Options::memory())
            .await
            .expect("the services start");
        let opened = local::host::open_store(&services, DEFAULT_RUNS_PER_ORG)
            .await
            .expect("the stores open");
        let clock = ManualClock::at(SystemClock.now());
        let (clients, config) = (opened.clients().clone(), opened.config().clone());
        let store = Store::new(clients, config, Arc::new(clock.clone()));
        let secrets = Secrets::open(None).expect("keys");
        let issuer = LocalIssuer::new(&secrets).expect("an issuer");
        let config = api_config(&issuer, &secrets);
        let routes = local::host::routes::<Routes>()
            .with(Embedders::default())
            .with(policy);
        let router = api::service(routes, App::new(store.clone(), config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            store,
            clock,
            issuer,
            url,
            secrets,
            services,
        }
    }

    /// Tables that watch what goes to those of the API, and a store over them.
    pub async fn watched(&self) -> (Tables, Store) {
        let endpoints = self.services.endpoints();
        let tables = Tables::before(&endpoints.dynamodb).await;
        let clients = Clients::local(&LocalEndpoints {
            dynamo: tables.url(),
            s3: endpoints.s3.clone(),
            sqs: endpoints.sqs.clone(),
            region: endpoints.region.clone(),
            access_key_id: endpoints.access_key_id.clone(),
            secret_access_key: endpoints.secret_access_key.clone(),
        });
        let clock = Arc::new(self.clock.clone());
        let store = Store::new(clients, self.store.config().clone(), clock);
        (tables, store)
    }

    /// Some operations of the API, over another store.
    pub fn serving(&self, routes: Routes, store: Store) -> Router {
        api::service(
            routes,
            App::new(store, api_config(&self.issuer, &self.secrets)),
        )
    }

    /// A person who has just founded an org and acts for it.
    pub async fn founder(&self, subject: &str) -> Api {
        let token = self.issuer.token(subject, subject).expect("a token");
        let person = Api::new(http_client(), self.url.clone(), Some(token));
        let org = person
            .create("/v1/orgs", &json!({ "name": "Bakery" }))
            .await;
        person.for_org(text(&org["id"]))
    }

    /// A machine with every scope of an org that somebody has just founded for it: unlike a person's
    /// token, its key is good for as long as the clock goes.
    pub async fn machine(&self, subject: &str) -> Api {
        let founder = self.founder(subject).await;
        let scopes = [
            "agents:read",
            "agents:write",
            "executions:read",
            "executions:write",
        ];
        let key = json!({ "name": "Machine", "scopes": scopes });
        let key = founder.create("/v1/api-keys", &key).await;
        self.bearer(text(&key["secret"])).for_org(founder.org())
    }

    /// Whoever sends this as `Bearer …`.
    pub fn bearer(&self, credential: impl Into<String>) -> Api {
        Api::new(http_client(), self.url.clone(), Some(credential.into()))
    }

    /// A runner of agents, as the worker has it.
    pub fn agents(&self, model: &Scripted, outbound: Policy) -> Runner {
        Self::agents_over(&self.store, model, outbound)
    }

    /// A runner of agents over another store.
    pub fn agents_over(store: &Store, model: &Scripted, outbound: Policy) -> Runner {
        let outbound = outbound::Client::new(outbound).expect("a client");
        let model = Arc::new(model.clone());
        let runner = agent_runner::AgentRunner::new(
            store.clone(),
            model,
            outbound,
            domain::price::PriceMap::built_in(),
        );
        let handlers: Vec<Arc<dyn Handler>> = vec![Arc::new(runner)];
        batch::runner(store, handlers, RunnerConfig::default())
    }

    /// The only job of an org that waits or is under way.
    pub async fn job_of(&self, org: OrgId) -> Job {
        self.due_job(org, None).await
    }

    /// The job of an org that is of one kind.
    pub async fn job_of_kind(&self, org: OrgId, kind: &str) -> Job {
        self.due_job(org, Some(kind)).await
    }

    async fn due_job(&self, org: OrgId, kind: Option<&str>) -> Job {
        let horizon = self.store.now().plus(Duration::from_secs(86_400));
        for shard in 0..DUE_SHARDS {
            let due = self
                .store
                .due(shard, horizon, 100)
                .await
                .expect("an answer");
            let wanted = |job: &Job| job.org == org && kind.is_none_or(|kind| job.kind == kind);
            if let Some(job) = due.into_iter().find(wanted) {
                return job;
            }
        }
        panic!("{org} has no such job");
    }

    /// A job as it stands.
    pub async fn job(&self, job: &Job) -> Job {
        self.store
            .load(job.org, job.id)
            .await
            .expect("an answer")
            .expect("is there")
    }

    /// Runs a job, as an invocation that lasts this long, and has its ring answered.
    pub async fn ring(&self, runner: &Runner, job: &Job, invocation: Duration) {
        let delivery = self.invoke(runner, job, invocation).await;
        assert_eq!(delivery, Delivery::Acknowledge);
    }

    /// Runs a job, as an invocation that lasts this long.
    pub async fn invoke(&self, runner: &Runner, job: &Job, invocation: Duration) -> Delivery {
        runner
            .run(job.doorbell(), self.clock.now().plus(invocation))
            .await
    }

    /// Lets the lease of a worker that died end, and has the job taken back.
    pub async fn bury_worker(&self) {
        self.clock
            .advance(RunnerConfig::default().lease + Duration::from_secs(1));
        sweeper::sweep(&self.store, self.store.now())
            .await
            .expect("a whole sweep");
    }
}

fn api_config(issuer: &LocalIssuer, secrets: &Secrets) -> ApiConfig {
    ApiConfig {
        environment: KeyEnvironment::new("local").expect("a name"),
        verifier: issuer.verifier().expect("a verifier"),
        signing: secrets.signing_key().expect("a key"),
        streams_url: None,
    }
}
