//! Deleted, restored, deleted again. What is removed when the time is over is the worker's to show.

use serde_json::{Value, json};

use super::{NOTES, bring, processed};
use crate::support::{Api, World, eventually, send, text};

const QUESTION: &str = "How fast is a call answered?";

async fn found(api: &Api, base: &str) -> usize {
    let path = format!("/v1/knowledge-bases/{base}/search");
    let answer = api.post(&path, &json!({ "query": QUESTION })).await.ok();
    answer["passages"].as_array().expect("passages").len()
}

async fn indexed(api: &Api, base: &str) {
    eventually("the document is indexed", async || {
        let path = format!("/v1/knowledge-bases/{base}/documents");
        let documents = api.list(&path).await;
        documents
            .iter()
            .any(|one| one["status"] == "ready")
            .then_some(())
    })
    .await;
}

async fn deleted(api: &Api) -> Vec<Value> {
    api.list("/v1/files?status=deleted").await
}

#[tokio::test]
async fn a_deleted_file_is_found_no_more_at_once_and_again_once_it_is_restored() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
        .await;
    let base = text(&base["id"]);
    let file = bring(&world, &admin, "rota.md", NOTES, Some(&base)).await;
    indexed(&admin, &base).await;
    assert_eq!(found(&admin, &base).await, 1);
    let path = format!("/v1/files/{}", text(&file["id"]));

    admin.delete(&path).await.gone();
    assert_eq!(found(&admin, &base).await, 0);
    for path in [
        &path,
        &format!("{path}/download"),
        &format!("{path}/versions"),
    ] {
        admin.get(path).await.problem(404, "not_found");
    }
    admin.delete(&path).await.problem(404, "not_found");
    assert_eq!(admin.list("/v1/files").await.len(), 0);
    let documents = format!("/v1/knowledge-bases/{base}/documents");
    assert_eq!(admin.list(&documents).await.len(), 0);
    let listed = deleted(&admin).await;
    assert_eq!(
        (&listed[0]["id"], &listed[0]["deletion"]["was"]),
        (&file["id"], &json!("ready"))
    );

    let restored = admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .ok();
    assert_eq!(restored["status"], "ready");
    assert_eq!(restored["deletion"], Value::Null);
    indexed(&admin, &base).await;
    assert_eq!(found(&admin, &base).await, 1);
    let url = text(&admin.get(&format!("{path}/download")).await.ok()["url"]);
    let content = send(world.elsewhere(http::Method::GET, &url)).await;
    assert_eq!(content.body, NOTES);
    // It is not deleted any more, so there is nothing to restore.
    admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .problem(404, "not_found");
    assert_eq!(deleted(&admin).await.len(), 0);
}

#[tokio::test]
async fn a_file_is_restored_without_the_knowledge_bases_that_went_meanwhile() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
        .await;
    let base = text(&base["id"]);
    let file = bring(&world, &admin, "rota.md", NOTES, Some(&base)).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    admin.delete(&path).await.gone();
    // Nothing is in it that anybody can see.
    admin
        .delete(&format!("/v1/knowledge-bases/{base}"))
        .await
        .gone();
    let restored = admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .ok();
    assert_eq!(restored["knowledge_bases"], json!([]));
}

#[tokio::test]
async fn a_file_that_is_deleted_while_it_is_read_is_read_once_it_is_restored() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = world.upload(&admin, "rota.md", NOTES, None).await;
    super::confirm(&admin, &file).await.ok();
    let path = format!("/v1/files/{}", text(&file["id"]));
    admin.delete(&path).await.gone();
    admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .ok();
    assert_eq!(processed(&admin, &file).await["status"], "ready");
}

#[tokio::test]
async fn a_file_that_was_never_uploaded_is_not_restored() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = world.upload(&admin, "rota.md", NOTES, None).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    admin.delete(&path).await.gone();
    assert_eq!(deleted(&admin).await.len(), 0);
    admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn deletion_and_restoration_meet_and_one_of_them_is_last() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = bring(&world, &admin, "rota.md", NOTES, None).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    let restore = format!("{path}/restore");
    for _ in 0..5 {
        admin.delete(&path).await.gone();
        let body = json!({});
        let (one, two, three) = tokio::join!(
            admin.post(&restore, &body),
            admin.post(&restore, &body),
            admin.delete(&path),
        );
        let restored = [&one, &two]
            .iter()
            .filter(|answer| answer.status == 200)
            .count();
        assert!(restored >= 1, "{one} {two}");
        // A deletion that came in between leaves it deleted, or the second restoration brought it
        // back: either way the file and the list agree.
        let there = admin.get(&path).await.status == 200;
        assert_eq!(deleted(&admin).await.is_empty(), there, "{three}");
        if !there {
            admin.post(&restore, &json!({})).await.ok();
        }
    }
}
