//! What people, or what is known of an interrupted call, decide about a call.

use domain::approval::{Approval, ApprovalPolicy, ApprovalState, ApprovalSubject, Decision};
use domain::execution::{Effect, EffectRequest};
use domain::tool::{Builtin, OnUnknown};
use kernel::ApprovalId;
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::run::Run;
use crate::stop::Stop;
use crate::toolbox::{Admitted, Kind};

use super::{Call, Progress, Question};

/// What is decided about a call.
pub(super) enum Decided {
    /// Nothing yet: people are, or must be, asked.
    Not(Progress),
    /// It is not made: this is the answer.
    Settle(Reply),
    /// It is made.
    Call(Approved),
}

/// A call that is made.
pub(super) struct Approved {
    /// The approval that lets it be made; it is for this one attempt where it says to try again.
    pub(super) approval: Option<ApprovalId>,
    pub(super) arguments: Value,
    /// Whether these are not the arguments that the model wrote.
    pub(super) edited: bool,
}

/// What is decided about a call.
pub(super) async fn decision(
    run: &Run<'_>,
    call: Call<'_>,
    admitted: &Admitted,
) -> Result<Decided, Stop> {
    let effect = run.journal.effect(call.step, call.number).cloned();
    let approval = match effect.as_ref().and_then(|effect| effect.approval) {
        Some(id) => {
            let approvals = run.runner.store.approvals(run.tenant);
            approvals.get(id).await?
        }
        None => None,
    };
    if let Some(approval) = approval {
        return Ok(by_people(run, call, admitted, effect.as_ref(), &approval));
    }
    if let Some(effect) = effect.as_ref().filter(|_| is_outside(&admitted.kind))
        && run.journal.begun(call.step, call.number)
    {
        return Ok(of_interrupted(admitted, effect));
    }
    let question = |subject| {
        let effect = asked(run, call);
        let policy = admitted.approval.clone().unwrap_or_default();
        Decided::Not(Progress::Ask(Box::new(Question {
            subject,
            policy,
            effect,
        })))
    };
    if matches!(admitted.kind, Kind::Builtin(Builtin::AskHuman)) {
        let question_text = call.requested.arguments["question"].as_str();
        return Ok(question(ApprovalSubject::Question {
            question: question_text.unwrap_or_default().to_owned(),
        }));
    }
    if admitted.approval.is_some() {
        return Ok(question(ApprovalSubject::ToolCall {
            tool: call.requested.name.clone(),
            arguments: call.requested.arguments.clone(),
        }));
    }
    Ok(Decided::Call(as_asked(call, effect.as_ref())))
}

/// The call as the journal shows it while people are asked: not begun.
fn asked(run: &Run<'_>, call: Call<'_>) -> Effect {
    Effect {
        attempts: 0,
        ..run.new_effect(call.step, call.number, call.request())
    }
}

fn is_outside(kind: &Kind) -> bool {
    matches!(kind, Kind::Http(_) | Kind::Mcp(_))
}

/// The arguments of a call: those that a person edited, if it was begun with such before.
fn as_asked(call: Call<'_>, effect: Option<&Effect>) -> Approved {
    let edited = match effect.map(|effect| &effect.request) {
        Some(EffectRequest::Tool {
            edited_arguments, ..
        }) => edited_arguments.clone(),
        _ => None,
    };
    Approved {
        approval: None,
        edited: edited.is_some(),
        arguments: edited.unwrap_or_else(|| call.requested.arguments.clone()),
    }
}

fn by_people(
    run: &Run<'_>,
    call: Call<'_>,
    admitted: &Admitted,
    effect: Option<&Effect>,
    approval: &Approval,
) -> Decided {
    let Some(answer) = &approval.answer else {
        return match approval.state {
            ApprovalState::Pending => Decided::Not(Progress::Asked(approval.id)),
            _ => Decided::Settle(Reply::error("The question was withdrawn.")),
        };
    };
    let because = answer
        .reason
        .as_ref()
        .map(|reason| format!(" Reason: {reason}"))
        .unwrap_or_default();
    match answer.decision {
        Decision::Reply => Decided::Settle(Reply::json(&json!({
            "answer": answer.text.clone().unwrap_or_default(),
        }))),
        Decision::Succeeded => Decided::Settle(Reply::json(&json!({
            "confirmed_by_a_person": true,
            "result": answer.text.clone().unwrap_or_default(),
        }))),
        Decision::Reject => Decided::Settle(Reply::error(match approval.subject {
            ApprovalSubject::Question { .. } => format!("Nobody answers the question.{because}"),
            ApprovalSubject::ToolCall { .. } => format!("The call was not approved.{because}"),
            ApprovalSubject::UnknownOutcome { .. } => {
                format!("The call was interrupted; take it as failed.{because}")
            }
        })),
        // It was begun since, and interrupted: leave is given for one call.
        Decision::Approve | Decision::Retry
            if run.journal.begun(call.step, call.number)
                && is_outside(&admitted.kind)
                && effect.is_none_or(|effect| !effect.unknown) =>
        {
            match effect {
                Some(effect) => of_interrupted(admitted, effect),
                None => Decided::Settle(Reply::error("The call was interrupted.")),
            }
        }
        Decision::Retry => Decided::Call(as_asked(call, effect)),
        Decision::Approve => Decided::Call(Approved {
            approval: Some(approval.id),
            edited: answer.arguments.is_some(),
            arguments: answer
                .arguments
                .clone()
                .unwrap_or_else(|| call.requested.arguments.clone()),
        }),
    }
}

/// What follows from a call that was begun by a worker that died: nobody knows whether it happened.
fn of_interrupted(admitted: &Admitted, effect: &Effect) -> Decided {
    let EffectRequest::Tool {
        name,
        arguments,
        edited_arguments,
        ..
    } = &effect.request
    else {
        return Decided::Settle(Reply::error("The journal is not readable."));
    };
    let arguments = edited_arguments.as_ref().unwrap_or(arguments).clone();
    match admitted.on_unknown {
        OnUnknown::Automatic if admitted.idempotent => Decided::Call(Approved {
            approval: effect.approval,
            edited: edited_arguments.is_some(),
            arguments,
        }),
        OnUnknown::Report => Decided::Settle(Reply::error(
            "The outcome of this call is unknown: it was interrupted and may or may not have \
             happened. It was not repeated.",
        )),
        OnUnknown::Automatic | OnUnknown::Ask => {
            let key = Effect::idempotency_key(effect.execution, effect.step, effect.call);
            Decided::Not(Progress::Ask(Box::new(Question {
                subject: ApprovalSubject::UnknownOutcome {
                    tool: name.clone(),
                    arguments,
                    idempotency_key: key,
                },
                policy: admitted.approval.clone().unwrap_or_else(|| ApprovalPolicy {
                    may_edit: false,
                    ..ApprovalPolicy::default()
                }),
                effect: Effect {
                    unknown: true,
                    ..effect.clone()
                },
            })))
        }
    }
}
