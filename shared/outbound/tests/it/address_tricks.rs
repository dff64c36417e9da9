//! Ways to write an address that must not be reached. Each goes through a real client; none may get
//! as far as a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::corpus::{ADDRESS, ANSWERS, HOST, PORT, TRICKS, URL};
use crate::support::ScriptedLookup;
use outbound::{Client, Method, Policy, Request};

/// URLs of the same shapes that are fine.
const FINE: &[(&str, &str)] = &[
    ("http://example.com", "http://example.com/"),
    (
        "https://example.com/path?query=1#part",
        "https://example.com/path?query=1",
    ),
    ("HTTPS://EXAMPLE.com/", "https://example.com/"),
    ("https://example.com:443/", "https://example.com/"),
    ("http://example.com:8080/", "http://example.com:8080/"),
    ("https://example.com:8443/", "https://example.com:8443/"),
    (
        "https://api.example.co.uk/v1/@user/%2e%2e/x",
        "https://api.example.co.uk/v1/x",
    ),
    (
        "https://example.com/?next=http://127.0.0.1/",
        "https://example.com/?next=http://127.0.0.1/",
    ),
    (
        "https://example.com/user@host",
        "https://example.com/user@host",
    ),
    (
        "https://localhost.example.com/",
        "https://localhost.example.com/",
    ),
    (
        "https://internal.example.com/",
        "https://internal.example.com/",
    ),
    ("https://10.example.com/", "https://10.example.com/"),
    (
        "https://127.0.0.1.example.com/",
        "https://127.0.0.1.example.com/",
    ),
    (
        "https://bücher.example.com/",
        "https://xn--bcher-kva.example.com/",
    ),
    (
        "https://my_bucket.example.com/",
        "https://my_bucket.example.com/",
    ),
    ("http://8.8.8.8/", "http://8.8.8.8/"),
    ("http://172.15.255.255/", "http://172.15.255.255/"),
    ("http://172.32.0.1/", "http://172.32.0.1/"),
    ("http://100.128.0.1/", "http://100.128.0.1/"),
    (
        "https://[2606:4700:4700::1111]/",
        "https://[2606:4700:4700::1111]/",
    ),
    (
        "https://[2606:4700:4700:0:0:0:0:1111]:443/",
        "https://[2606:4700:4700::1111]/",
    ),
];

fn lookup() -> ScriptedLookup {
    ANSWERS
        .iter()
        .fold(ScriptedLookup::default(), |lookup, (host, answer)| {
            lookup.with(host, &[answer])
        })
}

#[tokio::test]
async fn every_trick_is_refused_with_its_code() {
    let client = Client::with_lookup(Policy::public(), Arc::new(lookup())).expect("a client");
    let mut wrong = Vec::new();
    let mut per_code = BTreeMap::new();
    for (url, expected) in TRICKS {
        let outcome = client.send(Request::new(Method::GET, *url)).await;
        let code = outcome
            .as_ref()
            .map_or_else(|error| error.code(), |_| "sent");
        *per_code.entry(code).or_insert(0) += 1;
        if code != *expected {
            wrong.push(format!(
                "{url:?}: expected {expected}, got {code} ({outcome:?})"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(TRICKS.len() >= 240, "{} tricks: {per_code:?}", TRICKS.len());
}

/// What reaches loopback in local mode is this machine under its own names, on the ports given.
#[tokio::test]
async fn local_mode_opens_nothing_but_the_ports_given() {
    let policy = Policy::public().allow_loopback_ports([3000]);
    for url in [
        "http://localhost:3000/",
        "http://127.0.0.1:3000/",
        "http://127.9.9.9:3000/",
        "http://[::1]:3000/",
    ] {
        policy.check_url(url).expect(url);
    }
    let client = Client::with_lookup(policy, Arc::new(lookup())).expect("a client");
    for (url, expected) in [
        ("http://localhost:3001/", PORT),
        ("http://localhost/", PORT),
        ("http://127.0.0.1:80/", PORT),
        ("http://[::1]:443/", PORT),
        ("http://2130706433:3000/", URL),
        ("http://0.0.0.0:3000/", ADDRESS),
        ("http://[::ffff:127.0.0.1]:3000/", ADDRESS),
        ("http://10.0.0.1:3000/", ADDRESS),
        ("http://169.254.169.254:3000/", ADDRESS),
        ("http://localhost.:3000/", HOST),
        ("http://anything.localhost:3000/", HOST),
        ("http://example.com:3000/", PORT),
        ("http://localtest.me/", ADDRESS),
    ] {
        let error = client
            .send(Request::new(Method::GET, url))
            .await
            .expect_err(url);
        assert_eq!(error.code(), expected, "{url}");
    }
}

#[test]
fn ordinary_urls_pass_in_their_normal_form() {
    let policy = Policy::public();
    for (url, expected) in FINE {
        let target = policy
            .check_url(url)
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(target.as_str(), *expected);
    }
}

#[test]
fn more_ports_can_be_opened_on_purpose() {
    let policy = Policy::public().allow_public_ports([5000]);
    policy
        .check_url("https://example.com:5000/")
        .expect("an opened port");
    assert_eq!(
        policy
            .check_url("http://127.0.0.1:5000/")
            .expect_err("loopback")
            .code(),
        ADDRESS
    );
}

#[test]
fn long_urls_and_hosts_are_refused() {
    let policy = Policy::public();
    let long_path = format!("https://example.com/{}", "a".repeat(9000));
    let long_label = format!("https://{}.com/", "a".repeat(64));
    let long_host = format!("https://{}com/", "a.".repeat(130));
    for url in [long_path, long_label, long_host] {
        assert_eq!(policy.check_url(&url).expect_err("too long").code(), URL);
    }
}

/// A refusal repeats what the tenant wrote, and nothing that the resolver said.
#[tokio::test]
async fn messages_do_not_tell_resolved_addresses() {
    let client = Client::with_lookup(Policy::public(), Arc::new(lookup())).expect("a client");
    for host in [
        "metadata.attacker.com",
        "six.attacker.com",
        "mixed.attacker.com",
    ] {
        let request = Request::new(Method::GET, format!("https://{host}/path?token=canary-91"));
        let error = client.send(request).await.expect_err(host);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(host), "{shown}");
        for secret in ["169.254", "fd00", "10.0.0.1", "93.184", "canary-91"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Text from a tenant cannot forge lines of a log.
#[test]
fn messages_are_one_printable_line() {
    let policy = Policy::public();
    let scheme = format!("evil\u{202e}{}:x", "z".repeat(500));
    let message = policy.check_url(&scheme).expect_err("a scheme").to_string();
    assert!(
        message.len() < 200 && !message.contains('\u{202e}'),
        "{message}"
    );
}
