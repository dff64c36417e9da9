//! Agents that call other agents: who waits for whom, what is seen of it, and what ends with whom.

mod workers;

use std::sync::Arc;

use llm::scripted::{Gate, Scripted, Turn};
use llm::{ChatRequest, Message, ModelError};
use serde_json::{Value, json};

use crate::support::stream::{Connection, Seen, kinds, whole};
use crate::support::{Api, World, ended, eventually, text, within};

const TASK: &str = "Find out the torque.";

/// What a run was asked.
fn input(request: &ChatRequest) -> &str {
    match request.messages.first() {
        Some(Message::User { text }) => text,
        _ => "",
    }
}

/// How many turns the model has had in a run.
fn turns(request: &ChatRequest) -> usize {
    let turns = request.messages.iter();
    turns
        .filter(|message| matches!(message, Message::Assistant { .. }))
        .count()
}

fn calls(agent: &str, input: &str) -> Turn {
    Turn::calls([("call_agent", json!({ "agent_id": agent, "input": input }))])
}

/// Makes an agent that may call these agents and has these fields besides. Gives its id.
async fn hire(admin: &Api, name: &str, agents: &[&str], more: &Value) -> String {
    let mut body = json!({ "name": name, "instructions": "Answer.", "agents": agents });
    if !agents.is_empty() {
        body["tools"] = json!(["call_agent"]);
    }
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    text(&admin.create("/v1/agents", &body).await["id"])
}

async fn start(admin: &Api, agent: &str) -> String {
    let body = json!({ "agent_id": agent, "input": "How tight are the bolts?" });
    text(&admin.create("/v1/executions", &body).await["id"])
}

async fn get(admin: &Api, execution: &str) -> Value {
    admin.get(&format!("/v1/executions/{execution}")).await.ok()
}

/// The run that another one called.
async fn called_by(admin: &Api, execution: &str) -> Option<Value> {
    let all = admin.list("/v1/executions").await;
    all.into_iter()
        .find(|one| one["parent"]["execution"] == execution)
}

/// What the calls of a run gave: content, and whether it is an error.
async fn results(admin: &Api, execution: &str) -> Vec<(Value, bool)> {
    let trace = admin
        .list(&format!("/v1/executions/{execution}/trace"))
        .await;
    let calls = trace.iter().filter(|one| one["request"]["kind"] == "tool");
    calls
        .map(|one| {
            let outcome = &one["outcome"];
            let content = text(&outcome["content"]);
            let content = serde_json::from_str(&content).unwrap_or(Value::String(content));
            (content, outcome["is_error"] == true)
        })
        .collect()
}

fn assert_gapless(events: &[Seen]) {
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
}

/// What a stream shows of the runs below it: their execution, kind of event and data.
fn relayed(events: &[Seen]) -> Vec<(Value, String, Value)> {
    events
        .iter()
        .filter(|event| event.kind == "CUSTOM" && event.data["name"] == "sub_agent")
        .map(|event| {
            let value = &event.data["value"];
            (
                value["execution_id"].clone(),
                text(&value["type"]),
                value["data"].clone(),
            )
        })
        .collect()
}

/// The admin of an org whose chief may call a helper, and the ids of the two.
async fn office(world: &World, more: &Value) -> (Api, String, String) {
    let admin = world.founder("ada").await;
    let helper = hire(&admin, "Helper", &[], more).await;
    let chief = hire(&admin, "Chief", &[&helper], &json!({})).await;
    (admin, chief, helper)
}

/// A model whose chief calls whichever agent it is told of later.
#[derive(Clone, Default)]
struct Known(Arc<std::sync::OnceLock<String>>);

impl Known {
    fn agent(&self) -> String {
        self.0.get().cloned().unwrap_or_default()
    }

    fn delegating(
        &self,
        task: impl Fn(&ChatRequest, usize) -> Turn + Send + Sync + 'static,
    ) -> Scripted {
        let known = self.clone();
        Scripted::computed(
            move |request, number| match (input(request), turns(request)) {
                (TASK, _) => task(request, number),
                (_, 0) => calls(&known.agent(), TASK),
                _ => Turn::text("It is 500 Nm."),
            },
        )
    }

    fn is(&self, agent: &str) {
        self.0.set(agent.to_owned()).expect("said once");
    }
}

