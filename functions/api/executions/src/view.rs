use api::{App, Problem, Versioned};
use domain::execution::Execution;
use serde::Serialize;
use utoipa::ToSchema;

/// An execution, and where to watch it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExecutionView {
    #[serde(flatten)]
    pub(crate) execution: Execution,
    /// Server-sent events of this execution, from the first or from `Last-Event-ID` on.
    stream_url: String,
}

impl ExecutionView {
    pub(crate) fn new(app: &App, execution: Execution) -> Self {
        Self {
            stream_url: app.stream_url(execution.id),
            execution,
        }
    }
}

/// The answer to a change of an execution.
pub(crate) fn changed(
    app: &App,
    result: Result<Execution, store::Error>,
) -> Result<Versioned<ExecutionView>, Problem> {
    match result {
        Ok(execution) => {
            let version = execution.version;
            Ok(Versioned::new(version, ExecutionView::new(app, execution)))
        }
        Err(error) if error.is_changed() => {
            let message = "the execution kept changing meanwhile";
            Err(Problem::unavailable(message).retry_after(1))
        }
        Err(error) => Err(error.into()),
    }
}
