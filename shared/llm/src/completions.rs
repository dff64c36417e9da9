//! What the wire of OpenAI's chat completions and that of Mistral's have in common.
//!
//! The two look alike and differ in what they accept, what they refuse and how they count. Here
//! is only what is the same in both, so that neither has to know the other's ways.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::{JsonSchema, ToolSpec};
use crate::error::ModelError;
use crate::reply::{Delta, Usage};
use crate::stream::MAX_TOOL_CALLS;

/// A declared tool.
pub(crate) fn function(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

/// The wish for a reply of a certain shape.
pub(crate) fn response_format(format: &JsonSchema) -> Value {
    json!({
        "type": "json_schema",
        "json_schema": {
            "name": format.safe_name(),
            "schema": format.schema,
            "strict": format.strict,
        },
    })
}

/// A part of a tool call, as a chunk brings it.
#[derive(Deserialize)]
pub(crate) struct CallFragment {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionFragment>,
}

#[derive(Default, Deserialize)]
struct FunctionFragment {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Value,
}

/// The tool calls of one reply, while they are written.
pub(crate) struct Calls {
    open: Vec<OpenCall>,
    /// The number of the first call that comes without an id.
    first_number: usize,
}

/// A tool call in the making; its position in the list is its index in our deltas.
struct OpenCall {
    /// The server's index, where it sends one.
    key: Option<u64>,
    id: Option<String>,
    /// Set once the call has been announced.
    name: Option<String>,
    /// Arguments that came before the name.
    held: String,
}

impl Calls {
    /// The calls of a reply in a conversation that has had so many.
    pub fn after(calls_before: usize) -> Self {
        Self {
            open: Vec::new(),
            first_number: calls_before,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Refuses calls that say how but not what.
    pub fn check(&self) -> Result<(), ModelError> {
        match self.open.iter().any(|call| call.name.is_none()) {
            true => Err(ModelError::malformed("a tool call has no name")),
            false => Ok(()),
        }
    }

    /// Takes in one part of a call.
    pub fn take(
        &mut self,
        fragment: CallFragment,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let function = fragment.function.unwrap_or_default();
        // Mistral's word for no id is one.
        let id = fragment.id.filter(|id| !id.is_empty() && id != "null");
        let name = function.name.filter(|name| !name.is_empty());
        let position = self.position(fragment.index, id.as_deref(), name.is_some())?;
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        let number = self.first_number + position;
        let call = &mut self.open[position];
        if call.id.is_none() {
            call.id = id;
        }
        // Servers that hand over whole calls may send the arguments as an object.
        let mut arguments = match function.arguments {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if call.name.is_none() {
            let Some(name) = name else {
                call.held.push_str(&arguments);
                return Ok(());
            };
            arguments.insert_str(0, &std::mem::take(&mut call.held));
            deltas.push_back(Delta::ToolCallStart {
                index,
                id: call
                    .id
                    .get_or_insert_with(|| format!("call_{number}"))
                    .clone(),
                name: name.clone(),
            });
            call.name = Some(name);
        }
        if !arguments.is_empty() {
            deltas.push_back(Delta::ToolCallArguments {
                index,
                fragment: arguments,
            });
        }
        Ok(())
    }

    /// Which call a fragment belongs to. Servers differ: some number the calls, some repeat the
    /// same number for every whole call, some send no number at all.
    fn position(
        &mut self,
        key: Option<u64>,
        id: Option<&str>,
        has_name: bool,
    ) -> Result<usize, ModelError> {
        let known = match key {
            Some(_) => self.open.iter().rposition(|call| call.key == key),
            None if has_name => None,
            None => self.open.len().checked_sub(1),
        };
        if let Some(position) = known {
            let other_call = has_name
                && id.is_some()
                && self.open[position].name.is_some()
                && self.open[position].id.as_deref() != id;
            if !other_call {
                return Ok(position);
            }
        }
        if self.open.len() >= MAX_TOOL_CALLS {
            return Err(ModelError::malformed("it has more than 128 tool calls"));
        }
        self.open.push(OpenCall {
            key,
            id: None,
            name: None,
            held: String::new(),
        });
        Ok(self.open.len() - 1)
    }
}

/// Token counts, with the details that either server or a gateway adds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// From gateways to models whose providers charge for writing the cache.
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let prompt = wire.prompt_tokens_details.unwrap_or_default();
        let completion = wire.completion_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: wire.prompt_tokens.unwrap_or(0),
            cached_input_tokens: prompt.cached_tokens.unwrap_or(0),
            cache_write_tokens: prompt.cache_write_tokens.unwrap_or(0),
            output_tokens: wire.completion_tokens.unwrap_or(0),
            reasoning_tokens: completion.reasoning_tokens.unwrap_or(0),
        }
        .normalised()
    }
}
