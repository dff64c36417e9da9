//! What a run is shown of its agent's knowledge before its model is asked.

use kernel::KnowledgeBaseId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many tokens of passages a chat turn is shown, unless it says so itself.
pub const DEFAULT_GROUNDING_TOKENS: u32 = 2_000;
/// The most tokens of passages that a turn may ask for.
pub const MAX_GROUNDING_TOKENS: u32 = 8_000;

/// Where passages for a run are looked for, and how much of them it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grounding {
    /// Only these of the agent's knowledge bases; all of them, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub knowledge_bases: Option<Vec<KnowledgeBaseId>>,
    /// The most tokens of passages.
    pub max_tokens: u32,
}

impl Default for Grounding {
    fn default() -> Self {
        Self {
            knowledge_bases: None,
            max_tokens: DEFAULT_GROUNDING_TOKENS,
        }
    }
}

impl Grounding {
    /// Those of an agent's knowledge bases that are searched. What the agent has lost since is not
    /// among them.
    #[must_use]
    pub fn bases_of(&self, agents: &[KnowledgeBaseId]) -> Vec<KnowledgeBaseId> {
        let wanted = |base: &KnowledgeBaseId| {
            self.knowledge_bases
                .as_ref()
                .is_none_or(|wanted| wanted.contains(base))
        };
        agents.iter().copied().filter(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_nothing_that_its_agent_may_not_search() {
        let base = KnowledgeBaseId::from_u128;
        let agents = [base(1), base(2)];
        assert_eq!(Grounding::default().bases_of(&agents), agents);
        let some = Grounding {
            knowledge_bases: Some(vec![base(2), base(3)]),
            ..Grounding::default()
        };
        assert_eq!(some.bases_of(&agents), [base(2)]);
        assert_eq!(some.bases_of(&[]), []);
    }
}
