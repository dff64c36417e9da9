//! The model for tests and benchmarks: it counts its calls, and refuses when it is told to.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    Embedded, Embedder, EmbeddingError, InvalidModelId, Limits, ModelId, Purpose, Usage,
    vector::normalise,
};

/// In how many places of a vector a word shows.
const WORD_COMPONENTS: u32 = 16;

/// Gives a text the sum of a direction for each of its words, so that texts with the same words are
/// near. The directions of two models have nothing to do with each other.
#[derive(Clone)]
pub struct Scripted(Arc<Inner>);

struct Inner {
    model: ModelId,
    dimensions: usize,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    calls: Vec<Vec<String>>,
    failures: VecDeque<Option<EmbeddingError>>,
}

impl Scripted {
    /// A model with this id and vectors of this length.
    ///
    /// # Errors
    /// [`InvalidModelId`] if that is no id.
    pub fn new(id: &str, dimensions: usize) -> Result<Self, InvalidModelId> {
        Ok(Self(Arc::new(Inner {
            model: id.parse()?,
            dimensions,
            told: Mutex::default(),
        })))
    }

    /// Its id, as it is written.
    pub fn id(&self) -> String {
        self.0.model.to_string()
    }

    /// The texts of every call for passages so far.
    pub fn calls(&self) -> Vec<Vec<String>> {
        self.told().calls.clone()
    }

    /// What the next calls for passages end with, in order; `None` is an answer. Those after them
    /// are answered.
    pub fn then(&self, failures: impl IntoIterator<Item = Option<EmbeddingError>>) {
        self.told().failures.extend(failures);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0; self.0.dimensions];
        for word in text.split(|letter: char| !letter.is_alphanumeric()) {
            let word = word.to_lowercase();
            if word.is_empty() {
                continue;
            }
            for component in 0..WORD_COMPONENTS {
                let mut hasher = DefaultHasher::new();
                (self.id(), &word, component).hash(&mut hasher);
                let hash = hasher.finish();
                let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
                let place = hash % self.0.dimensions as u64;
                sum[usize::try_from(place).unwrap_or_default()] += sign;
            }
        }
        normalise(&mut sum);
        sum
    }
}

#[async_trait]
impl Embedder for Scripted {
    fn model(&self) -> &ModelId {
        &self.0.model
    }

    fn dimensions(&self) -> usize {
        self.0.dimensions
    }

    fn limits(&self) -> Limits {
        Limits {
            texts: 10,
            bytes: 100_000,
            bytes_per_text: 10_000,
        }
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Embedded, EmbeddingError> {
        if purpose == Purpose::Passage {
            let mut told = self.told();
            if let Some(Some(failure)) = told.failures.pop_front() {
                return Err(failure);
            }
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            told.calls.push(texts);
        }
        Ok(Embedded {
            vectors: texts.iter().map(|text| self.vector(text)).collect(),
            usage: Usage {
                calls: 1,
                tokens: 100,
            },
        })
    }
}
