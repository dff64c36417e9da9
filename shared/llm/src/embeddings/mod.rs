//! Providers' embedding models, behind [`Embedder`](embedding::Embedder).
//!
//! A model's id is `provider::name@dimensions`: the same model asked for another length gives
//! vectors that cannot be compared with these. A call is made once; whoever made it decides from
//! [`EmbeddingError`] whether it is made again. To embed twice is harmless, and paid for twice.

mod bedrock;
mod openai;

use embedding::{Embedded, EmbeddingError, ModelId, Usage};

use crate::error::ModelError;

pub(crate) use bedrock::BedrockEmbeddings;
pub(crate) use openai::OpenAiEmbeddings;

/// A reply is read up to here: 2,000 vectors of 1,024 numbers have some 25 MB.
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// What a provider's complaint means for texts that are to be embedded.
fn fault(model: &ModelId, error: &ModelError) -> EmbeddingError {
    let model = model.clone();
    let reason = error.to_string();
    match error {
        ModelError::Unauthorized { .. }
        | ModelError::Forbidden { .. }
        | ModelError::QuotaExhausted { .. }
        | ModelError::InvalidRequest { .. }
        | ModelError::UnknownModel { .. }
        | ModelError::UnknownProvider { .. }
        | ModelError::ContextTooLong { .. }
        | ModelError::ContentFiltered { .. }
        | ModelError::SchemaMismatch { .. } => EmbeddingError::Refused { model, reason },
        ModelError::RateLimited { .. }
        | ModelError::Overloaded { .. }
        | ModelError::Unreachable { .. }
        | ModelError::Unavailable { .. }
        | ModelError::Timeout { .. }
        | ModelError::ConnectionLost { .. }
        | ModelError::Interrupted { .. }
        | ModelError::MalformedReply { .. } => EmbeddingError::Unavailable {
            model,
            reason,
            retry_after: error.retry_after(),
        },
    }
}

/// Vectors as a provider gave them, if they are what was asked for: as many as there were texts, of
/// the length that the model's index has, and made of numbers. They are scaled to unit length.
fn checked(
    model: &ModelId,
    dimensions: usize,
    texts: usize,
    vectors: Vec<Vec<f32>>,
    usage: Usage,
) -> Result<Embedded, EmbeddingError> {
    let refused = |reason: String| EmbeddingError::Refused {
        model: model.clone(),
        reason,
    };
    if vectors.len() != texts {
        let got = vectors.len();
        return Err(refused(format!("it gave {got} vectors for {texts} texts")));
    }
    let mut vectors = vectors;
    for vector in &mut vectors {
        if vector.len() != dimensions {
            let got = vector.len();
            return Err(refused(format!(
                "it gave a vector of {got} dimensions where {dimensions} are configured"
            )));
        }
        if !vector.iter().all(|number| number.is_finite()) {
            return Err(refused("it gave a vector of no numbers".to_owned()));
        }
        embedding::normalise(vector);
    }
    Ok(Embedded { vectors, usage })
}
