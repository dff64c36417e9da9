//! One model call: paid for, noted in the journal, streamed to whoever watches, settled.

use std::time::{Duration, Instant};

use domain::execution::{
    Effect, EffectOutcome, EffectRequest, ExecutionState, RequestedCall, StreamEntryKind, Tokens,
};
use futures::StreamExt;
use kernel::MicroCredits;
use llm::{
    Arguments, Assembly, ChatRequest, ChatResponse, Delta, JsonSchema, ModelError, ToolSpec,
};
use serde_json::{Value, json};
use store::CommitError;

use crate::conversation;
use crate::payment::{MAX_OUTPUT_TOKENS, Quote};
use crate::record::{Draft, Entries};
use crate::run::{MAX_CALLS_PER_STEP, Run};
use crate::stop::Stop;
use crate::swarm::InSwarm;

/// Text is written to the stream in pieces: after this long, or when this much has gathered.
const FLUSH_AFTER: Duration = Duration::from_millis(400);
const FLUSH_CHARS: usize = 2_000;
/// How deep the arguments of a call may be nested: an item of a table holds 32 levels, some of them
/// around the arguments.
const MAX_ARGUMENT_DEPTH: usize = 20;

/// What is to be written of a model call that came back.
pub(crate) struct Settlement {
    effect: Effect,
    tokens: Tokens,
    cost: MicroCredits,
    quote: Quote,
    /// What was said and not yet told.
    tail: Entries,
}

impl Settlement {
    /// Writes what the model said and what it cost.
    pub(crate) fn add_to(&self, draft: &mut Draft) {
        draft.put_effect(&self.effect);
        draft.execution.usage.add_model_call(self.tokens);
        self.quote.settle(draft, self.cost);
        for (kind, data) in &self.tail {
            draft.tell(*kind, data.clone());
        }
    }
}

/// Asks the model for its turn of a step, which is then to be settled. The inner error is the
/// model's.
pub(crate) async fn ask(
    run: &mut Run<'_>,
    step: u32,
) -> Result<Result<(EffectOutcome, Settlement), ModelError>, Stop> {
    run.hear(step).await?;
    let requested = run.spec.model.clone().unwrap_or_default();
    let chat = ChatRequest {
        model: requested.clone(),
        system: Some(conversation::system_prompt(run)),
        messages: conversation::messages(run),
        tools: tool_specs(run),
        max_output_tokens: Some(MAX_OUTPUT_TOKENS),
        response_format: run.spec.output_schema.clone().map(|schema| JsonSchema {
            name: "answer".to_owned(),
            schema,
            strict: false,
        }),
        ..ChatRequest::default()
    };
    let candidates = match run.runner.model.candidates(&requested) {
        Ok(candidates) => candidates,
        Err(error) => return Ok(Err(error)),
    };
    let quote = run.quote_model(step, &chat, &candidates).await?;
    let asked = candidates.first().map(ToString::to_string);
    let request = EffectRequest::Model {
        model: asked.unwrap_or(requested),
        messages_through: run.swarm.as_ref().and_then(InSwarm::through),
    };
    let attempt = run.journal.attempts(step, 0) + 1;
    begin(run, step, &request, &quote, attempt).await?;

    let message_id = format!("{}-{step}-{attempt}", run.execution.id);
    let time = run.time_for_a_call();
    let called_at = Instant::now();
    let streamed = tokio::time::timeout(time, stream_reply(run, chat, &message_id)).await;
    let took_ms = called_at.elapsed().as_secs_f64() * 1000.0;
    metrics::histogram!("outside_call_ms", "target" => "model").record(took_ms);
    let (response, mut tail) = match streamed {
        Ok(Ok(Ok(reply))) => reply,
        Ok(Ok(Err(error))) => {
            give_back(run, &quote).await?;
            return Ok(Err(error));
        }
        Ok(Err(stop)) => return Err(stop),
        // The call takes longer than this worker has: a successor begins it anew.
        Err(_) => return Err(Stop::Yield),
    };
    tail.extend(tool_call_entries(&response));
    let (tokens, cost, outcome) = outcome_of(run, &request, response);
    let settlement = Settlement {
        effect: run.settled_effect(step, 0, request, outcome.clone()),
        tokens,
        cost: cost.unwrap_or(MicroCredits::ZERO),
        quote,
        tail,
    };
    Ok(Ok((outcome, settlement)))
}

