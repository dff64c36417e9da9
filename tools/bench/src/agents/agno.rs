//! agno's AgentOS, with its storage in SQLite.

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
use super::stored::{Database, bytes_of_rows};
use crate::load::Connection;

const APP: &str = include_str!("../../peers/agno/app.py");
const RUNS: &str = "/agents/agent/runs";

/// agno in a virtual environment.
#[derive(Clone)]
pub struct Agno {
    pub environment: PathBuf,
}

impl Server for Agno {
    type Client = AgnoClient;

    fn name(&self) -> &'static str {
        "agno"
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        std::fs::write(place.folder.join("app.py"), APP)?;
        let mut command = Command::new(self.environment.join("bin/python"));
        command
            .arg("app.py")
            .arg(place.port.to_string())
            .env("AGNO_TELEMETRY", "false");
        place.with_model(&mut command);
        Ok(command)
    }

    fn is_settled(&self, process: &Process) -> bool {
        process.has_said("Application startup complete")
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn client(&self, place: &Place) -> anyhow::Result<AgnoClient> {
        let mut connection = Connection::open(&place.address()).await?;
        let health = request(Method::GET, "/health", &HeaderMap::new(), &Body::None)?;
        ask(&mut connection, health, StatusCode::OK).await?;
        Ok(AgnoClient {
            database: place.folder.join("agno.db"),
        })
    }
}

/// A client of AgentOS.
#[derive(Clone)]
pub struct AgnoClient {
    database: PathBuf,
}

impl Client for AgnoClient {
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
        let run = post_run(connection, thread, script, "false", StatusCode::OK).await?;
        check_answer(&run)
    }

    async fn thread(&self, _: &mut Connection) -> anyhow::Result<Thread> {
        Ok(Thread(Uuid::new_v4().to_string()))
    }

    async fn pause(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Paused> {
        let thread = Uuid::new_v4().to_string();
        let run = post_run(connection, &thread, script, "false", StatusCode::OK).await?;
        if run["status"] != "PAUSED" {
            bail!("the run did not wait: {run}");
        }
        Ok(Paused {
            thread,
            id: local::client::text(&run["run_id"])?,
            asked: run["tools"].clone(),
        })
    }

    async fn resume(&self, connection: &mut Connection, paused: Paused) -> anyhow::Result<()> {
        let mut tools = paused.asked;
        for tool in tools.as_array_mut().into_iter().flatten() {
            tool["confirmed"] = json!(true);
        }
        let path = format!("{RUNS}/{}/continue", paused.id);
        let tools = tools.to_string();
        let fields = [
            ("tools", tools.as_str()),
            ("session_id", paused.thread.as_str()),
            ("stream", "false"),
        ];
        let post = request(Method::POST, &path, &HeaderMap::new(), &Body::Form(&fields))?;
        check_answer(&ask(connection, post, StatusCode::OK).await?)
    }

    async fn begin(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Begun> {
        let thread = Uuid::new_v4().to_string();
        let run = post_run(connection, &thread, script, "true", StatusCode::ACCEPTED).await?;
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
        let path = format!("{RUNS}/{}?session_id={}", begun.id, begun.thread);
        let get = request(Method::GET, &path, &HeaderMap::new(), &Body::None)?;
        let (status, run) = connection.exchange(get).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Standing::Unknown);
        }
        let run: Value = serde_json::from_slice(&run)?;
        Ok(match run["status"].as_str().unwrap_or_default() {
            "COMPLETED" => Standing::Completed,
            open @ ("PENDING" | "RUNNING") => Standing::Open(open.to_lowercase()),
            ended => Standing::Failed(ended.to_lowercase()),
        })
    }

    async fn stored(&self, _: &mut Connection, _: &Thread) -> anyhow::Result<Stored> {
        let database = Database::open(&self.database)?;
        Ok(Stored {
            content: bytes_of_rows(&database, |_| true)?,
            disk: database.bytes()?,
        })
    }
}

/// Runs the agent, and waits in the same request for its end unless it is to run in the background.
async fn post_run(
    connection: &mut Connection,
    thread: &str,
    script: &Script,
    background: &str,
    expected: StatusCode,
) -> anyhow::Result<Value> {
    let message = script.message();
    let fields = [
        ("message", message.as_str()),
        ("session_id", thread),
        ("stream", "false"),
        ("background", background),
    ];
    let post = request(Method::POST, RUNS, &HeaderMap::new(), &Body::Form(&fields))?;
    ask(connection, post, expected).await
}

fn check_answer(run: &Value) -> anyhow::Result<()> {
    match (run["status"].as_str(), run["content"].as_str()) {
        (Some("COMPLETED"), Some("The answer is 42.")) => Ok(()),
        _ => bail!("the run ended without the answer: {run}"),
    }
}
