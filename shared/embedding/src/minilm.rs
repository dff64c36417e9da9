//! The transformer that the static table was distilled from, read from a file and run by `rten`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rten::{Model, NodeId, ValueOrView};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    Embedded, Embedder, EmbeddingError, Limits, ModelId, Purpose, Usage, tokenizer::for_each_token,
    vector::normalise,
};

/// Bump the version with every change to the file, the vocabulary or the tokeniser.
static MODEL: ModelId = ModelId::from_static("minilm-en-384", "1");

/// What `tools/embedding/minilm.py` writes, everywhere.
const FILE_BYTES: u64 = 90_291_779;
const FILE_SHA256: &str = "8beeffa658cfec9e4688175d084bce5d4248a0b82e19fdef2b959d9ebc06d80f";

/// Around every text.
const START: i32 = 101;
const END: i32 = 102;
/// The most tokens of a text, with start and end. What is beyond them is not embedded.
const MOST_TOKENS: usize = 512;

/// A file that is no model.
#[derive(Debug, thiserror::Error)]
pub enum MiniLmError {
    #[error("the file of the model cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(
        "the file is not the one that tools/embedding/minilm.py writes: it has {found}, and not \
         {expected}"
    )]
    OtherFile { found: String, expected: String },
    #[error("the model cannot be loaded: {0}")]
    Unloadable(String),
}

/// MiniLM with all its layers: 384 dimensions, English, no network, no key. It takes a file of 90 MB,
/// as much memory, and some ten milliseconds a text. Clones share everything.
#[derive(Clone)]
pub struct MiniLm(Arc<Graph>);

struct Graph {
    model: Model,
    ids: NodeId,
    positions: NodeId,
    mean: NodeId,
    dimensions: usize,
    most_tokens: usize,
}

impl MiniLm {
    /// The length of every vector.
    pub const DIMENSIONS: usize = 384;

    /// Reads the model from its file.
    ///
    /// # Errors
    /// [`MiniLmError`] if the file is not there, is another, or is damaged.
    pub fn load(file: &Path) -> Result<Self, MiniLmError> {
        let other = |found: String, expected: String| MiniLmError::OtherFile { found, expected };
        let bytes = std::fs::metadata(file)?.len();
        if bytes != FILE_BYTES {
            return Err(other(
                format!("{bytes} bytes"),
                format!("{FILE_BYTES} bytes"),
            ));
        }
        let data = std::fs::read(file)?;
        let found: String = Sha256::digest(&data)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found != FILE_SHA256 {
            let expected = format!("SHA-256 {FILE_SHA256}");
            return Err(other(format!("SHA-256 {found}"), expected));
        }
        Self::from_graph(data, Self::DIMENSIONS, MOST_TOKENS)
    }

    fn from_graph(
        data: Vec<u8>,
        dimensions: usize,
        most_tokens: usize,
    ) -> Result<Self, MiniLmError> {
        let unloadable = |error: &dyn std::fmt::Display| MiniLmError::Unloadable(error.to_string());
        let model = Model::load(data).map_err(|error| unloadable(&error))?;
        let node = |name| model.node_id(name).map_err(|error| unloadable(&error));
        let (ids, positions, mean) = (node("ids")?, node("positions")?, node("mean")?);
        Ok(Self(Arc::new(Graph {
            model,
            ids,
            positions,
            mean,
            dimensions,
            most_tokens,
        })))
    }

    /// Embeds one text, up to its 510th token.
    fn embed_text(&self, text: &str) -> Result<Vec<f32>, String> {
        let graph = &*self.0;
        let mut ids = vec![START];
        for_each_token(text, |token| {
            if ids.len() < graph.most_tokens - 1 {
                ids.push(i32::from(token));
            }
        });
        ids.push(END);
        self.run(ids)
    }

