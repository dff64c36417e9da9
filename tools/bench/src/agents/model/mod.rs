//! A model server that speaks OpenAI's chat completions and does what the message it is asked says:
//! so many tool calls, then an answer. It has no state but its account of who asked how often.

mod completion;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The model's name.
pub const MODEL: &str = "scripted";
/// What it answers in the end, in the pieces in which it streams it.
const ANSWER: [&str; 3] = ["The answer ", "is ", "42."];
/// How a script begins, wherever in a message it stands.
const MARK: &str = "{\"bench\":";

/// What the model is to do with one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Unlike every other.
    pub id: String,
    /// How many tools are called, one after the other, before the answer.
    pub calls: u32,
    pub tool: String,
    pub arguments: Value,
    /// A call that takes long.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<Hold>,
}

/// The first time that the model is asked for a turn, it takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which turn, from 0.
    pub turn: u32,
    pub millis: u64,
}

#[derive(Serialize, Deserialize)]
struct Marked {
    bench: Script,
}

impl Script {
    /// The message that asks for this.
    pub fn message(&self) -> String {
        json!({ "bench": self }).to_string()
    }

    /// What a message asks for, whatever stands around it.
    fn find(message: &str) -> Option<Self> {
        let from = message.find(MARK)?;
        let mut found = serde_json::Deserializer::from_str(&message[from..]).into_iter::<Marked>();
        Some(found.next()?.ok()?.bench)
    }
}

/// How often each turn of a script was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked(pub Vec<u32>);

impl Asked {
    /// How often the model was asked for a turn.
    pub fn turn(&self, turn: u32) -> u32 {
        let turn = usize::try_from(turn).unwrap_or(usize::MAX);
        self.0.get(turn).copied().unwrap_or_default()
    }
}

/// A model server on loopback. Clones are the same server; it ends with the last of them.
#[derive(Clone)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

#[derive(Default)]
struct Shared {
    latency_micros: AtomicU64,
    calls: AtomicU64,
    scripts: Mutex<HashMap<String, Account>>,
}

#[derive(Default)]
struct Account {
    asked: Asked,
    answered: Arc<Notify>,
}

impl Shared {
    fn scripts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a turn was asked for, and says how often that was so before.
    fn note(&self, script: &Script, turn: u32) -> u32 {
        let mut scripts = self.scripts();
        let Asked(turns) = &mut scripts.entry(script.id.clone()).or_default().asked;
        let turn = usize::try_from(turn).unwrap_or_default();
        if turns.len() <= turn {
            turns.resize(turn + 1, 0);
        }
        turns[turn] += 1;
        turns[turn] - 1
    }
}

impl ModelServer {
    /// Serves on a free port.
    pub async fn serve() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let shared = Arc::new(Shared::default());
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, routes) => {}
                () = stopped => {}
            }
        });
        Ok(Self {
            address,
            shared,
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    /// What `OPENAI_BASE_URL` has to be.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How long the model takes for every turn from now on.
    pub fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.latency_micros.store(micros, Ordering::Relaxed);
    }

    /// How often the model was asked, by everybody.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How often the turns of a script were asked for.
    pub fn asked(&self, id: &str) -> Asked {
        let scripts = self.shared.scripts();
        scripts
            .get(id)
            .map(|account| account.asked.clone())
            .unwrap_or_default()
    }

    /// Waits until the model has given the answer to a script.
    pub async fn answered(&self, id: &str, patience: Duration) -> anyhow::Result<()> {
        let answered = Arc::clone(
            &self
                .shared
                .scripts()
                .entry(id.to_owned())
                .or_default()
                .answered,
        );
        tokio::time::timeout(patience, answered.notified())
            .await
            .with_context(|| format!("the model gave no answer within {patience:?}"))
    }

    /// Forgets what was asked for so far.
    pub fn forget(&self) {
        self.shared.scripts().clear();
    }
}

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect(),
            _ => String::new(),
        }
    }
}

