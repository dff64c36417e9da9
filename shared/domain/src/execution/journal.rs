//! The journal: every call of a run to the outside, with what came back.

use kernel::{ApprovalId, ExecutionId, KnowledgeBaseId, MicroCredits, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Citation, Tokens};

/// One call to the outside, by a model or a tool: noted before it is made and settled after it.
/// A settled effect is never made again; the journal of a run is at once its conversation and its
/// trace, so a turn is stored once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    pub execution: ExecutionId,
    /// The step, from 1; 0 for what is done before the first.
    pub step: u32,
    /// 0 for the model call of the step, then 1, 2, … for its tool calls.
    pub call: u32,
    pub request: EffectRequest,
    /// What came back; absent while the call is under way, or where a worker died during it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<EffectOutcome>,
    pub started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled_at: Option<Timestamp>,
    /// How often the call was begun; more than 1 where a worker died during it.
    pub attempts: u32,
    /// Whether the call was begun by a worker that died, so that nobody knows whether it happened.
    #[serde(skip_serializing_if = "is_false", default)]
    pub unknown: bool,
    /// The approval that the call waits for, or was decided by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approval: Option<ApprovalId>,
    /// The execution that the call made, where it calls another agent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child: Option<ExecutionId>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Effect {
    /// The key that an external service may use to recognise a repeated call.
    #[must_use]
    pub fn idempotency_key(execution: ExecutionId, step: u32, call: u32) -> String {
        format!("{execution}-{step}-{call}")
    }
}

/// What was asked of the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EffectRequest {
    /// A model call. Its messages are the journal up to here and are not stored again.
    Model {
        model: String,
        /// How far the log of the run's swarm had come when the model was asked: what was new since
        /// the step before was among the messages. Absent outside swarms, and before the first.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        messages_through: Option<u64>,
    },
    /// A search for what the run is shown before its model is asked.
    Retrieval {
        query: String,
        knowledge_bases: Vec<KnowledgeBaseId>,
    },
    /// A tool call, as the model asked for it.
    Tool {
        call_id: String,
        name: String,
        #[schema(value_type = Object)]
        arguments: Value,
        /// What the tool was given instead, where a person edited the arguments.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schema(value_type = Option<Object>)]
        edited_arguments: Option<Value>,
    },
}

/// What came back from the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EffectOutcome {
    /// The model's turn.
    Model {
        text: String,
        tool_calls: Vec<RequestedCall>,
        /// What the provider wants back unchanged in the next turn, such as signed reasoning.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        #[schema(value_type = Vec<Object>)]
        opaque: Vec<Value>,
        stop_reason: String,
        #[serde(flatten)]
        tokens: Tokens,
        /// `provider::model` that answered, where that is not the one that was asked.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        answered_by: Option<String>,
        /// What the call cost, in micro-credits; absent where the model has no known price.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cost: Option<MicroCredits>,
    },
    /// What was found for the run, in the order and under the markers that the model sees.
    Retrieval {
        passages: Vec<ShownPassage>,
        /// Why nothing was found, where that has a reason.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<String>,
    },
    /// A tool's result, as the model sees it.
    Tool {
        content: String,
        is_error: bool,
        /// The whole of a result that the model was shown a part of.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        whole: Option<StoredResult>,
    },
}

/// A piece of a document as a run was shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShownPassage {
    #[serde(flatten)]
    pub source: Citation,
    pub text: String,
}

/// A tool's result that is too large for the journal, as it is kept among the org's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredResult {
    pub bytes: u64,
    /// Of the content, in hexadecimal; also its address.
    pub sha256: String,
}

/// A tool call that a model asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestedCall {
    /// The model's own name for the call.
    pub call_id: String,
    pub name: String,
    /// An object; a text where the model wrote something that is no JSON object.
    #[schema(value_type = Object)]
    pub arguments: Value,
}
