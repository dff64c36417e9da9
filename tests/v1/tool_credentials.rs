//! `/v1/tools/{tool_id}/credential`: what is kept, who sees it, and where it opens.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::tool::Tool;
use futures::future::join_all;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::credentials::CredentialError;
use vault::VaultError;

use crate::support::fixture::tool;
use crate::support::redact::redacted;
use crate::support::{Api, World, send, tenant, text};

const CANARY: &str = "canary-5b1f7c0e";

/// A tool that leads to `https://orders.example.com`, and the path of its credential.
async fn registered(api: &Api, name: &str) -> (String, String) {
    let made = api.create("/v1/tools", &tool(name)).await;
    let path = format!("/v1/tools/{}", text(&made["id"]));
    let credential = format!("{path}/credential");
    (path, credential)
}

/// The tool as a runner reads it.
async fn stored(world: &World, api: &Api, path: &str) -> Tool {
    let id = path.rsplit('/').next().expect("an id");
    let tools = world.store().tools(tenant(api));
    let found = tools.get(id.parse().expect("an id")).await;
    found.expect("the store answers").expect("the tool")
}

/// The headers that a runner would send.
async fn headers(
    world: &World,
    api: &Api,
    path: &str,
) -> Result<Vec<(String, String)>, CredentialError> {
    let tool = stored(world, api, path).await;
    let credentials = world.store().credentials(tenant(api));
    let headers = credentials.headers_for(&tool).await?;
    Ok(headers
        .into_iter()
        .map(|(name, value)| (name, value.expose_secret().to_owned()))
        .collect())
}

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
async fn a_secret_is_sent_to_the_origin_it_was_set_for_and_no_other() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (path, credential) = registered(&admin, "get_order").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&credential, &body).await.ok();
    let moved = async |url: &str| {
        let mut action = tool("any")["action"].clone();
        action["url"] = json!(url);
        let body = json!({ "action": action });
        admin.patch(&path, &body).await.ok();
    };
    // Another path of the same service.
    moved("https://orders.example.com/v2/{order_id}").await;
    headers(&world, &admin, &path)
        .await
        .expect("the same origin");
    for url in [
        "https://evil.example.com/{order_id}",
        "https://orders.example.com:8443/{order_id}",
        "https://orders.example.com.evil.example/{order_id}",
    ] {
        moved(url).await;
        let refused = headers(&world, &admin, &path).await.expect_err(url);
        let is_named = matches!(refused, CredentialError::OtherOrigin { .. });
        assert!(is_named && !refused.is_transient(), "{url}: {refused:?}");
    }
    moved("http://orders.example.com/{order_id}").await;
    headers(&world, &admin, &path)
        .await
        .expect_err("in the clear");
    let refused = admin.put(&credential, &body).await;
    refused.problem(409, "no_place_for_secrets");
    // Whoever says so anew may send it there.
    moved("https://evil.example.com/{order_id}").await;
    let set = admin.put(&credential, &body).await.ok();
    assert_eq!(set["origin"], "https://evil.example.com");
    headers(&world, &admin, &path)
        .await
        .expect("the new origin");
}

type Item = HashMap<String, AttributeValue>;

async fn all_items(world: &World, table: &str) -> Vec<Item> {
    let scan = world.store().clients().dynamo.scan().table_name(table);
    let pages = scan.into_paginator().items().send();
    let items = pages.collect::<Result<Vec<_>, _>>().await;
    items.expect("the table answers")
}

fn sealed_row(items: &[Item]) -> Item {
    let mut rows = items.iter().filter(|item| item.contains_key("sealed"));
    rows.next().expect("a sealed row").clone()
}

