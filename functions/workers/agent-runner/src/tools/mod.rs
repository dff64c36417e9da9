//! Calling tools: those that come with the product, and those of tenants.

mod builtin;
mod http;

use domain::execution::{EffectRequest, RequestedCall};
use domain::tool::Tool;

use crate::reply::Reply;
use crate::run::{Run, Stop};
use crate::toolbox::Kind;

/// Makes one tool call of a step and settles it.
pub(crate) async fn call(
    run: &mut Run<'_>,
    step: u32,
    number: u32,
    call: &RequestedCall,
) -> Result<(), Stop> {
    let reply = match run.toolbox.admit(call) {
        Err(refusal) => refusal,
        Ok(Kind::Builtin(builtin)) => builtin::call(run, builtin, &call.arguments).await?,
        Ok(Kind::Registered(tool)) => call_registered(run, step, number, call, &tool).await?,
    };
    run.settle_tool(step, number, call, reply.capped()).await
}

/// Calls a tool whose effects are outside: it is noted before it is made. Where a worker died
/// during the call, only a tool that declares itself idempotent is called again.
async fn call_registered(
    run: &mut Run<'_>,
    step: u32,
    number: u32,
    call: &RequestedCall,
    tool: &Tool,
) -> Result<Reply, Stop> {
    if run.journal.begun(step, number) && !tool.spec.idempotent {
        return Ok(Reply::error(
            "The outcome of this call is unknown: it was interrupted and may or may not have \
             happened. It was not repeated.",
        ));
    }
    // Better not begun than cut short: what was begun and has no outcome is not repeated.
    if !run.attempt.budget.fits(http::longest_time(tool)) {
        return Err(Stop::Yield);
    }
    let request = EffectRequest::Tool {
        call_id: call.call_id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    };
    run.begin_effect(step, number, request, None).await?;
    http::call(run, step, number, tool, &call.arguments).await
}
