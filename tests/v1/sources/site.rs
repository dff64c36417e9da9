//! A web site for crawls: each path answers as it is told, and notes who asked.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::{HeaderMap, StatusCode, header};

/// What a path answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This, and nothing to whoever names its tag.
    Text {
        content_type: &'static str,
        body: Vec<u8>,
        etag: Option<String>,
    },
    Status(u16),
    /// Leads there.
    To(String),
    /// Letters without end.
    Endless,
    /// A letter now and then, without end.
    Dripping,
    /// A busy site, that asks to be left alone for so many seconds.
    Busy(u32),
}

impl Reply {
    pub fn html(text: &str) -> Self {
        Self::of("text/html; charset=utf-8", page(text))
    }

    pub fn of(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self::Text {
            content_type,
            body: body.into(),
            etag: None,
        }
    }

    pub fn tagged(self, tag: &str) -> Self {
        match self {
            Self::Text {
                content_type, body, ..
            } => Self::Text {
                content_type,
                body,
                etag: Some(format!("\"{tag}\"")),
            },
            other => other,
        }
    }
}

/// A page in which this stands.
pub fn page(text: &str) -> String {
    format!(
        "<!doctype html><html><head><title>A page</title></head><body><main><h1>A page</h1>\
         <p>{text}</p></main></body></html>"
    )
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub status: u16,
}

#[derive(Clone)]
pub struct Site {
    pub port: u16,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    pub async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let site = Self {
            port: listener.local_addr().expect("an address").port(),
            replies: Arc::default(),
            asked: Arc::default(),
        };
        let serving = site.clone();
        let router = Router::new().fallback(move |request: Request| {
            let site = serving.clone();
            async move { site.answer(&request) }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn set(&self, path: &str, reply: Reply) {
        lock(&self.replies).insert(path.to_owned(), reply);
    }

    pub fn remove(&self, path: &str) {
        lock(&self.replies).remove(path);
    }

    /// A sitemap of these paths.
    pub fn map(&self, path: &str, pages: &[&str]) {
        let urls: Vec<String> = pages.iter().map(|page| self.url(page)).collect();
        self.set(path, Reply::of("application/xml", sitemap(&urls)));
    }

    /// The requests for a path, in order.
    pub fn asked_for(&self, path: &str) -> Vec<Asked> {
        let asked = lock(&self.asked);
        let of_path = asked.iter().filter(|asked| asked.path == path);
        of_path.cloned().collect()
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path().to_owned();
        let reply = lock(&self.replies).get(&path).cloned();
        let response = respond(reply.unwrap_or(Reply::Status(404)), request.headers());
        lock(&self.asked).push(Asked {
            path,
            headers: request.headers().clone(),
            status: response.status().as_u16(),
        });
        response
    }
}

fn respond(reply: Reply, asked: &HeaderMap) -> Response {
    let status = |status: u16| StatusCode::from_u16(status).expect("a status");
    let without_end = |bytes: usize, pause: Duration| {
        stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(vec![b'x'; bytes]), ()))
        })
    };
    match reply {
        Reply::Text {
            etag: Some(tag), ..
        } if asked
            .get(header::IF_NONE_MATCH)
            .is_some_and(|asked| *asked == tag) =>
        {
            status(304).into_response()
        }
        Reply::Text {
            content_type,
            body,
            etag,
        } => {
            let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
            if let Some(tag) = etag {
                let tag = tag.parse().expect("a tag");
                response.headers_mut().insert(header::ETAG, tag);
            }
            response
        }
        Reply::Status(code) => (status(code), "An error page.").into_response(),
        Reply::To(location) => (status(302), [(header::LOCATION, location)]).into_response(),
        Reply::Endless => Body::from_stream(without_end(65_536, Duration::ZERO)).into_response(),
        Reply::Dripping => {
            Body::from_stream(without_end(1, Duration::from_millis(20))).into_response()
        }
        Reply::Busy(seconds) => {
            (status(503), [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

/// A sitemap of these addresses.
pub fn sitemap(urls: &[String]) -> String {
    let entries = urls
        .iter()
        .map(|url| format!("<url><loc>{url}</loc></url>"));
    let entries: String = entries.collect();
    format!("<?xml version=\"1.0\"?><urlset>{entries}</urlset>")
}

/// An index of the sitemaps at these addresses.
pub fn index(urls: &[String]) -> String {
    let entries = urls
        .iter()
        .map(|url| format!("<sitemap><loc>{url}</loc></sitemap>"));
    let entries: String = entries.collect();
    format!("<sitemapindex>{entries}</sitemapindex>")
}

pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}
