//! Workers that die or stand still in the middle of anything.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// Runs a future that may be dropped, or not polled for a while, at any of its awaits.
pub struct Chaos<F> {
    inner: Pin<Box<F>>,
    polls: u64,
    crash_at: Option<u64>,
    freeze_at: Option<(u64, Duration)>,
    thaw: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Chaos<F> {
    pub fn new(inner: F, crash_at: Option<u64>, freeze_at: Option<(u64, Duration)>) -> Self {
        Self {
            inner: Box::pin(inner),
            polls: 0,
            crash_at,
            freeze_at,
            thaw: None,
        }
    }
}

impl<F: Future> Future for Chaos<F> {
    /// `None` if it died.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(thaw) = &mut self.thaw {
            std::task::ready!(thaw.as_mut().poll(context));
            self.thaw = None;
        }
        self.polls += 1;
        if self.crash_at == Some(self.polls) {
            return Poll::Ready(None);
        }
        if let Some((at, pause)) = self.freeze_at
            && at == self.polls
        {
            let mut thaw = Box::pin(tokio::time::sleep(pause));
            if thaw.as_mut().poll(context).is_pending() {
                self.thaw = Some(thaw);
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(context).map(Some)
    }
}
