//! Changes to an index, as files that are added to those of a manifest. Nothing here is seen by
//! anybody before the manifest that names them is put in place.

pub(crate) mod updater;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use store::index_marks::Mark;
use store::text_index::Manifest;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, MergePolicy as _, NoMergePolicy};
use tantivy::{Index, IndexSettings, IndexWriter, TantivyDocument, Term};

use crate::analysis::{self, WORDS};
use crate::bundles::NewBundle;
use crate::files::{Files, Slice};
use crate::items::Entry;
use crate::schema::{self, Fields};

/// How much memory documents take before they become a segment.
const ARENA_BYTES: usize = 48 * 1024 * 1024;
/// Segments of fewer documents than this are merged with one another whatever their size.
const SMALL_SEGMENT: u32 = 1_000;
/// How many segments of about the same size there may be before they become one.
const SEGMENTS_OF_A_SIZE: usize = 8;
/// The logarithm (base 2) of how many times larger the segments of the next size are.
const SIZE_STEP: f64 = 2.0;
/// Segments of more documents than this are merged no more, which bounds the time and the space
/// that a merge takes.
const LARGE_SEGMENT: usize = 200_000;
/// A segment of which so many documents are gone is written anew without them.
const DELETED_PART: f32 = 0.3;

/// What is to become of the index.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The items of each mark, in the place of those that it had.
    pub sources: BTreeMap<Mark, Vec<Entry>>,
    /// What is to go with all its parts.
    pub without: BTreeSet<String>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.without.is_empty()
    }
}

/// Opens the index that `files` hold, or makes one.
pub(crate) fn open(files: &Files) -> tantivy::Result<Index> {
    let index = if files.meta().is_some() {
        Index::open(files.clone())?
    } else {
        Index::create(files.clone(), schema::schema(), IndexSettings::default())?
    };
    index.tokenizers().register(WORDS, analysis::words());
    Ok(index)
}

fn writer(index: &Index) -> tantivy::Result<IndexWriter> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(ARENA_BYTES)
        .build();
    let writer = index.writer_with_options(options)?;
    // Merges are made when it suits, one at a time.
    writer.set_merge_policy(Box::new(NoMergePolicy));
    Ok(writer)
}

/// Adds the files that make the changes so.
pub(crate) fn apply(files: &Files, changes: &Changes) -> tantivy::Result<()> {
    let index = open(files)?;
    let fields = Fields::of(&index.schema())?;
    let mut writer = writer(&index)?;
    for part in &changes.without {
        writer.delete_term(Term::from_field_text(fields.part_of, part));
    }
    for mark in changes.sources.keys() {
        writer.delete_term(Term::from_field_text(fields.source, &mark.to_string()));
    }
    for (mark, entries) in &changes.sources {
        let source = mark.to_string();
        for entry in entries {
            let part_of = entry.part_of.as_deref();
            let document: TantivyDocument = fields.document(&source, part_of, &entry.item)?;
            writer.add_document(document)?;
        }
    }
    writer.commit()?;
    writer.wait_merging_threads()
}

/// Makes one segment of several, where there are too many of a size or one has too many gaps;
/// `false` where there is nothing to merge.
pub(crate) fn merge(files: &Files) -> tantivy::Result<bool> {
    let index = open(files)?;
    let segments = index.searchable_segment_metas()?;
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(SEGMENTS_OF_A_SIZE);
    policy.set_min_layer_size(SMALL_SEGMENT);
    policy.set_level_log_size(SIZE_STEP);
    policy.set_max_docs_before_merge(LARGE_SEGMENT);
    policy.set_del_docs_ratio_before_merge(DELETED_PART);
    let Some(candidate) = policy.compute_merge_candidates(&segments).pop() else {
        return Ok(false);
    };
    let mut writer = writer(&index)?;
    writer.merge(&candidate.0).wait()?;
    writer.wait_merging_threads()?;
    Ok(true)
}

/// The manifest of what `files` hold now, which were those of `before`, and a bundle with the ones
/// that were added.
pub(crate) fn pack(
    files: &Files,
    before: &Manifest,
    bundle: String,
) -> tantivy::Result<(Manifest, Option<NewBundle>)> {
    let index = open(files)?;
    let mut kept = BTreeMap::new();
    let mut added: Vec<(String, Slice)> = Vec::new();
    for path in index.load_metas()?.list_segment_files() {
        let name = name(&path);
        if let Some(slice) = files.added_file(&path) {
            added.push((name, slice));
        } else if let Some(place) = before.files.get(&name) {
            kept.insert(name, place.clone());
        }
    }
    added.sort_by(|a, b| a.0.cmp(&b.0));
    let bundle = match added.is_empty() {
        true => None,
        false => Some(NewBundle::of(bundle, &added)?),
    };
    if let Some(bundle) = &bundle {
        kept.extend(bundle.places.clone());
    }
    let manifest = Manifest {
        schema: schema::VERSION,
        meta: files.meta().unwrap_or_default(),
        files: kept,
    };
    Ok((manifest, bundle))
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
