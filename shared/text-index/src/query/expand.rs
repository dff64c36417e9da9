//! Words of the index that a word of a query stands for: those that begin with it, those that are
//! near to it.

use std::collections::BTreeMap;

use tantivy::query::{EnableScoring, FuzzyTermQuery, Query};
use tantivy::schema::Field;
use tantivy::{DocSet as _, Searcher, TERMINATED, Term};

/// How many words a beginning stands for: the most frequent ones.
pub(crate) const MAX_PREFIXED: usize = 50;
/// How many words are looked at to find them.
const MAX_LOOKED_AT: usize = 20_000;
/// How many near words are looked for instead of one.
pub(crate) const MAX_NEAR: usize = 5;
/// How many near words are tried, to find those that something visible has.
const MAX_TRIED: usize = 25;

/// How many letters of a word may be wrong: none of a short one, where every other word is near.
pub(crate) fn typos_allowed(word: &str) -> u8 {
    if word.chars().any(|letter| letter.is_numeric()) {
        return 0;
    }
    match word.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// The most frequent words that begin so.
pub(crate) fn prefixed(
    searcher: &Searcher,
    fields: &[Field],
    prefix: &str,
) -> tantivy::Result<Vec<String>> {
    let mut found: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for segment in searcher.segment_readers() {
        for field in fields {
            let inverted = segment.inverted_index(*field)?;
            let mut stream = inverted.terms().range().ge(prefix).into_stream()?;
            let mut looked_at = 0;
            while looked_at < MAX_LOOKED_AT && stream.advance() {
                if !stream.key().starts_with(prefix.as_bytes()) {
                    break;
                }
                looked_at += 1;
                *found.entry(stream.key().to_vec()).or_default() +=
                    u64::from(stream.value().doc_freq);
            }
        }
    }
    Ok(most_frequent(found, MAX_PREFIXED))
}

/// Words near to one that nothing visible has, which something visible has: the nearest, and of
/// those the most frequent.
pub(crate) fn near(
    searcher: &Searcher,
    fields: &[Field],
    word: &str,
    is_visible: impl Fn(&str) -> tantivy::Result<bool>,
) -> tantivy::Result<Vec<(String, u8)>> {
    let mut near: Vec<(String, u8)> = Vec::new();
    for distance in 1..=typos_allowed(word) {
        let mut found: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for field in fields {
            let term = Term::from_field_text(*field, word);
            let query = FuzzyTermQuery::new(term, distance, true);
            for segment in searcher.segment_readers() {
                let inverted = segment.inverted_index(*field)?;
                let mut stream = inverted.terms().search(query.automaton()?).into_stream()?;
                while stream.advance() {
                    if begins_alike(stream.key(), word) {
                        *found.entry(stream.key().to_vec()).or_default() +=
                            u64::from(stream.value().doc_freq);
                    }
                }
            }
        }
        for candidate in most_frequent(found, MAX_TRIED) {
            let known = candidate == word || near.iter().any(|(text, _)| *text == candidate);
            if !known && near.len() < MAX_NEAR && is_visible(&candidate)? {
                near.push((candidate, distance));
            }
        }
        if !near.is_empty() {
            break;
        }
    }
    Ok(near)
}

/// People rarely get the first letter wrong, and most words that differ in it mean something else.
fn begins_alike(key: &[u8], word: &str) -> bool {
    let text = std::str::from_utf8(key).unwrap_or_default();
    text.chars().next() == word.chars().next()
}

fn most_frequent(found: BTreeMap<Vec<u8>, u64>, most: usize) -> Vec<String> {
    let mut words: Vec<(Vec<u8>, u64)> = found.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let texts = words.into_iter().take(most);
    texts
        .filter_map(|(key, _)| String::from_utf8(key).ok())
        .collect()
}

/// Whether anything answers a query.
pub(crate) fn finds_any(searcher: &Searcher, query: &dyn Query) -> tantivy::Result<bool> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    for segment in searcher.segment_readers() {
        let mut scorer = weight.scorer(segment, 1.0)?;
        let mut document = scorer.doc();
        while document != TERMINATED {
            if !segment.is_deleted(document) {
                return Ok(true);
            }
            document = scorer.advance();
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_words_may_have_more_wrong_letters() {
        let allowed = ["oil", "pump", "handles", "handbook", "inv2024x"].map(typos_allowed);
        assert_eq!(allowed, [0, 1, 1, 2, 0]);
    }
}
