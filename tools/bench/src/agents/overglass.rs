//! The product: its local host, as `cargo run` starts it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use local::client::text;
use serde_json::{Value, json};

use super::child::Process;
use super::model::{MODEL, ModelServer, Script};
use super::server::{
    Begun, Body, Client, Paused, Place, Server, Standing, Stored, Thread, Tool, ask, request,
};
use super::stored::Database;
use crate::load::Connection;

const DATA: &str = "data";
const ORG: HeaderName = HeaderName::from_static("overglass-org");
/// How often a run is looked at, once its model has answered for the last time.
const LOOK: Duration = Duration::from_millis(2);
/// How often a run is looked at that will wait for a person.
const LOOK_FOR_PAUSE: Duration = Duration::from_millis(5);
/// The longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a request waits for the end of a run, in seconds.
const WAIT: &str = "wait=25";

/// The program of the local host.
#[derive(Clone)]
pub struct Overglass {
    pub program: PathBuf,
    pub waiting: Waiting,
}

/// How a client waits for the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It looks every other millisecond, once the model has answered for the last time.
    Outside,
    /// In the request that starts the run.
    InRequest,
}

impl Server for Overglass {
    type Client = OverglassClient;

    fn name(&self) -> &'static str {
        match self.waiting {
            Waiting::Outside => "Overglass",
            Waiting::InRequest => "Overglass, `?wait`",
        }
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .arg("--port")
            .arg(place.port.to_string())
            .arg("--data")
            .arg(place.folder.join(DATA))
            .env("OVERGLASS_MODEL", format!("openai::{MODEL}"));
        place.with_model(&mut command);
        Ok(command)
    }

    fn is_settled(&self, process: &Process) -> bool {
        // It begins with a demonstration of its own.
        process.has_said("The API is at")
    }

    fn rest(&self) -> Duration {
        // The log is followed after the fact: into the audit chain and the statistics.
        Duration::from_secs(5)
    }

    async fn client(&self, place: &Place) -> anyhow::Result<OverglassClient> {
        let mut connection = Connection::open(&place.address()).await?;
        let post = request(
            Method::POST,
            "/local/token/ada",
            &HeaderMap::new(),
            &Body::None,
        )?;
        let token = ask(&mut connection, post, StatusCode::OK).await?;
        let token = format!("Bearer {}", text(&token["access_token"])?);
        let mut client = OverglassClient {
            headers: HeaderMap::from_iter([(
                header::AUTHORIZATION,
                HeaderValue::from_str(&token)?,
            )]),
            agent: String::new(),
            asking_agent: String::new(),
            waiting: self.waiting,
            model: place.model.clone(),
            database: place.folder.join(DATA).join("dynamodb.sqlite"),
        };
        let org = client
            .find_or_create(&mut connection, "/v1/orgs", json!({ "name": "Bench" }))
            .await?;
        client.headers.insert(ORG, HeaderValue::from_str(&org)?);
        let agent = json!({
            "name": "Noting", "instructions": "Note it.", "tools": [OverglassClient::TOOL.name],
        });
        client.agent = client
            .find_or_create(&mut connection, "/v1/agents", agent)
            .await?;
        let agent = json!({
            "name": "Asking", "instructions": "Note it.", "tools": [OverglassClient::TOOL.name],
            "approvals": { OverglassClient::TOOL.name: {} },
        });
        client.asking_agent = client
            .find_or_create(&mut connection, "/v1/agents", agent)
            .await?;
        Ok(client)
    }
}

/// A client of the local host, signed in, for an org with two agents.
#[derive(Clone)]
pub struct OverglassClient {
    headers: HeaderMap,
    agent: String,
    asking_agent: String,
    waiting: Waiting,
    model: ModelServer,
    database: PathBuf,
}

impl OverglassClient {
    fn request(
        &self,
        method: Method,
        path: &str,
        body: &Body<'_>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        request(method, path, &self.headers, body)
    }

    async fn get(&self, connection: &mut Connection, path: &str) -> anyhow::Result<Value> {
        let get = self.request(Method::GET, path, &Body::None)?;
        ask(connection, get, StatusCode::OK).await
    }

    async fn create(
        &self,
        connection: &mut Connection,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let post = self.request(Method::POST, path, &Body::Json(body))?;
        ask(connection, post, StatusCode::CREATED).await
    }

    /// The id of the item that has the name of the body.
    async fn find_or_create(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Value,
    ) -> anyhow::Result<String> {
        let known = self.get(connection, path).await?;
        let mut items = known["items"].as_array().into_iter().flatten();
        match items.find(|item| item["name"] == body["name"]) {
            Some(item) => text(&item["id"]),
            None => text(&self.create(connection, path, &body).await?["id"]),
        }
    }

    /// Queues a run and returns it, as it stands at once or when it was waited for.
    async fn queue(
        &self,
        connection: &mut Connection,
        agent: &str,
        script: &Script,
        thread: Option<&Thread>,
        query: &str,
    ) -> anyhow::Result<Value> {
        let mut body = json!({ "agent_id": agent, "input": script.message() });
        if let Some(thread) = thread {
            body["conversation_id"] = json!(thread.0);
        }
        let path = format!("/v1/executions?{query}");
        self.create(connection, &path, &body).await
    }

