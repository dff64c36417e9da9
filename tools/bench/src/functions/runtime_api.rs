//! The Runtime API of Lambda, as far as a function sees it before its first event: it asks for the
//! next event, and waits.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const INIT_ERROR: &str = "/2018-06-01/runtime/init/error";

/// A Runtime API on loopback, which never has an event. It ends with the value.
pub struct RuntimeApi {
    address: SocketAddr,
    news: Receiver<News>,
    _stop: DropGuard,
}

/// What a function had to say.
#[derive(Debug)]
pub enum News {
    /// It asked for its first event.
    Ready(Instant),
    /// It could not start, and says why.
    Failed(String),
}

impl RuntimeApi {
    /// Serves on a free port, from a thread of its own.
    pub fn serve() -> anyhow::Result<Self> {
        let (sender, news) = channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        std::thread::Builder::new()
            .name("runtime-api".to_owned())
            .spawn(move || {
                let serving = axum::serve(listener, routes(sender));
                runtime.block_on(async {
                    tokio::select! {
                        _ = serving => {}
                        () = stopped => {}
                    }
                });
            })
            .context("no thread for the Runtime API")?;
        Ok(Self {
            address,
            news,
            _stop: stop.drop_guard(),
        })
    }

    /// Where it is, as `AWS_LAMBDA_RUNTIME_API` names it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What the function says next; `None` if it says nothing in time.
    pub fn news(&self, patience: Duration) -> Option<News> {
        self.news.recv_timeout(patience).ok()
    }

    /// Forgets what functions have said that are gone.
    pub fn forget(&self) {
        while self.news.try_recv().is_ok() {}
    }
}

fn routes(sender: Sender<News>) -> Router {
    Router::new()
        .route(NEXT, get(next))
        .route(INIT_ERROR, post(init_error))
        .with_state(sender)
}

async fn next(State(sender): State<Sender<News>>) {
    let _ = sender.send(News::Ready(Instant::now()));
    std::future::pending::<()>().await;
}

async fn init_error(State(sender): State<Sender<News>>, reason: String) {
    let _ = sender.send(News::Failed(reason));
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn what_a_function_asks_and_says_is_heard() {
        let api = RuntimeApi::serve().unwrap();
        let mut function = TcpStream::connect(api.address()).unwrap();
        write!(function, "GET {NEXT} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        assert!(matches!(api.news(PATIENCE), Some(News::Ready(_))));

        let mut function = TcpStream::connect(api.address()).unwrap();
        let head = "HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n";
        write!(function, "POST {INIT_ERROR} {head}why").unwrap();
        assert!(matches!(api.news(PATIENCE), Some(News::Failed(why)) if why == "why"));

        api.forget();
        assert!(api.news(Duration::from_millis(1)).is_none());
    }
}
