//! A request in the words of OpenAI's chat completions.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, ToolCall};
use crate::completions::{function, response_format};

/// The body of a streaming call. `official` means OpenAI's own host.
pub(super) fn body(request: &ChatRequest, model: &str, official: bool) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(request),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(function).collect();
    }
    if let Some(limit) = request.max_output_tokens {
        // OpenAI's newer models refuse the old name; many compatible servers know only that.
        let field = match official {
            true => "max_completion_tokens",
            false => "max_tokens",
        };
        body[field] = json!(limit);
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(format) = &request.response_format {
        body["response_format"] = response_format(format);
    }
    body
}

fn messages(request: &ChatRequest) -> Vec<Value> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(system) = &request.system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.extend(request.messages.iter().map(message));
    messages
}

fn message(message: &Message) -> Value {
    match message {
        Message::User { text } => json!({ "role": "user", "content": text }),
        Message::Assistant {
            text, tool_calls, ..
        } => {
            let mut entry = json!({ "role": "assistant", "content": text });
            if !tool_calls.is_empty() {
                entry["tool_calls"] = tool_calls.iter().map(call).collect();
                if text.is_empty() {
                    entry["content"] = Value::Null;
                }
            }
            entry
        }
        Message::ToolResult {
            call_id,
            content,
            is_error,
            ..
        } => {
            // The protocol has no flag for a failed tool, so the text has to say it.
            let content = match is_error {
                true => format!("Error: {content}"),
                false => content.clone(),
            };
            json!({ "role": "tool", "tool_call_id": call_id, "content": content })
        }
    }
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {
            "name": call.name,
            "arguments": call.arguments.to_history().to_string(),
        },
    })
}
