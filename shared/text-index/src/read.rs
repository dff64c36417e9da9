//! Reading an index: any number of processes, each with copies of the files that it has needed.
//!
//! Each query reads the head first, so a change is seen by the next query after it. The state that
//! a head names is opened once and kept until another takes its place.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{FileId, KnowledgeBaseId, OrgId};
use store::objects::ObjectError;
use store::text_index::Manifest;
use store::{ReadError, Store, Tenant};
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::aggregation::agg_result::{AggregationResult, AggregationResults, BucketResult};
use tantivy::aggregation::{AggContextParams, AggregationCollector, Key};
use tantivy::collector::Count;
use tantivy::{DocAddress, ReloadPolicy, Score, Searcher, TantivyDocument};

use crate::bundles::Bundles;
use crate::files::Files;
use crate::item::ItemKind;
use crate::items::documents;
use crate::query::build::{Builder, Built};
use crate::query::collect::{Order, PageCollector, TieCollector};
use crate::query::parse::{Parsed, parse};
use crate::query::{
    Facet, FacetCounts, Found, Hit, MAX_FACET_VALUES, MAX_LIMIT, MAX_TEXT_CHARS, MAX_WORDS, Query,
    Scope, Suggestion, highlight,
};
use crate::schema::{self, Fields};
use crate::suggest;
use crate::write;

/// How many indexes are kept open.
const OPEN_AT_ONCE: usize = 16;
/// How often the head is read again since an object that it named was gone.
const TRIES: u32 = 4;
/// How many blocks of stored items are kept for each segment.
const STORED_BLOCKS: usize = 10;

/// A chunk by its knowledge base, its file and its number.
pub type ChunkPlace = (KnowledgeBaseId, FileId, u32);

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than [`MAX_TEXT_CHARS`] characters or [`MAX_WORDS`] words.
    #[error("a query has at most {MAX_TEXT_CHARS} characters and {MAX_WORDS} words")]
    TooLong,
    /// The index was written by another version of the product, and is being made anew.
    #[error("the index is being made anew")]
    Outdated,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The files of the index are not what they should be.
    #[error("the index cannot be read: {0}")]
    Index(#[from] tantivy::TantivyError),
    /// The search library panicked.
    #[error("the search panicked")]
    Panicked,
}

/// The text indexes of orgs, to be read. Cheap to clone.
#[derive(Clone)]
pub struct TextIndex {
    store: Store,
    bundles: Bundles,
    open: Arc<Mutex<Opened>>,
}

#[derive(Default)]
struct Opened {
    states: HashMap<OrgId, (u64, Arc<State>)>,
    clock: u64,
}

/// One state of an index.
pub(crate) struct State {
    version: u64,
    /// `None` where nothing was ever indexed.
    index: Option<(Searcher, Fields)>,
}

impl TextIndex {
    /// Reads indexes through copies of their files, of at most `cache_bytes`.
    #[must_use]
    pub fn new(store: Store, cache_bytes: u64) -> Self {
        Self {
            store,
            bundles: Bundles::new(cache_bytes),
            open: Arc::default(),
        }
    }

