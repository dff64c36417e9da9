//! `GET /v1/executions/{execution_id}/stream`.

use http::Method;
use llm::scripted::{Gate, Scripted, Turn};
use serde_json::json;

use super::{agent, run, start};
use crate::support::stream::{Connection, Seen, kinds, whole};
use crate::support::{World, ended, send, text, within};

fn two_steps() -> Scripted {
    Scripted::new([
        Turn::reply("I look.", [("remember", json!({ "text": "A" }))]),
        Turn::text("It is changed every 500 hours."),
    ])
}

#[tokio::test]
async fn a_stream_tells_the_whole_run_in_order_and_ends_once() {
    let model = two_steps();
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    // Followed from the start, while it runs.
    let live = whole(&admin, &execution).await;
    let mut order = kinds(&live);
    // Text may come in several pieces.
    order.dedup();
    assert_eq!(
        order,
        [
            "RUN_STARTED",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "TOOL_CALL_START",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_RESULT",
            "STEP_FINISHED",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISHED",
            "RUN_FINISHED",
        ]
    );
    let ids: Vec<u64> = live.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
    let ended = ended(&admin, &execution).await;
    let finished = &live.last().expect("an end").data;
    assert_eq!(
        (&finished["answer"], &finished["usage"]),
        (&ended["answer"], &ended["usage"])
    );
    assert_eq!(ended["last_sequence"], ids.len());
    // Whoever comes later, or beside, sees the same.
    let (one, other) = tokio::join!(whole(&admin, &execution), whole(&admin, &execution));
    assert_eq!((&one, &other), (&live, &live));
}

#[tokio::test]
async fn whoever_comes_again_goes_on_where_they_broke_off() {
    let model = two_steps();
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = text(&run(&admin, &guide).await["id"]);
    let all = whole(&admin, &execution).await;
    let last = u64::try_from(all.len()).expect("few");
    for seen in 0..last {
        let rest = Connection::open(&admin, &execution, Some(seen))
            .await
            .rest()
            .await;
        let from = usize::try_from(seen).expect("few");
        assert_eq!(rest, all[from..], "after {seen}");
    }
    let path = format!("/v1/executions/{execution}/stream");
    for beyond in [last, last + 1, u64::MAX] {
        let request = admin
            .request(Method::GET, &path)
            .header("last-event-id", beyond.to_string());
        send(request).await.gone();
    }
    for nonsense in ["x", "-1", "1.5", "", "18446744073709551616"] {
        let request = admin
            .request(Method::GET, &path)
            .header("last-event-id", nonsense);
        send(request).await.names("Last-Event-ID");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_mid_run_costs_no_event_and_repeats_none() {
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let turn = |gate: &Gate, text: &str| {
        Turn::reply(text, [("remember", json!({ "text": "A" }))]).gated_after(2, gate)
    };
    let model = Scripted::new([
        turn(&gates[0], "First I look."),
        turn(&gates[1], "Then I look again."),
        Turn::text("Every 500 hours.").gated_after(1, &gates[2]),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    let mut seen: Vec<Seen> = Vec::new();
    for gate in &gates {
        within("the model speaks", gate.arrived()).await;
        let last = seen.last().map(|event| event.id);
        let mut connection = Connection::open(&admin, &execution, last).await;
        // Two events, whichever they are, and the connection is gone.
        for _ in 0..2 {
            seen.push(connection.next().await.expect("an event"));
        }
        drop(connection);
        gate.open();
    }
    let last = seen.last().map(|event| event.id);
    seen.extend(
        Connection::open(&admin, &execution, last)
            .await
            .rest()
            .await,
    );
    assert_eq!(seen, whole(&admin, &execution).await);
    let ids: Vec<u64> = seen.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let ends = seen
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR"));
    assert_eq!(ends.count(), 1);
}

#[tokio::test]
async fn text_arrives_while_it_is_spoken_and_whole_in_the_end() {
    let gate = Gate::new();
    let words: String = (0..400).map(|number| format!("word{number} ")).collect();
    let model = Scripted::new([Turn::text(&words).gated_after(300, &gate)]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = start(&admin, &guide).await;
    within("the model speaks", gate.arrived()).await;
    let mut connection = Connection::open(&admin, &execution, None).await;
    let mut events = Vec::new();
    // The model has not ended, and some of its text is here.
    while events
        .last()
        .is_none_or(|event: &Seen| event.kind != "TEXT_MESSAGE_CONTENT")
    {
        events.push(connection.next().await.expect("an event"));
    }
    gate.open();
    events.extend(connection.rest().await);
    let pieces: Vec<String> = events
        .iter()
        .filter(|event| event.kind == "TEXT_MESSAGE_CONTENT")
        .map(|event| text(&event.data["delta"]))
        .collect();
    assert!(pieces.len() > 1, "{} pieces", pieces.len());
    assert_eq!(pieces.concat(), words);
}

#[tokio::test]
async fn the_address_of_a_stream_stands_with_its_execution() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = run(&admin, &guide).await;
    let url = format!(
        "{}/v1/executions/{}/stream",
        world.host.url(),
        text(&execution["id"])
    );
    assert_eq!(execution["stream_url"], url);
    let request = world
        .elsewhere(Method::GET, &url)
        .bearer_auth(admin.credential());
    let answer = send(request).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [("cache-control", "no-store"), ("x-accel-buffering", "no")] {
        assert_eq!(answer.header(name), Some(value));
    }
}
