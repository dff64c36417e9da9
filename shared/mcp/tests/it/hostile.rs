//! Servers that do not keep to the protocol, or to HTTP.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, StreamExt};
use mcp::{Client, Endpoint, McpError, RpcMethod, Timeouts};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::support::{
    Seen, Server, call, call_of, message, outbound_to, reply, result, says, status,
};

async fn error_of(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> McpError {
    let server = Server::plain(answer).await;
    call_of(&server).await.expect_err("not a reply")
}

fn body(content_type: &'static str, body: impl Into<Body>) -> Response {
    ([("content-type", content_type)], body.into()).into_response()
}

#[tokio::test]
async fn replies_that_are_none() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_result = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{deep}}}");
    for text in [
        "",
        "null",
        "{}",
        "[]",
        "<html>",
        "{\"jsonrpc\":\"2.0\",\"id\":1",
        "\u{0}\u{1}\u{2}",
        deep.as_str(),
        deep_result.as_str(),
    ] {
        let text = text.to_owned();
        let error = error_of(move |_| body("application/json", text.clone())).await;
        assert_eq!(error.code(), "invalid_response");
        assert!(!error.is_retry_safe() && !error.is_transient());
    }
    let garbage: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let error = error_of(move |_| body("application/json", garbage.clone())).await;
    assert_eq!(error.code(), "invalid_response");
}

#[tokio::test]
async fn replies_of_another_type() {
    for content_type in [
        "text/html",
        "text/plain",
        "application/octet-stream",
        "",
        "application/jsonp",
    ] {
        let error = error_of(move |seen| {
            let mut response = body("x/y", reply(seen, &says("hello")).to_string());
            let value = content_type.parse().expect("a header");
            response.headers_mut().insert("content-type", value);
            response
        })
        .await;
        assert_eq!(error.code(), "invalid_response", "{content_type}");
    }
}

#[tokio::test]
async fn replies_to_another_request() {
    for id in [
        json!(0),
        json!(-1),
        json!("other"),
        json!(1.5),
        json!(true),
        json!([1]),
    ] {
        let wrong = id.clone();
        let error = error_of(move |_| {
            message(
                200,
                &json!({ "jsonrpc": "2.0", "id": wrong, "result": says("x") }),
            )
        })
        .await;
        assert_eq!(error.code(), "invalid_response", "{id}");
    }
    for result in [
        json!({}),
        json!(7),
        json!({ "content": 7 }),
        json!({ "content": [{}] }),
    ] {
        let wrong = result.clone();
        let error = error_of(move |seen| crate::support::result(seen, &wrong)).await;
        assert_eq!(error.code(), "invalid_response", "{result}");
    }
}

#[tokio::test]
async fn gigantic_replies() {
    // With its length, announced; without, and endless.
    let announced = error_of(|seen| result(seen, &says(&"x".repeat(20 << 20)))).await;
    let within_a_stream = error_of(|seen| result(seen, &says(&"x".repeat(2 << 20)))).await;
    let endless = error_of(|_| {
        let pieces = stream::repeat(Ok::<_, Infallible>("[[[[[[[[".repeat(1000)));
        body("application/json", Body::from_stream(pieces))
    })
    .await;
    for error in [announced, within_a_stream, endless] {
        assert_eq!(error.code(), "response_too_large", "{error}");
        assert!(!error.is_retry_safe());
    }
}

#[tokio::test]
async fn a_reply_that_drips_meets_the_limit_of_time() {
    for content_type in ["application/json", "text/event-stream"] {
        let server = Server::plain(move |_| {
            let pieces = stream::repeat(" ").then(|piece| async move {
                sleep(Duration::from_millis(20)).await;
                Ok::<_, Infallible>(piece)
            });
            body(content_type, Body::from_stream(pieces))
        })
        .await;
        let mut endpoint = server.endpoint();
        endpoint.timeouts.call = Duration::from_millis(400);
        let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
        let error = call(&client).await.expect_err("no reply");
        assert_eq!(error.code(), "timed_out");
    }
}

