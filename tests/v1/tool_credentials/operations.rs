//! What may be set, what is shown, and what follows.

use futures::future::join_all;
use http::Method;
use serde_json::json;

use super::{CANARY, all_items, headers, registered, text_attribute};
use crate::support::redact::redacted;
use crate::support::{World, send};

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[tokio::test]
async fn a_credential_is_set_shown_without_its_secret_replaced_and_removed() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool, path) = registered(&admin, "get_order").await;
    assert_eq!(headers(&world, &admin, &tool).await.expect("none"), []);
    admin.get(&path).await.problem(404, "not_found");
    admin.delete(&path).await.problem(404, "not_found");

    let body = json!({ "kind": "bearer", "token": CANARY });
    let set = admin.put(&path, &body).await;
    assert_eq!(set.header("etag"), Some("\"1\""));
    insta::assert_json_snapshot!(redacted(&set.ok()));
    assert_eq!(admin.get(&path).await.ok(), set.json());
    let sent = headers(&world, &admin, &tool).await.expect("one");
    assert_eq!(sent, one("authorization", &format!("Bearer {CANARY}")));

    let body = json!({ "kind": "header", "name": "X-Api-Key", "value": "a b" });
    let replaced = admin.put(&path, &body).await.ok();
    let shown = (&replaced["version"], &replaced["kind"], &replaced["header"]);
    assert_eq!(shown, (&json!(2), &json!("header"), &json!("x-api-key")));
    let sent = headers(&world, &admin, &tool).await.expect("one");
    assert_eq!(sent, one("x-api-key", "a b"));

    let body = json!({ "kind": "basic", "username": "Aladdin", "password": "open sesame" });
    admin.put(&path, &body).await.ok();
    let sent = headers(&world, &admin, &tool).await.expect("one");
    let known = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(sent, one("authorization", known));

    admin.delete(&path).await.gone();
    admin.get(&path).await.problem(404, "not_found");
    assert_eq!(headers(&world, &admin, &tool).await.expect("none"), []);
}

#[tokio::test]
async fn a_change_holds_for_the_version_it_was_based_on() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (_, path) = registered(&admin, "get_order").await;
    let body = json!({ "kind": "bearer", "token": "t" });
    let change = async |method: Method, if_match: &str| {
        let request = admin.request(method, &path).header("if-match", if_match);
        send(request.json(&body)).await
    };
    // There is nothing yet that a change could be based on.
    let early = change(Method::PUT, "\"1\"").await;
    early.problem(412, "precondition_failed");
    admin.put(&path, &body).await.ok();
    change(Method::PUT, "\"1\"").await.ok();
    for method in [Method::PUT, Method::DELETE] {
        let late = change(method, "\"1\"").await;
        late.problem(412, "precondition_failed");
    }
    change(Method::DELETE, "\"2\"").await.gone();
}

#[tokio::test]
async fn a_body_has_the_fields_of_its_kind_and_no_others() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (_, path) = registered(&admin, "get_order").await;
    for (body, named) in [
        (json!({ "token": "t" }), "/kind"),
        (json!({ "kind": "oauth2", "token": "t" }), "/kind"),
        (json!({ "kind": "bearer" }), "/token"),
        (json!({ "kind": "bearer", "token": "" }), "/token"),
        (json!({ "kind": "bearer", "token": "a b" }), "/token"),
        (
            json!({ "kind": "bearer", "token": "a\r\nHost: b" }),
            "/token",
        ),
        (
            json!({ "kind": "bearer", "token": "t", "value": "v" }),
            "/value",
        ),
        (json!({ "kind": "header", "name": "X-Key" }), "/value"),
        (
            json!({ "kind": "header", "name": "Host", "value": "v" }),
            "/name",
        ),
        (
            json!({ "kind": "header", "name": "Content-Type", "value": "v" }),
            "/name",
        ),
        (
            json!({ "kind": "header", "name": "Idempotency-Key", "value": "v" }),
            "/name",
        ),
        (
            json!({ "kind": "header", "name": "X-Key", "value": "v\n" }),
            "/value",
        ),
        (json!({ "kind": "basic", "username": "a" }), "/password"),
        (
            json!({ "kind": "basic", "username": "a:b", "password": "p" }),
            "/username",
        ),
    ] {
        admin.put(&path, &body).await.names(named);
    }
    admin.get(&path).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_waits_for_a_credential_is_told_of_it_in_the_same_transaction() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool, path) = registered(&admin, "get_order").await;
    let jobs = async || {
        let items = all_items(&world, &world.store().config().work).await;
        let told = text_attribute("tool.authorised");
        let told = items
            .into_iter()
            .filter(|item| item.get("kind") == Some(&told));
        told.collect::<Vec<_>>()
    };
    let refused = json!({ "kind": "bearer", "token": "" });
    admin.put(&path, &refused).await.names("/token");
    assert_eq!(jobs().await.len(), 0);
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&path, &body).await.ok();
    let jobs = jobs().await;
    let [job] = jobs.as_slice() else {
        panic!("{jobs:?}")
    };
    let id = text_attribute(tool.rsplit('/').next().expect("an id"));
    assert_eq!(job["payload"].as_m().expect("a map")["tool"], id);
}

#[tokio::test]
async fn a_tool_takes_its_credential_with_it() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool, path) = registered(&admin, "get_order").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&path, &body).await.ok();
    let table = world.store().config().vault.clone();
    let sealed = async || {
        let items = all_items(&world, &table).await;
        items
            .iter()
            .filter(|item| item.contains_key("sealed"))
            .count()
    };
    assert_eq!(sealed().await, 1);
    admin.delete(&tool).await.gone();
    assert_eq!(sealed().await, 0);
    admin.get(&path).await.problem(404, "not_found");
    admin.put(&path, &body).await.problem(404, "not_found");
    // A tool without a credential goes as well.
    let (tool, _) = registered(&admin, "get_order").await;
    admin.delete(&tool).await.gone();
}

#[tokio::test]
async fn of_many_set_at_once_one_stands_whole() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool, path) = registered(&admin, "get_order").await;
    let setting = (0..10).map(|number| {
        let (admin, path) = (&admin, &path);
        async move {
            let body = json!({ "kind": "bearer", "token": format!("t{number}") });
            admin.put(path, &body).await.status.as_u16()
        }
    });
    let statuses = join_all(setting).await;
    let set = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| matches!(status, 409 | 412));
    assert_eq!(set + refused.count(), 10, "{statuses:?}");
    assert!(set >= 1);
    let sent = headers(&world, &admin, &tool).await.expect("one");
    assert!(sent[0].1.starts_with("Bearer t"), "{sent:?}");
    let shown = admin.get(&path).await.ok();
    assert_eq!(shown["version"], json!(set));
}
