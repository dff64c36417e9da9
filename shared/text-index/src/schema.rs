//! The fields of the index.

use domain::event::Actor;
use tantivy::schema::{
    Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions, Value as _,
};
use tantivy::tokenizer::PreTokenizedString;
use tantivy::{TantivyDocument, schema};

use crate::analysis::{Stems, WORDS};
use crate::item::{Item, ItemKind};
use crate::items::author;

/// Rises whenever the fields or what is in them change: an index of an earlier version is made
/// anew from the tables.
pub(crate) const VERSION: u32 = 1;
/// How much of a text is indexed, in bytes. What is longer is found by its beginning.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// What stands in `visible_to` for items that all of the org may see.
const ALL: &str = "all";

/// The fields, as one index has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// What an item is replaced by: the mark that brought it.
    pub source: Field,
    /// A second way to remove items: the conversation of a message.
    pub part_of: Field,
    pub kind: Field,
    pub visible_to: Field,
    pub title: Field,
    pub heading: Field,
    pub body: Field,
    pub title_stems: Field,
    pub stems: Field,
    pub language: Field,
    pub status: Field,
    pub type_: Field,
    pub knowledge_base: Field,
    pub file: Field,
    pub agent: Field,
    pub author: Field,
    pub task: Field,
    pub execution: Field,
    pub conversation: Field,
    pub created_at: Field,
    pub updated_at: Field,
    /// Tells items of the same rank apart, the same in every segment.
    pub tie: Field,
    /// The item itself.
    pub item: Field,
}

/// The names of fields that are read as columns.
pub(crate) mod column {
    pub(crate) const CREATED_AT: &str = "created_at";
    pub(crate) const UPDATED_AT: &str = "updated_at";
    pub(crate) const TIE: &str = "tie";
}

/// The schema of a new index.
pub(crate) fn schema() -> Schema {
    let mut fields = Schema::builder();
    let exact = |fast: bool| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        let options = TextOptions::default().set_indexing_options(indexing);
        if fast {
            options.set_fast("raw")
        } else {
            options
        }
    };
    let words = |option| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(option);
        TextOptions::default().set_indexing_options(indexing)
    };
    for name in ["source", "part_of", "visible_to"] {
        fields.add_text_field(name, exact(false));
    }
    for name in [
        "kind",
        "language",
        "status",
        "type",
        "knowledge_base",
        "file",
        "agent",
        "author",
        "task",
        "execution",
        "conversation",
    ] {
        fields.add_text_field(name, exact(true));
    }
    for name in ["title", "heading", "body"] {
        fields.add_text_field(name, words(IndexRecordOption::WithFreqsAndPositions));
    }
    for name in ["title_stems", "stems"] {
        fields.add_text_field(name, words(IndexRecordOption::WithFreqs));
    }
    fields.add_i64_field(column::CREATED_AT, schema::FAST);
    fields.add_i64_field(column::UPDATED_AT, schema::FAST);
    fields.add_u64_field(column::TIE, schema::FAST);
    fields.add_text_field("item", STORED);
    fields.build()
}

impl Fields {
    /// The fields of an index, by their names.
    pub(crate) fn of(schema: &Schema) -> tantivy::Result<Self> {
        let field = |name: &str| schema.get_field(name);
        Ok(Self {
            source: field("source")?,
            part_of: field("part_of")?,
            kind: field("kind")?,
            visible_to: field("visible_to")?,
            title: field("title")?,
            heading: field("heading")?,
            body: field("body")?,
            title_stems: field("title_stems")?,
            stems: field("stems")?,
            language: field("language")?,
            status: field("status")?,
            type_: field("type")?,
            knowledge_base: field("knowledge_base")?,
            file: field("file")?,
            agent: field("agent")?,
            author: field("author")?,
            task: field("task")?,
            execution: field("execution")?,
            conversation: field("conversation")?,
            created_at: field(column::CREATED_AT)?,
            updated_at: field(column::UPDATED_AT)?,
            tie: field(column::TIE)?,
            item: field("item")?,
        })
    }

    /// An item as the index takes it.
    pub(crate) fn document(
        &self,
        source: &str,
        part_of: Option<&str>,
        item: &Item,
    ) -> Result<TantivyDocument, serde_json::Error> {
        let mut item = item.clone();
        truncate(&mut item.body);
        let mut document = TantivyDocument::default();
        let mut exact = |field: Field, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                document.add_text(field, value);
            }
        };
        fn text<T: std::fmt::Display>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(ToString::to_string)
        }
        exact(self.source, Some(source.to_owned()));
        exact(self.part_of, part_of.map(str::to_owned));
        exact(self.kind, Some(item.kind.to_string()));
        exact(self.visible_to, Some(audience(item.private_to)));
        exact(self.title, Some(item.title.clone()));
        exact(self.heading, item.heading.clone());
        exact(self.body, Some(item.body.clone()));
        exact(self.language, item.language.clone());
        exact(self.status, item.status.clone());
        exact(self.type_, item.type_.clone());
        exact(self.knowledge_base, text(&item.knowledge_base));
        exact(self.file, text(&item.file));
        exact(self.agent, text(&item.agent));
        exact(self.author, item.author.clone());
        exact(self.task, text(&item.task));
        exact(self.execution, text(&item.execution));
        exact(self.conversation, text(&item.conversation));
        let mut stems = Stems::of(item.language.as_deref());
        let mut stemmed = |field: Field, text: &str| {
            let found: PreTokenizedString = stems.of_text(text);
            if !found.tokens.is_empty() {
                document.add_pre_tokenized_text(field, found);
            }
        };
        stemmed(self.title_stems, &item.title);
        stemmed(self.stems, &item.title);
        stemmed(self.stems, item.heading.as_deref().unwrap_or_default());
        stemmed(self.stems, &item.body);
        document.add_i64(self.created_at, item.created_at.as_millis());
        document.add_i64(self.updated_at, item.updated_at.as_millis());
        document.add_u64(self.tie, tie(item.kind, &item.id));
        document.add_text(self.item, serde_json::to_string(&item)?);
        Ok(document)
    }

    /// The item that a document of the index is.
    pub(crate) fn item(&self, document: &TantivyDocument) -> Option<Item> {
        let stored = document.get_first(self.item)?;
        serde_json::from_str(stored.as_str()?).ok()
    }
}

/// What stands in `visible_to`.
pub(crate) fn audience(private_to: Option<Actor>) -> String {
    match private_to {
        None => ALL.to_owned(),
        // The platform has no id, and nobody is called so.
        Some(owner) => author(&owner).unwrap_or_else(|| "system".to_owned()),
    }
}

/// The same for the same item in every process: FNV-1a over kind and id.
pub(crate) fn tie(kind: ItemKind, id: &str) -> u64 {
    let name = kind.name().bytes().chain([b'/']).chain(id.bytes());
    name.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn truncate(text: &mut String) {
    if text.len() > MAX_BODY_BYTES {
        let mut end = MAX_BODY_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}
