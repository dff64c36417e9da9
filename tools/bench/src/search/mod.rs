//! Search: how good answers are, how fast they come, and what an index costs.

mod corpus;
mod quality;
mod scale;
mod stage;

use std::path::Path;

use crate::Effort;
use corpus::Corpus;

/// How much is measured of search.
#[derive(Debug, Clone)]
pub struct Amounts {
    /// Documents of the retrieval set, at most.
    pub documents: usize,
    /// Questions of it, at most.
    pub questions: usize,
    /// How many chunks the indexes have whose speed is measured.
    pub chunks: &'static [usize],
    /// How often each kind of question is asked of a warm reader.
    pub asked: usize,
    /// How many new readers are asked their first question.
    pub starts: usize,
}

/// Measures quality, and then speed at each size. `minilm` is the file that
/// `tools/embedding/minilm.py` makes; without it that model is left out.
pub async fn measure(
    root: &Path,
    effort: &Effort,
    minilm: Option<&Path>,
) -> anyhow::Result<String> {
    let corpus = Corpus::open(&root.join("target"), &effort.search)?;
    let quality = quality::measure(root, &corpus, minilm).await?;
    let scale = scale::measure(root, &corpus, &effort.search).await?;
    Ok(format!("{quality}\n{scale}"))
}
