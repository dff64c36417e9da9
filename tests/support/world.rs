//! A host of its own for each journey, and the people and machines that call it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::price::PriceMap;
use embedding::Embedders;
use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use local::{Host, HostOptions};
use outbound::{Limits, Policy};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use store::config::DEFAULT_RUNS_PER_ORG;
use store::{Store, Tenant};

use super::client::{Api, http_client, send, text};

/// How long anything that happens by itself may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How a journey's host is to be.
pub struct Setup {
    pub model: Scripted,
    pub outbound: Policy,
    /// The least time between two requests of a crawl to one host.
    pub pace: Duration,
    /// The limits of a request of a crawl.
    pub limits: Limits,
    pub prices: PriceMap,
    pub embedders: Embedders,
    pub data: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            model: diligent(),
            outbound: Policy::public(),
            pace: Duration::from_millis(1),
            limits: Limits::default(),
            prices: prices(0),
            embedders: Embedders::default(),
            data: None,
        }
    }
}

/// The usual prices, and so many micro-credits for each token of a scripted model's reply.
pub fn prices(output: u64) -> PriceMap {
    let per_million = output * 1_000_000;
    let scripted = json!([{ "from": "2020-01-01", "input": 0, "output": per_million }]);
    let own = json!({ "models": { "scripted::*": scripted } }).to_string();
    PriceMap::from_env(&move |_: &str| Some(own.clone())).expect("prices")
}

/// A model that keeps a note, where it may, and then answers.
pub fn diligent() -> Scripted {
    Scripted::computed(|request: &ChatRequest, _| {
        let may_remember = request.tools.iter().any(|tool| tool.name == "remember");
        match request.messages.len() {
            1 if may_remember => Turn::calls([("remember", json!({ "text": "Oil is changed." }))]),
            _ => Turn::text("Every 500 hours."),
        }
    })
}

/// A running host and what is needed to reach it.
pub struct World {
    pub host: Host,
    http: reqwest::Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A host whose agents speak with this model.
    pub async fn with_model(model: &Scripted) -> Self {
        Self::with(Setup {
            model: model.clone(),
            ..Setup::default()
        })
        .await
    }

    pub async fn with(setup: Setup) -> Self {
        let options = HostOptions {
            port: 0,
            data: setup.data,
            model: Arc::new(setup.model),
            outbound: setup.outbound,
            crawling: crawler::Settings {
                pace: setup.pace,
                limits: setup.limits,
            },
            prices: setup.prices,
            files: file_processor::Reader::on_threads(),
            runs_per_org: DEFAULT_RUNS_PER_ORG,
            sync_every_commit: false,
            embedders: setup.embedders,
        };
        let host = Host::start(options).await.expect("the host starts");
        Self {
            host,
            http: http_client(),
        }
    }

    pub fn store(&self) -> &Store {
        self.host.app().store()
    }

    /// Somebody without credentials.
    pub fn anonymous(&self) -> Api {
        Api::new(self.http.clone(), self.host.url(), None)
    }

    /// Whoever sends this as `Bearer …`.
    pub fn bearer(&self, credential: impl Into<String>) -> Api {
        Api::new(self.http.clone(), self.host.url(), Some(credential.into()))
    }

    /// A person whose mail address is `<subject>@example.com`, verified.
    pub fn person(&self, subject: &str) -> Api {
        self.bearer(self.host.issuer().token(subject, subject).expect("a token"))
    }

    /// A person who has just founded an org and acts for it.
    pub async fn founder(&self, subject: &str) -> Api {
        let person = self.person(subject);
        let org = person
            .create("/v1/orgs", &json!({ "name": format!("Org of {subject}") }))
            .await;
        person.for_org(text(&org["id"]))
    }

    /// A person who joins the org of `admin` by an invitation.
    pub async fn join(&self, admin: &Api, subject: &str, role: &str) -> Api {
        let body = json!({ "email": format!("{subject}@example.com"), "role": role });
        let path = format!("/v1/orgs/{}/invitations", admin.org());
        let invitation = admin.create(&path, &body).await;
        let person = self.person(subject);
        let accept = format!("{path}/{}/accept", text(&invitation["id"]));
        person
            .post(&accept, &json!({ "token": invitation["token"] }))
            .await
            .ok();
        person.for_org(admin.org())
    }

    /// A machine with a new key of the org of `admin`.
    pub async fn machine(&self, admin: &Api, scopes: &[&str]) -> Api {
        let key = admin
            .create(
                "/v1/api-keys",
                &json!({ "name": "Machine", "scopes": scopes }),
            )
            .await;
        self.bearer(text(&key["secret"]))
    }

    /// A request to any address, such as a presigned one.
    pub fn elsewhere(&self, method: http::Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Announces a file and uploads it, without confirming it. Returns the file.
    pub async fn upload(&self, api: &Api, name: &str, content: &[u8], base: Option<&str>) -> Value {
        let offer = api
            .create(&upload_path(api), &announced(name, content, base))
            .await;
        let stored = send(self.upload_request(&offer).body(content.to_vec())).await;
        assert!(stored.status.is_success(), "{stored}");
        offer["file"].clone()
    }

    /// The request that an offer of an upload asks for, without its body.
    pub fn upload_request(&self, offer: &Value) -> RequestBuilder {
        let upload = &offer["upload"];
        let mut request = self.elsewhere(http::Method::PUT, &text(&upload["url"]));
        let headers = upload["headers"].as_object().expect("headers");
        // A client counts its body by itself.
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(name, text(value));
        }
        request
    }
}

/// Where the org of a caller announces files.
pub fn upload_path(api: &Api) -> String {
    format!("/v1/orgs/{}/files/upload", api.org())
}

/// The announcement of a file.
pub fn announced(name: &str, content: &[u8], base: Option<&str>) -> Value {
    json!({
        "name": name,
        "content_type": "text/markdown",
        "size_bytes": content.len(),
        "sha256": local::client::sha256(content),
        "knowledge_base_id": base,
    })
}

/// The org of a caller, for a look behind the API.
pub fn tenant(api: &Api) -> Tenant {
    Tenant::authorised(api.org().parse().expect("an org's id"))
}

/// Looks again and again until something is there.
///
/// # Panics
/// When it is not, for longer than [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits for something that must come, such as a reply at a gate.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until an execution has ended, however it ends.
pub async fn ended(api: &Api, execution: &str) -> Value {
    eventually("the execution ends", async || {
        let execution = api.get(&format!("/v1/executions/{execution}")).await.ok();
        matches!(
            execution["state"].as_str(),
            Some("completed" | "failed" | "cancelled" | "expired")
        )
        .then_some(execution)
    })
    .await
}
