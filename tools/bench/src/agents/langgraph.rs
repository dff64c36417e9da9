//! LangGraph's own server, `langgraph dev`: its queue and its checkpoints are in memory, written to
//! files every ten seconds.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::child::Process;
use super::model::Script;
use super::server::{
    Begun, Body, Client, Paused, Place, Server, Standing, Stored, Thread, Tool, ask, request,
};
use super::stored::bytes_of_files;
use crate::load::Connection;

const GRAPH: &str = include_str!("../../peers/langgraph/graph.py");
const CONFIG: &str = include_str!("../../peers/langgraph/langgraph.json");
/// Where it writes what it has in memory.
const STATE: &str = ".langgraph_api";
/// As many as there are runs at the same time; it would take 10.
const WORKERS: &str = "16";

/// LangGraph in a virtual environment.
#[derive(Clone)]
pub struct LangGraph {
    pub environment: PathBuf,
}

impl Server for LangGraph {
    type Client = LangGraphClient;

    fn name(&self) -> &'static str {
        "LangGraph"
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        std::fs::write(place.folder.join("graph.py"), GRAPH)?;
        std::fs::write(place.folder.join("langgraph.json"), CONFIG)?;
        let mut command = Command::new(self.environment.join("bin/langgraph"));
        command
            .args(["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1"])
            .args(["--n-jobs-per-worker", WORKERS, "--port"])
            .arg(place.port.to_string())
            .env("LANGSMITH_TRACING", "false")
            .env("LANGCHAIN_TRACING_V2", "false")
            .env("LANGGRAPH_CLI_NO_ANALYTICS", "1");
        place.with_model(&mut command);
        Ok(command)
    }

    fn is_settled(&self, process: &Process) -> bool {
        process.has_said("background workers")
    }

    fn rest(&self) -> Duration {
        // Its files are written every ten seconds.
        Duration::from_secs(12)
    }

    async fn client(&self, place: &Place) -> anyhow::Result<LangGraphClient> {
        let mut connection = Connection::open(&place.address()).await?;
        let health = request(Method::GET, "/ok", &HeaderMap::new(), &Body::None)?;
        ask(&mut connection, health, StatusCode::OK).await?;
        Ok(LangGraphClient {
            state: place.folder.join(STATE),
        })
    }
}

/// A client of `langgraph dev`.
#[derive(Clone)]
pub struct LangGraphClient {
    state: PathBuf,
}

impl Client for LangGraphClient {
    const TOOL: Tool = Tool {
        name: "note",
        arguments: r#"{"text":"x"}"#,
    };
    const ASKING_TOOL: Tool = Tool {
        name: "note_if_allowed",
        arguments: r#"{"text":"x"}"#,
    };

    async fn run(
        &self,
        connection: &mut Connection,
        script: &Script,
        thread: Option<&Thread>,
    ) -> anyhow::Result<()> {
        let new = Uuid::new_v4().to_string();
        let thread = thread.map_or(&new, |thread| &thread.0);
        let state = wait(connection, thread, &input(script)).await?;
        check_answer(&state)
    }

    async fn thread(&self, _: &mut Connection) -> anyhow::Result<Thread> {
        Ok(Thread(Uuid::new_v4().to_string()))
    }

    async fn pause(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Paused> {
        let thread = Uuid::new_v4().to_string();
        let state = wait(connection, &thread, &input(script)).await?;
        let asked = state["__interrupt__"].clone();
        if asked.as_array().is_none_or(Vec::is_empty) {
            bail!("the run did not wait: {state}");
        }
        Ok(Paused {
            id: String::new(),
            thread,
            asked,
        })
    }

    async fn resume(&self, connection: &mut Connection, paused: Paused) -> anyhow::Result<()> {
        let command = json!({ "assistant_id": "agent", "command": { "resume": true } });
        let state = wait(connection, &paused.thread, &command).await?;
        check_answer(&state)
    }

    async fn begin(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Begun> {
        let thread = Uuid::new_v4().to_string();
        let path = format!("/threads/{thread}/runs");
        let body = input(script);
        let post = request(Method::POST, &path, &HeaderMap::new(), &Body::Json(&body))?;
        let run = ask(connection, post, StatusCode::OK).await?;
        Ok(Begun {
            id: local::client::text(&run["run_id"])?,
            thread,
        })
    }

    async fn standing(
        &self,
        connection: &mut Connection,
        begun: &Begun,
    ) -> anyhow::Result<Standing> {
        let path = format!("/threads/{}/runs/{}", begun.thread, begun.id);
        let get = request(Method::GET, &path, &HeaderMap::new(), &Body::None)?;
        let (status, run) = connection.exchange(get).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Standing::Unknown);
        }
        let run: Value = serde_json::from_slice(&run)?;
        Ok(match run["status"].as_str().unwrap_or_default() {
            "success" => Standing::Completed,
            open @ ("pending" | "running") => Standing::Open(open.to_owned()),
            ended => Standing::Failed(ended.to_owned()),
        })
    }

    async fn stored(&self, connection: &mut Connection, thread: &Thread) -> anyhow::Result<Stored> {
        let path = format!("/threads/{}/storage", thread.0);
        let get = request(Method::GET, &path, &HeaderMap::new(), &Body::None)?;
        let (status, storage) = connection.exchange(get).await?;
        let storage: Value = match status {
            // Nothing was said in it yet.
            StatusCode::NOT_FOUND => Value::Null,
            _ => serde_json::from_slice(&storage)?,
        };
        Ok(Stored {
            content: storage["total_bytes"].as_u64().unwrap_or_default(),
            disk: bytes_of_files(&self.state),
        })
    }
}

fn input(script: &Script) -> Value {
    json!({
        "assistant_id": "agent",
        "if_not_exists": "create",
        "input": { "messages": [{ "role": "user", "content": script.message() }] },
    })
}

/// Runs the graph, and waits in the same request for the state that it ends in.
async fn wait(connection: &mut Connection, thread: &str, body: &Value) -> anyhow::Result<Value> {
    let path = format!("/threads/{thread}/runs/wait");
    let post = request(Method::POST, &path, &HeaderMap::new(), &Body::Json(body))?;
    ask(connection, post, StatusCode::OK).await
}

fn check_answer(state: &Value) -> anyhow::Result<()> {
    let last = state["messages"].as_array().and_then(|all| all.last());
    match last.and_then(|message| message["content"].as_str()) {
        Some("The answer is 42.") => Ok(()),
        _ => bail!("the run ended without the answer: {state}"),
    }
}
