//! Versions as ETags, and changes that hold only for what the caller has seen.

use http::Method;
use serde_json::{Value, json};

use crate::support::fixture::Fixture;
use crate::support::{Answer, Api, World, send};

async fn change(api: &Api, method: Method, path: &str, body: &Value, if_match: &str) -> Answer {
    let request = api.request(method, path).header("if-match", if_match);
    send(if body.is_null() {
        request
    } else {
        request.json(body)
    })
    .await
}

/// Things with a version: where they are read, and a change of each.
fn things() -> Vec<(&'static str, Value)> {
    vec![
        ("/v1/orgs/{org_id}", json!({ "name": "Another" })),
        ("/v1/agents/{agent_id}", json!({ "description": "Another" })),
        (
            "/v1/agents/{agent_id}/memory/{memory_id}",
            json!({ "text": "Another" }),
        ),
        ("/v1/tools/{tool_id}", json!({ "description": "Another" })),
        ("/v1/tasks/{task_id}", json!({ "title": "Another" })),
        (
            "/v1/conversations/{conversation_id}",
            json!({ "title": "Another" }),
        ),
        (
            "/v1/knowledge-bases/{knowledge_base_id}",
            json!({ "name": "Another" }),
        ),
        ("/v1/users/me", json!({ "name": "Another" })),
    ]
}

#[tokio::test]
async fn a_change_holds_for_the_version_it_was_based_on_and_no_other() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let admin = &fixture.admin;
    for (template, body) in things() {
        let path = fixture.path(template);
        let seen = admin.get(&path).await;
        let etag = seen
            .header("etag")
            .unwrap_or_else(|| panic!("{path} has no version"))
            .to_owned();
        assert_eq!(etag, format!("\"{}\"", seen.json()["version"]), "{path}");

        let changed = change(admin, Method::PATCH, &path, &body, &etag).await;
        let version = changed.ok()["version"].as_u64().expect("a version");
        assert_eq!(
            Some(version),
            seen.json()["version"].as_u64().map(|version| version + 1)
        );
        assert_eq!(
            changed.header("etag"),
            Some(format!("\"{version}\"").as_str()),
            "{path}"
        );
        assert_eq!(admin.get(&path).await.body, changed.body, "{path}");

        let late = change(admin, Method::PATCH, &path, &body, &etag).await;
        late.problem(412, "precondition_failed");
        assert_eq!(
            admin.get(&path).await.body,
            changed.body,
            "{path} was changed all the same"
        );
        change(admin, Method::PATCH, &path, &body, "*").await.ok();
        for nonsense in ["7", "\"x\"", "W/\"1\"", ""] {
            change(admin, Method::PATCH, &path, &body, nonsense)
                .await
                .names("If-Match");
        }
    }
}

#[tokio::test]
async fn a_deletion_holds_for_the_version_it_was_based_on_and_no_other() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let admin = &fixture.admin;
    for template in [
        "/v1/agents/{agent_id}/memory/{memory_id}",
        "/v1/agents/{agent_id}",
        "/v1/tools/{tool_id}",
        "/v1/tasks/{task_id}",
        "/v1/conversations/{conversation_id}",
        "/v1/files/{file_id}",
        "/v1/api-keys/{key_id}",
        "/v1/orgs/{org_id}",
    ] {
        let path = fixture.path(template);
        let etag = admin
            .get(&path)
            .await
            .header("etag")
            .expect("a version")
            .to_owned();
        let other = change(admin, Method::DELETE, &path, &Value::Null, "\"99\"").await;
        other.problem(412, "precondition_failed");
        admin.get(&path).await.ok();
        change(admin, Method::DELETE, &path, &Value::Null, &etag)
            .await
            .gone();
    }
}

#[tokio::test]
async fn of_changes_at_the_same_moment_one_wins_and_none_is_lost() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let path = fixture.path("/v1/agents/{agent_id}");
    let etag = fixture
        .admin
        .get(&path)
        .await
        .header("etag")
        .expect("a version")
        .to_owned();
    let changes = (0..10).map(|number| {
        let (admin, path, etag) = (&fixture.admin, &path, &etag);
        async move {
            let body = json!({ "description": format!("by {number}") });
            change(admin, Method::PATCH, path, &body, etag).await
        }
    });
    let answers = futures::future::join_all(changes).await;
    let won: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        lost.problem(412, "precondition_failed");
    }
    assert_eq!(fixture.admin.get(&path).await.body, won[0].body);
    assert_eq!(won[0].json()["version"], 2);
}
