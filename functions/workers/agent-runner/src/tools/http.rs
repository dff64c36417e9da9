//! Tools that are HTTP requests, sent by the client that reaches public addresses only.

use std::time::{Duration, Instant};

use domain::execution::Effect;
use domain::tool::{HttpMethod, Tool, ToolAction};
use outbound::{Method, OutboundError, Request};
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::run::{Run, Stop};

/// The header by which a service can recognise a call that it has seen before.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest that a call of this tool takes.
pub(crate) fn longest_time(tool: &Tool) -> Duration {
    let ToolAction::Http(action) = &tool.spec.action;
    Duration::from_secs(action.timeout_seconds.into())
}

/// Sends the request of a tool. Whatever comes back, or goes wrong, is for the model to read.
pub(crate) async fn call(
    run: &Run<'_>,
    step: u32,
    number: u32,
    tool: &Tool,
    arguments: &Value,
) -> Result<Reply, Stop> {
    let ToolAction::Http(action) = &tool.spec.action;
    let expanded = match action.expand(arguments) {
        Ok(expanded) => expanded,
        Err(error) => {
            return Ok(Reply::error(format!(
                "The arguments are not valid: {error}."
            )));
        }
    };
    let key = Effect::idempotency_key(run.execution.id, step, number);
    let request = match build(
        expanded.method,
        expanded.url,
        expanded.body.as_ref(),
        &key,
        &action.headers,
    ) {
        Ok(request) => request,
        Err(error) => return Ok(refused(&error)),
    };
    let asked = longest_time(tool);
    let time = asked.min(run.time_for_a_call());
    let called_at = Instant::now();
    let answered = tokio::time::timeout(time, run.runner.outbound.call(request)).await;
    let took_ms = called_at.elapsed().as_secs_f64() * 1000.0;
    metrics::histogram!("outside_call_ms", "target" => "tool").record(took_ms);
    match answered {
        // The run's time is up, and its next step says so.
        Err(_) if time < asked => Ok(Reply::error(
            "The execution has no time left for this call.",
        )),
        Err(_) => Ok(Reply::error(format!(
            "The service did not answer within {} seconds.",
            action.timeout_seconds
        ))),
        Ok(Err(error)) => Ok(refused(&error)),
        Ok(Ok(reply)) => {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let body = serde_json::from_str::<Value>(&body).unwrap_or(Value::String(body));
            let content = json!({ "status": reply.status.as_u16(), "body": body });
            Ok(Reply {
                is_error: !reply.status.is_success(),
                ..Reply::json(&content)
            })
        }
    }
}

fn build(
    method: HttpMethod,
    url: String,
    body: Option<&Value>,
    key: &str,
    headers: &std::collections::BTreeMap<String, String>,
) -> Result<Request, OutboundError> {
    let method = match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    };
    let mut request = Request::new(method, url).header(IDEMPOTENCY_KEY, key)?;
    for (name, value) in headers {
        request = request.header(name, value)?;
    }
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")?
            .body(body.to_string());
    }
    Ok(request)
}

fn refused(error: &OutboundError) -> Reply {
    Reply::error(format!("The request failed ({}): {error}.", error.code()))
}
