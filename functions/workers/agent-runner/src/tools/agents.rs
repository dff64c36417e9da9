//! Calling other agents. A call is an execution of its own, on the caller's account; the caller
//! waits for its end at no cost.

use domain::execution::{Effect, Execution, ExecutionState};
use kernel::{AgentId, ExecutionId};
use serde_json::{Value, json};
use store::executions::NewRun;

use crate::reply::Reply;
use crate::run::Run;
use crate::stop::Stop;

use super::{Call, Progress, settled};

/// How many calls may lie between the first run and the last.
pub(crate) const MAX_DEPTH: u32 = 5;
/// How many runs one run may have called that have not ended.
const MAX_OPEN: usize = 8;

/// Calls another agent, or looks how far the call has come.
pub(super) async fn call(
    run: &mut Run<'_>,
    call: Call<'_>,
    arguments: &Value,
) -> Result<Progress, Stop> {
    let begun = run.journal.effect(call.step, call.number);
    if let Some(child) = begun.and_then(|effect| effect.child) {
        return look_at(run, call, child).await;
    }
    match admitted(run, arguments).await? {
        Ok(agent) => start(run, call, agent, arguments).await,
        Err(refusal) => settled(run, call, Reply::error(refusal)).await,
    }
}

/// How far a run that was called has come.
async fn look_at(run: &mut Run<'_>, call: Call<'_>, child: ExecutionId) -> Result<Progress, Stop> {
    let executions = run.runner.store.executions(run.tenant);
    let reply = match executions.get(child).await? {
        Some(child) if !child.state.is_terminal() => return Ok(Progress::Called),
        Some(child) => answer_of(&child),
        None => Reply::error("The agent's execution is gone."),
    };
    settled(run, call, reply).await
}

fn answer_of(child: &Execution) -> Reply {
    let answer = json!({
        "execution_id": child.id,
        "state": child.state,
        "answer": child.answer,
        "failure": child.failure,
    });
    Reply {
        is_error: child.state != ExecutionState::Completed,
        ..Reply::json(&answer)
    }
}

/// The agent to call, or why it may not be called.
async fn admitted(run: &Run<'_>, arguments: &Value) -> Result<Result<AgentId, String>, Stop> {
    let named = arguments["agent_id"].as_str().unwrap_or_default();
    let callable = callable(run);
    let Some(agent) = callable
        .iter()
        .copied()
        .find(|agent| agent.to_string() == named)
    else {
        let known: Vec<String> = callable.iter().map(ToString::to_string).collect();
        let known = known.join(", ");
        return Ok(Err(format!("You may call only these agents: {known}.")));
    };
    let swarm = run.swarm.as_ref();
    let max_depth = swarm.map_or(MAX_DEPTH, |own| own.swarm.spec.limits.max_depth);
    if run.execution.depth() >= max_depth {
        return Ok(Err(format!(
            "Agents may call each other {max_depth} deep. Answer without calling another."
        )));
    }
    if run.execution.children.len() >= MAX_OPEN {
        return Ok(Err(format!(
            "{MAX_OPEN} agents are at work for this execution. Wait for them."
        )));
    }
    if chain(run).await?.contains(&agent) {
        return Ok(Err(
            "This agent is waiting for your answer: calling it would go round in a circle."
                .to_owned(),
        ));
    }
    Ok(Ok(agent))
}

/// The agents that the run's own may call: those that it was given, and those that it works with.
fn callable(run: &Run<'_>) -> Vec<AgentId> {
    let mut agents = run.spec.agents.clone();
    if let Some(swarm) = &run.swarm {
        agents.extend(swarm.colleagues(run.execution.agent));
    }
    agents.sort_unstable();
    agents.dedup();
    agents
}

/// The agents that wait for this run, and its own.
async fn chain(run: &Run<'_>) -> Result<Vec<AgentId>, Stop> {
    let executions = run.runner.store.executions(run.tenant);
    let mut agents = vec![run.execution.agent];
    let mut parent = run.execution.parent;
    while let Some(call) = parent {
        let Some(caller) = executions.get(call.execution).await? else {
            break;
        };
        agents.push(caller.agent);
        parent = caller.parent;
    }
    Ok(agents)
}

async fn start(
    run: &mut Run<'_>,
    call: Call<'_>,
    agent: AgentId,
    arguments: &Value,
) -> Result<Progress, Stop> {
    let store = run.runner.store.clone();
    let Some(agent) = store.agents(run.tenant).get(agent).await? else {
        let gone = Reply::error("The agent was deleted.");
        return settled(run, call, gone).await;
    };
    let input = arguments["input"].as_str().unwrap_or_default().to_owned();
    let cause = run.cause();
    let child = NewRun::new(&store, &cause, &agent, input, None)
        .called_by(&run.execution, call.step, call.number)
        .within(run.until_deadline());
    let id = child.execution().id;
    let effect = Effect {
        child: Some(id),
        ..run.new_effect(call.step, call.number, call.request())
    };
    let value = json!({
        "execution_id": id,
        "agent_id": agent.id,
        "tool_call_id": call.requested.call_id,
    });
    let event = run.handed_off(json!({
        "agent": run.execution.agent,
        "from": run.execution.agent,
        "to": agent.id,
        "execution": id,
        "swarm": run.execution.swarm,
    }));
    let executions = store.executions(run.tenant);
    run.record(|draft| {
        draft.put_effect(&effect);
        draft.execution.children.push(id);
        draft.tell_custom("agent_called", value.clone());
        draft.also(|commit| {
            let commit = commit.event(event.clone());
            executions.add_queued(commit, &cause, &child, true)
        });
    })
    .await?;
    run.journal.record(effect);
    Ok(Progress::Called)
}
