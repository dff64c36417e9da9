//! Giving a task to somebody, and having an agent begin it at once.

use api::{App, Caller, Problem};
use domain::permission::Permission;
use domain::task::{Priority, Task, TaskStatus};
use store::executions::NewRun;

use crate::assignee::Candidate;

/// Gives the task to `candidate`. If that is an agent and the task runs by itself, the task is
/// under way with the run that is returned; whoever writes the task writes the run with it.
pub(crate) async fn give(
    app: &App,
    caller: &Caller,
    task: &mut Task,
    candidate: &Candidate,
) -> Result<Option<NewRun>, Problem> {
    task.assign(candidate.assignee())?;
    if !task.auto_run {
        return Ok(None);
    }
    begin(app, caller, task, candidate).await
}

/// Has `candidate` begin the task now, if that is an agent; whoever writes the task writes the run
/// with it.
pub(crate) async fn begin(
    app: &App,
    caller: &Caller,
    task: &mut Task,
    candidate: &Candidate,
) -> Result<Option<NewRun>, Problem> {
    let Candidate::Agent(agent) = candidate else {
        return Ok(None);
    };
    caller.require(Permission::ExecutionWrite, app).await?;
    task.transition(TaskStatus::InProgress)?;
    let run = NewRun::new(
        app.store(),
        &caller.cause(),
        agent,
        task.brief(),
        Some(task.id),
    );
    task.execution = Some(run.execution().id);
    // Nobody waits for what is not urgent: it does not hold up what somebody watches.
    let in_bulk = task.priority == Priority::Low;
    Ok(Some(if in_bulk { run.in_bulk() } else { run }))
}

/// Refuses a change that would leave an execution working on a task that it no longer suits.
pub(crate) async fn refuse_while_running(
    app: &App,
    caller: &Caller,
    task: &Task,
) -> Result<(), Problem> {
    let Some(id) = task.execution else {
        return Ok(());
    };
    let execution = app.store().executions(caller.tenant()).get(id).await?;
    match execution {
        Some(execution) if !execution.state.is_terminal() => Err(Problem::conflict(
            "execution_open",
            format!("Execution {id} works on the task. Cancel it first, or wait for its end."),
        )),
        _ => Ok(()),
    }
}
