//! Calls of tools.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use mcp::{CallOptions, Client, Content, ErrorKind, ParameterHeader};
use serde_json::{Value, json};

use crate::support::{
    Seen, Server, call, call_of, handshake, message, outbound_to, refusal, reply, result, says,
    status,
};

#[tokio::test]
async fn a_result_with_every_kind_of_content() {
    let server = Server::stateless(|seen| {
        result(
            seen,
            &json!({
                "resultType": "complete",
                "content": [
                    { "type": "text", "text": "seen" },
                    { "type": "image", "data": "aGVsbG8=", "mimeType": "image/png" },
                    { "type": "audio", "data": "aGVsbG8=", "mimeType": "audio/wav" },
                    { "type": "resource_link", "uri": "file:///etc/passwd", "name": "x" },
                    { "type": "resource", "resource": { "uri": "a:b", "text": "inside" } },
                ],
                "structuredContent": { "count": 5 },
                "isError": false,
            }),
        )
    })
    .await;
    let result = call_of(&server).await.expect("a result");
    assert_eq!(result.structured, Some(json!({ "count": 5 })));
    assert!(!result.is_error);
    assert_eq!(result.content.len(), 5);
    assert!(
        matches!(&result.content[3], Content::ResourceLink { uri, .. } if uri == "file:///etc/passwd")
    );
    assert_eq!(
        result.text(),
        "seen\n[image, image/png, 5 bytes, not shown]\n[audio, audio/wav, 5 bytes, not shown]\n[link: x <file:///etc/passwd>]\n[resource <a:b>]\ninside"
    );
}

#[tokio::test]
async fn a_tool_that_fails_is_a_result() {
    let server = Server::plain(|seen| {
        let mut failed = says("No such city");
        failed["isError"] = json!(true);
        result(seen, &failed)
    })
    .await;
    let result = call_of(&server).await.expect("a result");
    assert!(result.is_error);
    assert_eq!(result.text(), "No such city");
}

#[tokio::test]
async fn an_idempotency_key_travels_twice() {
    fn script(seen: &Seen) -> axum::response::Response {
        result(seen, &says("done"))
    }
    for server in [Server::plain(script).await, Server::stateless(script).await] {
        let options = CallOptions {
            idempotency_key: Some("exec_1:2:3".to_owned()),
            ..CallOptions::default()
        };
        let arguments = json!({ "city": "Köln" });
        let client = server.client();
        let called = client.call_tool("a.b-c_D", &arguments, options);
        called.await.expect("a result");
        let seen = &server.of("tools/call")[0];
        assert_eq!(seen.header("idempotency-key"), Some("exec_1:2:3"));
        let params = &seen.body["params"];
        assert_eq!(params["_meta"]["idempotency-key"], "exec_1:2:3");
        assert_eq!(params["arguments"], arguments);
        assert_eq!(params["name"], "a.b-c_D");
    }
}

