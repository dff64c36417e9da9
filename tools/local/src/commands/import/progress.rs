//! How far an import is: bars on a terminal, a line for each file elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::Outcome;
use crate::terminal::Terminal;

const BYTES: &str = "{prefix:>9} {bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec}";
const FILES: &str = "{prefix:>9} {bar:32} {pos}/{len} files";

/// Shows how far an import is. Clones show the same.
#[derive(Clone)]
pub(super) struct Progress {
    /// Bars go to where errors go: what is shown there is not part of any result.
    bars: MultiProgress,
    sending: ProgressBar,
    reading: ProgressBar,
    lines: Option<Terminal>,
    sent: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn new(terminal: Terminal, files: usize, bytes: u64) -> Self {
        // Where nobody looks, bars draw nothing.
        let bars = MultiProgress::new();
        let bar = |length: u64, prefix: &'static str, style: &str| {
            let style = ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(length).with_style(style.progress_chars("=> "));
            bars.add(bar.with_prefix(prefix))
        };
        let sending = bar(bytes, "uploaded", BYTES);
        let reading = bar(files as u64, "processed", FILES);
        let is_watched = std::io::stdout().is_terminal() && !bars.is_hidden();
        Self {
            bars,
            sending,
            reading,
            lines: (!is_watched).then_some(terminal),
            sent: Arc::default(),
        }
    }

    /// So many bytes are on their way.
    pub(super) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.sending.inc(bytes);
    }

    /// So many bytes need not be sent.
    pub(super) fn passed(&self, bytes: u64) {
        self.sending.inc(bytes);
    }

    /// All that were sent.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What became of a file.
    pub(super) fn settled(&self, shown: &str, outcome: &Outcome) {
        self.reading.inc(1);
        if let Some(lines) = self.lines {
            let (word, rest) = outcome.told();
            lines.line(format!("  {word:<8} {shown}{rest}"));
        }
    }

    /// Takes the bars away.
    pub(super) fn end(&self) {
        self.sending.finish_and_clear();
        self.reading.finish_and_clear();
        // A terminal that has gone away is no error.
        let _ = self.bars.clear();
    }
}