    /// Waits for the end of a run that goes on by itself.
    async fn end_of(
        &self,
        connection: &mut Connection,
        execution: &str,
        script_id: &str,
    ) -> anyhow::Result<()> {
        self.model.answered(script_id, PATIENCE).await?;
        let path = format!("/v1/executions/{execution}");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let shown = self.get(connection, &path).await?;
            if has_answered(&shown)? {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the run did not end within {PATIENCE:?}")
    }

    /// Waits likewise, in requests that the host answers when the run has ended.
    async fn end_by_requests(
        &self,
        connection: &mut Connection,
        mut shown: Value,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/executions/{}?{WAIT}", text(&shown["id"])?);
        let began = Instant::now();
        while !has_answered(&shown)? {
            if began.elapsed() > PATIENCE {
                bail!("the run did not end within {PATIENCE:?}");
            }
            shown = self.get(connection, &path).await?;
        }
        Ok(())
    }
}

/// Whether a run was completed, with the right answer; it has not failed.
fn has_answered(shown: &Value) -> anyhow::Result<bool> {
    match shown["state"].as_str().unwrap_or_default() {
        "completed" if shown["answer"] == "The answer is 42." => Ok(true),
        "queued" | "running" => Ok(false),
        _ => bail!("the run ended without the answer: {shown}"),
    }
}

impl Client for OverglassClient {
    const TOOL: Tool = Tool {
        name: "create_task",
        arguments: r#"{"title":"x"}"#,
    };
    const ASKING_TOOL: Tool = Self::TOOL;

    async fn run(
        &self,
        connection: &mut Connection,
        script: &Script,
        thread: Option<&Thread>,
    ) -> anyhow::Result<()> {
        let query = match self.waiting {
            Waiting::Outside => "",
            Waiting::InRequest => WAIT,
        };
        let execution = self
            .queue(connection, &self.agent, script, thread, query)
            .await?;
        match self.waiting {
            Waiting::Outside => {
                let id = text(&execution["id"])?;
                self.end_of(connection, &id, &script.id).await
            }
            Waiting::InRequest => self.end_by_requests(connection, execution).await,
        }
    }

    async fn thread(&self, connection: &mut Connection) -> anyhow::Result<Thread> {
        let body = json!({ "agent_id": self.agent, "title": "Bench" });
        let thread = self.create(connection, "/v1/conversations", &body).await?;
        Ok(Thread(text(&thread["id"])?))
    }

    async fn pause(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Paused> {
        let execution = self
            .queue(connection, &self.asking_agent, script, None, "")
            .await?;
        let execution = text(&execution["id"])?;
        let path = format!("/v1/executions/{execution}");
        let began = Instant::now();
        loop {
            let shown = self.get(connection, &path).await?;
            match shown["state"].as_str().unwrap_or_default() {
                "awaiting_input" => break,
                "queued" | "running" if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_FOR_PAUSE).await;
                }
                _ => bail!("the run did not wait: {shown}"),
            }
        }
        let path = format!("/v1/approvals?execution_id={execution}");
        let mut approvals = self.get(connection, &path).await?;
        Ok(Paused {
            thread: script.id.clone(),
            id: execution,
            asked: approvals["items"][0].take(),
        })
    }

    async fn resume(&self, connection: &mut Connection, paused: Paused) -> anyhow::Result<()> {
        let approval = text(&paused.asked["id"]).context("nobody was asked")?;
        let path = format!("/v1/approvals/{approval}/answer");
        let body = json!({ "decision": "approve" });
        let post = self.request(Method::POST, &path, &Body::Json(&body))?;
        connection.send(post, StatusCode::OK).await?;
        self.end_of(connection, &paused.id, &paused.thread).await
    }

    async fn begin(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Begun> {
        let execution = self
            .queue(connection, &self.agent, script, None, "")
            .await?;
        Ok(Begun {
            id: text(&execution["id"])?,
            thread: String::new(),
        })
    }

    async fn standing(
        &self,
        connection: &mut Connection,
        begun: &Begun,
    ) -> anyhow::Result<Standing> {
        let path = format!("/v1/executions/{}", begun.id);
        let get = self.request(Method::GET, &path, &Body::None)?;
        let (status, execution) = connection.exchange(get).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Standing::Unknown);
        }
        let execution: Value = serde_json::from_slice(&execution)?;
        Ok(match execution["state"].as_str().unwrap_or_default() {
            "completed" => Standing::Completed,
            open @ ("queued" | "running") => Standing::Open(open.to_owned()),
            ended => Standing::Failed(ended.to_owned()),
        })
    }

    async fn stored(&self, _: &mut Connection, _: &Thread) -> anyhow::Result<Stored> {
        let database = Database::open(&self.database)?;
        let mut content = 0;
        for table in database.names("SELECT table_name FROM _tables")? {
            content += database.sum("item_size", &table)?;
        }
        Ok(Stored {
            content,
            disk: database.bytes()?,
        })
    }
}
