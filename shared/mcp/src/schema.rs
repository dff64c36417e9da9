//! What the JSON Schema of a tool's arguments asks of a client: that references stay inside it, and
//! which arguments are repeated as headers (`x-mcp-header`, version 2026-07-28).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const ANNOTATION: &str = "x-mcp-header";
const MAX_NAME_BYTES: usize = 64;
/// Headers for one call; outbound requests have 64 at most.
const MAX_HEADERS: usize = 24;
/// Beyond this, two readers of a number may read different numbers.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// An argument that a call repeats in the header `mcp-param-<name>`, so that what stands between
/// client and server can see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterHeader {
    /// The end of the header's name, as the server writes it.
    pub name: String,
    /// The keys that lead to the argument.
    pub path: Vec<String>,
}

/// Reads a schema. Which headers it asks for counts only where `with_headers` says so: the
/// annotation means nothing before version 2026-07-28.
///
/// # Errors
/// Why no tool with this schema may be offered.
pub(crate) fn inspect(
    schema: &Map<String, Value>,
    with_headers: bool,
) -> Result<Vec<ParameterHeader>, &'static str> {
    let mut walk = Walk {
        with_headers,
        path: Vec::new(),
        found: Vec::new(),
        names: BTreeSet::new(),
    };
    walk.schema(schema, true)?;
    Ok(walk.found)
}

struct Walk {
    with_headers: bool,
    path: Vec<String>,
    found: Vec<ParameterHeader>,
    names: BTreeSet<String>,
}

impl Walk {
    /// `reachable`: the way here leads through `properties` alone. Recursion ends because the
    /// reader of JSON refuses what is nested deeper than 128 levels.
    fn schema(&mut self, schema: &Map<String, Value>, reachable: bool) -> Result<(), &'static str> {
        if self.with_headers
            && let Some(name) = schema.get(ANNOTATION)
        {
            self.annotation(name, schema, reachable)?;
        }
        for (keyword, value) in schema {
            match keyword.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef"
                    if !value.as_str().is_some_and(|to| to.starts_with('#')) =>
                {
                    return Err("its schema refers to something outside it");
                }
                "properties" => self.properties(value, reachable)?,
                "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
                | "dependencies" => {
                    for schema in value.as_object().into_iter().flat_map(Map::values) {
                        self.other(schema)?;
                    }
                }
                "allOf"
                | "anyOf"
                | "oneOf"
                | "prefixItems"
                | "items"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "propertyNames"
                | "not"
                | "if"
                | "then"
                | "else" => match value {
                    Value::Array(schemas) => {
                        for schema in schemas {
                            self.other(schema)?;
                        }
                    }
                    schema => self.other(schema)?,
                },
                // A constraint, or data such as `enum` and `default` that only looks like a schema.
                _ => {}
            }
        }
        Ok(())
    }

    fn properties(&mut self, properties: &Value, reachable: bool) -> Result<(), &'static str> {
        for (name, schema) in properties.as_object().into_iter().flatten() {
            if let Some(schema) = schema.as_object() {
                self.path.push(name.clone());
                self.schema(schema, reachable)?;
                self.path.pop();
            }
        }
        Ok(())
    }

    fn other(&mut self, schema: &Value) -> Result<(), &'static str> {
        match schema.as_object() {
            Some(schema) => self.schema(schema, false),
            None => Ok(()),
        }
    }

    fn annotation(
        &mut self,
        name: &Value,
        schema: &Map<String, Value>,
        reachable: bool,
    ) -> Result<(), &'static str> {
        if !reachable || self.path.is_empty() {
            return Err("it asks for a header from a place that has no single value");
        }
        let primitive = matches!(
            schema.get("type").and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        );
        if !primitive {
            return Err("it asks for a header with a value that is not a text, integer or boolean");
        }
        let name = name
            .as_str()
            .filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len()) && is_token(name))
            .ok_or("it asks for a header with a name that is not valid")?;
        if !self.names.insert(name.to_ascii_lowercase()) {
            return Err("it asks for the same header twice");
        }
        if self.found.len() == MAX_HEADERS {
            return Err("it asks for too many headers");
        }
        self.found.push(ParameterHeader {
            name: name.to_owned(),
            path: self.path.clone(),
        });
        Ok(())
    }
}

impl ParameterHeader {
    /// The header of a call with these arguments, if they hold a value for it.
    pub(crate) fn of(&self, arguments: &Value) -> Option<(String, String)> {
        // Kept with a tool's description, so it may have been written by anybody since.
        if !is_token(&self.name) {
            return None;
        }
        let value = self
            .path
            .iter()
            .try_fold(arguments, |value, key| value.get(key))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number
                .as_i64()
                .filter(|number| number.unsigned_abs() <= MAX_SAFE_INTEGER)?
                .to_string(),
            _ => return None,
        };
        Some((format!("mcp-param-{}", self.name), header_value(&text)))
    }
}

