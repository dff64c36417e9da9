//! The same content twice: told, and reused where that is asked for.

use serde_json::{Value, json};

use super::{NOTES, bring};
use crate::support::world::{announced, upload_path};
use crate::support::{Api, World, eventually, text};

async fn announce(api: &Api, policy: Option<&str>, base: Option<&str>) -> (u16, Value) {
    let mut body = announced("again.md", NOTES, base);
    if let Some(policy) = policy {
        body["on_duplicate"] = json!(policy);
    }
    let answer = api.post(&upload_path(api), &body).await;
    let status = answer.status.as_u16();
    (status, serde_json::from_slice(&answer.body).expect("JSON"))
}

#[tokio::test]
async fn a_content_that_is_there_is_told_or_reused_and_never_across_orgs() {
    let world = World::start().await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    let (_, first) = announce(&ada, None, None).await;
    assert_eq!(first["duplicate_of"], Value::Null);
    // An announcement is no content yet.
    let (_, second) = announce(&ada, Some("reuse"), None).await;
    assert_eq!(second["duplicate_of"], Value::Null);
    let file = bring(&world, &ada, "rota.md", NOTES, None).await;

    let (status, kept) = announce(&ada, Some("keep"), None).await;
    assert_eq!((status, &kept["duplicate_of"]), (201, &file["id"]));
    assert_ne!(kept["file"]["id"], file["id"]);
    assert_eq!(kept["upload"]["method"], "PUT");

    let base = ada
        .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
        .await;
    let base = text(&base["id"]);
    for _ in 0..2 {
        let (status, reused) = announce(&ada, Some("reuse"), Some(&base)).await;
        assert_eq!((status, &reused["file"]["id"]), (200, &file["id"]));
        assert_eq!(reused["upload"], Value::Null);
        assert_eq!(reused["file"]["knowledge_bases"], json!([base]));
    }
    eventually("the document is indexed", async || {
        let documents = ada
            .list(&format!("/v1/knowledge-bases/{base}/documents"))
            .await;
        (documents[0]["status"] == "ready").then_some(())
    })
    .await;

    let (status, theirs) = announce(&bob, Some("reuse"), None).await;
    assert_eq!((status, &theirs["duplicate_of"]), (201, &Value::Null));

    let path = format!("/v1/files/{}", text(&file["id"]));
    ada.delete(&path).await.gone();
    let (_, after) = announce(&ada, None, None).await;
    assert_eq!(after["duplicate_of"], Value::Null);
    let blind = world.machine(&ada, &["files:write"]).await;
    let blind = blind.for_org(ada.org());
    assert_eq!(announce(&blind, Some("keep"), None).await.0, 201);
    assert_eq!(announce(&blind, Some("reuse"), None).await.0, 403);
    let mut body = announced("again.md", NOTES, None);
    body["on_duplicate"] = json!("drop");
    ada.post(&upload_path(&ada), &body)
        .await
        .names("/on_duplicate");
}
