//! Whether an answer is one that the approval can be given.

use api::{App, FieldProblem, Problem};
use domain::agent::ToolRef;
use domain::approval::{Approval, ApprovalAnswer, ApprovalSubject, Decision};
use domain::tool::{
    ArgumentError, ArgumentSchema, Builtin, MAX_ARGUMENT_BYTES, ToolAction, server_tool_name,
};
use serde::Deserialize;
use serde_json::Value;
use store::{ReadError, Tenant};

/// How much of what is wrong with one argument is told.
const MAX_MESSAGE_CHARS: usize = 300;

/// Refuses an answer that does not fit what is asked, or has arguments that the tool does not take.
pub(crate) async fn answer(
    app: &App,
    tenant: Tenant,
    approval: &Approval,
    answer: &ApprovalAnswer,
) -> Result<(), Problem> {
    shape(approval, answer)?;
    let ApprovalSubject::ToolCall { tool, .. } = &approval.subject else {
        return Ok(());
    };
    let Some(arguments) = &answer.arguments else {
        return Ok(());
    };
    let parameters = parameters(app, tenant, approval, tool).await?;
    let schema = parameters.and_then(|parameters| ArgumentSchema::compile(&parameters).ok());
    let Some(schema) = schema else {
        return Err(Problem::conflict(
            "tool_gone",
            format!("The tool `{tool}` is not there any more, so its arguments cannot be edited."),
        ));
    };
    schema.check(arguments).map_err(bad_arguments)
}

/// What can be told from the answer and the approval alone.
fn shape(approval: &Approval, answer: &ApprovalAnswer) -> Result<(), Problem> {
    let subject = &approval.subject;
    if !subject.allows(answer.decision) {
        let allowed: Vec<String> = subject
            .decisions()
            .iter()
            .map(|decision| format!("`{}`", decision.name()))
            .collect();
        let message = format!("must be one of {} here", allowed.join(", "));
        return Err(Problem::invalid_field("/decision", message));
    }
    match &answer.text {
        None if answer.decision.needs_text() => {
            let message = format!("is needed with `{}`", answer.decision.name());
            return Err(Problem::invalid_field("/text", message));
        }
        Some(_) if !answer.decision.needs_text() => {
            let message = format!("means nothing with `{}`", answer.decision.name());
            return Err(Problem::invalid_field("/text", message));
        }
        _ => {}
    }
    let Some(arguments) = &answer.arguments else {
        return Ok(());
    };
    let refused = |message: &str| Err(Problem::invalid_field("/arguments", message));
    if answer.decision != Decision::Approve {
        return refused("can be given only with `approve`");
    }
    if !approval.policy.may_edit {
        return refused("cannot be edited: the policy of this approval does not let them");
    }
    if arguments.to_string().len() > MAX_ARGUMENT_BYTES {
        return refused(&format!("must have at most {MAX_ARGUMENT_BYTES} bytes"));
    }
    Ok(())
}

