//! Whose conversations are whose.

use serde_json::json;

use super::*;
use crate::support::{Answer, send};

/// What anybody may try with somebody's conversation and the execution of its turn: method, path and
/// body.
fn attempts(agent: &str, of: &Answering) -> Vec<(Method, String, Option<Value>)> {
    let conversation = format!("/v1/conversations/{}", of.conversation);
    let execution = format!("/v1/executions/{}", of.execution);
    let chat = format!("/v1/chat/{agent}");
    let in_it = |more: Value| {
        let mut body = json!({ "conversation_id": of.conversation });
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        Some(body)
    };
    let history = format!("{chat}/history?conversation_id={}", of.conversation);
    vec![
        (Method::GET, conversation.clone(), None),
        (Method::GET, format!("{conversation}/turns"), None),
        (
            Method::PATCH,
            conversation.clone(),
            Some(json!({ "title": "Mine" })),
        ),
        (
            Method::POST,
            format!("{conversation}/stop"),
            Some(json!({})),
        ),
        (Method::DELETE, conversation, None),
        (Method::GET, history, None),
        (
            Method::POST,
            chat.clone(),
            in_it(json!({ "message": "Hello?" })),
        ),
        (
            Method::POST,
            chat.clone(),
            in_it(json!({ "regenerates": 1 })),
        ),
        (
            Method::POST,
            chat,
            in_it(json!({ "message": "x", "edits": 1 })),
        ),
        (Method::GET, execution.clone(), None),
        (Method::GET, format!("{execution}/trace"), None),
        (Method::GET, format!("{execution}/stream"), None),
        (Method::POST, format!("{execution}/cancel"), Some(json!({}))),
    ]
}

async fn attempt(api: &Api, method: &Method, path: &str, body: Option<&Value>) -> Answer {
    let request = api.request(method.clone(), path);
    send(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// The same path with ids that nothing has.
fn to_nothing(path: &str, body: Option<&Value>, of: &Answering) -> (String, Option<Value>) {
    use crate::support::fixture::nobodys;
    let replaced = |text: &str| {
        text.replace(&of.conversation, &nobodys(&of.conversation))
            .replace(&of.execution, &nobodys(&of.execution))
    };
    let body = body.map(|body| serde_json::from_str(&replaced(&body.to_string())).expect("JSON"));
    (replaced(path), body)
}

#[tokio::test]
async fn members_see_their_own_conversations_and_managers_those_of_all() {
    let chat = Chat::start().await;
    let (world, admin, agent) = (&chat.world, &chat.api, &chat.agent);
    let bob = world.join(admin, "bob", "member").await;
    let eve = world.join(admin, "eve", "member").await;
    let boss = world.join(admin, "boss", "manager").await;
    let scopes = ["executions:read", "executions:write", "agents:read"];
    let machine = world.machine(admin, &scopes).await;
    let stranger = world.founder("stranger").await;

    let said = say(&bob, agent, &json!({ "message": "The secret of Bob." })).await;
    let said = Answering {
        events: Connection::open(&bob, &said.execution, None).await,
        ..said
    };
    ended(&bob, &said.execution).await;
    for (who, caller) in [("eve", &eve), ("a stranger", &stranger)] {
        for (method, path, body) in attempts(agent, &said) {
            let theirs = attempt(caller, &method, &path, body.as_ref()).await;
            theirs.problem(404, "not_found");
            let (path, body) = to_nothing(&path, body.as_ref(), &said);
            let missing = attempt(caller, &method, &path, body.as_ref()).await;
            assert_eq!(
                theirs.indistinguishable(),
                missing.indistinguishable(),
                "{who} {method} {path}"
            );
        }
    }
    // By the way of executions as well.
    let run = json!({ "agent_id": agent, "input": "?", "conversation_id": said.conversation });
    eve.post("/v1/executions", &run)
        .await
        .names("/conversation_id");
    for path in ["/v1/conversations", "/v1/executions"] {
        assert_eq!(eve.list(path).await, Vec::<Value>::new(), "{path}");
    }
    let nothing = eve.get(&format!("/v1/chat/{agent}/history")).await.ok();
    assert_eq!(nothing, json!({ "items": [] }));
    for caller in [&bob, &boss, admin, &machine] {
        for path in ["/v1/conversations", "/v1/executions"] {
            let listed = eventually("it is listed", async || {
                let listed = caller.list(path).await;
                (!listed.is_empty()).then_some(listed)
            })
            .await;
            assert_eq!(listed.len(), 1, "{path}");
        }
        let path = format!("/v1/conversations/{}", said.conversation);
        caller.get(&path).await.ok();
    }
    // What a machine begins is no member's, and what one person has begun is not another's by
    // default.
    let begun = say(&machine, agent, &json!({ "message": "Nobody's." })).await;
    begun.events.rest().await;
    let path = format!("/v1/conversations/{}", begun.conversation);
    bob.get(&path).await.problem(404, "not_found");
    boss.get(&path).await.ok();
    let own = boss.get(&format!("/v1/chat/{agent}/history")).await.ok();
    assert_eq!(own, json!({ "items": [] }));
}

#[tokio::test]
async fn a_run_that_a_turn_led_to_is_as_private_as_the_turn() {
    let model = Scripted::computed(|request, _| match request.messages.last() {
        Some(Message::User { text }) if text == "Ask the other." => {
            let other = request.system.as_deref().unwrap_or_default();
            let other = other
                .split_whitespace()
                .find(|word| word.starts_with("agt_"));
            let call = json!({ "agent_id": other, "input": "The secret of Bob." });
            Turn::calls([("call_agent", call)])
        }
        _ => Turn::text("So it is."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let other = hire(&admin, &json!({ "name": "Other" })).await;
    let agent = hire(
        &admin,
        &json!({
            "instructions": format!("Ask {other} everything."),
            "tools": ["call_agent"],
            "agents": [other],
        }),
    )
    .await;
    let bob = world.join(&admin, "bob", "member").await;
    let eve = world.join(&admin, "eve", "member").await;
    let answer = say(&bob, &agent, &json!({ "message": "Ask the other." })).await;
    answer.events.rest().await;
    let runs = eventually("both runs are listed", async || {
        let runs = bob.list("/v1/executions").await;
        (runs.len() == 2).then_some(runs)
    })
    .await;
    assert_eq!(eve.list("/v1/executions").await, Vec::<Value>::new());
    for run in runs {
        let path = format!("/v1/executions/{}", text(&run["id"]));
        eve.get(&path).await.problem(404, "not_found");
    }
}
