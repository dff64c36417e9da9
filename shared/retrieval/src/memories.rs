//! Recall: what an agent is told of its memories when an execution begins. The API shows it by the
//! same code.

use domain::memory::embedding::Embedding;
use domain::memory::recall::{RecalledMemory, choose};
use embedding::{Embedder as _, StaticModel};
use kernel::AgentId;
use store::{ReadError, Store, Tenant};

/// What an agent is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recollection {
    /// The best first.
    pub memories: Vec<RecalledMemory>,
    /// How many notes of earlier recalls are not yet counted.
    pub pending: usize,
}

/// The model that compares memories, written `name@version`.
#[must_use]
pub fn embedding_model() -> String {
    StaticModel.model().to_string()
}

/// The vector of a memory's text. `None` if the model knows none of its words.
#[must_use]
pub fn embed_memory(text: &str) -> Option<Embedding> {
    Embedding::quantised(embedding_model(), &StaticModel.embed_text(text))
}

/// Whether a memory has the vector that the model at hand gives its text, as far as can be told
/// without embedding it.
#[must_use]
pub fn is_current(embedding: Option<&Embedding>) -> bool {
    embedding.is_some_and(|embedding| embedding.model == embedding_model())
}

/// What an agent is told of, if it is asked `question`; at most `limit` memories. A question
/// without a word that the model knows is near to nothing.
///
/// # Errors
/// [`ReadError`] if the store does not answer.
pub async fn recall(
    store: &Store,
    tenant: Tenant,
    agent: AgentId,
    question: &str,
    limit: usize,
) -> Result<Recollection, ReadError> {
    let candidates = store.memories(tenant).candidates(agent).await?;
    let wanted = embed_memory(question);
    let weighed = candidates.entries.into_iter().map(|(memory, stored)| {
        // Consolidation gives it a vector of this model; until then it is made anew.
        let vector = stored
            .filter(|stored| is_current(Some(stored)))
            .or_else(|| embed_memory(&memory.text));
        let relevance = match (&wanted, &vector) {
            (Some(wanted), Some(vector)) => wanted.nearness(vector),
            _ => 0,
        };
        (memory, relevance)
    });
    Ok(Recollection {
        memories: choose(weighed, store.now(), limit),
        pending: candidates.pending,
    })
}

#[cfg(test)]
mod tests {
    use domain::memory::consolidation::DUPLICATE;
    use domain::memory::recall::RELEVANCE_FLOOR;

    use super::*;

    fn near(a: &str, b: &str) -> u16 {
        let (a, b) = (embed_memory(a), embed_memory(b));
        a.expect("known words").nearness(&b.expect("known words"))
    }

    #[test]
    fn what_bears_on_a_question_is_above_the_floor_and_what_does_not_below() {
        for (question, memory) in [
            (
                "How often is the gearbox oil changed?",
                "The gearbox oil is changed every 500 hours.",
            ),
            (
                "How often is the gearbox oil changed?",
                "Lubrication intervals depend on the load.",
            ),
            (
                "Write a mail to the customer about the late parcel.",
                "The customer prefers mails in German.",
            ),
            (
                "What is the name of our biggest client?",
                "Acme is the largest customer.",
            ),
            (
                "Summarise the meeting notes of yesterday.",
                "Keep summaries under 100 words.",
            ),
            ("Where do we ship from?", "Our warehouse is in Lisbon."),
        ] {
            let nearness = near(question, memory);
            assert!(
                nearness >= RELEVANCE_FLOOR,
                "{nearness} {question} {memory}"
            );
        }
        for (question, memory) in [
            (
                "How often is the gearbox oil changed?",
                "The customer prefers mails in German.",
            ),
            (
                "How often is the gearbox oil changed?",
                "Ada's birthday is on the 3rd of May.",
            ),
            (
                "How often is the gearbox oil changed?",
                "Invoices are sent at the end of the month.",
            ),
            (
                "What is the name of our biggest client?",
                "The office is closed on Fridays.",
            ),
            (
                "Summarise the meeting notes of yesterday.",
                "The gearbox oil is changed every 500 hours.",
            ),
            ("hello", "The gearbox oil is changed every 500 hours."),
        ] {
            let nearness = near(question, memory);
            assert!(nearness < RELEVANCE_FLOOR, "{nearness} {question} {memory}");
        }
    }

    #[test]
    fn only_the_same_in_other_words_is_as_near_as_a_duplicate() {
        assert!(
            near(
                "The office is closed on Fridays.",
                "On Fridays, the office is closed"
            ) >= DUPLICATE
        );
        for (one, other) in [
            ("Ada likes tea.", "Bob likes tea."),
            (
                "The customer prefers mails in German.",
                "The customer prefers mails in French.",
            ),
            (
                "The manager of the Berlin office is Tom.",
                "The manager of the Paris office is Tom.",
            ),
            (
                "When the customer Acme asks for an invoice, send it as a PDF to their finance \
                 department and put the account manager in copy.",
                "When the customer Bolt asks for an invoice, send it as a PDF to their finance \
                 department and put the account manager in copy.",
            ),
        ] {
            let nearness = near(one, other);
            assert!(nearness < DUPLICATE, "{nearness} {one} {other}");
        }
    }

    #[test]
    fn a_text_without_known_words_has_no_vector() {
        assert_eq!(embed_memory(""), None);
        assert!(!is_current(None));
        assert!(is_current(embed_memory("oil").as_ref()));
    }
}
