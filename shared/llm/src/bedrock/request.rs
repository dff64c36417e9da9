//! A request in the words of Bedrock's Converse API.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, ToolSpec, opaque_of};
use crate::model::ModelId;
use crate::structured::AnswerTool;

/// The body of a call; the model stands in the URL. With an answer tool, the model has to call a
/// tool.
pub(super) fn body(request: &ChatRequest, id: &ModelId, answer: Option<&AnswerTool>) -> Value {
    let mut body = json!({ "messages": messages(request, id) });
    if let Some(system) = request.system.as_ref().filter(|text| !text.is_empty()) {
        body["system"] = json!([{ "text": system }]);
    }
    let mut inference = json!({});
    if let Some(limit) = request.max_output_tokens {
        inference["maxTokens"] = json!(limit);
    }
    if let Some(temperature) = request.temperature {
        inference["temperature"] = json!(temperature);
    }
    if inference != json!({}) {
        body["inferenceConfig"] = inference;
    }
    let declared = request.declared_tools();
    let mut tools: Vec<Value> = declared.iter().map(tool).collect();
    if let Some(answer) = answer {
        let mut spec = tool(&answer.spec);
        if answer.strict {
            spec["toolSpec"]["strict"] = json!(true);
        }
        tools.push(spec);
    }
    if !tools.is_empty() {
        body["toolConfig"] = json!({ "tools": tools });
    }
    if let Some(answer) = answer {
        // Fewer models can be made to call a certain tool than to call any. Only a history with
        // calls that must not be made again leaves no other way.
        let dead_tools = request.tools.is_empty() && !declared.is_empty();
        body["toolConfig"]["toolChoice"] = match dead_tools {
            true => json!({ "tool": { "name": answer.spec.name } }),
            false => json!({ "any": {} }),
        };
    }
    body
}

fn tool(tool: &ToolSpec) -> Value {
    let mut spec = json!({
        "name": tool.name,
        "inputSchema": { "json": tool.parameters },
    });
    // The service refuses an empty description, not an absent one.
    if !tool.description.is_empty() {
        spec["description"] = json!(tool.description);
    }
    json!({ "toolSpec": spec })
}

/// Turns alternate strictly, so neighbours of one role become one turn.
fn messages(request: &ChatRequest, id: &ModelId) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let (role, blocks) = blocks(message, id);
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
                    "toolUse": {
                        "toolUseId": safe_id(&call.id),
                        "name": call.name,
                        "input": call.arguments.to_history(),
                    },
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
            let status = match is_error {
                true => "error",
                false => "success",
            };
            let block = json!({
                "toolResult": {
                    "toolUseId": safe_id(call_id),
                    "content": [{ "text": content }],
                    "status": status,
                },
            });
            ("user", vec![block])
        }
    }
}

fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "text": text }))
}

/// The service accepts letters, digits, `_` and `-`, 64 of them.
fn safe_id(id: &str) -> String {
    id.chars()
        .take(64)
        .map(
            |c| match c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                true => c,
                false => '_',
            },
        )
        .collect()
}