/// The JSON Schema of a tool, as the run that asks knows it.
async fn parameters(
    app: &App,
    tenant: Tenant,
    approval: &Approval,
    tool: &str,
) -> Result<Option<Value>, ReadError> {
    if let Some(builtin) = Builtin::named(tool) {
        return Ok(Some(builtin.parameters()));
    }
    let store = app.store();
    let executions = store.executions(tenant);
    let Some(execution) = executions.get(approval.execution).await? else {
        return Ok(None);
    };
    let agents = store.agents(tenant);
    let version = agents.version(approval.agent, execution.agent_version);
    let Some(agent) = version.await? else {
        return Ok(None);
    };
    let registered: Vec<_> = agent
        .spec
        .tools
        .iter()
        .filter_map(|tool| match tool {
            ToolRef::Registered(id) => Some(*id),
            ToolRef::Builtin(_) => None,
        })
        .collect();
    for known in store.tools(tenant).get_many(&registered).await? {
        match &known.spec.action {
            ToolAction::Http(_) if known.spec.name == tool => {
                return Ok(Some(known.spec.parameters));
            }
            ToolAction::Http(_) => {}
            ToolAction::Mcp(_) => {
                let listing = store.mcp_listings(tenant).get(known.id).await?;
                let found = listing.and_then(|kept| of_server(kept.list, &known.spec.name, tool));
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }
    Ok(None)
}

/// What matters here of the list that a server gave of its tools.
#[derive(Deserialize)]
struct ServerTools {
    tools: Vec<ServerTool>,
}

#[derive(Deserialize)]
struct ServerTool {
    name: String,
    input_schema: Value,
}

/// The JSON Schema of the tool that a model knows by this name, in the list of a server.
fn of_server(list: Value, server: &str, tool: &str) -> Option<Value> {
    let list: ServerTools = serde_json::from_value(list).ok()?;
    list.tools
        .into_iter()
        .find(|known| server_tool_name(server, &known.name) == tool)
        .map(|known| known.input_schema)
}

fn bad_arguments(error: ArgumentError) -> Problem {
    let messages = match error {
        ArgumentError::Arguments(messages) => messages,
        ArgumentError::Schema(message) => vec![message],
    };
    let errors = messages.iter().map(|message| {
        let (place, message) = match message.split_once(": ") {
            Some((pointer, message)) if pointer.starts_with('/') => (pointer, message),
            Some((_, message)) => ("", message),
            None => ("", message.as_str()),
        };
        FieldProblem {
            field: format!("/arguments{place}"),
            message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
        }
    });
    Problem::invalid(errors.collect())
}

#[cfg(test)]
mod tests {
    use domain::approval::{AnsweredVia, ApprovalPolicy, ApprovalState};
    use domain::event::Actor;
    use kernel::{AgentId, ApprovalId, ExecutionId, OrgId, Timestamp};
    use serde_json::json;

    use super::*;

    fn approval(subject: ApprovalSubject, may_edit: bool) -> Approval {
        let at = Timestamp::from_millis(0);
        Approval {
            id: ApprovalId::from_u128(1),
            org: OrgId::from_u128(1),
            execution: ExecutionId::from_u128(1),
            agent: AgentId::from_u128(1),
            step: 1,
            call: 1,
            subject,
            policy: ApprovalPolicy {
                may_edit,
                ..ApprovalPolicy::default()
            },
            state: ApprovalState::Pending,
            answer: None,
            created_at: at,
            expires_at: at,
            updated_at: at,
            version: 1,
        }
    }

    fn call() -> ApprovalSubject {
        ApprovalSubject::ToolCall {
            tool: "refund".to_owned(),
            arguments: json!({}),
        }
    }

    fn question() -> ApprovalSubject {
        ApprovalSubject::Question {
            question: "How much?".to_owned(),
        }
    }

    fn interrupted() -> ApprovalSubject {
        ApprovalSubject::UnknownOutcome {
            tool: "refund".to_owned(),
            arguments: json!({}),
            idempotency_key: "k".to_owned(),
        }
    }

    /// The field that is refused, if any.
    fn refused(
        approval: &Approval,
        decision: Decision,
        arguments: Option<Value>,
        text: Option<&str>,
    ) -> Option<String> {
        let answer = ApprovalAnswer {
            decision,
            by: Actor::System,
            via: AnsweredVia::Api,
            reason: None,
            arguments,
            text: text.map(str::to_owned),
            at: Timestamp::from_millis(0),
        };
        let detail = shape(approval, &answer).err()?.detail().to_owned();
        Some(detail.split(':').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_decision_must_fit_what_is_asked() {
        for subject in [call(), question(), interrupted()] {
            let allowed = subject.decisions();
            let approval = approval(subject, true);
            for decision in Decision::ALL {
                let text = decision.needs_text().then_some("Done.");
                let field = refused(&approval, *decision, None, text);
                let expected = (!allowed.contains(decision)).then(|| "/decision".to_owned());
                assert_eq!(field, expected, "{decision:?} {}", approval.subject.kind());
            }
        }
    }

    #[test]
    fn a_text_goes_with_a_reply_or_a_result_and_with_nothing_else() {
        let question = approval(question(), true);
        let text = Some("/text".to_owned());
        assert_eq!(refused(&question, Decision::Reply, None, None), text);
        assert_eq!(refused(&question, Decision::Reply, None, Some("7")), None);
        assert_eq!(refused(&question, Decision::Reject, None, Some("7")), text);
        let interrupted = approval(interrupted(), true);
        assert_eq!(refused(&interrupted, Decision::Succeeded, None, None), text);
        assert_eq!(
            refused(&interrupted, Decision::Retry, None, Some("7")),
            text
        );
    }

    #[test]
    fn arguments_go_with_an_approval_that_may_edit_them() {
        let arguments = || Some(json!({ "order": 7 }));
        let field = Some("/arguments".to_owned());
        let open = approval(call(), true);
        assert_eq!(refused(&open, Decision::Approve, arguments(), None), None);
        assert_eq!(refused(&open, Decision::Reject, arguments(), None), field);
        let closed = approval(call(), false);
        assert_eq!(
            refused(&closed, Decision::Approve, arguments(), None),
            field
        );
        let interrupted = approval(interrupted(), true);
        assert_eq!(
            refused(&interrupted, Decision::Retry, arguments(), None),
            field
        );
        let large = Some(json!({ "order": "x".repeat(MAX_ARGUMENT_BYTES) }));
        assert_eq!(refused(&open, Decision::Approve, large, None), field);
    }

    #[test]
    fn a_tool_of_a_server_is_found_by_the_name_that_models_know() {
        let schema = json!({ "type": "object" });
        let list = json!({
            "tools": [
                { "name": "list", "description": "", "input_schema": {} },
                { "name": "Get.Order", "description": "", "input_schema": schema },
            ],
            "skipped": [], "truncated": false, "fresh_for": null,
        });
        let found = |tool| of_server(list.clone(), "crm", tool);
        assert_eq!(found("crm__get_order"), Some(schema));
        assert_eq!(found("Get.Order"), None);
        assert_eq!(found("erp__get_order"), None);
        assert_eq!(of_server(json!("?"), "crm", "crm__list"), None);
    }

    #[test]
    fn each_bad_argument_is_named_by_its_place() {
        let schema = ArgumentSchema::compile(&json!({
            "type": "object",
            "properties": { "order": { "type": "integer" }, "note": { "type": "string" } },
            "required": ["order"],
            "additionalProperties": false,
        }))
        .unwrap();
        let long = "x".repeat(2_000);
        let error = schema
            .check(&json!({ "note": [long], "more": 1 }))
            .unwrap_err();
        let told = format!("{:?}", bad_arguments(error));
        assert!(told.contains("field: \"/arguments/note\""), "{told}");
        assert!(told.contains("field: \"/arguments\""), "{told}");
        assert!(told.len() < 1_500, "{told}");
    }
}
