use api::{Owned, Problem, Problems, Read};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::execution::Execution;
use http::{HeaderMap, HeaderName, StatusCode};
use kernel::ExecutionId;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What happens in an execution, as it happens. Each event has a whole number as its id, which
/// rises by one; give the last one back as `Last-Event-ID` to go on where the stream broke off.
/// The last event is `RUN_FINISHED` or `RUN_ERROR`; whoever has seen it gets a 204.
#[utoipa::path(
    get, path = "/v1/executions/{execution_id}/stream", tag = "executions",
    operation_id = "stream_execution",
    params(
        ("execution_id" = ExecutionId, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event seen."),
    ),
    security(("bearer" = ["executions:read"])),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
         description = "AG-UI events; `data` is a JSON object."),
        (status = 204, description = "Everything was seen already."),
        Problems,
    ),
)]
pub(crate) async fn stream(
    State(app): State<api::App>,
    execution: Owned<Execution, Read>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = last_seen(&headers)?;
    if execution.state.is_terminal() && after >= execution.last_sequence {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let tenant = execution.caller.tenant();
    Ok(api::stream::events(&app, tenant, execution.id, after))
}

fn last_seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(&LAST_EVENT_ID) else {
        return Ok(0);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| Problem::invalid_field("Last-Event-ID", "must be the id of an event"))
}
