//! What is done on the deployed stack, and what must be seen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::audit::{AuditEntry, ChainVerifier};
use local::client::{Client, text};
use local::journey::Job;
use local::terminal::Terminal;
use serde_json::{Value, json};

use crate::emulator::{Emulator, USERS};
use crate::say;

/// How many runs are under way when workers are killed.
const RUNS: usize = 12;
const KILLS: usize = 4;
/// A lease must pass before a run is taken over, and each sweep is an invocation.
const RECOVERY: Duration = Duration::from_secs(180);
const SETTLING: Duration = Duration::from_secs(60);

/// Runs the journey.
pub(crate) async fn run(emulator: &Emulator) -> anyhow::Result<()> {
    let client = Client::new(emulator.api_url(), emulator.token(USERS[0])?)?;
    say("the API answers");
    let health: Value = client.get("/health").await?;
    ensure!(health["status"] == "ok", "unhealthy: {health}");
    let ready: Value = client.get("/health/ready").await?;
    ensure!(ready["status"] == "ok", "not ready: {ready}");

    say("documents in, a question answered");
    let outcome = Job::demonstration().run(&client, Terminal::quiet()).await?;
    ensure!(outcome["execution"]["status"] == "completed", "{outcome}");
    let documents: BTreeSet<&str> = outcome["citations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|citation| citation["document"].as_str())
        .collect();
    ensure!(
        documents.len() >= 2,
        "the answer cites too little: {outcome}"
    );

    let orgs = client.list("/v1/orgs").await?;
    let org = text(&orgs[0]["id"])?;
    let client = client.for_org(&org);
    foreign_caller(emulator, &client).await?;
    credentials(emulator, &client).await?;
    kills(emulator, &client).await?;
    statistics(&client).await?;
    audit(&client, &org).await?;
    say("the deployed journey is whole");
    Ok(())
}

/// Somebody of no org sees nothing of this one.
async fn foreign_caller(emulator: &Emulator, client: &Client) -> anyhow::Result<()> {
    say("a stranger is kept out");
    let stranger = Client::new(emulator.api_url(), emulator.token(USERS[1])?)?;
    let _: Value = stranger
        .post("/v1/orgs", &json!({ "name": "Elsewhere" }))
        .await?;
    let org = text(&stranger.list("/v1/orgs").await?[0]["id"])?;
    let stranger = stranger.for_org(&org);
    let agent = text(&client.list("/v1/agents").await?[0]["id"])?;
    let refused = stranger.get::<Value>(&format!("/v1/agents/{agent}")).await;
    let reason = refused
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    ensure!(
        reason.contains("404"),
        "another org's agent answered: {reason}"
    );
    ensure!(
        stranger.list("/v1/files").await?.is_empty(),
        "another org's files are listed"
    );
    Ok(())
}

/// A tool's credential is sealed under a key of KMS, by a process that made it and by one that has
/// to have it unwrapped, and is never shown.
async fn credentials(emulator: &Emulator, client: &Client) -> anyhow::Result<()> {
    say("a credential is kept and not shown");
    let tool = json!({
        "name": "get_order",
        "description": "Look up an order.",
        "parameters": { "type": "object" },
        "action": { "kind": "http", "method": "GET", "url": "https://orders.example.com/" },
    });
    let tool: Value = client.post("/v1/tools", &tool).await?;
    let path = format!("/v1/tools/{}/credential", text(&tool["id"])?);
    for version in 1..=2 {
        let body = json!({ "kind": "bearer", "token": "canary-6a1e" });
        let set: Value = client.put(&path, &body).await?;
        ensure!(set["version"] == version, "{set}");
        let shown: Value = client.get(&path).await?;
        ensure!(
            shown == set && !shown.to_string().contains("canary"),
            "{shown}"
        );
        emulator.kill("tools")?;
    }
    Ok(())
}

/// Runs end although their workers are killed, and no call that was recorded is made again.
async fn kills(emulator: &Emulator, client: &Client) -> anyhow::Result<()> {
    say(&format!("{RUNS} runs, with workers killed"));
    let agent = text(&client.list("/v1/agents").await?[0]["id"])?;
    let mut runs = Vec::new();
    let mut killed = 0;
    for number in 0..RUNS {
        let body = json!({ "agent_id": agent, "input": "What does fault code E-217 mean?" });
        let run: Value = client.post("/v1/executions", &body).await?;
        runs.push(text(&run["id"])?);
        if number % (RUNS / KILLS) == RUNS / KILLS - 1 {
            killed += emulator.kill("agent-runner")?;
        }
    }
    ensure!(killed > 0, "no worker could be killed");
    let began = Instant::now();
    loop {
        let mut open = 0;
        for run in &runs {
            let execution: Value = client.get(&format!("/v1/executions/{run}")).await?;
            match execution["state"].as_str() {
                Some("completed") => {}
                Some("queued" | "running") => open += 1,
                _ => anyhow::bail!("a run ended otherwise: {execution}"),
            }
        }
        if open == 0 {
            break;
        }
        ensure!(began.elapsed() < RECOVERY, "{open} runs did not end");
        emulator.invoke("sweeper")?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mut repeated = 0;
    for run in &runs {
        repeated += begun_again(client, run).await?;
    }
    say(&format!(
        "  {killed} processes killed, all {RUNS} runs completed after {} s, {repeated} calls that \
         had no outcome were begun again",
        began.elapsed().as_secs()
    ));
    Ok(())
}

/// Checks that each call of a run has one outcome, and counts those begun more than once.
async fn begun_again(client: &Client, run: &str) -> anyhow::Result<u64> {
    let trace = client.list(&format!("/v1/executions/{run}/trace")).await?;
    let mut again = 0;
    let mut seen = BTreeSet::new();
    for effect in &trace {
        let place = (effect["step"].as_u64(), effect["call"].as_u64());
        ensure!(
            seen.insert(place),
            "a call stands twice in the trace of {run}: {effect}"
        );
        ensure!(
            effect["outcome"].is_object(),
            "a call of {run} has no outcome: {effect}"
        );
        again += effect["attempts"].as_u64().unwrap_or(1) - 1;
    }
    ensure!(!trace.is_empty(), "{run} has no trace");
    Ok(again)
}

/// The statistics follow the log.
async fn statistics(client: &Client) -> anyhow::Result<()> {
    say("the statistics follow");
    let agent = text(&client.list("/v1/agents").await?[0]["id"])?;
    let began = Instant::now();
    loop {
        let stats: Value = client.get(&format!("/v1/agents/{agent}/stats")).await?;
        let counted = stats["executions_completed"].as_u64().unwrap_or(0);
        if counted == RUNS as u64 + 1 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < SETTLING,
            "{counted} runs are counted, not {}",
            RUNS + 1
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The audit chain is whole, by the API's word and by our own arithmetic.
async fn audit(client: &Client, org: &str) -> anyhow::Result<()> {
    say("the audit chain verifies");
    let verified: Value = client.get("/v1/audit/verify").await?;
    ensure!(verified["intact"] == true, "{verified}");
    let mut entries = client
        .list("/v1/audit")
        .await?
        .into_iter()
        .map(serde_json::from_value::<AuditEntry>)
        .collect::<Result<Vec<_>, _>>()?;
    entries.reverse();
    let mut verifier = ChainVerifier::new(org.parse()?);
    for entry in &entries {
        verifier.check(entry).context("the chain is broken")?;
    }
    say(&format!("  {} entries", entries.len()));
    Ok(())
}
