//! Lists of tools.

use std::time::Duration;

use mcp::Client;
use serde_json::{Value, json};

use crate::support::{Server, event, events, outbound_to, refusal, reply, result, status};

fn tools(names: impl IntoIterator<Item = String>) -> Vec<Value> {
    let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
    names.into_iter().map(tool).collect()
}

fn numbered(count: usize) -> Vec<Value> {
    tools((0..count).map(|number| format!("tool-{number}")))
}

#[tokio::test]
async fn pages_follow_cursors_even_empty_ones() {
    let server = Server::plain(|seen| {
        let cursor = seen.body["params"].get("cursor").and_then(Value::as_str);
        let page = match cursor {
            None => json!({ "tools": tools(["a".to_owned()]), "nextCursor": "" }),
            Some("") => json!({ "tools": [], "nextCursor": "x y/?=" }),
            Some("x y/?=") => json!({ "tools": tools(["b".to_owned()]), "nextCursor": null }),
            Some(other) => panic!("{other}"),
        };
        events(event(&reply(seen, &page)))
    })
    .await;
    let list = server.client().list_tools().await.expect("a list");
    let names: Vec<&str> = list.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(!list.truncated && list.skipped.is_empty());
    assert_eq!(server.of("tools/list").len(), 3);
}

/// A description as a server of today sends it, and what becomes of it.
#[tokio::test]
async fn a_list_of_a_server_without_sessions() {
    let server = Server::stateless(|seen| {
        let header = |name: &str| json!({ "type": "string", "x-mcp-header": name });
        let with = |property: Value| json!({ "type": "object", "properties": { "a": property } });
        result(
            seen,
            &json!({
                "resultType": "complete",
                "ttlMs": 300_000,
                "cacheScope": "private",
                "tools": [
                    { "name": "good", "inputSchema": with(header("A")), "annotations": { "readOnlyHint": true } },
                    { "name": "bad", "inputSchema": with(header("a b")) },
                ],
            }),
        )
    })
    .await;
    let list = server.client().list_tools().await.expect("a list");
    assert_eq!(list.fresh_for, Some(Duration::from_secs(300)));
    assert_eq!(list.tools.len(), 1);
    assert!(list.tools[0].annotations.read_only);
    assert_eq!(list.tools[0].parameter_headers[0].name, "A");
    assert_eq!(list.skipped[0].name, "bad");
}

/// Before version 2026-07-28 the annotation is a word like any other.
#[tokio::test]
async fn headers_of_parameters_mean_nothing_in_older_versions() {
    let server = Server::plain(|seen| {
        let schema = json!({ "properties": { "a": { "type": "array", "x-mcp-header": "a b" } } });
        result(
            seen,
            &json!({ "tools": [{ "name": "good", "inputSchema": schema }] }),
        )
    })
    .await;
    let list = server.client().list_tools().await.expect("a list");
    assert_eq!(list.tools.len(), 1);
    assert!(list.tools[0].parameter_headers.is_empty());
}

#[tokio::test]
async fn a_hundred_thousand_tools_are_cut_or_refused() {
    // Over the limit of a message.
    let server = Server::plain(|seen| result(seen, &json!({ "tools": numbered(100_000) }))).await;
    let error = server.client().list_tools().await.expect_err("too large");
    assert_eq!(error.code(), "response_too_large");

    // In pages of a thousand, without end.
    let server = Server::plain(|seen| {
        result(
            seen,
            &json!({ "tools": numbered(1000), "nextCursor": "more" }),
        )
    })
    .await;
    let list = server.client().list_tools().await.expect("a list");
    assert_eq!((list.tools.len(), list.truncated), (512, true));
    assert_eq!(server.of("tools/list").len(), 1);
}

#[tokio::test]
async fn pages_without_end_are_cut() {
    // Nothing on them; the same tools again and again; tools that cannot be called.
    for page in [json!([]), json!(numbered(3)), json!([{ "name": "a b" }])] {
        let tools = page.clone();
        let server = Server::plain(move |seen| {
            result(seen, &json!({ "tools": tools, "nextCursor": "again" }))
        })
        .await;
        let list = server.client().list_tools().await.expect("a list");
        assert!(list.truncated && list.tools.len() <= 3, "{page}");
        assert!(list.skipped.len() <= 100);
        assert_eq!(server.of("tools/list").len(), 64);
    }
}

#[tokio::test]
async fn large_schemas_are_left_out_and_larger_ones_refused() {
    let sized = |bytes: usize| {
        move |seen: &crate::support::Seen| {
            let large = json!({ "type": "object", "description": "x".repeat(bytes) });
            let mut list = tools(["small".to_owned()]);
            list.push(json!({ "name": "large", "inputSchema": large }));
            result(seen, &json!({ "tools": list }))
        }
    };
    let server = Server::plain(sized(100_000)).await;
    let list = server.client().list_tools().await.expect("a list");
    assert_eq!(list.tools.len(), 1);
    assert_eq!(list.skipped[0].reason, "its schema is too large");

    let server = Server::plain(sized(10 << 20)).await;
    let error = server.client().list_tools().await.expect_err("too large");
    assert_eq!(error.code(), "response_too_large");
    assert!(error.is_retry_safe());
}

#[tokio::test]
async fn schemas_that_are_large_together_are_cut() {
    let server = Server::plain(|seen| {
        let schema = json!({ "type": "object", "description": "x".repeat(50_000) });
        let cursor = seen.body["params"]["cursor"].as_u64().unwrap_or_default();
        let tool =
            |number: u64| json!({ "name": format!("t-{cursor}-{number}"), "inputSchema": schema });
        let page: Vec<Value> = (0..20).map(tool).collect();
        let next = seen.body["id"].to_string();
        result(seen, &json!({ "tools": page, "nextCursor": next }))
    })
    .await;
    let mut endpoint = server.endpoint();
    endpoint.caps.schemas_bytes = 500_000;
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    let list = client.list_tools().await.expect("a list");
    assert_eq!((list.tools.len(), list.truncated), (10, true));
}

#[tokio::test]
async fn lists_that_are_none() {
    for broken in [
        json!({}),
        json!({ "tools": "all" }),
        json!({ "tools": [], "nextCursor": 7 }),
        json!([]),
        json!(null),
    ] {
        let answer = broken.clone();
        let server = Server::plain(move |seen| result(seen, &answer)).await;
        let error = server.client().list_tools().await.expect_err("no list");
        assert_eq!(error.code(), "invalid_response", "{broken}");
    }
    let server = Server::plain(|seen| refusal(200, &seen.body["id"], -32602, "Bad cursor")).await;
    let error = server.client().list_tools().await.expect_err("refused");
    assert_eq!((error.code(), error.is_retry_safe()), ("rpc_error", true));
    let server = Server::plain(|_| status(503)).await;
    let error = server.client().list_tools().await.expect_err("overloaded");
    assert!(error.is_retry_safe() && error.is_transient());
}
