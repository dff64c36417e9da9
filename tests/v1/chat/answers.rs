//! Messages and their answers, as they come.

use serde_json::json;

use super::*;
use crate::support::stream::{kinds, whole};
use crate::support::world::prices;
use crate::support::{Setup, send};

#[tokio::test]
async fn a_message_begins_a_conversation_and_its_answer_comes_as_it_is_made() {
    let chat = Chat::start().await;
    let message = "How often is the oil of the gearbox changed?\nIt is press 4.";
    let answer = chat.say(&json!({ "message": message })).await;
    let (conversation, execution) = (answer.conversation, answer.execution);
    assert!(
        answer
            .url
            .ends_with(&format!("/v1/executions/{execution}/stream")),
        "{}",
        answer.url
    );
    let events = answer.events.rest().await;
    let mut order = kinds(&events);
    order.dedup();
    assert_eq!(
        order,
        [
            "RUN_STARTED",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISHED",
            "RUN_FINISHED"
        ]
    );
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
    assert_eq!(
        (&events[0].data["thread_id"], &events[0].data["run_id"]),
        (&json!(conversation), &json!(execution))
    );
    let last = &events.last().expect("an end").data;
    assert_eq!(last["answer"], format!("Re: {message}"));
    // It is the log of the execution, and no other.
    assert_eq!(whole(&chat.api, &execution).await, events);

    let now = chat.now(&conversation).await;
    assert_eq!(now["title"], "How often is the oil of the gearbox changed?");
    assert_eq!((&now["turns"], &now["leaf"]), (&json!(1), &json!(1)));
    let history = chat.history("").await;
    assert_eq!(history["conversation"]["id"], conversation);
    let turn = &history["items"][0];
    assert_eq!(
        (&turn["message"], &turn["answer"], &turn["state"]),
        (&json!(message), &last["answer"], &json!("completed"))
    );
    assert_eq!(
        (&turn["execution"], &turn["siblings"]),
        (&json!(execution), &json!([1]))
    );
}

#[tokio::test]
async fn a_conversation_goes_on_and_its_title_can_be_changed() {
    let chat = Chat::start().await;
    let conversation = chat.conversation(&["one", "two"]).await;
    chat.talk("three", Some(&conversation)).await;
    assert_eq!(
        chat.told_at("three"),
        [
            "user: one",
            "assistant: Re: one",
            "user: two",
            "assistant: Re: two",
            "user: three"
        ]
    );
    assert_eq!(chat.now(&conversation).await["title"], "one");
    let path = format!("/v1/conversations/{conversation}");
    chat.api
        .patch(&path, &json!({ "title": "Counting" }))
        .await
        .ok();
    chat.talk("four", Some(&conversation)).await;
    assert_eq!(chat.now(&conversation).await["title"], "Counting");
    // Another begins beside it, and is the one that is gone on with by default.
    let other = chat.talk("Hello?", None).await;
    assert_ne!(other, conversation);
    assert_eq!(chat.told_at("Hello?"), ["user: Hello?"]);
    let newest = eventually("the list is there", async || {
        let history = chat.history("").await;
        (history["conversation"]["id"] == other).then_some(history)
    })
    .await;
    assert_eq!(newest["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn whoever_goes_away_in_the_middle_changes_nothing_and_pays() {
    let gate = Gate::new();
    let model = listener(&gate);
    let setup = Setup {
        model: model.clone(),
        prices: prices(3),
        ..Setup::default()
    };
    let world = World::with(setup).await;
    let api = world.founder("ada").await;
    let agent = hire(&api, &json!({})).await;
    let budget = json!({ "granted_micro_credits": 1_000_000_000 });
    api.put("/v1/budgets/org", &budget).await.ok();

    let mut answer = say(&api, &agent, &json!({ "message": "hold on" })).await;
    let first = answer.events.next().await.expect("an event");
    assert_eq!(first.kind, "RUN_STARTED");
    within("the model speaks", gate.arrived()).await;
    drop(answer.events);
    gate.open();
    let end = ended(&api, &answer.execution).await;
    assert_eq!(end["state"], "completed");
    assert_eq!(end["answer"], format!("{} Held.", said_so_far()));
    assert_eq!(end["usage"]["output_tokens"], 10);
    assert_eq!(end["spending"]["spent"], 30);
    let budget = api.get("/v1/budgets/org").await.ok();
    assert_eq!(
        (&budget["spent"], &budget["reserved"]),
        (&json!(30), &json!(0)),
        "{budget}"
    );
    assert_eq!(model.calls(), 1);
    // What came meanwhile is there for whoever comes again.
    let rest = Connection::open(&api, &answer.execution, Some(first.id)).await;
    let rest = rest.rest().await;
    assert_eq!(rest[0].id, first.id + 1);
    assert_eq!(rest.last().expect("an end").kind, "RUN_FINISHED");
}

#[tokio::test]
async fn an_answer_goes_on_where_it_broke_off_after_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let gate = Gate::new();
    let model = Scripted::computed({
        let gate = gate.clone();
        move |_, _| Turn::text(format!("{} Held.", said_so_far())).gated_after(1, &gate)
    });
    let setup = |model: Scripted| Setup {
        model,
        data: Some(data.path().to_owned()),
        ..Setup::default()
    };
    let world = World::with(setup(model)).await;
    let api = world.founder("ada").await;
    let org = api.org().to_owned();
    let agent = hire(&api, &json!({})).await;
    let mut answer = say(&api, &agent, &json!({ "message": "Hello?" })).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(answer.events.next().await.expect("an event"));
    }
    assert_eq!(seen[3].kind, "TEXT_MESSAGE_CONTENT");
    drop(answer.events);
    world.host.shutdown().await;

    let again = Scripted::computed(|_, _| Turn::text("Here I am."));
    let world = World::with(setup(again)).await;
    let api = world.person("ada").for_org(org);
    let last = seen[3].id;
    let rest = Connection::open(&api, &answer.execution, Some(last)).await;
    seen.extend(rest.rest().await);
    let ids: Vec<u64> = seen.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
    let ends = seen
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR"));
    assert_eq!(ends.count(), 1);
    assert_eq!(seen.last().expect("an end").data["answer"], "Here I am.");
    let path = format!("/v1/chat/{agent}/history");
    let history = api.get(&path).await.ok();
    assert_eq!(history["items"][0]["answer"], "Here I am.");
    assert_eq!(history["conversation"]["id"], answer.conversation);
}

