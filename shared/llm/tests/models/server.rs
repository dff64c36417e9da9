//! A server on the loopback that answers what it is told, byte for byte: also half replies,
//! silence, and connections that break, which a library for well-formed HTTP would not send.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm::{ModelConfig, Provider, RetryPolicy, Timeouts, build};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server received.
#[derive(Debug, Clone)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// How a reply ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// As HTTP wants it.
    Whole,
    /// The connection closes inside the chunked body.
    Cut,
    /// The connection closes where the body has no announced length: a clean end for HTTP.
    Closed,
    /// Nothing more comes, and the connection stays open.
    Silence,
}

/// One scripted reply.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<Vec<u8>>,
    end: End,
}

impl Reply {
    /// An event stream, one packet per piece.
    pub fn sse<P: AsRef<str>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self::bytes(
            "text/event-stream; charset=utf-8",
            pieces
                .into_iter()
                .map(|piece| piece.as_ref().as_bytes().to_vec()),
        )
    }

    /// Events with these documents as data, and nothing else.
    pub fn data(documents: impl IntoIterator<Item = Value>) -> Self {
        Self::sse(
            documents
                .into_iter()
                .map(|document| format!("data: {document}\n\n")),
        )
    }

    pub fn bytes(content_type: &str, pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".into(), content_type.into())],
            pieces: pieces.into_iter().collect(),
            end: End::Whole,
        }
    }

    pub fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            ..Self::bytes("application/json", [body.to_string().into_bytes()])
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds the end marker of OpenAI's protocol.
    pub fn done(mut self) -> Self {
        self.pieces.push(b"data: [DONE]\n\n".to_vec());
        self
    }

    /// Sends everything again in packets of `size` bytes.
    pub fn in_packets_of(mut self, size: usize) -> Self {
        let all = self.pieces.concat();
        self.pieces = all.chunks(size).map(<[u8]>::to_vec).collect();
        self
    }

    pub fn cut(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    pub fn closed(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    pub fn silent(mut self) -> Self {
        self.end = End::Silence;
        self
    }
}

/// The server; it stops when it is dropped.
pub struct Server {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers one request per reply, each on its own connection.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read_request(&mut socket).await else {
                    continue;
                };
                record.lock().unwrap().push(request);
                let Some(reply) = replies.pop_front() else {
                    continue;
                };
                let stays_open = reply.end == End::Silence;
                // The client may be gone already: that is what some tests are about.
                let _ = write_reply(&mut socket, reply).await;
                if stays_open {
                    open.push(socket);
                }
            }
        });
        Self {
            port,
            received,
            task,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The one request that was made.
    pub fn only_request(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].clone()
    }
}

/// A model for a server.
pub fn model(name: &str, provider: Provider) -> Arc<dyn llm::ChatModel> {
    patient_model(name, provider, Duration::from_secs(20))
}

/// A model that waits only so long for the next piece of a reply.
pub fn patient_model(name: &str, provider: Provider, idle: Duration) -> Arc<dyn llm::ChatModel> {
    build(&ModelConfig {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(20),
            idle,
        },
        // What a provider says once is what these tests are about.
        retry: RetryPolicy {
            retries: 0,
            ..RetryPolicy::default()
        },
        ..ModelConfig::single(name, provider)
    })
    .unwrap()
}

async fn read_request(socket: &mut TcpStream) -> Option<Received> {
    let mut data = Vec::new();
    let head_end = loop {
        if let Some(at) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => data.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8(data[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length: usize = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = data[head_end + 4..].to_vec();
    while body.len() < length {
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => body.extend_from_slice(&buffer[..count]),
        }
    }
    Some(Received {
        line,
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

async fn write_reply(socket: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let chunked = reply.end != End::Closed;
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\nconnection: close\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if chunked {
        head.push_str("transfer-encoding: chunked\r\n");
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.set_nodelay(true)?;
    for piece in &reply.pieces {
        if chunked {
            socket
                .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await?;
        }
        socket.write_all(piece).await?;
        if chunked {
            socket.write_all(b"\r\n").await?;
        }
        socket.flush().await?;
        tokio::task::yield_now().await;
    }
    match reply.end {
        End::Whole => socket.write_all(b"0\r\n\r\n").await?,
        // A chunk that promises more than it holds.
        End::Cut => socket.write_all(b"ff\r\n").await?,
        End::Closed | End::Silence => {}
    }
    socket.flush().await?;
    if reply.end != End::Silence {
        socket.shutdown().await?;
    }
    Ok(())
}
