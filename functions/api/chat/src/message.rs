//! A message to an agent, and what it asks for.

use api::Problem;
use domain::agent::Agent;
use domain::conversation::OnBusy;
use domain::execution::{
    DEFAULT_GROUNDING_TOKENS, Grounding, MAX_GROUNDING_TOKENS, MAX_INPUT_CHARS,
};
use garde::Validate;
use kernel::{ConversationId, KnowledgeBaseId};
use serde::Deserialize;
use utoipa::ToSchema;

/// What is said to an agent.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatMessage {
    /// What is said. Absent with `regenerates`, which says again what was said then.
    #[garde(inner(length(chars, min = 1, max = MAX_INPUT_CHARS), custom(not_blank)))]
    #[schema(
        min_length = 1,
        max_length = 32_000,
        example = "How often is the gearbox oil changed?"
    )]
    message: Option<String>,
    /// The conversation to go on with; a new one, if absent.
    #[garde(skip)]
    pub(crate) conversation_id: Option<ConversationId>,
    /// The turn whose message this one stands in for: it begins a branch beside it.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    edits: Option<u32>,
    /// The turn whose message is to be answered again, in a branch beside it.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    regenerates: Option<u32>,
    /// What the turn does while another is open; as the conversation says, if absent. What the turns
    /// of a new conversation do.
    #[garde(skip)]
    pub(crate) on_busy: Option<OnBusy>,
    /// What of the agent's knowledge bases is looked up before the agent is asked.
    #[garde(dive)]
    #[serde(default)]
    knowledge: KnowledgeWanted,
}

/// What is looked up before the agent is asked.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnowledgeWanted {
    /// Only these of the agent's knowledge bases; all of them, if absent.
    #[garde(length(max = 16))]
    #[serde(default)]
    knowledge_bases: Option<Vec<KnowledgeBaseId>>,
    /// The most tokens of passages that the agent is shown; 0 for none.
    #[garde(range(max = MAX_GROUNDING_TOKENS))]
    #[schema(maximum = 8_000, default = 2_000)]
    max_tokens: Option<u32>,
}

/// What is to be said, and where.
pub(crate) enum Said {
    /// Something new, beside an earlier turn where one is edited.
    Text { text: String, beside: Option<u32> },
    /// What was said in this turn, once more.
    Again(u32),
}

impl ChatMessage {
    /// What is to be said.
    pub(crate) fn said(&self) -> Result<Said, Problem> {
        let names_turn = self.edits.is_some() || self.regenerates.is_some();
        if names_turn && self.conversation_id.is_none() {
            return Err(Problem::invalid_field(
                "/conversation_id",
                "must name the conversation of that turn",
            ));
        }
        match (&self.message, self.edits, self.regenerates) {
            (Some(text), beside, None) => Ok(Said::Text {
                text: text.clone(),
                beside,
            }),
            (None, None, Some(turn)) => Ok(Said::Again(turn)),
            (None, _, None) => Err(Problem::invalid_field("/message", "is missing")),
            (_, Some(_), Some(_)) => Err(Problem::invalid_field(
                "/edits",
                "is not for a message that is answered again",
            )),
            (Some(_), None, Some(_)) => Err(Problem::invalid_field(
                "/message",
                "is not for a turn that is answered again: it says what it said",
            )),
        }
    }

    /// The field that names the turn beside which this one is to stand.
    pub(crate) fn names_turn(&self) -> &'static str {
        match self.edits {
            Some(_) => "/edits",
            None => "/regenerates",
        }
    }

    /// What of the agent's knowledge it is to be shown.
    pub(crate) fn grounding(&self, agent: &Agent) -> Result<Option<Grounding>, Problem> {
        let known = &agent.spec.knowledge_bases;
        let wanted = self.knowledge.knowledge_bases.clone();
        let strange = wanted
            .iter()
            .flatten()
            .position(|base| !known.contains(base));
        if let Some(position) = strange {
            return Err(Problem::invalid_field(
                format!("/knowledge/knowledge_bases/{position}"),
                "is not a knowledge base of this agent",
            ));
        }
        let max_tokens = self
            .knowledge
            .max_tokens
            .unwrap_or(DEFAULT_GROUNDING_TOKENS);
        let grounding = Grounding {
            knowledge_bases: wanted,
            max_tokens,
        };
        let is_something = max_tokens > 0 && !grounding.bases_of(known).is_empty();
        Ok(is_something.then_some(grounding))
    }
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}
