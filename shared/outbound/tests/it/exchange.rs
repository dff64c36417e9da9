//! What happens on the wire: limits, redirects, framing, proxies, TLS.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{ScriptedLookup, Server, response};
use futures::FutureExt;
use outbound::{Client, Limits, Method, OutboundError, Phase, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const KIB: usize = 1024;

/// Limits short enough for a test and far enough apart to tell which one was met.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_millis(500),
        read: Duration::from_millis(400),
        total: Duration::from_millis(1500),
        request_bytes: 4 * KIB,
        response_bytes: 64 * KIB,
    }
}

fn client_for(server: &Server) -> Client {
    let policy = Policy::public()
        .allow_loopback_ports([server.port()])
        .with_limits(limits());
    Client::new(policy).expect("a client")
}

fn get(url: impl Into<String>) -> Request {
    Request::new(Method::GET, url)
}

async fn failure(server: &Server, request: Request) -> OutboundError {
    client_for(server)
        .call(request)
        .await
        .expect_err("a failure")
}

#[tokio::test]
async fn a_request_arrives_as_written() {
    let server = Server::fixed(response("201 Created", "x-answer: 42\r\n", "made")).await;
    let request = Request::new(Method::POST, server.url("/a%20b?c=d#e"))
        .header("Content-Type", "application/json")
        .and_then(|request| request.header("Authorization", "Bearer abc"))
        .expect("ordinary headers")
        .body(r#"{"x":1}"#);
    let reply = client_for(&server).call(request).await.expect("a reply");
    assert_eq!(
        (reply.status.as_u16(), &reply.body[..]),
        (201, &b"made"[..])
    );
    assert_eq!(reply.headers["x-answer"], "42");

    let [received] = &server.requests()[..] else {
        panic!("one request")
    };
    let lower = received.to_lowercase();
    assert!(
        received.starts_with("POST /a%20b?c=d HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(received.ends_with("\r\n\r\n{\"x\":1}"), "{received}");
    for line in [
        format!("host: {}", server.address),
        "accept-encoding: identity".to_owned(),
        "authorization: bearer abc".to_owned(),
        "content-length: 7".to_owned(),
        format!("user-agent: overglass/{}", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(
            lower.lines().filter(|found| **found == line).count(),
            1,
            "{line} in {received}"
        );
    }
}

#[tokio::test]
async fn redirects_are_returned_and_not_followed() {
    let inner = Server::fixed(response("200 OK", "", "secret")).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("location: {}\r\n", inner.url("/"));
        let outer = Server::fixed(response(status, &location, "")).await;
        // Even a client that may call both does not follow.
        let policy = Policy::public().allow_loopback_ports([outer.port(), inner.port()]);
        let client = Client::new(policy).expect("a client");
        let reply = client.call(get(outer.url("/"))).await.expect("a reply");
        assert!(status.starts_with(reply.status.as_str()));
        assert_eq!(reply.headers["location"], inner.url("/"));
    }
    assert_eq!(inner.connections(), 0);
}

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
        elapsed >= *limit && elapsed < *limit + Duration::from_secs(2),
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

#[tokio::test]
async fn broken_responses_are_errors_without_the_url() {
    let endless_head = format!("HTTP/1.1 200 OK\r\n{}", "x-a: b\r\n".repeat(200_000));
    let one_long_header = format!("HTTP/1.1 200 OK\r\nx-a: {}", "b".repeat(2_000_000));
    for (case, bytes) in [
        ("nothing", ""),
        ("not HTTP", "SSH-2.0-OpenSSH_9.6\r\n"),
        (
            "cut body",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.",
        ),
        ("cut head", "HTTP/1.1 200 OK\r\ncontent-le"),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        ),
        (
            "bad chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ),
        ("folded header", "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n"),
        ("too many headers", &endless_head),
        ("one long header", &one_long_header),
    ] {
        let server = Server::fixed(bytes).await;
        let error = failure(&server, get(server.url("/path?token=canary-5d"))).await;
        assert_eq!(error.code(), "invalid_response", "{case}: {error:?}");
        assert!(
            !format!("{error} {error:?}").contains("canary-5d"),
            "{case}: {error:?}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failed_connection() {
    let server = Server::fixed("").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let client = Client::new(Policy::public().allow_loopback_ports([server.port(), port]))
        .expect("a client");
    let error = client
        .send(get(format!("http://127.0.0.1:{port}/")))
        .await
        .expect_err("refused");
    assert_eq!(error.code(), "connect_failed");
    assert!(!error.may_have_been_sent() && error.is_transient());
}

#[tokio::test]
async fn unknown_names_are_said_to_be_unknown() {
    let client = Client::with_lookup(Policy::public(), Arc::new(ScriptedLookup::default()))
        .expect("a client");
    let error = client
        .send(get("https://nowhere.example.com/"))
        .await
        .expect_err("no address");
    assert_eq!(error.code(), "name_not_resolved");
    assert_eq!(
        error.to_string(),
        "the host `nowhere.example.com` could not be resolved"
    );
}

#[tokio::test]
async fn methods_that_open_tunnels_or_echo_are_refused() {
    let server = Server::fixed(response("200 OK", "", "")).await;
    for method in ["CONNECT", "TRACE", "get", "SUBSCRIBE", "X-ANY"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let error = failure(&server, Request::new(method.clone(), server.url("/"))).await;
        assert_eq!(error.code(), "method_not_allowed", "{method}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_plain_server_is_not_a_secure_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let refusal = response("400 Bad Request", "", "not TLS");
        // Answers what a web server would answer to a TLS hello, and hangs up.
        let _ = socket.read(&mut [0; 4096]).await;
        let _ = socket.write_all(refusal.as_bytes()).await;
    });
    let client = Client::new(Policy::public().allow_loopback_ports([port])).expect("a client");
    let request = get(format!("https://127.0.0.1:{port}/"));
    let error = client.send(request).await.expect_err("no TLS");
    assert_eq!(error.code(), "tls_failed", "{error:?}");
    assert!(!error.may_have_been_sent());
}

/// A server with a certificate that nobody vouches for sees the handshake and no request.
#[tokio::test]
async fn an_untrusted_certificate_is_refused() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("a certificate");
    let private =
        rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let handshake = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a connection");
        acceptor.accept(socket).await.map(drop)
    });

    let client = Client::new(Policy::public().allow_loopback_ports([port])).expect("a client");
    let request = get(format!("https://localhost:{port}/"))
        .header("Authorization", "secret")
        .expect("a header");
    let error = client.send(request).await.expect_err("untrusted");
    assert_eq!(error.code(), "tls_failed", "{error:?}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(
        handshake.await.expect("the server").is_err(),
        "the client must break off the handshake"
    );
}

/// Run by the next test in a process whose environment names a proxy.
#[tokio::test]
#[ignore = "needs the environment that `proxies_in_the_environment_are_ignored` gives it"]
async fn child_that_calls_despite_a_proxy() {
    let target: std::net::SocketAddr = std::env::var("TEST_TARGET")
        .expect("a target")
        .parse()
        .expect("an address");
    let client =
        Client::new(Policy::public().allow_loopback_ports([target.port()])).expect("a client");
    let reply = client
        .call(get(format!("http://{target}/")))
        .await
        .expect("a reply");
    assert_eq!(reply.body, "direct");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_in_the_environment_are_ignored() {
    let target = Server::fixed(response("200 OK", "", "direct")).await;
    let proxy = Server::fixed(response("200 OK", "", "proxied")).await;
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args([
        "--exact",
        "exchange::child_that_calls_despite_a_proxy",
        "--ignored",
    ]);
    child.env("TEST_TARGET", target.address.to_string());
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, format!("http://{}", proxy.address));
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .expect("a thread");
    let output = output.expect("a child");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!((target.connections(), proxy.connections()), (1, 0));
}
