//! How fast documents come in and answers come out, by the size of the index.

use std::path::Path;
use std::time::{Duration, Instant};

use embedding::Embedders;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::Amounts;
use super::corpus::Corpus;
use super::stage::{Mode, Stage};
use crate::figures::{amount, millis, percentile};
use crate::report::Table;

/// What a chunk of the made texts has of them, in bytes; so the number of chunks is about what is
/// wanted, and what it came to is in the table.
const BYTES_PER_CHUNK: usize = 1_000;
const BYTES_PER_DOCUMENT: usize = 2_000_000;
const SEED: u64 = 7;

pub async fn measure(root: &Path, corpus: &Corpus, amounts: &Amounts) -> anyhow::Result<String> {
    let mut ingest = Table::new(&[
        "chunks",
        "text MB",
        "ingest MB/s",
        "index KB per MB of text",
    ]);
    let mut answers = Table::new(&[
        "chunks",
        "search",
        "warm p50 ms",
        "p95 ms",
        "new reader p50 ms",
        "slowest ms",
    ]);
    for &wanted in amounts.chunks {
        let stage = Stage::open(root, Embedders::default()).await?;
        let measured = measure_size(stage, corpus, wanted, amounts).await?;
        ingest.row(measured.ingest);
        measured
            .answers
            .into_iter()
            .for_each(|row| answers.row(row));
    }
    Ok(format!("{ingest}\n{answers}"))
}

struct Measured {
    ingest: Vec<String>,
    answers: Vec<Vec<String>>,
}

async fn measure_size(
    mut stage: Stage,
    corpus: &Corpus,
    wanted: usize,
    amounts: &Amounts,
) -> anyhow::Result<Measured> {
    let bytes = wanted * BYTES_PER_CHUNK;
    let documents = bytes.div_ceil(BYTES_PER_DOCUMENT);
    let texts: Vec<String> = (0..documents as u64)
        .map(|number| corpus.made(SEED + number, bytes / documents))
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let base = stage.knowledge_base("Made", None).await?;
    let began = Instant::now();
    let named = texts.into_iter().zip(1..);
    let named = named.map(|(text, number)| (format!("made-{number}.md"), text.into_bytes()));
    stage.upload(&base, named).await?;
    let found = stage.wait_until_found(&base, documents).await?;
    let chunks = found.chunks;
    let took = found.at.map_or_else(|| began.elapsed(), |at| at - began);
    stage.product.rest().await?;
    let megabytes = bytes as f64 / 1e6;
    let ingest = vec![
        chunks.to_string(),
        format!("{megabytes:.1}"),
        amount(megabytes / took.as_secs_f64()),
        format!("{:.0}", stage.index_bytes().await? as f64 / 1e3 / megabytes),
    ];
    let mut answers = Vec::new();
    for mode in Mode::ALL {
        let warm = warm(&stage, corpus, mode, amounts.asked).await?;
        let new;
        (stage, new) = new_readers(stage, corpus, mode, amounts.starts).await?;
        answers.push(row(chunks, mode, &warm, &new));
    }
    stage.product.end().await;
    Ok(Measured { ingest, answers })
}

fn row(chunks: u64, mode: Mode, warm: &[Duration], new: &[Duration]) -> Vec<String> {
    let at = |times: &[Duration], share| percentile(times, share).map_or_else(String::new, millis);
    vec![
        chunks.to_string(),
        mode.name().to_owned(),
        at(warm, 0.5),
        at(warm, 0.95),
        at(new, 0.5),
        at(new, 1.0),
    ]
}

/// The times of questions to a reader that has answered before.
async fn warm(
    stage: &Stage,
    corpus: &Corpus,
    mode: Mode,
    asked: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut times = Vec::new();
    for number in 0..=asked {
        let took = ask(stage, &question(corpus, &mut random, mode)).await?;
        // The first warms.
        if number > 0 {
            times.push(took);
        }
    }
    Ok(times)
}

/// The times of the first question to a reader whose process has just begun, and has nothing of the
/// index yet.
async fn new_readers(
    mut stage: Stage,
    corpus: &Corpus,
    mode: Mode,
    starts: usize,
) -> anyhow::Result<(Stage, Vec<Duration>)> {
    let mut random = StdRng::seed_from_u64(SEED + 1);
    let mut times = Vec::new();
    for _ in 0..starts {
        stage.product = stage.product.restarted().await?;
        // The connection is made, and who asks is known.
        let _: Value = stage.product.client.get("/v1/knowledge-bases").await?;
        times.push(ask(&stage, &question(corpus, &mut random, mode)).await?);
    }
    Ok((stage, times))
}

async fn ask(stage: &Stage, question: &Value) -> anyhow::Result<Duration> {
    let began = Instant::now();
    stage.search(question).await?;
    Ok(began.elapsed())
}

/// Words of a sentence, a third each as they are, with a phrase in them, and with a beginning of a
/// word. To meanings alone, the sentence.
fn question(corpus: &Corpus, random: &mut StdRng, mode: Mode) -> Value {
    let sentence = corpus.sentence(random);
    let words: Vec<&str> = sentence
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.len() > 3)
        .collect();
    let some: Vec<&str> = words.choose_multiple(random, 3).copied().collect();
    let query = match random.random_range(0..3) {
        _ if mode == Mode::Semantic => sentence.to_owned(),
        0 => some.join(" "),
        1 => match words.get(..2) {
            Some(pair) => format!("\"{}\" {}", pair.join(" "), some.join(" ")),
            None => some.join(" "),
        },
        _ => match some.split_last() {
            Some((last, before)) => {
                let beginning: String = last.chars().take(4).collect();
                format!("{} {beginning}*", before.join(" "))
            }
            None => sentence.to_owned(),
        },
    };
    json!({ "query": query, "mode": mode.name(), "kinds": ["chunk"], "limit": 10 })
}
