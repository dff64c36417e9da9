//! Whole executions: from the POST until the API says that they are completed, with a model that
//! answers at once. What is left is the product's own: the engine, the journal, the store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::{Method, StatusCode};
use kernel::Timestamp;
use llm::scripted::{Scripted, Turn};
use llm::{ChatRequest, Message};
use local::client::text;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::Effort;
use crate::figures::{amount, median, millis, percentile};
use crate::load::{Connection, Plan, closed_loop};
use crate::product::{HOST_THREADS, Product, Requester, STORE_THREADS};
use crate::report::Table;

const PARALLEL: [usize; 2] = [1, 16];
const SEARCH: &str = "search_knowledge";
const DOCUMENT: (&str, &[u8]) = (
    "on-call-faq.md",
    include_bytes!("../../../samples/on-call-faq.md"),
);
/// The longest that one execution may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often an execution is looked at, once its model has answered for the last time.
const LOOK: Duration = Duration::from_millis(2);

/// Who waits for the last turn of which execution, by the text that it is asked.
#[derive(Debug, Clone, Default)]
struct LastTurns(Arc<Mutex<HashMap<String, Arc<Notify>>>>);

impl LastTurns {
    fn expect(&self, input: &str) -> Arc<Notify> {
        let waiting = Arc::new(Notify::new());
        self.map().insert(input.to_owned(), Arc::clone(&waiting));
        waiting
    }

    fn given(&self, input: &str) {
        if let Some(waiting) = self.map().remove(input) {
            waiting.notify_one();
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        locked(&self.0)
    }
}

/// A model that searches once, where it may, and then answers. It tells of its last turn, so that
/// nobody has to ask the API over and over whether an execution has ended.
fn model(last_turns: LastTurns) -> Scripted {
    Scripted::computed(move |request: &ChatRequest, _| {
        let may_search = request.tools.iter().any(|tool| tool.name == SEARCH);
        if may_search && request.messages.len() == 1 {
            return Turn::calls([(SEARCH, json!({ "query": "How long is a duty shift?" }))]);
        }
        if let Some(Message::User { text }) = request.messages.first() {
            last_turns.given(text);
        }
        Turn::text("A duty shift lasts seven days.")
    })
}

/// Measures executions without tools and with one tool call.
pub async fn measure(root: &Path, effort: &Effort) -> anyhow::Result<String> {
    let last_turns = LastTurns::default();
    let product = Product::start(root, Arc::new(model(last_turns.clone()))).await?;
    let figures = measure_on(&product, &last_turns, effort).await;
    product.end().await;
    figures
}

async fn measure_on(
    product: &Product,
    last_turns: &LastTurns,
    effort: &Effort,
) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "execution",
        "in parallel",
        "executions/s",
        "p50 ms",
        "p95 ms",
        "waiting p50 ms",
        "running p50 ms",
        "DynamoDB calls each",
        "CPU host ms",
        "CPU store ms",
    ]);
    for (name, agent) in agents(product).await? {
        for parallel in PARALLEL {
            let cells = run(product, last_turns, &agent, parallel, effort).await?;
            let name = [name.to_owned(), parallel.to_string()];
            table.row(name.into_iter().chain(cells));
        }
    }
    Ok(table.to_string())
}

