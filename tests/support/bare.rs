//! The stores and the API without any worker, so that a journey hands out the events itself, at
//! the times that it chooses.

use std::sync::Arc;

use api::{ApiConfig, App};
use embedded::{Options, Services};
use identity::KeyEnvironment;
use kernel::{Clock as _, ManualClock, SystemClock};
use local::issuer::LocalIssuer;
use local::secrets::Secrets;
use serde_json::json;
use store::Store;

use super::client::{Api, http_client, text};

/// Running stores and an API over them.
pub struct Bare {
    pub store: Store,
    /// The clock of the store and the API.
    pub clock: ManualClock,
    issuer: LocalIssuer,
    url: String,
    _services: Services,
}

impl Bare {
    pub async fn start() -> Self {
        let services = Services::start(Options::memory())
            .await
            .expect("the services start");
        let opened = local::host::open_store(&services)
            .await
            .expect("the stores open");
        let clock = ManualClock::at(SystemClock.now());
        let (clients, config) = (opened.clients().clone(), opened.config().clone());
        let store = Store::new(clients, config, Arc::new(clock.clone()));
        let secrets = Secrets::open(None).expect("keys");
        let issuer = LocalIssuer::new(&secrets).expect("an issuer");
        let config = ApiConfig {
            environment: KeyEnvironment::new("local").expect("a name"),
            verifier: issuer.verifier().expect("a verifier"),
            signing: secrets.signing_key().expect("a key"),
            streams_url: None,
        };
        let router = api::service(local::host::routes(), App::new(store.clone(), config));
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
            _services: services,
        }
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
}
