//! What clients may say of a tool, and the checks that its parts fit together.

use std::collections::BTreeMap;

use api::{FieldProblem, Problem};
use domain::tool::{
    ArgumentSchema, Builtin, DEFAULT_TIMEOUT_SECONDS, HttpAction, HttpMethod,
    MAX_HEADER_VALUE_BYTES, MAX_HEADERS, McpAction, ToolAction, ToolSpec, is_tool_name,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// How a tool does what it does. Read field by field, so that a bad one can be named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToolAction)]
pub(crate) struct ActionBody {
    kind: ActionKind,
    /// The method of an `http` tool.
    method: Option<HttpMethod>,
    /// An absolute `https` or `http` address. `{name}` stands for the argument of that name, which
    /// must be a required parameter; it may stand in the path or for a value of the query.
    #[schema(
        max_length = 2_048,
        example = "https://api.example.com/orders/{order_id}"
    )]
    url: String,
    /// Fixed request headers, at most 20. Not for secrets.
    #[serde(default)]
    #[schema(schema_with = headers_schema)]
    headers: BTreeMap<String, String>,
    /// Seconds until the call is given up.
    #[serde(default = "default_timeout")]
    #[schema(minimum = 1, maximum = 120, default = 20)]
    timeout_seconds: u32,
}

/// The kinds of action that can be registered.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ToolActionKind)]
pub(crate) enum ActionKind {
    /// An HTTP request to a public address.
    Http,
    /// The tools of a server that speaks the Model Context Protocol: only `url` and
    /// `timeout_seconds` apply.
    Mcp,
}

fn headers_schema() -> Object {
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(MAX_HEADER_VALUE_BYTES));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(value))
        .max_properties(Some(MAX_HEADERS))
        .description(Some("Fixed request headers, at most 20. Not for secrets."))
        .build()
}

const fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT_SECONDS
}

impl ActionBody {
    /// The action, if all is there that its kind needs and nothing that it does not.
    pub(crate) fn action(self) -> Result<ToolAction, Problem> {
        let problem = |field: &str, message: &str| Problem::invalid_field(field, message);
        match self.kind {
            ActionKind::Http => Ok(ToolAction::Http(HttpAction {
                method: self
                    .method
                    .ok_or_else(|| problem("/action/method", "is missing"))?,
                url: self.url,
                headers: self.headers,
                timeout_seconds: self.timeout_seconds,
            })),
            ActionKind::Mcp if self.method.is_some() => {
                Err(problem("/action/method", "does not apply to an `mcp` tool"))
            }
            ActionKind::Mcp if !self.headers.is_empty() => Err(problem(
                "/action/headers",
                "does not apply to an `mcp` tool",
            )),
            ActionKind::Mcp => Ok(ToolAction::Mcp(McpAction {
                url: self.url,
                timeout_seconds: self.timeout_seconds,
            })),
        }
    }
}

/// The parameters of a tool: those of an `mcp` tool are the server's.
pub(crate) fn parameters(given: Option<Value>, action: &ToolAction) -> Result<Value, Problem> {
    match (given, action) {
        (Some(parameters), ToolAction::Http(_)) => Ok(parameters),
        (None, ToolAction::Http(_)) => Err(Problem::invalid_field("/parameters", "is missing")),
        (None, ToolAction::Mcp(_)) => Ok(json!({ "type": "object" })),
        (Some(_), ToolAction::Mcp(_)) => Err(Problem::invalid_field(
            "/parameters",
            "does not apply to an `mcp` tool: the server says what its tools take",
        )),
    }
}

/// A name that a model can say and that no built-in tool has.
pub(crate) fn name(name: &str, (): &()) -> garde::Result {
    if !is_tool_name(name) {
        return Err(garde::Error::new(
            "must begin with a lower-case letter and have at most 64 of a-z, 0-9 and `_`",
        ));
    }
    if Builtin::named(name).is_some() {
        return Err(garde::Error::new("is the name of a built-in tool"));
    }
    Ok(())
}

