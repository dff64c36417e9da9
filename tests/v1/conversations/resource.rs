//! Conversations as things that are made, listed, changed and deleted.

use serde_json::{Value, json};

use super::Talk;
use crate::support::{eventually, tenant, text};

#[tokio::test]
async fn a_conversation_is_begun_listed_changed_and_deleted() {
    let talk = Talk::start().await;
    let begun = talk.now().await;
    assert_eq!(
        (&begun["agent"], &begun["title"], &begun["on_busy"]),
        (&json!(talk.agent), &json!("Oil"), &json!("enqueue"))
    );
    assert_eq!((&begun["turns"], &begun["version"]), (&json!(0), &json!(1)));
    let body = json!({ "agent_id": talk.agent, "on_busy": "reject" });
    let second = talk.admin.create("/v1/conversations", &body).await;
    assert_eq!(second["title"], "");
    let listed = talk.admin.list("/v1/conversations").await;
    assert_eq!(listed, [second.clone(), begun]);

    let changes = json!({ "title": "Gears", "on_busy": "rollback" });
    let changed = talk.admin.patch(&talk.path(), &changes).await.ok();
    assert_eq!(
        (&changed["title"], &changed["on_busy"], &changed["version"]),
        (&json!("Gears"), &json!("rollback"), &json!(2))
    );

    let path = format!("/v1/conversations/{}", text(&second["id"]));
    talk.admin.delete(&path).await.gone();
    talk.admin.get(&path).await.problem(404, "not_found");
    let kinds: Vec<String> = eventually("the log is sealed", async || {
        let all = talk.admin.list("/v1/audit").await;
        let kinds: Vec<String> = all
            .iter()
            .map(|entry| text(&entry["type"]))
            .filter(|kind| kind.starts_with("conversation."))
            .collect();
        (kinds.len() == 4).then_some(kinds)
    })
    .await;
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(count("conversation.created"), 2);
    assert_eq!(count("conversation.updated"), 1);
    assert_eq!(count("conversation.deleted"), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let talk = Talk::start().await;
    let stranger = talk.world.founder("eve").await;
    let other = json!({ "name": "Other", "instructions": "Answer." });
    let foreign = text(&stranger.create("/v1/agents", &other).await["id"]);
    let other = text(&talk.admin.create("/v1/agents", &other).await["id"]);
    let post = async |path: &str, body: Value| talk.admin.post(path, &body).await;

    post("/v1/conversations", json!({ "agent_id": foreign }))
        .await
        .names("/agent_id");
    post(
        "/v1/conversations",
        json!({ "agent_id": talk.agent, "title": " " }),
    )
    .await
    .names("/title");
    let run = |agent: &str, conversation: &str| json!({ "agent_id": agent, "input": "Hello?", "conversation_id": conversation });
    post("/v1/executions", run(&other, &talk.id))
        .await
        .names("/conversation_id");
    let missing = "cnv_01jbst9de6fp79y0938nkrkayd";
    post("/v1/executions", run(&talk.agent, missing))
        .await
        .names("/conversation_id");
    post(
        "/v1/executions",
        json!({ "agent_id": talk.agent, "input": "Hello?", "on_busy": "reject" }),
    )
    .await
    .names("/on_busy");
    // Another org's conversation is as one that does not exist.
    let theirs = run(&foreign, &talk.id);
    stranger
        .post("/v1/executions", &theirs)
        .await
        .names("/conversation_id");
    assert_eq!(talk.now().await["turns"], 0);
}

#[tokio::test]
async fn a_conversation_is_not_deleted_while_a_turn_is_open_and_leaves_nothing_behind() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let waiting = talk.turn("two", None).await;
    let refused = talk.admin.delete(&talk.path()).await;
    refused.problem(409, "conversation_open");
    talk.apply("cancel", &waiting).await;
    let refused = talk.admin.delete(&talk.path()).await;
    refused.problem(409, "conversation_open");
    talk.gate.open();
    talk.ended(&open).await;
    assert_eq!(talk.turns().await.len(), 2);

    talk.admin.delete(&talk.path()).await.gone();
    talk.admin.get(&talk.path()).await.problem(404, "not_found");
    let turns = format!("{}/turns", talk.path());
    talk.admin.get(&turns).await.problem(404, "not_found");
    // What was said stays, as what it was: executions.
    assert_eq!(talk.execution(&open).await["conversation"]["id"], talk.id);
    let store = talk.world.store();
    let conversations = store.conversations(tenant(&talk.admin));
    let id = talk.id.parse().expect("an id");
    eventually("its turns are removed", async || {
        let page = kernel::cursor::PageRequest::first(10);
        let left = conversations.turns(id, &page).await.expect("an answer");
        left.items.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn turns_are_listed_page_by_page() {
    let talk = Talk::start().await;
    for input in ["one", "two", "three"] {
        let turn = talk.turn(input, None).await;
        talk.ended(&turn).await;
    }
    let path = format!("{}/turns?limit=2", talk.path());
    let first = talk.admin.get(&path).await.ok();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let cursor = text(&first["next_cursor"]);
    let path = format!("{}/turns?limit=2&cursor={cursor}", talk.path());
    let second = talk.admin.get(&path).await.ok();
    assert_eq!(second["next_cursor"], Value::Null);
    let turn = &second["items"][0];
    assert_eq!(
        (&turn["turn"], &turn["input"], &turn["answer"]),
        (&json!(3), &json!("three"), &json!("Re: three"))
    );
    assert_eq!(
        (&turn["state"], &turn["rolled_back"]),
        (&json!("completed"), &json!(false))
    );
    let executions = talk.admin.list("/v1/executions").await;
    assert_eq!(turn["execution"], executions[0]["id"]);
}

#[tokio::test]
async fn long_turns_make_short_pages_and_none_is_lost() {
    let talk = Talk::of_inputs(32_000).await;
    let path = format!("{}/turns?limit=100", talk.path());
    let page = talk.admin.get(&path).await.ok();
    let count = page["items"].as_array().map_or(0, Vec::len);
    assert!((1..40).contains(&count), "{count}");
    let numbers: Vec<u64> = talk
        .turns()
        .await
        .iter()
        .map(|turn| turn["turn"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
}

impl Talk {
    /// A conversation with forty turns that wait behind one that is held, of so many characters
    /// of four bytes each.
    async fn of_inputs(characters: usize) -> Self {
        let talk = Self::start().await;
        talk.held("hold").await;
        let long = "\u{1f980}".repeat(characters);
        for _ in 0..39 {
            talk.turn(&long, None).await;
        }
        talk
    }
}
