//! A model that says what it was asked, for journeys that look at what it was told.

use llm::scripted::{Gate, Scripted, Turn};
use llm::{ChatRequest, Message};

/// A model that answers `Re: <input>`. To an input that begins with `hold` it says something first
/// and then waits at the gate.
pub fn listener(gate: &Gate) -> Scripted {
    let gate = gate.clone();
    Scripted::computed(move |request, _| {
        let input = asked(request);
        if input.starts_with("hold") {
            Turn::text(format!("{} Held.", said_so_far())).gated_after(1, &gate)
        } else {
            Turn::text(format!("Re: {input}"))
        }
    })
}

/// What a reply that is held has said by then: long enough to be streamed at once.
pub fn said_so_far() -> String {
    format!("Wait{}", ".".repeat(2_000))
}

/// What a model was asked last.
pub fn asked(request: &ChatRequest) -> &str {
    let said = request
        .messages
        .iter()
        .rev()
        .find_map(|message| match message {
            Message::User { text } => Some(text.as_str()),
            _ => None,
        });
    said.unwrap_or_default()
}

/// What a model was told, a line for each message.
pub fn told(request: &ChatRequest) -> Vec<String> {
    let lines = request.messages.iter().map(|message| match message {
        Message::User { text } => format!("user: {text}"),
        Message::Assistant { text, .. } => format!("assistant: {text}"),
        Message::ToolResult { content, .. } => format!("tool: {content}"),
    });
    lines.collect()
}
