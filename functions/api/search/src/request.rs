//! The body of a search.

use std::borrow::Cow;
use std::fmt::Display;

pub(crate) use domain::search::SearchMode as Mode;
use garde::Validate;
use kernel::{AgentId, ConversationId, ExecutionId, FileId, KnowledgeBaseId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use text_index::query::MAX_TEXT_CHARS;
use text_index::{Facet, ItemKind, Matching, Sort};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The most characters of the value of a filter.
pub(crate) const MAX_VALUE_CHARS: usize = 100;

/// What to look for.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Search, example = json!({
    "query": "gearbox \"oil change\" -draft",
    "kinds": ["chunk", "task"],
    "filters": { "created_from": "2026-01-01T00:00:00Z" },
    "facets": ["kind"],
}))]
pub(crate) struct SearchBody {
    /// Words, in whatever form. `"a phrase"` is words one after the other, `begin*` the beginning of
    /// a word, `-without` excludes; every other sign is passed over. At most 64 words. Without words,
    /// all that the filters let through is found, the newest first.
    #[garde(length(chars, max = MAX_TEXT_CHARS))]
    #[schema(max_length = 1_000)]
    #[serde(default)]
    pub(crate) query: String,
    #[garde(skip)]
    #[serde(default)]
    pub(crate) mode: Mode,
    /// The kinds to look for; absent or empty, all that you may see.
    #[garde(length(max = 6))]
    #[schema(max_items = 6)]
    #[serde(default)]
    pub(crate) kinds: Vec<Kind>,
    #[garde(skip)]
    #[serde(default)]
    pub(crate) filters: Filters,
    /// What to count hits by.
    #[garde(length(max = 8))]
    #[schema(max_items = 8)]
    #[serde(default)]
    pub(crate) facets: Vec<FacetName>,
    /// Whether the places are shown where the words are.
    #[garde(skip)]
    #[schema(default = true)]
    #[serde(default = "yes")]
    pub(crate) highlight: bool,
    #[garde(skip)]
    #[serde(default)]
    pub(crate) sort: SortBy,
    #[garde(skip)]
    #[serde(default)]
    pub(crate) matching: MatchingName,
    /// Whether words that nothing has are replaced by near ones.
    #[garde(skip)]
    #[schema(default = true)]
    #[serde(default = "yes")]
    pub(crate) typos: bool,
    /// The most hits of a page, 1 to 100.
    #[garde(range(min = 1, max = 100))]
    #[schema(minimum = 1, maximum = 100, default = 25)]
    #[serde(default = "default_limit")]
    pub(crate) limit: u32,
    /// The `next_cursor` of the page before. All but `limit` and `highlight` is to be as it was then.
    #[garde(inner(length(max = api::MAX_CURSOR_CHARS)))]
    #[schema(max_length = 1_000)]
    pub(crate) cursor: Option<String>,
}

impl SearchBody {
    /// The kinds that are asked for, in whatever words; none where all are meant.
    pub(crate) fn named_kinds(&self) -> Vec<ItemKind> {
        if self.kinds.is_empty() && self.mode == Mode::Semantic {
            return vec![ItemKind::Chunk];
        }
        self.kinds.iter().map(|kind| (*kind).into()).collect()
    }
}

const fn yes() -> bool {
    true
}

const fn default_limit() -> u32 {
    25
}

/// The order of hits. Times come with a minus for the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[schema(as = SearchSort)]
pub(crate) enum SortBy {
    #[default]
    #[serde(rename = "relevance")]
    Relevance,
    #[serde(rename = "-created_at")]
    Newest,
    #[serde(rename = "created_at")]
    Oldest,
    #[serde(rename = "-updated_at")]
    RecentlyUpdated,
    #[serde(rename = "updated_at")]
    LeastRecentlyUpdated,
}

impl From<SortBy> for Sort {
    fn from(sort: SortBy) -> Self {
        match sort {
            SortBy::Relevance => Self::Relevance,
            SortBy::Newest => Self::Newest,
            SortBy::Oldest => Self::Oldest,
            SortBy::RecentlyUpdated => Self::RecentlyUpdated,
            SortBy::LeastRecentlyUpdated => Self::LeastRecentlyUpdated,
        }
    }
}

/// How many of the words a hit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchMatching)]
pub(crate) enum MatchingName {
    /// One, and the more the better.
    #[default]
    Any,
    /// Half of them at least.
    Most,
    /// Every one.
    All,
}

impl From<MatchingName> for Matching {
    fn from(matching: MatchingName) -> Self {
        match matching {
            MatchingName::Any => Self::Any,
            MatchingName::Most => Self::Most,
            MatchingName::All => Self::All,
        }
    }
}

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchKind)]
pub(crate) enum Kind {
    /// A file as part of a knowledge base, by its name.
    Document,
    /// A piece of a document.
    Chunk,
    Agent,
    Task,
    /// A run, by what was asked and answered.
    Execution,
    /// What was said in a conversation or in a run of a swarm.
    Message,
}

