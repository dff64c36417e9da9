//! Markers in answers and the places in documents that they stand for.

use domain::execution::{Citation, EffectOutcome, EffectRequest, ShownPassage as Numbered};
use domain::knowledge::Chunk;
use domain::tool::Builtin;
use kernel::{FileId, KnowledgeBaseId};
use retrieval::FoundChunk;
use serde::{Deserialize, Serialize};
use store::objects::ObjectError;
use store::{Error, Store, Tenant};

use crate::journal::Journal;

/// Every place that a run was shown, by its agent's tools or before its model was asked, numbered
/// in the order in which it was first shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sources(Vec<Source>);

/// A place, and the text that was shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    citation: Citation,
    text: String,
}

/// A passage as tools show it to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShownPassage {
    /// The marker to cite it by, such as `[1]`.
    pub(crate) citation: String,
    pub(crate) document: String,
    /// Where it was read from, if it comes from the web.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) url: Option<String>,
    pub(crate) file_id: FileId,
    pub(crate) knowledge_base_id: KnowledgeBaseId,
    pub(crate) chunk: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) page: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) heading: Option<String>,
    /// The characters of the document's text that it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) start: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) end: Option<u32>,
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
    /// The places that the settled effects of a journal have shown. Only the platform's own tools
    /// show places: what another service answers is no source, whatever it looks like.
    pub(crate) fn from_journal(journal: &Journal) -> Self {
        let mut sources = Self::default();
        for effect in journal.effects() {
            match (&effect.request, &effect.outcome) {
                (_, Some(EffectOutcome::Retrieval { passages, .. })) => {
                    for passage in passages {
                        sources.number(passage.source.clone(), &passage.text);
                    }
                }
                (
                    EffectRequest::Tool { name, .. },
                    Some(EffectOutcome::Tool {
                        content,
                        is_error: false,
                        ..
                    }),
                ) if shows_places(name) => {
                    let shown = serde_json::from_str::<ShownPassages>(content);
                    for passage in shown.into_iter().flat_map(|shown| shown.passages) {
                        sources.number(passage.source(), &passage.text);
                    }
                }
                _ => {}
            }
        }
        sources
    }

    /// Shows a chunk, under the number it has had or a new one.
    pub(crate) fn show(&mut self, chunk: Chunk, score: Option<f64>) -> ShownPassage {
        let Numbered { source, text } = self.shown(chunk);
        ShownPassage {
            citation: format!("[{}]", source.marker),
            document: source.document,
            url: source.url,
            file_id: source.file,
            knowledge_base_id: source.knowledge_base,
            chunk: source.chunk,
            page: source.page,
            heading: source.heading,
            start: source.start,
            end: source.end,
            text,
            score: score.map(|score| (score * 1000.0).round() / 1000.0),
        }
    }

    /// Shows a chunk, as the journal keeps it.
    pub(crate) fn shown(&mut self, chunk: Chunk) -> Numbered {
        let mut source = Citation {
            marker: 0,
            heading: chunk.heading(),
            file: chunk.file,
            knowledge_base: chunk.knowledge_base,
            document: chunk.document,
            url: chunk.url,
            page: chunk.page,
            chunk: chunk.ordinal,
            start: Some(chunk.start),
            end: Some(chunk.end),
        };
        source.marker = self.number(source.clone(), &chunk.text);
        Numbered {
            source,
            text: chunk.text,
        }
    }

    /// Shows what a search found.
    pub(crate) fn show_all(&mut self, found: Vec<FoundChunk>) -> ShownPassages {
        let show = |found: FoundChunk| self.show(found.chunk, found.score);
        ShownPassages {
            passages: found.into_iter().map(show).collect(),
        }
    }

    /// The places that `answer` names by their markers, each once, in the order of their numbers.
    /// A marker that stands for nothing that was shown is not among them.
    fn cited_in(&self, answer: &str) -> Vec<&Source> {
        self.0
            .iter()
            .filter(|source| answer.contains(&format!("[{}]", source.citation.marker)))
            .collect()
    }

    /// The places that an answer names and that are still there: the document is part of the
    /// knowledge base, and its text says at that place what the run was shown.
    pub(crate) async fn checked(
        &self,
        store: &Store,
        tenant: Tenant,
        answer: &str,
    ) -> Result<Vec<Citation>, Error> {
        let cited = self.cited_in(answer);
        let places: Vec<_> = cited
            .iter()
            .map(|source| &source.citation)
            .map(|place| (place.knowledge_base, place.file, place.chunk))
            .collect();
        let there = store.knowledge(tenant).chunks_at(&places).await?;
        let mut checked = Vec::new();
        for source in cited {
            if there.iter().any(|chunk| source.is(chunk)) && source.stands(store, tenant).await? {
                checked.push(source.citation.clone());
            }
        }
        Ok(checked)
    }

    /// The number of a place: the one that it has had, or a new one.
    fn number(&mut self, citation: Citation, text: &str) -> u32 {
        let known = self.0.iter().find(|known| {
            let known = &known.citation;
            known.file == citation.file
                && known.knowledge_base == citation.knowledge_base
                && known.chunk == citation.chunk
        });
        if let Some(known) = known {
            return known.citation.marker;
        }
        let marker = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        self.0.push(Source {
            citation: Citation { marker, ..citation },
            text: text.to_owned(),
        });
        marker
    }
}

