//! Knowledge bases, the documents in them, and chunks: what agents search.

use kernel::{FileId, JobId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::execution::Failure;

/// A set of documents that agents may search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeBase {
    pub id: KnowledgeBaseId,
    pub org: OrgId,
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// The model whose vectors answer searches, as `name@version`; vectors of two models never
    /// meet.
    pub embedding_model: String,
    /// Its sets of vectors; absent while there was never more than the first, number 0.
    #[serde(default, skip_serializing_if = "VectorSets::is_first")]
    pub vectors: VectorSets,
    /// The change to another model that is under way, or what became of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reembedding: Option<Reembedding>,
    /// Rises by one with every change; the ETag of the knowledge base.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const fn first() -> u32 {
    1
}

/// The sets of vectors of a knowledge base. All vectors of a set are of one model, and a search asks
/// one set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VectorSets {
    /// The number of the set that answers searches.
    pub current: u32,
    /// The highest number that was ever given to a set, so that none is given twice.
    pub latest: u32,
}

impl VectorSets {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_first(&self) -> bool {
        *self == Self::default()
    }
}

fn first_set() -> Vec<u32> {
    vec![0]
}

fn is_first_set(sets: &[u32]) -> bool {
    sets == [0]
}

/// A set of vectors that a knowledge base is to have: its number and its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorSet {
    pub number: u32,
    pub model: String,
}

/// A knowledge base on its way to another model. Searches are answered by the old vectors until
/// every document has new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reembedding {
    /// The model that it changes to.
    pub model: String,
    /// The number of the set that is being made.
    pub vector_set: u32,
    /// The job that sees to it.
    pub job: JobId,
    pub started_at: Timestamp,
    /// Why it was given up. The old vectors go on answering.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

impl KnowledgeBase {
    /// The sets of vectors that every document is to be in: the one that answers first, and the one
    /// that is being made.
    #[must_use]
    pub fn wanted_sets(&self) -> Vec<VectorSet> {
        let current = VectorSet {
            number: self.vectors.current,
            model: self.embedding_model.clone(),
        };
        let next = self.under_way().map(|next| VectorSet {
            number: next.vector_set,
            model: next.model.clone(),
        });
        std::iter::once(current).chain(next).collect()
    }

    /// The change of model that is under way and was not given up.
    #[must_use]
    pub fn under_way(&self) -> Option<&Reembedding> {
        self.reembedding
            .as_ref()
            .filter(|next| next.failure.is_none())
    }

    /// The knowledge base once `job` is to bring it to `model`; unchanged if that is under way. Back to the model that answers
    /// already, only the change that was under way is given up.
    #[must_use]
    pub fn changing_to(&self, model: &str, job: JobId, now: Timestamp) -> Self {
        let mut base = self.clone();
        if self.under_way().is_some_and(|next| next.model == model) {
            return base;
        }
        if model == self.embedding_model {
            base.reembedding = None;
            return base;
        }
        base.vectors.latest += 1;
        base.reembedding = Some(Reembedding {
            model: model.to_owned(),
            vector_set: base.vectors.latest,
            job,
            started_at: now,
            failure: None,
        });
        base
    }

    /// The knowledge base once its new set of vectors is whole; `None` if none is being made.
    #[must_use]
    pub fn changed_over(&self) -> Option<Self> {
        let next = self.under_way()?;
        let mut base = self.clone();
        base.embedding_model.clone_from(&next.model);
        base.vectors.current = next.vector_set;
        base.reembedding = None;
        Some(base)
    }
}

/// A file as part of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
    /// The name of the file.
    pub name: String,
    /// The address that it was read from, if it comes from the web.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    pub status: DocumentStatus,
    /// Which content of the file it is about.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub content_version: u32,
    /// The number of chunks that can be found.
    pub chunks: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// The numbers of the sets of vectors that hold all its chunks; absent for the first alone,
    /// number 0.
    #[serde(default = "first_set", skip_serializing_if = "is_first_set")]
    pub vector_sets: Vec<u32>,
    /// The set of vectors that its chunks are being brought into while it can be searched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub joining: Option<Joining>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
}

/// A document on its way into another set of vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Joining {
    /// The number of the set.
    pub vector_set: u32,
    /// Why it could not be brought into it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

