//! Calls to the outside: paid for and noted before they are made, settled after.

use domain::execution::{Effect, EffectOutcome, EffectRequest, StreamEntryKind};
use kernel::{ApprovalId, MicroCredits};
use serde_json::json;
use std::time::Instant;
use store::CommitError;

use crate::payment::Quote;
use crate::record::Draft;
use crate::reply::{Change, Reply};
use crate::run::Run;
use crate::servers::{self, Called};
use crate::stop::Stop;
use crate::toolbox::{Admitted, Kind};

use super::decided::Approved;
use super::{Call, Progress, http};

/// What came of a call to the outside.
pub(super) enum Answer {
    Reply(Reply),
    /// The service wants a credential, or another; it did nothing.
    Unauthorized,
}

/// Makes a call to the outside.
pub(super) async fn call(
    run: &mut Run<'_>,
    call: Call<'_>,
    admitted: &Admitted,
    approved: Approved,
) -> Result<Progress, Stop> {
    let tool = match &admitted.kind {
        Kind::Http(tool) => tool,
        Kind::Mcp(of_server) => &of_server.server,
        Kind::Builtin(_) => return Ok(Progress::Settled),
    };
    // Better not begun than cut short: what was begun and has no outcome is not repeated.
    if !run.attempt.budget.fits(tool.spec.action.timeout()) {
        return Err(Stop::Yield);
    }
    let name = &call.requested.name;
    let quote = run
        .quote_tool(call.step, call.number, name, admitted.price)
        .await?;
    let request = EffectRequest::Tool {
        call_id: call.requested.call_id.clone(),
        name: name.clone(),
        arguments: call.requested.arguments.clone(),
        edited_arguments: approved.edited.then(|| approved.arguments.clone()),
    };
    begin(run, call, &request, &quote, approved.approval).await?;

    let key = Effect::idempotency_key(run.execution.id, call.step, call.number);
    let asked = tool.spec.action.timeout();
    let time = asked.min(run.time_for_a_call());
    let called_at = Instant::now();
    let arguments = &approved.arguments;
    let answer = match &admitted.kind {
        Kind::Mcp(of_server) => {
            let description = &of_server.description;
            let server = &of_server.server;
            let (runner, tenant) = (run.runner, run.tenant);
            match servers::call(runner, tenant, server, description, arguments, key, time).await? {
                Called::Result { text, is_error } => Answer::Reply(Reply {
                    is_error,
                    ..Reply::text(text)
                }),
                Called::Failed(reason) => Answer::Reply(Reply::error(reason)),
                Called::Locked => Answer::Unauthorized,
            }
        }
        _ => http::call(run, tool, arguments, &key, time).await?,
    };
    let took_ms = called_at.elapsed().as_secs_f64() * 1000.0;
    metrics::histogram!("outside_call_ms", "target" => "tool").record(took_ms);
    match answer {
        Answer::Reply(reply) => {
            run.settle_paid_tool(call, request, reply, Some(&quote))
                .await?;
            Ok(Progress::Settled)
        }
        Answer::Unauthorized => {
            let (id, name) = (tool.id, tool.spec.name.clone());
            let effect = Effect {
                attempts: 0,
                ..run.new_effect(call.step, call.number, request)
            };
            let stop = run
                .wait_for_credential(id, &name, |draft| {
                    draft.put_effect(&effect);
                    quote.settle(draft, MicroCredits::ZERO);
                })
                .await;
            Err(stop)
        }
    }
}

/// Notes that a call begins and sets aside what it costs.
async fn begin(
    run: &mut Run<'_>,
    call: Call<'_>,
    request: &EffectRequest,
    quote: &Quote,
    approval: Option<ApprovalId>,
) -> Result<(), Stop> {
    let effect = Effect {
        approval,
        ..run.new_effect(call.step, call.number, request.clone())
    };
    let begun = run
        .record_paid(|draft| {
            draft.put_effect(&effect);
            quote.reserve(draft);
        })
        .await?;
    match begun {
        Ok(()) => {
            run.journal.record(effect);
            Ok(())
        }
        Err(CommitError::OverBudget { account }) => {
            Err(run.wait_for_credits(account, quote.amount).await)
        }
        Err(error) => Err(error.into()),
    }
}

impl Run<'_> {
    /// Writes what a tool answered and what it cost, together with whatever it changed. An answer
    /// too large for the journal is kept whole elsewhere.
    ///
    /// What came back from outside is written even if the run was paused or has ended meanwhile. A
    /// change of the org's own state is not: it happens while the run runs, or not at all.
    pub(super) async fn settle_paid_tool(
        &mut self,
        call: Call<'_>,
        request: EffectRequest,
        reply: Reply,
        quote: Option<&Quote>,
    ) -> Result<(), Stop> {
        let reply = reply.kept(&self.runner.store, self.tenant).await?;
        let outcome = EffectOutcome::Tool {
            content: reply.content.clone(),
            is_error: reply.is_error,
            whole: reply.whole.clone(),
        };
        let effect = self.settled_effect(call.step, call.number, request, outcome);
        let store = self.runner.store.clone();
        let cause = self.cause();
        let cost = quote.map_or(MicroCredits::ZERO, |quote| quote.amount);
        let write = |draft: &mut Draft| {
            draft.put_effect(&effect);
            draft.execution.usage.tool_calls += 1;
            if let Some(child) = effect.child {
                draft.execution.children.retain(|open| *open != child);
            }
            if let Some(quote) = quote {
                quote.settle(draft, cost);
            }
            draft.also(|commit| reply.change.add_to(commit, &store, &cause));
            if let Change::SendMessage(message) = &reply.change {
                draft.send((**message).clone());
            }
            let data = json!({
                "tool_call_id": call.requested.call_id,
                "name": call.requested.name,
                "content": reply.content,
                "is_error": reply.is_error,
            });
            draft.tell(StreamEntryKind::ToolCallResult, data);
        };
        match reply.change {
            Change::None => self.settle(write).await?,
            _ => self.record(write).await?,
        }
        self.journal.record(effect);
        Ok(())
    }
}
