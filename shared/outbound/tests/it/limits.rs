//! Limits in time and size, against servers that try them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use outbound::{Client, Limits, Method, OutboundError, Phase, Policy, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::{KIB, Server, client_for, failure, get, limits, response};

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let server = Server::fixed(response("200 OK", "", &"x".repeat(64 * KIB))).await;
    let reply = client_for(&server)
        .call(get(server.url("/")))
        .await
        .expect("a reply");
    assert_eq!(reply.body.len(), 64 * KIB);
}

#[tokio::test]
async fn a_body_announced_over_the_limit_is_not_read() {
    let server = Server::fixed(response("200 OK", "", &"x".repeat(64 * KIB + 1))).await;
    let client = client_for(&server);
    let error = client
        .send(get(server.url("/")))
        .await
        .expect_err("refused by its head");
    assert!(
        matches!(
            error,
            OutboundError::ResponseTooLarge {
                limit_bytes: 65_536
            }
        ),
        "{error:?}"
    );
    assert!(error.may_have_been_sent());
}

/// A body without a length, from a server that would go on for ever.
#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    for head in ["transfer-encoding: chunked\r\n", "connection: close\r\n"] {
        let server = Server::start(move |mut socket| {
            async move {
                let chunked = head.starts_with("transfer");
                let piece = "x".repeat(KIB);
                let piece = if chunked {
                    format!("400\r\n{piece}\r\n")
                } else {
                    piece
                };
                let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
                let mut alive = socket.write_all(head.as_bytes()).await.is_ok();
                while alive {
                    alive = socket.write_all(piece.as_bytes()).await.is_ok();
                }
            }
            .boxed()
        })
        .await;
        let mut response = client_for(&server)
            .send(get(server.url("/")))
            .await
            .expect("a head");
        let mut received = 0;
        let error = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => received += chunk.len(),
                Ok(None) => panic!("the body has no end"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, OutboundError::ResponseTooLarge { .. }),
            "{error:?}"
        );
        assert!(received <= 64 * KIB, "{received}");
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_not_sent() {
    let server = Server::fixed(response("200 OK", "", "")).await;
    let client = client_for(&server);
    let post = |bytes: usize| Request::new(Method::POST, server.url("/")).body(vec![b'x'; bytes]);
    client.call(post(4 * KIB)).await.expect("exactly the limit");
    let error = client
        .call(post(4 * KIB + 1))
        .await
        .expect_err("one byte more");
    assert_eq!(error.code(), "request_too_large");
    assert!(!error.may_have_been_sent());
    assert_eq!(server.connections(), 1);
}

/// Other limits for one call change nothing about where it may go, and nothing for other calls.
#[tokio::test]
async fn limits_of_one_call_are_its_own() {
    let server = Server::fixed(response("200 OK", "", &"x".repeat(64 * KIB))).await;
    let client = client_for(&server);
    let narrow = client.with_limits(Limits {
        connect: Duration::ZERO,
        response_bytes: KIB,
        ..limits()
    });
    let wide = narrow.with_limits(Limits {
        response_bytes: 128 * KIB,
        ..limits()
    });
    let error = narrow
        .call(get(server.url("/")))
        .await
        .expect_err("over its own limit");
    assert_eq!(error.code(), "response_too_large");
    for client in [&client, &wide] {
        let reply = client.call(get(server.url("/"))).await.expect("a reply");
        assert_eq!(reply.body.len(), 64 * KIB);
    }
    assert_eq!(wide.policy().limits().connect, limits().connect);
    for url in ["http://127.0.0.1:1/", "http://10.0.0.1/"] {
        let refused = wide.call(get(url)).await.expect_err(url);
        assert!(!refused.may_have_been_sent(), "{refused:?}");
    }
    let refused = wide.call(get("http://10.0.0.1/")).await;
    assert_eq!(refused.expect_err("private").code(), "address_not_allowed");
}

