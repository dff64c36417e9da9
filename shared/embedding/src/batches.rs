//! Many texts, in as few calls as a model's limits allow.

use crate::embedder::{Embedded, Embedder, EmbeddingError, Limits, Purpose};

/// Embeds any number of texts, in their order, within the limits of the model. A text that is too
/// long is embedded up to its limit; a blank one gets a vector of zeros and is not sent anywhere.
///
/// # Errors
/// Those of [`Embedder::embed`]. What earlier calls gave is lost with the one that failed, so hand
/// over as many texts as may be embedded again.
pub async fn embed_all(
    embedder: &dyn Embedder,
    texts: &[&str],
    purpose: Purpose,
) -> Result<Embedded, EmbeddingError> {
    let limits = embedder.limits();
    let worded: Vec<(usize, &str)> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (at, clipped(text.trim(), limits.bytes_per_text)))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let mut all = Embedded {
        vectors: vec![vec![0.0; embedder.dimensions()]; texts.len()],
        ..Embedded::default()
    };
    for batch in batches(&worded, limits) {
        let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        let embedded = embedder.embed(&texts, purpose).await?;
        all.usage.add(embedded.usage);
        for ((at, _), vector) in batch.iter().zip(embedded.vectors) {
            all.vectors[*at] = vector;
        }
    }
    Ok(all)
}

/// The longest beginning of a text within so many bytes.
fn clipped(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The texts cut into runs of which each is within the limits. A text that alone is above the
/// bytes of a call stands alone.
fn batches<'a, 'b>(texts: &'a [(usize, &'b str)], limits: Limits) -> Vec<&'a [(usize, &'b str)]> {
    let mut batches = Vec::new();
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(limits.texts)
            .take_while(|(_, text)| {
                bytes += text.len();
                bytes <= limits.bytes
            })
            .count();
        let (batch, after) = rest.split_at(fitting.max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::{ModelId, Usage};

    /// Gives a text its length as its vector, and remembers what it was called with.
    struct Lengths {
        model: ModelId,
        limits: Limits,
        calls: Mutex<Vec<Vec<String>>>,
    }

    #[async_trait]
    impl Embedder for Lengths {
        fn model(&self) -> &ModelId {
            &self.model
        }

        fn dimensions(&self) -> usize {
            1
        }

        fn limits(&self) -> Limits {
            self.limits
        }

        async fn embed(&self, texts: &[&str], _: Purpose) -> Result<Embedded, EmbeddingError> {
            let call = texts.iter().map(|text| (*text).to_owned()).collect();
            self.calls.lock().expect("unpoisoned").push(call);
            let usage = Usage {
                calls: 1,
                tokens: 10,
            };
            let vectors = texts.iter().map(|text| vec![text.len() as f32]).collect();
            Ok(Embedded { vectors, usage })
        }
    }

    async fn embed(texts: &[&str]) -> (Embedded, Vec<Vec<String>>) {
        let model = Lengths {
            model: ModelId::new("lengths", "1").expect("an id"),
            limits: Limits {
                texts: 3,
                bytes: 10,
                bytes_per_text: 8,
            },
            calls: Mutex::default(),
        };
        let embedded = embed_all(&model, texts, Purpose::Passage).await;
        let calls = model.calls.into_inner().expect("unpoisoned");
        (embedded.expect("embedded"), calls)
    }

    #[tokio::test]
    async fn a_call_holds_no_more_texts_and_bytes_than_the_model_takes() {
        let (embedded, calls) = embed(&["a", "b", "c", "d", "eeeeee", "ffff", "g"]).await;
        assert_eq!(
            calls,
            [vec!["a", "b", "c"], vec!["d", "eeeeee"], vec!["ffff", "g"]]
        );
        let lengths: Vec<f32> = embedded.vectors.concat();
        assert_eq!(lengths, [1.0, 1.0, 1.0, 1.0, 6.0, 4.0, 1.0]);
        assert_eq!((embedded.usage.calls, embedded.usage.tokens), (3, 30));
    }

    #[tokio::test]
    async fn a_text_that_is_too_long_is_cut_between_characters() {
        let (embedded, calls) = embed(&["äääääääää"]).await;
        assert_eq!(calls, [vec!["ääää"]]);
        assert_eq!(embedded.vectors, [[8.0]]);
    }

    #[tokio::test]
    async fn blank_texts_keep_their_places_and_are_not_sent() {
        let (embedded, calls) = embed(&["", "a", " \n", "b"]).await;
        assert_eq!(calls, [vec!["a", "b"]]);
        assert_eq!(embedded.vectors, [[0.0], [1.0], [0.0], [1.0]]);
        let (embedded, calls) = embed(&["", " "]).await;
        assert!(calls.is_empty() && embedded.usage == Usage::default());
        assert_eq!(embedded.vectors.len(), 2);
    }
}
