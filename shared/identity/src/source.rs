//! Where the issuer's keys come from.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use url::{Host, Url};

use crate::error::ConfigError;

/// Documents of an issuer are a few kilobytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why keys could not be fetched. For the log; callers see
/// [`TokenError::KeysUnavailable`](crate::TokenError::KeysUnavailable).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeySourceError(pub String);

/// Gives the issuer's JSON Web Key Set. A trait so that tests can lie.
pub trait KeySource: Send + Sync + 'static {
    /// The document as the issuer publishes it now. Called once at a time, at most every 30 seconds,
    /// or every 2 seconds while there are no keys at all.
    ///
    /// # Errors
    /// When the document cannot be had; it is asked for again later.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, KeySourceError>>;
}

/// A set that is known beforehand, as that of an issuer in the same process.
#[derive(Debug, Clone)]
pub struct StaticKeys(pub Vec<u8>);

impl KeySource for StaticKeys {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, KeySourceError>> {
        std::future::ready(Ok(self.0.clone())).boxed()
    }
}

/// Keys over HTTPS. Plain HTTP is accepted only for an issuer on this machine.
///
/// Its addresses are configured by the operator, so it may reach private networks, unlike the client
/// for addresses that tenants name. Proxies in the environment are ignored and redirects are not
/// followed: whoever can divert this request can mint tokens.
#[derive(Debug, Clone)]
pub struct HttpKeySource {
    /// Made by the first fetch: whoever comes with an API key needs no keys of the issuer.
    http: OnceLock<reqwest::Client>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// The issuer says where its keys are.
    Discovery { issuer: String, configuration: Url },
    /// The operator says so.
    KeySet(Url),
}

/// The part of OpenID Provider Metadata that matters here.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl HttpKeySource {
    /// Finds the keys through `{issuer}/.well-known/openid-configuration`, each time anew.
    ///
    /// # Errors
    /// [`ConfigError`] for an issuer that is not an HTTPS URL.
    pub fn discover(issuer: &str) -> Result<Self, ConfigError> {
        let configuration = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let configuration = check_url(&configuration)?;
        Ok(Self::new(Place::Discovery {
            issuer: issuer.to_owned(),
            configuration,
        }))
    }

    /// Reads the keys from a known place, which saves a request on a cold start.
    ///
    /// # Errors
    /// [`ConfigError`] for a place that is not an HTTPS URL.
    pub fn from_jwks_uri(jwks_uri: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(Place::KeySet(check_url(jwks_uri)?)))
    }

    const fn new(place: Place) -> Self {
        Self {
            http: OnceLock::new(),
            place,
        }
    }

    fn client(&self) -> Result<&reqwest::Client, KeySourceError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config().map_err(failed)?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent(concat!("Overglass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(failed)?;
        Ok(self.http.get_or_init(|| client))
    }

    async fn fetch_keys(&self) -> Result<Vec<u8>, KeySourceError> {
        match &self.place {
            Place::KeySet(url) => self.get(url.clone()).await,
            Place::Discovery {
                issuer,
                configuration,
            } => {
                let document = self.get(configuration.clone()).await?;
                let metadata: Metadata = serde_json::from_slice(&document).map_err(|error| {
                    KeySourceError(format!("{configuration} is not provider metadata: {error}"))
                })?;
                if metadata.issuer != *issuer {
                    return Err(KeySourceError(format!(
                        "{configuration} is about the issuer `{}`, not `{issuer}`",
                        metadata.issuer
                    )));
                }
                let keys = check_url(&metadata.jwks_uri)
                    .map_err(|error| KeySourceError(error.to_string()))?;
                if configuration.scheme() == "https" && keys.scheme() != "https" {
                    return Err(KeySourceError(format!(
                        "{configuration} leads from https to {keys}"
                    )));
                }
                self.get(keys).await
            }
        }
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, KeySourceError> {
        let request = self.client()?.get(url.clone());
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(KeySourceError(format!(
                "{url} answered {}",
                response.status()
            )));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if document.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(KeySourceError(format!(
                    "{url} is over {MAX_DOCUMENT_BYTES} bytes"
                )));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

impl KeySource for HttpKeySource {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, KeySourceError>> {
        self.fetch_keys().boxed()
    }
}

/// Accepts HTTPS anywhere, and HTTP on this machine.
fn check_url(text: &str) -> Result<Url, ConfigError> {
    let refuse = |reason| ConfigError::IssuerUrl {
        url: text.to_owned(),
        reason,
    };
    let url = Url::parse(text).map_err(|_| refuse("it does not parse"))?;
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(refuse("it has no host")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it has credentials"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine => Ok(url),
        _ => Err(refuse("it must use https")),
    }
}

fn tls_config() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn failed(error: impl std::error::Error) -> KeySourceError {
    KeySourceError(with_causes(&error))
}

/// An error and its causes on one line: the outermost of the HTTP library says only that it failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