    /// Answers a question. An org of which nothing is indexed has an answer without hits.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn search(
        &self,
        tenant: Tenant,
        scope: &Scope,
        query: &Query,
    ) -> Result<Found, Error> {
        let parsed = read(&query.text, query.last_word_is_prefix)?;
        let state = self.state(tenant).await?;
        let (scope, query) = (scope.clone(), query.clone());
        on_a_thread(move || state.search(&scope, &query, &parsed)).await
    }

    /// Those of these chunks that a question lets through by all but its words: what its viewer may
    /// see, its filter lets through and its signs do not exclude. In no certain order, without a
    /// score, with the words of the question marked where they are. For other ways of searching,
    /// so that the same holds of what they find.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn chunks(
        &self,
        tenant: Tenant,
        scope: &Scope,
        query: &Query,
        places: &[ChunkPlace],
    ) -> Result<Vec<Hit>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let parsed = read(&query.text, query.last_word_is_prefix)?;
        let state = self.state(tenant).await?;
        let (scope, query, places) = (scope.clone(), query.clone(), places.to_vec());
        on_a_thread(move || state.chunks(&scope, &query, &parsed, &places)).await
    }

    /// How a beginning can go on: titles that have it, then words.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn suggest(
        &self,
        tenant: Tenant,
        scope: &Scope,
        beginning: &str,
        limit: usize,
    ) -> Result<Vec<Suggestion>, Error> {
        let parsed = read(beginning, true)?;
        let state = self.state(tenant).await?;
        let scope = scope.clone();
        let limit = limit.clamp(1, MAX_LIMIT);
        on_a_thread(move || state.suggest(&scope, &parsed, limit)).await
    }

    /// The state of the index as it stands now.
    async fn state(&self, tenant: Tenant) -> Result<Arc<State>, Error> {
        let mut tries = 0;
        loop {
            let head = self.store.text_index(tenant).head().await?;
            let (version, manifest) = head.map_or_else(
                || (0, Manifest::default()),
                |head| (head.version, head.manifest),
            );
            if let Some(state) = self.opened(tenant.org(), version) {
                return Ok(state);
            }
            match self.open_state(tenant, version, &manifest).await {
                Err(Error::Object(ObjectError::Missing)) if tries < TRIES => tries += 1,
                opened => return opened,
            }
        }
    }

    async fn open_state(
        &self,
        tenant: Tenant,
        version: u64,
        manifest: &Manifest,
    ) -> Result<Arc<State>, Error> {
        let state = if manifest.is_empty() {
            State {
                version,
                index: None,
            }
        } else if manifest.schema != schema::VERSION {
            return Err(Error::Outdated);
        } else {
            let files = self.bundles.open(&self.store, tenant, manifest).await?;
            on_a_thread(move || State::over(version, &files)).await?
        };
        let state = Arc::new(state);
        self.keep(tenant.org(), Arc::clone(&state));
        Ok(state)
    }

    fn opened(&self, org: OrgId, version: u64) -> Option<Arc<State>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let now = open.clock;
        let (used, state) = open.states.get_mut(&org)?;
        *used = now;
        (state.version == version).then(|| Arc::clone(state))
    }

    fn keep(&self, org: OrgId, state: Arc<State>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let now = open.clock;
        let newer = open.states.get(&org);
        if newer.is_some_and(|(_, known)| known.version > state.version) {
            return;
        }
        open.states.insert(org, (now, state));
        if open.states.len() > OPEN_AT_ONCE {
            let oldest = open.states.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(org, _)| *org) {
                open.states.remove(&oldest);
            }
        }
    }
}

/// Whether a query's text is short enough to be asked.
///
/// # Errors
/// [`Error::TooLong`]
pub fn check_length(text: &str) -> Result<(), Error> {
    read(text, false).map(|_| ())
}

fn read(text: &str, last_word_is_prefix: bool) -> Result<Parsed, Error> {
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(Error::TooLong);
    }
    let parsed = parse(text, last_word_is_prefix);
    if parsed.words() > MAX_WORDS {
        return Err(Error::TooLong);
    }
    Ok(parsed)
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Error::Panicked))
}