impl Source {
    /// Whether a chunk is the place, and says what was shown of it, at the very characters of its
    /// document.
    fn is(&self, chunk: &Chunk) -> bool {
        let place = &self.citation;
        (chunk.knowledge_base, chunk.file, chunk.ordinal)
            == (place.knowledge_base, place.file, place.chunk)
            && (Some(chunk.start), Some(chunk.end)) == (place.start, place.end)
            && chunk.text == self.text
    }

    /// Whether the text of the document says at the place what was shown of it.
    async fn stands(&self, store: &Store, tenant: Tenant) -> Result<bool, Error> {
        let (Some(start), Some(end)) = (self.citation.start, self.citation.end) else {
            return Ok(false);
        };
        let Some(file) = store.files(tenant).get(self.citation.file).await? else {
            return Ok(false);
        };
        let document = store.extracted(tenant, file.content());
        match document.text(start, end).await {
            Ok(text) => Ok(text == self.text),
            Err(ObjectError::Missing) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl ShownPassage {
    /// The place, without its number.
    fn source(&self) -> Citation {
        Citation {
            marker: 0,
            file: self.file_id,
            knowledge_base: self.knowledge_base_id,
            document: self.document.clone(),
            url: self.url.clone(),
            page: self.page,
            heading: self.heading.clone(),
            chunk: self.chunk,
            start: self.start,
            end: self.end,
        }
    }
}

/// Whether a tool is one of those that show places in documents.
fn shows_places(name: &str) -> bool {
    [Builtin::SearchKnowledge, Builtin::ReadDocument]
        .iter()
        .any(|builtin| builtin.name() == name)
}

#[cfg(test)]
mod tests {
    use domain::execution::Effect;
    use kernel::{ExecutionId, OrgId, Timestamp};
    use serde_json::json;

    use super::*;

    fn chunk(ordinal: u32) -> Chunk {
        Chunk {
            org: OrgId::from_u128(1),
            knowledge_base: KnowledgeBaseId::from_u128(2),
            file: FileId::from_u128(3),
            document: "handbook.pdf".to_owned(),
            url: None,
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
            cited
                .iter()
                .map(|source| (source.citation.marker, source.citation.page))
                .collect::<Vec<_>>(),
            [(2, Some(10))]
        );
    }

    /// A settled call of `tool` that answered with a passage.
    fn answered(tool: &str, call: u32) -> Effect {
        let mut elsewhere = Sources::default();
        let passages = vec![elsewhere.show(chunk(call), None)];
        let content = serde_json::to_string(&ShownPassages { passages }).expect("JSON");
        Effect {
            execution: ExecutionId::from_u128(7),
            step: 1,
            call,
            request: EffectRequest::Tool {
                call_id: "call".to_owned(),
                name: tool.to_owned(),
                arguments: json!({}),
                edited_arguments: None,
            },
            outcome: Some(EffectOutcome::Tool {
                content,
                is_error: false,
                whole: None,
            }),
            started_at: Timestamp::from_millis(5),
            settled_at: None,
            attempts: 1,
            unknown: false,
            approval: None,
            child: None,
        }
    }

    #[test]
    fn only_the_tools_of_the_platform_show_sources() {
        let journal = Journal::new(vec![
            answered("lookup", 1),
            answered("search_knowledge", 2),
            answered("files__search_knowledge", 3),
        ]);
        let sources = Sources::from_journal(&journal);
        let cited = sources.cited_in("[1] [2] [3]");
        assert_eq!(cited.len(), 1);
        assert_eq!(cited[0].citation.chunk, 2);
    }

    #[test]
    fn a_place_that_says_something_else_now_is_not_the_one_that_was_shown() {
        let mut sources = Sources::default();
        sources.show(chunk(4), None);
        let source = &sources.0[0];
        assert!(source.is(&chunk(4)));
        for other in [
            chunk(5),
            Chunk {
                text: "Coal".to_owned(),
                ..chunk(4)
            },
            Chunk {
                start: 1,
                end: 5,
                ..chunk(4)
            },
            Chunk { end: 9, ..chunk(4) },
            Chunk {
                file: FileId::from_u128(9),
                ..chunk(4)
            },
            Chunk {
                knowledge_base: KnowledgeBaseId::from_u128(9),
                ..chunk(4)
            },
        ] {
            assert!(!source.is(&other), "{other:?}");
        }
    }
}
