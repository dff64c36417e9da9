//! Markers in answers and the places in documents that they stand for.

use domain::execution::{Citation, EffectOutcome};
use domain::knowledge::{Chunk, Passage};
use kernel::{FileId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;

/// Every place that tools have shown in a run, numbered in the order in which it was first shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sources(Vec<Citation>);

/// A passage as tools show it to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShownPassage {
    /// The marker to cite it by, such as `[1]`.
    pub(crate) citation: String,
    pub(crate) document: String,
    pub(crate) file_id: FileId,
    pub(crate) knowledge_base_id: KnowledgeBaseId,
    pub(crate) chunk: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) page: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) heading: Option<String>,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) score: Option<f64>,
}

/// The shape of a tool result that shows passages.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownPassages {
    pub(crate) passages: Vec<ShownPassage>,
}

impl Sources {
    /// The places that the settled calls of a journal have shown.
    pub(crate) fn from_journal(journal: &Journal) -> Self {
        let mut sources = Self::default();
        let contents = journal
            .effects()
            .filter_map(|effect| match &effect.outcome {
                Some(EffectOutcome::Tool {
                    content,
                    is_error: false,
                    ..
                }) => Some(content),
                _ => None,
            });
        for shown in contents.filter_map(|text| serde_json::from_str::<ShownPassages>(text).ok()) {
            for passage in shown.passages {
                sources.number(&passage);
            }
        }
        sources
    }

    /// Shows a chunk, under the number it has had or a new one.
    pub(crate) fn show(&mut self, chunk: Chunk, score: Option<f64>) -> ShownPassage {
        let heading = chunk.heading();
        let mut passage = ShownPassage {
            citation: String::new(),
            document: chunk.document,
            file_id: chunk.file,
            knowledge_base_id: chunk.knowledge_base,
            chunk: chunk.ordinal,
            page: chunk.page,
            heading,
            text: chunk.text,
            score: score.map(|score| (score * 1000.0).round() / 1000.0),
        };
        passage.citation = format!("[{}]", self.number(&passage));
        passage
    }

    /// Shows what a search found.
    pub(crate) fn show_all(&mut self, passages: Vec<Passage>) -> ShownPassages {
        let show = |passage: Passage| self.show(passage.chunk, Some(passage.score));
        ShownPassages {
            passages: passages.into_iter().map(show).collect(),
        }
    }

    /// The places that `answer` names by their markers, each once, in the order of their numbers.
    /// A marker that stands for nothing that was shown is not among them.
    pub(crate) fn cited_in(&self, answer: &str) -> Vec<Citation> {
        self.0
            .iter()
            .filter(|citation| answer.contains(&format!("[{}]", citation.marker)))
            .cloned()
            .collect()
    }

    fn number(&mut self, passage: &ShownPassage) -> u32 {
        let known = self.0.iter().find(|known| {
            known.file == passage.file_id
                && known.knowledge_base == passage.knowledge_base_id
                && known.chunk == passage.chunk
        });
        if let Some(known) = known {
            return known.marker;
        }
        let marker = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        self.0.push(Citation {
            marker,
            file: passage.file_id,
            knowledge_base: passage.knowledge_base_id,
            document: passage.document.clone(),
            page: passage.page,
            heading: passage.heading.clone(),
            chunk: passage.chunk,
        });
        marker
    }
}

#[cfg(test)]
mod tests {
    use kernel::OrgId;

    use super::*;

    fn chunk(ordinal: u32) -> Chunk {
        Chunk {
            org: OrgId::from_u128(1),
            knowledge_base: KnowledgeBaseId::from_u128(2),
            file: FileId::from_u128(3),
            document: "handbook.pdf".to_owned(),
            content_version: 1,
            ordinal,
            text: "Oil.".to_owned(),
            page: Some(ordinal + 1),
            heading_path: Vec::new(),
            start: 0,
            end: 4,
        }
    }

    #[test]
    fn a_place_keeps_its_number_and_only_named_places_are_cited() {
        let mut sources = Sources::default();
        assert_eq!(sources.show(chunk(4), None).citation, "[1]");
        assert_eq!(sources.show(chunk(9), None).citation, "[2]");
        assert_eq!(sources.show(chunk(4), Some(0.5)).citation, "[1]");
        let cited = sources.cited_in("Every 500 hours [2]. See also [7] and [12].");
        assert_eq!(
            cited.iter().map(|c| (c.marker, c.page)).collect::<Vec<_>>(),
            [(2, Some(10))]
        );
    }
}