/// Checks that the schema can be used and that the action fits it.
pub(crate) fn check(spec: &ToolSpec) -> Result<(), Problem> {
    let mut errors = Vec::new();
    if let Err(error) = ArgumentSchema::compile(&spec.parameters) {
        errors.push(FieldProblem {
            field: "/parameters".to_owned(),
            message: error.to_string(),
        });
    }
    let problems = match &spec.action {
        ToolAction::Http(action) => action.problems(&spec.parameters),
        ToolAction::Mcp(action) => action.problems(),
    };
    errors.extend(problems.into_iter().map(|problem| FieldProblem {
        field: format!("/action{}", problem.field),
        message: problem.message,
    }));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(parameters: Value, action: Value) -> ToolSpec {
        let action: ActionBody = serde_json::from_value(action).expect("an action");
        ToolSpec {
            name: "get_order".to_owned(),
            description: "Look up an order.".to_owned(),
            parameters,
            idempotent: false,
            on_unknown: Default::default(),
            approval: None,
            micro_credits_per_call: None,
            action: action.action().expect("a whole action"),
        }
    }

    fn object(properties: Value) -> Value {
        let required: Vec<&String> = properties
            .as_object()
            .into_iter()
            .flatten()
            .map(|(n, _)| n)
            .collect();
        json!({ "type": "object", "properties": properties, "required": required })
    }

    #[test]
    fn a_name_is_plain_and_free() {
        assert!(name("get_order", &()).is_ok());
        for bad in ["", "Get", "get-order", "9", "search_knowledge", "ask_human"] {
            assert!(name(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_tool_passes() {
        let parameters = object(json!({ "order_id": { "type": "string" } }));
        let action = json!({
            "kind": "http", "method": "GET", "url": "https://api.example.com/orders/{order_id}",
            "headers": { "accept": "application/json" }, "timeout_seconds": 5
        });
        assert!(check(&spec(parameters, action)).is_ok());
    }

    #[test]
    fn every_part_that_is_wrong_is_named() {
        let action = json!({
            "kind": "http", "method": "POST", "url": "https://{order_id}/",
            "headers": { "Cookie": "a=b" }, "timeout_seconds": 121
        });
        let problem = check(&spec(json!({ "type": "array" }), action)).expect_err("four problems");
        let text = format!("{problem:?}");
        for field in [
            "\"/parameters\"",
            "\"/action/url\"",
            "\"/action/headers/Cookie\"",
            "\"/action/timeout_seconds\"",
        ] {
            assert!(text.contains(field), "{field} in {text}");
        }
    }

    #[test]
    fn an_unknown_field_or_kind_of_action_is_refused() {
        for action in [
            json!({ "kind": "http", "method": "GET", "url": "https://a.example", "body": "x" }),
            json!({ "kind": "shell", "method": "GET", "url": "https://a.example" }),
            json!({ "kind": "http", "method": "get", "url": "https://a.example" }),
        ] {
            assert!(
                serde_json::from_value::<ActionBody>(action.clone()).is_err(),
                "{action}"
            );
        }
    }

    #[test]
    fn each_kind_of_action_has_what_it_needs_and_nothing_else() {
        let url = "https://a.example";
        for (action, whole) in [
            (json!({ "kind": "http", "url": url, "method": "GET" }), true),
            (json!({ "kind": "http", "url": url }), false),
            (json!({ "kind": "mcp", "url": url }), true),
            (json!({ "kind": "mcp", "url": url, "method": "GET" }), false),
            (
                json!({ "kind": "mcp", "url": url, "headers": { "a": "b" } }),
                false,
            ),
        ] {
            let body: ActionBody = serde_json::from_value(action.clone()).expect("readable");
            assert_eq!(body.action().is_ok(), whole, "{action}");
        }
    }
}
