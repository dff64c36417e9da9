//! A file's contents: one after the other, and back.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{NOTES, bring, processed};
use crate::support::fixture::new_version;
use crate::support::{Api, World, eventually, send, text};

const NEWER: &[u8] = b"# Rota\n\nAnswer a call within 5 minutes.\n";

struct Versions<'a> {
    world: &'a World,
    api: &'a Api,
    path: String,
}

impl Versions<'_> {
    async fn announce(&self, content: &[u8]) -> Value {
        let path = format!("{}/versions", self.path);
        self.api.create(&path, &new_version(content)).await
    }

    async fn upload(&self, content: &[u8]) -> u64 {
        let offer = self.announce(content).await;
        let stored = send(self.world.upload_request(&offer).body(content.to_vec())).await;
        assert!(stored.status.is_success(), "{stored}");
        offer["content"]["number"].as_u64().expect("a number")
    }

    async fn content(&self, path: &str) -> Vec<u8> {
        let download = self.api.get(&format!("{}{path}", self.path)).await.ok();
        let url = text(&download["url"]);
        send(self.world.elsewhere(http::Method::GET, &url))
            .await
            .body
            .to_vec()
    }

    fn of(&self, number: u64, action: &str) -> String {
        format!("{}/versions/{number}/{action}", self.path)
    }

    async fn file(&self) -> Value {
        self.api.get(&self.path).await.ok()
    }

    async fn read(&self) -> Value {
        processed(self.api, &self.file().await).await
    }
}

#[tokio::test]
async fn a_newer_content_takes_over_and_an_earlier_one_comes_back_as_the_newest() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
        .await;
    let base = text(&base["id"]);
    let file = bring(&world, &admin, "rota.md", NOTES, Some(&base)).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    let versions = Versions {
        world: &world,
        api: &admin,
        path: path.clone(),
    };
    let answers = async |minutes: &str| {
        let search = format!("/v1/knowledge-bases/{base}/search");
        eventually("the answer is the one of this content", async || {
            let question = json!({ "query": "How fast is a call answered?" });
            let found = admin.post(&search, &question).await.ok();
            let passages = found["passages"].as_array().expect("passages");
            assert!(passages.len() < 2, "of two contents: {found}");
            let passage = text(&passages.first()?["text"]);
            passage.contains(minutes).then_some(())
        })
        .await;
    };
    answers("12 minutes").await;

    let number = versions.upload(NEWER).await;
    assert_eq!(number, 2);
    // Nothing has changed before it is confirmed.
    assert_eq!(versions.file().await["content_version"], 1);
    assert_eq!(versions.content("/download").await, NOTES);
    let confirmed = admin
        .post(&versions.of(2, "confirm"), &json!({}))
        .await
        .ok();
    assert_eq!(
        (&confirmed["status"], &confirmed["content_version"]),
        (&json!("processing"), &json!(2))
    );
    let ready = versions.read().await;
    assert_eq!(ready["status"], "ready", "{ready}");
    assert_eq!(ready["size_bytes"], NEWER.len());
    assert_eq!(versions.content("/download").await, NEWER);
    assert_eq!(versions.content("/versions/1/download").await, NOTES);
    answers("5 minutes").await;
    // To confirm again changes nothing.
    assert_eq!(
        admin
            .post(&versions.of(2, "confirm"), &json!({}))
            .await
            .ok(),
        versions.file().await
    );

    let rollback = format!("{path}/rollback");
    let back = admin.post(&rollback, &json!({ "version": 1 })).await.ok();
    assert_eq!(
        (&back["content_version"], &back["uploaded_as"]),
        (&json!(3), &json!(1))
    );
    versions.read().await;
    assert_eq!(versions.content("/download").await, NOTES);
    answers("12 minutes").await;
    let listed = admin.list(&format!("{path}/versions")).await;
    let numbers: Vec<&Value> = listed.iter().map(|one| &one["number"]).collect();
    assert_eq!(numbers, [&json!(3), &json!(2), &json!(1)]);
    admin
        .post(&rollback, &json!({ "version": 9 }))
        .await
        .names("/version");
}

#[tokio::test]
async fn of_uploads_that_overlap_the_newest_stays() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = bring(&world, &admin, "rota.md", NOTES, None).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    let versions = Versions {
        world: &world,
        api: &admin,
        path: path.clone(),
    };
    let second = versions.upload(b"# Second").await;
    let third = versions.upload(b"# Third").await;
    admin
        .post(&versions.of(third, "confirm"), &json!({}))
        .await
        .ok();
    admin
        .post(&versions.of(second, "confirm"), &json!({}))
        .await
        .problem(409, "version_superseded");
    let given_up = admin
        .post(&versions.of(second, "abort"), &json!({}))
        .await
        .ok();
    assert_eq!(given_up["status"], "abandoned");
    admin
        .post(&versions.of(second, "abort"), &json!({}))
        .await
        .ok();
    admin
        .post(&versions.of(second, "confirm"), &json!({}))
        .await
        .problem(409, "upload_abandoned");
    for number in [1, third] {
        admin
            .post(&versions.of(number, "abort"), &json!({}))
            .await
            .problem(409, "version_in_use");
    }
    admin
        .get(&versions.of(second, "download"))
        .await
        .problem(409, "not_uploaded");
    versions.read().await;
    assert_eq!(versions.content("/download").await, b"# Third");
}

#[tokio::test]
async fn confirmations_at_once_are_one_and_no_announcement_is_lost() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = world.upload(&admin, "rota.md", NOTES, None).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    let confirm = format!("{path}/confirm");
    let body = json!({});
    let answers = join_all((0..4).map(|_| admin.post(&confirm, &body))).await;
    for answer in answers {
        let file = answer.ok();
        assert_eq!(file["content_version"], 1);
    }
    processed(&admin, &file).await;
    let events = admin.list("/v1/audit").await;
    let confirmed = events
        .iter()
        .filter(|one| one["event"]["type"] == "file.confirmed");
    assert!(confirmed.count() < 2);

    let versions = format!("{path}/versions");
    let content = new_version(NEWER);
    let answers = join_all((0..4).map(|_| admin.post(&versions, &content))).await;
    let mut numbers: Vec<u64> = Vec::new();
    for answer in answers {
        if answer.status == 201 {
            let offer: Value = serde_json::from_slice(&answer.body).expect("JSON");
            numbers.push(offer["content"]["number"].as_u64().expect("a number"));
        } else {
            answer.problem(412, "precondition_failed");
        }
    }
    numbers.sort_unstable();
    let distinct: std::collections::BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len());
    assert_eq!(admin.list(&versions).await.len(), 1 + numbers.len());
}

#[tokio::test]
async fn a_further_content_waits_for_the_first() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let file = world.upload(&admin, "rota.md", NOTES, None).await;
    let path = format!("/v1/files/{}", text(&file["id"]));
    admin
        .post(&format!("{path}/versions"), &new_version(NEWER))
        .await
        .problem(409, "not_uploaded");
    admin
        .post(&format!("{path}/rollback"), &json!({ "version": 1 }))
        .await
        .problem(409, "not_uploaded");
}
