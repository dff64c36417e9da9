//! All files of a folder, a few at a time: read for their checksums, uploaded, waited for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, stream};
use tokio::sync::mpsc::{self, UnboundedSender};

use super::content::Fingerprint;
use super::known::Brought;
use super::report::{Entry, Outcome, Reason};
use super::upload::Uploader;
use super::watch::Watcher;

/// How many files are read for their checksums at the same time.
const READS: usize = 2;
const UPLOADS: usize = 4;

/// Brings every file that nothing speaks against, and gives all with what became of them.
pub(super) async fn all(entries: Vec<Entry>, uploader: &Uploader<'_>) -> Vec<Entry> {
    for entry in &entries {
        if let Some(outcome) = &entry.outcome {
            uploader.progress.passed(entry.bytes);
            uploader.progress.settled(&entry.shown, outcome);
        }
    }
    let bringing = Bringing {
        uploader,
        entries: RefCell::new(entries),
        first_with: RefCell::new(HashMap::new()),
    };
    let watcher = Watcher {
        client: uploader.client,
        base: uploader.base,
        stop: uploader.stop,
    };
    let (brought, coming) = mpsc::unbounded_channel();
    tokio::join!(
        bringing.bring(brought),
        watcher.watch(coming, |number, outcome| bringing.settle(number, outcome)),
    );
    bringing.entries.into_inner()
}

struct Bringing<'a> {
    uploader: &'a Uploader<'a>,
    entries: RefCell<Vec<Entry>>,
    /// The first file of the folder with a checksum.
    first_with: RefCell<HashMap<String, usize>>,
}

impl Bringing<'_> {
    /// Hands on what was brought, to be waited for, and settles the rest.
    async fn bring(&self, brought: UnboundedSender<(usize, Brought)>) {
        let paths: Vec<(usize, PathBuf)> = {
            let entries = self.entries.borrow();
            let open = entries.iter().enumerate();
            open.filter(|(_, entry)| entry.outcome.is_none())
                .map(|(number, entry)| (number, entry.path.clone()))
                .collect()
        };
        let brought = &brought;
        stream::iter(paths)
            .map(|(number, path)| async move {
                let print = self.fingerprint(&path).await;
                (number, path, print)
            })
            .buffered(READS)
            .for_each_concurrent(UPLOADS, |(number, path, print)| async move {
                let outcome = match self.bring_one(number, &path, print).await {
                    // The receiver waits for all of them.
                    Ok(next) => match brought.send((number, next)) {
                        Ok(()) => return,
                        Err(_) => Outcome::interrupted(),
                    },
                    Err(outcome) => outcome,
                };
                self.settle(number, outcome);
            })
            .await;
    }

    async fn bring_one(
        &self,
        number: usize,
        path: &Path,
        print: Result<Fingerprint, Outcome>,
    ) -> Result<Brought, Outcome> {
        let print = print.map_err(|outcome| self.passed(number, outcome))?;
        if let Some(of) = self.original(number, &print) {
            return Err(self.passed(number, Outcome::Duplicate { of }));
        }
        if self.uploader.stop.is_cancelled() {
            return Err(Outcome::interrupted());
        }
        self.uploader.bring(path, &print).await
    }

    /// Nothing of the file is sent.
    fn passed(&self, number: usize, outcome: Outcome) -> Outcome {
        let bytes = self.entries.borrow()[number].bytes;
        self.uploader.progress.passed(bytes);
        outcome
    }

    /// Another file before this one that has the same content.
    fn original(&self, number: usize, print: &Fingerprint) -> Option<String> {
        let mut first_with = self.first_with.borrow_mut();
        let first = *first_with.entry(print.sha256.clone()).or_insert(number);
        (first != number).then(|| self.entries.borrow()[first].shown.clone())
    }

    async fn fingerprint(&self, path: &Path) -> Result<Fingerprint, Outcome> {
        let stop = self.uploader.stop;
        if stop.is_cancelled() {
            return Err(Outcome::interrupted());
        }
        let path = path.to_owned();
        let reading = tokio::task::spawn_blocking(move || Fingerprint::of(&path));
        match stop.run_until_cancelled(reading).await {
            None => Err(Outcome::interrupted()),
            Some(Ok(print)) => print.map_err(Outcome::refused),
            Some(Err(panic)) => Err(Outcome::refused(Reason::unreadable(panic))),
        }
    }

    fn settle(&self, number: usize, outcome: Outcome) {
        let entry = &mut self.entries.borrow_mut()[number];
        self.uploader.progress.settled(&entry.shown, &outcome);
        entry.outcome = Some(outcome);
    }
}