    fn run(&self, ids: Vec<i32>) -> Result<Vec<f32>, String> {
        let graph = &*self.0;
        let count = ids.len();
        let positions: Vec<i32> = (0..).take(count).collect();
        let inputs: Vec<(NodeId, ValueOrView<'_>)> = vec![
            (graph.ids, NdTensor::from_data([count], ids).into()),
            (
                graph.positions,
                NdTensor::from_data([count], positions).into(),
            ),
        ];
        let outputs = graph.model.run(inputs, &[graph.mean], None);
        let mean = outputs
            .map_err(|error| error.to_string())?
            .pop()
            .ok_or("the model gave nothing")?;
        let mean: NdTensor<f32, 1> = mean
            .try_into()
            .map_err(|_| "the model gave something else than a vector")?;
        let mut vector = mean.to_vec();
        if vector.len() != graph.dimensions {
            return Err(format!("the model gave {} dimensions", vector.len()));
        }
        normalise(&mut vector);
        Ok(vector)
    }
}

#[async_trait]
impl Embedder for MiniLm {
    fn model(&self) -> &ModelId {
        &MODEL
    }

    fn dimensions(&self) -> usize {
        self.0.dimensions
    }

    /// Few at once, so that a worker can stop between two calls.
    fn limits(&self) -> Limits {
        Limits {
            texts: 16,
            bytes: 128 * 1024,
            bytes_per_text: 8 * 1024,
        }
    }

    /// Computes on a thread for such work, with all cores.
    async fn embed(&self, texts: &[&str], _: Purpose) -> Result<Embedded, EmbeddingError> {
        let failed = |reason: String| EmbeddingError::Refused {
            model: MODEL.clone(),
            reason,
        };
        let model = self.clone();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let embedding = tokio::task::spawn_blocking(move || {
            let vectors = texts.iter().map(|text| model.embed_text(text));
            vectors.collect::<Result<Vec<_>, String>>()
        });
        let vectors = embedding
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)?;
        Ok(Embedded {
            vectors,
            usage: Usage::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TINY: &[u8] = include_bytes!("../tests/suite/tiny-minilm.onnx");

    fn tiny() -> MiniLm {
        MiniLm::from_graph(TINY.to_vec(), 16, 16).expect("a graph")
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        ids: Vec<i32>,
        vector: Vec<f32>,
    }

    #[test]
    fn agrees_with_the_reference_on_a_model_of_the_same_shape() {
        let goldens: Vec<Golden> =
            serde_json::from_str(include_str!("../tests/suite/tiny-minilm.json")).expect("goldens");
        assert!(goldens.len() >= 4);
        for Golden { ids, vector } in goldens {
            let found = tiny().run(ids.clone()).expect("a vector");
            for (x, y) in found.iter().zip(&vector) {
                assert!((x - y).abs() < 1e-4, "{ids:?}: {found:?} for {vector:?}");
            }
            assert_eq!(found.len(), vector.len());
        }
    }

    #[tokio::test]
    async fn a_text_is_framed_and_cut_where_the_positions_end() {
        let model = tiny();
        // Words that are within the small vocabulary: single letters.
        let letters = |count: usize| vec!["a"; count].join(" ");
        let texts = [letters(14), letters(15), letters(100), letters(13)];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedded = model.embed(&texts, Purpose::Passage).await;
        let vectors = embedded.expect("embedded").vectors;
        assert_eq!(vectors[0], vectors[1]);
        assert_eq!(vectors[0], vectors[2]);
        assert_ne!(vectors[0], vectors[3]);
        let mut a = 0;
        for_each_token("a", |token| a = i32::from(token));
        let framed = model.run(vec![START, a, END]).expect("a vector");
        assert_eq!(model.embed_text("A").expect("a vector"), framed);
    }

    #[test]
    fn another_file_is_refused_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        let refused = |path: &Path| match MiniLm::load(path) {
            Ok(_) => panic!("another file was taken for the model"),
            Err(error) => error.to_string(),
        };
        assert!(refused(&path).contains("cannot be read"));
        std::fs::write(&path, TINY).expect("written");
        assert!(refused(&path).contains("166540 bytes"));
        let mut file = std::fs::File::create(&path).expect("made");
        file.write_all(TINY).expect("written");
        file.set_len(FILE_BYTES).expect("a file of the same size");
        let reason = refused(&path);
        assert!(reason.contains("SHA-256"), "{reason}");
        assert!(MiniLm::from_graph(vec![1, 2, 3], 16, 16).is_err());
    }
}
