//! The service that HTTP tools call, and a server that speaks the Model Context Protocol.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::UnderWay;
use crate::history::{EffectKey, History};
use crate::script::value_of;
use crate::seeds::Dice;

/// The routes of the server: a POST for each tool, under its name.
pub(crate) fn router(seed: u64, history: Arc<History>) -> Router {
    let service = Service {
        seed,
        history,
        dice: Arc::new(Dice::new(seed, "tools")),
    };
    Router::new()
        .route("/look_up", post(serve))
        .route("/charge", post(serve))
        .route("/mcp", post(speak))
        .with_state(service)
}

#[derive(Debug, Clone)]
struct Service {
    seed: u64,
    history: Arc<History>,
    dice: Arc<Dice>,
}

#[derive(Debug, Deserialize)]
struct About {
    item: String,
}

async fn serve(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(about): Json<About>,
) -> Response {
    match act(&service, &headers, &about.item).await {
        Some(value) => Json(json!({ "value": value })).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Answers a message of the Model Context Protocol.
async fn speak(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(message): Json<Value>,
) -> Response {
    let method = message["method"].as_str().unwrap_or_default();
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [{
            "name": "ship",
            "description": "Does something outside.",
            "inputSchema": {
                "type": "object",
                "properties": { "item": { "type": "string" } },
                "required": ["item"],
            },
        }] }),
        "tools/call" => {
            let item = message["params"]["arguments"]["item"].as_str();
            let Some(value) = act(&service, &headers, item.unwrap_or_default()).await else {
                return StatusCode::BAD_REQUEST.into_response();
            };
            let text = json!({ "value": value }).to_string();
            json!({ "content": [{ "type": "text", "text": text }] })
        }
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })).into_response()
}

/// Does what a call asks for, and gives its value; nothing, if the call is of no effect.
async fn act(service: &Service, headers: &HeaderMap, item: &str) -> Option<String> {
    let key = headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let Some(effect) = effect(key) else {
        let what = format!("a tool was called under the key `{key}`");
        service.history.strange_call(what);
        return None;
    };
    let call = service.history.call_began(effect);
    let mut under_way = UnderWay::new(&service.history, call);
    let pause = service.dice.roll(|draw| draw.random_range(5..80));
    sleep(Duration::from_millis(pause)).await;
    under_way.pieces_read = 1;
    under_way.whole = true;
    Some(value_of(service.seed, item))
}

/// The effect that a key names: execution, step and call.
fn effect(key: &str) -> Option<EffectKey> {
    let mut parts = key.rsplitn(3, '-');
    let (call, step, execution) = (parts.next()?, parts.next()?, parts.next()?);
    Some(EffectKey {
        execution: execution.parse().ok()?,
        step: step.parse().ok()?,
        call: call.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use kernel::ExecutionId;

    use super::*;

    #[test]
    fn the_key_of_a_call_names_its_effect() {
        let execution = ExecutionId::from_u128(9);
        let key = domain::execution::Effect::idempotency_key(execution, 3, 2);
        let expected = EffectKey {
            execution,
            step: 3,
            call: 2,
        };
        assert_eq!(effect(&key), Some(expected));
        assert_eq!(effect("x-y"), None);
    }
}
