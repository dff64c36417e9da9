//! Finding out how to speak with a server.

use std::time::Duration;

use futures::FutureExt;
use mcp::{Client, ErrorKind, ProtocolVersion, RpcMethod};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{
    Server, call, call_of, handshake, message, outbound_to, refusal, result, says, status,
};

#[tokio::test]
async fn a_handshake_and_a_session() {
    let server = Server::with_handshake(Some("s-1"), |seen| result(seen, &says("hello"))).await;
    let client = server.client();
    assert_eq!(call(&client).await.expect("a result").text(), "hello");
    assert_eq!(call(&client).await.expect("a result").text(), "hello");
    assert_eq!(
        server.lines(),
        [
            "server/discover",
            "initialize",
            "notifications/initialized in s-1",
            "tools/call in s-1",
            "tools/call in s-1",
        ]
    );

    let seen = server.seen();
    for request in &seen {
        assert_eq!(
            request.header("accept"),
            Some("application/json, text/event-stream")
        );
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.body["jsonrpc"], "2.0");
        assert_eq!(request.header("origin"), None);
    }
    let [_, initialize, initialized, first, second] = &seen[..] else {
        panic!("{seen:?}")
    };
    let params = &initialize.body["params"];
    assert_eq!(params["protocolVersion"], "2025-11-25");
    assert_eq!(params["capabilities"], json!({}));
    assert_eq!(params["clientInfo"]["name"], "Overglass");
    assert_eq!(initialize.header("mcp-protocol-version"), None);
    assert_eq!(initialized.body.get("id"), None);
    assert_eq!(
        initialized.header("mcp-protocol-version"),
        Some("2025-11-25")
    );
    assert_eq!(first.header("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(first.header("mcp-method"), None);
    assert_eq!(
        first.body["params"],
        json!({ "name": "tool", "arguments": {} })
    );
    assert!(first.body["id"].is_u64());
    assert_ne!(first.body["id"], second.body["id"]);

    let session = client.session().await.expect("a session");
    assert_eq!(session.protocol_version, ProtocolVersion::V2025_11_25);
    assert_eq!(session.server.name, "scripted");
}

#[tokio::test]
async fn without_handshake_every_request_says_all() {
    let server = Server::stateless(|seen| {
        let mut response = result(seen, &says("hello"));
        let id = "ignored".parse().expect("a header");
        response.headers_mut().insert("mcp-session-id", id);
        response
    })
    .await;
    let client = server.client();
    call(&client).await.expect("a result");
    call(&client).await.expect("a result");
    assert_eq!(
        server.lines(),
        ["server/discover", "tools/call", "tools/call"]
    );
    for request in server.seen() {
        assert_eq!(request.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(request.header("mcp-method"), Some(request.rpc()));
        let meta = &request.body["params"]["_meta"];
        assert_eq!(
            meta["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        assert_eq!(
            meta["io.modelcontextprotocol/clientCapabilities"],
            json!({})
        );
        assert_eq!(
            meta["io.modelcontextprotocol/clientInfo"]["name"],
            "Overglass"
        );
    }
    assert_eq!(server.seen()[1].header("mcp-name"), Some("tool"));
    let session = client.session().await.expect("a session");
    assert!(session.protocol_version.is_stateless() && session.id.is_none());
    assert_eq!(session.server.version, "2");
}

#[tokio::test]
async fn the_version_of_the_handshake_is_the_server_s_choice_among_ours() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let server = Server::start(move |seen| {
            let response =
                handshake(&seen, version, None).unwrap_or_else(|| result(&seen, &says("hello")));
            async move { response }.boxed()
        })
        .await;
        call_of(&server).await.expect(version);
        let call = &server.of("tools/call")[0];
        assert_eq!(call.header("mcp-protocol-version"), Some(version));
    }
    for version in [
        json!("2026-07-28"),
        json!("1999-01-01"),
        json!(null),
        json!(7),
    ] {
        let offered = version.clone();
        let server = Server::plain_initialize(json!({ "protocolVersion": offered })).await;
        let error = call_of(&server).await.expect_err("no common version");
        assert_eq!(error.code(), "unsupported_version", "{version}: {error}");
        assert!(error.is_retry_safe() && !error.is_transient());
        assert_eq!(error.method(), RpcMethod::Initialize);
        assert!(server.of("tools/call").is_empty());
    }
}

impl Server {
    /// A server whose answer to `initialize` is this, and which has nothing else.
    async fn plain_initialize(answer: Value) -> Self {
        Self::start(move |seen| {
            let response = match seen.rpc() {
                "initialize" => result(&seen, &answer),
                _ => status(404),
            };
            async move { response }.boxed()
        })
        .await
    }

    /// A server whose answer to `server/discover` is this, and which has a handshake.
    async fn discovers(
        answer: impl Fn(&Value) -> axum::response::Response + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |seen| {
            let response = match seen.rpc() {
                "server/discover" => answer(&seen.body["id"]),
                _ => handshake(&seen, "2025-06-18", None)
                    .unwrap_or_else(|| result(&seen, &says("hello"))),
            };
            async move { response }.boxed()
        })
        .await
    }
}

