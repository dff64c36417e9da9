//! Filters, facets and orders.

use serde_json::json;

use super::*;
use crate::support::ended;

async fn garage() -> (World, Api) {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let member = world.join(&admin, "bob", "member").await;
    for (api, title, priority) in [
        (&admin, "Oil one", "high"),
        (&admin, "Oil two", "low"),
        (&member, "Oil three", "high"),
    ] {
        let body = json!({ "title": title, "priority": priority });
        api.create("/v1/tasks", &body).await;
    }
    let done = task(&admin, "Oil done", "").await;
    let status = format!("/v1/tasks/{}/status", text(&done["id"]));
    admin
        .post(&status, &json!({ "status": "cancelled" }))
        .await
        .ok();
    let document: &[u8] = b"# Oil\n\nThe gearbox oil is changed every 500 hours, and then again \
        after the first thousand hours of every season.\n";
    library(&world, &admin, &[("oil.md", document)]).await;
    // A document is called what its first heading says, its chunk by the name of the file.
    let titles = [
        "Oil",
        "Oil done",
        "Oil one",
        "Oil three",
        "Oil two",
        "oil.md",
    ];
    let body = json!({ "query": "oil", "mode": "text", "filters": { "type": ["high", "low", "normal", "markdown"] } });
    finds(&admin, &body, &titles).await;
    let cancelled =
        json!({ "query": "oil", "mode": "text", "filters": { "status": ["cancelled"] } });
    finds(&admin, &cancelled, &["Oil done"]).await;
    (world, admin)
}

async fn total(api: &Api, body: &Value) -> u64 {
    let answer = search(api, body).await;
    answer["total"]
        .as_u64()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_facet_counts_what_a_filter_of_its_value_finds() {
    let (_world, admin) = garage().await;
    let facets = [
        "kind",
        "status",
        "type",
        "language",
        "knowledge_base",
        "file",
        "agent",
        "author",
    ];
    let body = json!({ "query": "oil", "mode": "text", "facets": facets, "limit": 1 });
    let answer = search(&admin, &body).await;
    let counted = answer["facets"].as_array().expect("facets");
    assert_eq!(counted.len(), facets.len());
    let mut values = 0;
    for facet in counted {
        for value in facet["values"].as_array().expect("values") {
            let name = text(&facet["facet"]);
            let mut narrow = json!({ "query": "oil", "mode": "text" });
            match name.as_str() {
                "kind" => narrow["kinds"] = json!([value["value"]]),
                name => narrow["filters"] = json!({ name: [value["value"]] }),
            }
            assert_eq!(value["count"], total(&admin, &narrow).await, "{narrow}");
            values += 1;
        }
    }
    // Three kinds, two states of tasks and one of the document, and so on.
    assert!(values >= 10, "{values}: {answer}");
    // In hybrid mode they count what has the words, whatever else is near.
    let both = json!({ "query": "oil", "facets": ["kind"] });
    let both = search(&admin, &both).await;
    let kinds = counted.iter().find(|facet| facet["facet"] == "kind");
    assert_eq!(both["facets"][0]["values"], kinds.expect("kinds")["values"]);
}

#[tokio::test]
async fn filters_narrow_each_other_and_hold_in_every_mode() {
    let (world, admin) = garage().await;
    let filtered = async |filters: Value| {
        let body = json!({ "query": "oil", "mode": "text", "filters": filters });
        distinct(&search(&admin, &body).await, "title")
    };
    assert_eq!(
        filtered(json!({ "type": ["high"] })).await,
        ["Oil one", "Oil three"]
    );
    let both = json!({ "type": ["high", "low"], "status": ["todo"] });
    assert_eq!(filtered(both).await, ["Oil one", "Oil three", "Oil two"]);
    let none = json!({ "type": ["high"], "status": ["cancelled"] });
    assert_eq!(filtered(none).await, Vec::<String>::new());
    assert_eq!(
        filtered(json!({ "language": ["eng"] })).await,
        ["Oil", "oil.md"]
    );
    let all = search(
        &admin,
        &json!({ "query": "oil", "mode": "text", "limit": 100 }),
    )
    .await;
    let made = hits(&all).iter().map(|hit| text(&hit["created_at"]));
    let last = made.max().expect("hits");
    let before = filtered(json!({ "created_before": last })).await;
    assert!(!before.is_empty() && before.len() < 6, "{before:?}");
    let from = filtered(json!({ "created_from": last })).await;
    assert!(!from.is_empty() && from.len() < 6, "{from:?}");
    assert_eq!(
        filtered(json!({ "updated_before": "2020-01-01T00:00:00Z" }))
            .await
            .len(),
        0
    );

    // A second knowledge base with the same text: meaning obeys the filter as words do.
    let more: &[u8] =
        b"# Oil\n\nThe gearbox oil is changed now and then by whoever has the time.\n";
    let (base, files) = library(&world, &admin, &[("more.md", more)]).await;
    for mode in ["text", "semantic", "hybrid"] {
        let filtered = async |filters: Value| {
            let body = json!({
                "query": "gearbox oil", "mode": mode, "kinds": ["chunk"], "filters": filters,
            });
            distinct(&search(&admin, &body).await, "title")
        };
        assert_eq!(filtered(json!({})).await, ["more.md", "oil.md"], "{mode}");
        let base = json!({ "knowledge_base": [base] });
        assert_eq!(filtered(base).await, ["more.md"], "{mode}");
        let file = json!({ "file": [files[0]], "type": ["markdown"] });
        assert_eq!(filtered(file).await, ["more.md"], "{mode}");
        let language = json!({ "language": ["deu"] });
        assert_eq!(filtered(language).await, Vec::<String>::new(), "{mode}");
    }
}

#[tokio::test]
async fn things_are_found_by_their_agent_task_and_conversation() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mut talks = Vec::new();
    for name in ["One", "Two"] {
        let agent = json!({ "name": name, "instructions": "Answer about oil." });
        let agent = text(&admin.create("/v1/agents", &agent).await["id"]);
        let talk = json!({ "agent_id": agent, "title": format!("Talk {name}") });
        let talk = text(&admin.create("/v1/conversations", &talk).await["id"]);
        let asked = json!({ "agent_id": agent, "conversation_id": talk, "input": "Which oil?" });
        let run = text(&admin.create("/v1/executions", &asked).await["id"]);
        ended(&admin, &run).await;
        talks.push((agent, talk, run));
    }
    let [(agent, talk, run), _] = talks.as_slice() else {
        panic!("two talks");
    };
    let of = |field: &str, id: &str| json!({ "query": "oil", "mode": "hybrid", "filters": { field: [id] } });
    finds(
        &admin,
        &of("agent", agent),
        &["One", "Talk One", "Which oil?"],
    )
    .await;
    let said = finds(
        &admin,
        &of("conversation", talk),
        &["Talk One", "Which oil?"],
    )
    .await;
    assert_eq!(
        said["rankings"],
        json!(["text"]),
        "chunks are in no conversation"
    );
    assert!(said["total"].is_u64());
    finds(&admin, &of("execution", run), &["Talk One", "Which oil?"]).await;
}