impl Document {
    /// Those of `wanted` that it has still to be brought into.
    #[must_use]
    pub fn missing(&self, wanted: &[VectorSet]) -> Vec<VectorSet> {
        let is_missing = |set: &&VectorSet| {
            self.status != DocumentStatus::Ready || !self.vector_sets.contains(&set.number)
        };
        wanted.iter().filter(is_missing).cloned().collect()
    }
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Its file is not processed, or its chunks are not all embedded yet.
    Indexing,
    /// All its chunks can be found.
    Ready,
    /// It cannot be searched; `failure` says why.
    Failed,
    /// Its file was deleted. It comes back if the file is restored.
    Withdrawn,
}

impl DocumentStatus {
    /// Whether its chunks may answer a query, as far as they are there.
    #[must_use]
    pub const fn may_be_found(self) -> bool {
        matches!(self, Self::Indexing | Self::Ready)
    }
}

/// The unit of retrieval: a piece of a document with the place it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Chunk {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
    /// The name of the document.
    pub document: String,
    /// The address that it was read from, if it comes from the web.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// Which content of the file it is from.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub content_version: u32,
    /// The chunk's number in its document, from 0.
    pub ordinal: u32,
    pub text: String,
    /// The page, from 1, where the format has pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The headings above the place, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub heading_path: Vec<String>,
    /// The first character of `text` in the text of the document, from 0. A character is a Unicode
    /// scalar value.
    pub start: u32,
    /// One past its last character.
    pub end: u32,
}

impl Chunk {
    /// The headings above the place in one line, outermost first.
    #[must_use]
    pub fn heading(&self) -> Option<String> {
        (!self.heading_path.is_empty()).then(|| self.heading_path.join(" > "))
    }
}

/// A chunk that answers a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Passage {
    #[serde(flatten)]
    pub chunk: Chunk,
    /// Cosine similarity of query and chunk, from -1 to 1, by the model of its knowledge base.
    /// Scores of two models mean different things and are never compared.
    pub score: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn base() -> KnowledgeBase {
        KnowledgeBase {
            id: KnowledgeBaseId::from_u128(2),
            org: OrgId::from_u128(1),
            name: "Handbooks".to_owned(),
            description: String::new(),
            embedding_model: "a@1".to_owned(),
            vectors: VectorSets::default(),
            reembedding: None,
            version: 1,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn change(base: &KnowledgeBase, model: &str) -> KnowledgeBase {
        base.changing_to(model, JobId::from_u128(9), NOW)
    }

    fn sets(base: &KnowledgeBase) -> Vec<(u32, String)> {
        let sets = base.wanted_sets().into_iter();
        sets.map(|set| (set.number, set.model)).collect()
    }

    fn set(number: u32, model: &str) -> (u32, String) {
        (number, model.to_owned())
    }

    #[test]
    fn the_old_vectors_answer_until_the_new_set_is_whole() {
        let changing = change(&base(), "b@1");
        assert_eq!(sets(&changing), [set(0, "a@1"), set(1, "b@1")]);
        assert_eq!(changing.embedding_model, "a@1");
        let changed = changing.changed_over().expect("a set in the making");
        assert_eq!(sets(&changed), [set(1, "b@1")]);
        assert_eq!(changed.changed_over(), None);
    }

    #[test]
    fn no_set_has_the_number_of_an_earlier_one() {
        let given_up = change(&change(&base(), "b@1"), "a@1");
        assert_eq!(sets(&given_up), [set(0, "a@1")]);
        let other = change(&change(&given_up, "b@1"), "c@1");
        assert_eq!(sets(&other), [set(0, "a@1"), set(3, "c@1")]);
        assert_eq!(change(&other, "c@1"), other, "it is under way");
    }

    #[test]
    fn a_change_that_was_given_up_wants_nothing_more() {
        let mut failed = change(&base(), "b@1");
        let next = failed.reembedding.as_mut().expect("under way");
        next.failure = Some(Failure::new("refused", "The key is wrong."));
        assert_eq!(sets(&failed), [set(0, "a@1")]);
        assert_eq!(failed.changed_over(), None);
    }

    #[test]
    fn a_document_misses_the_sets_that_it_is_not_wholly_in() {
        let mut document = Document {
            org: OrgId::from_u128(1),
            knowledge_base: KnowledgeBaseId::from_u128(2),
            file: FileId::from_u128(3),
            name: "a.pdf".to_owned(),
            url: None,
            content_version: 1,
            status: DocumentStatus::Ready,
            chunks: 1,
            failure: None,
            vector_sets: vec![0],
            joining: None,
            created_at: NOW,
            updated_at: NOW,
            version: 1,
        };
        let wanted = change(&base(), "b@1").wanted_sets();
        assert_eq!(document.missing(&wanted), wanted[1..]);
        document.status = DocumentStatus::Indexing;
        assert_eq!(document.missing(&wanted), wanted);
    }
}
