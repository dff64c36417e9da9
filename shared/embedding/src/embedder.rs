//! The trait that embedding models implement.

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
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbeddingError>;
}

/// Why a model returned no vectors. The reasons are for the log; they never hold the texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// The model could not be reached, or is over its rate limit.
    #[error("embedding model {model} is unavailable: {reason}")]
    Unavailable { model: ModelId, reason: String },

    /// The model refuses these texts, and would refuse them again.
    #[error("embedding model {model} refused the texts: {reason}")]
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
}