#[tokio::test]
async fn a_message_that_comes_twice_is_said_once() {
    let chat = Chat::start().await;
    let path = format!("/v1/chat/{}", chat.agent);
    let request = || {
        let request = chat.api.request(Method::POST, &path);
        let request = request.header("idempotency-key", "message-1");
        request.json(&json!({ "message": "hold on" }))
    };
    let first = request().send().await.expect("the host answers");
    let execution = first.headers()["overglass-execution"].clone();
    let conversation = first.headers()["overglass-conversation"].clone();
    // The answer is not there yet, and whoever asks again is told where it will be.
    within("the model speaks", chat.gate.arrived()).await;
    let again = send(request()).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let again = again.ok();
    assert_eq!(again["execution_id"], execution.to_str().expect("a text"));
    assert_eq!(
        again["conversation_id"],
        conversation.to_str().expect("a text")
    );
    assert!(text(&again["stream_url"]).ends_with("/stream"), "{again}");
    chat.gate.open();
    let events = Connection::of(first).rest().await;
    assert_eq!(events.last().expect("an end").kind, "RUN_FINISHED");
    assert_eq!(chat.api.list("/v1/executions").await.len(), 1);
    assert_eq!(chat.api.list("/v1/conversations").await.len(), 1);
}

#[tokio::test]
async fn a_message_meets_an_open_turn_as_the_conversation_says() {
    let chat = Chat::start().await;
    let body = json!({ "message": "hold one", "on_busy": "reject" });
    let open = chat.say(&body).await;
    within("the model speaks", chat.gate.arrived()).await;
    let path = format!("/v1/chat/{}", chat.agent);
    let next = |on_busy: Option<&str>| {
        let mut body = json!({ "message": "two", "conversation_id": open.conversation });
        if let Some(on_busy) = on_busy {
            body["on_busy"] = json!(on_busy);
        }
        body
    };
    let refused = chat.api.post(&path, &next(None)).await;
    refused.problem(409, "conversation_busy");
    // One that waits is streamed once its time has come.
    let waits = chat.say(&next(Some("enqueue"))).await;
    chat.gate.open();
    let events = waits.events.rest().await;
    assert_eq!(events[0].data["input"], "two");
    assert_eq!(events.last().expect("an end").data["answer"], "Re: two");
    let one = open.events.rest().await;
    assert_eq!(one.last().expect("an end").kind, "RUN_FINISHED");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let chat = Chat::start().await;
    let conversation = chat.talk("one", None).await;
    let path = format!("/v1/chat/{}", chat.agent);
    let here = |more: Value| {
        let mut body = json!({ "conversation_id": conversation });
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        body
    };
    for (body, field) in [
        (json!({}), "/message"),
        (json!({ "message": "  " }), "/message"),
        (json!({ "message": "x".repeat(32_001) }), "/message"),
        (json!({ "message": "x", "edits": 1 }), "/conversation_id"),
        (json!({ "regenerates": 1 }), "/conversation_id"),
        (here(json!({ "edits": 1 })), "/message"),
        (
            here(json!({ "message": "x", "regenerates": 1 })),
            "/message",
        ),
        (here(json!({ "edits": 1, "regenerates": 1 })), "/edits"),
        (here(json!({ "message": "x", "edits": 7 })), "/edits"),
        (here(json!({ "regenerates": 0 })), "/regenerates"),
        (
            json!({ "message": "x", "knowledge": { "max_tokens": 8_001 } }),
            "/knowledge/max_tokens",
        ),
    ] {
        let refused = chat.api.post(&path, &body).await;
        refused.names(field);
    }
    let with = |query: &str| format!("{path}/history?conversation_id={conversation}&{query}");
    for (query, field) in [("leaf=7", "leaf"), ("leaf=x", "leaf"), ("limit=0", "limit")] {
        chat.api.get(&with(query)).await.names(field);
    }
    // A conversation with another agent is none of this one.
    let other = hire(&chat.api, &json!({ "name": "Other" })).await;
    let path = format!("/v1/chat/{other}");
    chat.api
        .post(&path, &here(json!({ "message": "x" })))
        .await
        .names("/conversation_id");
    let theirs = format!("{path}/history?conversation_id={conversation}");
    chat.api.get(&theirs).await.problem(404, "not_found");
    assert_eq!(chat.now(&conversation).await["turns"], 1);
    let nothing = chat.api.get(&format!("{path}/history")).await.ok();
    assert_eq!(nothing, json!({ "items": [] }));
}
