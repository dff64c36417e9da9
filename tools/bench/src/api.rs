//! Requests on the local host: how many, how fast, and how much of it is the store.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use llm::scripted::Scripted;
use local::client::text;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Effort;
use crate::figures::{amount, median, millis, percentile};
use crate::load::{Connection, Measured, Plan, closed_loop};
use crate::metered::{MeteredApi, Reading, THREAD};
use crate::product::{HOST_THREADS, Product, Requester, STORE_THREADS};
use crate::report::Table;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PARALLEL: [usize; 2] = [1, 16];
/// How many agents there are to list.
const AGENTS: usize = 20;
/// Requests that fill caches, before the time of each single one counts.
const UNCOUNTED: usize = 50;

/// One kind of request.
#[derive(Clone)]
struct Operation {
    name: &'static str,
    requester: Requester,
    expected: StatusCode,
    /// Whether each request has an `Idempotency-Key` of its own.
    keyed: bool,
}

impl Operation {
    async fn ask(&self, connection: &mut Connection, key: &str) -> anyhow::Result<()> {
        let mut request: Request<_> = self.requester.make()?;
        if self.keyed {
            let headers = request.headers_mut();
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(key)?);
        }
        connection.send(request, self.expected).await?;
        Ok(())
    }
}

/// Measures reads and writes.
pub async fn measure(root: &Path, effort: &Effort) -> anyhow::Result<String> {
    let product = Product::start(root, Arc::new(Scripted::new([]))).await?;
    let figures = measure_on(&product, effort).await;
    product.end().await;
    figures
}

async fn measure_on(product: &Product, effort: &Effort) -> anyhow::Result<String> {
    let operations = operations(product).await?;
    let mut load = Table::new(&[
        "request",
        "connections",
        "requests/s",
        "p50 ms",
        "p95 ms",
        "CPU host ms",
        "CPU store ms",
    ]);
    let bare = bare_route().await?;
    for connections in PARALLEL {
        let plan = plan(bare.clone(), connections, effort);
        let requester = product.request(Method::GET, "/", None);
        let measured = closed_loop(plan, async move |connection: &mut Connection, _| {
            connection.send(requester.make()?, StatusCode::OK).await?;
            Ok(())
        });
        add(
            &mut load,
            "a bare axum route, for calibration",
            connections,
            &measured.await?,
        );
    }
    for operation in &operations {
        for connections in PARALLEL {
            let plan = plan(product.address(), connections, effort);
            let asked = operation.clone();
            let measured = closed_loop(plan, async move |connection: &mut Connection, number| {
                asked
                    .ask(connection, &format!("{connections}-{number}"))
                    .await
            });
            add(&mut load, operation.name, connections, &measured.await?);
            product.rest().await?;
        }
    }
    let mut alone = Table::new(&[
        "request",
        "DynamoDB calls",
        "in DynamoDB p50 ms",
        "outside p50 ms",
        "outside p95 ms",
        "own CPU ms",
    ]);
    for operation in &operations {
        alone.row(one_by_one(product, operation, effort).await?);
        product.rest().await?;
    }
    Ok(format!(
        "{load}\nOne request after the other, against a host that serves the same operations on \
         one thread, its calls to DynamoDB timed:\n\n{alone}"
    ))
}

fn plan(address: String, connections: usize, effort: &Effort) -> Plan {
    Plan {
        address,
        connections,
        warm_up: effort.warm_up,
        window: effort.window,
    }
}

fn add(table: &mut Table, name: &str, connections: usize, measured: &Measured) {
    table.row([
        name.to_owned(),
        connections.to_string(),
        amount(measured.rate()),
        millis(median(&measured.latencies)),
        millis(percentile(&measured.latencies, 0.95).unwrap_or_default()),
        millis(measured.cpu_per_turn(HOST_THREADS)),
        millis(measured.cpu_per_turn(STORE_THREADS)),
    ]);
}

/// What is asked, and what it is asked of.
async fn operations(product: &Product) -> anyhow::Result<Vec<Operation>> {
    let agent = json!({
        "name": "Bench",
        "description": "Answers questions about turbines.",
        "instructions": "Answer from the handbook and cite it.",
        "tools": ["remember"],
    });
    let mut last = String::new();
    for _ in 0..AGENTS {
        let created: Value = product.client.post("/v1/agents", &agent).await?;
        last = text(&created["id"])?;
    }
    let operation = |name, method, path: &str, body, expected, keyed| Operation {
        name,
        requester: product.request(method, path, body),
        expected,
        keyed,
    };
    let one = format!("/v1/agents/{last}");
    let create = Some(&agent);
    Ok(vec![
        operation(
            "GET /v1/agents/{id}",
            Method::GET,
            &one,
            None,
            StatusCode::OK,
            false,
        ),
        operation(
            "GET /v1/agents, a page of 20",
            Method::GET,
            "/v1/agents?limit=20",
            None,
            StatusCode::OK,
            false,
        ),
        operation(
            "POST /v1/agents",
            Method::POST,
            "/v1/agents",
            create,
            StatusCode::CREATED,
            false,
        ),
        operation(
            "POST /v1/agents, with Idempotency-Key",
            Method::POST,
            "/v1/agents",
            create,
            StatusCode::CREATED,
            true,
        ),
    ])
}

/// A route that does nothing, on the threads that the host runs on: what HTTP costs here.
async fn bare_route() -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    let router = Router::new().route("/", get(async || Json(json!({ "status": "ok" }))));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The time of one request, in and outside of DynamoDB.
#[derive(Debug, Clone, Copy)]
struct Split {
    calls: u64,
    inside: Duration,
    outside: Duration,
}

async fn one_by_one(
    product: &Product,
    operation: &Operation,
    effort: &Effort,
) -> anyhow::Result<Vec<String>> {
    let api = MeteredApi::serve(&product.host)?;
    let splits = Arc::new(Mutex::new(Vec::new()));
    let (asked, meter, noted) = (operation.clone(), api.meter.clone(), Arc::clone(&splits));
    let plan = plan(api.address.clone(), 1, effort);
    let measured = closed_loop(plan, async move |connection: &mut Connection, number| {
        let (before, began) = (meter.read(), Instant::now());
        asked.ask(connection, &format!("alone-{number}")).await?;
        let split = split(began.elapsed(), before, meter.read());
        noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(split);
        Ok(())
    })
    .await?;
    let splits = splits.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = splits.get(UNCOUNTED..).unwrap_or_default();
    let outside: Vec<Duration> = counted.iter().map(|split| split.outside).collect();
    let inside: Vec<Duration> = counted.iter().map(|split| split.inside).collect();
    let calls: u64 = counted.iter().map(|split| split.calls).sum();
    Ok(vec![
        operation.name.to_owned(),
        format!("{:.2}", calls as f64 / counted.len() as f64),
        millis(median(&inside)),
        millis(median(&outside)),
        millis(percentile(&outside, 0.95).unwrap_or_default()),
        millis(measured.cpu_per_turn(THREAD)),
    ])
}

fn split(took: Duration, before: Reading, after: Reading) -> Split {
    let inside = after.under_way.saturating_sub(before.under_way);
    Split {
        calls: after.calls - before.calls,
        inside,
        outside: took.saturating_sub(inside),
    }
}
