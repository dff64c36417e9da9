//! Embeddings: texts to vectors whose cosine says how close they are in meaning.
//!
//! | item | what it is |
//! |---|---|
//! | [`Embedder`] | the trait every embedding model stands behind |
//! | [`Embedders`] | the models at hand, by id |
//! | [`embed_all`] | many texts, in calls within a model's limits |
//! | [`ModelId`] | which model and version a vector came from; stored beside the vector |
//! | [`StaticModel`] | the model that ships with the product: no key, no network, English |
//! | [`Scripted`] | the model for tests and benchmarks |
//! | `MiniLm` | the whole transformer, with the feature `minilm` and its file |
//! | [`token_count`] | length of a text in WordPiece tokens, for chunk budgets |
//! | [`cosine`], [`is_zero`] | comparing vectors, and telling one that carries no meaning |
//!
//! # The static model
//! A table holds one vector for each of the 30,522 tokens of a WordPiece vocabulary; a text's
//! vector is the normalised sum of its tokens' vectors. Word order is lost, and so is the
//! difference between the senses of one word. That makes it the free tier: on the 32 questions of
//! `tests/suite/retrieval.json` it reaches a mean reciprocal rank of 0.91 where the transformer it
//! was distilled from reaches 0.96, and the gap is wider where many passages are alike. The
//! vocabulary is English; other languages fall apart into short pieces and retrieve poorly.
//!
//! `tools/embedding/build.py` makes the table; `model/NOTICE` says where its weights come from.

mod batches;
mod embedder;
mod embedders;
#[cfg(feature = "minilm")]
mod minilm;
mod model_id;
mod scripted;
mod static_model;
mod table;
mod tokenizer;
mod vector;

pub use batches::embed_all;
pub use embedder::{Embedded, Embedder, EmbeddingError, Limits, Purpose, Usage};
pub use embedders::Embedders;
#[cfg(feature = "minilm")]
pub use minilm::{MiniLm, MiniLmError};
pub use model_id::{InvalidModelId, ModelId};
pub use scripted::Scripted;
pub use static_model::StaticModel;
pub use tokenizer::token_count;
pub use vector::{DimensionMismatch, cosine, is_zero, normalise};

/// The lengths of vectors that an index can be had for. A model of another length is of no use.
pub const WIDTHS: [usize; 3] = [256, 384, 1024];
