//! What goes over the wire: requests as written, redirects, broken responses, proxies, TLS.

use std::process::Command;
use std::sync::Arc;

use outbound::{Client, Method, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{ScriptedLookup, Server, client_for, failure, get, response};

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
