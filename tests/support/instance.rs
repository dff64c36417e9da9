//! A second instance of the API over the same state, called without a network, whose clock a
//! journey moves.

use std::sync::Arc;

use api::{ApiConfig, App, Routes};
use axum::Router;
use axum::body::Body;
use embedding::Embedders;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kernel::{Clock, ManualClock, SystemClock, Timestamp};
use serde_json::Value;
use store::clients::LocalEndpoints;
use store::{Clients, Store, StoreConfig};
use tower::ServiceExt as _;

use super::client::Answer;
use super::world::World;

/// The operations of every function, with the models and indexes that they need beside them.
pub fn routes() -> Routes {
    local::host::routes::<Routes>()
        .with(Embedders::default())
        .with(search::Indexes::default())
}

/// An instance as Lambda would start another.
#[derive(Clone)]
pub struct Instance {
    pub clock: ManualClock,
    router: Router,
}

impl Instance {
    /// An instance of every function. Its clock stands at the present.
    pub fn beside(world: &World) -> Self {
        Self::at(world, SystemClock.now())
    }

    /// An instance of every function, whose clock stands at `now`.
    pub fn at(world: &World, now: Timestamp) -> Self {
        Self::new(world, now, |app| api::service(routes(), app))
    }

    /// An instance of something else, over the same state.
    pub fn serving(world: &World, service: impl FnOnce(App) -> Router) -> Self {
        Self::new(world, SystemClock.now(), service)
    }

    /// An instance whose store does not answer.
    pub fn cut_off(world: &World) -> Self {
        // Nothing listens on the port that nobody may open.
        let nowhere = "http://127.0.0.1:1".to_owned();
        let clients = Clients::local(&LocalEndpoints {
            dynamo: nowhere.clone(),
            s3: nowhere.clone(),
            sqs: nowhere,
            region: "us-east-1".to_owned(),
            access_key_id: "none".to_owned(),
            secret_access_key: "none".to_owned(),
        });
        Self::over(world, clients, SystemClock.now(), |app| {
            api::service(routes(), app)
        })
    }

    /// An instance that is configured otherwise.
    pub fn with_config(world: &World, change: impl FnOnce(&mut StoreConfig)) -> Self {
        let mut config = world.store().config().clone();
        change(&mut config);
        let clients = world.store().clients().clone();
        let now = SystemClock.now();
        Self::configured(world, clients, config, now, |app| {
            api::service(routes(), app)
        })
    }

    fn new(world: &World, now: Timestamp, service: impl FnOnce(App) -> Router) -> Self {
        Self::over(world, world.store().clients().clone(), now, service)
    }

    fn over(
        world: &World,
        clients: Clients,
        now: Timestamp,
        service: impl FnOnce(App) -> Router,
    ) -> Self {
        let config = world.store().config().clone();
        Self::configured(world, clients, config, now, service)
    }

    fn configured(
        world: &World,
        clients: Clients,
        config: StoreConfig,
        now: Timestamp,
        service: impl FnOnce(App) -> Router,
    ) -> Self {
        let clock = ManualClock::at(now);
        let vault = world.store().vault().clone();
        let store = Store::new(clients, config, Arc::new(clock.clone())).with_vault(vault);
        let app = world.host.app();
        let config = ApiConfig {
            environment: app.environment().clone(),
            verifier: world.host.issuer().verifier().expect("a verifier"),
            signing: app.signing().clone(),
            streams_url: None,
        };
        let app = App::new(store, config);
        Self {
            clock,
            router: service(app),
        }
    }

    /// Sends a request through the instance.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .expect("the answer arrives whole")
            .to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub async fn get(&self, credential: &str, path: &str) -> Answer {
        self.send(request(Method::GET, credential, path, None, &[]))
            .await
    }

    pub async fn post(&self, credential: &str, path: &str, body: &Value) -> Answer {
        self.send(request(Method::POST, credential, path, Some(body), &[]))
            .await
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_once(&self, credential: &str, path: &str, body: &Value, key: &str) -> Answer {
        let headers = [("idempotency-key", key)];
        self.send(request(
            Method::POST,
            credential,
            path,
            Some(body),
            &headers,
        ))
        .await
    }
}

/// A request as the instance takes it.
pub fn request(
    method: Method,
    credential: &str,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {credential}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.body(body).expect("a request")
}