#[tokio::test]
async fn a_row_that_was_moved_or_edited_does_not_open() {
    let world = World::start().await;
    let (admin, other) = (world.founder("ada").await, world.founder("bob").await);
    let (mine, credential) = registered(&admin, "get_order").await;
    let (second, _) = registered(&admin, "get_parcel").await;
    let (theirs, _) = registered(&other, "get_order").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&credential, &body).await.ok();
    let table = world.store().config().vault.clone();
    let rows = all_items(&world, &table).await;
    let row = sealed_row(&rows);
    let put = async |item: Item| {
        let dynamo = &world.store().clients().dynamo;
        let request = dynamo.put_item().table_name(&table);
        request.set_item(Some(item)).send().await.expect("written");
    };
    let refused = async |api: &Api, path: &str, what: &str| {
        let error = headers(&world, api, path).await.expect_err(what);
        assert!(!error.is_transient(), "{what}: {error:?}");
        error
    };
    let with = |item: &Item, fields: &[(&str, AttributeValue)]| {
        let mut item = item.clone();
        for (name, value) in fields {
            item.insert((*name).to_owned(), value.clone());
        }
        item
    };
    let id_of = |path: &str| text_attribute(path.rsplit('/').next().expect("an id"));

    // To another tool of the org, with and without saying so in its fields.
    let moved = with(&row, &[("sk", id_of(&second))]);
    put(moved.clone()).await;
    refused(&admin, &second, "moved to another tool").await;
    put(with(&moved, &[("tool", id_of(&second))])).await;
    refused(&admin, &second, "moved and renamed").await;

    // To another org: the row alone, then with the data key.
    let their_org = other.org().to_owned();
    let our_org = admin.org().to_owned();
    let partition = |suffix: &str| text_attribute(&format!("ORG#{their_org}#{suffix}"));
    let fields = [("pk", partition("TOOLCREDENTIAL")), ("sk", id_of(&theirs))];
    put(with(&row, &fields)).await;
    let error = refused(&other, &theirs, "moved to another org").await;
    let without_key = matches!(error, CredentialError::Vault(VaultError::NoSuchKey(1)));
    assert!(without_key, "{error:?}");
    let key = rows.iter().find(|item| item.contains_key("wrapped"));
    let key = key.expect("a data key");
    put(with(key, &[("pk", partition("DATAKEY"))])).await;
    refused(&other, &theirs, "moved with its data key").await;
    let fields = [
        ("pk", partition("DATAKEY")),
        ("org", text_attribute(&their_org)),
    ];
    put(with(key, &fields)).await;
    refused(&other, &theirs, "moved with its data key, renamed").await;
    assert_ne!(their_org, our_org);

    // Where and how it is sent, and its version.
    for (name, value) in [
        ("origin", text_attribute("https://evil.example.com")),
        ("header", text_attribute("x-other")),
        ("kind", text_attribute("header")),
        ("version", AttributeValue::N("2".to_owned())),
    ] {
        put(with(&row, &[(name, value)])).await;
        refused(&admin, &mine, name).await;
    }
    // Even where the tool follows what was edited.
    put(with(
        &row,
        &[("origin", text_attribute("https://evil.example.com"))],
    ))
    .await;
    let mut action = tool("any")["action"].clone();
    action["url"] = json!("https://evil.example.com/{order_id}");
    admin.patch(&mine, &json!({ "action": action })).await.ok();
    let error = refused(&admin, &mine, "tool and row edited").await;
    let closed = matches!(error, CredentialError::Vault(VaultError::DoesNotOpen));
    assert!(closed, "{error:?}");
    let action = tool("any")["action"].clone();
    admin.patch(&mine, &json!({ "action": action })).await.ok();

    // Damaged, cut, and of an unknown format; each is put right by what was there.
    let sealed = row["sealed"].as_s().expect("a text").clone();
    for damaged in [
        format!("{}A{}", &sealed[..40], &sealed[41..]),
        format!("{}B{}", &sealed[..40], &sealed[41..]),
        sealed[..20].to_owned(),
        String::new(),
        format!("Ag{}", &sealed[2..]),
        "not base64!".to_owned(),
    ] {
        if damaged == sealed {
            continue;
        }
        put(with(&row, &[("sealed", text_attribute(&damaged))])).await;
        refused(&admin, &mine, &damaged).await;
    }
    put(row).await;
    headers(&world, &admin, &mine).await.expect("as it was");
}

