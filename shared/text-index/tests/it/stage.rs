//! An org with a store, a writer and a reader.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use domain::event::{Actor, Event, EventKind};
use domain::file::{File, FileStatus};
use domain::knowledge::{Chunk, Document, DocumentStatus};
use domain::org::Org;
use domain::task::{Priority, Task, TaskStatus};
use domain::viewer::Viewer;
use embedded::{
    Options, QueueSpec, Services, TableNames, create_bucket, create_queues, create_tables,
};
use kernel::{Clock as _, FileId, KnowledgeBaseId, ManualClock, OrgId, SystemClock, TaskId};
use serde_json::json;
use store::clients::LocalEndpoints;
use store::text_index::IndexHead;
use store::{Cause, Clients, Commit, Store, StoreConfig, Tenant};
use text_index::{Found, ItemKind, Query, Scope, TextIndex, Updater};
use work::{Attempt, Handler as _, JobStore as _, Outcome, protocol};

const BUCKET: &str = "files";
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
pub const BASE: KnowledgeBaseId = KnowledgeBaseId::from_u128(1);

pub struct Stage {
    _services: Services,
    pub store: Store,
    pub clock: ManualClock,
    pub tenant: Tenant,
    pub reader: TextIndex,
}

impl Stage {
    pub async fn start() -> Self {
        let services = Services::start(Options::memory())
            .await
            .expect("services start");
        let tables = TableNames::default();
        let clients = services.clients();
        create_tables(&clients.dynamodb, &tables)
            .await
            .expect("tables");
        create_bucket(&clients.s3, BUCKET).await.expect("a bucket");
        let lanes = work::Lane::ALL;
        let specs = lanes.map(|lane| QueueSpec::new(lane.as_str(), Duration::from_secs(60)));
        let queues = create_queues(&clients.sqs, &specs).await.expect("queues");
        let index_queue = queues.iter().find(|queue| queue.name == "index");
        let config = StoreConfig {
            core: tables.core,
            work: tables.work,
            log: tables.log,
            knowledge: tables.knowledge,
            files_bucket: BUCKET.to_owned(),
            index_queue: index_queue.expect("a queue").url.clone(),
            ..StoreConfig::default()
        };
        let endpoints = services.endpoints();
        let clients = Clients::local(&LocalEndpoints {
            dynamo: endpoints.dynamodb.clone(),
            s3: endpoints.s3.clone(),
            sqs: endpoints.sqs.clone(),
            region: endpoints.region.clone(),
            access_key_id: endpoints.access_key_id.clone(),
            secret_access_key: endpoints.secret_access_key.clone(),
        });
        let clock = ManualClock::at(SystemClock.now());
        let store = Store::new(clients, config, Arc::new(clock.clone()));
        let tenant = Tenant::authorised(OrgId::generate(clock.now()));
        let stage = Self {
            reader: TextIndex::new(store.clone(), CACHE_BYTES),
            _services: services,
            store,
            clock,
            tenant,
        };
        stage.found(tenant).await;
        stage
    }

