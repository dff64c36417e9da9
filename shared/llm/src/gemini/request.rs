//! A request in the words of Gemini's `generateContent`.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, OpaquePart, ToolCall, ToolSpec, opaque_of};
use crate::model::ModelId;
use crate::structured::AnswerTool;

/// What a call says in the place of a signature that it never had, because another provider's
/// model made it. Models from the third generation on refuse a call without any.
const FOREIGN_SIGNATURE: &str = "skip_thought_signature_validator";

/// The body of a call; the model stands in the URL. With an answer tool, the model has to call a
/// tool.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    id: &ModelId,
    answer: Option<&AnswerTool>,
) -> Value {
    let mut body = json!({ "contents": contents(request, model, id) });
    if let Some(system) = request.system.as_ref().filter(|text| !text.is_empty()) {
        body["systemInstruction"] = json!({ "parts": [{ "text": system }] });
    }
    let mut generation = json!({});
    if let Some(limit) = request.max_output_tokens {
        generation["maxOutputTokens"] = json!(limit);
    }
    if let Some(temperature) = request.temperature {
        generation["temperature"] = json!(temperature);
    }
    let declared = request
        .tools
        .iter()
        .chain(answer.map(|answer| &answer.spec));
    let declared: Vec<Value> = declared.map(declaration).collect();
    if !declared.is_empty() {
        body["tools"] = json!([{ "functionDeclarations": declared }]);
    }
    if answer.is_some() {
        body["toolConfig"] = json!({ "functionCallingConfig": { "mode": "ANY" } });
    } else if let Some(format) = &request.response_format {
        generation["responseMimeType"] = json!("application/json");
        generation["responseJsonSchema"] = format.schema.clone();
    }
    if generation != json!({}) {
        body["generationConfig"] = generation;
    }
    body
}

fn declaration(tool: &ToolSpec) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    })
}

/// The conversation as turns: neighbours of one role become one turn, as the API wants all
/// results of one step together.
fn contents(request: &ChatRequest, model: &str, id: &ModelId) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let (role, parts) = match message {
            Message::User { text } => ("user", text_part(text).into_iter().collect()),
            Message::Assistant {
                text,
                tool_calls,
                opaque,
            } => ("model", said(text, tool_calls, opaque, model, id)),
            Message::ToolResult { .. } => (
                "user",
                result(message, &request.messages, id).into_iter().collect(),
            ),
        };
        // The API refuses turns without parts.
        if parts.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some((last, content)) if *last == role => content.extend(parts),
            _ => turns.push((role, parts)),
        }
    }
    turns
        .into_iter()
        .map(|(role, parts)| json!({ "role": role, "parts": parts }))
        .collect()
}

fn text_part(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "text": text }))
}

fn said(
    text: &str,
    calls: &[ToolCall],
    opaque: &[OpaquePart],
    model: &str,
    id: &ModelId,
) -> Vec<Value> {
    let mut parts: Vec<Value> = text_part(text).into_iter().collect();
    // The signature of a text stands in a part of its own: merged with text that it did not come
    // with, it would vouch for what it does not cover.
    parts.extend(
        opaque_of(opaque, id)
            .filter(|data| data["call_id"].is_null() && data["thoughtSignature"].is_string())
            .map(|data| json!({ "text": "", "thoughtSignature": data["thoughtSignature"] })),
    );
    for (position, call) in calls.iter().enumerate() {
        let known = mark(opaque, &call.id, id);
        let mut function = json!({
            "name": call.name,
            "args": call.arguments.to_history(),
        });
        if let Some(own_id) = known.and_then(|data| data.get("id")) {
            function["id"] = own_id.clone();
        }
        let mut part = json!({ "functionCall": function });
        match known {
            Some(data) => {
                if let Some(signature) = data.get("thoughtSignature") {
                    part["thoughtSignature"] = signature.clone();
                }
            }
            // Of parallel calls, the first one carries the signature.
            None if position == 0 && demands_signatures(model) => {
                part["thoughtSignature"] = json!(FOREIGN_SIGNATURE);
            }
            None => {}
        }
        parts.push(part);
    }
    parts
}

/// What was kept about a call that this provider's model made.
fn mark<'a>(opaque: &'a [OpaquePart], call_id: &str, id: &'a ModelId) -> Option<&'a Value> {
    opaque_of(opaque, id).find(|data| data["call_id"] == call_id)
}

fn demands_signatures(model: &str) -> bool {
    !["gemini-1", "gemini-2", "gemma"]
        .iter()
        .any(|older| model.starts_with(older))
}

fn result(message: &Message, history: &[Message], id: &ModelId) -> Option<Value> {
    let Message::ToolResult {
        call_id,
        name,
        content,
        is_error,
    } = message
    else {
        return None;
    };
    let key = match is_error {
        true => "error",
        false => "output",
    };
    // The API takes a document here; what is one should not have to be read out of a string.
    let content = serde_json::from_str(content).unwrap_or_else(|_| Value::from(content.as_str()));
    let mut response = json!({ "name": name, "response": { key: content } });
    let own_id = history.iter().find_map(|message| match message {
        Message::Assistant { opaque, .. } => mark(opaque, call_id, id)?.get("id"),
        _ => None,
    });
    if let Some(own_id) = own_id {
        response["id"] = own_id.clone();
    }
    Some(json!({ "functionResponse": response }))
}
