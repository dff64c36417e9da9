//! `/v1/conversations`.

mod policies;
mod races;
mod resource;
mod waits;

use llm::scripted::{Gate, Scripted};
use serde_json::{Value, json};

use crate::support::listener::{listener, told};
use crate::support::{Answer, Api, World, ended, eventually, text, within};

/// A conversation with an agent, of somebody who has founded an org for it.
struct Talk {
    world: World,
    admin: Api,
    agent: String,
    id: String,
    model: Scripted,
    gate: Gate,
}

impl Talk {
    async fn start() -> Self {
        let gate = Gate::new();
        let model = listener(&gate);
        let world = World::with_model(&model).await;
        let admin = world.founder("ada").await;
        Self::of(world, admin, model, gate, &[]).await
    }

    async fn of(world: World, admin: Api, model: Scripted, gate: Gate, tools: &[&str]) -> Self {
        let body = json!({ "name": "Guide", "instructions": "Answer.", "tools": tools });
        let agent = text(&admin.create("/v1/agents", &body).await["id"]);
        let body = json!({ "agent_id": agent, "title": "Oil" });
        let id = text(&admin.create("/v1/conversations", &body).await["id"]);
        Self {
            world,
            admin,
            agent,
            id,
            model,
            gate,
        }
    }

    /// Asks for a turn.
    async fn ask(&self, input: &str, on_busy: Option<&str>) -> Answer {
        let mut body = json!({
            "agent_id": self.agent, "input": input, "conversation_id": self.id,
        });
        if let Some(on_busy) = on_busy {
            body["on_busy"] = json!(on_busy);
        }
        self.admin.post("/v1/executions", &body).await
    }

    /// Asks for a turn, and gives its execution.
    async fn turn(&self, input: &str, on_busy: Option<&str>) -> String {
        text(&self.ask(input, on_busy).await.created()["id"])
    }

    /// Asks for a turn whose reply is held, and waits until it is.
    async fn held(&self, input: &str) -> String {
        let turn = self.turn(input, None).await;
        within("the model speaks", self.gate.arrived()).await;
        turn
    }

    async fn ended(&self, execution: &str) -> Value {
        ended(&self.admin, execution).await
    }

    async fn execution(&self, id: &str) -> Value {
        self.admin.get(&format!("/v1/executions/{id}")).await.ok()
    }

    /// Does something to an execution, such as `pause`.
    async fn apply(&self, operation: &str, execution: &str) -> Value {
        let path = format!("/v1/executions/{execution}/{operation}");
        self.admin.post(&path, &json!({})).await.ok()
    }

    async fn now(&self) -> Value {
        self.admin.get(&self.path()).await.ok()
    }

    async fn turns(&self) -> Vec<Value> {
        self.admin.list(&format!("{}/turns", self.path())).await
    }

    fn path(&self) -> String {
        format!("/v1/conversations/{}", self.id)
    }

    /// Waits until no turn is open or waits.
    async fn idle(&self) -> Value {
        eventually("the conversation is idle", async || {
            let now = self.now().await;
            (now["active"].is_null() && now["waiting"].is_null()).then_some(now)
        })
        .await
    }

    /// What the model was told in the turn of this input.
    fn told_in(&self, input: &str) -> Vec<String> {
        let requests = self.model.requests();
        let last = format!("user: {input}");
        let found = requests
            .iter()
            .map(told)
            .find(|lines| lines.last() == Some(&last));
        found.unwrap_or_else(|| panic!("the model was never asked: {input}"))
    }
}
