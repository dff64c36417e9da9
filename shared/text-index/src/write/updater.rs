//! `index.update`: keeps the text index of an org in step with its tables.
//!
//! There is one such job for each org, and so one writer at a time, under the job's fence. It takes
//! marks, looks at what stands of each, writes the files of a new state of the index, puts the
//! state in place by one transaction, and clears the marks that are still as it found them:
//!
//! ```text
//!  marks ─► look at what stands ─► files ─► one object ─► head (fence, version) ─► clear marks
//!    ▲                                                                               │
//!    └───────────────────── merge, if there are too many segments ◄──────────────────┘
//! ```
//!
//! An attempt that dies on the way leaves an object that nothing names, and marks for the next. A
//! rebuild goes on in the same rounds: what is marked goes into both generations, so the new one is
//! as fresh as the old when it takes its place.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use store::index_marks::{IndexMark, Mark};
use store::objects::ObjectError;
use store::text_index::{IndexHead, Manifest, Rebuild, UPDATE_JOB};
use store::{CommitError, ReadError, Store, Tenant};
use work::{Attempt, Handler, Outcome};

use super::{Changes, apply, merge, pack};
use crate::bundles::{Bundles, NewBundle};
use crate::items::{Entry, Indexer, Loaded, indexers};
use crate::schema;

/// How many marks are taken in one round.
const MARKS_AT_ONCE: u32 = 500;
/// How much text is taken in one round, beyond which the other marks wait for the next.
const ROUND_BYTES: usize = 16 * 1024 * 1024;
/// How many items are looked at together.
const LOOKS_AT_ONCE: usize = 8;
/// The shortest time between two states of an index: what comes meanwhile goes together.
const PACE: Duration = Duration::from_millis(400);
/// How often a round is begun anew since somebody asked for a rebuild meanwhile.
const TRIES: u32 = 20;
/// After so many failures in a row, marks are taken one by one, to find the one that is to blame.
const CAREFUL_AFTER: u32 = 3;
/// After so many, that one is given up.
const GIVE_UP_AFTER: u32 = 6;
/// How often objects that nothing names are looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(60 * 60);
/// How old such an object must be: longer than any attempt takes to name what it has written.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long the job rests if nobody wakes it.
const REST: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

/// Does `index.update`.
pub struct Updater {
    store: Store,
    bundles: Bundles,
    indexers: Vec<Box<dyn Indexer>>,
}

impl Updater {
    /// A writer that keeps copies of bundles of at most `cache_bytes`.
    #[must_use]
    pub fn new(store: Store, cache_bytes: u64) -> Self {
        Self {
            store,
            bundles: Bundles::new(cache_bytes),
            indexers: indexers(),
        }
    }
}

#[async_trait]
impl Handler for Updater {
    fn kinds(&self) -> &[&'static str] {
        &[UPDATE_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match self.keep_up(&attempt).await {
            Ok(outcome) => outcome,
            Err(trouble) => {
                tracing::warn!(error = %store::explain(&trouble), "the text index was not updated");
                Outcome::retry(trouble.code(), trouble.to_string())
            }
        }
    }
}

/// Why an index could not be updated.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the index could not be written: {0}")]
    Index(#[from] tantivy::TantivyError),
    #[error("writing the index panicked")]
    Panicked,
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Trouble {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(store::Error::Commit(CommitError::FenceLost)) => "superseded",
            Self::Store(_) => "store_unavailable",
            Self::Object(_) => "objects_unavailable",
            Self::Index(_) | Self::Panicked => "index_failed",
        }
    }

    /// Whether somebody changed the head meanwhile.
    fn is_race(&self) -> bool {
        matches!(
            self,
            Self::Store(store::Error::Commit(
                CommitError::Changed { .. } | CommitError::Exists { .. }
            ))
        )
    }

    /// Whether what was to be written is to blame.
    fn is_about_content(&self) -> bool {
        matches!(self, Self::Index(_) | Self::Panicked)
    }
}

