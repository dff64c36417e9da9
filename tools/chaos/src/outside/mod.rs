//! What is outside of the product: a model and a service that tools call. Both follow the script
//! and write down every call.

mod model;
mod tools;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::history::{CallId, History};

pub(crate) use model::{MODEL, router as model};
pub(crate) use tools::router as tools;

/// Serves on a free port of this machine for as long as the runtime lives.
pub(crate) async fn serve(router: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        // Small replies must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// A call under way. Dropped with its connection, it says how far the reply was taken.
#[derive(Debug)]
struct UnderWay {
    history: Arc<History>,
    call: CallId,
    pieces_read: usize,
    whole: bool,
}

impl UnderWay {
    fn new(history: &Arc<History>, call: CallId) -> Self {
        Self {
            history: Arc::clone(history),
            call,
            pieces_read: 0,
            whole: false,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.history
            .call_ended(self.call, self.pieces_read, self.whole);
    }
}
