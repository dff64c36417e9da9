//! A server on loopback that behaves as badly as a test asks, and a resolver that lies.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use outbound::{Client, Limits, Lookup, Method, OutboundError, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listening server. It stops when the test's runtime does.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves each connection by reading one request and handing the socket to `answer`.
    pub async fn start<F>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&requests));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let request = read_request(&mut socket).await;
                    log.lock().expect("the log").push(request);
                    answer(socket).await;
                });
            }
        });
        Self {
            address,
            connections,
            requests,
        }
    }

    /// Answers every request with these bytes, then closes.
    pub async fn fixed(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<[u8]> = response.into().into();
        Self::start(move |mut socket| {
            let response = Arc::clone(&response);
            async move {
                // The client may hang up in the middle; that is what some tests are about.
                let _ = socket.write_all(&response).await;
                let _ = socket.shutdown().await;
            }
            .boxed()
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the log").clone()
    }
}

/// Reads a request head, and as much body as its length announces.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        let count = socket.read(&mut buffer).await.unwrap_or(0);
        received.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
                .map_or(0, |value| value.parse().expect("a length"));
            body.len() >= length
        });
        if whole || count == 0 {
            return text;
        }
    }
}

/// A response with a body and its length.
pub fn response(status: &str, extra_headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{extra_headers}\r\n{body}",
        body.len()
    )
}

/// Answers from a script: the n-th question for a name gets the n-th answer, the last one repeats.
#[derive(Default)]
pub struct ScriptedLookup {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<HashMap<String, usize>>,
}

impl ScriptedLookup {
    pub fn with(mut self, host: &str, answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| {
            answer
                .iter()
                .map(|text| text.parse().expect("an IP address"))
                .collect()
        };
        self.answers
            .insert(host.to_owned(), answers.iter().map(parse).collect());
        self
    }

    pub fn times_asked(&self, host: &str) -> usize {
        self.asked
            .lock()
            .expect("the counts")
            .get(host)
            .copied()
            .unwrap_or(0)
    }
}

impl Lookup for ScriptedLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().expect("the counts");
        let count = asked.entry(host.clone()).or_default();
        let answer = self
            .answers
            .get(&host)
            .map(|answers| answers[(*count).min(answers.len() - 1)].clone());
        *count += 1;
        std::future::ready(answer.ok_or_else(|| io::Error::other("no such name"))).boxed()
    }
}

pub const KIB: usize = 1024;

/// Limits short enough for a test, and far enough apart that a loaded machine meets the right one.
pub fn limits() -> Limits {
    Limits {
        connect: Duration::from_millis(2000),
        read: Duration::from_millis(1500),
        total: Duration::from_millis(3000),
        request_bytes: 4 * KIB,
        response_bytes: 64 * KIB,
    }
}

pub fn client_for(server: &Server) -> Client {
    let policy = Policy::public()
        .allow_loopback_ports([server.port()])
        .with_limits(limits());
    Client::new(policy).expect("a client")
}

pub fn get(url: impl Into<String>) -> Request {
    Request::new(Method::GET, url)
}

pub async fn failure(server: &Server, request: Request) -> OutboundError {
    client_for(server)
        .call(request)
        .await
        .expect_err("a failure")
}