impl Updater {
    async fn keep_up(&self, attempt: &Attempt) -> Result<Outcome, Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        if self.store.org(tenant).get().await?.is_none() {
            return self.forget(attempt, tenant).await;
        }
        let mut head = self.head(tenant).await?;
        let mut races = 0;
        loop {
            if attempt.cancel.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            if attempt.budget.should_yield() {
                return Ok(Outcome::Yield);
            }
            let begun = Instant::now();
            match self.step(attempt, tenant, &head).await {
                Ok(Step::Took(next)) => {
                    head = *next;
                    races = 0;
                    if head.rebuild.is_none() {
                        tokio::time::sleep(PACE.saturating_sub(begun.elapsed())).await;
                    }
                }
                Ok(Step::Nothing) => {
                    let now = self.store.now();
                    let until = if head.updated_at > head.collected_at {
                        head.collected_at.plus(COLLECT_EVERY).max(now)
                    } else {
                        now.plus(REST)
                    };
                    return Ok(Outcome::Park { until });
                }
                Err(trouble) if trouble.is_race() && races < TRIES => {
                    races += 1;
                    head = self.head(tenant).await?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn head(&self, tenant: Tenant) -> Result<IndexHead, Trouble> {
        let head = self.store.text_index(tenant).head().await?;
        Ok(head.unwrap_or_else(|| IndexHead::new(tenant.org(), self.store.now())))
    }

    /// Takes in what is marked, and a part of a rebuild; else merges, else collects.
    async fn step(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        head: &IndexHead,
    ) -> Result<Step, Trouble> {
        let index = self.store.text_index(tenant);
        let failures = attempt.job.attempts;
        let most = if failures < CAREFUL_AFTER {
            MARKS_AT_ONCE
        } else {
            1
        };
        let marks = index.marks(most).await?;
        if !marks.is_empty() || head.rebuild.is_some() || is_outdated(&head.manifest) {
            return match self.round(attempt, tenant, head, &marks).await {
                Err(trouble)
                    if trouble.is_about_content()
                        && marks.len() == 1
                        && failures >= GIVE_UP_AFTER =>
                {
                    tracing::error!(
                        mark = ?marks[0].mark(),
                        error = %store::explain(&trouble),
                        "something cannot be indexed and is passed over"
                    );
                    index.clear(attempt.fence, &marks).await?;
                    Ok(Step::Took(Box::new(head.clone())))
                }
                round => round,
            };
        }
        if let Some(next) = self.tidy(attempt, tenant, head).await? {
            return Ok(Step::Took(Box::new(next)));
        }
        let now = self.store.now();
        if head.updated_at > head.collected_at && now >= head.collected_at.plus(COLLECT_EVERY) {
            let next = self.collect(attempt, tenant, head).await?;
            return Ok(Step::Took(Box::new(next)));
        }
        Ok(Step::Nothing)
    }

    async fn round(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        head: &IndexHead,
        marks: &[IndexMark],
    ) -> Result<Step, Trouble> {
        let mut next = head.clone();
        if is_outdated(&head.manifest) && next.rebuild.is_none() {
            next.rebuild = Some(Rebuild {
                generation: head.generation + 1,
                manifest: Manifest::default(),
                position: None,
                requested_at: self.store.now(),
            });
        }
        let (mut changes, taken) = self.look_at_marks(tenant, marks).await?;
        if !is_outdated(&head.manifest) && !changes.is_empty() {
            let write = self.write(tenant, head.generation, &head.manifest, changes);
            (next.manifest, changes) = write.await?;
        }
        if let Some(mut rebuild) = next.rebuild.take() {
            if is_outdated(&rebuild.manifest) {
                // Another version of the product began it.
                rebuild.manifest = Manifest::default();
                rebuild.position = None;
            }
            let position = self
                .look_at_all(tenant, rebuild.position.as_deref(), &mut changes)
                .await?;
            let write = self.write(tenant, rebuild.generation, &rebuild.manifest, changes);
            (rebuild.manifest, _) = write.await?;
            rebuild.position = position;
            if rebuild.position.is_some() {
                next.rebuild = Some(rebuild);
            } else {
                next.manifest = rebuild.manifest;
                next.generation = rebuild.generation;
                tracing::info!(generation = next.generation, "the text index was rebuilt");
            }
        }
        next.updated_at = self.store.now();
        let index = self.store.text_index(tenant);
        let mut next = index.swap(attempt.fence, head.version, next).await?;
        index.clear(attempt.fence, &marks[..taken]).await?;
        if let Some(merged) = self.tidy(attempt, tenant, &next).await? {
            next = merged;
        }
        Ok(Step::Took(Box::new(next)))
    }

    /// What stands of marks, and how many of them were looked at.
    async fn look_at_marks(
        &self,
        tenant: Tenant,
        marks: &[IndexMark],
    ) -> Result<(Changes, usize), Trouble> {
        let mut changes = Changes::default();
        let mut taken = 0;
        for some in marks.chunks(LOOKS_AT_ONCE) {
            let mut queue = VecDeque::new();
            for mark in some {
                match mark.mark() {
                    Ok(mark) => queue.push_back(mark),
                    Err(error) => tracing::error!(%error, "a mark is passed over"),
                }
            }
            self.look_at(tenant, queue, &mut changes).await?;
            taken += some.len();
            if bytes(&changes) > ROUND_BYTES {
                break;
            }
        }
        Ok((changes, taken))
    }

    /// A part of everything that there is, from a position on; where the next part begins.
    async fn look_at_all(
        &self,
        tenant: Tenant,
        position: Option<&str>,
        changes: &mut Changes,
    ) -> Result<Option<String>, Trouble> {
        let (number, after) = match position.and_then(|position| position.split_once(':')) {
            Some((number, after)) => (number.parse().unwrap_or(0), Some(after)),
            None => (0, None),
        };
        let Some(indexer) = self.indexers.get(number) else {
            return Ok(None);
        };
        let after = after.filter(|after| !after.is_empty());
        let page = indexer.all(&self.store, tenant, after).await?;
        self.look_at(tenant, page.marks.into(), changes).await?;
        Ok(match page.next {
            Some(next) => Some(format!("{number}:{next}")),
            None if number + 1 < self.indexers.len() => Some(format!("{}:", number + 1)),
            None => None,
        })
    }

    async fn look_at(
        &self,
        tenant: Tenant,
        mut queue: VecDeque<Mark>,
        changes: &mut Changes,
    ) -> Result<(), Trouble> {
        while !queue.is_empty() {
            let some: Vec<Mark> = queue
                .drain(..queue.len().min(LOOKS_AT_ONCE))
                .filter(|mark| !changes.sources.contains_key(mark))
                .collect();
            let found: Vec<(Mark, Loaded)> = futures::stream::iter(some)
                .map(|mark| async move { Ok::<_, Trouble>((mark, self.load(tenant, mark).await?)) })
                .buffer_unordered(LOOKS_AT_ONCE)
                .try_collect()
                .await?;
            for (mark, loaded) in found {
                changes.without.extend(loaded.without);
                changes.sources.insert(mark, loaded.items);
                queue.extend(loaded.also);
            }
        }
        Ok(())
    }

    async fn load(&self, tenant: Tenant, mark: Mark) -> Result<Loaded, Trouble> {
        let Some(indexer) = self.indexers.iter().find(|indexer| indexer.serves(mark)) else {
            return Ok(Loaded::default());
        };
        match indexer.load(&self.store, tenant, mark).await {
            Err(ReadError::Shape(error)) => {
                tracing::error!(%error, %mark, "a row cannot be read and is not indexed");
                Ok(Loaded::default())
            }
            loaded => Ok(loaded?),
        }
    }

    /// Writes changes beside a manifest, and gives the one that has them.
    async fn write(
        &self,
        tenant: Tenant,
        generation: u32,
        before: &Manifest,
        changes: Changes,
    ) -> Result<(Manifest, Changes), Trouble> {
        let files = self.bundles.open(&self.store, tenant, before).await?;
        let before = before.clone();
        let bundle = new_bundle(generation);
        let (packed, changes) = on_a_thread(move || {
            apply(&files, &changes)?;
            Ok((pack(&files, &before, bundle)?, changes))
        })
        .await?;
        let (manifest, bundle) = packed;
        if let Some(bundle) = bundle {
            self.upload(tenant, bundle).await?;
        }
        Ok((manifest, changes))
    }

    async fn upload(&self, tenant: Tenant, bundle: NewBundle) -> Result<(), Trouble> {
        bundle.put(&self.store, tenant).await?;
        if let Err(error) = self.bundles.keep(tenant.org(), &bundle) {
            tracing::warn!(%error, "what was written will be fetched");
        }
        Ok(())
    }

    /// Merges segments of one generation, if it has too many.
    async fn tidy(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        head: &IndexHead,
    ) -> Result<Option<IndexHead>, Trouble> {
        let mut next = head.clone();
        let mut merged = false;
        let rebuild = next
            .rebuild
            .as_mut()
            .map(|rebuild| (rebuild.generation, &mut rebuild.manifest));
        for (generation, manifest) in [(head.generation, &mut next.manifest)]
            .into_iter()
            .chain(rebuild)
        {
            if manifest.is_empty() || is_outdated(manifest) {
                continue;
            }
            let files = self.bundles.open(&self.store, tenant, manifest).await?;
            let (before, bundle) = (manifest.clone(), new_bundle(generation));
            let packed = on_a_thread(move || {
                Ok(match merge(&files)? {
                    true => Some(pack(&files, &before, bundle)?),
                    false => None,
                })
            });
            if let Some((made, bundle)) = packed.await? {
                if let Some(bundle) = bundle {
                    self.upload(tenant, bundle).await?;
                }
                *manifest = made;
                merged = true;
            }
        }
        if !merged {
            return Ok(None);
        }
        next.updated_at = self.store.now();
        let index = self.store.text_index(tenant);
        Ok(Some(index.swap(attempt.fence, head.version, next).await?))
    }

    /// Removes objects that nothing names. A reader that still needs one has read the head before
    /// that was so; it finds it missing and reads the head again.
    async fn collect(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        head: &IndexHead,
    ) -> Result<IndexHead, Trouble> {
        let index = self.store.text_index(tenant);
        let now = self.store.now();
        let named = head.bundles();
        let mut left = false;
        for listed in index.bundles().await? {
            if named.contains(listed.bundle.as_str()) {
                continue;
            }
            if listed.written_at.plus(GRACE) > now {
                left = true;
                continue;
            }
            index.remove_bundle(&listed.bundle).await?;
        }
        let next = IndexHead {
            collected_at: now,
            // Later than the collection, where another has to follow.
            updated_at: if left {
                self.store.now().max(now.plus(Duration::from_millis(1)))
            } else {
                now
            },
            ..head.clone()
        };
        Ok(index.swap(attempt.fence, head.version, next).await?)
    }

    /// Removes the index of an org that is gone, and rests.
    async fn forget(&self, attempt: &Attempt, tenant: Tenant) -> Result<Outcome, Trouble> {
        let index = self.store.text_index(tenant);
        if let Some(head) = index.head().await? {
            index.remove(attempt.fence, &head).await?;
        }
        for listed in index.bundles().await? {
            index.remove_bundle(&listed.bundle).await?;
        }
        loop {
            let marks = index.marks(MARKS_AT_ONCE).await?;
            if marks.is_empty() {
                let until = self.store.now().plus(REST);
                return Ok(Outcome::Park { until });
            }
            index.clear(attempt.fence, &marks).await?;
        }
    }
}

/// What a step has done.
enum Step {
    /// The head as it stands now.
    Took(Box<IndexHead>),
    Nothing,
}

/// Whether the files are of another version than this program writes.
fn is_outdated(manifest: &Manifest) -> bool {
    !manifest.is_empty() && manifest.schema != schema::VERSION
}

fn bytes(changes: &Changes) -> usize {
    let entries = changes.sources.values().flatten();
    entries.map(Entry::bytes).sum()
}

fn new_bundle(generation: u32) -> String {
    format!("{generation}/{}", uuid::Uuid::now_v7().simple())
}

/// Runs what takes long, so that the lease is renewed meanwhile.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> tantivy::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Trouble::Panicked),
    }
}
