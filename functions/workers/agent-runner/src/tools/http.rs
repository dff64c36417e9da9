//! Tools that are HTTP requests, sent by the client that reaches public addresses only.

use std::time::Duration;

use domain::tool::{HttpMethod, Tool, ToolAction};
use outbound::{Method, OutboundError, Request};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::ReadError;
use store::credentials::CredentialError;

use crate::reply::Reply;
use crate::run::Run;
use crate::secrets::masked;
use crate::stop::Stop;

use super::external::Answer;

/// The header by which a service can recognise a call that it has seen before.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Sends the request of a tool. Whatever comes back, or goes wrong, is for the model to read.
pub(super) async fn call(
    run: &Run<'_>,
    tool: &Tool,
    arguments: &Value,
    key: &str,
    time: Duration,
) -> Result<Answer, Stop> {
    let ToolAction::Http(action) = &tool.spec.action else {
        return Ok(error("The tool is not an HTTP request."));
    };
    let expanded = match action.expand(arguments) {
        Ok(expanded) => expanded,
        Err(problem) => return Ok(error(format!("The arguments are not valid: {problem}."))),
    };
    let credentials = run.runner.store.credentials(run.tenant);
    let secret = match credentials.headers_for(tool).await {
        Ok(headers) => headers,
        Err(problem) if problem.is_transient() => {
            return Err(ReadError::Unavailable(problem.to_string()).into());
        }
        // Whoever sets the credential anew says where it is meant to go.
        Err(CredentialError::OtherOrigin { .. }) => return Ok(Answer::Unauthorized),
        Err(problem) => return Ok(error(format!("The tool cannot be used: {problem}."))),
    };
    let fixed = action
        .headers
        .iter()
        .filter(|(name, _)| !secret.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
    let built = build(
        expanded.method,
        expanded.url,
        expanded.body.as_ref(),
        key,
        fixed,
    );
    let request = built.and_then(|request| {
        secret.iter().try_fold(request, |request, (name, value)| {
            request.header(name, value.expose_secret())
        })
    });
    let request = match request {
        Ok(request) => request,
        Err(problem) => return Ok(refused(&problem)),
    };
    let asked = tool.spec.action.timeout();
    let answered = tokio::time::timeout(time, run.runner.outbound.call(request)).await;
    Ok(match answered {
        // The run's time is up, and its next step says so.
        Err(_) if time < asked => error("The execution has no time left for this call."),
        Err(_) => error(format!(
            "The service did not answer within {} seconds.",
            asked.as_secs()
        )),
        Ok(Err(problem)) => refused(&problem),
        Ok(Ok(reply)) if reply.status.as_u16() == 401 => Answer::Unauthorized,
        Ok(Ok(reply)) => {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let body = masked(body, &secret);
            let body = serde_json::from_str::<Value>(&body).unwrap_or(Value::String(body));
            let content = json!({ "status": reply.status.as_u16(), "body": body });
            Answer::Reply(Reply {
                is_error: !reply.status.is_success(),
                ..Reply::json(&content)
            })
        }
    })
}

fn error(message: impl Into<String>) -> Answer {
    Answer::Reply(Reply::error(message))
}

fn build<'a>(
    method: HttpMethod,
    url: String,
    body: Option<&Value>,
    key: &str,
    headers: impl Iterator<Item = (&'a String, &'a String)>,
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

fn refused(problem: &OutboundError) -> Answer {
    error(format!(
        "The request failed ({}): {problem}.",
        problem.code()
    ))
}
