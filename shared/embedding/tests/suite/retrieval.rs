//! Whether questions find the passages that answer them.

use embedding::{StaticModel, cosine};

/// The measured mean reciprocal rank is 0.9102; `tools/embedding/reference.py evaluate` finds the
/// same, and 0.9570 for the full transformer. A random order would give 0.13.
const FLOOR: f64 = 0.91;

#[derive(serde::Deserialize)]
struct Pair {
    question: String,
    passage: String,
}

#[test]
fn questions_find_their_passages() {
    let pairs: Vec<Pair> = serde_json::from_str(include_str!("retrieval.json")).expect("pairs");
    assert!(pairs.len() >= 30);
    let passages: Vec<_> = pairs
        .iter()
        .map(|pair| StaticModel.embed_text(&pair.passage))
        .collect();
    let reciprocal_ranks = pairs.iter().zip(&passages).map(|(pair, wanted)| {
        let question = StaticModel.embed_text(&pair.question);
        let score = |passage: &[f32]| cosine(&question, passage).expect("one model");
        let better = passages.iter().filter(|other| score(other) > score(wanted));
        1.0 / (1 + better.count()) as f64
    });
    let mean = reciprocal_ranks.sum::<f64>() / pairs.len() as f64;
    assert!(mean >= FLOOR, "mean reciprocal rank {mean:.4}");
}