impl Run<'_> {
    /// Writes what the model said and what it cost, if that is still to be written.
    pub(crate) async fn settle_turn(&mut self, unsettled: Option<Settlement>) -> Result<(), Stop> {
        let Some(settlement) = unsettled else {
            return Ok(());
        };
        self.settle(|draft| settlement.add_to(draft)).await?;
        self.journal.record(settlement.effect);
        Ok(())
    }

    /// Hears what was said in the swarm since the step before.
    async fn hear(&mut self, step: u32) -> Result<(), Stop> {
        let begun = self.journal.begun(step, 0);
        let Some(swarm) = self.swarm.as_mut() else {
            return Ok(());
        };
        swarm
            .before_step(
                &self.runner.store,
                self.tenant,
                &self.execution,
                step,
                begun,
            )
            .await
    }
}

/// Notes that the call begins and sets aside what it may cost.
async fn begin(
    run: &mut Run<'_>,
    step: u32,
    request: &EffectRequest,
    quote: &Quote,
    attempt: u32,
) -> Result<(), Stop> {
    let effect = run.new_effect(step, 0, request.clone());
    let begun = run
        .record_paid(|draft| {
            draft.put_effect(&effect);
            quote.reserve(draft);
            let data = json!({ "step": step, "attempt": attempt });
            draft.tell(StreamEntryKind::StepStarted, data);
        })
        .await?;
    match begun {
        Ok(()) => {
            run.journal.record(effect);
            Ok(())
        }
        Err(CommitError::OverBudget { account }) => {
            Err(run.refused_by(account, quote.amount).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives back what was set aside for a call that failed.
async fn give_back(run: &mut Run<'_>, quote: &Quote) -> Result<(), Stop> {
    if run.execution.spending.reserved.is_none() {
        return Ok(());
    }
    run.settle(|draft| quote.settle(draft, MicroCredits::ZERO))
        .await
}

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
    let mut watched = true;
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
        let due = text.len() >= FLUSH_CHARS || flushed_at.elapsed() >= FLUSH_AFTER;
        if watched && due {
            pending.push(content(message_id, &mut text));
            watched = flush(run, &pending).await?;
            if watched {
                pending.clear();
            }
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

/// Writes what has come of a reply so far. `false` where the run was paused meanwhile: the rest of
/// the reply is still read, since it is paid for, and written when it is whole.
async fn flush(run: &mut Run<'_>, entries: &Entries) -> Result<bool, Stop> {
    let written = run
        .record(|draft| {
            for (kind, data) in entries {
                draft.tell(*kind, data.clone());
            }
        })
        .await;
    match written {
        Ok(()) => Ok(true),
        Err(Stop::Refused) if run.execution.state == ExecutionState::Paused => Ok(false),
        Err(stop) => Err(stop),
    }
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

fn outcome_of(
    run: &Run<'_>,
    request: &EffectRequest,
    response: ChatResponse,
) -> (Tokens, Option<MicroCredits>, EffectOutcome) {
    let usage = response.usage.unwrap_or_default();
    let stop_reason = serde_json::to_value(response.stop_reason)
        .ok()
        .and_then(|reason| reason.as_str().map(str::to_owned))
        .unwrap_or_default();
    let tokens = Tokens {
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
        reasoning_tokens: usage.reasoning_tokens,
    };
    let EffectRequest::Model { model: asked, .. } = request else {
        unreachable!("a model call asks a model");
    };
    let answered = response.model.as_ref().map(ToString::to_string);
    let cost = run.cost_of(answered.as_deref().unwrap_or(asked), tokens);
    let outcome = EffectOutcome::Model {
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
        tokens,
        answered_by: answered.filter(|answered| answered != asked),
        cost,
    };
    (tokens, cost, outcome)
}

/// The arguments as they are kept. Those that are nested deeper than a table holds stand as text,
/// so that this one call is refused and the run goes on.
fn as_value(arguments: &Arguments) -> Value {
    match arguments {
        Arguments::Json(fields) => {
            let value = Value::Object(fields.clone());
            if depth(&value) > MAX_ARGUMENT_DEPTH {
                return Value::String(value.to_string());
            }
            value
        }
        Arguments::Malformed(text) => Value::String(text.clone()),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
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
