//! Sessions that are kept, forgotten and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use futures::FutureExt;
use mcp::{CallOptions, Client, ErrorKind, ProtocolVersion, Session};
use serde_json::{Value, json};

use crate::support::{
    Seen, Server, call, discovery, handshake, outbound_to, refusal, result, says, status,
};

/// A server whose n-th session is `s-<n>`, and which refuses all but the latest in this way.
async fn forgetful(refuse: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Server {
    let opened = Arc::new(AtomicUsize::new(0));
    Server::start(move |seen| {
        if seen.rpc() == "initialize" {
            opened.fetch_add(1, Ordering::SeqCst);
        }
        let current = format!("s-{}", opened.load(Ordering::SeqCst));
        let response = match handshake(&seen, "2025-06-18", Some(&current)) {
            Some(response) => response,
            None if seen.header("mcp-session-id") != Some(&current) => refuse(&seen),
            None if seen.rpc() == "tools/list" => result(&seen, &json!({ "tools": [] })),
            None => result(&seen, &says("hello")),
        };
        async move { response }.boxed()
    })
    .await
}

fn session(version: &str, id: Option<&str>) -> Session {
    let kept = json!({ "protocol_version": version, "id": id });
    serde_json::from_value(kept).expect("a session")
}

fn resumed(server: &Server, session: Session) -> Client {
    let outbound = outbound_to(server.address.port());
    Client::resume(outbound, server.endpoint(), session).expect("a client")
}

#[tokio::test]
async fn a_session_outlives_its_client() {
    let server = Server::with_handshake(Some("s-1"), |seen| result(seen, &says("hello"))).await;
    let first = server.client();
    call(&first).await.expect("a result");
    let kept = serde_json::to_string(&first.session().await).expect("JSON");
    drop(first);

    let second = resumed(&server, serde_json::from_str(&kept).expect("a session"));
    call(&second).await.expect("a result");
    assert_eq!(server.of("initialize").len(), 1);
    let calls = server.of("tools/call");
    assert_eq!(calls[1].header("mcp-session-id"), Some("s-1"));
    assert_ne!(calls[0].body["id"], calls[1].body["id"]);
}

#[tokio::test]
async fn a_session_that_has_ended_is_started_over_once() {
    type Refuse = fn(&Seen) -> Response;
    let refusals: [(&str, Refuse); 6] = [
        ("bare", |_| status(404)),
        ("with a word", |_| {
            refusal(404, &Value::Null, -32001, "Session not found")
        }),
        ("by its id", |seen| {
            refusal(404, &seen.body["id"], -32001, "Session not found")
        }),
        ("as a bad request", |_| {
            refusal(
                400,
                &Value::Null,
                -32000,
                "Bad Request: No valid session ID",
            )
        }),
        ("as a bad request without a word", |_| status(400)),
        ("by another version", |seen| {
            refusal(400, &seen.body["id"], -32020, "Header mismatch")
        }),
    ];
    for (name, refuse) in refusals {
        let server = forgetful(refuse).await;
        let client = resumed(&server, session("2025-06-18", Some("s-old")));
        let options = CallOptions {
            idempotency_key: Some("key-1".to_owned()),
            ..CallOptions::default()
        };
        let result = client.call_tool("tool", &json!({}), options).await;
        assert_eq!(result.expect(name).text(), "hello");
        assert_eq!(
            server.lines(),
            [
                "tools/call in s-old",
                "server/discover",
                "initialize",
                "notifications/initialized in s-1",
                "tools/call in s-1",
            ],
            "{name}"
        );
        let calls = server.of("tools/call");
        assert!(
            calls
                .iter()
                .all(|call| call.header("idempotency-key") == Some("key-1"))
        );
        assert_ne!(calls[0].body["id"], calls[1].body["id"]);
    }
}

#[tokio::test]
async fn a_server_that_forgets_every_session_is_given_up() {
    let server = Server::with_handshake(Some("s-1"), |_| status(404)).await;
    let error = call(&server.client()).await.expect_err("never a session");
    assert!(matches!(
        error.kind(),
        ErrorKind::Status { status: 404, .. }
    ));
    assert!(error.is_retry_safe());
    assert_eq!(server.of("tools/call").len(), 2);
    let error = server.client().list_tools().await.expect_err("never");
    assert!(matches!(
        error.kind(),
        ErrorKind::Status { status: 404, .. }
    ));
    assert_eq!(server.of("tools/list").len(), 2);
}

/// Where no session was given, 404 is about the address.
#[tokio::test]
async fn without_a_session_none_is_started_over() {
    let server = Server::plain(|_| status(404)).await;
    let error = call(&server.client()).await.expect_err("not found");
    assert!(matches!(
        error.kind(),
        ErrorKind::Status { status: 404, .. }
    ));
    assert_eq!(server.of("tools/call").len(), 1);
}

/// A tool may fail with words about sessions. Calling it again would be a second effect.
#[tokio::test]
async fn what_a_tool_says_about_sessions_starts_nothing_over() {
    fn fails(seen: &Seen) -> Response {
        refusal(
            400,
            &seen.body["id"],
            -32600,
            "The session of the user is over",
        )
    }
    let with = Server::with_handshake(Some("s-1"), fails).await;
    let without = Server::stateless(fails).await;
    for server in [with, without] {
        let error = call(&server.client()).await.expect_err("a failing tool");
        assert!(matches!(error.kind(), ErrorKind::Rpc { code: -32600, .. }));
        assert!(!error.is_retry_safe());
        assert_eq!(server.of("tools/call").len(), 1);
    }
}

/// What is kept about a server may be older than the server.
#[tokio::test]
async fn a_server_of_another_era_is_found_out() {
    type Answer = fn(&Seen) -> Response;
    let old: [(&str, Answer); 3] = [
        ("bare", |_| status(400)),
        ("not found", |_| status(404)),
        ("in words", |_| {
            refusal(400, &json!("server-error"), -32600, "Missing session ID")
        }),
    ];
    for (name, answer) in old {
        let server = Server::start(move |seen| {
            let is_known = seen.header("mcp-session-id").is_some();
            let response = match handshake(&seen, "2025-06-18", Some("s-1")) {
                Some(response) => response,
                None if is_known => result(&seen, &says("hello")),
                None => answer(&seen),
            };
            async move { response }.boxed()
        })
        .await;
        let client = resumed(&server, session("2026-07-28", None));
        assert_eq!(call(&client).await.expect(name).text(), "hello");
        let session = client.session().await.expect("a session");
        assert_eq!(session.protocol_version, ProtocolVersion::V2025_06_18);
    }

    let new: [(&str, Answer); 2] = [
        ("mismatch", |seen| {
            refusal(400, &seen.body["id"], -32020, "Header mismatch")
        }),
        ("version", |seen| {
            refusal(400, &seen.body["id"], -32022, "Unsupported")
        }),
    ];
    for (name, answer) in new {
        let server = Server::start(move |seen| {
            let response = match (seen.rpc(), seen.header("mcp-protocol-version")) {
                ("server/discover", _) => result(&seen, &discovery()),
                (_, Some("2026-07-28")) => result(&seen, &says("hello")),
                _ => answer(&seen),
            };
            async move { response }.boxed()
        })
        .await;
        let client = resumed(&server, session("2025-06-18", None));
        assert_eq!(call(&client).await.expect(name).text(), "hello");
        assert_eq!(
            server.lines(),
            ["tools/call", "server/discover", "tools/call"]
        );
    }
}

#[tokio::test]
async fn a_list_starts_over_from_its_first_page() {
    let forgotten = Arc::new(AtomicUsize::new(0));
    let server = Server::with_handshake(Some("s-1"), move |seen| {
        let tool = |name: &str| json!({ "name": name, "inputSchema": {} });
        match seen.body["params"].get("cursor") {
            None => result(seen, &json!({ "tools": [tool("a")], "nextCursor": "2" })),
            Some(_) if forgotten.fetch_add(1, Ordering::SeqCst) == 0 => status(404),
            Some(_) => result(seen, &json!({ "tools": [tool("b")] })),
        }
    })
    .await;
    let list = server.client().list_tools().await.expect("a list");
    let names: Vec<&str> = list.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(server.of("tools/list").len(), 4);
    assert_eq!(server.of("initialize").len(), 2);
}

#[tokio::test]
async fn a_session_is_ended_and_a_refusal_changes_nothing() {
    for answer in [200, 204, 404, 405, 500] {
        let server = Server::with_handshake(Some("s-1"), move |seen| {
            if seen.body.is_null() {
                status(answer)
            } else {
                result(seen, &says("hello"))
            }
        })
        .await;
        let client = server.client();
        call(&client).await.expect("a result");
        client.close().await;
        let last = server.seen().pop().expect("a request");
        assert_eq!(last.line(), "DELETE in s-1");
        assert_eq!(last.header("mcp-protocol-version"), Some("2025-11-25"));
    }
}

#[tokio::test]
async fn there_is_nothing_to_end_without_a_session() {
    let plain = Server::plain(|seen| result(seen, &says("hello"))).await;
    let stateless = Server::stateless(|seen| result(seen, &says("hello"))).await;
    for server in [plain, stateless] {
        let client = server.client();
        call(&client).await.expect("a result");
        client.close().await;
        assert!(!server.lines().contains(&"DELETE".to_owned()));
        server.client().close().await;
    }
}
