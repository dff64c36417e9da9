//! Making a call.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::error::{OutboundError, Phase, shorten};
use crate::headers;
use crate::policy::{Limits, Policy};
use crate::resolver::{FilteringResolver, Lookup, SystemLookup, Unresolvable};

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// A client could not be made. This does not depend on the network.
#[derive(Debug, thiserror::Error)]
#[error("the outbound client could not be made: {0}")]
pub struct BuildError(String);

/// A request that has not been checked against a policy yet, except for its headers.
pub struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// A request without headers and body. The URL is checked by [`Client::send`].
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header. A name may be added more than once. Values never show in `Debug`.
    ///
    /// # Errors
    /// [`OutboundError::HeaderNotAllowed`] for headers that decide where a request goes, how it is
    /// framed or that belong to the connection; for names and values that are not plain visible
    /// ASCII; above 64 headers or 16 KiB of them.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, OutboundError> {
        headers::append(&mut self.headers, name, value)?;
        Ok(self)
    }

    /// Sets the body. Its size is checked by [`Client::send`].
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl fmt::Debug for Request {
    /// URLs, header values and bodies can hold secrets; none of them shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An HTTP client that reaches only what its [`Policy`] allows. Make one, on first use, and clone it:
/// making it reads the trusted roots, cloning it copies a pointer.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
}

