//! Models against scripted servers, one per wire format, and the models that need none.

mod anthropic;
mod bedrock;
mod embeddings;
mod failover;
mod formats;
mod gemini;
mod mistral;
mod offline;
mod openai;
mod scripted;
mod server;

use futures::StreamExt;
use llm::{ChatModel, ChatRequest, ChatResponse, Delta, Message, ModelError, ToolSpec};
use serde_json::json;

/// A request with one message and one tool.
fn request(text: &str) -> ChatRequest {
    ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![Message::user(text)],
        tools: vec![ToolSpec {
            name: "search_knowledge".into(),
            description: "Searches the documents.".into(),
            parameters: json!({
                "type": "object",
                "properties": {"query": {"type": "string"}},
                "required": ["query"],
            }),
        }],
        ..ChatRequest::default()
    }
}

/// Calls a model and puts the reply together.
async fn ask(model: &dyn ChatModel, request: ChatRequest) -> Result<ChatResponse, ModelError> {
    llm::collect(model.stream(request).await?).await
}

/// Everything that a stream gave after it said who answers, up to and including its error.
async fn items(model: &dyn ChatModel, request: ChatRequest) -> Vec<Result<Delta, ModelError>> {
    let mut stream = match model.stream(request).await {
        Ok(stream) => stream,
        Err(error) => return vec![Err(error)],
    };
    match stream.next().await {
        Some(Ok(Delta::Started { model: id, .. })) => assert_eq!(id.provider, model.id().provider),
        other => panic!("a stream began with {other:?}"),
    }
    stream.collect().await
}
