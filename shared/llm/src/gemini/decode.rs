//! Reading the chunks of a streamed `generateContent`.
//!
//! A chunk holds parts that are whole: text to append, and calls with all their arguments, as a
//! document rather than as text. The stream has no end marker; the last chunk gives the reason
//! to stop, and the connection ends.

use std::collections::VecDeque;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::PROVIDER;
use crate::chat::{ChatRequest, OpaquePart};
use crate::error::ModelError;
use crate::fault::Fault;
use crate::reply::{Delta, StopReason, Usage};
use crate::sse::SseEvent;
use crate::stream::{Decoder, MAX_TOOL_CALLS};
use crate::structured::AnswerTool;

/// The name of a call in which no known tool can be made out.
const UNREADABLE_CALL: &str = "unreadable_call";

/// The state of one reply.
pub(crate) struct Candidates {
    model: String,
    secrets: Vec<SecretString>,
    /// The tools of the request, to recognise one in a call that the provider could not read.
    tools: Vec<String>,
    first_number: usize,
    calls: u32,
    usage: Option<Usage>,
    finish: Option<Finish>,
}

struct Finish {
    reason: String,
    message: String,
}

impl Finish {
    /// Whether the model came to an end, its own or that of its limit.
    fn is_whole(&self) -> bool {
        matches!(self.reason.as_str(), "STOP" | "MAX_TOKENS")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    prompt_feedback: Option<PromptFeedback>,
    #[serde(default)]
    usage_metadata: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    finish_message: Option<String>,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    text: Option<String>,
    /// Whether the text is a summary of the model's thinking, and not for the reader.
    #[serde(default)]
    thought: Option<bool>,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(default)]
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    #[serde(default)]
    block_reason: Option<String>,
    #[serde(default)]
    block_reason_message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireUsage {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl Candidates {
    pub fn new(
        model: String,
        secrets: Vec<SecretString>,
        request: &ChatRequest,
        answer: Option<&AnswerTool>,
    ) -> Self {
        let tools = request
            .tools
            .iter()
            .chain(answer.map(|answer| &answer.spec));
        Self {
            model,
            secrets,
            tools: tools.map(|tool| tool.name.clone()).collect(),
            first_number: request.calls_before(),
            calls: 0,
            usage: None,
            finish: None,
        }
    }

    fn part(&mut self, part: Part, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if let Some(call) = part.function_call {
            return self.call(call, part.thought_signature, deltas);
        }
        if part.thought == Some(true) {
            return Ok(());
        }
        if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            deltas.push_back(Delta::TextDelta { text });
        }
        if let Some(signature) = part.thought_signature {
            deltas.push_back(keep(json!({ "thoughtSignature": signature })));
        }
        Ok(())
    }

    fn call(
        &mut self,
        call: FunctionCall,
        signature: Option<String>,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let Some(name) = call.name.filter(|name| !name.is_empty()) else {
            return Err(ModelError::malformed("a tool call has no name"));
        };
        let own_id = call.id.filter(|id| !id.is_empty());
        let fragment = match call.args {
            Value::Null => Value::Object(Map::new()).to_string(),
            args => args.to_string(),
        };
        let call_id = self.start(name, own_id.clone(), fragment, deltas)?;
        // Kept for every call, also for one that came without anything: what is not marked was
        // made by another provider's model and needs other words when it is sent back.
        let mut data = json!({ "call_id": call_id });
        if let Some(own_id) = own_id {
            data["id"] = json!(own_id);
        }
        if let Some(signature) = signature {
            data["thoughtSignature"] = json!(signature);
        }
        deltas.push_back(keep(data));
        Ok(())
    }

    fn start(
        &mut self,
        name: String,
        id: Option<String>,
        fragment: String,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<String, ModelError> {
        let index = self.calls;
        if index as usize >= MAX_TOOL_CALLS {
            return Err(ModelError::malformed("it has more than 128 tool calls"));
        }
        self.calls += 1;
        let id = id.unwrap_or_else(|| format!("call_{}", self.first_number + index as usize));
        deltas.push_back(Delta::ToolCallStart {
            index,
            id: id.clone(),
            name,
        });
        deltas.push_back(Delta::ToolCallArguments { index, fragment });
        Ok(id)
    }

    /// A call that the provider itself could not read is handed on like every malformed call:
    /// the model wrote it, and told so it may do better.
    fn unreadable_call(
        &mut self,
        message: &str,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let name = self
            .tools
            .iter()
            .filter_map(|tool| Some((message.find(tool.as_str())?, tool)))
            .min_by_key(|(position, tool)| (*position, std::cmp::Reverse(tool.len())))
            .map_or(UNREADABLE_CALL, |(_, tool)| tool.as_str());
        let name = name.to_owned();
        let written = match message {
            "" => "a call that the provider could not read",
            message => message,
        };
        self.start(name, None, written.to_owned(), deltas)?;
        Ok(())
    }

    fn finish(&mut self, finish: &Finish, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let stop_reason = match finish.reason.as_str() {
            "STOP" if self.calls > 0 => StopReason::ToolCalls,
            "STOP" => StopReason::EndTurn,
            "MAX_TOKENS" => StopReason::MaxTokens,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => StopReason::ContentFilter,
            "MALFORMED_FUNCTION_CALL" => {
                self.unreadable_call(&finish.message, deltas)?;
                StopReason::ToolCalls
            }
            // The others say that the reply is not what the model set out to write.
            reason => {
                let name: String = reason.chars().take(64).collect();
                return Err(ModelError::malformed(format!("it ended for {name}")));
            }
        };
        if let Some(usage) = self.usage.take() {
            deltas.push_back(Delta::Usage { usage });
        }
        deltas.push_back(Delta::Finished { stop_reason });
        Ok(())
    }
}

impl Decoder for Candidates {
    type Frame = SseEvent;

    fn frame(&mut self, event: SseEvent, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let chunk: Chunk = serde_json::from_str(&event.data)
            .map_err(|_| ModelError::malformed("a chunk is not the JSON it should be"))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let fault = Fault::from_json(&json!({ "error": error }));
            return Err(fault.into_error(PROVIDER, &self.model, &self.secrets));
        }
        if let Some(usage) = chunk.usage_metadata {
            self.usage = Some(usage.into());
        }
        if let Some(feedback) = chunk.prompt_feedback
            && let Some(reason) = feedback.block_reason
        {
            let message = feedback.block_reason_message.unwrap_or(reason);
            return Err(ModelError::ContentFiltered {
                message: crate::fault::clean(&message, &self.secrets),
            });
        }
        for candidate in chunk.candidates.unwrap_or_default() {
            if candidate.index != 0 {
                continue;
            }
            let content = candidate.content.unwrap_or_default();
            for part in content.parts.unwrap_or_default() {
                self.part(part, deltas)?;
            }
            if let Some(reason) = candidate
                .finish_reason
                .filter(|reason| reason != "FINISH_REASON_UNSPECIFIED")
            {
                self.finish = Some(Finish {
                    reason,
                    message: candidate.finish_message.unwrap_or_default(),
                });
            }
        }
        // A late chunk may still bring a signature or the final counts, so a reply that is
        // complete ends with its connection. One that is not has nothing to wait for.
        match self.finish.take_if(|finish| !finish.is_whole()) {
            Some(finish) => self.finish(&finish, deltas),
            None => Ok(()),
        }
    }

    fn end(&mut self, deltas: &mut VecDeque<Delta>) {
        if let Some(finish) = self.finish.take()
            && self.finish(&finish, deltas).is_err()
        {
            deltas.clear();
        }
    }
}

fn keep(data: Value) -> Delta {
    Delta::Opaque {
        part: OpaquePart {
            provider: PROVIDER.to_owned(),
            data,
        },
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let thoughts = wire.thoughts_token_count.unwrap_or(0);
        Usage {
            // What tools of the provider brought is counted apart from the prompt.
            input_tokens: wire
                .prompt_token_count
                .unwrap_or(0)
                .saturating_add(wire.tool_use_prompt_token_count.unwrap_or(0)),
            cached_input_tokens: wire.cached_content_token_count.unwrap_or(0),
            cache_write_tokens: 0,
            // Thoughts are paid like output and counted apart from it.
            output_tokens: wire
                .candidates_token_count
                .unwrap_or(0)
                .saturating_add(thoughts),
            reasoning_tokens: thoughts,
        }
        .normalised()
    }
}
