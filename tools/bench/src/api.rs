//! Requests on the local host: how many, how fast, and how much of it is the store.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use llm::scripted::Scripted;
use local::client::text;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Effort;
use crate::figures::{amount, median, millis, percentile};
use crate::load::{Connection, LOAD_THREAD, Measured, Plan, closed_loop};
use crate::metered::{MeteredApi, THREAD};
use crate::product::{HOST_THREADS, Product, Requester, STORE_THREADS};
use crate::report::{Goal, Table};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PARALLEL: [usize; 2] = [1, 16];
/// How many agents there are to list.
const AGENTS: usize = 20;
/// Requests that fill caches, before the time of each single one counts.
const UNCOUNTED: usize = 20;
const BARE: &str = "a bare axum route, for calibration";

const READS_PER_SECOND: f64 = 1_000.0;
const P95_UNDER_LOAD: Duration = Duration::from_millis(50);
const CALLS: f64 = 2.0;
const P50_OUTSIDE: Duration = Duration::from_millis(1);
const P95_OUTSIDE: Duration = Duration::from_millis(5);
const OWN_CPU: Duration = Duration::from_millis(1);

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
    let load = under_load(product, &operations, effort).await?;
    let alone = alone(product, &operations, effort).await?;
    Ok(format!(
        "{load}\nOne request after the other, against a host that serves the same operations on \
         one thread, its calls to DynamoDB timed:\n\n{alone}"
    ))
}

async fn under_load(
    product: &Product,
    operations: &[Operation],
    effort: &Effort,
) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "request",
        "connections",
        "requests/s",
        "p50 ms",
        "p95 ms",
        "CPU host ms",
        "CPU store ms",
        "CPU load ms",
    ]);
    let bare = bare_route().await?;
    for connections in PARALLEL {
        let plan = plan(bare.clone(), connections, effort);
        let requester = product.request(Method::GET, "/", None);
        let turn = async move |connection: &mut Connection, _| {
            connection.send(requester.make()?, StatusCode::OK).await?;
            Ok(())
        };
        let measured = closed_loop(plan, turn).await?;
        table.row(row(BARE, connections, &measured));
    }
    let mut many = Goal::new("over 1,000 reads in a second");
    let mut swift = Goal::new("p95 under 50 ms with 16 connections");
    for operation in operations {
        for connections in PARALLEL {
            let plan = plan(product.address(), connections, effort);
            let asked = operation.clone();
            let turn = async move |connection: &mut Connection, number| {
                let key = format!("{connections}-{number}");
                asked.ask(connection, &key).await
            };
            let measured = closed_loop(plan, turn).await?;
            table.row(row(operation.name, connections, &measured));
            if connections > 1 {
                let rate = measured.rate();
                let p95 = p95(&measured.latencies);
                if operation.expected == StatusCode::OK {
                    many.judge(operation.name, rate > READS_PER_SECOND, amount(rate));
                }
                swift.judge(operation.name, p95 < P95_UNDER_LOAD, millis(p95));
            }
            product.rest().await?;
        }
    }
    Ok(format!("{table}\n{many}{swift}"))
}

async fn alone(
    product: &Product,
    operations: &[Operation],
    effort: &Effort,
) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "request",
        "DynamoDB calls",
        "in DynamoDB p50 ms",
        "outside p50 ms",
        "outside p95 ms",
        "own CPU ms",
    ]);
    let mut frugal = Goal::new("at most 2 calls to DynamoDB");
    let mut swift = Goal::new("outside of DynamoDB, p50 under 1 ms and p95 under 5 ms");
    let mut light = Goal::new("own CPU under 1 ms");
    for operation in operations {
        let one = one_by_one(product, operation, effort).await?;
        let (p50, p95) = (median(&one.outside), p95(&one.outside));
        table.row([
            operation.name.to_owned(),
            format!("{:.2}", one.calls),
            millis(median(&one.inside)),
            millis(p50),
            millis(p95),
            millis(one.cpu),
        ]);
        // Caches that end now and then make a few requests call more often.
        let calls = one.calls.round();
        frugal.judge(operation.name, calls <= CALLS, calls);
        let kept = p50 < P50_OUTSIDE && p95 < P95_OUTSIDE;
        let figures = format!("{} and {} ms", millis(p50), millis(p95));
        swift.judge(operation.name, kept, figures);
        light.judge(
            operation.name,
            one.cpu < OWN_CPU,
            format!("{} ms", millis(one.cpu)),
        );
        product.rest().await?;
    }
    Ok(format!("{table}\n{frugal}{swift}{light}"))
}

fn plan(address: String, connections: usize, effort: &Effort) -> Plan {
    Plan {
        address,
        connections,
        warm_up: effort.warm_up,
        window: effort.window,
    }
}

fn row(name: &str, connections: usize, measured: &Measured) -> [String; 8] {
    [
        name.to_owned(),
        connections.to_string(),
        amount(measured.rate()),
        millis(median(&measured.latencies)),
        millis(p95(&measured.latencies)),
        millis(measured.cpu_per_turn(HOST_THREADS)),
        millis(measured.cpu_per_turn(STORE_THREADS)),
        millis(measured.cpu_per_turn(LOAD_THREAD)),
    ]
}

fn p95(times: &[Duration]) -> Duration {
    percentile(times, 0.95).unwrap_or_default()
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

/// What requests took that were sent one after the other.
struct Alone {
    /// Calls to DynamoDB, on average.
    calls: f64,
    /// The time of each request in which a call was under way.
    inside: Vec<Duration>,
    /// The rest of its time.
    outside: Vec<Duration>,
    /// Processor time of the serving thread, on average.
    cpu: Duration,
}

async fn one_by_one(
    product: &Product,
    operation: &Operation,
    effort: &Effort,
) -> anyhow::Result<Alone> {
    let api = MeteredApi::serve(&product.host)?;
    let splits = Arc::new(Mutex::new(Vec::new()));
    let (asked, meter, noted) = (operation.clone(), api.meter.clone(), Arc::clone(&splits));
    let turn = async move |connection: &mut Connection, number| {
        let (before, began) = (meter.read(), Instant::now());
        asked.ask(connection, &format!("alone-{number}")).await?;
        let (took, after) = (began.elapsed(), meter.read());
        let inside = after.under_way.saturating_sub(before.under_way);
        let split = (
            after.calls - before.calls,
            inside,
            took.saturating_sub(inside),
        );
        locked(&noted).push(split);
        Ok(())
    };
    let measured = closed_loop(plan(api.address.clone(), 1, effort), turn).await?;
    let splits = locked(&splits);
    let counted = splits
        .get(UNCOUNTED..)
        .filter(|counted| !counted.is_empty())
        .context("too few requests were answered")?;
    let calls: u64 = counted.iter().map(|(calls, ..)| calls).sum();
    Ok(Alone {
        calls: calls as f64 / counted.len() as f64,
        inside: counted.iter().map(|(_, inside, _)| *inside).collect(),
        outside: counted.iter().map(|(.., outside)| *outside).collect(),
        cpu: measured.cpu_per_turn(THREAD),
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
