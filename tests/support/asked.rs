//! Executions that wait for people, made as rows: what stands after a worker has asked and left.

use std::time::Duration;

use domain::approval::{Approval, ApprovalPolicy, ApprovalState, ApprovalSubject};
use domain::event::Actor;
use domain::execution::{Execution, ExecutionState, Waiting};
use kernel::{AgentId, ApprovalId};
use serde_json::json;
use store::executions::{NewRun, RUN_JOB};
use store::{Cause, Commit, Store, Tenant};
use work::{Lane, NewJob};

/// An execution that waits, and what it waits for.
pub struct Asked {
    pub execution: Execution,
    pub approvals: Vec<Approval>,
}

impl Asked {
    /// The only thing that is asked.
    pub fn only(&self) -> &Approval {
        let [only] = self.approvals.as_slice() else {
            panic!("{} things are asked", self.approvals.len());
        };
        only
    }
}

/// What causes the rows.
pub fn cause() -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: "req_asked".to_owned(),
    }
}

/// May a note be kept? A call that the built-in tool `remember` allows.
pub fn may_remember() -> ApprovalSubject {
    ApprovalSubject::ToolCall {
        tool: "remember".to_owned(),
        arguments: json!({ "text": "Oil is changed." }),
    }
}

/// A question of the agent.
pub fn question() -> ApprovalSubject {
    ApprovalSubject::Question {
        question: "How much may it cost?".to_owned(),
    }
}

/// Makes an execution of `agent` that asks all of `subjects` in its first step.
pub async fn ask(
    store: &Store,
    tenant: Tenant,
    agent: AgentId,
    policy: &ApprovalPolicy,
    subjects: Vec<ApprovalSubject>,
) -> Asked {
    let agent = store
        .agents(tenant)
        .get(agent)
        .await
        .expect("the store answers")
        .expect("the agent exists");
    let now = store.now();
    let cause = cause();
    let run = NewRun::new(store, &cause, &agent, "May I?".to_owned(), None);
    let mut execution = run.execution().clone();
    for state in [ExecutionState::Running, ExecutionState::AwaitingInput] {
        execution.transition(state, now).expect("may be so");
    }
    let approvals: Vec<Approval> = (1..)
        .zip(subjects)
        .map(|(call, subject)| Approval {
            id: ApprovalId::generate(now),
            org: tenant.org(),
            execution: execution.id,
            agent: agent.id,
            step: 1,
            call,
            subject,
            policy: policy.clone(),
            state: ApprovalState::Pending,
            answer: None,
            created_at: now,
            expires_at: now.plus(policy.expires_in()),
            updated_at: now,
            version: 1,
        })
        .collect();
    execution.waiting = Some(Waiting {
        reason: "People are asked.".to_owned(),
        approvals: approvals.iter().map(|approval| approval.id).collect(),
        ..Waiting::default()
    });
    let payload = json!({ "execution": execution.id });
    let job = NewJob::new(tenant.org(), RUN_JOB, Lane::AgentInteractive, payload)
        .id(execution.job)
        .parked_until(now.plus(Duration::from_secs(40 * 86_400)))
        .build(now);
    let mut commit = Commit::new(tenant).create(&execution).create(&job);
    for approval in &approvals {
        commit = commit.request_approval(store, &cause, approval);
    }
    store.commit(commit).await.expect("is written");
    Asked {
        execution,
        approvals,
    }
}