#[tokio::test]
async fn the_answer_of_the_called_is_the_result_of_the_call_and_all_is_seen_in_one_stream() {
    let (known, gate) = (Known::default(), Gate::new());
    let at = gate.clone();
    let model = known.delegating(move |_, _| Turn::text("500 Nm, as ever.").gated_after(2, &at));
    let world = World::with_model(&model).await;
    let (admin, chief, helper) = office(&world, &json!({})).await;
    known.is(&helper);
    let execution = start(&admin, &chief).await;
    within("the helper is at work", gate.arrived()).await;
    // Followed from the middle of the helper's work on, after a connection that broke.
    let mut connection = Connection::open(&admin, &execution, None).await;
    let mut seen = Vec::new();
    while relayed(&seen).is_empty() {
        seen.push(connection.next().await.expect("an event"));
    }
    drop(connection);
    gate.open();
    let last = seen.last().map(|event| event.id);
    seen.extend(
        Connection::open(&admin, &execution, last)
            .await
            .rest()
            .await,
    );

    let done = ended(&admin, &execution).await;
    assert_eq!(
        (&done["state"], &done["answer"]),
        (&json!("completed"), &json!("It is 500 Nm."))
    );
    let child = called_by(&admin, &execution).await.expect("a run");
    assert_eq!(
        (&child["state"], &child["agent"]),
        (&json!("completed"), &json!(helper))
    );
    let expected = json!({
        "execution_id": child["id"], "state": "completed", "answer": "500 Nm, as ever.",
        "failure": null,
    });
    assert_eq!(results(&admin, &execution).await, [(expected, false)]);

    let all = whole(&admin, &execution).await;
    assert_eq!(seen, all);
    assert_gapless(&all);
    // All that the helper says and does, event by event, and nothing of it twice.
    let own = whole(&admin, &text(&child["id"])).await;
    assert_gapless(&own);
    let shown = relayed(&all);
    let shown_kinds: Vec<&str> = shown.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(own[0].kind, "RUN_STARTED");
    assert_eq!(shown_kinds, kinds(&own));
    for ((execution, _, data), event) in shown.iter().zip(&own) {
        assert_eq!(execution, &child["id"]);
        for (field, value) in data.as_object().expect("fields") {
            assert_eq!(&event.data[field], value, "{event:?}");
        }
    }
    // It begins after the call and has ended before the call has its result.
    let place = |wanted: &dyn Fn(&Seen) -> bool| all.iter().position(wanted).expect("an event");
    let called = place(&|event| event.data["name"] == "agent_called");
    let first = place(&|event| event.data["name"] == "sub_agent");
    let last = all
        .iter()
        .rposition(|event| event.data["name"] == "sub_agent");
    let result = place(&|event| event.kind == "TOOL_CALL_RESULT");
    assert!(called < first && last < Some(result), "{:?}", kinds(&all));
    assert_eq!(
        all.iter()
            .filter(|event| event.kind == "RUN_FINISHED")
            .count(),
        1
    );
    // Whoever comes back later goes on from any place.
    for from in 0..all.len() {
        let last = (from > 0).then_some(from as u64);
        let rest = Connection::open(&admin, &execution, last)
            .await
            .rest()
            .await;
        assert_eq!(rest, all[from..], "after {from}");
    }
}

#[tokio::test]
async fn who_ends_a_run_ends_those_that_it_called() {
    let (known, gate) = (Known::default(), Gate::new());
    let at = gate.clone();
    let model = known.delegating(move |_, _| Turn::text("Too late.").gated_after(1, &at));
    let world = World::with_model(&model).await;
    let (admin, chief, helper) = office(&world, &json!({})).await;
    known.is(&helper);
    let execution = start(&admin, &chief).await;
    within("the helper is at work", gate.arrived()).await;
    let child = text(&called_by(&admin, &execution).await.expect("a run")["id"]);
    let cancel = format!("/v1/executions/{execution}/cancel");
    admin.post(&cancel, &json!({})).await.ok();
    let of_child = ended(&admin, &child).await;
    assert_eq!(of_child["state"], "cancelled");
    assert_eq!(of_child["failure"]["code"], "caller_ended");
    let of_child = whole(&admin, &child).await;
    let why = &of_child.last().expect("an end").data["code"];
    assert_eq!(why, "caller_ended");
    gate.open();
    let cancelled = ended(&admin, &execution).await;
    assert_eq!(
        (&cancelled["state"], &cancelled["answer"]),
        (&json!("cancelled"), &Value::Null)
    );
    // Of one that somebody has cancelled, the state says all.
    assert_eq!(cancelled["failure"], Value::Null);
    let all = whole(&admin, &execution).await;
    assert_gapless(&all);
    let last = all.last().expect("an end");
    assert!(
        ["RUN_ERROR", "RUN_FINISHED"].contains(&last.kind.as_str()),
        "{last:?}"
    );
    assert_eq!(admin.list("/v1/executions").await.len(), 2);
}

#[tokio::test]
async fn the_failure_of_the_called_is_told_to_the_caller() {
    let known = Known::default();
    let model = known.delegating(|_, _| {
        let message = "no such thing".to_owned();
        Turn::fail(ModelError::InvalidRequest { message })
    });
    let world = World::with_model(&model).await;
    let (admin, chief, helper) = office(&world, &json!({})).await;
    known.is(&helper);
    let execution = start(&admin, &chief).await;
    let done = ended(&admin, &execution).await;
    assert_eq!(done["state"], "completed", "{done}");
    let results = results(&admin, &execution).await;
    let (content, is_error) = &results[0];
    assert!(is_error, "{content}");
    assert_eq!(
        (
            &content["state"],
            &content["failure"]["code"],
            &content["answer"]
        ),
        (
            &json!("failed"),
            &json!("model_invalid_request"),
            &Value::Null
        )
    );
    let all = whole(&admin, &execution).await;
    assert_gapless(&all);
    let shown = relayed(&all);
    let (of, kind, data) = shown.last().expect("entries of the called");
    assert_eq!(
        (of, kind.as_str(), &data["code"]),
        (
            &content["execution_id"],
            "RUN_ERROR",
            &json!("model_invalid_request")
        )
    );
    // The failure of the called is no end of the caller's stream.
    assert_eq!(all.last().expect("an end").kind, "RUN_FINISHED");
}

