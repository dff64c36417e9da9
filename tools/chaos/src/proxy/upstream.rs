//! The way on to an embedded service.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::wire::{Request, Response};

/// A client of one service.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Arc<str>,
}

impl Upstream {
    /// `url` as `http://127.0.0.1:port`.
    pub(crate) fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: url.into(),
        }
    }

    /// Passes a request on. It is carried out to its end, whatever becomes of who asked.
    pub(crate) async fn pass(&self, request: &Request) -> anyhow::Result<Response> {
        let path = request.head.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let mut headers = request.head.headers.clone();
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let method = request.head.method.clone();
        self.send(method, path, headers, request.body.clone()).await
    }

    /// Sends a request, to its end.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(Full::new(body))?;
        *request.headers_mut() = headers;
        let client = self.client.clone();
        let sending = tokio::spawn(async move {
            let (mut head, body) = client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
                head.headers.remove(name);
            }
            anyhow::Ok(Response::from_parts(head, Full::new(body)))
        });
        sending.await.context("a request was not carried out")?
    }
}