impl Client {
    /// A client over the operating system's resolver.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub fn new(policy: Policy) -> Result<Self, BuildError> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// A client over another resolver. Its answers are filtered like any others.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub fn with_lookup(policy: Policy, lookup: Arc<dyn Lookup>) -> Result<Self, BuildError> {
        let resolver = FilteringResolver {
            lookup,
            reaches_loopback: policy.reaches_loopback(),
        };
        // Each setting that reads like a default is stated because a default here is a feature
        // flag away from changing: another crate of the workspace may turn on decompression or
        // system proxies in the shared HTTP library.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .dns_resolver(resolver)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            // A connection is checked when it is opened, so each request opens its own.
            .pool_max_idle_per_host(0)
            .connect_timeout(policy.limits.connect)
            .user_agent(concat!("Overglass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BuildError(error.to_string()))?;
        Ok(Self {
            http,
            policy: Arc::new(policy),
        })
    }

    /// The policy of this client.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A client of the same reach with other limits, for protocols that set them for each call:
    /// a stream may be silent for as long as the work behind it takes. The limit on connecting
    /// stays what it was. This copies a pointer and a list of ports, and can be done for each call.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        let limits = Limits {
            connect: self.policy.limits.connect,
            ..limits
        };
        Self {
            http: self.http.clone(),
            policy: Arc::new(Policy::clone(&self.policy).with_limits(limits)),
        }
    }

    /// Checks a request, sends it and waits for the head of the response. Every status is a
    /// response, redirects among them: they are not followed.
    ///
    /// # Errors
    /// Any [`OutboundError`]; [`OutboundError::may_have_been_sent`] says whether the server can have
    /// acted on the request.
    pub async fn send(&self, request: Request) -> Result<Response, OutboundError> {
        let limits = &self.policy.limits;
        let deadline = Instant::now() + limits.total;
        let target = self.policy.check_url(&request.url)?;
        if !METHODS.contains(&request.method) {
            return Err(OutboundError::MethodNotAllowed {
                method: shorten(request.method.as_str()),
            });
        }
        if request.body.len() > limits.request_bytes {
            return Err(OutboundError::RequestTooLarge {
                limit_bytes: limits.request_bytes,
            });
        }

        let host = target.host().to_owned();
        let mut outgoing = reqwest::Request::new(request.method, target.into_url());
        *outgoing.headers_mut() = request.headers;
        outgoing
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        }

        let response = timeout_at(deadline, self.http.execute(outgoing))
            .await
            .map_err(|_| timed_out(Phase::Total, limits.total))?
            .map_err(|error| classify(error, &host, limits))?;
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).is_ok_and(|bytes| bytes <= limits.response_bytes) {
            let policy = Arc::clone(&self.policy);
            Ok(Response {
                inner: response,
                host,
                policy,
                deadline,
                received_bytes: 0,
            })
        } else {
            Err(OutboundError::ResponseTooLarge {
                limit_bytes: limits.response_bytes,
            })
        }
    }

    /// [`Client::send`], then reads the whole body.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Response::bytes`].
    pub async fn call(&self, request: Request) -> Result<Reply, OutboundError> {
        let response = self.send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply {
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The headers as the server sent them.
    pub headers: HeaderMap,
    /// The body, at most [`Limits::response_bytes`] long.
    pub body: Bytes,
}

/// The head of a response, and a body still to be read within the limits of the call.
pub struct Response {
    inner: reqwest::Response,
    host: String,
    policy: Arc<Policy>,
    deadline: Instant,
    received_bytes: usize,
}

impl Response {
    /// The status, whatever it is.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers as the server sent them.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The next piece of the body, or `None` at its end.
    ///
    /// # Errors
    /// [`OutboundError::ResponseTooLarge`], [`OutboundError::EncodedResponse`],
    /// [`OutboundError::TimedOut`] or [`OutboundError::Protocol`]. Drop the response after an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let limits = self.policy.limits();
        let silence_ends = Instant::now() + limits.read;
        let (ends, phase, limit) = if silence_ends < self.deadline {
            (silence_ends, Phase::Read, limits.read)
        } else {
            (self.deadline, Phase::Total, limits.total)
        };
        let read = timeout_at(ends, self.inner.chunk()).await;
        let Some(chunk) = read
            .map_err(|_| timed_out(phase, limit))?
            .map_err(|error| classify(error, &self.host, limits))?
        else {
            return Ok(None);
        };
        // Only a body can be too large or compressed; a reply to HEAD merely describes one.
        if !chunk.is_empty() && is_encoded(self.inner.headers()) {
            return Err(OutboundError::EncodedResponse);
        }
        self.received_bytes = self.received_bytes.saturating_add(chunk.len());
        if self.received_bytes > limits.response_bytes {
            return Err(OutboundError::ResponseTooLarge {
                limit_bytes: limits.response_bytes,
            });
        }
        Ok(Some(chunk))
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, OutboundError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.inner.status())
            .field("received_bytes", &self.received_bytes)
            .finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3 with Mozilla's roots, compiled in: reading the machine's own costs milliseconds
/// of every cold start, and a private authority there must not vouch for a tenant's address.
fn tls_config() -> Result<rustls::ClientConfig, BuildError> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn timed_out(phase: Phase, limit: Duration) -> OutboundError {
    OutboundError::TimedOut { phase, limit }
}

/// Gives a failure of the HTTP library its place among our errors.
fn classify(error: reqwest::Error, host: &str, limits: &Limits) -> OutboundError {
    let source = error.without_url();
    let host = shorten(host);
    match find::<Unresolvable>(&source) {
        Some(Unresolvable::NotPublic) => {
            return OutboundError::ResolvedAddressNotAllowed { host };
        }
        Some(Unresolvable::NotFound(_)) => return OutboundError::NameNotResolved { host },
        None => {}
    }
    if !source.is_connect() {
        return OutboundError::Protocol { host, source };
    }
    if source.is_timeout() {
        return timed_out(Phase::Connect, limits.connect);
    }
    if let Some(tls) = find::<rustls::Error>(&source) {
        return OutboundError::TlsFailed {
            host,
            reason: tls.to_string(),
        };
    }
    OutboundError::ConnectFailed { host, source }
}

/// Looks for a cause of type `T`. An `io::Error` gives the cause of its payload as its own cause, so
/// the payload, which may be another `io::Error`, has to be asked for.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        let payload = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match payload {
            Some(payload) => Some(payload),
            None => cause.source(),
        };
    }
    None
}
