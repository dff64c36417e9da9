//! The one way out to a provider: a POST that answers with a stream of bytes.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ModelError;
use crate::fault::{self, Fault};

/// An error body is read up to here; the rest cannot hold anything we would show.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

const EVENT_STREAM: &str = "text/event-stream";

/// How long each stage of a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, TCP and TLS.
    pub connect: Duration,
    /// From sending the request to the head of the reply, and again from there to its first
    /// byte. Models that reason before they write need minutes.
    pub first_byte: Duration,
    /// Between two pieces of the reply.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(180),
            idle: Duration::from_secs(120),
        }
    }
}

/// A provider's HTTP client.
#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    timeouts: Timeouts,
    provider: &'static str,
}

/// A reply whose status is a success.
pub(crate) struct Reply {
    pub content_type: String,
    pub headers: HeaderMap,
    pub bytes: BoxStream<'static, Result<Bytes, ModelError>>,
}

/// A request that is ready to send.
pub(crate) struct Post<'a> {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The model that the request names, for errors.
    pub model: &'a str,
    /// What must never appear in an error.
    pub secrets: &'a [SecretString],
}

impl Http {
    /// A client for the server at `base`.
    pub fn new(provider: &'static str, base: &Url, timeouts: Timeouts) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            // A redirect would carry the key to a host that nobody configured.
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .tcp_nodelay(true)
            // A frozen function wakes up with dead connections; do not trust old ones.
            .pool_idle_timeout(Duration::from_secs(20))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        if is_loopback(base) {
            // A proxy from the environment has no way to this machine's own ports.
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().map_err(|error| root_cause(&error))?,
            timeouts,
            provider,
        })
    }

    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends JSON and expects server-sent events, as all providers but Bedrock speak. `headers` say
    /// who asks.
    pub async fn post_for_events(
        &self,
        url: Url,
        mut headers: HeaderMap,
        body: &Value,
        model: &str,
        secrets: &[SecretString],
    ) -> Result<Reply, ModelError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        let post = Post {
            url,
            headers,
            body: body.to_string().into_bytes(),
            model,
            secrets,
        };
        self.post(post).await?.expect_content_type(EVENT_STREAM)
    }

    /// Sends a request and waits for the head of the reply.
    pub async fn post(&self, post: Post<'_>) -> Result<Reply, ModelError> {
        let request = self
            .client
            .post(post.url)
            .headers(post.headers)
            .header(USER_AGENT, concat!("overglass/", env!("CARGO_PKG_VERSION")))
            .body(post.body);
        let after = self.timeouts.first_byte;
        let response = tokio::time::timeout(after, request.send())
            .await
            .map_err(|_| ModelError::Timeout {
                after,
                received_any: false,
            })?
            .map_err(|error| self.send_error(&error, post.secrets))?;

        let status = response.status().as_u16();
        if !response.status().is_success() {
            let headers = response.headers().clone();
            let body = error_body(response).await;
            let fault = Fault::from_reply(status, &headers, &body, jiff::Timestamp::now());
            return Err(fault.into_error(self.provider, post.model, post.secrets));
        }
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let headers = response.headers().clone();
        let bytes = response
            .bytes_stream()
            .map_err(|_| ModelError::ConnectionLost {
                received_any: false,
            })
            .boxed();
        Ok(Reply {
            content_type,
            headers,
            bytes,
        })
    }

    fn send_error(&self, error: &reqwest::Error, secrets: &[SecretString]) -> ModelError {
        if error.is_connect() {
            return ModelError::Unreachable {
                message: fault::clean(&root_cause(error), secrets),
            };
        }
        // The request may have arrived: what failed is the reading of the answer.
        ModelError::ConnectionLost {
            received_any: false,
        }
    }
}

impl Reply {
    /// Reads a reply that is one JSON document, of at most so many bytes, which come with no pause
    /// longer than `idle`.
    pub async fn document<T: DeserializeOwned>(
        mut self,
        most: usize,
        idle: Duration,
    ) -> Result<T, ModelError> {
        let mut body = Vec::new();
        loop {
            let next = tokio::time::timeout(idle, self.bytes.next());
            let next = next.await.map_err(|_| ModelError::Timeout {
                after: idle,
                received_any: !body.is_empty(),
            })?;
            match next.transpose()? {
                Some(piece) if body.len() + piece.len() <= most => body.extend_from_slice(&piece),
                Some(_) => {
                    return Err(ModelError::malformed(format!(
                        "it is longer than {most} bytes"
                    )));
                }
                None => break,
            }
        }
        // What does not parse may hold anything; where it is wrong says enough.
        serde_json::from_slice(&body).map_err(|error| {
            ModelError::malformed(format!(
                "it is not the document that was asked for, at column {}",
                error.column()
            ))
        })
    }

    /// Refuses a reply that is not what its protocol streams.
    pub fn expect_content_type(self, expected: &str) -> Result<Self, ModelError> {
        // Small servers leave the header out; a wrong body fails in the decoder anyway.
        if self.content_type.is_empty() || self.content_type.starts_with(expected) {
            return Ok(self);
        }
        Err(ModelError::malformed(format!(
            "expected a stream of {expected}, got {}",
            fault::clean(&self.content_type, &[])
        )))
    }
}

/// The header by which a key is shown; none without a key.
pub(crate) fn key_header(
    name: HeaderName,
    prefix: &str,
    keys: &[SecretString],
) -> Result<HeaderMap, ModelError> {
    let header = |key| Ok((name.clone(), secret_header(prefix, key)?));
    keys.iter().map(header).collect()
}

/// A header value that does not show up in debug output.
pub(crate) fn secret_header(
    prefix: &str,
    secret: &SecretString,
) -> Result<HeaderValue, ModelError> {
    let mut value =
        HeaderValue::from_str(&format!("{prefix}{}", secret.expose_secret())).map_err(|_| {
            ModelError::InvalidRequest {
                message: "the configured key has characters that no key can have".to_owned(),
            }
        })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL with more path segments, its query kept: some gateways carry an API version there.
pub(crate) fn under(base: &Url, segments: &[&str]) -> Result<Url, String> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| format!("`{base}` cannot be a base URL"))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

/// Whether the URL points at this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// TLS with the public roots compiled in: reading the machine's own store costs milliseconds at
/// every cold start, and a function image may have none.
fn tls_config() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn error_body(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    let read = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_ERROR_BODY_BYTES {
                break;
            }
        }
    };
    // The status alone says enough when the body does not come.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await;
    body.truncate(MAX_ERROR_BODY_BYTES);
    body
}

/// The innermost reason: the outer ones repeat the URL, which may hold what should not be shown.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.source().is_none() {
        return "the request could not be sent".to_owned();
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_by_address() {
        for (url, expected) in [
            ("http://127.0.0.1:9/v1", true),
            ("http://[::1]:9/v1", true),
            ("http://localhost/v1", true),
            ("https://api.openai.com/v1", false),
            ("http://127.0.0.1.example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn keys_do_not_show_in_headers() {
        let header = secret_header("Bearer ", &SecretString::from("sk-canary")).unwrap();
        assert!(!format!("{header:?}").contains("canary"));
        assert!(secret_header("", &SecretString::from("a\nb")).is_err());
    }
}
