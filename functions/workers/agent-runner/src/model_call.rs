//! One model call: noted in the journal, streamed to whoever watches, settled.

use std::time::{Duration, Instant};

use domain::execution::{EffectOutcome, EffectRequest, RequestedCall, StreamEntryKind, Tokens};
use futures::StreamExt;
use llm::{Arguments, Assembly, ChatRequest, ChatResponse, Delta, ModelError, ToolSpec};
use serde_json::{Value, json};

use crate::conversation;
use crate::run::{MAX_CALLS_PER_STEP, Run, Stop};

/// Text is written to the stream in pieces: after this long, or when this much has gathered.
const FLUSH_AFTER: Duration = Duration::from_millis(400);
const FLUSH_CHARS: usize = 2_000;

/// Asks the model for its turn of a step. The inner error is the model's.
pub(crate) async fn ask(
    run: &mut Run<'_>,
    step: u32,
) -> Result<Result<EffectOutcome, ModelError>, Stop> {
    let chat = ChatRequest {
        model: run.spec.model.clone().unwrap_or_default(),
        system: Some(conversation::system_prompt(run)),
        messages: conversation::messages(run),
        tools: tool_specs(run),
        ..ChatRequest::default()
    };
    let model = run
        .spec
        .model
        .clone()
        .unwrap_or_else(|| run.runner.model.id().to_string());
    let request = EffectRequest::Model { model };
    let attempt = run.journal.attempts(step, 0) + 1;
    let started = json!({ "step": step, "attempt": attempt });
    run.begin_effect(
        step,
        0,
        request.clone(),
        Some((StreamEntryKind::StepStarted, started)),
    )
    .await?;

    let message_id = format!("{}-{step}-{attempt}", run.execution.id);
    let time = run.time_for_a_call();
    let called_at = Instant::now();
    let streamed = tokio::time::timeout(time, stream_reply(run, chat, &message_id)).await;
    let took_ms = called_at.elapsed().as_secs_f64() * 1000.0;
    metrics::histogram!("outside_call_ms", "target" => "model").record(took_ms);
    let (response, mut tail) = match streamed {
        Ok(Ok(Ok(reply))) => reply,
        Ok(Ok(Err(error))) => return Ok(Err(error)),
        Ok(Err(stop)) => return Err(stop),
        // The call takes longer than this worker has: a successor begins it anew.
        Err(_) => return Err(Stop::Yield),
    };
    tail.extend(tool_call_entries(&response));
    let outcome = outcome_of(response);
    run.settle_model(step, request, outcome.clone(), tail)
        .await?;
    Ok(Ok(outcome))
}

type Entries = Vec<(StreamEntryKind, Value)>;

/// Streams a reply, writing its text as it comes. What is left to write is returned, so that it is
/// committed together with the settled effect.
async fn stream_reply(
    run: &mut Run<'_>,
    chat: ChatRequest,
    message_id: &str,
) -> Result<Result<(ChatResponse, Entries), ModelError>, Stop> {
    let model = std::sync::Arc::clone(&run.runner.model);
    let mut deltas = match model.stream(chat).await {
        Ok(deltas) => deltas,
        Err(error) => return Ok(Err(error)),
    };
    let mut assembly = Assembly::default();
    let mut pending: Entries = Vec::new();
    let mut text = String::new();
    let mut begun = false;
    let mut flushed_at = Instant::now();
    while let Some(delta) = deltas.next().await {
        let delta = match delta.and_then(|delta| assembly.push(&delta).map(|()| delta)) {
            Ok(delta) => delta,
            Err(error) => return Ok(Err(error)),
        };
        let Delta::TextDelta { text: piece } = delta else {
            continue;
        };
        if !begun {
            begun = true;
            let data = json!({ "message_id": message_id, "role": "assistant" });
            pending.push((StreamEntryKind::TextMessageStart, data));
        }
        text.push_str(&piece);
        if text.len() >= FLUSH_CHARS || flushed_at.elapsed() >= FLUSH_AFTER {
            pending.push(content(message_id, &mut text));
            flush(run, std::mem::take(&mut pending)).await?;
            flushed_at = Instant::now();
        }
    }
    if !text.is_empty() {
        pending.push(content(message_id, &mut text));
    }
    if begun {
        pending.push((
            StreamEntryKind::TextMessageEnd,
            json!({ "message_id": message_id }),
        ));
    }
    Ok(assembly.finish().map(|response| (response, pending)))
}

fn content(message_id: &str, text: &mut String) -> (StreamEntryKind, Value) {
    let data = json!({ "message_id": message_id, "delta": std::mem::take(text) });
    (StreamEntryKind::TextMessageContent, data)
}

async fn flush(run: &mut Run<'_>, entries: Entries) -> Result<(), Stop> {
    let version = run.execution.version;
    let now = run.runner.store.now();
    let entries = entries
        .into_iter()
        .map(|(kind, data)| run.execution.next_stream_entry(kind, data, now))
        .collect();
    let commit = run.commit();
    run.write(commit, version, entries).await
}

fn tool_call_entries(response: &ChatResponse) -> Entries {
    response
        .tool_calls
        .iter()
        .take(MAX_CALLS_PER_STEP)
        .flat_map(|call| {
            let id = json!({ "tool_call_id": call.id });
            [
                (
                    StreamEntryKind::ToolCallStart,
                    json!({ "tool_call_id": call.id, "name": call.name }),
                ),
                (
                    StreamEntryKind::ToolCallArgs,
                    json!({ "tool_call_id": call.id, "arguments": as_value(&call.arguments) }),
                ),
                (StreamEntryKind::ToolCallEnd, id),
            ]
        })
        .collect()
}

fn outcome_of(response: ChatResponse) -> EffectOutcome {
    let usage = response.usage.unwrap_or_default();
    let stop_reason = serde_json::to_value(response.stop_reason)
        .ok()
        .and_then(|reason| reason.as_str().map(str::to_owned))
        .unwrap_or_default();
    EffectOutcome::Model {
        text: response.text,
        tool_calls: response
            .tool_calls
            .into_iter()
            .map(|call| RequestedCall {
                arguments: as_value(&call.arguments),
                call_id: call.id,
                name: call.name,
            })
            .collect(),
        opaque: response
            .opaque
            .iter()
            .filter_map(|part| serde_json::to_value(part).ok())
            .collect(),
        stop_reason,
        tokens: Tokens {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            output_tokens: usage.output_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        },
    }
}

fn as_value(arguments: &Arguments) -> Value {
    match arguments {
        Arguments::Json(fields) => Value::Object(fields.clone()),
        Arguments::Malformed(text) => Value::String(text.clone()),
    }
}

fn tool_specs(run: &Run<'_>) -> Vec<ToolSpec> {
    run.toolbox
        .offered()
        .map(|(name, description, parameters)| ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: parameters.clone(),
        })
        .collect()
}
