//! A client of the API, as a person's program would be: over HTTP, with a token.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

mod events;
mod refusal;

use events::Events;
pub use events::StreamEvent;
pub use refusal::Refusal;

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

    /// A client that the local host at `base` has signed in as one of its people.
    ///
    /// # Errors
    /// A host that does not answer, or does not know the person.
    pub async fn sign_in(base: &str, subject: &str) -> anyhow::Result<Self> {
        let stranger = Self::new(base, "")?;
        let path = format!("{base}/local/token/{subject}");
        let signed: Value = answer(stranger.http.post(path).send().await?).await?;
        Ok(Self {
            token: text(&signed["access_token"])?,
            ..stranger
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

    /// Deletes a resource.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let response = self.request(Method::DELETE, path).send().await?;
        if !response.status().is_success() {
            return Err(Refusal::of(response).await.into());
        }
        Ok(())
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

    /// Every item of a list, whose path may have a query.
    ///
    /// # Errors
    /// The problem that the API answered with, in its words.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let and = if path.contains('?') { '&' } else { '?' };
            let page: Value = self.get(&format!("{path}{and}limit=100{from}")).await?;
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
        self.send(&offered["upload"], content.to_vec()).await?;
        let _: Value = self
            .post(&format!("/v1/files/{file}/confirm"), &json!({}))
            .await?;
        Ok(file)
    }

    /// Sends a content by the request that was offered for it.
    ///
    /// # Errors
    /// Why the object store did not take it.
    pub async fn send(
        &self,
        offered: &Value,
        content: impl Into<reqwest::Body>,
    ) -> anyhow::Result<()> {
        let mut put = self.http.put(text(&offered["url"])?).body(content);
        for (header, value) in offered["headers"].as_object().into_iter().flatten() {
            put = put.header(header, value.as_str().unwrap_or_default());
        }
        let stored = put.send().await?;
        let status = stored.status();
        if status.is_success() {
            return Ok(());
        }
        let told = stored.text().await?;
        let message = told
            .split_once("<Message>")
            .and_then(|(_, rest)| rest.split_once("</Message>"))
            .map_or(told.as_str(), |(message, _)| message);
        bail!("the object store refused the content: {status} {message}")
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
                return Err(Refusal::of(response).await.into());
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

async fn answer<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    if !response.status().is_success() {
        return Err(Refusal::of(response).await.into());
    }
    response
        .json()
        .await
        .context("the API answered with an unexpected shape")
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

/// The media type that the name of a file promises. What is in it, its reader finds out.
#[must_use]
pub fn content_type(name: &str) -> String {
    mime_guess::from_path(name)
        .first_or_octet_stream()
        .essence_str()
        .to_owned()
}
