//! What people are asked during executions, and what comes of their answers.

mod answers;
mod links;
mod policies;
mod runs;

use domain::approval::{ApprovalPolicy, ApprovalSubject};
use serde_json::{Value, json};
use store::executions::RUN_JOB;

use crate::support::asked::{self, Asked};
use crate::support::fixture;
use crate::support::{Answer, Api, World, tenant, text};

/// The org of somebody who has an agent.
struct Office {
    admin: Api,
    agent: String,
}

impl Office {
    async fn open(world: &World, name: &str) -> Self {
        let admin = world.founder(name).await;
        let mut agent = fixture::agent("Guide");
        agent["tools"] = json!(["remember", "ask_human"]);
        let agent = text(&admin.create("/v1/agents", &agent).await["id"]);
        Self { admin, agent }
    }

    /// Has an execution of the agent ask all of this at once.
    async fn ask(
        &self,
        world: &World,
        policy: &ApprovalPolicy,
        subjects: Vec<ApprovalSubject>,
    ) -> Asked {
        let agent = self.agent.parse().expect("an agent's id");
        asked::ask(world.store(), tenant(&self.admin), agent, policy, subjects).await
    }

    /// Has an execution of the agent ask whether a note may be kept, of anybody.
    async fn may_it(&self, world: &World) -> Asked {
        self.ask(
            world,
            &ApprovalPolicy::default(),
            vec![asked::may_remember()],
        )
        .await
    }

    /// The events of a kind about a thing, by what the audit chain holds.
    async fn events(&self, kind: &str, subject: &impl ToString) -> Vec<Value> {
        let subject = subject.to_string();
        let entries = self.admin.list("/v1/audit").await;
        entries
            .into_iter()
            .filter(|entry| entry["type"] == kind && entry["subject"] == subject)
            .collect()
    }
}

/// Where an approval is answered.
fn answer_path(asked: &Asked) -> String {
    format!("/v1/approvals/{}/answer", asked.only().id)
}

/// Answers the only thing that an execution asks.
async fn answer(api: &Api, asked: &Asked, body: &Value) -> Answer {
    api.post(&answer_path(asked), body).await
}

/// An approval as the API shows it.
async fn shown(api: &Api, id: &impl ToString) -> Value {
    let path = format!("/v1/approvals/{}", id.to_string());
    api.get(&path).await.ok()
}

/// An execution as the API shows it.
async fn execution(api: &Api, asked: &Asked) -> Value {
    let path = format!("/v1/executions/{}", asked.execution.id);
    api.get(&path).await.ok()
}

/// The job of an execution, as it is stored.
async fn job(world: &World, asked: &Asked) -> work::Job {
    let (org, id) = (asked.execution.org, asked.execution.job);
    let job = work::JobStore::load(world.store(), org, id).await;
    let job = job.expect("the store answers").expect("is there");
    assert_eq!(job.kind, RUN_JOB);
    job
}
