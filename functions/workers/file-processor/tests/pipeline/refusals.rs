//! What the API refuses, and in which words.

use domain::permission::Permission;
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, sample};

#[tokio::test]
async fn an_upload_is_confirmed_when_it_is_there_and_only_once() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let announced = world.announce("on-call-faq.md", &content, None).await;
    let file = announced["file"]["id"].as_str().expect("an id");
    let (confirm, download) = (
        format!("/v1/files/{file}/confirm"),
        format!("/v1/files/{file}/download"),
    );
    let early = world.call(Method::POST, &confirm, None).await;
    assert_eq!(early.problem(), (409, "not_uploaded"));
    assert_eq!(world.get(&download).await.problem(), (409, "not_uploaded"));

    assert_eq!(
        world
            .send(&announced, b"something else of another length")
            .await,
        403
    );
    let mut altered = content.clone();
    altered[0] ^= 1;
    assert_eq!(
        world.send(&announced, &altered).await,
        400,
        "the checksum is bound"
    );
    let still = world.call(Method::POST, &confirm, None).await;
    assert_eq!(still.problem(), (409, "not_uploaded"));

    assert_eq!(world.send(&announced, &content).await, 200);
    let first = world.call(Method::POST, &confirm, None).await.expect(200);
    let again = world.call(Method::POST, &confirm, None).await.expect(200);
    assert_eq!(first, again, "to confirm again changes nothing");
    assert_eq!(world.work().await.len(), 1, "one job reads it");
    let ready = world.call(Method::POST, &confirm, None).await.expect(200);
    assert_eq!(ready["status"], "ready");
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let world = World::new().await;
    let path = format!("/v1/orgs/{}/files/upload", world.tenant.org());
    let good = json!({
        "name": "a.md", "content_type": "text/markdown", "size_bytes": 1,
        "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    });
    let nowhere = "kb_00000000000000000000000009";
    for (field, value) in [
        ("name", json!("../x")),
        ("content_type", json!("nonsense")),
        ("size_bytes", json!(0)),
        ("size_bytes", json!(domain::file::MAX_FILE_BYTES + 1)),
        ("sha256", json!("00")),
        ("knowledge_base_id", json!(nowhere)),
        ("knowledge_base_id", json!("kb_")),
        ("surplus", json!(1)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let problem = world.post(&path, body).await.expect(422);
        assert_eq!(
            problem["errors"][0]["field"],
            format!("/{field}"),
            "{problem}"
        );
    }
    let base = world.base().await;
    let search = format!("/v1/knowledge-bases/{base}/search");
    for (body, field) in [
        (json!({ "query": " " }), "/query"),
        (json!({ "query": "x".repeat(2_001) }), "/query"),
        (json!({ "query": "a", "limit": 0 }), "/limit"),
        (json!({ "query": "a", "limit": 51 }), "/limit"),
    ] {
        let problem = world.post(&search, body).await.expect(422);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let documents = format!("/v1/knowledge-bases/{base}/documents");
    let unknown = json!({ "file_id": "fil_00000000000000000000000009" });
    let problem = world.post(&documents, unknown).await.expect(422);
    assert_eq!(problem["errors"][0]["field"], "/file_id");
}

#[tokio::test]
async fn another_org_sees_nothing_and_cannot_tell() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let stranger = world.foreign_key().await;
    let missing = "fil_00000000000000000000000009";
    let no_base = "kb_00000000000000000000000009";
    let none: Option<Value> = None;
    for (method, theirs, nobodys, body) in [
        (
            Method::GET,
            format!("/v1/files/{file}"),
            format!("/v1/files/{missing}"),
            none.clone(),
        ),
        (
            Method::DELETE,
            format!("/v1/files/{file}"),
            format!("/v1/files/{missing}"),
            none.clone(),
        ),
        (
            Method::POST,
            format!("/v1/knowledge-bases/{base}/search"),
            format!("/v1/knowledge-bases/{no_base}/search"),
            Some(json!({ "query": "page" })),
        ),
        (
            Method::DELETE,
            format!("/v1/knowledge-bases/{base}/documents/{file}"),
            format!("/v1/knowledge-bases/{base}/documents/{missing}"),
            none,
        ),
    ] {
        let theirs = world
            .call_as(&stranger, method.clone(), &theirs, body.clone())
            .await;
        let nobodys = world.call_as(&stranger, method, &nobodys, body).await;
        assert_eq!(theirs.status, 404);
        assert_eq!(theirs.body, nobodys.body);
    }
    assert_eq!(world.file(&file).await["status"], "ready");
}

#[tokio::test]
async fn a_key_needs_both_permissions_where_two_things_meet() {
    let world = World::new().await;
    let base = world.base().await;
    let content = b"# Title";
    let file = world.upload("a.md", content, None).await;
    let uploads = format!("/v1/orgs/{}/files/upload", world.tenant.org());
    let body = json!({
        "name": "a.md", "content_type": "text/markdown", "size_bytes": 7,
        "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "knowledge_base_id": base,
    });
    let uploader = world.key_with(&[Permission::FileWrite]).await;
    let refused = world
        .call_as(&uploader, Method::POST, &uploads, Some(body.clone()))
        .await;
    assert_eq!(refused.problem(), (403, "forbidden"));
    let both = world
        .key_with(&[Permission::FileWrite, Permission::KnowledgeWrite])
        .await;
    world
        .call_as(&both, Method::POST, &uploads, Some(body))
        .await
        .expect(201);

    let documents = format!("/v1/knowledge-bases/{base}/documents");
    let body = json!({ "file_id": file });
    let librarian = world.key_with(&[Permission::KnowledgeWrite]).await;
    let refused = world
        .call_as(&librarian, Method::POST, &documents, Some(body.clone()))
        .await;
    assert_eq!(refused.problem(), (403, "forbidden"));
    let both = world
        .key_with(&[Permission::KnowledgeWrite, Permission::FileRead])
        .await;
    world
        .call_as(&both, Method::POST, &documents, Some(body))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_model_that_is_not_configured_is_neither_searched_nor_filled_until_it_is_changed() {
    let world = World::new().await;
    let knowledge = world.store.knowledge(world.tenant);
    let (name, model) = ("Old".to_owned(), "older-model@1".to_owned());
    let base = knowledge
        .create(&world.cause(), name, String::new(), model)
        .await
        .expect("created");
    let search = format!("/v1/knowledge-bases/{}/search", base.id);
    let answer = world.post(&search, json!({ "query": "page" })).await;
    assert_eq!(answer.problem(), (409, "embedding_model_not_configured"));
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base.id))
        .await;
    world.work().await;
    assert_eq!(world.file(&file).await["status"], "ready");
    let document = world.document(base.id, &file).await.expect("a document");
    assert_eq!(
        document["failure"]["code"], "embedding_model_not_configured",
        "{document}"
    );

    let path = format!("/v1/knowledge-bases/{}", base.id);
    let body = json!({ "embedding_model": "static-en-256@1" });
    let changed = world.call(Method::PATCH, &path, Some(body)).await;
    changed.expect(200);
    world.work().await;
    let document = world.document(base.id, &file).await.expect("a document");
    assert_eq!(document["status"], "ready", "{document}");
    let answer = world.post(&search, json!({ "query": "page" })).await;
    assert_eq!(answer.expect(200)["model"], "static-en-256@1");
}