#[tokio::test]
async fn calls_go_so_deep_and_no_deeper_and_never_in_circles() {
    let next: Arc<std::sync::OnceLock<Vec<String>>> = Arc::default();
    let chain = Arc::clone(&next);
    // Each says to the next how deep it is, and hands up what it hears.
    let model = Scripted::computed(move |request, _| {
        let agents = chain.get().expect("is said");
        let depth: usize = input(request).parse().unwrap_or(0);
        match (request.messages.last(), turns(request)) {
            (_, 0) if input(request) == "round" => calls(&agents[0], "round"),
            (_, 0) => calls(&agents[depth + 1], &(depth + 1).to_string()),
            (Some(Message::ToolResult { content, .. }), _) => Turn::text(content),
            _ => Turn::text("Nothing."),
        }
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let mut agents = vec![hire(&admin, "Last", &[], &json!({})).await];
    for depth in (0..7).rev() {
        let below = agents.last().expect("one").clone();
        agents.push(hire(&admin, &format!("Depth {depth}"), &[&below], &json!({})).await);
    }
    agents.reverse();
    next.set(agents.clone()).expect("said once");
    let execution = start(&admin, &agents[0]).await;
    let done = ended(&admin, &execution).await;
    assert_eq!(done["state"], "completed");
    assert!(text(&done["answer"]).contains("5 deep"), "{done}");
    let all = admin.list("/v1/executions").await;
    assert_eq!(all.len(), 6, "the first and five below it");
    let events = whole(&admin, &execution).await;
    assert_gapless(&events);
    let deepest = events
        .iter()
        .filter_map(|event| event.data["value"]["depth"].as_u64());
    assert_eq!(deepest.max(), Some(5));

    // The second calls the first, which waits for it; the first may also call itself.
    let (first, second) = (&agents[0], &agents[1]);
    for (agent, may_call) in [(second, vec![first]), (first, vec![second, first])] {
        let body = json!({ "agents": may_call });
        admin
            .patch(&format!("/v1/agents/{agent}"), &body)
            .await
            .ok();
    }
    let body = json!({ "agent_id": second, "input": "round" });
    let execution = text(&admin.create("/v1/executions", &body).await["id"]);
    let done = ended(&admin, &execution).await;
    assert_eq!(done["state"], "completed");
    // It called the first; the first called itself in vain, and said so.
    assert!(text(&done["answer"]).contains("circle"), "{done}");
    assert_eq!(admin.list("/v1/executions").await.len(), 6 + 2);
}

#[tokio::test]
async fn a_called_agent_asks_a_person_and_its_caller_waits() {
    let known = Known::default();
    let model = known.delegating(|request, _| match turns(request) {
        0 => Turn::calls([("ask_human", json!({ "question": "Which bolts?" }))]),
        _ => Turn::text("500 Nm."),
    });
    let world = World::with_model(&model).await;
    let (admin, chief, helper) = office(&world, &json!({ "tools": ["ask_human"] })).await;
    known.is(&helper);
    let execution = start(&admin, &chief).await;
    let approval = eventually("somebody is asked", async || {
        admin.list("/v1/approvals?state=pending").await.pop()
    })
    .await;
    let child = called_by(&admin, &execution).await.expect("a run");
    assert_eq!(
        (&approval["execution"], &approval["agent"]),
        (&child["id"], &json!(helper))
    );
    assert_eq!(
        get(&admin, &text(&child["id"])).await["state"],
        "awaiting_input"
    );
    assert_eq!(get(&admin, &execution).await["state"], "running");
    let asked = model.calls();
    let answer = format!("/v1/approvals/{}/answer", text(&approval["id"]));
    let body = json!({ "decision": "reply", "text": "Those of the blades." });
    admin.post(&answer, &body).await.ok();
    let done = ended(&admin, &execution).await;
    assert_eq!(done["state"], "completed", "{done}");
    // One more turn of each: nothing was asked again.
    assert_eq!((asked, model.calls()), (2, 4));
    let all = whole(&admin, &execution).await;
    assert_gapless(&all);
    let asked = relayed(&all)
        .into_iter()
        .filter(|(_, _, data)| data["name"] == "approval_requested");
    let asked: Vec<Value> = asked
        .map(|(_, _, data)| data["value"]["approval_id"].clone())
        .collect();
    assert_eq!(asked, [approval["id"].clone()]);
}
