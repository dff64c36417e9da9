//! Keys over HTTP, from a server on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use identity::{ConfigError, HttpKeySource, KeySource, StaticKeys, Verifier};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{AUDIENCE, NOW, Signer, claims_with, key_set, verifier};

const CONFIGURATION: &str = "/.well-known/openid-configuration";

/// Path to status line (with more headers, if any) and body.
type Pages = HashMap<String, (String, Vec<u8>)>;

/// Answers GET requests from a table.
struct Issuer {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let pages = Arc::new(Mutex::new(Pages::new()));
        let served = Arc::clone(&pages);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0_u8; 4096];
                let count = socket.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let page = served.lock().expect("the pages").get(&path).cloned();
                let (head, body) = page.unwrap_or_else(|| ("404 Not Found".to_owned(), Vec::new()));
                let head = format!(
                    "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                // A client that has read enough hangs up.
                let _ = socket.write_all(&[head.as_bytes(), &body].concat()).await;
                let _ = socket.shutdown().await;
            }
        });
        Self { address, pages }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn serve(&self, path: &str, head: &str, body: impl Into<Vec<u8>>) {
        self.pages
            .lock()
            .expect("the pages")
            .insert(path.to_owned(), (head.to_owned(), body.into()));
    }

    fn serve_configuration(&self, issuer: &str, jwks_uri: &str) {
        let document =
            json!({"issuer": issuer, "jwks_uri": jwks_uri, "response_types_supported": ["code"]});
        self.serve(CONFIGURATION, "200 OK", document.to_string());
    }
}

async fn failure(source: &HttpKeySource) -> String {
    source.fetch().await.expect_err("a failure").to_string()
}

#[tokio::test]
async fn a_token_is_verified_through_discovery() {
    let server = Issuer::start().await;
    let signer = Signer::rsa("r");
    let issuer = server.url("");
    server.serve_configuration(&issuer, &server.url("/keys"));
    server.serve("/keys", "200 OK", key_set([&signer]));
    let source = HttpKeySource::discover(&issuer).expect("a source");
    let verifier = Verifier::new(&issuer, [AUDIENCE], Arc::new(source)).expect("a verifier");
    let token = signer.token(&claims_with(&json!({ "iss": issuer })));
    assert_eq!(
        verifier
            .verify(&token, NOW)
            .await
            .expect("a genuine token")
            .subject,
        "user-1"
    );
}

#[tokio::test]
async fn an_issuer_with_a_slash_at_its_end_is_asked_at_the_same_place() {
    let server = Issuer::start().await;
    let issuer = server.url("/");
    server.serve_configuration(&issuer, &server.url("/keys"));
    server.serve("/keys", "200 OK", "document");
    let source = HttpKeySource::discover(&issuer).expect("a source");
    assert_eq!(source.fetch().await.expect("the keys"), b"document");
}

#[tokio::test]
async fn keys_are_read_from_a_known_place() {
    let server = Issuer::start().await;
    let signer = Signer::ed("e");
    server.serve("/jwks.json", "200 OK", key_set([&signer]));
    let source = HttpKeySource::from_jwks_uri(&server.url("/jwks.json")).expect("a source");
    let verifier = verifier(Arc::new(source));
    verifier
        .verify(&signer.token(&claims_with(&json!({}))), NOW)
        .await
        .expect("a genuine token");
}

#[tokio::test]
async fn keys_known_beforehand_need_no_network() {
    let signer = Signer::ed("e");
    let verifier = verifier(Arc::new(StaticKeys(key_set([&signer]))));
    verifier
        .verify(&signer.token(&claims_with(&json!({}))), NOW)
        .await
        .expect("a genuine token");
}

#[tokio::test]
async fn metadata_about_another_issuer_is_refused() {
    let server = Issuer::start().await;
    server.serve_configuration("https://attacker.example.com", &server.url("/keys"));
    server.serve("/keys", "200 OK", "document");
    let source = HttpKeySource::discover(&server.url("")).expect("a source");
    assert!(
        failure(&source)
            .await
            .contains("is about the issuer `https://attacker.example.com`")
    );
}

#[tokio::test]
async fn metadata_cannot_lead_to_plain_http_elsewhere() {
    let server = Issuer::start().await;
    let issuer = server.url("");
    let source = HttpKeySource::discover(&issuer).expect("a source");
    for (jwks_uri, reason) in [
        ("http://keys.example.com/", "it must use https"),
        ("http://10.0.0.1/", "it must use https"),
        ("file:///etc/passwd", "it has no host"),
        ("ftp://127.0.0.1/", "it must use https"),
        (
            "https://user:secret@keys.example.com/",
            "it has credentials",
        ),
        ("keys", "it does not parse"),
    ] {
        server.serve_configuration(&issuer, jwks_uri);
        let error = failure(&source).await;
        assert!(error.contains(reason), "{jwks_uri}: {error}");
    }
}

#[tokio::test]
async fn answers_that_are_not_documents_are_failures() {
    let server = Issuer::start().await;
    let inner = Issuer::start().await;
    inner.serve("/keys", "200 OK", key_set([&Signer::ed("e")]));
    let redirect = format!("302 Found\r\nlocation: {}", inner.url("/keys"));
    let source = HttpKeySource::from_jwks_uri(&server.url("/keys")).expect("a source");
    assert!(failure(&source).await.contains("404"));
    for (head, reason) in [
        ("500 Internal Server Error", "500"),
        ("204 No Content", "204"),
        (redirect.as_str(), "302"),
    ] {
        server.serve("/keys", head, "");
        let error = failure(&source).await;
        assert!(error.contains(reason), "{error}");
    }
    server.serve("/keys", "200 OK", vec![b' '; 256 * 1024]);
    assert_eq!(source.fetch().await.expect("at the cap").len(), 256 * 1024);
    server.serve("/keys", "200 OK", vec![b' '; 256 * 1024 + 1]);
    assert!(failure(&source).await.contains("is over 262144 bytes"));
    server.serve(CONFIGURATION, "200 OK", "<html>");
    let source = HttpKeySource::discover(&server.url("")).expect("a source");
    assert!(failure(&source).await.contains("is not provider metadata"));
}

#[tokio::test]
async fn nobody_listening_is_a_failure_that_says_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let source = HttpKeySource::from_jwks_uri(&format!("http://{address}/keys")).expect("a source");
    let error = failure(&source).await;
    assert!(error.to_lowercase().contains("connect"), "{error}");
}

#[test]
fn only_https_or_this_machine_can_be_configured() {
    for url in [
        "https://issuer.example.com",
        "https://10.0.0.1:8443/realms/a",
        "http://localhost:3000",
        "http://127.0.0.1:3000/",
        "http://[::1]:3000",
    ] {
        HttpKeySource::discover(url).expect(url);
        HttpKeySource::from_jwks_uri(url).expect(url);
    }
    for url in [
        "http://issuer.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "ftp://localhost",
        "file:///etc/passwd",
        "https://user@issuer.example.com",
        "issuer.example.com",
        "",
    ] {
        for outcome in [
            HttpKeySource::discover(url),
            HttpKeySource::from_jwks_uri(url),
        ] {
            assert!(
                matches!(outcome, Err(ConfigError::IssuerUrl { .. })),
                "{url}: {outcome:?}"
            );
        }
    }
}