    /// Founds an org.
    pub async fn found(&self, tenant: Tenant) {
        let now = self.store.now();
        let org = Org {
            id: tenant.org(),
            name: "Org".to_owned(),
            admins: 1,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let commit = Commit::new(tenant).put(&org);
        self.store.commit(commit).await.expect("an org");
    }

    pub fn writer(&self) -> Updater {
        Updater::new(self.store.clone(), CACHE_BYTES)
    }

    /// An attempt at the org's job, which takes it from whoever had it.
    pub async fn claim(&self, tenant: Tenant) -> Attempt {
        let id = self.store.text_index(tenant).job_id();
        let job = self.store.load(tenant.org(), id).await.expect("an answer");
        let mut job = job.expect("a job");
        let now = self.store.now();
        let version = job.version;
        if job.fence().is_held_by(&job) {
            let (fence, jitter) = (job.fence(), protocol::Jitter::NONE);
            job = protocol::settle(&job, fence, &Outcome::Yield, None, now, jitter).expect("held");
        }
        job.due_at = job.due_at.min(now);
        let lease = Duration::from_secs(30);
        let mut claimed = protocol::claim(&job, now, lease, 1).expect("claimable");
        claimed.version = version + 1;
        let written = self.store.replace(&claimed, version).await;
        assert!(written.expect("an answer"), "nobody else claims");
        Attempt::detached(claimed, self.store.clock(), Duration::from_secs(60))
    }

    /// Runs the job until nothing is left to do.
    pub async fn update(&self) {
        self.update_of(self.tenant).await;
    }

    pub async fn update_of(&self, tenant: Tenant) {
        let attempt = self.claim(tenant).await;
        let outcome = self.writer().run(attempt).await;
        assert!(matches!(outcome, Outcome::Park { .. }), "{outcome:?}");
    }

    pub fn event(&self, kind: EventKind, subject: String, data: serde_json::Value) -> Event {
        let cause = Cause {
            actor: Actor::System,
            correlation_id: "test".to_owned(),
        };
        self.store.event(self.tenant, &cause, kind, subject, data)
    }

    pub async fn mark(&self, events: &[Event]) {
        let index = self.store.text_index(self.tenant);
        index.mark(events).await.expect("marked");
    }

    /// Writes a task as it is, without an event.
    pub async fn put_task(&self, tenant: Tenant, number: u128, title: &str) {
        let now = self.store.now();
        let task = Task {
            id: TaskId::from_u128(number),
            org: tenant.org(),
            title: title.to_owned(),
            description: String::new(),
            status: TaskStatus::Todo,
            priority: Priority::Normal,
            assignee: None,
            auto_run: false,
            due_at: None,
            execution: None,
            result: None,
            created_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let commit = Commit::new(tenant).put(&task);
        self.store.commit(commit).await.expect("a task");
    }

    pub fn task_event(&self, number: u128) -> Event {
        let id = TaskId::from_u128(number).to_string();
        self.event(EventKind::TaskUpdated, id, json!({}))
    }

    /// Writes a document whose chunks all say the same, without an event.
    pub async fn put_document(&self, file: u128, chunks: u32, text: &str) {
        let (now, org, file) = (self.store.now(), self.tenant.org(), FileId::from_u128(file));
        let row = File {
            id: file,
            org,
            name: "manual.md".to_owned(),
            url: None,
            content_type: "text/markdown".to_owned(),
            size_bytes: 1,
            sha256: String::new(),
            status: FileStatus::Ready,
            content_version: 1,
            last_content_version: 1,
            uploaded_as: 1,
            format: Some("markdown".to_owned()),
            title: None,
            language: None,
            programming_language: None,
            characters: None,
            job: None,
            pages: None,
            chunks: Some(chunks),
            failure: None,
            deletion: None,
            knowledge_bases: vec![BASE],
            uploaded_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let document = Document {
            org,
            knowledge_base: BASE,
            file,
            name: row.name.clone(),
            url: None,
            content_version: 1,
            status: DocumentStatus::Ready,
            chunks,
            vector_sets: vec![0],
            joining: None,
            failure: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let commit = Commit::new(self.tenant).put(&row).put(&document);
        self.store.commit(commit).await.expect("a document");
        let rows: Vec<Chunk> = (0..chunks)
            .map(|ordinal| Chunk {
                org,
                knowledge_base: BASE,
                file,
                document: row.name.clone(),
                url: None,
                content_version: 1,
                ordinal,
                text: format!("{text} {ordinal}"),
                page: None,
                heading_path: Vec::new(),
                start: 0,
                end: 1,
            })
            .collect();
        let knowledge = self.store.knowledge(self.tenant);
        knowledge.write_chunks(&rows).await.expect("chunks");
    }

    pub fn document_event(&self, file: u128) -> Event {
        let data = json!({ "knowledge_base": BASE });
        let file = FileId::from_u128(file).to_string();
        self.event(EventKind::DocumentIndexed, file, data)
    }

    pub async fn search(&self, text: &str) -> Found {
        self.search_in(self.tenant, text).await
    }

    pub async fn search_in(&self, tenant: Tenant, text: &str) -> Found {
        let query = Query {
            limit: 100,
            ..Query::new(text)
        };
        let found = self.reader.search(tenant, &scope(), &query).await;
        found.expect("an answer")
    }

    pub async fn head(&self) -> IndexHead {
        let index = self.store.text_index(self.tenant);
        index.head().await.expect("an answer").expect("a head")
    }
}

pub fn scope() -> Scope {
    Scope::new(ItemKind::ALL.iter().copied(), Viewer::Everything)
}

/// Polls a future until it has waited so many times, then drops it: a process that dies there.
pub async fn crash_after<T>(waits: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
