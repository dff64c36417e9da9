//! The model that ships with the product.

use async_trait::async_trait;

use crate::{
    Embedded, Embedder, EmbeddingError, Limits, ModelId, Purpose, Usage, table::TABLE,
    tokenizer::for_each_token, vector::normalise,
};

/// Bump the version with every change to the table, the vocabulary or the tokeniser.
static MODEL: ModelId = ModelId::from_static("static-en-256", "1");

// A table of another width fails the build.
const _: () = assert!(TABLE.dimensions() == StaticModel::DIMENSIONS);

/// Static token embeddings: 256 dimensions, English, no network, no key.
///
/// The value is a handle without state. The table is read where the binary holds it; the first
/// use builds the vocabulary's lookup, about a millisecond and a megabyte.
#[derive(Debug, Clone, Copy, Default)]
pub struct StaticModel;

impl StaticModel {
    /// The length of every vector.
    pub const DIMENSIONS: usize = 256;

    /// Embeds one text, of any length, in time linear in it: the sum of its tokens' vectors,
    /// rare words weighing more than common ones, scaled to unit length.
    ///
    /// A text without a known token (empty, only white space, only emoji) gives a vector of
    /// zeros; see [`is_zero`](crate::is_zero).
    pub fn embed_text(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0; Self::DIMENSIONS];
        for_each_token(text, |token| TABLE.add_row(usize::from(token), &mut sum));
        normalise(&mut sum);
        sum
    }
}

#[async_trait]
impl Embedder for StaticModel {
    fn model(&self) -> &ModelId {
        &MODEL
    }

    fn dimensions(&self) -> usize {
        Self::DIMENSIONS
    }

    /// A caller gets to do something else between two calls of some milliseconds.
    fn limits(&self) -> Limits {
        Limits {
            texts: 200,
            bytes: 512 * 1024,
            bytes_per_text: usize::MAX,
        }
    }

    /// To make a vector anew is quicker than to look it up.
    fn is_costly(&self) -> bool {
        false
    }

    /// Never fails. It computes without yielding, some 25 MB of text a second on one core; a caller
    /// with more than that at hand passes it in parts.
    async fn embed(&self, texts: &[&str], _: Purpose) -> Result<Embedded, EmbeddingError> {
        Ok(Embedded {
            vectors: texts.iter().map(|text| self.embed_text(text)).collect(),
            usage: Usage::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_id_reads_back() {
        assert_eq!(MODEL.to_string().parse().as_ref(), Ok(&MODEL));
    }
}
