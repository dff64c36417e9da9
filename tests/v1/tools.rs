//! `/v1/tools`.

use serde_json::{Value, json};

use crate::support::fixture::tool;
use crate::support::redact::redacted;
use crate::support::{World, text};

#[tokio::test]
async fn a_tool_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let made = admin.create("/v1/tools", &tool("get_order")).await;
    insta::assert_json_snapshot!(redacted(&made));
    let path = format!("/v1/tools/{}", text(&made["id"]));
    assert_eq!(admin.get(&path).await.ok(), made);
    let body = json!({ "description": "Look up a parcel.", "idempotent": true });
    let changed = admin.patch(&path, &body).await.ok();
    assert_eq!(
        (&changed["version"], &changed["idempotent"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        (&changed["name"], &changed["action"]),
        (&made["name"], &made["action"])
    );
    admin.delete(&path).await.gone();
    admin.get(&path).await.problem(404, "not_found");
    assert_eq!(admin.list("/v1/tools").await.len(), 0);
}

#[tokio::test]
async fn a_name_is_one_tools_until_it_is_renamed_or_deleted() {
    let world = World::start().await;
    let (admin, other) = (world.founder("ada").await, world.founder("bob").await);
    let order = admin.create("/v1/tools", &tool("get_order")).await;
    admin
        .post("/v1/tools", &tool("get_order"))
        .await
        .problem(409, "already_exists");
    // The names of another org are its own.
    other.create("/v1/tools", &tool("get_order")).await;
    let parcel = admin.create("/v1/tools", &tool("get_parcel")).await;
    let parcel_path = format!("/v1/tools/{}", text(&parcel["id"]));
    let renaming = admin
        .patch(&parcel_path, &json!({ "name": "get_order" }))
        .await;
    renaming.problem(409, "already_exists");

    admin
        .patch(&parcel_path, &json!({ "name": "get_letter" }))
        .await
        .ok();
    admin.create("/v1/tools", &tool("get_parcel")).await;
    admin
        .delete(&format!("/v1/tools/{}", text(&order["id"])))
        .await
        .gone();
    admin.create("/v1/tools", &tool("get_order")).await;
    // Its own name is no other's.
    admin
        .patch(&parcel_path, &json!({ "name": "get_letter" }))
        .await
        .ok();
}

#[tokio::test]
async fn of_ten_with_one_name_at_once_one_is_made() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = tool("get_order");
    let all = futures::future::join_all((0..10).map(|_| admin.post("/v1/tools", &body))).await;
    let made = all.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    for refused in all.iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "already_exists");
    }
    assert_eq!(admin.list("/v1/tools").await.len(), 1);
}

#[tokio::test]
async fn a_tool_that_could_not_be_called_is_refused() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let with = |pointer: &str, value: Value| {
        let mut body = tool("get_order");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    let url = "/action/url";
    for (pointer, value, named) in [
        ("/name", json!("Get-Order"), "/name"),
        ("/name", json!("search_knowledge"), "/name"),
        ("/parameters", json!({ "type": "array" }), "/parameters"),
        ("/parameters", json!({ "type": "nonsense" }), "/parameters"),
        (
            "/parameters",
            json!({ "type": "object", "$ref": "https://a.example/x" }),
            "/parameters",
        ),
        (url, json!("ftp://a.example/{order_id}"), url),
        (url, json!("not a url"), url),
        (url, json!("https://user:pass@a.example/{order_id}"), url),
        (url, json!("https://{order_id}.example/"), url),
        (url, json!("https://a.example/{unknown}"), url),
        (
            "/action/headers",
            json!({ "Cookie": "a=b" }),
            "/action/headers/Cookie",
        ),
        (
            "/action/headers",
            json!({ "X-Y": "a\r\nb" }),
            "/action/headers/X-Y",
        ),
        (
            "/action/headers",
            json!({ "Host": "b.example" }),
            "/action/headers/Host",
        ),
    ] {
        let answer = admin.post("/v1/tools", &with(pointer, value.clone())).await;
        let named_fields = if answer.status == 422 {
            answer.named_fields()
        } else {
            Vec::new()
        };
        assert!(
            named_fields.iter().any(|field| field == named),
            "{pointer} {value}: {answer}"
        );
    }
    // Several faults are told at once.
    let mut body = with("/parameters", json!({ "type": "array" }));
    body["action"]["url"] = json!("nowhere");
    let fields = admin.post("/v1/tools", &body).await.named_fields();
    assert_eq!(fields, ["/parameters", "/action/url"]);
}

#[tokio::test]
async fn a_schema_of_ten_thousand_levels_or_with_a_cruel_pattern_harms_nobody() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "object", "properties": { "a": deep } });
    }
    let mut body = tool("get_order");
    body["action"]["url"] = json!("https://a.example/");
    body["parameters"] = deep;
    let answer = admin.post("/v1/tools", &body).await;
    assert!(
        matches!(answer.status.as_u16(), 201 | 400 | 422),
        "{answer}"
    );
    body["parameters"] = json!({
        "type": "object",
        "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } },
    });
    body["name"] = json!("get_other");
    let answer = admin.post("/v1/tools", &body).await;
    assert!(matches!(answer.status.as_u16(), 201 | 422), "{answer}");
    world.anonymous().get("/health").await.ok();
}