impl From<Kind> for ItemKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Document => Self::Document,
            Kind::Chunk => Self::Chunk,
            Kind::Agent => Self::Agent,
            Kind::Task => Self::Task,
            Kind::Execution => Self::Execution,
            Kind::Message => Self::Message,
        }
    }
}

impl From<ItemKind> for Kind {
    fn from(kind: ItemKind) -> Self {
        match kind {
            ItemKind::Document => Self::Document,
            ItemKind::Chunk => Self::Chunk,
            ItemKind::Agent => Self::Agent,
            ItemKind::Task => Self::Task,
            ItemKind::Execution => Self::Execution,
            ItemKind::Message => Self::Message,
        }
    }
}

/// What hits are counted by. Each is a filter of the same name, or `kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchFacetName)]
pub(crate) enum FacetName {
    Kind,
    Status,
    Type,
    Language,
    KnowledgeBase,
    File,
    Agent,
    Author,
}

impl From<FacetName> for Facet {
    fn from(facet: FacetName) -> Self {
        match facet {
            FacetName::Kind => Self::Kind,
            FacetName::Status => Self::Status,
            FacetName::Type => Self::Type,
            FacetName::Language => Self::Language,
            FacetName::KnowledgeBase => Self::KnowledgeBase,
            FacetName::File => Self::File,
            FacetName::Agent => Self::Agent,
            FacetName::Author => Self::Author,
        }
    }
}

impl From<Facet> for FacetName {
    fn from(facet: Facet) -> Self {
        match facet {
            Facet::Kind => Self::Kind,
            Facet::Status => Self::Status,
            Facet::Type => Self::Type,
            Facet::Language => Self::Language,
            Facet::KnowledgeBase => Self::KnowledgeBase,
            Facet::File => Self::File,
            Facet::Agent => Self::Agent,
            Facet::Author => Self::Author,
        }
    }
}

/// What hits must be besides. Of the values of one filter one is enough; of several filters each must
/// hold. An empty list lets everything through, and each has at most 50 values.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchFilters)]
pub(crate) struct Filters {
    /// The state of a document, task or execution.
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) status: Vec<FilterValue>,
    /// Who made it: ids of users, API keys or agents.
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) author: Vec<FilterValue>,
    /// What it is within its kind: a file's format, a task's priority, `input`, `answer` or `swarm`
    /// of a message.
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) r#type: Vec<FilterValue>,
    /// The language of a document and its chunks, by the three letters of ISO 639-3.
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) language: Vec<FilterValue>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) knowledge_base: Vec<KnowledgeBaseId>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) file: Vec<FileId>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) agent: Vec<AgentId>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) task: Vec<TaskId>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) execution: Vec<ExecutionId>,
    #[schema(max_items = 50)]
    #[serde(default)]
    pub(crate) conversation: Vec<ConversationId>,
    /// Made at this moment or later.
    pub(crate) created_from: Option<Timestamp>,
    /// Made before this moment.
    pub(crate) created_before: Option<Timestamp>,
    /// Changed at this moment or later.
    pub(crate) updated_from: Option<Timestamp>,
    /// Changed before this moment.
    pub(crate) updated_before: Option<Timestamp>,
}

impl Filters {
    /// The names of those that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let is_set = |values: usize| values > 0;
        [
            ("status", is_set(self.status.len())),
            ("author", is_set(self.author.len())),
            ("type", is_set(self.r#type.len())),
            ("language", is_set(self.language.len())),
            ("knowledge_base", is_set(self.knowledge_base.len())),
            ("file", is_set(self.file.len())),
            ("agent", is_set(self.agent.len())),
            ("task", is_set(self.task.len())),
            ("execution", is_set(self.execution.len())),
            ("conversation", is_set(self.conversation.len())),
            ("created_from", self.created_from.is_some()),
            ("created_before", self.created_before.is_some()),
            ("updated_from", self.updated_from.is_some()),
            ("updated_before", self.updated_before.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
    }
}

/// A value that a filter lets through: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FilterValue(String);

/// A text that no filter takes.
#[derive(Debug)]
pub(crate) struct BadValue;

impl Display for BadValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "must have 1 to {MAX_VALUE_CHARS} characters")
    }
}

impl TryFrom<String> for FilterValue {
    type Error = BadValue;

    fn try_from(text: String) -> Result<Self, BadValue> {
        match text.chars().take(MAX_VALUE_CHARS + 1).count() {
            1..=MAX_VALUE_CHARS => Ok(Self(text)),
            _ => Err(BadValue),
        }
    }
}

impl From<&FilterValue> for String {
    fn from(value: &FilterValue) -> Self {
        value.0.clone()
    }
}

impl PartialSchema for FilterValue {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_VALUE_CHARS))
            .into()
    }
}

impl ToSchema for FilterValue {
    fn name() -> Cow<'static, str> {
        "SearchFilterValue".into()
    }
}