fn text_attribute(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[tokio::test]
async fn a_secret_is_in_no_table_no_answer_and_no_problem() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool_path, path) = registered(&admin, "get_order").await;
    // What is refused repeats nothing of a secret, whichever way it is wrong.
    let number = 84_719_305_u64;
    for body in [
        json!({ "kind": "bearer", "token": format!("{CANARY} with a space") }),
        json!({ "kind": "bearer", "token": [CANARY] }),
        json!({ "kind": "bearer", "token": { CANARY: CANARY } }),
        json!({ "kind": "bearer", "token": number }),
        json!({ "kind": "bearer", "token": -84_719_305_i64 }),
        json!({ "kind": "bearer", "token": 84_719_305.5 }),
        json!({ "kind": "bearer", "token": "t", "password": CANARY }),
        json!({ "kind": "header", "name": "X-Key", "value": format!("{CANARY}\n") }),
        json!({ "kind": "basic", "username": "a", "password": format!("{CANARY}\u{0}") }),
        json!({ "kind": "basic", "password": CANARY }),
    ] {
        let answer = admin.put(&path, &body).await;
        assert_eq!(answer.status, 422, "{answer}");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            !said.contains("canary") && !said.contains("84719305"),
            "{said}"
        );
    }
    for text in [
        format!("{{\"kind\":\"bearer\",\"token\":\"{CANARY}"),
        format!("{{\"kind\":\"bearer\",\"token\":{CANARY}}}"),
        format!("{{\"kind\":\"bearer\",\"token\":\"{CANARY}\",\"token\":\"{CANARY}\"}}"),
    ] {
        let request = admin.request(Method::PUT, &path);
        let answer = send(
            request
                .header("content-type", "application/json")
                .body(text),
        )
        .await;
        assert!(answer.status.is_client_error(), "{answer}");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("canary"),
            "{answer}"
        );
    }

    for body in [
        json!({ "kind": "bearer", "token": CANARY }),
        json!({ "kind": "header", "name": "X-Key", "value": CANARY }),
        json!({ "kind": "basic", "username": CANARY, "password": CANARY }),
    ] {
        let said = admin.put(&path, &body).await.ok().to_string();
        assert!(!said.contains("canary"), "{said}");
    }
    let (_, second) = registered(&admin, "get_parcel").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&second, &body).await.ok();
    admin.delete(&second).await.gone();
    for place in [&tool_path, &path, "/v1/tools", "/v1/audit"] {
        let said = String::from_utf8_lossy(&admin.get(place).await.body).into_owned();
        assert!(!said.contains("canary"), "{place}: {said}");
    }
    let config = world.store().config();
    let mut seen = 0;
    for name in store::config::Table::ALL {
        for item in all_items(&world, config.table(*name)).await {
            let shown = format!("{item:?}");
            assert!(!shown.contains("canary"), "{name:?}: {shown}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} items");
    let tool = stored(&world, &admin, &tool_path).await;
    let credentials = world.store().credentials(tenant(&admin));
    let headers = credentials.headers_for(&tool).await.expect("one");
    assert_eq!(headers.len(), 1);
    assert!(!format!("{headers:?} {:?}", world.store()).contains("canary"));
}

#[tokio::test]
async fn events_tell_that_and_where_to_and_never_what() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (tool, path) = registered(&admin, "get_order").await;
    let body = json!({ "kind": "header", "name": "X-Api-Key", "value": CANARY });
    admin.put(&path, &body).await.ok();
    admin.delete(&path).await.gone();
    let log = all_items(&world, &world.store().config().log).await;
    let of_kind = |kind: &str| {
        let found = log.iter().find(|item| item["type"] == text_attribute(kind));
        let item = found.unwrap_or_else(|| panic!("no {kind}")).clone();
        serde_dynamo::from_item::<_, Value>(item).expect("an event")
    };
    for kind in ["tool.credential_set", "tool.credential_removed"] {
        let event = of_kind(kind);
        assert!(tool.ends_with(&text(&event["subject"])), "{event}");
        let expected = json!({
            "kind": "header", "header": "x-api-key", "origin": "https://orders.example.com",
            "version": 1,
        });
        assert_eq!(event["data"], expected);
        assert_eq!(event["actor"]["kind"], "user");
    }
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
async fn orgs_have_keys_of_their_own_and_old_versions_go_on_opening() {
    let world = World::start().await;
    let (admin, other) = (world.founder("ada").await, world.founder("bob").await);
    let (tool, path) = registered(&admin, "get_order").await;
    let (their_tool, their_path) = registered(&other, "get_order").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&path, &body).await.ok();
    other.put(&their_path, &body).await.ok();
    let store = world.store();
    let rows = store.data_keys(tenant(&admin));
    let org = tenant(&admin).org();
    let version = store.vault().rotate(&rows, org).await.expect("rotated");
    assert_eq!(version, 2);
    headers(&world, &admin, &tool)
        .await
        .expect("by the old key");
    admin.put(&path, &body).await.ok();
    headers(&world, &admin, &tool)
        .await
        .expect("by the new key");
    headers(&world, &other, &their_tool)
        .await
        .expect("untouched");
    let items = all_items(&world, &store.config().vault).await;
    let keys = items.iter().filter(|item| item.contains_key("wrapped"));
    assert_eq!(keys.count(), 3);
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