/// A refusal is not worth more time than its status.
#[tokio::test]
async fn a_refusal_that_does_not_end_is_not_read_to_its_end() {
    let server = Server::plain(|_| {
        let pieces = stream::once(async { Ok::<_, Infallible>("{") }).chain(stream::pending());
        let mut response = body("application/json", Body::from_stream(pieces));
        *response.status_mut() = axum::http::StatusCode::TOO_MANY_REQUESTS;
        response
    })
    .await;
    let mut endpoint = server.endpoint();
    endpoint.timeouts.aside = Duration::from_millis(200);
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    assert_eq!(
        call(&client).await.expect_err("refused").code(),
        "rate_limited"
    );

    let error = error_of(|_| {
        let pieces = stream::repeat(Ok::<_, Infallible>("x".repeat(10_000)));
        let mut response = body("text/html", Body::from_stream(pieces));
        *response.status_mut() = axum::http::StatusCode::BAD_GATEWAY;
        response
    })
    .await;
    assert_eq!(error.code(), "server_error");
}

#[tokio::test]
async fn compressed_replies_are_refused() {
    let error = error_of(|seen| {
        let mut response = result(seen, &says("x"));
        let gzip = "gzip".parse().expect("a header");
        response.headers_mut().insert("content-encoding", gzip);
        response
    })
    .await;
    assert_eq!(
        (error.code(), error.is_retry_safe()),
        ("encoded_response", false)
    );
}

/// A server below HTTP: it reads a little, says this, and hangs up.
async fn socket(says: &'static [u8]) -> (Client, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0_u8; 4096];
            // The client may hang up first; that is its right.
            let _ = socket.read(&mut buffer).await;
            let _ = socket.write_all(says).await;
            let _ = socket.shutdown().await;
        }
    });
    let mut endpoint = Endpoint::new(format!("http://127.0.0.1:{port}/mcp"));
    endpoint.timeouts = Timeouts {
        handshake: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let client = Client::new(outbound_to(port), endpoint).expect("a client");
    (client, port)
}

#[tokio::test]
async fn servers_that_do_not_speak_http() {
    for bytes in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{\"json",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n",
        b"HTTP/1.1 999999 ?\r\n\r\n",
    ] {
        let (client, _) = socket(bytes).await;
        let error = call(&client).await.expect_err("no HTTP");
        assert_eq!(error.code(), "invalid_response", "{error}");
        assert!(error.is_retry_safe(), "the tool was never called");
        assert_ne!(error.method(), RpcMethod::CallTool);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let (client, port) = socket(b"").await;
    drop(client);
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gone = free.local_addr().expect("an address").port();
    drop(free);
    assert_ne!(port, gone);
    let endpoint = Endpoint::new(format!("http://127.0.0.1:{gone}/mcp"));
    let client = Client::new(outbound_to(gone), endpoint).expect("a client");
    let error = call(&client).await.expect_err("nobody there");
    assert_eq!(error.code(), "connect_failed");
    assert!(error.is_retry_safe() && error.is_transient());
}

/// A connection that breaks in the middle of a call leaves its outcome open.
#[tokio::test]
async fn a_call_that_breaks_off_is_not_safe_to_repeat() {
    let error = error_of(|_| {
        let pieces = stream::iter([
            Ok("{\"jsonrpc\":"),
            Err(std::io::Error::other("the server broke")),
        ]);
        body("application/json", Body::from_stream(pieces))
    })
    .await;
    assert_eq!(error.code(), "invalid_response");
    assert!(!error.is_retry_safe() && error.is_transient());
}

#[tokio::test]
async fn a_session_of_a_server_does_not_leak_into_errors() {
    let server = Server::with_handshake(Some("canary-77"), |_| status(500)).await;
    let client = server.client();
    let error = call(&client).await.expect_err("refused");
    let session = client.session().await.expect("a session");
    let shown = format!("{error} {error:?} {client:?} {session:?}");
    assert!(!shown.contains("canary-77"), "{shown}");
}
