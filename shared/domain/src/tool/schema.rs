//! The JSON Schema of a tool's arguments, and how far a tenant's schema is trusted.
//!
//! A schema is written by a tenant, its arguments by a model, and both are judged in a process
//! that serves others. So what a schema can cost is bounded before it is compiled: its size, its
//! size once every reference is followed (which is what checking arguments costs), and the number
//! and size of its regular expressions, which run on an engine without backtracking.

use serde_json::Value;

/// The largest schema, in bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// The most values in a schema whose references are all written out.
const MAX_NODES: usize = 20_000;
/// The most regular expressions in a schema whose references are all written out.
const MAX_PATTERNS: usize = 64;
/// The most memory that one compiled regular expression may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// A compiled JSON Schema for a tool's arguments.
pub struct ArgumentSchema(jsonschema::Validator);

impl std::fmt::Debug for ArgumentSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArgumentSchema(…)")
    }
}

/// Why a schema or the arguments of a call were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The schema itself is unusable.
    #[error("the parameters are not a usable JSON Schema: {0}")]
    Schema(String),
    /// The arguments do not satisfy the schema, or cannot be sent.
    #[error("{}", .0.join("; "))]
    Arguments(Vec<String>),
}

impl ArgumentSchema {
    /// Compiles a schema. It must describe an object, refer to nothing outside itself and not
    /// refer to itself in a circle.
    ///
    /// # Errors
    /// [`ArgumentError::Schema`] says what is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, ArgumentError> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(ArgumentError::Schema("`type` must be `object`".to_owned()));
        }
        if schema.to_string().len() > MAX_SCHEMA_BYTES {
            return Err(ArgumentError::Schema(format!(
                "it has more than {MAX_SCHEMA_BYTES} bytes"
            )));
        }
        Measure {
            root: schema,
            nodes: 0,
            patterns: 0,
            open: Vec::new(),
        }
        .value(schema)
        .map_err(ArgumentError::Schema)?;
        let patterns = jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(patterns)
            .build(schema)
            .map(Self)
            .map_err(|error| ArgumentError::Schema(error.to_string()))
    }

    /// Checks the arguments of one call.
    ///
    /// # Errors
    /// [`ArgumentError::Arguments`] names each bad field by its JSON pointer.
    pub fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        let problems: Vec<String> = self
            .0
            .iter_errors(arguments)
            .take(10)
            .map(|error| {
                let pointer = error.instance_path().to_string();
                let place = if pointer.is_empty() {
                    "arguments"
                } else {
                    pointer.as_str()
                };
                format!("{place}: {error}")
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ArgumentError::Arguments(problems))
        }
    }
}

/// Walks a schema as if its references were written out, and stops as soon as it is too large.
struct Measure<'a> {
    root: &'a Value,
    nodes: usize,
    patterns: usize,
    /// The references that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Measure<'a> {
    fn value(&mut self, value: &'a Value) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!(
                "with its references written out it has more than {MAX_NODES} values"
            ));
        }
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.field(name, field)?;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value(item)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self, name: &str, field: &'a Value) -> Result<(), String> {
        match (name, field) {
            ("$ref", Value::String(target)) => return self.follow(target),
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                return Err(format!("`{name}` is not supported"));
            }
            // A second base would give the references below it another meaning.
            ("$id", Value::String(_)) if self.root.get("$id") != Some(field) => {
                return Err("only the schema itself may have an `$id`".to_owned());
            }
            ("pattern", Value::String(_)) => self.patterns += 1,
            ("patternProperties", Value::Object(patterns)) => self.patterns += patterns.len(),
            _ => {}
        }
        if self.patterns > MAX_PATTERNS {
            return Err(format!(
                "it has more than {MAX_PATTERNS} regular expressions"
            ));
        }
        self.value(field)
    }

    fn follow(&mut self, target: &'a str) -> Result<(), String> {
        if self.open.contains(&target) || target == "#" {
            return Err(format!("`{target}` refers to itself"));
        }
        let found = target
            .strip_prefix('#')
            .filter(|pointer| pointer.starts_with('/'))
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| {
                format!("`{target}` is not a place in this schema, such as `#/$defs/x`")
            })?;
        self.open.push(target);
        self.value(found)?;
        self.open.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: &Value) -> String {
        ArgumentSchema::compile(schema)
            .expect_err(&schema.to_string())
            .to_string()
    }

    #[test]
    fn a_schema_must_be_whole_and_self_contained() {
        for schema in [
            json!({ "type": "string" }),
            json!({ "type": "object", "properties": { "a": { "type": "no such type" } } }),
            json!({ "type": "object", "$ref": "https://example.com/schema.json" }),
            json!({ "type": "object", "properties": { "a": { "pattern": "(" } } }),
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/missing" } } }),
            json!({ "type": "object", "properties": { "a": { "$dynamicRef": "#a" } } }),
            json!({ "type": "object", "properties": { "a": { "$id": "https://example.com/b" } } }),
        ] {
            assert!(ArgumentSchema::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn references_within_the_schema_work() {
        let schema = ArgumentSchema::compile(&json!({
            "$id": "https://example.com/order",
            "type": "object",
            "properties": { "from": { "$ref": "#/$defs/port" }, "to": { "$ref": "#/$defs/port" } },
            "$defs": { "port": { "type": "string", "pattern": "^[A-Z]{5}$" } }
        }))
        .unwrap();
        assert_eq!(
            schema.check(&json!({ "from": "NLRTM", "to": "SGSIN" })),
            Ok(())
        );
        let error = schema
            .check(&json!({ "from": "NLRTM", "to": "sg" }))
            .unwrap_err();
        assert!(error.to_string().starts_with("/to:"), "{error}");
    }

    #[test]
    fn a_circle_of_references_is_refused() {
        for schema in [
            json!({ "type": "object", "properties": { "a": { "$ref": "#" } } }),
            json!({
                "type": "object",
                "properties": { "a": { "$ref": "#/$defs/a" } },
                "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }] } }
            }),
        ] {
            assert!(refusal(&schema).contains("refers to itself"), "{schema}");
        }
    }

    #[test]
    fn references_that_double_are_refused_before_they_cost_anything() {
        // 2^40 checks from forty short lines.
        let mut definitions = serde_json::Map::new();
        definitions.insert("d40".to_owned(), json!({ "type": "string" }));
        for level in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            definitions.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
        }
        let schema = json!({
            "type": "object",
            "properties": { "a": { "$ref": "#/$defs/d0" } },
            "$defs": definitions
        });
        assert!(refusal(&schema).contains("written out"));
    }

    #[test]
    fn size_and_regular_expressions_are_bounded() {
        let long = json!({ "type": "object", "description": "x".repeat(MAX_SCHEMA_BYTES) });
        assert!(refusal(&long).contains("bytes"));
        let many: serde_json::Map<_, _> = (0..=MAX_PATTERNS)
            .map(|n| (format!("^{n}$"), json!({})))
            .collect();
        assert!(
            refusal(&json!({ "type": "object", "patternProperties": many })).contains("regular")
        );
        let huge =
            json!({ "type": "object", "properties": { "a": { "pattern": "\\p{L}{5000}" } } });
        assert!(ArgumentSchema::compile(&huge).is_err());
    }
}
