//! Replies that come as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::stream::{self, StreamExt};
use mcp::{Client, ErrorKind};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{
    Seen, Server, call, call_of, event, events, outbound_to, reply, result, says, status,
};

fn asks(id: &Value, method: &str) -> String {
    event(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": {} }))
}

fn progress() -> String {
    event(
        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } }),
    )
}

/// A body that says this, pauses, and says it again, for ever.
fn endless(piece: String, pause: Duration) -> Body {
    let pieces = stream::repeat(piece).then(move |piece| async move {
        sleep(pause).await;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(pieces)
}

#[tokio::test]
async fn what_comes_before_the_reply_is_passed_over() {
    let server = Server::plain(|seen| {
        let mut stream = String::from("\u{feff}: welcome\r\n\r\nid: 1\r\nretry: 10\r\ndata:\r\n\r\n");
        stream.push_str(&progress());
        stream.push_str(": still here\n\n");
        stream.push_str("event: other\ndata: not for us\n\n");
        stream.push_str(&event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": "log" } })));
        stream.push_str(&event(&json!({ "jsonrpc": "2.0", "id": 999_999, "result": says("another") })));
        stream.push_str(&event(&json!({ "jsonrpc": "2.0", "id": "x", "error": { "code": 1, "message": "no" } })));
        stream.push_str(&event(&reply(seen, &says("first"))));
        // A second reply, and noise after it, are too late.
        stream.push_str(&event(&reply(seen, &says("second"))));
        stream.push_str("data: \u{1}garbage\n\n");
        events(stream)
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "first");
}

/// The reply counts when it is there; the server may leave its connection open.
#[tokio::test]
async fn the_end_of_a_stream_is_not_waited_for() {
    let server = Server::plain(|seen| {
        let reply = event(&reply(seen, &says("done")));
        let rest = stream::once(async move { Ok::<_, Infallible>(reply) })
            .chain(stream::pending::<Result<String, Infallible>>());
        events(Body::from_stream(rest))
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
}

#[tokio::test]
async fn a_reply_in_small_pieces_and_without_its_last_line() {
    let server = Server::plain(|seen| {
        let text = event(&reply(seen, &says("Grüße 🛢")));
        let pieces: Vec<Result<Vec<u8>, Infallible>> = text
            .trim_end()
            .as_bytes()
            .chunks(3)
            .map(|piece| Ok(piece.to_vec()))
            .collect();
        events(Body::from_stream(stream::iter(pieces)))
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "Grüße 🛢");
}

#[tokio::test]
async fn pings_are_answered_and_other_requests_refused() {
    let server = Server::with_handshake(Some("s-1"), |seen| {
        if seen.rpc().is_empty() {
            return status(202);
        }
        let mut stream = asks(&json!("p-1"), "ping");
        stream.push_str(&asks(&json!(7), "sampling/createMessage"));
        stream.push_str(&asks(&json!(8), "elicitation/create"));
        stream.push_str(&asks(&json!(9), "roots/list"));
        stream.push_str(&asks(&json!({ "no": "id" }), "ping"));
        stream.push_str(&event(&reply(seen, &says("done"))));
        events(stream)
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
    let seen = server.seen();
    let answers: Vec<&Seen> = seen.iter().filter(|seen| seen.rpc().is_empty()).collect();
    assert_eq!(answers.len(), 4);
    for answer in &answers {
        assert_eq!(answer.header("mcp-session-id"), Some("s-1"));
        assert_eq!(answer.header("mcp-protocol-version"), Some("2025-11-25"));
    }
    assert_eq!(
        answers[0].body,
        json!({ "jsonrpc": "2.0", "id": "p-1", "result": {} })
    );
    for (answer, id) in answers[1..].iter().zip([7, 8, 9]) {
        assert_eq!(answer.body["id"], id);
        assert_eq!(answer.body["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn a_server_that_asks_without_end_gets_few_answers() {
    let server = Server::plain(|seen| {
        if seen.rpc().is_empty() {
            return status(202);
        }
        let mut stream: String = (0..200).map(|id| asks(&json!(id), "ping")).collect();
        stream.push_str(&event(&reply(seen, &says("done"))));
        events(stream)
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
    let answers = server
        .seen()
        .iter()
        .filter(|seen| seen.rpc().is_empty())
        .count();
    assert_eq!(answers, 32);
}

/// Version 2026-07-28 has no requests of servers, and forbids to answer any.
#[tokio::test]
async fn without_sessions_no_request_of_a_server_is_answered() {
    let server = Server::stateless(|seen| {
        let stream = asks(&json!(1), "ping") + &event(&reply(seen, &says("done")));
        events(stream)
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
    assert_eq!(server.lines(), ["server/discover", "tools/call"]);
}

/// A server that ends each connection after an event, the last of which has the reply.
async fn polled(session: Option<&'static str>, connections: usize) -> Server {
    let opened = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(std::sync::Mutex::new(Value::Null));
    Server::with_handshake(session, move |seen| {
        let number = opened.fetch_add(1, Ordering::SeqCst);
        if seen.rpc() == "tools/call" {
            *asked.lock().expect("the request") = seen.body["id"].clone();
        }
        let last = json!({ "jsonrpc": "2.0", "id": *asked.lock().expect("the request"), "result": says("done") });
        let event_id = format!("id: e-{number}\nretry: 5\n");
        if number == connections {
            events(event_id + &event(&last))
        } else {
            events(event_id + "data:\n\n: broken off\ndata: {\"json")
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_where_it_broke() {
    for session in [Some("s-1"), None] {
        let server = polled(session, 3).await;
        assert_eq!(call_of(&server).await.expect("a result").text(), "done");
        let seen = server.seen();
        let gets: Vec<&Seen> = seen.iter().filter(|seen| seen.http == "GET").collect();
        let from: Vec<Option<&str>> = gets.iter().map(|get| get.header("last-event-id")).collect();
        assert_eq!(from, [Some("e-0"), Some("e-1"), Some("e-2")]);
        for get in gets {
            assert_eq!(get.header("accept"), Some("text/event-stream"));
            assert_eq!(get.header("mcp-session-id"), session);
            assert_eq!(get.header("mcp-protocol-version"), Some("2025-11-25"));
        }
        assert_eq!(server.of("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_for_ever_is_given_up() {
    let server = polled(None, usize::MAX).await;
    let mut endpoint = server.endpoint();
    endpoint.caps.resumes = 5;
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    let error = call(&client).await.expect_err("no reply");
    assert_eq!(error.code(), "stream_ended");
    assert!(!error.is_retry_safe() && error.is_transient());
    let gets = server
        .seen()
        .iter()
        .filter(|seen| seen.http == "GET")
        .count();
    assert_eq!(gets, 5);
}

#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_again_is_an_unknown_outcome() {
    type Answer = fn(&Seen) -> Response;
    let answers: [(&str, &str, Answer); 5] = [
        ("stream_ended", "id: 1\ndata:\n\n", |_| status(405)),
        ("stream_ended", "id: 1\ndata:\n\n", |_| status(404)),
        ("stream_ended", "id: 1\ndata:\n\n", |seen| {
            result(seen, &says("no stream"))
        }),
        ("unauthorized", "id: 1\ndata:\n\n", |_| status(401)),
        // Nothing to take it up from.
        ("stream_ended", "id: 1\ndata:\n\nid:\ndata:\n\n", |_| {
            status(500)
        }),
    ];
    for (code, start, answer) in answers {
        let server = Server::plain(move |seen| match seen.rpc() {
            "tools/call" => events(start),
            _ => answer(seen),
        })
        .await;
        let error = call_of(&server).await.expect_err(code);
        assert_eq!(error.code(), code);
        assert!(!error.is_retry_safe(), "{code}");
        assert_eq!(server.of("tools/call").len(), 1);
    }
}

/// A pause that is longer than the time left is not begun.
#[tokio::test]
async fn a_long_pause_is_not_waited_for() {
    let server = Server::plain(|_| events("id: 1\nretry: 3600000\ndata:\n\n")).await;
    let error = call_of(&server).await.expect_err("no reply");
    assert_eq!(error.code(), "stream_ended");
    assert!(server.seen().iter().all(|seen| seen.http != "GET"));
}

#[tokio::test]
async fn without_sessions_a_stream_is_not_taken_up() {
    let server = Server::stateless(|_| events("id: 1\ndata:\n\n")).await;
    let error = call_of(&server).await.expect_err("no reply");
    assert_eq!(
        (error.code(), error.is_retry_safe()),
        ("stream_ended", false)
    );
    assert_eq!(server.lines(), ["server/discover", "tools/call"]);
}

#[tokio::test]
async fn progress_without_end_meets_the_limit_of_time() {
    let server = Server::with_handshake(Some("s-1"), |_| {
        events(endless(progress(), Duration::from_millis(20)))
    })
    .await;
    let mut endpoint = server.endpoint();
    endpoint.timeouts.call = Duration::from_millis(500);
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    let error = call(&client).await.expect_err("no reply");
    assert_eq!(error.code(), "timed_out");
    let cancelled = server.of("notifications/cancelled");
    let asked = &server.of("tools/call")[0];
    assert_eq!(cancelled[0].body["params"]["requestId"], asked.body["id"]);
}

#[tokio::test]
async fn messages_without_end_meet_the_limit_of_their_number() {
    let server = Server::plain(|_| events(endless(progress().repeat(100), Duration::ZERO))).await;
    let error = call_of(&server).await.expect_err("no reply");
    assert_eq!(error.code(), "too_many_messages");
    assert!(matches!(
        error.kind(),
        ErrorKind::TooManyMessages { limit: 10_000 }
    ));
    assert!(!error.is_retry_safe());
}

#[tokio::test]
async fn bytes_without_end_meet_the_limits_of_size() {
    // Comments, which are no messages; one line; one event of many lines.
    for piece in [
        ": nothing\n\n".repeat(1000),
        "x".repeat(10_000),
        "data: x\n".repeat(1000),
    ] {
        let server = Server::plain(move |_| events(endless(piece.clone(), Duration::ZERO))).await;
        let error = call_of(&server).await.expect_err("no reply");
        assert_eq!(error.code(), "response_too_large");
        assert_eq!(server.of("notifications/cancelled").len(), 1);
    }
}

#[tokio::test]
async fn an_event_that_is_no_message_ends_the_call() {
    for garbage in [
        "data: hello\n\n",
        "data: {\"jsonrpc\":\"2.0\"}\n\n",
        "data: []\n\n",
    ] {
        let server = Server::plain(move |_| events(garbage)).await;
        let error = call_of(&server).await.expect_err("garbage");
        assert_eq!(error.code(), "invalid_response", "{garbage}");
    }
    let server = Server::plain(|_| events(&b"data: \xff\xfe\n\n"[..])).await;
    let error = call_of(&server).await.expect_err("not text");
    assert_eq!(error.code(), "invalid_response");
}

#[tokio::test]
async fn an_error_in_a_stream_is_an_error() {
    let server = Server::plain(|seen| {
        let error = json!({ "code": -32000, "message": "It\u{202e} broke\n\u{1b}[31m", "data": { "a": 1 } });
        events(event(&json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error })))
    })
    .await;
    let error = call_of(&server).await.expect_err("an error");
    let ErrorKind::Rpc {
        code,
        message,
        data,
        ..
    } = error.kind()
    else {
        panic!("{error:?}")
    };
    assert_eq!((*code, message.as_str()), (-32000, "It broke  [31m"));
    assert_eq!(*data, Some(json!({ "a": 1 })));
    assert!(!error.is_retry_safe());
}

/// A ping during the handshake belongs to the session that the handshake opens.
#[tokio::test]
async fn a_ping_inside_the_handshake() {
    let server = Server::start(|seen| {
        let response = match seen.rpc() {
            "initialize" => {
                let opened = json!({ "protocolVersion": "2025-06-18", "serverInfo": {} });
                let stream = asks(&json!(1), "ping") + &event(&reply(&seen, &opened));
                let mut response = events(stream);
                let id = "s-9".parse().expect("a header");
                response.headers_mut().insert("mcp-session-id", id);
                response
            }
            "tools/call" => result(&seen, &says("done")),
            "server/discover" => status(400),
            _ => status(202),
        };
        Box::pin(async move { response })
    })
    .await;
    assert_eq!(call_of(&server).await.expect("a result").text(), "done");
    assert!(server.lines().contains(&"answer in s-9".to_owned()));
}