impl State {
    /// The state that these files are.
    pub(crate) fn over(version: u64, files: &Files) -> Result<Self, Error> {
        let index = write::open(files)?;
        let fields = Fields::of(&index.schema())?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORED_BLOCKS)
            .try_into()?;
        Ok(Self {
            version,
            index: Some((reader.searcher(), fields)),
        })
    }

    pub(crate) fn suggest(
        &self,
        scope: &Scope,
        parsed: &Parsed,
        limit: usize,
    ) -> Result<Vec<Suggestion>, Error> {
        let Some((searcher, fields)) = &self.index else {
            return Ok(Vec::new());
        };
        let builder = Builder::new(searcher, fields, scope)?;
        Ok(suggest::suggest(&builder, parsed, limit)?)
    }

    pub(crate) fn search(
        &self,
        scope: &Scope,
        query: &Query,
        parsed: &Parsed,
    ) -> Result<Found, Error> {
        let mut found = Found {
            version: self.version,
            ..Found::default()
        };
        let Some((searcher, fields)) = &self.index else {
            return Ok(found);
        };
        let builder = Builder::new(searcher, fields, scope)?;
        let built = builder.build(parsed, query.matching, query.typos, &query.filter)?;
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let order = Order::of(query.sort, built.has_words);
        // One more than is shown, to know whether there is another page.
        let page = PageCollector::new(order, query.after, limit + 1);
        let facets = facet_collector(searcher, &query.facets)?;
        let (mut ranked, total, counts) =
            searcher.search(built.query.as_ref(), &(page, Count, facets))?;
        let more = ranked.len() > limit;
        ranked.truncate(limit);
        found.next = ranked.last().filter(|_| more).map(|hit| hit.position);
        found.total = total as u64;
        let ranked = ranked.iter().map(|hit| (hit.address, hit.score));
        found.hits = hits(searcher, fields, ranked, &built, query.highlight)?;
        found.facets = facet_counts(&query.facets, counts);
        found.corrections = built.corrections;
        Ok(found)
    }

    pub(crate) fn chunks(
        &self,
        scope: &Scope,
        query: &Query,
        parsed: &Parsed,
        places: &[ChunkPlace],
    ) -> Result<Vec<Hit>, Error> {
        let Some((searcher, fields)) = &self.index else {
            return Ok(Vec::new());
        };
        let builder = Builder::new(searcher, fields, scope)?;
        let built = builder.build(parsed, query.matching, query.typos, &query.filter)?;
        let sources = places
            .iter()
            .map(|(base, file, _)| documents::mark(*base, *file).to_string());
        let chunks = builder.chunks_of(&sources.collect(), parsed, &query.filter)?;
        let ids: HashSet<String> = places
            .iter()
            .map(|(base, file, ordinal)| documents::chunk_id(*base, *file, *ordinal))
            .collect();
        let ties = ids.iter().map(|id| schema::tie(ItemKind::Chunk, id));
        let found = searcher.search(chunks.as_ref(), &TieCollector(Arc::new(ties.collect())))?;
        let found = found.into_iter().map(|address| (address, 0.0));
        let mut hits = hits(searcher, fields, found, &built, query.highlight)?;
        // Another chunk of these documents may have the tie of one of them.
        hits.retain(|hit| ids.contains(&hit.item.id));
        Ok(hits)
    }
}

fn hits(
    searcher: &Searcher,
    fields: &Fields,
    ranked: impl Iterator<Item = (DocAddress, Score)>,
    built: &Built,
    highlight: bool,
) -> Result<Vec<Hit>, Error> {
    let mut hits = Vec::new();
    for (address, score) in ranked {
        let document: TantivyDocument = searcher.doc(address)?;
        let Some(item) = fields.item(&document) else {
            tracing::error!(?address, "an item in the index cannot be read");
            continue;
        };
        let highlights = if highlight && built.has_words {
            highlight::highlights(&item, &built.terms)
        } else {
            Vec::new()
        };
        hits.push(Hit {
            item,
            score,
            highlights,
        });
    }
    Ok(hits)
}

fn facet_collector(
    searcher: &Searcher,
    facets: &[Facet],
) -> Result<Option<AggregationCollector>, Error> {
    if facets.is_empty() {
        return Ok(None);
    }
    let request: serde_json::Map<_, _> = facets
        .iter()
        .map(|facet| {
            let terms = serde_json::json!({ "field": facet.name(), "size": MAX_FACET_VALUES });
            let name = facet.name().to_owned();
            (name, serde_json::json!({ "terms": terms }))
        })
        .collect();
    let request: Aggregations = serde_json::from_value(request.into())
        .map_err(|error| tantivy::TantivyError::InternalError(error.to_string()))?;
    let tokenizers = searcher.index().tokenizers().clone();
    let context = AggContextParams::new(Default::default(), tokenizers);
    Ok(Some(AggregationCollector::from_aggs(request, context)))
}

fn facet_counts(facets: &[Facet], counted: Option<AggregationResults>) -> Vec<FacetCounts> {
    let Some(counted) = counted else {
        return Vec::new();
    };
    let values = |facet: Facet| match counted.0.get(facet.name()) {
        Some(AggregationResult::BucketResult(BucketResult::Terms { buckets, .. })) => buckets
            .iter()
            .filter_map(|bucket| match &bucket.key {
                Key::Str(value) => Some((value.clone(), bucket.doc_count)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    facets
        .iter()
        .map(|facet| FacetCounts {
            facet: *facet,
            values: values(*facet),
        })
        .collect()
}
