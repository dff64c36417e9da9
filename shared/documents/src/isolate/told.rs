//! What a reader tells whoever waits for it, and how it is waited for.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::document::Section;
use crate::rejection::Rejection;

/// What a reader tells.
pub(super) enum Told<T> {
    Section(Section),
    Ended(T),
}

/// Why a reader is no longer listened to.
pub(super) enum Heard<T> {
    Ended(T),
    /// It ended without a word.
    Silence,
    TimedOut,
    /// Whoever takes the sections wants no more of them.
    BrokenOff,
}

/// Takes what a reader tells until it has ended or used up its time. The time that `take` needs is
/// not the reader's.
pub(super) fn listen<T>(
    reader: &Receiver<Told<T>>,
    mut left: Duration,
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Heard<T> {
    loop {
        let began = Instant::now();
        match reader.recv_timeout(left) {
            Ok(Told::Section(section)) => {
                left = left.saturating_sub(began.elapsed());
                if take(section).is_break() {
                    return Heard::BrokenOff;
                }
            }
            Ok(Told::Ended(outcome)) => return Heard::Ended(outcome),
            Err(RecvTimeoutError::Timeout) => return Heard::TimedOut,
            Err(RecvTimeoutError::Disconnected) => return Heard::Silence,
        }
    }
}

/// The outcome for a caller who broke off: it knows better.
pub(super) fn broken_off() -> Rejection {
    Rejection::ReaderUnavailable {
        detail: "the text was not wanted any more".to_owned(),
    }
}
