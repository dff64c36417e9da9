//! Calling the tools of one step.
//!
//! Each call is settled once. What people must decide first is asked for together, when everything
//! else of the step is done; then the run waits, and goes on once the last of them has answered.

mod agents;
mod builtin;
mod decided;
mod external;
mod http;

use domain::approval::{Approval, ApprovalPolicy, ApprovalState, ApprovalSubject};
use domain::event::EventKind;
use domain::execution::{Effect, EffectRequest, ExecutionState, RequestedCall, Waiting};
use domain::tool::Builtin;
use kernel::ApprovalId;
use serde_json::json;

use crate::reply::Reply;
use crate::run::{MAX_CALLS_PER_STEP, Run};
use crate::stop::Stop;
use crate::toolbox::Kind;

use decided::Decided;

/// One call of a step.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) step: u32,
    /// From 1.
    pub(crate) number: u32,
    pub(crate) requested: &'a RequestedCall,
}

impl Call<'_> {
    pub(crate) fn request(&self) -> EffectRequest {
        EffectRequest::Tool {
            call_id: self.requested.call_id.clone(),
            name: self.requested.name.clone(),
            arguments: self.requested.arguments.clone(),
            edited_arguments: None,
        }
    }
}

/// How far a call has come.
pub(crate) enum Progress {
    Settled,
    /// People must be asked.
    Ask(Box<Question>),
    /// People were asked and have not answered.
    Asked(ApprovalId),
    /// Another agent is at it.
    Called,
}

/// What people are to be asked about a call.
pub(crate) struct Question {
    pub(crate) subject: ApprovalSubject,
    pub(crate) policy: ApprovalPolicy,
    /// The call as the journal is to show it while people are asked.
    pub(crate) effect: Effect,
}

/// Makes the tool calls of a step, as far as they can be made now.
pub(crate) async fn call_all(
    run: &mut Run<'_>,
    step: u32,
    calls: &[RequestedCall],
) -> Result<(), Stop> {
    let mut questions = Vec::new();
    let mut asked = Vec::new();
    let mut called = false;
    for (index, requested) in calls.iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if run.journal.settled(step, number).is_some() {
            continue;
        }
        if run.attempt.budget.should_yield() {
            return Err(Stop::Yield);
        }
        let call = Call {
            step,
            number,
            requested,
        };
        if index >= MAX_CALLS_PER_STEP {
            let refusal = format!("At most {MAX_CALLS_PER_STEP} tools can be called at once.");
            run.settle_tool(call, Reply::error(refusal)).await?;
            continue;
        }
        match go_on(run, call).await? {
            Progress::Settled => {}
            Progress::Ask(question) => questions.push(*question),
            Progress::Asked(approval) => asked.push(approval),
            Progress::Called => called = true,
        }
    }
    if !questions.is_empty() || !asked.is_empty() {
        let until = ask(run, questions, asked).await?;
        return Err(Stop::Wait(until));
    }
    if called {
        run.write_held().await?;
        // The end of each run that was called wakes this one.
        return Err(Stop::Wait(run.execution.deadline()));
    }
    Ok(())
}

/// Takes one call as far as it can go now.
async fn go_on(run: &mut Run<'_>, call: Call<'_>) -> Result<Progress, Stop> {
    let admitted = match run.toolbox.admit(call.requested) {
        Ok(admitted) => admitted,
        Err(refusal) => return settled(run, call, refusal).await,
    };
    let decided = match decided::decision(run, call, &admitted).await? {
        Decided::Not(progress) => return Ok(progress),
        Decided::Settle(reply) => return settled(run, call, reply).await,
        Decided::Call(decided) => decided,
    };
    if let Err(refusal) = run.toolbox.check(&call.requested.name, &decided.arguments) {
        return settled(run, call, refusal).await;
    }
    match &admitted.kind {
        Kind::Builtin(Builtin::CallAgent) => agents::call(run, call, &decided.arguments).await,
        Kind::Builtin(builtin) => {
            let reply = builtin::call(run, *builtin, &decided.arguments).await?;
            settled(run, call, reply).await
        }
        Kind::Http(_) | Kind::Mcp(_) => external::call(run, call, &admitted, decided).await,
    }
}

