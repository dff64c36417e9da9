//! Tools that a turn calls, and people who decide about them.

use serde_json::json;

use super::*;
use crate::support::stream::kinds;

/// A model that keeps a note and then answers with what came of it.
fn noting() -> Scripted {
    Scripted::computed(|request, _| match request.messages.last() {
        Some(Message::ToolResult { content, .. }) => Turn::text(format!("Noted: {content}")),
        _ => Turn::calls([("remember", json!({ "text": "The oil is changed in May." }))]),
    })
}

#[tokio::test]
async fn a_turn_asks_people_in_its_stream_and_goes_on_there_with_their_answer() {
    for (decision, remembered) in [("approve", 1), ("reject", 0)] {
        let world = World::with_model(&noting()).await;
        let api = world.founder("ada").await;
        let agent = hire(
            &api,
            &json!({ "tools": ["remember"], "approvals": { "remember": { "role": "admin" } } }),
        )
        .await;
        let mut answer = say(&api, &agent, &json!({ "message": "Keep it." })).await;
        let mut events = Vec::new();
        let asked = loop {
            let event = answer.events.next().await.expect("the stream goes on");
            events.push(event);
            if let Some(asked) = custom(&events, "approval_requested").pop() {
                break asked.clone();
            }
        };
        assert_eq!(asked["subject"]["tool"], "remember", "{asked}");
        let path = format!("/v1/approvals/{}/answer", text(&asked["approval_id"]));
        api.post(&path, &json!({ "decision": decision })).await.ok();
        // On the very connection on which the question came.
        events.extend(answer.events.rest().await);
        assert_eq!(custom(&events, "approval_answered").len(), 1);
        assert!(kinds(&events).contains(&"TOOL_CALL_RESULT"));
        let last = events.last().expect("an end");
        assert_eq!(last.kind, "RUN_FINISHED");
        assert!(
            text(&last.data["answer"]).starts_with("Noted: "),
            "{last:?}"
        );
        let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
        let memories = api.list(&format!("/v1/agents/{agent}/memory")).await;
        assert_eq!(memories.len(), remembered, "{decision}");
    }
}

#[tokio::test]
async fn what_a_turn_learned_is_told_in_a_later_conversation() {
    let world = World::with_model(&noting()).await;
    let api = world.founder("ada").await;
    let agent = hire(&api, &json!({ "tools": ["remember"] })).await;
    let first = say(&api, &agent, &json!({ "message": "Keep it." })).await;
    first.events.rest().await;
    let path = format!("/v1/agents/{agent}/memory");
    let memory = &api.list(&path).await[0];
    assert_eq!(memory["source"]["id"], first.execution);

    let question = json!({ "message": "When is the oil changed?" });
    let second = say(&api, &agent, &question).await;
    assert_ne!(second.conversation, first.conversation);
    second.events.rest().await;
    let told = eventually("the recall is counted", async || {
        let path = format!("{path}/recall?query=When%20is%20the%20oil%20changed%3F");
        let recalled = api.get(&path).await.ok();
        let told = recalled["memories"][0].clone();
        told["memory"]["text"].is_string().then_some(told)
    })
    .await;
    assert_eq!(told["memory"]["text"], "The oil is changed in May.");
}
