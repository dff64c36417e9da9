//! Lists of files: filters that narrow each other, orders, and links from either side.

use serde_json::{Value, json};

use super::{NOTES, bring};
use crate::support::{Api, World, text};

/// The names of the files that a query lists, in pages of two.
async fn names(api: &Api, query: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/files?limit=2{cursor}&{query}");
        let page = api.get(path.trim_end_matches('&')).await.ok();
        let files = page["items"].as_array().expect("a list");
        assert!(files.len() < 3, "{page}");
        names.extend(files.iter().map(|file| text(&file["name"])));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names,
        }
    }
}

#[tokio::test]
async fn files_are_listed_by_what_they_are_and_in_the_order_asked_for() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
        .await;
    let base = text(&base["id"]);
    let first = bring(&world, &admin, "Rota.md", NOTES, Some(&base)).await;
    bring(&world, &admin, "area.txt", b"Plain text of an area.", None).await;
    bring(&world, &admin, "blank.md", b" ", Some(&base)).await;
    let last = bring(&world, &admin, "rotor.md", b"# Rotor", None).await;
    world.upload(&admin, "pending.md", NOTES, None).await;

    let all = ["pending.md", "rotor.md", "blank.md", "area.txt", "Rota.md"];
    assert_eq!(names(&admin, "").await, all);
    let mut turned = all;
    turned.reverse();
    assert_eq!(names(&admin, "sort=created_at").await, turned);
    let by_name = ["area.txt", "blank.md", "pending.md", "Rota.md", "rotor.md"];
    assert_eq!(names(&admin, "sort=name").await, by_name);
    assert_eq!(
        names(&admin, "sort=-name").await,
        ["rotor.md", "Rota.md", "pending.md", "blank.md", "area.txt"]
    );
    assert_eq!(names(&admin, "status=failed").await, ["blank.md"]);
    assert_eq!(names(&admin, "status=pending").await, ["pending.md"]);
    assert_eq!(
        names(&admin, "format=markdown").await,
        ["rotor.md", "Rota.md"]
    );
    assert_eq!(names(&admin, "format=pdf").await, Vec::<String>::new());
    assert_eq!(
        names(&admin, "name_prefix=ROT").await,
        ["rotor.md", "Rota.md"]
    );
    assert_eq!(
        names(&admin, "name_prefix=rot&sort=name").await,
        ["Rota.md", "rotor.md"]
    );
    assert_eq!(
        names(&admin, "name_prefix=rot&sort=-name").await,
        ["rotor.md", "Rota.md"]
    );
    assert_eq!(
        names(&admin, "name_prefix=rota.md&sort=name").await,
        ["Rota.md"]
    );
    assert_eq!(
        names(&admin, "name_prefix=p&status=ready&sort=name").await,
        Vec::<String>::new()
    );
    let of_base = format!("knowledge_base_id={base}");
    assert_eq!(names(&admin, &of_base).await, ["blank.md", "Rota.md"]);
    assert_eq!(
        names(&admin, &format!("{of_base}&status=ready")).await,
        ["Rota.md"]
    );
    assert_eq!(
        names(&admin, &format!("{of_base}&sort=created_at")).await,
        ["Rota.md", "blank.md"]
    );
    let from = text(&last["created_at"]);
    assert_eq!(
        names(&admin, &format!("created_from={from}")).await,
        ["pending.md", "rotor.md"]
    );
    assert_eq!(
        names(&admin, &format!("created_before={from}&format=markdown")).await,
        ["Rota.md"]
    );
    let from = text(&first["created_at"]);
    assert_eq!(
        names(&admin, &format!("created_before={from}")).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn what_cannot_be_listed_is_refused_by_name() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (base, agent) = (
        "kb_00000000000000000000000009",
        "agt_00000000000000000000000009",
    );
    let long = "x".repeat(65);
    for (query, field) in [
        ("status=gone".to_owned(), "status"),
        ("sort=size".to_owned(), "sort"),
        ("created_from=yesterday".to_owned(), "created_from"),
        (format!("name_prefix={long}"), "name_prefix"),
        ("name_prefix=".to_owned(), "name_prefix"),
        (
            format!("knowledge_base_id={base}&agent_id={agent}"),
            "agent_id",
        ),
        (format!("knowledge_base_id={base}&sort=name"), "sort"),
        (format!("agent_id={agent}&sort=-name"), "sort"),
        ("status=deleted&sort=name".to_owned(), "sort"),
    ] {
        admin.get(&format!("/v1/files?{query}")).await.names(field);
    }
    let limited = world.machine(&admin, &["files:read"]).await;
    limited
        .get(&format!("/v1/files?knowledge_base_id={base}"))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_link_is_listed_from_either_side_and_taken_away_once() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let agent = admin
        .create("/v1/agents", &crate::support::fixture::agent("Guide"))
        .await;
    let agent = text(&agent["id"]);
    let file = bring(&world, &admin, "rota.md", NOTES, None).await;
    bring(&world, &admin, "other.md", b"# Other", None).await;
    let links = format!("/v1/files/{}/links", text(&file["id"]));
    let body = json!({ "agent_id": agent });
    let link = admin.create(&links, &body).await;
    assert_eq!(link["target"], json!({ "kind": "agent", "id": agent }));
    admin
        .post(&links, &body)
        .await
        .problem(409, "already_exists");
    assert_eq!(admin.list(&links).await, std::slice::from_ref(&link));
    let other_side = format!("agent_id={agent}");
    assert_eq!(names(&admin, &other_side).await, ["rota.md"]);

    // While the file is deleted its links are not seen, and they come back with it.
    let path = format!("/v1/files/{}", text(&file["id"]));
    admin.delete(&path).await.gone();
    assert_eq!(names(&admin, &other_side).await, Vec::<String>::new());
    let unlink = format!("{links}/agents/{agent}");
    admin.delete(&unlink).await.problem(404, "not_found");
    admin
        .post(&format!("{path}/restore"), &json!({}))
        .await
        .ok();
    assert_eq!(names(&admin, &other_side).await, ["rota.md"]);

    admin.delete(&unlink).await.gone();
    admin.delete(&unlink).await.problem(404, "not_found");
    assert_eq!(admin.list(&links).await, Vec::<Value>::new());
    assert_eq!(names(&admin, &other_side).await, Vec::<String>::new());
}
