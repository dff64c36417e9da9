//! A reader on a thread of this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::Processed;
use crate::limits::Limits;
use crate::rejection::Rejection;

/// Time for a reader to notice by itself that its time is over, which leaves nothing behind.
const GRACE: Duration = Duration::from_secs(1);

static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// Reader threads of this process that were given up and still run.
pub fn abandoned_readers() -> usize {
    ABANDONED.load(Ordering::Relaxed)
}

pub(super) fn run(
    bytes: Vec<u8>,
    file_name: String,
    limits: Limits,
) -> Result<Processed, Rejection> {
    let allowed = limits.wall_clock;
    let stack = usize::try_from(limits.stack_bytes).unwrap_or(usize::MAX);
    run_job(allowed, stack, move || {
        super::read(&bytes, &file_name, &limits)
    })
}

fn run_job<T: Send + 'static>(
    allowed: Duration,
    stack_bytes: usize,
    job: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Rejection> {
    // A rendezvous without a buffer tells the reader whether anyone still waits.
    let (sender, receiver) = mpsc::sync_channel(0);
    std::thread::Builder::new()
        .name("document-reader".to_owned())
        .stack_size(stack_bytes)
        .spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            if sender.send(outcome).is_err() {
                ABANDONED.fetch_sub(1, Ordering::Relaxed);
            }
        })
        .map_err(|error| Rejection::ReaderUnavailable {
            detail: format!("no thread: {error}"),
        })?;
    match receiver.recv_timeout(allowed + GRACE) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(Rejection::ParserPanicked),
        Err(RecvTimeoutError::Timeout) => {
            // Counted before the receiver is dropped, which is what the reader sees.
            ABANDONED.fetch_add(1, Ordering::Relaxed);
            drop(receiver);
            Err(Rejection::timed_out(allowed))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Rejection::ParserPanicked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 1024 * 1024;

    #[test]
    fn a_panic_is_a_rejection() {
        let outcome = run_job::<()>(Duration::from_secs(60), STACK, || panic!("in the parser"));
        assert_eq!(outcome.unwrap_err(), Rejection::ParserPanicked);
    }

    #[test]
    fn an_outcome_passes_through() {
        let outcome = run_job(Duration::from_secs(60), STACK, || Ok(7));
        assert_eq!(outcome, Ok(7));
    }

    #[test]
    fn a_stuck_reader_is_abandoned_and_counted_until_it_ends() {
        let (release, wait) = mpsc::channel::<()>();
        let before = abandoned_readers();
        let outcome = run_job::<()>(Duration::from_millis(10), STACK, move || {
            let _ = wait.recv();
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().code(), "timed_out");
        assert_eq!(abandoned_readers(), before + 1);
        drop(release);
        while abandoned_readers() > before {
            std::thread::yield_now();
        }
    }
}
