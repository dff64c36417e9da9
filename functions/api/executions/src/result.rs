use api::{Owned, Problem, Problems, Read};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::execution::{EffectOutcome, Execution};
use http::{HeaderValue, header};
use kernel::ExecutionId;
use store::objects::ObjectError;

/// The most bytes of a result that are answered: a function's reply has at most 6 MB.
const MOST: u64 = 5 * 1024 * 1024;

/// The whole of a tool's result that the trace holds a part of, by its `sha256` there.
#[utoipa::path(
    get, path = "/v1/executions/{execution_id}/results/{sha256}", tag = "executions",
    operation_id = "get_execution_result",
    params(
        ("execution_id" = ExecutionId, Path),
        ("sha256" = String, Path, description = "64 hexadecimal digits, from the trace."),
    ),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, content_type = "text/plain", body = String), Problems),
)]
pub(crate) async fn result(
    State(app): State<api::App>,
    execution: Owned<Execution, Read>,
    path: Path<(String, String)>,
) -> Result<Response, Problem> {
    let Path((_, sha256)) = path;
    let tenant = execution.caller.tenant();
    let journal = app.store().executions(tenant).journal(execution.id).await?;
    let known = journal.iter().any(|effect| {
        matches!(
            &effect.outcome,
            Some(EffectOutcome::Tool { whole: Some(whole), .. }) if whole.sha256 == sha256
        )
    });
    if !known {
        return Err(Problem::not_found("result"));
    }
    let content = match app.store().objects(tenant).result(&sha256, MOST).await {
        Ok(content) => content,
        Err(ObjectError::Missing) => return Err(Problem::not_found("result")),
        Err(error) => return Err(store::Error::from(error).into()),
    };
    let mut response = content.into_response();
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    // Whatever a tool returned, a browser shows it as text.
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(response)
}
