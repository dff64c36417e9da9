//! A hit as it is shown.

use std::ops::Range;

use kernel::{
    AgentId, ConversationId, ExecutionId, FileId, KnowledgeBaseId, SwarmId, TaskId, Timestamp,
};
use serde::Serialize;
use text_index::{Highlight, HighlightedField, Hit, Item, ItemKind};
use utoipa::ToSchema;

use crate::request::Kind;

/// The most characters of a snippet without words that were looked for.
const SNIPPET_CHARS: usize = 240;
/// The most characters that a link asks for.
const LINKED_CHARS: u32 = 100_000;

/// A part of a text with the words that were looked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchHighlight)]
pub(crate) struct HighlightView {
    field: FieldName,
    text: String,
    /// The same as HTML, with `<mark>` around each word and everything else escaped.
    marked: String,
    /// The words, in characters of `text`.
    ranges: Vec<Characters>,
    /// Where `text` begins in its field, in characters.
    offset: usize,
}

/// A text of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchField)]
pub(crate) enum FieldName {
    Title,
    Heading,
    Body,
}

/// From one character on, and before another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchRange)]
pub(crate) struct Characters {
    start: usize,
    end: usize,
}

impl From<Highlight> for HighlightView {
    fn from(highlight: Highlight) -> Self {
        let range = |range: &Range<usize>| Characters {
            start: range.start,
            end: range.end,
        };
        Self {
            field: match highlight.field {
                HighlightedField::Title => FieldName::Title,
                HighlightedField::Heading => FieldName::Heading,
                HighlightedField::Body => FieldName::Body,
            },
            marked: marked(&highlight.text, &highlight.ranges),
            ranges: highlight.ranges.iter().map(range).collect(),
            text: highlight.text,
            offset: highlight.offset,
        }
    }
}

/// Something that was found. What it does not have is absent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub(crate) struct FoundHit {
    kind: Kind,
    /// Unique among hits of its kind: of a document `kb_…/fil_…`, of a chunk `kb_…/fil_…/000007`, of a
    /// message of a conversation `exe_…/input` or `exe_…/answer`, else the id of the thing.
    id: String,
    title: String,
    /// Where it is read in this API.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// A part of its text.
    snippet: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    highlights: Vec<HighlightView>,
    /// The higher, the better; comparable within one answer. Of fused rankings, the sum of reciprocal
    /// ranks.
    score: f64,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// What it is within its kind: a file's format, a task's priority, who speaks in a message.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knowledge_base_id: Option<KnowledgeBaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    /// The headings above a chunk, outermost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    heading: Option<String>,
    /// The number of a chunk in its document, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinal: Option<u32>,
    /// The first character of a chunk in the text of its document.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<u32>,
    /// One past its last character.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<ExecutionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<ConversationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swarm_id: Option<SwarmId>,
}

impl From<Hit> for FoundHit {
    fn from(hit: Hit) -> Self {
        let item = hit.item;
        Self {
            path: path(&item),
            snippet: snippet(&item, &hit.highlights),
            highlights: hit
                .highlights
                .into_iter()
                .map(HighlightView::from)
                .collect(),
            score: (f64::from(hit.score) * 1e6).round() / 1e6,
            kind: item.kind.into(),
            id: item.id,
            title: item.title,
            created_at: item.created_at,
            updated_at: item.updated_at,
            author: item.author,
            status: item.status,
            type_: item.type_,
            language: item.language,
            knowledge_base_id: item.knowledge_base,
            file_id: item.file,
            page: item.page,
            heading: item.heading,
            ordinal: item.ordinal,
            start: item.span.map(|span| span.start),
            end: item.span.map(|span| span.end),
            agent_id: item.agent,
            task_id: item.task,
            execution_id: item.execution,
            conversation_id: item.conversation,
            swarm_id: item.swarm,
        }
    }
}

