//! What is asked of the index, and what it answers.

pub(crate) mod build;
pub(crate) mod collect;
pub(crate) mod excluded;
pub(crate) mod expand;
pub(crate) mod highlight;
pub(crate) mod parse;

use std::ops::Range;

use domain::viewer::Viewer;
use kernel::{AgentId, ConversationId, ExecutionId, FileId, KnowledgeBaseId, TaskId, Timestamp};

use crate::item::{Item, ItemKind};

pub use collect::Position;
pub use parse::{plain_text, query_of};

/// The most characters of a query's text.
pub const MAX_TEXT_CHARS: usize = 1_000;
/// The most words of a query.
pub const MAX_WORDS: usize = 64;
/// The most hits of one page.
pub const MAX_LIMIT: usize = 100;
/// The most values that one facet lists.
pub const MAX_FACET_VALUES: u32 = 50;

/// On whose behalf the index is read: part of every query, of its facets and of suggestions, and
/// without a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub(crate) kinds: Vec<ItemKind>,
    pub(crate) viewer: Viewer,
}

impl Scope {
    /// One who may see items of these kinds, and of none if there are none: of people's own things,
    /// what `viewer` sees.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = ItemKind>, viewer: Viewer) -> Self {
        let mut kinds: Vec<ItemKind> = kinds.into_iter().collect();
        kinds.sort_unstable();
        kinds.dedup();
        Self { kinds, viewer }
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Words; `"a phrase"`; `begin*`; `-without` and `-"without this"`. Everything else is plain
    /// words: no text is an error but one that is too long. Without words, all that the filter lets
    /// through is found.
    pub text: String,
    pub matching: Matching,
    /// Whether words that nothing visible has are replaced by near ones.
    pub typos: bool,
    /// Whether the last word is the beginning of one, as somebody types.
    pub last_word_is_prefix: bool,
    pub filter: Filter,
    pub facets: Vec<Facet>,
    pub sort: Sort,
    /// From 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended. Of another sort, it is passed over.
    pub after: Option<Position>,
    pub highlight: bool,
}

impl Query {
    /// A question in words, by relevance.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            matching: Matching::default(),
            typos: true,
            last_word_is_prefix: false,
            filter: Filter::default(),
            facets: Vec::new(),
            sort: Sort::default(),
            limit: 20,
            after: None,
            highlight: true,
        }
    }
}

/// How many of the words an item must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// One, and the more the better.
    #[default]
    Any,
    /// Half of them at least.
    Most,
    /// Every one.
    All,
}

/// In which order hits come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The best first; without words, the newest first.
    #[default]
    Relevance,
    /// By when they were created.
    Newest,
    Oldest,
    /// By when they were changed.
    RecentlyUpdated,
    LeastRecentlyUpdated,
}

/// What hits must be besides. An empty list lets everything through; of a list, one must be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub kinds: Vec<ItemKind>,
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    pub files: Vec<FileId>,
    pub agents: Vec<AgentId>,
    pub tasks: Vec<TaskId>,
    pub executions: Vec<ExecutionId>,
    pub conversations: Vec<ConversationId>,
    /// Ids of persons, keys or agents.
    pub authors: Vec<String>,
    pub statuses: Vec<String>,
    pub types: Vec<String>,
    /// As the items name them.
    pub languages: Vec<String>,
    pub created: Period,
    pub updated: Period,
}

/// From a moment on and before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    pub from: Option<Timestamp>,
    pub before: Option<Timestamp>,
}

/// What hits are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    Kind,
    Status,
    Type,
    Language,
    KnowledgeBase,
    File,
    Agent,
    Author,
}

impl Facet {
    /// Every facet.
    pub const ALL: &'static [Self] = &[
        Self::Kind,
        Self::Status,
        Self::Type,
        Self::Language,
        Self::KnowledgeBase,
        Self::File,
        Self::Agent,
        Self::Author,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Status => "status",
            Self::Type => "type",
            Self::Language => "language",
            Self::KnowledgeBase => "knowledge_base",
            Self::File => "file",
            Self::Agent => "agent",
            Self::Author => "author",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
    pub facets: Vec<FacetCounts>,
    /// Words that nothing visible has, and the near ones that were looked for instead.
    pub corrections: Vec<Correction>,
    /// The version of the index that answered; it rises with every change.
    pub version: u64,
}

/// One hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub item: Item,
    /// How well it answers the words; comparable within one answer only.
    pub score: f32,
    pub highlights: Vec<Highlight>,
}

/// A part of a text with the words that were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    pub field: HighlightedField,
    pub text: String,
    /// The words, in characters of `text`.
    pub ranges: Vec<Range<usize>>,
    /// Where `text` begins in its field, in characters.
    pub offset: usize,
}

/// A text of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighlightedField {
    Title,
    Heading,
    Body,
}

/// How many hits have each value, the most frequent first, at most [`MAX_FACET_VALUES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCounts {
    pub facet: Facet,
    pub values: Vec<(String, u64)>,
}

/// A word and those that were looked for instead, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub word: String,
    pub instead: Vec<String>,
}

/// How a beginning can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// The title of an item.
    Title {
        text: String,
        kind: ItemKind,
        id: String,
    },
    /// A word of items.
    Word { text: String },
}
