//! The Lambda host: what turns a library of routes or handlers into a function.
//!
//! | trigger | runner |
//! |---|---|
//! | HTTP API | [`http`], [`http_with_vault`] where secrets are kept, [`open`] where nobody signs in |
//! | Function URL with a streamed response | [`streaming`] |
//! | SQS doorbells | [`worker`], [`worker_with_commands`] where an operator invokes it too |
//! | the Log table's stream | [`stream`] |
//! | a schedule | [`schedule`] |
//!
//! Each reads its configuration once, at cold start, and fails there with everything that is
//! missing named. The shapes of batches are handled by [`batch`], which the local host uses too.

pub mod batch;
mod context;
pub mod telemetry;

use std::sync::Arc;

use aws_lambda_events::event::dynamodb::Event as DynamoEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize as _;
use serde_json::Value;
use store::Store;
use work::{Handler, RunnerConfig};

pub use batch::StreamReader;
pub use context::with_vault;
pub use lambda_runtime::Error;

/// Serves routes behind the HTTP API.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn http(routes: api::Routes) -> Result<(), Error> {
    telemetry::init();
    let app = context::app()?;
    lambda_http::run(api::service(routes, app).layer(from_fn(flush_after))).await
}

/// Serves routes that keep secrets, behind the HTTP API: their store has a vault.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn http_with_vault(routes: api::Routes) -> Result<(), Error> {
    telemetry::init();
    let app = context::app_with_vault()?;
    lambda_http::run(api::service(routes, app).layer(from_fn(flush_after))).await
}

/// Serves routes that nobody signs in to, behind the HTTP API. Such a function holds no secret, and
/// the names of those tables only that it was given.
///
/// # Errors
/// A runtime that cannot go on.
pub async fn open(routes: api::Routes) -> Result<(), Error> {
    telemetry::init();
    let app = context::open_app()?;
    lambda_http::run(api::service(routes, app).layer(from_fn(flush_after))).await
}

/// Serves routes behind a Function URL whose responses are streamed.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn streaming(routes: api::Routes) -> Result<(), Error> {
    telemetry::init();
    let app = context::app()?;
    let service = api::service(routes, app).layer(from_fn(flush_after));
    lambda_http::run_with_streaming_response(service).await
}

/// Runs the jobs that doorbells name. `handlers` makes the handlers from the store, at cold start.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn worker<F>(handlers: F) -> Result<(), Error>
where
    F: FnOnce(&Store) -> Result<Vec<Arc<dyn Handler>>, Error>,
{
    telemetry::init();
    let store = context::store(context::WORKER_NEEDS)?;
    let runner = batch::runner(&store, handlers(&store)?, RunnerConfig::default());
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = context::deadline(&event.context);
        let response = batch::run_doorbells(&runner, event.payload, deadline).await;
        telemetry::flush();
        Ok::<_, Error>(response)
    }))
    .await
}

/// As [`worker`], for one that an operator may also invoke: whatever is no batch of doorbells goes
/// to `command`, whose answer is the invocation's.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn worker_with_commands<F, C>(handlers: F, command: C) -> Result<(), Error>
where
    F: FnOnce(&Store) -> Result<Vec<Arc<dyn Handler>>, Error>,
    C: AsyncFn(&Store, Value) -> Result<Value, Error>,
{
    telemetry::init();
    let store = context::store(context::WORKER_NEEDS)?;
    let runner = batch::runner(&store, handlers(&store)?, RunnerConfig::default());
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let answer = if event.payload.get("Records").is_some() {
            let doorbells = SqsEvent::deserialize(event.payload)?;
            let deadline = context::deadline(&event.context);
            let response = batch::run_doorbells(&runner, doorbells, deadline).await;
            serde_json::to_value(response).map_err(Error::from)
        } else {
            command(&store, event.payload).await
        };
        telemetry::flush();
        answer
    }))
    .await
}

/// Reads the event log in order. `reader` makes the reader from the store, at cold start.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn stream<R, F>(reader: F) -> Result<(), Error>
where
    R: StreamReader,
    F: FnOnce(&Store) -> R,
{
    telemetry::init();
    let store = context::store(context::STREAM_NEEDS)?;
    let reader = reader(&store);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<DynamoEvent>| {
        let response = batch::read_stream(&reader, event.payload).await;
        telemetry::flush();
        Ok::<_, Error>(response)
    }))
    .await
}

/// Does something whenever a schedule says so. Failure is reported, so that it alarms.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn schedule<F>(task: F) -> Result<(), Error>
where
    F: AsyncFn(&Store, kernel::Timestamp) -> Result<(), Error>,
{
    telemetry::init();
    let store = context::store(context::SCHEDULE_NEEDS)?;
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| {
        let done = task(&store, store.now()).await;
        telemetry::flush();
        done
    }))
    .await
}

async fn flush_after(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    telemetry::flush();
    response
}