fn found(id: &Value, versions: &Value) -> axum::response::Response {
    let result = json!({ "supportedVersions": versions });
    message(
        200,
        &json!({ "jsonrpc": "2.0", "id": id, "result": result }),
    )
}

fn unsupported(id: &Value, versions: &Value) -> axum::response::Response {
    let data = json!({ "supported": versions, "requested": "2026-07-28" });
    let error = json!({ "code": -32022, "message": "Unsupported protocol version", "data": data });
    message(400, &json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

#[tokio::test]
async fn a_server_that_does_not_know_the_discovery_gets_a_handshake() {
    type Answer = fn(&Value) -> axum::response::Response;
    let answers: [(&str, Answer); 15] = [
        ("an older version", |id| found(id, &json!(["2025-11-25"]))),
        ("an older version only", |id| {
            unsupported(id, &json!(["2024-11-05", "2025-06-18"]))
        }),
        ("no such method", |id| refusal(200, id, -32601, "no")),
        ("no such method, 404", |id| refusal(404, id, -32601, "no")),
        ("no session", |_| {
            refusal(400, &json!("server-error"), -32600, "no session")
        }),
        ("400", |_| status(400)),
        ("404", |_| status(404)),
        ("405", |_| status(405)),
        ("406", |_| status(406)),
        ("500", |_| status(500)),
        ("501", |_| status(501)),
        ("202", |_| status(202)),
        ("a page", |_| {
            axum::response::IntoResponse::into_response("<html>")
        }),
        ("nonsense", |_| message(200, &json!({ "hello": 1 }))),
        ("another result", |id| {
            message(200, &json!({ "jsonrpc": "2.0", "id": id, "result": {} }))
        }),
    ];
    for (name, answer) in answers {
        let server = Server::discovers(answer).await;
        let client = server.client();
        let result = call(&client).await;
        assert_eq!(result.expect(name).text(), "hello", "{name}");
        let session = client.session().await.expect("a session");
        assert_eq!(session.protocol_version, ProtocolVersion::V2025_06_18);
    }
}

#[tokio::test]
async fn a_refusal_that_says_nothing_about_the_protocol_stands() {
    type Answer = fn(&Value) -> axum::response::Response;
    let answers: [(&str, Answer); 11] = [
        ("unauthorized", |_| status(401)),
        ("forbidden", |_| status(403)),
        ("rate_limited", |_| status(429)),
        ("refused", |_| status(408)),
        ("server_error", |_| status(502)),
        ("server_error", |_| status(503)),
        ("redirected", |_| status(307)),
        ("rpc_error", |id| {
            refusal(400, id, -32020, "Header mismatch")
        }),
        ("rpc_error", |id| {
            refusal(400, id, -32021, "Missing capability")
        }),
        ("unsupported_version", |id| {
            found(id, &json!(["2030-01-01"]))
        }),
        ("unsupported_version", |id| {
            unsupported(id, &json!(["2030-01-01"]))
        }),
    ];
    for (code, answer) in answers {
        let server = Server::discovers(answer).await;
        let error = call_of(&server).await.expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.is_retry_safe(), "the tool was never called: {error}");
        assert_eq!(server.lines(), ["server/discover"], "{code}");
    }
}

#[tokio::test]
async fn the_versions_that_are_offered_are_named() {
    let server = Server::discovers(|id| found(id, &json!(["2030-01-01", "x\ny", 7]))).await;
    let error = call_of(&server).await.expect_err("unknown versions");
    assert!(error.to_string().contains("2030-01-01, x y"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_silent_about_the_discovery_gets_a_handshake_in_time() {
    let server = Server::start(|seen| {
        async move {
            if seen.rpc() == "server/discover" {
                sleep(Duration::from_secs(60)).await;
            }
            handshake(&seen, "2025-06-18", None).unwrap_or_else(|| result(&seen, &says("hello")))
        }
        .boxed()
    })
    .await;
    let mut endpoint = server.endpoint();
    endpoint.timeouts.handshake = Duration::from_secs(2);
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    assert_eq!(call(&client).await.expect("a result").text(), "hello");
    // Neither of the two may be cancelled: there is no session to do it in.
    assert!(server.of("notifications/cancelled").is_empty());
}

#[tokio::test]
async fn a_server_that_is_always_silent_times_out_and_the_call_is_safe_to_repeat() {
    let server = Server::start(|_| std::future::pending().boxed()).await;
    let mut endpoint = server.endpoint();
    endpoint.timeouts.handshake = Duration::from_millis(300);
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    let error = call(&client).await.expect_err("silence");
    assert_eq!(error.code(), "timed_out");
    assert!(error.is_retry_safe() && error.is_transient());
    assert!(server.of("tools/call").is_empty());
    assert!(client.session().await.is_none());
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_handshake() {
    let server = Server::with_handshake(Some("s-1"), |seen| result(seen, &says("hello"))).await;
    let client = server.client();
    let calls = (0..8).map(|_| call(&client));
    for result in futures::future::join_all(calls).await {
        result.expect("a result");
    }
    assert_eq!(server.of("initialize").len(), 1);
    assert_eq!(server.of("tools/call").len(), 8);
    let mut ids: Vec<String> = server
        .of("tools/call")
        .iter()
        .map(|seen| seen.body["id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn a_handshake_that_is_not_confirmed_is_none() {
    let server = Server::start(|seen| {
        let response = match seen.rpc() {
            "notifications/initialized" => status(500),
            _ => handshake(&seen, "2025-06-18", None).unwrap_or_else(|| status(404)),
        };
        async move { response }.boxed()
    })
    .await;
    let client = server.client();
    let error = client.connect().await.expect_err("not confirmed");
    assert!(matches!(
        error.kind(),
        ErrorKind::Status { status: 500, .. }
    ));
    assert!(client.session().await.is_none());
}

#[tokio::test]
async fn an_id_that_is_no_id_opens_no_session() {
    for id in ["a b", "", &"x".repeat(3000)] {
        let id = id.to_owned();
        let server = Server::start(move |seen| {
            let response = handshake(&seen, "2025-06-18", Some(&id));
            async move { response.unwrap_or_else(|| status(404)) }.boxed()
        })
        .await;
        let error = server.client().connect().await.expect_err("no id");
        assert_eq!(error.code(), "invalid_response");
    }
}

#[tokio::test]
async fn connecting_by_itself_calls_nothing_else() {
    let server = Server::stateless(|_| status(500)).await;
    let session = server.client().connect().await.expect("a session");
    assert_eq!(session.protocol_version, ProtocolVersion::V2026_07_28);
    assert_eq!(server.lines(), ["server/discover"]);
}