async fn settled(run: &mut Run<'_>, call: Call<'_>, reply: Reply) -> Result<Progress, Stop> {
    run.settle_tool(call, reply).await?;
    Ok(Progress::Settled)
}

/// Asks people, all questions of a step at once, and parks the run until the last is answered or
/// the first of them expires.
async fn ask(
    run: &mut Run<'_>,
    questions: Vec<Question>,
    asked: Vec<ApprovalId>,
) -> Result<kernel::Timestamp, Stop> {
    let store = run.runner.store.clone();
    let now = store.now();
    let cause = run.cause();
    let approvals: Vec<(Approval, Effect)> = questions
        .into_iter()
        .map(|question| {
            let id = ApprovalId::generate(now);
            let approval = Approval {
                id,
                org: run.execution.org,
                execution: run.execution.id,
                agent: run.execution.agent,
                step: question.effect.step,
                call: question.effect.call,
                subject: question.subject,
                expires_at: now.plus(question.policy.expires_in()),
                policy: question.policy,
                state: ApprovalState::Pending,
                answer: None,
                created_at: now,
                updated_at: now,
                version: 1,
            };
            let effect = Effect {
                approval: Some(id),
                ..question.effect
            };
            (approval, effect)
        })
        .collect();
    let mut awaited: Vec<ApprovalId> = approvals.iter().map(|(approval, _)| approval.id).collect();
    awaited.extend(&asked);
    let waiting = Waiting {
        reason: match awaited.len() {
            1 => "A person must decide before the execution goes on.".to_owned(),
            many => format!("People must decide {many} things before the execution goes on."),
        },
        approvals: awaited,
        ..Waiting::default()
    };
    let earlier = store.approvals(run.tenant).get_many(&asked).await?;
    // Answered while the rest of the step was done: nothing would wake a run that waits for it.
    if earlier
        .iter()
        .any(|approval| approval.state != ApprovalState::Pending)
    {
        return Err(Stop::Yield);
    }
    let first_expiry = approvals
        .iter()
        .map(|(approval, _)| approval.expires_at)
        .chain(earlier.iter().map(|approval| approval.expires_at))
        .min();
    let until = run
        .begin_wait(ExecutionState::AwaitingInput, waiting, |draft| {
            for (approval, effect) in &approvals {
                draft.put_effect(effect);
                draft.also(|commit| commit.request_approval(&store, &cause, approval));
                let value = json!({
                    "approval_id": approval.id,
                    "subject": approval.subject,
                    "expires_at": approval.expires_at,
                });
                draft.tell_custom("approval_requested", value);
            }
        })
        .await?;
    Ok(first_expiry.map_or(until, |expiry| expiry.min(until)))
}

impl Run<'_> {
    /// Writes what a tool answered, together with whatever the tool changed.
    pub(crate) async fn settle_tool(&mut self, call: Call<'_>, reply: Reply) -> Result<(), Stop> {
        self.settle_paid_tool(call, call.request(), reply, None)
            .await
    }

    /// Parks the run until a tool has a credential.
    pub(crate) async fn wait_for_credential(
        &mut self,
        tool: kernel::ToolId,
        name: &str,
        release: impl Fn(&mut crate::record::Draft),
    ) -> Stop {
        let waiting = Waiting {
            reason: format!("The service behind the tool `{name}` wants a credential, or another."),
            tool: Some(tool),
            ..Waiting::default()
        };
        match self
            .begin_wait(ExecutionState::AwaitingAuth, waiting, release)
            .await
        {
            Ok(until) => Stop::Wait(until),
            Err(stop) => stop,
        }
    }

    /// The event that tells of a call by which another agent takes over.
    pub(crate) fn handed_off(&self, data: serde_json::Value) -> domain::event::Event {
        self.event(EventKind::ExecutionHandedOff, data)
    }
}
