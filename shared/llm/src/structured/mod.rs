//! Replies that are one JSON document: how they are asked for, and whether they are.
//!
//! Most providers have a field for the schema. Where one has none, or not for every schema or
//! not beside tools, the model is given one tool more and made to call a tool: calling that one
//! is answering, and its arguments are the answer. Whoever asked sees no difference: the
//! arguments stream as the text of the reply.
//!
//! Promises are good and a check is better: whatever came, a reply that ends well is held
//! against the schema before its end is handed on.

mod delivery;

use jsonschema::Validator;
use serde_json::Value;

use crate::chat::{ChatRequest, JsonSchema, ToolSpec};
use crate::error::ModelError;
use crate::fault;

pub(crate) use delivery::deliver;

/// What a pattern may weigh once compiled: the text that it meets comes from a model.
const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// The name of the tool that takes the answer, when no tool of the request has it.
const ANSWER_TOOL: &str = "final_answer";

impl JsonSchema {
    /// Reads a whole reply as the document that was asked for.
    ///
    /// # Errors
    /// [`ModelError::SchemaMismatch`] for text that is no JSON or does not follow the schema, and
    /// [`ModelError::InvalidRequest`] for a schema that is none.
    pub fn document(&self, text: &str) -> Result<Value, ModelError> {
        Check::new(self)?.document(text)
    }

    /// The name in the characters that every provider accepts.
    pub(crate) fn safe_name(&self) -> String {
        let name: String = self
            .name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .take(64)
            .collect();
        match name.is_empty() {
            true => "answer".to_owned(),
            false => name,
        }
    }
}

/// A schema, ready to hold replies against.
#[derive(Debug)]
pub(crate) struct Check(Validator);

impl Check {
    pub fn new(format: &JsonSchema) -> Result<Self, ModelError> {
        let patterns = jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(patterns)
            .build(&format.schema)
            .map(Self)
            .map_err(|error| ModelError::InvalidRequest {
                message: fault::clean(
                    &format!("the schema for the reply is no JSON Schema: {error}"),
                    &[],
                ),
            })
    }

    /// The check that a request asks for.
    pub fn of(request: &ChatRequest) -> Result<Option<Self>, ModelError> {
        request.response_format.as_ref().map(Self::new).transpose()
    }

    pub fn document(&self, text: &str) -> Result<Value, ModelError> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| ModelError::SchemaMismatch {
                message: format!("it is not JSON: {error}"),
            })?;
        self.value(&document)?;
        Ok(document)
    }

    fn value(&self, document: &Value) -> Result<(), ModelError> {
        self.0.validate(document).map_err(|error| {
            let path = error.instance_path().to_string();
            let place = match path.as_str() {
                "" => "the document",
                path => path,
            };
            ModelError::SchemaMismatch {
                message: fault::clean(&format!("{place}: {error}"), &[]),
            }
        })
    }
}

/// The tool whose arguments are the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnswerTool {
    pub spec: ToolSpec,
    /// Whether the provider is to enforce the schema.
    pub strict: bool,
}

impl AnswerTool {
    /// The tool for a request that wants JSON; nothing for one that does not.
    pub fn of(request: &ChatRequest) -> Option<Self> {
        let format = request.response_format.as_ref()?;
        let mut name = ANSWER_TOOL.to_owned();
        while request.tools.iter().any(|tool| tool.name == name) {
            name.push('_');
        }
        Some(Self {
            spec: ToolSpec {
                name,
                description: "Gives the final answer. Call it once, alone, when everything else \
                              is done; nothing that is written outside of it reaches the reader."
                    .to_owned(),
                parameters: format.schema.clone(),
            },
            strict: format.strict,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn format() -> JsonSchema {
        JsonSchema {
            name: "an answer!".into(),
            schema: json!({
                "type": "object",
                "properties": {"hours": {"type": "integer"}},
                "required": ["hours"],
            }),
            strict: false,
        }
    }

    #[test]
    fn documents_are_held_against_their_schema() {
        let format = format();
        assert_eq!(format.safe_name(), "ananswer");
        assert_eq!(format.document(r#"{"hours": 3}"#).unwrap()["hours"], 3);
        for (wrong, why) in [
            ("three hours", "not JSON"),
            (r#"{"hours": "3"}"#, "/hours"),
            ("{}", "hours"),
            (r#"{"hours": 3} and more"#, "not JSON"),
        ] {
            let error = format.document(wrong).unwrap_err();
            assert_eq!(error.code(), "schema_mismatch");
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.is_retry_safe() && error.may_have_been_billed());
        }
        let no_schema = JsonSchema {
            schema: json!({"type": "nonsense"}),
            ..format
        };
        assert_eq!(
            no_schema.document("{}").unwrap_err().code(),
            "invalid_request"
        );
    }

    #[test]
    fn the_answer_tool_takes_a_free_name() {
        let mut request = ChatRequest {
            response_format: Some(format()),
            ..ChatRequest::default()
        };
        assert_eq!(AnswerTool::of(&request).unwrap().spec.name, "final_answer");
        request.tools = vec![AnswerTool::of(&request).unwrap().spec];
        assert_eq!(AnswerTool::of(&request).unwrap().spec.name, "final_answer_");
        request.response_format = None;
        assert_eq!(AnswerTool::of(&request), None);
    }
}
