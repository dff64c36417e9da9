//! A request in the words of Mistral's chat completions.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, OpaquePart, ToolCall, opaque_of};
use crate::completions::{function, response_format};
use crate::model::ModelId;
use crate::structured::AnswerTool;

/// The length that an id of a tool call has to have.
const ID_LENGTH: usize = 9;

/// What stands between a tool's result and a person who speaks before the model did: the API
/// refuses the one right after the other.
const BRIDGE: &str = "Understood.";

/// The body of a streaming call. With an answer tool, the model has to call a tool.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    id: &ModelId,
    answer: Option<&AnswerTool>,
) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(request, id),
        "stream": true,
    });
    let tools: Vec<Value> = request
        .tools
        .iter()
        .chain(answer.map(|answer| &answer.spec))
        .map(function)
        .collect();
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    if answer.is_some() {
        body["tool_choice"] = json!("any");
    } else if let Some(format) = &request.response_format {
        body["response_format"] = response_format(format);
    }
    if let Some(limit) = request.max_output_tokens {
        body["max_tokens"] = json!(limit);
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

fn messages(request: &ChatRequest, id: &ModelId) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::with_capacity(request.messages.len() + 1);
    if let Some(system) = request.system.as_ref().filter(|text| !text.is_empty()) {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in &request.messages {
        match message {
            Message::User { text } => {
                if messages.last().is_some_and(|last| last["role"] == "tool") {
                    messages.push(json!({ "role": "assistant", "content": BRIDGE }));
                }
                messages.push(json!({ "role": "user", "content": text }));
            }
            Message::Assistant {
                text,
                tool_calls,
                opaque,
            } => messages.extend(assistant(text, tool_calls, opaque, id)),
            Message::ToolResult {
                call_id,
                name,
                content,
                is_error,
            } => {
                // The protocol has no flag for a failed tool, so the text has to say it.
                let content = match is_error {
                    true => format!("Error: {content}"),
                    false => content.clone(),
                };
                messages.push(json!({
                    "role": "tool",
                    "tool_call_id": short_id(call_id),
                    "name": name,
                    "content": content,
                }));
            }
        }
    }
    // A conversation may end with what the model has said so far, for it to go on.
    if let Some(last) = messages.last_mut()
        && last["role"] == "assistant"
        && last["tool_calls"].is_null()
    {
        last["prefix"] = json!(true);
    }
    messages
}

/// A message that has neither words nor calls is refused, so there is none then.
fn assistant(text: &str, calls: &[ToolCall], opaque: &[OpaquePart], id: &ModelId) -> Option<Value> {
    if text.is_empty() && calls.is_empty() {
        return None;
    }
    let thinking: Vec<&Value> = opaque_of(opaque, id).collect();
    let content = match (thinking.is_empty(), text.is_empty()) {
        (true, _) => json!(text),
        (false, true) => json!(thinking),
        (false, false) => {
            let text = json!({ "type": "text", "text": text });
            thinking.into_iter().chain([&text]).cloned().collect()
        }
    };
    let mut entry = json!({ "role": "assistant", "content": content });
    if !calls.is_empty() {
        entry["tool_calls"] = calls.iter().map(call).collect();
    }
    Some(entry)
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": short_id(&call.id),
        "type": "function",
        "function": {
            "name": call.name,
            "arguments": call.arguments.to_history().to_string(),
        },
    })
}

/// Nine letters and digits, and nothing else, is what the API takes for an id. Its own pass as
/// they are; others are folded into that shape, always the same one for the same id.
fn short_id(id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let is_own = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_own {
        return id.to_owned();
    }
    // FNV-1a: nobody has to be kept from finding a collision, it just must not happen by itself.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The product leaves the low bits of similar ids alike.
    hash ^= hash >> 32;
    (0..ID_LENGTH)
        .map(|_| {
            let digit = usize::try_from(hash % 62).unwrap_or(0);
            hash /= 62;
            char::from(DIGITS[digit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_fit_and_stay_apart() {
        assert_eq!(short_id("D681PevKs"), "D681PevKs");
        let ids: HashSet<String> = (0..20_000)
            .map(|number| short_id(&format!("call_{number}")))
            .chain((0..20_000).map(|number| short_id(&format!("toolu_01A{number}"))))
            .collect();
        assert_eq!(ids.len(), 40_000);
        for id in ids {
            assert_eq!(id.len(), 9);
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        }
        assert_eq!(short_id("call_1"), short_id("call_1"));
    }
}
