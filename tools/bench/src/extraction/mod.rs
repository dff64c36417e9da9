//! From files to vectors: how fast text comes out of each format, how fast it is cut, and how fast
//! the pieces are embedded.

mod peers;
mod samples;

use std::time::{Duration, Instant};

use anyhow::anyhow;
use documents::{Chunk, ChunkOptions, Document, Isolation, Limits, Rejection};
use embedding::{StaticModel, token_count};

use crate::Effort;
use crate::figures::{amount, median, megabytes_per_second};
use crate::report::Table;
use samples::Sample;

/// As the worker cuts: a word is one token however long it is, so its bytes count as well.
const MOST_BYTES_PER_TOKEN: usize = 8;
const LEAST_PASSES: usize = 3;

/// Measures every format.
pub fn measure(effort: &Effort, peers: Option<&str>) -> anyhow::Result<String> {
    let samples = samples::every_format(effort.file_bytes)?;
    let mut table = Table::new(&[
        "format",
        "file MB",
        "text MB",
        "file MB/s",
        "text MB/s",
        "text MB/s, own process",
        "chunking MB/s",
        "embedding MB/s",
        "all, text MB/s",
    ]);
    for sample in &samples {
        table.row(row(sample, effort)?);
    }
    let mut text = table.to_string();
    if let Some(python) = peers {
        text.push('\n');
        text.push_str(&peers::beside_others(python, effort)?);
    }
    Ok(text)
}

fn row(sample: &Sample, effort: &Effort) -> anyhow::Result<Vec<String>> {
    let (reading, document) = reading(sample, &Isolation::Thread, effort)?;
    let (isolated, _) = self::reading(sample, &Isolation::this_program()?, effort)?;
    let length = document.text().len();
    let (chunking, chunks) = repeated(effort, || cut(&document));
    let pieces: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let (embedding, vectors) = repeated(effort, || embed(&chunks));
    if vectors.len() != chunks.len() {
        return Err(anyhow!(
            "{} chunks, {} vectors",
            chunks.len(),
            vectors.len()
        ));
    }
    let megabytes = |bytes: usize| format!("{:.2}", bytes as f64 / 1e6);
    let rate = |bytes, time| amount(megabytes_per_second(bytes, time));
    Ok(vec![
        sample.name.to_owned(),
        megabytes(sample.content.len()),
        megabytes(length),
        rate(sample.content.len(), reading),
        rate(length, reading),
        rate(length, isolated),
        rate(length, chunking),
        rate(pieces, embedding),
        rate(length, isolated + chunking + embedding),
    ])
}

/// How long a file takes to read, and what is in it.
fn reading(
    sample: &Sample,
    isolation: &Isolation,
    effort: &Effort,
) -> anyhow::Result<(Duration, Document)> {
    let limits = Limits::default();
    let (time, outcome) = repeated(effort, || {
        documents::process(sample.content.clone(), sample.file_name, &limits, isolation)
    });
    let refused = |rejection: Rejection| anyhow!("{} was refused: {rejection}", sample.name);
    Ok((time, outcome.map_err(refused)?))
}

fn cut(document: &Document) -> Vec<Chunk> {
    let size = |text: &str| token_count(text).max(text.len() / MOST_BYTES_PER_TOKEN);
    documents::chunk(document, &ChunkOptions::default(), &size)
}

fn embed(chunks: &[Chunk]) -> Vec<Vec<f32>> {
    chunks
        .iter()
        .map(|chunk| StaticModel.embed_text(&chunk.text))
        .collect()
}

/// Does something over and over. Returns the median of the times, and the last result.
fn repeated<T>(effort: &Effort, mut work: impl FnMut() -> T) -> (Duration, T) {
    let began = Instant::now();
    let mut times = Vec::new();
    loop {
        let start = Instant::now();
        let result = work();
        times.push(start.elapsed());
        if times.len() >= LEAST_PASSES && began.elapsed() >= effort.reading {
            return (median(&times), result);
        }
    }
}
