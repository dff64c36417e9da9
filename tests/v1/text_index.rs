//! What clients change is found in the text index of their org, soon, and by nobody else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::files::bring;
use crate::support::search::found;
use crate::support::{Api, World, ended, eventually, tenant, text};

/// How long a change may take to be found.
const SOON: Duration = Duration::from_secs(2);
const FAQ: &[u8] = b"# Parking\n\nVisitors park their cars behind the boiler house.\n";

/// Waits until exactly these titles are found by a word, and tells how long that took.
async fn finds(world: &World, api: &Api, word: &str, titles: &[&str]) -> Duration {
    let begun = Instant::now();
    eventually(&format!("`{word}` finds {titles:?}"), async || {
        let mut found = found(world.store(), tenant(api), word).await;
        found.sort();
        found.dedup();
        (found == titles).then_some(())
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
async fn what_is_created_changed_and_deleted_is_found_within_two_seconds() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mut took = Vec::new();
    for number in 0..10 {
        let title = format!("Grease bearing{number}");
        let task = admin.create("/v1/tasks", &json!({ "title": title })).await;
        took.push(finds(&world, &admin, &format!("bearing{number}"), &[&title]).await);
        if number > 0 {
            continue;
        }
        let path = format!("/v1/tasks/{}", text(&task["id"]));
        let change = json!({ "title": "Grease gearbox" });
        admin.patch(&path, &change).await.ok();
        took.push(finds(&world, &admin, "gearbox", &["Grease gearbox"]).await);
        finds(&world, &admin, "bearing0", &[]).await;
        admin.delete(&path).await.gone();
        took.push(finds(&world, &admin, "gearbox", &[]).await);
    }
    took.sort();
    // Half of them: a machine that builds beside it may hold up any single one.
    assert!(took[took.len() / 2] < SOON, "{took:?}");
}

#[tokio::test]
async fn documents_runs_and_conversations_are_found_and_go_with_what_they_belong_to() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "FAQ" }))
        .await;
    let base = text(&base["id"]);
    let file = bring(&world, &admin, "faq.md", FAQ, Some(&base)).await;
    finds(&world, &admin, "boiler", &["faq.md"]).await;
    let document = format!("/v1/knowledge-bases/{base}/documents/{}", text(&file["id"]));
    admin.delete(&document).await.gone();
    finds(&world, &admin, "boiler", &[]).await;

    let agent = json!({ "name": "Guide", "instructions": "Answer about winches." });
    let agent = text(&admin.create("/v1/agents", &agent).await["id"]);
    finds(&world, &admin, "winch", &["Guide"]).await;
    let talk = json!({ "agent_id": agent, "title": "Oil talk" });
    let talk = text(&admin.create("/v1/conversations", &talk).await["id"]);
    let asked = json!({
        "agent_id": agent, "conversation_id": talk, "input": "How often is zebraoil changed?",
    });
    let run = text(&admin.create("/v1/executions", &asked).await["id"]);
    ended(&admin, &run).await;
    let question = "How often is zebraoil changed?";
    finds(&world, &admin, "zebraoil", &[question, "Oil talk"]).await;
    finds(
        &world,
        &admin,
        "\"every 500 hours\"",
        &[question, "Oil talk"],
    )
    .await;
    let path = format!("/v1/conversations/{talk}");
    admin
        .patch(&path, &json!({ "title": "Grease talk" }))
        .await
        .ok();
    finds(&world, &admin, "zebraoil", &["Grease talk", question]).await;
    admin.delete(&path).await.gone();
    finds(&world, &admin, "zebraoil", &[question]).await;
}

#[tokio::test]
async fn an_org_finds_nothing_of_another() {
    let world = World::start().await;
    let (ada, eve) = (world.founder("ada").await, world.founder("eve").await);
    for (api, word) in [(&ada, "canaryada"), (&eve, "canaryeve")] {
        let task: Value = json!({ "title": format!("About {word}") });
        api.create("/v1/tasks", &task).await;
    }
    finds(&world, &ada, "canaryada", &["About canaryada"]).await;
    finds(&world, &eve, "canaryeve", &["About canaryeve"]).await;
    finds(&world, &eve, "canaryada", &[]).await;
    finds(&world, &ada, "canaryeve", &[]).await;
    finds(&world, &ada, "about", &["About canaryada"]).await;
}
