//! `/v1/chat`.

mod answers;
mod approvals;
mod branches;
mod grounding;
mod privacy;
mod window;

use http::Method;
use llm::scripted::{Gate, Scripted, Turn};
use llm::{ChatRequest, Message};
use serde_json::{Value, json};

use crate::support::listener::{asked, listener, said_so_far, told};
use crate::support::stream::{Connection, Seen};
use crate::support::{Api, World, ended, eventually, text, within};

/// An answer on its way.
struct Answering {
    conversation: String,
    execution: String,
    /// Where the same events are streamed.
    url: String,
    events: Connection,
}

/// Says something to an agent.
async fn say(api: &Api, agent: &str, body: &Value) -> Answering {
    let request = api.request(Method::POST, &format!("/v1/chat/{agent}"));
    let response = request.json(body).send().await.expect("the host answers");
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
    let header = |name: &str| {
        let value = response.headers().get(name).expect("the header is there");
        value.to_str().expect("a text").to_owned()
    };
    Answering {
        conversation: header("overglass-conversation"),
        execution: header("overglass-execution"),
        url: header("content-location"),
        events: Connection::of(response),
    }
}

/// Somebody who chats with an agent.
struct Chat {
    world: World,
    api: Api,
    agent: String,
    model: Scripted,
    gate: Gate,
}

impl Chat {
    async fn start() -> Self {
        let gate = Gate::new();
        let model = listener(&gate);
        let world = World::with_model(&model).await;
        let api = world.founder("ada").await;
        let agent = hire(&api, &json!({})).await;
        Self {
            world,
            api,
            agent,
            model,
            gate,
        }
    }

    async fn say(&self, body: &Value) -> Answering {
        say(&self.api, &self.agent, body).await
    }

    /// Says something and hears the answer out. Gives the conversation.
    async fn talk(&self, message: &str, conversation: Option<&str>) -> String {
        let mut body = json!({ "message": message });
        if let Some(conversation) = conversation {
            body["conversation_id"] = json!(conversation);
        }
        let answer = self.say(&body).await;
        let events = answer.events.rest().await;
        let last = events.last().expect("an end");
        assert_eq!(last.kind, "RUN_FINISHED", "{last:?}");
        answer.conversation
    }

    /// A conversation of these messages.
    async fn conversation(&self, messages: &[&str]) -> String {
        let mut conversation = None;
        for message in messages {
            conversation = Some(self.talk(message, conversation.as_deref()).await);
        }
        conversation.expect("a message")
    }

    async fn history(&self, query: &str) -> Value {
        let path = format!("/v1/chat/{}/history?{query}", self.agent);
        self.api.get(&path).await.ok()
    }

    /// The numbers of the turns of a branch, the last first, each with those beside it.
    async fn branch(&self, conversation: &str, more: &str) -> Vec<(u64, Value)> {
        let query = format!("conversation_id={conversation}{more}");
        let history = self.history(&query).await;
        let turns = history["items"].as_array().expect("a list").iter();
        turns
            .map(|turn| {
                (
                    turn["turn"].as_u64().expect("a number"),
                    turn["siblings"].clone(),
                )
            })
            .collect()
    }

    /// What the model was told when it was asked this, the last time.
    fn told_at(&self, input: &str) -> Vec<String> {
        let requests = self.model.requests();
        let found = requests
            .iter()
            .rev()
            .find(|request| asked(request) == input);
        found
            .map(told)
            .unwrap_or_else(|| panic!("the model was never asked: {input}"))
    }

    async fn now(&self, conversation: &str) -> Value {
        self.api
            .get(&format!("/v1/conversations/{conversation}"))
            .await
            .ok()
    }

    async fn idle(&self, conversation: &str) -> Value {
        eventually("the conversation is idle", async || {
            let now = self.now(conversation).await;
            (now["active"].is_null() && now["waiting"].is_null()).then_some(now)
        })
        .await
    }
}

/// Makes an agent that has these fields besides. Gives its id.
async fn hire(api: &Api, more: &Value) -> String {
    let mut body = json!({ "name": "Guide", "instructions": "Answer." });
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    text(&api.create("/v1/agents", &body).await["id"])
}

/// The events of a kind that AG-UI has no name for.
fn custom<'a>(events: &'a [Seen], name: &str) -> Vec<&'a Value> {
    let of_name = events
        .iter()
        .filter(|event| event.kind == "CUSTOM" && event.data["name"] == name);
    of_name.map(|event| &event.data["value"]).collect()
}
