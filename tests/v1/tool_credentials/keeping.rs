//! How it is kept: sealed, in its place, under a key of its org, and shown nowhere.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use serde_json::{Value, json};
use store::credentials::CredentialError;
use vault::VaultError;

use super::{CANARY, Item, all_items, headers, registered, stored, text_attribute};
use crate::support::fixture::tool;
use crate::support::{Api, World, send, tenant, text};

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
