//! Ways to write an address that must not be reached. Each goes through a real client; none may get
//! as far as a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::ScriptedLookup;
use outbound::{Client, Method, Policy, Request};

const ADDRESS: &str = "address_not_allowed";
const HOST: &str = "host_not_allowed";
const URL: &str = "invalid_url";
const SCHEME: &str = "scheme_not_allowed";
const CREDENTIALS: &str = "credentials_in_url";
const PORT: &str = "port_not_allowed";

/// (URL, code of the refusal).
const TRICKS: &[(&str, &str)] = &[
    // Plain addresses of every range that is not public.
    ("http://127.0.0.1/", ADDRESS),
    (
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        ADDRESS,
    ),
    ("https://127.0.0.1/", ADDRESS),
    ("http://127.127.127.127/", ADDRESS),
    ("http://127.255.255.254/", ADDRESS),
    ("http://0.0.0.0/", ADDRESS),
    ("http://0.1.2.3/", ADDRESS),
    ("http://10.0.0.1/", ADDRESS),
    ("http://10.255.255.255/", ADDRESS),
    ("http://100.64.0.1/", ADDRESS),
    ("http://100.100.100.200/latest/meta-data/", ADDRESS),
    ("http://100.127.255.255/", ADDRESS),
    (
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        ADDRESS,
    ),
    ("http://169.254.170.2/v2/credentials/", ADDRESS),
    ("http://169.254.0.1/", ADDRESS),
    ("http://168.63.129.16/machine/", ADDRESS),
    ("http://172.16.0.1/", ADDRESS),
    ("http://172.31.255.255/", ADDRESS),
    ("http://192.0.0.1/", ADDRESS),
    ("http://192.0.0.192/latest/", ADDRESS),
    ("http://192.0.2.1/", ADDRESS),
    ("http://192.88.99.1/", ADDRESS),
    ("http://192.168.0.1/", ADDRESS),
    ("http://192.168.255.255/", ADDRESS),
    ("http://198.18.0.1/", ADDRESS),
    ("http://198.19.255.255/", ADDRESS),
    ("http://198.51.100.1/", ADDRESS),
    ("http://203.0.113.1/", ADDRESS),
    ("http://224.0.0.1/", ADDRESS),
    ("http://239.255.255.250:1900/", ADDRESS),
    ("http://240.0.0.1/", ADDRESS),
    ("http://255.255.255.255/", ADDRESS),
    // Decimal, octal, hexadecimal, short and mixed spellings of IPv4.
    ("http://2130706433/", ADDRESS),
    ("http://017700000001/", ADDRESS),
    ("http://0x7f000001/", ADDRESS),
    ("http://0X7F000001/", ADDRESS),
    ("http://0x7f.0x0.0x0.0x1/", ADDRESS),
    ("http://0177.0.0.1/", ADDRESS),
    ("http://0177.0000.0000.0001/", ADDRESS),
    ("http://00000177.0.0.1/", ADDRESS),
    ("http://127.1/", ADDRESS),
    ("http://127.0.1/", ADDRESS),
    ("http://127.0x1/", ADDRESS),
    ("http://0x7f.1/", ADDRESS),
    ("http://0/", ADDRESS),
    ("http://0x0/", ADDRESS),
    ("http://00/", ADDRESS),
    ("http://0x/", ADDRESS),
    ("http://2852039166/latest/meta-data/", ADDRESS),
    ("http://0xa9fea9fe/", ADDRESS),
    ("http://0xA9.0xFE.0xA9.0xFE/", ADDRESS),
    ("http://0251.0376.0251.0376/", ADDRESS),
    ("http://0251.254.0xa9.254/", ADDRESS),
    ("http://169.254.43518/", ADDRESS),
    ("http://169.16689662/", ADDRESS),
    ("http://167772161/", ADDRESS),
    ("http://3232235521/", ADDRESS),
    ("http://192.168.1/", ADDRESS),
    ("http://10.1/", ADDRESS),
    ("http://4294967295/", ADDRESS),
    ("http://127.0.0.1./", ADDRESS),
    ("http://0x7f.1./", ADDRESS),
    // Overflow: some parsers wrap round, ours must not accept.
    ("http://4294967296/", URL),
    ("http://425.510.425.510/", URL),
    ("http://127.0.0.256/", URL),
    ("http://127.0.0.1.1/", URL),
    ("http://127.0.0.09/", URL),
    ("http://1.1.1.1.127.0.0.1/", URL),
    ("http://127.0.0.1../", URL),
    // Public addresses in a spelling that another parser may read otherwise.
    ("http://134744072/", URL),
    ("http://0x08080808/", URL),
    ("http://8.8.2056/", URL),
    ("http://010.8.8.8/", URL),
    ("http://8.8.8.8./", URL),
    // Other scripts and invisible characters that normalise to an address or to localhost.
    ("http://127。0。0。1/", ADDRESS),
    ("http://127．0．0．1/", ADDRESS),
    ("http://127｡0｡0｡1/", ADDRESS),
    ("http://１２７.０.０.１/", ADDRESS),
    ("http://①②⑦.⓪.⓪.①/", ADDRESS),
    ("http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/", ADDRESS),
    ("http://０ｘ７ｆ.１/", ADDRESS),
    ("http://127.0.0.1\u{ad}/", ADDRESS),
    ("http://127\u{200b}.0.0.1/", ADDRESS),
    ("http://127.0.0\u{2060}.1/", ADDRESS),
    ("http://１６９．２５４．１６９．２５４/", ADDRESS),
    ("http://ｌｏｃａｌｈｏｓｔ/", HOST),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", HOST),
    ("http://local\u{ad}host/", HOST),
    ("http://localhoſt/", HOST),
    ("http://LOCALHOST。/", HOST),
    // IPv6.
    ("http://[::1]/", ADDRESS),
    ("http://[::1]:80/", ADDRESS),
    ("http://[0:0:0:0:0:0:0:1]/", ADDRESS),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]/", ADDRESS),
    ("http://[::]/", ADDRESS),
    ("http://[::ffff:127.0.0.1]/", ADDRESS),
    ("http://[::FFFF:7F00:1]/", ADDRESS),
    ("http://[0:0:0:0:0:ffff:127.0.0.1]/", ADDRESS),
    ("http://[::ffff:169.254.169.254]/", ADDRESS),
    ("http://[::ffff:a9fe:a9fe]/", ADDRESS),
    ("http://[::ffff:10.0.0.1]/", ADDRESS),
    ("http://[::ffff:8.8.8.8]/", ADDRESS),
    ("http://[::ffff:0:127.0.0.1]/", ADDRESS),
    ("http://[::127.0.0.1]/", ADDRESS),
    ("http://[::7f00:1]/", ADDRESS),
    ("http://[64:ff9b::127.0.0.1]/", ADDRESS),
    ("http://[64:ff9b::a9fe:a9fe]/", ADDRESS),
    ("http://[64:ff9b:1::10.0.0.1]/", ADDRESS),
    ("http://[2002:7f00:1::]/", ADDRESS),
    ("http://[2002:a9fe:a9fe::1]/", ADDRESS),
    ("http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", ADDRESS),
    ("http://[2606:4700::5efe:7f00:1]/", ADDRESS),
    ("http://[fd00:ec2::254]/latest/meta-data/", ADDRESS),
    ("http://[fd20:ce::254]/computeMetadata/v1/", ADDRESS),
    ("http://[fc00::1]/", ADDRESS),
    ("http://[fdff:ffff::1]/", ADDRESS),
    ("http://[fe80::1]/", ADDRESS),
    ("http://[febf::1]/", ADDRESS),
    ("http://[fec0::1]/", ADDRESS),
    ("http://[ff02::1]/", ADDRESS),
    ("http://[ff0e::1]/", ADDRESS),
    ("http://[100::1]/", ADDRESS),
    ("http://[2001:db8::1]/", ADDRESS),
    ("http://[2001:2::1]/", ADDRESS),
    ("http://[2001:10::1]/", ADDRESS),
    ("http://[3fff::1]/", ADDRESS),
    ("http://[5f00::1]/", ADDRESS),
    ("http://[4000::1]/", ADDRESS),
    ("http://[fe80::1%25eth0]/", URL),
    ("http://[fe80::1%eth0]/", URL),
    ("http://[::1/", URL),
    ("http://::1/", URL),
    ("http://[::1]x/", URL),
    ("http://[127.0.0.1]/", URL),
    ("http://[::ffff:127.0.0.1.]/", URL),
    ("http://[v1.127.0.0.1]/", URL),
    // Names of machines and local networks.
    ("http://localhost/", HOST),
    ("http://LocalHost/", HOST),
    ("http://localhost./", HOST),
    ("http://localhost../", HOST),
    ("http://localhost:8080/", HOST),
    ("http://localhost.localdomain/", HOST),
    ("http://anything.localhost/", HOST),
    ("http://anything.LOCALHOST./", HOST),
    ("http://ip6-localhost/", HOST),
    ("http://metadata/computeMetadata/v1/", HOST),
    ("http://metadata.google.internal/", HOST),
    ("http://metadata.google.internal./", HOST),
    ("http://Metadata.Google.Internal/", HOST),
    ("http://instance-data/latest/meta-data/", HOST),
    ("http://ip-10-0-0-1.eu-west-1.compute.internal/", HOST),
    ("http://printer.local/", HOST),
    ("http://kubernetes.default.svc.cluster.local/", HOST),
    ("http://intranet/", HOST),
    ("http://wiki.corp/", HOST),
    ("http://router.lan/", HOST),
    ("http://nas.home.arpa/", HOST),
    ("http://1.0.0.127.in-addr.arpa/", HOST),
    ("http://router.home/", HOST),
    ("http://abcdefghij.onion/", HOST),
    // Public names that lead inside.
    ("http://127.0.0.1.nip.io/", ADDRESS),
    ("http://169-254-169-254.sslip.io/", ADDRESS),
    ("http://localtest.me/", ADDRESS),
    ("http://metadata.attacker.com/", ADDRESS),
    ("http://METADATA.attacker.com/", ADDRESS),
    ("http://six.attacker.com/", ADDRESS),
    ("http://mapped.attacker.com/", ADDRESS),
    ("http://nat64.attacker.com/", ADDRESS),
    ("http://cgnat.attacker.com/", ADDRESS),
    ("http://zero.attacker.com/", ADDRESS),
    ("http://mixed.attacker.com/", ADDRESS),
    ("http://mixed-six.attacker.com/", ADDRESS),
    ("https://metadata.attacker.com/", ADDRESS),
    ("http://xn--mnchen-3ya.attacker.com/", ADDRESS),
    ("http://münchen.attacker.com/", ADDRESS),
    // Credentials, and hosts hidden behind them.
    ("http://user:password@example.com/", CREDENTIALS),
    ("http://example.com@127.0.0.1/", CREDENTIALS),
    ("http://example.com:80@127.0.0.1/", CREDENTIALS),
    ("http://@127.0.0.1/", CREDENTIALS),
    ("http://:@example.com/", CREDENTIALS),
    ("http://127.0.0.1@example.com/", CREDENTIALS),
    ("http://a@b@127.0.0.1/", CREDENTIALS),
    // Confusions between parsers.
    ("http://example.com\\@127.0.0.1/", URL),
    ("http:\\\\127.0.0.1/", URL),
    ("http:/\\127.0.0.1/", URL),
    ("http:/127.0.0.1/", URL),
    ("http:127.0.0.1/", URL),
    ("http:///127.0.0.1/", URL),
    ("http:////127.0.0.1/", URL),
    ("http://", URL),
    ("http://?127.0.0.1", URL),
    ("http://#127.0.0.1", URL),
    ("http://%31%32%37.0.0.1/", URL),
    ("http://127.0.0.1%2f@example.com/", CREDENTIALS),
    ("http://127.0.0.1%00.example.com/", URL),
    ("http://localhost%2eexample.com/", URL),
    ("http://%6c%6f%63%61%6c%68%6f%73%74/", URL),
    ("http://%5B::1%5D/", URL),
    ("http://127.0.0.1\t/", URL),
    ("http://127.0.0.1\n/", URL),
    ("http://exa\nmple.com/", URL),
    ("ht\ntp://127.0.0.1/", URL),
    (" http://127.0.0.1/", URL),
    ("http://127.0.0.1 /", URL),
    ("http:// 127.0.0.1/", URL),
    ("http://example.com/\r\nHost: internal", URL),
    ("http://example.com/\0", URL),
    ("http://127.0.0.1\u{a0}/", URL),
    ("http://example..com/", URL),
    ("http://.example.com/", URL),
    ("http://example.com./", URL),
    ("http://exa mple.com/", URL),
    ("http://exa$mple.com/", URL),
    ("http://a,b.com/", URL),
    ("http://*.example.com/", URL),
    ("http://example.com:99999/", URL),
    ("http://example.com:80:80/", URL),
    ("http://example.com:+80/", URL),
    ("http://example.com:８０/", URL),
    ("//127.0.0.1/", URL),
    ("127.0.0.1", URL),
    ("", URL),
    ("http", URL),
    // Schemes.
    ("file:///etc/passwd", SCHEME),
    ("FILE:///etc/passwd", SCHEME),
    ("ftp://example.com/", SCHEME),
    ("gopher://127.0.0.1:6379/_FLUSHALL", SCHEME),
    ("dict://127.0.0.1:11211/stats", SCHEME),
    ("ldap://127.0.0.1/", SCHEME),
    ("jar:http://127.0.0.1!/", SCHEME),
    ("data:text/plain,hello", SCHEME),
    ("javascript:alert(1)", SCHEME),
    ("ws://example.com/", SCHEME),
    ("unix:/var/run/docker.sock", SCHEME),
    ("httpx://example.com/", SCHEME),
    ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", SCHEME),
    ("url:http://127.0.0.1/", SCHEME),
    ("127.0.0.1:80", SCHEME),
    // Ports of things that are not web servers.
    ("http://example.com:22/", PORT),
    ("http://example.com:25/", PORT),
    ("http://example.com:6379/", PORT),
    ("http://example.com:11211/", PORT),
    ("http://example.com:0/", PORT),
    ("http://example.com:65535/", PORT),
    ("https://8.8.8.8:53/", PORT),
    ("http://[2606:4700::1111]:25/", PORT),
];

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
    ScriptedLookup::default()
        .with("127.0.0.1.nip.io", &[&["127.0.0.1"]])
        .with("169-254-169-254.sslip.io", &[&["169.254.169.254"]])
        .with("localtest.me", &[&["127.0.0.1", "::1"]])
        .with("metadata.attacker.com", &[&["169.254.169.254"]])
        .with("six.attacker.com", &[&["fd00:ec2::254"]])
        .with("mapped.attacker.com", &[&["::ffff:169.254.169.254"]])
        .with("nat64.attacker.com", &[&["64:ff9b::7f00:1"]])
        .with("cgnat.attacker.com", &[&["100.64.0.1"]])
        .with("zero.attacker.com", &[&["0.0.0.0"]])
        .with("mixed.attacker.com", &[&["93.184.215.14", "10.0.0.1"]])
        .with("mixed-six.attacker.com", &[&["2606:4700::1111", "::1"]])
        .with("xn--mnchen-3ya.attacker.com", &[&["192.168.1.1"]])
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
