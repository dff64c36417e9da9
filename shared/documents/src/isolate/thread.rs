//! A reader on a thread of this process.

use std::io::Read;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::told::{Heard, Told, broken_off, listen};
use crate::document::{About, Section};
use crate::extract::Sink;
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
    source: impl Read + Send + 'static,
    file_name: String,
    limits: Limits,
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Result<About, Rejection> {
    let allowed = limits.wall_clock;
    let stack = usize::try_from(limits.stack_bytes).unwrap_or(usize::MAX);
    run_job(
        allowed,
        stack,
        move |sink| super::read_here(source, &file_name, &limits, sink),
        take,
    )
}

fn run_job<T: Send + 'static>(
    allowed: Duration,
    stack_bytes: usize,
    job: impl FnOnce(&mut Sink<'_>) -> Result<T, Rejection> + Send + 'static,
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Result<T, Rejection> {
    // A rendezvous without a buffer tells the reader whether anyone still waits.
    let (sender, receiver) = mpsc::sync_channel(0);
    std::thread::Builder::new()
        .name("document-reader".to_owned())
        .stack_size(stack_bytes)
        .spawn(move || {
            let sections = sender.clone();
            let mut sink = move |section| {
                let told = sections.send(Told::Section(section));
                told.map_err(|_nobody_waits| broken_off())
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| job(&mut sink)));
            if sender.send(Told::Ended(outcome)).is_err() {
                ABANDONED.fetch_sub(1, Ordering::Relaxed);
            }
        })
        .map_err(|error| Rejection::ReaderUnavailable {
            detail: format!("no thread: {error}"),
        })?;
    let heard = listen(&receiver, allowed + GRACE, take);
    if matches!(heard, Heard::TimedOut | Heard::BrokenOff) {
        // Counted before the receiver is dropped, which is what the reader sees.
        ABANDONED.fetch_add(1, Ordering::Relaxed);
        drop(receiver);
    }
    match heard {
        Heard::Ended(Ok(outcome)) => outcome,
        Heard::Ended(Err(_panic)) => Err(Rejection::ParserPanicked),
        Heard::Silence => Err(Rejection::ParserPanicked),
        Heard::TimedOut => Err(Rejection::timed_out(allowed)),
        Heard::BrokenOff => Err(broken_off()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 1024 * 1024;

    fn run<T: Send + 'static>(
        allowed: Duration,
        job: impl FnOnce(&mut Sink<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Rejection> {
        run_job(allowed, STACK, job, &mut |_| ControlFlow::Continue(()))
    }

    fn until_none_is_abandoned_beyond(before: usize) {
        while abandoned_readers() > before {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_panic_is_a_rejection() {
        let outcome = run::<()>(Duration::from_secs(60), |_| panic!("in the parser"));
        assert_eq!(outcome.unwrap_err(), Rejection::ParserPanicked);
    }

    #[test]
    fn an_outcome_passes_through() {
        let outcome = run(Duration::from_secs(60), |_| Ok(7));
        assert_eq!(outcome, Ok(7));
    }

    #[test]
    fn a_stuck_reader_is_abandoned_and_counted_until_it_ends() {
        let (release, wait) = mpsc::channel::<()>();
        let before = abandoned_readers();
        let outcome = run::<()>(Duration::from_millis(10), move |_| {
            let _ = wait.recv();
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().code(), "timed_out");
        assert_eq!(abandoned_readers(), before + 1);
        drop(release);
        until_none_is_abandoned_beyond(before);
    }

    #[test]
    fn a_reader_that_is_not_listened_to_stops() {
        let before = abandoned_readers();
        let endless = |sink: &mut Sink<'_>| -> Result<(), Rejection> {
            loop {
                sink(Section::default())?;
            }
        };
        let mut taken = 0;
        let outcome = run_job(Duration::from_secs(60), STACK, endless, &mut |_| {
            taken += 1;
            if taken < 3 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        assert!(outcome.unwrap_err().is_retryable());
        assert_eq!(taken, 3);
        until_none_is_abandoned_beyond(before);
    }
}
