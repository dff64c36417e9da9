//! A client that sees everything of an answer: status, headers and bytes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::RequestBuilder;
use serde_json::Value;

/// A client of the API with one credential, or none.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    credential: Option<String>,
    org: Option<String>,
}

impl Api {
    pub fn new(http: reqwest::Client, base: String, credential: Option<String>) -> Self {
        Self {
            http,
            base,
            credential,
            org: None,
        }
    }

    /// The same caller, who names this org in the header.
    pub fn for_org(&self, org: impl Into<String>) -> Self {
        Self {
            org: Some(org.into()),
            ..self.clone()
        }
    }

    /// The org that the caller names.
    pub fn org(&self) -> &str {
        self.org
            .as_deref()
            .expect("the caller names an organization")
    }

    /// What the caller sends as `Bearer …`.
    pub fn credential(&self) -> &str {
        self.credential
            .as_deref()
            .expect("the caller has a credential")
    }

    /// A request that can still be changed; see [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential);
        }
        match &self.org {
            Some(org) => request.header("overglass-org", org),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Creates something and returns it.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        self.post(path, body).await.created()
    }

    /// Every item of a list, page after page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = self
                .get(&format!("{path}{join}limit=100{cursor}"))
                .await
                .ok();
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// Sends a request as it was put together.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the host answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.expect("the answer arrives whole");
    Answer {
        status,
        headers,
        body,
    }
}

/// An HTTP client that trusts nobody: the host is reached over loopback.
pub fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has protocol versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls)
        .build()
        .expect("an HTTP client")
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The body, if the status is this one.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self}");
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The body of a 200.
    pub fn ok(&self) -> Value {
        self.expect(200)
    }

    /// The body of a 201, which says where the new thing is.
    pub fn created(&self) -> Value {
        let body = self.expect(201);
        assert!(self.headers.contains_key("location"), "{self}");
        body
    }

    /// Asserts a 204.
    pub fn gone(&self) {
        assert_eq!((self.status.as_u16(), self.body.len()), (204, 0), "{self}");
    }

    /// The problem document, if the answer is one with this status and code.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.any_problem();
        assert_eq!(
            (self.status.as_u16(), problem["code"].as_str()),
            (status, Some(code)),
            "{self}"
        );
        problem
    }

    /// The problem document, whichever it is, if it has the form of one.
    pub fn any_problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self}"
        );
        let problem = self.json();
        let code = problem["code"].as_str().expect("a stable code");
        assert_eq!(problem["status"], self.status.as_u16(), "{self}");
        assert_eq!(
            problem["type"],
            format!("urn:overglass:problem:{code}"),
            "{self}"
        );
        for text in ["title", "detail"] {
            assert!(
                problem[text].as_str().is_some_and(|text| !text.is_empty()),
                "{self}"
            );
        }
        problem
    }

    /// Asserts a 422 that names this field.
    pub fn names(&self, field: &str) -> Value {
        let problem = self.problem(422, "invalid_request");
        assert!(
            self.named_fields().iter().any(|named| named == field),
            "{field}: {self}"
        );
        problem
    }

    /// The fields that a problem names.
    pub fn named_fields(&self) -> Vec<String> {
        let errors = self.json()["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| Some(error["field"].as_str()?.to_owned()))
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All that a client can tell answers apart by, apart from which request and when.
    pub fn indistinguishable(mut self) -> Self {
        self.headers.remove("x-request-id");
        self.headers.remove("date");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(2_000)
            .collect();
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

/// The text of a field.
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a text, found {value}"))
        .to_owned()
}
