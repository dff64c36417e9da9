//! YAML with the tags of CloudFormation, as plain JSON.

use anyhow::{Result, bail};
use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

/// Reads YAML and writes every short form out: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is
/// `{"Fn::Sub": "x"}`, `!GetAtt [a, b]` is `{"Fn::GetAtt": "a.b"}`.
pub(super) fn parse(text: &str) -> Result<Value> {
    plain(serde_yaml_ng::from_str(text)?)
}

fn plain(value: Yaml) -> Result<Value> {
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(truth),
        Yaml::Number(number) => Value::Number(json_number(&number)?),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(plain).collect::<Result<_>>()?),
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (key, field) in fields {
                object.insert(key_text(&key)?, plain(field)?);
            }
            if let Some(attribute) = object.get_mut("Fn::GetAtt") {
                *attribute = dotted(attribute.take());
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            let inner = plain(tagged.value)?;
            let inner = if name == "Fn::GetAtt" {
                dotted(inner)
            } else {
                inner
            };
            Value::Object(Map::from_iter([(name, inner)]))
        }
    })
}

fn dotted(attribute: Value) -> Value {
    match attribute.as_array() {
        Some(parts) => {
            let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
            Value::String(parts.join("."))
        }
        None => attribute,
    }
}

fn json_number(number: &serde_yaml_ng::Number) -> Result<Number> {
    let whole = number
        .as_u64()
        .map(Number::from)
        .or_else(|| number.as_i64().map(Number::from));
    match whole.or_else(|| number.as_f64().and_then(Number::from_f64)) {
        Some(number) => Ok(number),
        None => bail!("{number} is not a number that JSON has"),
    }
}

fn key_text(key: &Yaml) -> Result<String> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(truth) => Ok(truth.to_string()),
        _ => bail!("a key must be a text"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_forms_are_written_out_wherever_they_stand() {
        let text = "\
a: !Ref X
b: !GetAtt X.Arn
c: !GetAtt [X, Outputs.Y]
d: {Fn::GetAtt: [X, Arn]}
e: !Not [!Equals [!Ref Y, \"\"]]
f: !If [C, !Sub \"${X}-y\", !Ref AWS::NoValue]
g:
  - !If
    - C
    - Sid: S
      Resource: !Split [\",\", !Ref L]
    - !Ref AWS::NoValue
h: [1, -2, 2.5, true, null, 'x']
i: {Condition: !Condition C}
";
        let expected = json!({
            "a": { "Ref": "X" },
            "b": { "Fn::GetAtt": "X.Arn" },
            "c": { "Fn::GetAtt": "X.Outputs.Y" },
            "d": { "Fn::GetAtt": "X.Arn" },
            "e": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Y" }, ""] }] },
            "f": { "Fn::If": ["C", { "Fn::Sub": "${X}-y" }, { "Ref": "AWS::NoValue" }] },
            "g": [{ "Fn::If": [
                "C",
                { "Sid": "S", "Resource": { "Fn::Split": [",", { "Ref": "L" }] } },
                { "Ref": "AWS::NoValue" }
            ] }],
            "h": [1, -2, 2.5, true, null, "x"],
            "i": { "Condition": { "Condition": "C" } }
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_template_is_an_error() {
        for text in ["a: [", "a: 1\na: 2", "? [x]\n: y", "a: .nan"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