async fn complete(State(shared): State<Arc<Shared>>, Json(request): Json<Request>) -> Response {
    shared.calls.fetch_add(1, Ordering::Relaxed);
    let last = request.messages.iter().rposition(|m| m.role == "user");
    let Some(last) = last else {
        return (StatusCode::BAD_REQUEST, "there is no message of a user").into_response();
    };
    let mut wait = Duration::from_micros(shared.latency_micros.load(Ordering::Relaxed));
    let script = Script::find(&request.messages[last].text());
    let mut called = None;
    if let Some(script) = &script {
        let results = request.messages[last..].iter();
        let turn = results.filter(|message| message.role == "tool").count();
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        let asked_before = shared.note(script, turn);
        if let Some(hold) = script.hold.filter(|hold| hold.turn == turn)
            && asked_before == 0
        {
            wait += Duration::from_millis(hold.millis);
        }
        called = (turn < script.calls).then(|| completion::tool_call(script, turn));
    }
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let (Some(script), None) = (&script, &called) {
        let mut scripts = shared.scripts();
        let account = scripts.entry(script.id.clone()).or_default();
        account.answered.notify_one();
    }
    if request.stream {
        completion::streamed(&request.model, called)
    } else {
        completion::whole(&request.model, called)
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::load::Connection;

    fn script(calls: u32) -> Script {
        Script {
            id: "a".to_owned(),
            calls,
            tool: "note".to_owned(),
            arguments: json!({ "text": "x" }),
            hold: None,
        }
    }

    async fn ask(server: &ModelServer, messages: Value, stream: bool) -> String {
        let mut connection = Connection::open(&server.address.to_string()).await.unwrap();
        let body = json!({ "model": MODEL, "messages": messages, "stream": stream }).to_string();
        let request = http::Request::post("/v1/chat/completions")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(http_body_util::Full::from(body))
            .unwrap();
        let answer = connection.send(request, StatusCode::OK).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    }

    #[test]
    fn a_script_is_found_in_whatever_surrounds_it() {
        let script = Script {
            hold: Some(Hold { turn: 1, millis: 5 }),
            ..script(2)
        };
        let message = format!("Remember this: {}\nAnd that.", script.message());
        assert_eq!(Script::find(&message), Some(script));
        assert_eq!(Script::find("How are you?"), None);
        assert_eq!(Script::find("{\"bench\": 1}"), None);
    }

    #[tokio::test]
    async fn tools_are_called_before_the_answer_and_every_turn_is_counted() {
        let server = ModelServer::serve().await.unwrap();
        let script = script(1);
        let earlier = json!({ "role": "tool", "tool_call_id": "b", "content": "of another turn" });
        let user = json!({ "role": "user", "content": script.message() });
        let first = ask(&server, json!([earlier, user]), false).await;
        let first: Value = serde_json::from_str(&first).unwrap();
        let call = &first["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "note");
        assert_eq!(call["function"]["arguments"], "{\"text\":\"x\"}");
        let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "Noted." });
        let second = ask(&server, json!([earlier, user, result]), false).await;
        assert!(second.contains("The answer is 42."), "{second}");
        server
            .answered("a", Duration::from_secs(1))
            .await
            .expect("the answer is remembered");
        assert_eq!(server.asked("a"), Asked(vec![1, 1]));
        assert_eq!(server.calls(), 2);
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_mark_and_says_the_same() {
        let server = ModelServer::serve().await.unwrap();
        let user = json!({ "role": "user", "content": [{ "type": "text", "text": "Hello?" }] });
        let stream = ask(&server, json!([user]), true).await;
        let chunks: Vec<&str> = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        assert_eq!(chunks.last(), Some(&"[DONE]"));
        let text: String = chunks
            .iter()
            .filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok())
            .filter_map(|chunk| {
                let content = &chunk["choices"][0]["delta"]["content"];
                content.as_str().map(str::to_owned)
            })
            .collect();
        assert_eq!(text, "The answer is 42.");
    }

    #[tokio::test]
    async fn only_the_first_call_of_a_turn_is_held() {
        let server = ModelServer::serve().await.unwrap();
        let script = Script {
            hold: Some(Hold {
                turn: 0,
                millis: 60_000,
            }),
            ..script(0)
        };
        let messages = json!([{ "role": "user", "content": script.message() }]);
        let held = ask(&server, messages.clone(), false);
        let begun = async {
            while server.asked("a").turn(0) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = held => panic!("the first call was not held"),
            () = begun => {}
        }
        assert!(ask(&server, messages, true).await.contains("42"));
        assert_eq!(server.asked("a"), Asked(vec![2]));
    }
}
