//! A client of the API, as a person's program would be: over HTTP, with a token.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How often something that is being worked on is looked at again.
const POLL: Duration = Duration::from_millis(100);

/// A signed-in client, for one org.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    org: Option<String>,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEvent {
    /// Its number, to go on from.
    pub id: u64,
    /// Its AG-UI name.
    pub kind: String,
    pub data: Value,
}

impl Client {
    /// A client that is signed in with `token`.
    ///
    /// # Errors
    /// Never, where TLS can be set up.
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(no_tls()?)
            .build()
            .context("an HTTP client could not be made")?;
        Ok(Self {
            http,
            base: base.into(),
            token: token.into(),
            org: None,
        })
    }

    /// The same client, for the org with this id.
    #[must_use]
    pub fn for_org(&self, org: &str) -> Self {
        Self {
            org: Some(org.to_owned()),
            ..self.clone()
        }
    }

    /// The org of the client.
    ///
    /// # Errors
    /// A client that is for no org.
    pub fn org(&self) -> anyhow::Result<&str> {
        self.org
            .as_deref()
            .ok_or_else(|| anyhow!("the client is for no organization"))
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        answer(self.request(Method::GET, path).send().await?).await
    }

    /// Sends a body.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        answer(self.request(Method::POST, path).json(body).send().await?).await
    }

    /// Puts a body in the place of what is there.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        answer(self.request(Method::PUT, path).json(body).send().await?).await
    }

    /// A request with this client's credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, format!("{}{path}", self.base))
    }

    /// A request with this client's credentials to an address that the API has named.
    fn request_to(&self, method: Method, url: String) -> RequestBuilder {
        let request = self.http.request(method, url).bearer_auth(&self.token);
        match &self.org {
            Some(org) => request.header("overglass-org", org),
            None => request,
        }
    }

    /// Every item of a list.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let page: Value = self.get(&format!("{path}?limit=100{from}")).await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// Uploads a file into a knowledge base, as a browser would: by a presigned URL. Returns the
    /// file's id.
    ///
    /// # Errors
    /// The problem that the API, or the object store, answered with.
    pub async fn upload(
        &self,
        name: &str,
        content: &[u8],
        knowledge_base: &str,
    ) -> anyhow::Result<String> {
        let request = json!({
            "name": name,
            "content_type": content_type(name),
            "size_bytes": content.len(),
            "sha256": sha256(content),
            "knowledge_base_id": knowledge_base,
        });
        let path = format!("/v1/orgs/{}/files/upload", self.org()?);
        let offered: Value = self.post(&path, &request).await?;
        let file = text(&offered["file"]["id"])?;
        let upload = &offered["upload"];
        let mut put = self.http.put(text(&upload["url"])?).body(content.to_vec());
        for (header, value) in upload["headers"].as_object().into_iter().flatten() {
            put = put.header(header, value.as_str().unwrap_or_default());
        }
        let stored = put.send().await?;
        if !stored.status().is_success() {
            let status = stored.status();
            bail!(
                "the upload of {name} was refused: {status} {}",
                stored.text().await?
            );
        }
        let _: Value = self
            .post(&format!("/v1/files/{file}/confirm"), &json!({}))
            .await?;
        Ok(file)
    }

    /// Waits until a document of a knowledge base can be searched.
    ///
    /// # Errors
    /// Why it cannot, in the words of the worker that read it.
    pub async fn wait_for_document(&self, base: &str, file: &str) -> anyhow::Result<Value> {
        loop {
            let documents = self
                .list(&format!("/v1/knowledge-bases/{base}/documents"))
                .await?;
            let document = documents
                .into_iter()
                .find(|document| document["file"] == file)
                .ok_or_else(|| anyhow!("the document is not in the knowledge base"))?;
            match document["status"].as_str() {
                Some("ready") => return Ok(document),
                Some("failed") => {
                    let reason = document["failure"]["message"]
                        .as_str()
                        .unwrap_or("no reason");
                    bail!("{} could not be read: {reason}", text(&document["name"])?);
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Follows an execution to its end, handing each event to `watch`. Reconnects where the
    /// connection ends early, and misses nothing.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn follow(
        &self,
        execution: &str,
        mut watch: impl FnMut(&StreamEvent),
    ) -> anyhow::Result<()> {
        let described: Value = self.get(&format!("/v1/executions/{execution}")).await?;
        let stream = text(&described["stream_url"])?;
        let mut last = 0;
        loop {
            let response = self
                .request_to(Method::GET, stream.clone())
                .header("last-event-id", last.to_string())
                .send()
                .await?;
            if response.status() == reqwest::StatusCode::NO_CONTENT {
                return Ok(());
            }
            if !response.status().is_success() {
                return Err(problem(response).await);
            }
            let mut events = Events::new(response);
            while let Some(event) = events.next().await {
                last = event.id;
                watch(&event);
                if matches!(event.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR") {
                    return Ok(());
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The local host is reached over loopback and trusts nobody else.
fn no_tls() -> anyhow::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

/// Reads server-sent events off a response.
struct Events {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    ready: VecDeque<StreamEvent>,
}

impl Events {
    fn new(response: Response) -> Self {
        Self {
            bytes: response.bytes_stream().boxed(),
            buffer: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next event; `None` where the connection ends.
    async fn next(&mut self) -> Option<StreamEvent> {
        while self.ready.is_empty() {
            let chunk = self.bytes.next().await?.ok()?;
            self.buffer.extend_from_slice(&chunk);
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.ready.extend(parse(&String::from_utf8_lossy(&frame)));
            }
        }
        self.ready.pop_front()
    }
}

fn parse(frame: &str) -> Option<StreamEvent> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    Some(StreamEvent {
        id: field("id")?.parse().ok()?,
        kind: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).ok()?,
    })
}

async fn answer<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    if !response.status().is_success() {
        return Err(problem(response).await);
    }
    response
        .json()
        .await
        .context("the API answered with an unexpected shape")
}

async fn problem(response: Response) -> anyhow::Error {
    let status = response.status();
    let path = response.url().path().to_owned();
    let body = response.text().await.unwrap_or_default();
    let detail = serde_json::from_str::<Value>(&body)
        .ok()
        .and_then(|problem| problem["detail"].as_str().map(str::to_owned))
        .unwrap_or(body);
    anyhow!("{path} answered {status}: {detail}")
}

/// The text of a JSON value that must be one.
///
/// # Errors
/// A value that is none.
pub fn text(value: &Value) -> anyhow::Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("expected a text, found {value}"))
}

/// The SHA-256 of a content in base64, as uploads declare it.
#[must_use]
pub fn sha256(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}

fn content_type(name: &str) -> &'static str {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
        .map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("pdf") => "application/pdf",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("md" | "markdown") => "text/markdown",
        Some("html" | "htm") => "text/html",
        Some("csv") => "text/csv",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_an_event_and_a_comment_is_none() {
        let event = parse("id: 7\nevent: RUN_STARTED\ndata: {\"a\":1}\nretry: 1000\n\n").unwrap();
        assert_eq!((event.id, event.kind.as_str()), (7, "RUN_STARTED"));
        assert_eq!(event.data["a"], 1);
        assert_eq!(parse(": heartbeat\n\n"), None);
    }
}
