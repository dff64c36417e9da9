//! The trait that embedding models implement.

use std::time::Duration;

use async_trait::async_trait;

use crate::ModelId;

/// A model that turns texts into vectors.
///
/// Vectors of two models share no space, whatever their dimensions. Store [`Embedder::model`]
/// beside every vector, and compare only vectors whose models are equal.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model and version that every vector of this embedder belongs to.
    fn model(&self) -> &ModelId;

    /// The length of every vector.
    fn dimensions(&self) -> usize;

    /// How much one call takes. [`embed_all`](crate::embed_all) keeps to it.
    fn limits(&self) -> Limits;

    /// Whether a vector is worth keeping for the next time that its text is embedded: it costs
    /// money, or more time than to look it up.
    fn is_costly(&self) -> bool {
        true
    }

    /// Embeds each text: one vector per text, in the order of `texts`, each of
    /// [`Embedder::dimensions`] components and of unit length.
    ///
    /// A text in which the model finds nothing to embed, such as an empty one, gives a vector of
    /// zeros ([`is_zero`](crate::is_zero)). A cosine index has no place for such a vector: leave
    /// it out of the index rather than store it.
    ///
    /// # Errors
    /// All or nothing: an error means that no text was embedded. Whether to try again is
    /// [`EmbeddingError::is_transient`].
    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Embedded, EmbeddingError>;
}

/// What a text is embedded for. Some models give a question another vector than a passage of the
/// same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A text that is to be found.
    Passage,
    /// What somebody looks for.
    Query,
}

/// How much one call of [`Embedder::embed`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most texts in one call.
    pub texts: usize,
    /// The most bytes of all texts of one call. A token has at least one byte, so this bounds the
    /// tokens of any vocabulary.
    pub bytes: usize,
    /// The most bytes of one text; what is beyond them is not embedded.
    pub bytes_per_text: usize,
}

/// Vectors, and what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embedded {
    /// One for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What was used.
    pub usage: Usage,
}

/// What calls used up, as far as the provider says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls of a provider.
    pub calls: u64,
    /// Tokens that the provider counted.
    pub tokens: u64,
}

impl Usage {
    /// Adds what another call used.
    pub fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }
}

/// Why a model returned no vectors. The reasons never hold the texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// The model could not be reached, or is over its rate limit.
    #[error("The embedding model {model} is unavailable: {reason}.")]
    Unavailable {
        model: ModelId,
        reason: String,
        /// How long the provider asks to wait before another try.
        retry_after: Option<Duration>,
    },

    /// The model refuses these texts, and would refuse them again.
    #[error("The embedding model {model} refused: {reason}.")]
    Refused { model: ModelId, reason: String },
}

impl EmbeddingError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// How long the provider asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Refused { .. } => None,
        }
    }
}
