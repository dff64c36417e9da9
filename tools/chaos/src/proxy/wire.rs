//! An HTTP server whose answers may also be none.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A request, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

pub(crate) type Response = http::Response<Full<Bytes>>;

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole(Response),
    /// The connection is closed without a word.
    HangUp,
    /// The connection is reset.
    Reset,
}

/// Answers requests.
pub(crate) trait Door: Send + Sync + 'static {
    /// Answers one. The future is dropped when its client is gone.
    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Reply>;
}

/// Serves on a free port of this machine for as long as the runtime lives.
pub(crate) async fn serve<D: Door>(door: Arc<D>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            // A client that is killed before it is accepted is no reason to stop.
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            tokio::spawn(converse(stream, Arc::clone(&door)));
        }
    });
    Ok(address)
}

async fn converse<D: Door>(stream: TcpStream, door: Arc<D>) {
    // Small replies must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire {
        stream,
        reset: Arc::clone(&reset),
    };
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (door, reset) = (Arc::clone(&door), Arc::clone(&reset));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
            match door.answer(Request { head, body }).await {
                Reply::Whole(response) => Ok(response),
                Reply::HangUp => Err(Closed),
                Reply::Reset => {
                    reset.store(true, Ordering::Release);
                    Err(Closed)
                }
            }
        }
    });
    // An error is a client that is gone, or a reply that was not to be given.
    let _: Result<(), hyper::Error> = http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

/// Ends a connection without a reply.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Closed {}

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A connection that can be reset.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire) {
            // Closing a socket that may not linger resets the connection.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Fixed;

    impl Door for Fixed {
        fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Reply> {
            let reply = match request.head.uri.path() {
                "/hang-up" => Reply::HangUp,
                "/reset" => Reply::Reset,
                _ => Reply::Whole(Response::new(Full::from("here"))),
            };
            Box::pin(async move { reply })
        }
    }

    async fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_door_answers_hangs_up_or_resets() {
        let address = serve(Arc::new(Fixed)).await.expect("a port");
        let answer = ask(address, "/").await.expect("an answer");
        assert!(answer.ends_with("here"), "{answer}");
        assert_eq!(ask(address, "/hang-up").await.expect("no error"), "");
        let error = ask(address, "/reset").await.expect_err("no answer");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