#[tokio::test]
async fn what_cannot_be_a_call_is_not_sent() {
    let server = Server::plain(|seen| result(seen, &says("done"))).await;
    let client = server.client();
    for (name, arguments) in [
        ("", json!({})),
        ("a b", json!({})),
        ("a\r\nb", json!({})),
        ("tool", json!(null)),
        ("tool", json!([1])),
        ("tool", json!("text")),
    ] {
        let error = client
            .call_tool(name, &arguments, CallOptions::default())
            .await
            .expect_err("no call");
        assert_eq!(error.code(), "invalid_request");
        assert!(error.is_retry_safe() && !error.is_transient());
    }
    assert!(server.seen().is_empty());

    let large = json!({ "text": "x".repeat(2 << 20) });
    let error = client
        .call_tool("tool", &large, CallOptions::default())
        .await;
    let error = error.expect_err("too large");
    assert_eq!(
        (error.code(), error.is_retry_safe()),
        ("request_too_large", true)
    );
    let options = CallOptions {
        idempotency_key: Some("a\nb".to_owned()),
        ..CallOptions::default()
    };
    let error = client.call_tool("tool", &json!({}), options).await;
    let error = error.expect_err("no header");
    assert_eq!(
        (error.code(), error.is_retry_safe()),
        ("header_not_allowed", true)
    );
    assert!(server.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_call_may_set_its_own_limit_of_bytes() {
    let server = Server::plain(|seen| result(seen, &says(&"x".repeat(5000)))).await;
    let client = server.client();
    for (max_bytes, fits) in [(4000, false), (6000, true)] {
        let options = CallOptions {
            max_bytes: Some(max_bytes),
            ..CallOptions::default()
        };
        let outcome = client.call_tool("tool", &json!({}), options).await;
        match outcome {
            Ok(result) => assert!(fits && result.text().len() == 5000),
            Err(error) => {
                assert!(!fits);
                assert!(matches!(
                    error.kind(),
                    ErrorKind::TooLarge { limit_bytes: 4000 }
                ));
                assert!(!error.is_retry_safe());
            }
        }
    }
}

fn region() -> ParameterHeader {
    ParameterHeader {
        name: "Region".to_owned(),
        path: vec!["region".to_owned()],
    }
}

#[tokio::test]
async fn arguments_are_repeated_as_headers_where_the_version_has_that() {
    for (server, expected) in [
        (
            Server::stateless(|seen| result(seen, &says("done"))).await,
            Some("=?base64?S8O2bG4=?="),
        ),
        (
            Server::plain(|seen| result(seen, &says("done"))).await,
            None,
        ),
    ] {
        let options = CallOptions {
            parameter_headers: vec![region()],
            ..CallOptions::default()
        };
        let arguments = json!({ "region": "Köln" });
        let client = server.client();
        let called = client.call_tool("tool", &arguments, options);
        called.await.expect("a result");
        let seen = &server.of("tools/call")[0];
        assert_eq!(seen.header("mcp-param-region"), expected);
    }
}

/// A server whose tool wants a header that the client did not know of.
async fn strict() -> Server {
    Server::stateless(|seen| match (seen.rpc(), seen.header("mcp-param-region")) {
        ("tools/list", _) => {
            let schema = json!({ "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
            result(seen, &json!({ "tools": [{ "name": "tool", "inputSchema": schema }] }))
        }
        (_, Some("west")) => result(seen, &says("done")),
        _ => refusal(400, &seen.body["id"], -32020, "Header mismatch"),
    })
    .await
}

#[tokio::test]
async fn a_header_that_is_missing_is_looked_up_once() {
    let server = strict().await;
    let client = server.client();
    let west = json!({ "region": "west" });
    let result = client
        .call_tool("tool", &west, CallOptions::default())
        .await;
    assert_eq!(result.expect("a result").text(), "done");
    assert_eq!(
        server.lines(),
        ["server/discover", "tools/call", "tools/list", "tools/call"]
    );

    // Looking it up does not help here: the header is right, the server wants another value.
    let east = json!({ "region": "east" });
    let error = client
        .call_tool("tool", &east, CallOptions::default())
        .await;
    let error = error.expect_err("refused twice");
    assert!(matches!(error.kind(), ErrorKind::Rpc { code: -32020, .. }));
    assert!(error.is_retry_safe());
    assert_eq!(server.of("tools/call").len(), 4);

    // Nor here: the tool is not listed.
    let error = client
        .call_tool("other", &east, CallOptions::default())
        .await;
    assert_eq!(error.expect_err("refused").code(), "rpc_error");
    assert_eq!(server.of("tools/call").len(), 5);
}

#[tokio::test]
async fn a_call_is_repeated_with_the_state_that_the_server_wants_back() {
    let server = Server::stateless(|seen| {
        let state = seen.body["params"].get("requestState").and_then(Value::as_str);
        let next = match state {
            None => json!({ "resultType": "input_required", "requestState": "one" }),
            Some("one") => {
                json!({ "resultType": "input_required", "requestState": "two", "inputRequests": {} })
            }
            Some(_) => says("done"),
        };
        result(seen, &next)
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
    let calls = server.of("tools/call");
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2].body["params"]["requestState"], "two");
    assert_ne!(calls[0].body["id"], calls[1].body["id"]);
}

#[tokio::test]
async fn input_that_nobody_can_give_ends_a_call() {
    let asks = json!({ "method": "elicitation/create", "params": { "message": "Your password?" } });
    for (answer, calls) in [
        (
            json!({ "resultType": "input_required", "inputRequests": { "a": asks }, "requestState": "s" }),
            1,
        ),
        (json!({ "resultType": "input_required" }), 1),
        (
            json!({ "resultType": "input_required", "requestState": "again" }),
            5,
        ),
    ] {
        let wanted = answer.clone();
        let server = Server::stateless(move |seen| result(seen, &wanted)).await;
        let error = call_of(&server).await.expect_err("input");
        assert_eq!(error.code(), "input_required", "{answer}");
        assert!(!error.is_retry_safe());
        assert_eq!(server.of("tools/call").len(), calls);
    }
    let server = Server::stateless(|seen| result(seen, &json!({ "resultType": "task" }))).await;
    let error = call_of(&server).await.expect_err("an unknown type");
    assert_eq!(error.code(), "invalid_response");
}

/// After a first round, a refusal says nothing about what the first round has done.
#[tokio::test]
async fn a_call_that_has_begun_is_not_safe_to_repeat() {
    let server = Server::stateless(|seen| match seen.body["params"].get("requestState") {
        None => result(
            seen,
            &json!({ "resultType": "input_required", "requestState": "one" }),
        ),
        Some(_) => status(429),
    })
    .await;
    let error = call_of(&server).await.expect_err("refused");
    assert_eq!(
        (error.code(), error.is_retry_safe()),
        ("rate_limited", false)
    );
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_where_there_is_a_way_to() {
    for is_stateless in [false, true] {
        let server = Server::start(move |seen| {
            async move {
                match seen.rpc() {
                    "server/discover" if is_stateless => {
                        result(&seen, &crate::support::discovery())
                    }
                    "tools/call" => std::future::pending().await,
                    _ => handshake(&seen, "2025-06-18", Some("s-1")).expect("a handshake"),
                }
            }
            .boxed()
        })
        .await;
        let options = CallOptions {
            timeout: Some(Duration::from_millis(300)),
            ..CallOptions::default()
        };
        let error = server.client().call_tool("tool", &json!({}), options).await;
        let error = error.expect_err("too long");
        assert_eq!(error.code(), "timed_out");
        assert!(!error.is_retry_safe() && error.is_transient());
        assert!(error.to_string().contains("300 ms"), "{error}");
        let cancelled = server.of("notifications/cancelled");
        if is_stateless {
            assert!(cancelled.is_empty());
        } else {
            let call = &server.of("tools/call")[0];
            assert_eq!(cancelled.len(), 1);
            assert_eq!(cancelled[0].body["params"]["requestId"], call.body["id"]);
            assert_eq!(cancelled[0].header("mcp-session-id"), Some("s-1"));
        }
    }
}

/// Time that is over before a call is sent is time in which nothing was done.
#[tokio::test]
async fn a_call_without_time_is_not_sent() {
    let server = Server::plain(|seen| result(seen, &says("done"))).await;
    let client = server.client();
    client.connect().await.expect("a session");
    let options = CallOptions {
        timeout: Some(Duration::ZERO),
        ..CallOptions::default()
    };
    let error = client.call_tool("tool", &json!({}), options).await;
    let error = error.expect_err("no time");
    assert_eq!((error.code(), error.is_retry_safe()), ("timed_out", true));
    assert!(server.of("tools/call").is_empty());
    assert!(server.of("notifications/cancelled").is_empty());
}

#[tokio::test]
async fn a_batch_and_an_id_as_text_are_understood() {
    let server = Server::plain(|seen| {
        let mut answer = reply(seen, &says("done"));
        answer["id"] = json!(seen.body["id"].to_string());
        let other = json!({ "jsonrpc": "2.0", "id": 0, "result": says("another") });
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
        message(200, &json!([progress, other, answer]))
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
}

#[tokio::test]
async fn clones_share_what_was_agreed_on() {
    let times = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&times);
    let server = Server::start(move |seen| {
        if seen.rpc() == "initialize" {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        let response =
            handshake(&seen, "2025-06-18", None).unwrap_or_else(|| result(&seen, &says("done")));
        async move { response }.boxed()
    })
    .await;
    let client = Client::new(outbound_to(server.address.port()), server.endpoint());
    let client = client.expect("a client");
    let clone = client.clone();
    call(&client).await.expect("a result");
    call(&clone).await.expect("a result");
    assert_eq!(times.load(Ordering::SeqCst), 1);
}
