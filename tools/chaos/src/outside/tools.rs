//! The service that HTTP tools call.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;
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
    let key = headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let Some(effect) = effect(key) else {
        let what = format!("a tool was called under the key `{key}`");
        service.history.strange_call(what);
        return StatusCode::BAD_REQUEST.into_response();
    };
    let call = service.history.call_began(effect);
    let mut under_way = UnderWay::new(&service.history, call);
    let pause = service.dice.roll(|draw| draw.random_range(5..80));
    sleep(Duration::from_millis(pause)).await;
    under_way.pieces_read = 1;
    under_way.whole = true;
    let value = value_of(service.seed, &about.item);
    Json(json!({ "value": value })).into_response()
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
