//! Arguments that satisfy a tool's JSON Schema, from what is known.

use serde_json::{Map, Value, json};

/// Schemas may refer to themselves; nothing sensible is deeper than this.
const MAX_DEPTH: usize = 8;

/// A value that a tool may want, under any of several names.
pub(super) struct Hint<'a> {
    /// Property names, the best first.
    pub names: &'a [&'a str],
    /// The value.
    pub value: Value,
    /// Whether it belongs into the first free text property when no name fits.
    pub anywhere: bool,
}

impl<'a> Hint<'a> {
    /// What the tool is called for: it goes in under whatever name.
    pub fn main(names: &'a [&'a str], text: &str) -> Self {
        Self {
            names,
            value: json!(text),
            anywhere: true,
        }
    }

    /// What the tool may also want to know.
    pub fn extra(names: &'a [&'a str], value: Value) -> Self {
        Self {
            names,
            value,
            anywhere: false,
        }
    }
}

/// The arguments of a call: hints where they fit, and the plainest valid value for every other
/// property that is required. `text` stands in for required text that nothing is known about.
pub(super) fn arguments(schema: &Value, hints: &[Hint<'_>], text: &str) -> Map<String, Value> {
    let filler = Filler { root: schema, text };
    let shape = filler.resolve(schema, 0);
    let empty = Map::new();
    let properties = shape["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = shape["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();

    let mut arguments = Map::new();
    for hint in hints {
        let by_name = hint
            .names
            .iter()
            .find(|name| properties.contains_key(**name) && !arguments.contains_key(**name))
            .map(|name| (*name).to_owned());
        let target = by_name.or_else(|| {
            if !hint.anywhere {
                return None;
            }
            let free = |name: &&String| {
                !arguments.contains_key(*name) && filler.is_text(&properties[*name])
            };
            properties
                .keys()
                .filter(free)
                .find(|name| required.contains(&name.as_str()))
                .or_else(|| properties.keys().find(free))
                .cloned()
        });
        // A tool without a schema takes what we have under its best name.
        let target = target
            .or_else(|| (properties.is_empty() && hint.anywhere).then(|| hint.names[0].to_owned()));
        if let Some(name) = target {
            let property = properties.get(&name).unwrap_or(&Value::Null);
            if let Some(value) = filler.fit(property, &hint.value) {
                arguments.insert(name, value);
            }
        }
    }
    for name in required {
        if !arguments.contains_key(name) {
            let property = properties.get(name).unwrap_or(&Value::Null);
            arguments.insert(name.to_owned(), filler.plain(property, 0));
        }
    }
    arguments
}

/// A document that follows `schema`, with `answer` in its first text property.
pub(super) fn document(schema: &Value, answer: &str, sources: &[String]) -> Value {
    const ANSWER: &[&str] = &["answer", "text", "result", "summary", "content", "message"];
    const SOURCES: &[&str] = &["sources", "citations", "references"];
    let hints = [
        Hint::main(ANSWER, answer),
        Hint::extra(SOURCES, json!(sources)),
    ];
    Value::Object(arguments(schema, &hints, answer))
}

/// Whether a document says the answer anywhere, if only its beginning.
pub(super) fn says(document: &Value, answer: &str) -> bool {
    match document {
        Value::String(text) => {
            // Text may have been lengthened with full stops to fit.
            let said = text.trim_end_matches('.');
            !said.is_empty() && answer.starts_with(said)
        }
        Value::Array(values) => values.iter().any(|value| says(value, answer)),
        Value::Object(fields) => fields.values().any(|value| says(value, answer)),
        _ => false,
    }
}

struct Filler<'a> {
    root: &'a Value,
    text: &'a str,
}

impl<'a> Filler<'a> {
    /// Follows references and takes the first alternative that is not null.
    fn resolve(&self, schema: &'a Value, depth: usize) -> &'a Value {
        if depth > MAX_DEPTH {
            return &Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let target = target
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer))
                .unwrap_or(&Value::Null);
            return self.resolve(target, depth + 1);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let alternative = schema[key].as_array().and_then(|alternatives| {
                alternatives
                    .iter()
                    .find(|alternative| alternative["type"] != "null")
            });
            if let Some(alternative) = alternative {
                return self.resolve(alternative, depth + 1);
            }
        }
        schema
    }

    fn type_of(&self, schema: &Value) -> String {
        match &schema["type"] {
            Value::String(name) => name.clone(),
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .find(|name| *name != "null")
                .unwrap_or("null")
                .to_owned(),
            _ if schema["properties"].is_object() => "object".to_owned(),
            _ => String::new(),
        }
    }

    fn is_text(&self, schema: &'a Value) -> bool {
        let schema = self.resolve(schema, 0);
        self.type_of(schema) == "string"
            && schema["enum"].is_null()
            && schema["const"].is_null()
            && schema["format"].is_null()
    }

    /// A known value in the form that the schema asks for, if it can take it.
    fn fit(&self, schema: &'a Value, value: &Value) -> Option<Value> {
        let schema = self.resolve(schema, 0);
        if let Some(only) = schema.get("const") {
            return Some(only.clone());
        }
        if let Some(choices) = schema["enum"].as_array() {
            return choices.contains(value).then(|| value.clone());
        }
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.type_of(schema).as_str() {
            "string" => Some(self.sized(schema, &text)),
            "integer" => text.trim().parse::<i64>().ok().map(Value::from),
            "number" => text.trim().parse::<f64>().ok().map(Value::from),
            "boolean" => value.as_bool().map(Value::from),
            "array" => {
                let values = match value {
                    Value::Array(values) => values.clone(),
                    single => vec![single.clone()],
                };
                let fitted: Vec<Value> = values
                    .iter()
                    .filter_map(|value| self.fit(&schema["items"], value))
                    .collect();
                let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
                (fitted.len() >= least).then_some(Value::Array(fitted))
            }
            "object" => value.is_object().then(|| value.clone()),
            _ => Some(value.clone()),
        }
    }

    /// The plainest valid value.
    fn plain(&self, schema: &'a Value, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        let schema = self.resolve(schema, 0);
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(first) = schema["enum"]
            .as_array()
            .and_then(|choices| choices.first())
        {
            return first.clone();
        }
        match self.type_of(schema).as_str() {
            "string" => self.sized(schema, self.text),
            "integer" => {
                let least = schema["minimum"].as_i64();
                let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
                let above = schema["exclusiveMinimum"].as_i64().map(|value| value + 1);
                json!(least.or(above).unwrap_or(0).min(most))
            }
            "number" => {
                let least = schema["minimum"].as_f64();
                let most = schema["maximum"].as_f64().unwrap_or(f64::MAX);
                let above = schema["exclusiveMinimum"].as_f64().map(|value| value + 1.0);
                json!(least.or(above).unwrap_or(0.0).min(most))
            }
            "boolean" => json!(false),
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0).min(16);
                (0..least)
                    .map(|_| self.plain(&schema["items"], depth + 1))
                    .collect()
            }
            "object" => {
                let mut object = Map::new();
                for name in schema["required"].as_array().into_iter().flatten() {
                    if let Some(name) = name.as_str() {
                        let value = self.plain(&schema["properties"][name], depth + 1);
                        object.insert(name.to_owned(), value);
                    }
                }
                Value::Object(object)
            }
            "null" => Value::Null,
            _ => json!(self.text),
        }
    }

    /// Text within the schema's bounds of length, counted in characters as JSON Schema does.
    fn sized(&self, schema: &Value, text: &str) -> Value {
        let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        let least = schema["minLength"].as_u64().unwrap_or(0).min(1000);
        let mut sized: String = text
            .chars()
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .collect();
        let missing = usize::try_from(least)
            .unwrap_or(0)
            .saturating_sub(sized.chars().count());
        sized.push_str(&".".repeat(missing));
        Value::String(sized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, hints: &[Hint<'_>]) -> Value {
        let arguments = Value::Object(arguments(&schema, hints, "the request"));
        if let Err(error) = jsonschema::validate(&schema, &arguments) {
            panic!("{arguments} does not satisfy {schema}: {error}");
        }
        arguments
    }

    #[test]
    fn hints_land_under_any_reasonable_name() {
        let query = || [Hint::main(&["query", "q"], "gearbox oil")];
        for name in ["query", "q", "what_to_look_for"] {
            let schema = json!({
                "type": "object",
                "properties": { name: {"type": "string"}, "limit": {"type": "integer"} },
                "required": [name],
            });
            assert_eq!(check(schema, &query()), json!({ name: "gearbox oil" }));
        }
        let several = json!({
            "type": "object",
            "properties": {"query": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
        });
        assert_eq!(check(several, &query()), json!({"query": ["gearbox oil"]}));
        assert_eq!(
            arguments(&json!({"type": "object"}), &query(), "")["query"],
            "gearbox oil"
        );
    }

    #[test]
    fn everything_required_is_filled_within_its_bounds() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "$defs": {"depth": {"type": "string", "enum": ["shallow", "deep"]}},
            "properties": {
                "query": {"type": "string", "maxLength": 7},
                "limit": {"type": "integer", "minimum": 1, "maximum": 20},
                "exact": {"type": "boolean"},
                "depth": {"$ref": "#/$defs/depth"},
                "weight": {"type": "number", "exclusiveMinimum": 0},
                "language": {"type": ["string", "null"], "minLength": 20},
                "filter": {
                    "type": "object",
                    "properties": {"kind": {"const": "file"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
                    "required": ["kind", "tags"],
                },
                "scope": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
                "optional": {"type": "string"},
            },
            "required": ["query", "limit", "exact", "depth", "weight", "language", "filter", "scope"],
        });
        let arguments = check(schema, &[Hint::main(&["query"], "gearbox oil")]);
        assert_eq!(arguments["query"], "gearbox");
        assert_eq!(arguments["limit"], 1);
        assert!(arguments.get("optional").is_none());
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({
            "type": "object",
            "properties": {"node": {"$ref": "#"}},
            "required": ["node"],
        });
        let arguments = arguments(&schema, &[Hint::main(&["query"], "x")], "x");
        assert!(arguments.contains_key("node"));
        let endless = json!({"$ref": "#"});
        assert!(!super::arguments(&endless, &[Hint::main(&["query"], "x")], "x").is_empty());
    }

    #[test]
    fn a_document_carries_answer_and_sources() {
        let schema = json!({
            "type": "object",
            "properties": {
                "answer": {"type": "string"},
                "sources": {"type": "array", "items": {"type": "string"}},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            },
            "required": ["answer", "sources", "confidence"],
        });
        let document = document(&schema, "Yes.", &["[1] a.pdf".to_owned()]);
        assert!(jsonschema::is_valid(&schema, &document));
        assert_eq!(document["answer"], "Yes.");
        assert_eq!(document["sources"], json!(["[1] a.pdf"]));
    }
}
