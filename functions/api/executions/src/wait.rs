//! Waiting for the end of an execution within one request.

use std::time::Duration;

use api::{App, Caller, Problem};
use domain::execution::{Execution, ExecutionState};

/// The longest that a request waits: an HTTP API gives up on its function after 30 seconds.
const LONGEST: Duration = Duration::from_secs(25);
const SOONEST: Duration = Duration::from_millis(60);
const LATEST: Duration = Duration::from_millis(1_000);

/// Whether `text` can be a `wait`.
pub(crate) fn seconds_in_range(text: &Option<String>, (): &()) -> garde::Result {
    match text.as_deref().map(str::parse::<u64>) {
        None | Some(Ok(0..=30)) => Ok(()),
        Some(_) => Err(garde::Error::new("must be a number from 0 to 30")),
    }
}

/// The execution once it has ended or waits for people or credits, or as it stands when the time
/// is over.
pub(crate) async fn for_news(
    app: &App,
    caller: &Caller,
    mut execution: Execution,
    seconds: Option<&str>,
) -> Result<Execution, Problem> {
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let ends_at = tokio::time::Instant::now() + Duration::from_secs(seconds).min(LONGEST);
    let executions = app.store().executions(caller.tenant());
    let mut news = executions.news_of(execution.id);
    let mut pause = SOONEST;
    while is_under_way(execution.state) && tokio::time::Instant::now() + pause < ends_at {
        // On the local host this process drives the execution too; elsewhere, another does.
        let ended = news.reached(|state| !is_under_way(state));
        if tokio::time::timeout(pause, ended).await.is_err() {
            pause = (pause * 3 / 2).min(LATEST);
        }
        execution = executions
            .get(execution.id)
            .await?
            .ok_or_else(|| Problem::not_found("execution"))?;
    }
    Ok(execution)
}

fn is_under_way(state: ExecutionState) -> bool {
    matches!(state, ExecutionState::Queued | ExecutionState::Running)
}
