//! Which addresses a server may have, and which headers may be sent to it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mcp::{Client, Endpoint};
use outbound::{Lookup, Policy};

use crate::corpus::{ANSWERS, TRICKS};
use crate::support::{Server, call, outbound_to, result, says};

/// Knows the names of the corpus, and no other.
struct Corpus(HashMap<&'static str, Vec<IpAddr>>);

impl Corpus {
    fn new() -> Self {
        let parse = |answer: &[&str]| {
            answer
                .iter()
                .map(|text| text.parse().expect("an IP address"))
                .collect()
        };
        Self(
            ANSWERS
                .iter()
                .map(|(host, answer)| (*host, parse(answer)))
                .collect(),
        )
    }
}

impl Lookup for Corpus {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let answer = self.0.get(host.as_str()).cloned();
        std::future::ready(answer.ok_or_else(|| io::Error::other("no such name"))).boxed()
    }
}

/// Every address that must not be reached is refused by the time a request is made, most of them
/// as soon as a client is.
#[tokio::test]
async fn every_trick_is_refused_with_its_code() {
    let outbound = outbound::Client::with_lookup(Policy::public(), Arc::new(Corpus::new()));
    let outbound = outbound.expect("a client");
    let mut wrong = Vec::new();
    for (url, expected) in TRICKS {
        let error = match Client::new(outbound.clone(), Endpoint::new(*url)) {
            Ok(client) => call(&client).await.expect_err(url),
            Err(error) => error,
        };
        if error.code() != *expected || !error.is_retry_safe() {
            wrong.push(format!("{url:?}: expected {expected}, got {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(TRICKS.len() >= 240);
}

#[tokio::test]
async fn a_server_on_this_machine_is_out_of_reach_unless_it_is_opened() {
    let server = Server::plain(|seen| result(seen, &says("hello"))).await;
    let public = outbound::Client::new(Policy::public()).expect("a client");
    let refused = Client::new(public, server.endpoint()).expect_err("loopback");
    assert_eq!(refused.code(), "address_not_allowed");
    let other = outbound_to(server.address.port().wrapping_add(1).max(1));
    let refused = Client::new(other, server.endpoint()).expect_err("another port");
    assert_eq!(refused.code(), "port_not_allowed");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn headers_of_an_endpoint_are_sent_with_every_request_and_do_not_print() {
    let server = Server::with_handshake(Some("s-1"), |seen| result(seen, &says("hello"))).await;
    let endpoint = server
        .endpoint()
        .header("Authorization", "Bearer canary-1".to_owned())
        .header("X-Team", "blue".to_owned());
    assert!(!format!("{endpoint:?}").contains("canary"));
    let client = Client::new(outbound_to(server.address.port()), endpoint).expect("a client");
    call(&client).await.expect("a result");
    assert!(!format!("{client:?}").contains("canary"));
    client.close().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 5);
    for request in seen {
        assert_eq!(request.header("authorization"), Some("Bearer canary-1"));
        assert_eq!(request.header("x-team"), Some("blue"));
    }
}

#[tokio::test]
async fn headers_of_the_protocol_and_the_connection_cannot_be_set() {
    let outbound = outbound_to(1);
    for (name, value, code) in [
        ("Mcp-Session-Id", "other", "invalid_request"),
        ("mcp-protocol-version", "1", "invalid_request"),
        ("MCP-Param-Region", "x", "invalid_request"),
        ("Accept", "text/html", "invalid_request"),
        ("Content-Type", "text/html", "invalid_request"),
        ("Last-Event-ID", "1", "invalid_request"),
        ("Idempotency-Key", "1", "invalid_request"),
        ("Origin", "https://example.com", "invalid_request"),
        ("Host", "example.com", "header_not_allowed"),
        ("Content-Length", "0", "header_not_allowed"),
        ("X-aws-ec2-metadata-token", "x", "header_not_allowed"),
        ("Metadata-Flavor", "Google", "header_not_allowed"),
        ("Authorization", "a\r\nHost: b", "header_not_allowed"),
        ("a b", "x", "header_not_allowed"),
    ] {
        let endpoint = Endpoint::new("http://127.0.0.1:1/mcp").header(name, value.to_owned());
        let error = Client::new(outbound.clone(), endpoint).expect_err(name);
        assert_eq!(error.code(), code, "{name}");
    }
}