/// An agent that only answers, and one that may search a knowledge base with one document.
async fn agents(product: &Product) -> anyhow::Result<[(&'static str, String); 2]> {
    let client = &product.client;
    let base: Value = client
        .post("/v1/knowledge-bases", &json!({ "name": "Bench" }))
        .await?;
    let base = text(&base["id"])?;
    let file = client.upload(DOCUMENT.0, DOCUMENT.1, &base).await?;
    let ready = client.wait_for_document(&base, &file);
    tokio::time::timeout(PATIENCE, ready)
        .await
        .context("the document was not read in time")??;
    let agent = json!({ "name": "Plain", "instructions": "Answer." });
    let plain: Value = client.post("/v1/agents", &agent).await?;
    let agent = json!({
        "name": "Searching",
        "instructions": "Answer from the handbook.",
        "tools": [SEARCH],
        "knowledge_bases": [base],
    });
    let searching: Value = client.post("/v1/agents", &agent).await?;
    Ok([
        ("one model call", text(&plain["id"])?),
        (
            "two model calls and a search between them",
            text(&searching["id"])?,
        ),
    ])
}

async fn run(
    product: &Product,
    last_turns: &LastTurns,
    agent: &str,
    parallel: usize,
    effort: &Effort,
) -> anyhow::Result<Vec<String>> {
    product.rest().await?;
    let (calls_before, began) = (product.calls(), Instant::now());
    let plan = Plan {
        address: product.address(),
        connections: parallel,
        warm_up: effort.warm_up,
        window: effort.window,
    };
    let all = Arc::new(Mutex::new(Vec::new()));
    let looker = product.request(Method::GET, "/v1/executions", None);
    let (starters, noted) = (starters(product, agent), Arc::clone(&all));
    let last_turns = last_turns.clone();
    let turn = async move |connection: &mut Connection, number| {
        let input = format!("Question {parallel}-{number}: how long is a duty shift?");
        let done = execute(connection, &starters(&input), &looker, &last_turns, &input).await?;
        locked(&noted).push(done);
        Ok(())
    };
    let measured = closed_loop(plan, turn).await?;
    // The event log is followed after the fact, and is part of what an execution costs.
    product.rest().await?;
    let idle = product.idle_calls * began.elapsed().as_secs_f64();
    let all = locked(&all);
    let looks: u64 = all.iter().map(|done| done.looks).sum();
    let calls = (product.calls() - calls_before) as f64 - looks as f64 - idle;
    let of_each = |read: fn(&Done) -> Duration| median(&all.iter().map(read).collect::<Vec<_>>());
    Ok(vec![
        amount(measured.rate()),
        millis(median(&measured.latencies)),
        millis(percentile(&measured.latencies, 0.95).unwrap_or_default()),
        of_each(|done| done.waited).as_millis().to_string(),
        of_each(|done| done.ran).as_millis().to_string(),
        format!("{:.1}", calls / measured.turns as f64),
        millis(measured.cpu_per_turn(HOST_THREADS)),
        millis(measured.cpu_per_turn(STORE_THREADS)),
    ])
}

/// Makes the request that starts an execution with an input.
fn starters(product: &Product, agent: &str) -> impl Fn(&str) -> Requester + Send + 'static {
    let (agent, post) = (
        agent.to_owned(),
        product.request(Method::POST, "/v1/executions", None),
    );
    move |input| {
        let body = json!({ "agent_id": agent, "input": input });
        post.with_body(&body)
    }
}

/// An execution as the API shows it.
#[derive(Deserialize)]
struct Execution {
    state: String,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// An execution that was completed.
struct Done {
    /// How often it was looked at.
    looks: u64,
    /// From its creation until a worker began with it, in whole milliseconds.
    waited: Duration,
    /// From then until its end, in whole milliseconds.
    ran: Duration,
}

/// Starts an execution and waits for its end.
async fn execute(
    connection: &mut Connection,
    start: &Requester,
    looker: &Requester,
    last_turns: &LastTurns,
    input: &str,
) -> anyhow::Result<Done> {
    let last_turn = last_turns.expect(input);
    let created = connection.send(start.make()?, StatusCode::CREATED).await?;
    let created: Value = serde_json::from_slice(&created)?;
    let path = format!("/v1/executions/{}", text(&created["id"])?);
    tokio::time::timeout(PATIENCE, last_turn.notified())
        .await
        .with_context(|| format!("the model was not asked within {PATIENCE:?}"))?;
    let began = Instant::now();
    let mut looks = 0;
    while began.elapsed() < PATIENCE {
        looks += 1;
        let body = connection
            .send(looker.make_at(&path)?, StatusCode::OK)
            .await?;
        let execution: Execution = serde_json::from_slice(&body)?;
        match (
            execution.state.as_str(),
            execution.started_at,
            execution.finished_at,
        ) {
            ("completed", Some(started), Some(finished)) => {
                return Ok(Done {
                    looks,
                    waited: started.since(execution.created_at),
                    ran: finished.since(started),
                });
            }
            ("queued" | "running", ..) => tokio::time::sleep(LOOK).await,
            _ => bail!(
                "an execution went wrong: {}",
                String::from_utf8_lossy(&body)
            ),
        }
    }
    bail!("an execution was not completed within {PATIENCE:?}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
