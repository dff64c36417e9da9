//! The vectors of passages, made once.

use std::collections::HashMap;

use domain::price::PriceMap;
use embedding::{Embedder, EmbeddingError, Purpose, embed_all};
use kernel::MicroCredits;
use kernel::digest::sha256_hex;
use store::joining::EmbeddingSpent;
use store::{ReadError, Store, Tenant};

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error(transparent)]
    Model(#[from] EmbeddingError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Vectors, and what they took.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedPassages {
    /// One for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What was used of the model.
    pub spent: EmbeddingSpent,
}

/// The vectors of texts that are to be found, in their order. Those that the model gave before to
/// the same texts of the org are taken from what was kept, if the model costs anything; the others
/// are kept for the next time, batch by batch, so that nothing is paid twice when a later one fails.
///
/// # Errors
/// [`EmbedError`].
pub async fn embed_passages(
    store: &Store,
    tenant: Tenant,
    embedder: &dyn Embedder,
    prices: &PriceMap,
    texts: &[&str],
) -> Result<EmbeddedPassages, EmbedError> {
    let model = embedder.model().to_string();
    let mut spent = EmbeddingSpent {
        model: model.clone(),
        calls: 0,
        tokens: 0,
        kept: 0,
        cost: None,
    };
    if !embedder.is_costly() {
        let vectors = embed_all(embedder, texts, Purpose::Passage).await?.vectors;
        return Ok(EmbeddedPassages { vectors, spent });
    }
    let digests: Vec<String> = texts
        .iter()
        .map(|text| sha256_hex(text.trim().as_bytes()))
        .collect();
    let kept = store.embedded_texts(tenant);
    let mut known: HashMap<String, Vec<f32>> = kept.find(&model, &digests).await?;
    known.retain(|_, vector| vector.len() == embedder.dimensions());
    let is_known = |digest: &&String| known.contains_key(*digest);
    spent.kept = digests.iter().filter(is_known).count() as u64;
    let mut missing: Vec<(&String, &str)> = digests
        .iter()
        .zip(texts.iter().copied())
        .filter(|(digest, text)| !known.contains_key(*digest) && !text.trim().is_empty())
        .collect();
    missing.sort_unstable();
    missing.dedup_by_key(|(digest, _)| *digest);
    for batch in missing.chunks(embedder.limits().texts.max(1)) {
        let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        let embedded = embed_all(embedder, &texts, Purpose::Passage).await?;
        spent.calls += embedded.usage.calls;
        spent.tokens += embedded.usage.tokens;
        let new: Vec<(String, &[f32])> = batch
            .iter()
            .zip(&embedded.vectors)
            .map(|((digest, _), vector)| ((*digest).clone(), vector.as_slice()))
            .collect();
        kept.keep(&model, &new).await?;
        let digests = batch.iter().map(|(digest, _)| (*digest).clone());
        known.extend(digests.zip(embedded.vectors));
    }
    spent.cost = cost(store, embedder, prices, spent.tokens);
    let blank = || vec![0.0; embedder.dimensions()];
    let vectors = digests
        .iter()
        .map(|digest| known.get(digest).cloned().unwrap_or_else(blank))
        .collect();
    Ok(EmbeddedPassages { vectors, spent })
}

/// What so many tokens cost, by the price of the model whatever the length of its vectors.
fn cost(
    store: &Store,
    embedder: &dyn Embedder,
    prices: &PriceMap,
    tokens: u64,
) -> Option<MicroCredits> {
    let price = prices.price_of(embedder.model().name(), store.now())?;
    Some(price.cost(domain::execution::Tokens {
        input_tokens: tokens,
        ..Default::default()
    }))
}