#[tokio::test]
async fn hits_come_in_the_order_that_is_asked_for() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mut made = Vec::new();
    for title in ["First oil", "Second oil oil oil", "Third oil"] {
        made.push(text(&task(&admin, title, "").await["id"]));
    }
    let path = format!("/v1/tasks/{}", made[0]);
    let change = json!({ "description": "Changed." });
    admin.patch(&path, &change).await.ok();
    finds(&admin, &by_words("changed"), &["First oil"]).await;
    let sorted = async |sort: &str, query: &str| {
        let body = json!({ "query": query, "sort": sort, "kinds": ["task"] });
        finds(
            &admin,
            &body,
            &["First oil", "Second oil oil oil", "Third oil"],
        )
        .await;
        let mut titles = each(&search(&admin, &body).await, "title");
        for title in &mut titles {
            title.truncate(title.find(' ').unwrap_or(title.len()));
        }
        titles.join(" ")
    };
    for query in ["oil", ""] {
        assert_eq!(sorted("-created_at", query).await, "Third Second First");
        assert_eq!(sorted("created_at", query).await, "First Second Third");
        assert_eq!(sorted("-updated_at", query).await, "First Third Second");
        assert_eq!(sorted("updated_at", query).await, "Second Third First");
    }
    assert_eq!(sorted("relevance", "").await, "Third Second First");
    assert!(
        sorted("relevance", "oil second")
            .await
            .starts_with("Second")
    );
    let all = json!({ "query": "oil second", "matching": "all", "kinds": ["task"] });
    assert_eq!(
        distinct(&search(&admin, &all).await, "title"),
        ["Second oil oil oil"]
    );
}