/// A small body that would unpack to a large one is not unpacked at all.
#[tokio::test]
async fn compressed_bodies_are_refused_and_heads_that_describe_one_are_not() {
    for encoding in ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip"] {
        let header = format!("content-encoding: {encoding}\r\n");
        let server = Server::fixed(response("200 OK", &header, "\x1f\x08 not really")).await;
        let error = failure(&server, get(server.url("/"))).await;
        assert!(
            matches!(error, OutboundError::EncodedResponse),
            "{encoding}: {error:?}"
        );
    }
    let plain = Server::fixed(response(
        "200 OK",
        "content-encoding: identity\r\n",
        "plain",
    ))
    .await;
    assert_eq!(
        client_for(&plain)
            .call(get(plain.url("/")))
            .await
            .expect("a reply")
            .body,
        "plain"
    );

    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999999\r\n\r\n";
    let server = Server::fixed(head).await;
    let reply = client_for(&server)
        .call(Request::new(Method::HEAD, server.url("/")))
        .await;
    assert!(reply.expect("a head without body").body.is_empty());
}

/// Writes `head`, then `piece` again and again with a pause before each.
async fn drip(mut socket: TcpStream, head: &str, piece: &str, pause: Duration) {
    let mut alive = socket.write_all(head.as_bytes()).await.is_ok();
    while alive {
        sleep(pause).await;
        alive = socket.write_all(piece.as_bytes()).await.is_ok();
    }
}

async fn timed_failure(server: &Server) -> (OutboundError, Duration) {
    let begun = Instant::now();
    let error = failure(server, get(server.url("/"))).await;
    (error, begun.elapsed())
}

fn assert_timed_out(error: &OutboundError, elapsed: Duration, expected: Phase) {
    let OutboundError::TimedOut { phase, limit } = error else {
        panic!("{error:?}")
    };
    assert_eq!(*phase, expected);
    // Timers do not fire early; a loaded machine may be late.
    assert!(
        elapsed >= *limit && elapsed < *limit + Duration::from_secs(5),
        "{elapsed:?}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing() {
    let server = Server::start(|socket| {
        async move {
            sleep(Duration::from_secs(60)).await;
            drop(socket);
        }
        .boxed()
    })
    .await;
    let (error, elapsed) = timed_failure(&server).await;
    assert_timed_out(&error, elapsed, Phase::Total);
    assert!(error.may_have_been_sent());
}

/// Slowloris: each byte comes well within the limit on silence, the whole never does.
#[tokio::test]
async fn a_body_that_drips_meets_the_total_limit() {
    let server = Server::start(|socket| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
        drip(socket, head, "x", Duration::from_millis(50)).boxed()
    })
    .await;
    let (error, elapsed) = timed_failure(&server).await;
    assert_timed_out(&error, elapsed, Phase::Total);
}

#[tokio::test]
async fn a_head_that_drips_meets_the_total_limit() {
    let server = Server::start(|socket| {
        drip(
            socket,
            "HTTP/1.1 200 OK\r\n",
            "x-a: b\r\n",
            Duration::from_millis(50),
        )
        .boxed()
    })
    .await;
    let (error, elapsed) = timed_failure(&server).await;
    assert_timed_out(&error, elapsed, Phase::Total);
}

#[tokio::test]
async fn interim_responses_do_not_extend_the_call() {
    let server = Server::start(|socket| {
        drip(
            socket,
            "",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            Duration::from_millis(50),
        )
        .boxed()
    })
    .await;
    let (error, elapsed) = timed_failure(&server).await;
    assert_timed_out(&error, elapsed, Phase::Total);
}

#[tokio::test]
async fn a_body_that_stalls_meets_the_limit_on_silence() {
    let server = Server::start(|socket| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\nsome";
        drip(socket, head, "x", Duration::from_secs(60)).boxed()
    })
    .await;
    let (error, elapsed) = timed_failure(&server).await;
    assert_timed_out(&error, elapsed, Phase::Read);
}

/// The limit on connecting covers a resolver that never answers.
#[tokio::test]
async fn a_resolver_that_never_answers_meets_the_connect_limit() {
    struct Silent;
    impl outbound::Lookup for Silent {
        fn lookup(
            &self,
            _: String,
        ) -> futures::future::BoxFuture<'static, std::io::Result<Vec<std::net::IpAddr>>> {
            std::future::pending().boxed()
        }
    }
    let policy = Policy::public().with_limits(limits());
    let client = Client::with_lookup(policy, Arc::new(Silent)).expect("a client");
    let begun = Instant::now();
    let error = client
        .send(get("https://example.com/"))
        .await
        .expect_err("no answer");
    assert_timed_out(&error, begun.elapsed(), Phase::Connect);
    assert!(!error.may_have_been_sent());
}