/// Where an item is read.
fn path(item: &Item) -> Option<String> {
    match item.kind {
        ItemKind::Document => item.file.map(|file| format!("/v1/files/{file}")),
        ItemKind::Chunk => {
            let (file, span) = item.file.zip(item.span)?;
            let length = span.end.saturating_sub(span.start).clamp(1, LINKED_CHARS);
            let start = span.start;
            Some(format!(
                "/v1/files/{file}/text?start={start}&length={length}"
            ))
        }
        ItemKind::Agent => item.agent.map(|agent| format!("/v1/agents/{agent}")),
        ItemKind::Task => item.task.map(|task| format!("/v1/tasks/{task}")),
        ItemKind::Execution => item.execution.map(|run| format!("/v1/executions/{run}")),
        ItemKind::Message => match (item.conversation, item.swarm) {
            (Some(conversation), _) => Some(format!("/v1/conversations/{conversation}/turns")),
            (None, Some(swarm)) => Some(format!("/v1/swarms/{swarm}/messages")),
            (None, None) => None,
        },
    }
}

/// The part of the body that has the words, or its beginning.
fn snippet(item: &Item, highlights: &[Highlight]) -> String {
    let body = highlights
        .iter()
        .find(|highlight| highlight.field == HighlightedField::Body);
    if let Some(highlight) = body {
        return highlight.text.clone();
    }
    match item.body.char_indices().nth(SNIPPET_CHARS) {
        Some((end, _)) => format!("{}…", item.body[..end].trim_end()),
        None => item.body.clone(),
    }
}

/// A text as HTML, with marks around these ranges of its characters, which stand in order.
fn marked(text: &str, ranges: &[Range<usize>]) -> String {
    let mut html = String::with_capacity(text.len() + 13 * ranges.len());
    let mut ranges = ranges.iter().peekable();
    for (at, letter) in text.chars().enumerate() {
        if ranges.peek().is_some_and(|range| range.start == at) {
            html.push_str("<mark>");
        }
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        if ranges.next_if(|range| range.end == at + 1).is_some() {
            html.push_str("</mark>");
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use text_index::Span;

    use super::*;

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one word is looked for")]
    fn words_are_marked_and_everything_else_is_text() {
        assert_eq!(
            marked("<b>Öl & \"gas\"</b>", &[3..5, 9..12]),
            "&lt;b&gt;<mark>Öl</mark> &amp; &quot;<mark>gas</mark>&quot;&lt;/b&gt;"
        );
        assert_eq!(marked("öl", &[0..2]), "<mark>öl</mark>");
        assert_eq!(marked("<script>", &[1..7]), "&lt;<mark>script</mark>&gt;");
        assert_eq!(marked("", &[]), "");
    }

    #[test]
    fn a_hit_says_where_it_is_read() {
        let now = Timestamp::from_millis(0);
        let (file, swarm) = (FileId::from_u128(1), SwarmId::from_u128(2));
        let conversation = ConversationId::from_u128(3);
        let of = |kind, more: fn(Item) -> Item| path(&more(Item::new(kind, "x", now)));
        let chunk = |item: Item| Item {
            file: Some(FileId::from_u128(1)),
            span: Some(Span { start: 7, end: 19 }),
            ..item
        };
        assert_eq!(
            of(ItemKind::Chunk, chunk),
            Some(format!("/v1/files/{file}/text?start=7&length=12"))
        );
        let said = |item: Item| Item {
            conversation: Some(ConversationId::from_u128(3)),
            swarm: Some(SwarmId::from_u128(2)),
            ..item
        };
        assert_eq!(
            of(ItemKind::Message, said),
            Some(format!("/v1/conversations/{conversation}/turns"))
        );
        let told = |item: Item| Item {
            swarm: Some(SwarmId::from_u128(2)),
            ..item
        };
        assert_eq!(
            of(ItemKind::Message, told),
            Some(format!("/v1/swarms/{swarm}/messages"))
        );
        assert_eq!(of(ItemKind::Task, |item| item), None);
    }

    #[test]
    fn a_snippet_is_the_words_or_the_beginning() {
        let item = Item {
            body: "ä ".repeat(300),
            ..Item::new(ItemKind::Task, "x", Timestamp::from_millis(0))
        };
        let beginning = snippet(&item, &[]);
        assert!(beginning.ends_with('…') && beginning.chars().count() <= SNIPPET_CHARS + 1);
        let title = Highlight {
            field: HighlightedField::Title,
            text: "title".to_owned(),
            ranges: Vec::new(),
            offset: 0,
        };
        assert_eq!(snippet(&item, std::slice::from_ref(&title)), beginning);
        let body = Highlight {
            field: HighlightedField::Body,
            text: "words".to_owned(),
            ..title
        };
        assert_eq!(snippet(&item, &[body]), "words");
    }
}