/// Text as a header value: as it is where it can be, else as Base64 between two marks.
pub(crate) fn header_value(text: &str) -> String {
    let (open, close) = SENTINEL;
    let plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t'))
        && text.trim_matches([' ', '\t']) == text
        && !(text.starts_with(open) && text.ends_with(close));
    if plain {
        text.to_owned()
    } else {
        format!("{open}{}{close}", STANDARD.encode(text))
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inspect(schema: &Value, with_headers: bool) -> Result<Vec<ParameterHeader>, &'static str> {
        super::inspect(schema.as_object().expect("an object"), with_headers)
    }

    #[test]
    fn headers_are_found_along_properties() {
        let schema = json!({
            "type": "object",
            "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" },
                "x-mcp-header": { "type": "string" },
                "page": {
                    "type": "object",
                    "properties": { "size": { "type": "integer", "x-mcp-header": "Page-Size" } },
                },
                "plain": { "enum": [{ "x-mcp-header": 1, "$ref": "https://example.com/" }] },
            },
        });
        let found = inspect(&schema, true).expect("a good schema");
        let arguments = json!({ "region": "Köln", "page": { "size": 20 } });
        let headers: Vec<_> = found
            .iter()
            .filter_map(|header| header.of(&arguments))
            .collect();
        assert_eq!(headers.len(), 2);
        assert!(headers.contains(&("mcp-param-Page-Size".to_owned(), "20".to_owned())));
        assert!(headers.contains(&(
            "mcp-param-Region".to_owned(),
            "=?base64?S8O2bG4=?=".to_owned()
        )));
        for arguments in [
            json!({}),
            json!({ "region": null, "page": 5 }),
            json!({ "region": ["a"], "page": { "size": 1.5 } }),
            json!({ "page": { "size": 9_007_199_254_740_992_u64 } }),
        ] {
            assert!(
                found.iter().all(|header| header.of(&arguments).is_none()),
                "{arguments}"
            );
        }
        assert_eq!(inspect(&schema, false), Ok(Vec::new()));
    }

    #[test]
    fn a_header_that_breaks_a_rule_spoils_its_tool() {
        let named = |name: Value| json!({ "type": "string", "x-mcp-header": name });
        let under = |property: Value| json!({ "type": "object", "properties": { "a": property } });
        let good = named(json!("A"));
        for schema in [
            under(named(json!(""))),
            under(named(json!("a b"))),
            under(named(json!("a\r\nHost: b"))),
            under(named(json!("ä"))),
            under(named(json!(7))),
            under(named(json!("x".repeat(65)))),
            under(json!({ "type": "number", "x-mcp-header": "A" })),
            under(json!({ "type": "object", "x-mcp-header": "A" })),
            under(json!({ "x-mcp-header": "A" })),
            under(json!({ "type": "array", "items": good })),
            under(json!({ "anyOf": [good] })),
            under(json!({ "if": good })),
            json!({ "x-mcp-header": "A", "type": "object" }),
            json!({ "$defs": { "a": good } }),
            json!({ "additionalProperties": good }),
            json!({ "properties": { "a": good, "b": named(json!("a")) } }),
        ] {
            assert!(inspect(&schema, true).is_err(), "{schema}");
            assert_eq!(inspect(&schema, false), Ok(Vec::new()), "{schema}");
        }
        let many: Map<String, Value> = (0..25)
            .map(|number| (number.to_string(), named(json!(format!("h{number}")))))
            .collect();
        assert!(inspect(&json!({ "properties": many }), true).is_err());
    }

    #[test]
    fn references_stay_inside() {
        for schema in [
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "properties": { "a": { "$ref": "file:///etc/passwd" } } }),
            json!({ "properties": { "a": { "items": [{ "$dynamicRef": "other.json#a" }] } } }),
            json!({ "$defs": { "a": { "not": { "$ref": 5 } } } }),
        ] {
            assert!(inspect(&schema, false).is_err(), "{schema}");
        }
        let inside = json!({
            "type": "object",
            "properties": { "a": { "$ref": "#/$defs/a" } },
            "$defs": { "a": { "type": "string" } },
        });
        assert_eq!(inspect(&inside, true), Ok(Vec::new()));
    }

    #[test]
    fn values_are_encoded_as_the_protocol_shows() {
        for (value, expected) in [
            ("us-west1", "us-west1"),
            ("a b\tc", "a b\tc"),
            ("", ""),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(header_value(value), expected);
        }
    }
}
