//! What a body may hold, by its schema, and what it may not.

use serde_json::{Map, Value, json};

use crate::support::operations::resolve;

/// Longer than any text that the API takes, and shorter than the largest body.
const ENDLESS: usize = 400_000;

/// Fields whose text has no form but its length.
const PROSE: &[&str] = &[
    "name",
    "title",
    "description",
    "instructions",
    "input",
    "query",
    "subject",
    "text",
];

/// One place in a body.
#[derive(Debug, Clone)]
pub struct Field {
    /// As a problem names it, such as `/limits/max_steps`.
    pub pointer: String,
    pub required: bool,
    schema: Value,
}

/// Every field of an object, and those of the objects in it.
pub fn fields(document: &Value, schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(document, schema, "", &mut found);
    found
}

fn collect(document: &Value, schema: &Value, above: &str, found: &mut Vec<Field>) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let schema = resolve(document, property);
        let pointer = format!("{above}/{name}");
        collect(document, &schema, &pointer, found);
        if let Some(items) = schema.get("items") {
            let schema = resolve(document, items);
            found.push(Field {
                pointer: format!("{pointer}/0"),
                required: false,
                schema,
            });
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        {
            let schema = resolve(document, values);
            found.push(Field {
                pointer: format!("{pointer}/x"),
                required: false,
                schema,
            });
        }
        let required = required.iter().any(|one| *one == *name);
        found.push(Field {
            pointer,
            required,
            schema,
        });
    }
}

impl Field {
    /// Values of every type that the field does not take.
    pub fn wrong_types(&self) -> Vec<Value> {
        let examples = [
            ("null", Value::Null),
            ("boolean", json!(true)),
            ("integer", json!(7)),
            ("number", json!(7.5)),
            ("string", json!("\u{1f980}")),
            ("array", json!([])),
            ("object", json!({})),
        ];
        let takes = |kind: &str| match kind {
            "null" => self.schema["nullable"] == true || self.is("null"),
            "integer" => self.is("integer") || self.is("number"),
            kind => self.is(kind),
        };
        examples
            .into_iter()
            .filter(|(kind, _)| !takes(kind))
            .map(|(_, value)| value)
            .collect()
    }

    /// Values just beyond each stated limit.
    pub fn beyond_limits(&self) -> Vec<Value> {
        let mut values = Vec::new();
        if let Some(most) = self.limit("maxLength") {
            values.push(json!("x".repeat(most + 1)));
        }
        if let Some(least) = self.limit("minLength").filter(|least| *least > 0) {
            values.push(json!("x".repeat(least - 1)));
        }
        if let Some(most) = self.limit("maximum") {
            values.push(json!(most + 1));
        }
        if let Some(least) = self.limit("minimum") {
            values.push(json!(i64::try_from(least).expect("a small number") - 1));
        }
        if let Some(least) = self.limit("minItems").filter(|least| *least > 0) {
            values.push(Value::Array(vec![Value::Null; least - 1]));
        }
        if !self.schema["enum"].is_null() || !self.schema["pattern"].is_null() {
            values.push(json!("nonsense!"));
            values.push(json!(""));
        }
        if self.schema["format"] == "date-time" {
            values.push(json!("tomorrow"));
            values.push(json!("2026-02-30T00:00:00Z"));
        }
        values
    }

    /// Values exactly at each stated limit.
    pub fn at_limits(&self) -> Vec<Value> {
        let name = self.pointer.rsplit('/').next().unwrap_or_default();
        let is_prose = PROSE.contains(&name) && self.schema["pattern"].is_null();
        let lengths = ["minLength", "maxLength"].iter().filter(|_| is_prose);
        let texts = lengths.filter_map(|name| Some(json!("x".repeat(self.limit(name)?))));
        let numbers = ["minimum", "maximum"].iter();
        texts
            .chain(numbers.filter_map(|name| Some(json!(self.limit(name)?))))
            .collect()
    }

    /// A value without end, where nothing says how long it may be.
    pub fn endless(&self) -> Option<Value> {
        if self.is("string") {
            return Some(json!("x".repeat(ENDLESS)));
        }
        if self.is("array") {
            return Some(Value::Array(vec![json!("search_knowledge"); ENDLESS / 20]));
        }
        None
    }

    /// Whether the schema says what bounds a text.
    pub fn is_bounded(&self) -> bool {
        !self.is("string")
            || ["maxLength", "enum", "pattern", "format"]
                .iter()
                .any(|name| !self.schema[name].is_null())
    }

    /// `body` with another value at this place; the objects above it are made where missing.
    pub fn set(&self, body: &Value, value: Value) -> Value {
        let mut body = body.clone();
        *self.place(&mut body) = value;
        body
    }

    /// `body` without this field.
    pub fn without(&self, body: &Value) -> Value {
        let mut body = body.clone();
        let (above, name) = self.pointer.rsplit_once('/').expect("a pointer");
        if let Some(Value::Object(fields)) = body.pointer_mut(above) {
            fields.remove(name);
        }
        body
    }

    fn place<'a>(&self, body: &'a mut Value) -> &'a mut Value {
        self.pointer
            .split('/')
            .skip(1)
            .fold(body, |place, name| match name.parse::<usize>() {
                Ok(_) => {
                    *place = json!([null]);
                    &mut place[0]
                }
                Err(_) => {
                    if !place.is_object() {
                        *place = Value::Object(Map::new());
                    }
                    &mut place[name]
                }
            })
    }

    fn is(&self, kind: &str) -> bool {
        match &self.schema["type"] {
            Value::Array(kinds) => kinds.iter().any(|one| one == kind),
            one => one == kind,
        }
    }

    fn limit(&self, name: &str) -> Option<usize> {
        usize::try_from(self.schema[name].as_u64()?).ok()
    }
}

#[test]
fn fields_are_found_in_objects_lists_and_maps() {
    let document = json!({ "defs": { "Inner": {
        "type": "object", "required": ["size"],
        "properties": { "size": { "type": "integer", "minimum": 1 } },
    } } });
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string", "maxLength": 3 },
            "inner": { "oneOf": [{ "type": "null" }, { "$ref": "#/defs/Inner" }] },
            "tags": { "type": "array", "items": { "type": "string" } },
            "headers": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let found = fields(&document, &schema);
    let mut pointers: Vec<&str> = found.iter().map(|field| field.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/headers",
            "/headers/x",
            "/inner",
            "/inner/size",
            "/name",
            "/tags",
            "/tags/0"
        ]
    );
    let size = found
        .iter()
        .find(|field| field.pointer == "/inner/size")
        .expect("found");
    assert!(size.required);
    assert_eq!(
        size.set(&json!({ "name": "a" }), json!(0)),
        json!({ "name": "a", "inner": { "size": 0 } })
    );
    assert_eq!(size.beyond_limits(), [json!(0)]);
    let inner = found
        .iter()
        .find(|field| field.pointer == "/inner")
        .expect("found");
    assert!(!inner.wrong_types().contains(&Value::Null));
    assert!(inner.wrong_types().contains(&json!([])));
}
