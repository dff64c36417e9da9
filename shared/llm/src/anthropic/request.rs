//! A request in the words of Anthropic's Messages API.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, opaque_of};
use crate::model::ModelId;
use crate::structured::AnswerTool;

/// The API demands a limit; this is used when a request sets none. It has to hold the reasoning
/// of models that reason by default, and every current model allows it.
const DEFAULT_MAX_OUTPUT_TOKENS: u32 = 8192;

/// The body of a streaming call. With an answer tool, the model has to call a tool.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    id: &ModelId,
    answer: Option<&AnswerTool>,
) -> Value {
    let mut tools = request.declared_tools();
    tools.extend(answer.map(|answer| answer.spec.clone()));
    // An agent's loop sends the same beginning again with every step, so it pays to have the
    // provider cache it: writing costs a quarter more once, each reading a tenth. A request
    // without tools is one call that nothing follows.
    let caches = !request.tools.is_empty();

    let mut messages = messages(request, id);
    if caches && let Some(block) = last_block(&mut messages) {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_output_tokens.unwrap_or(DEFAULT_MAX_OUTPUT_TOKENS),
        "messages": messages,
        "stream": true,
    });
    if let Some(system) = request.system.as_ref().filter(|text| !text.is_empty()) {
        let mut block = json!({ "type": "text", "text": system });
        if caches {
            block["cache_control"] = json!({ "type": "ephemeral" });
        }
        body["system"] = json!([block]);
    }
    if !tools.is_empty() {
        body["tools"] = tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                })
            })
            .collect();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(answer) = answer {
        body["tool_choice"] = match request.tools.is_empty() {
            // What else is declared then is history, and not to be called again.
            true => json!({ "type": "tool", "name": answer.spec.name }),
            false => json!({ "type": "any" }),
        };
    } else if let Some(format) = &request.response_format {
        body["output_config"] = json!({
            "format": { "type": "json_schema", "schema": format.schema },
        });
    }
    body
}

/// The conversation as turns: what the person says and what tools answer share the `user` role,
/// and neighbours of one role become one turn, as the API wants all results of one step together.
fn messages(request: &ChatRequest, id: &ModelId) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let (role, blocks) = blocks(message, id);
        // The API refuses turns without content, such as a refusal before the first word.
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns
        .into_iter()
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect()
}

fn blocks(message: &Message, id: &ModelId) -> (&'static str, Vec<Value>) {
    match message {
        Message::User { text } => ("user", text_block(text).into_iter().collect()),
        Message::Assistant {
            text,
            tool_calls,
            opaque,
        } => {
            let mut blocks: Vec<Value> = opaque_of(opaque, id).cloned().collect();
            blocks.extend(text_block(text));
            blocks.extend(tool_calls.iter().map(|call| {
                json!({
                    "type": "tool_use",
                    "id": safe_id(&call.id),
                    "name": call.name,
                    "input": call.arguments.to_history(),
                })
            }));
            ("assistant", blocks)
        }
        Message::ToolResult {
            call_id,
            content,
            is_error,
            ..
        } => {
            let mut block = json!({
                "type": "tool_result",
                "tool_use_id": safe_id(call_id),
                "content": content,
            });
            if *is_error {
                block["is_error"] = json!(true);
            }
            ("user", vec![block])
        }
    }
}

/// Blank text is refused as well.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text }))
}

/// The API accepts letters, digits, `_` and `-`; a conversation that began with another provider
/// may hold other ids.
fn safe_id(id: &str) -> String {
    id.chars()
        .map(
            |c| match c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                true => c,
                false => '_',
            },
        )
        .collect()
}

/// The last block that may carry a cache mark: reasoning may not.
fn last_block(messages: &mut [Value]) -> Option<&mut Value> {
    messages
        .last_mut()?
        .get_mut("content")?
        .as_array_mut()?
        .last_mut()
        .filter(|block| {
            !matches!(
                block["type"].as_str(),
                Some("thinking" | "redacted_thinking")
            )
        })
}
