//! Sample events: what API Gateway and SQS hand to a function, with a body that its schema asks for.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::check::{SAMPLE_FOLDER, read_samples, served};
use crate::functions::API;
use crate::generated;
use crate::operations::{self, Operation};
use crate::repo::Repo;

/// How deep a body is filled in.
const MAX_DEPTH: usize = 8;
/// The id that samples use; each kind puts its prefix before it.
const SAMPLE_ID: &str = "01jbst9de6fp79y0938nkrkayd";

/// Writes a sample for each route that has none, and returns the files.
pub(crate) fn write_missing(repo: &Repo) -> Result<Vec<String>> {
    let samples = read_samples(repo, &repo.files()?);
    let operations = operations::all()?;
    let document = generated::document()?;
    let mut written = Vec::new();
    for function in API {
        for route in served(function, &operations) {
            if samples
                .iter()
                .any(|sample| sample.is_of(function.name) && sample.requests(&route))
            {
                continue;
            }
            let operation = operations
                .iter()
                .find(|operation| operation.route() == route);
            let event = match operation {
                Some(operation) => of_operation(&document, operation),
                None => {
                    let (method, path) = route.split_once(' ').unwrap_or(("GET", &route));
                    let target = filled(path, &|_| "index.html".to_owned());
                    request(method, &target, None, false)
                }
            };
            let case = operation.map_or_else(
                || page_name(&route),
                |operation| operation.id.replace('_', "-"),
            );
            let file = format!("{SAMPLE_FOLDER}/{}/{case}.json", function.name);
            repo.write(&file, &text(&event)?)?;
            written.push(file);
        }
    }
    Ok(written)
}

/// An event as it is written to a file.
pub(crate) fn text(event: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(event)?))
}

/// A request as an HTTP API hands it over (payload format 2.0).
pub(crate) fn request(method: &str, target: &str, body: Option<&Value>, signed_in: bool) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Map::new();
    headers.insert("accept".to_owned(), json!("application/json"));
    headers.insert("host".to_owned(), json!("api.example.com"));
    if signed_in {
        // Whoever sends the sample puts a token here.
        headers.insert("authorization".to_owned(), json!("Bearer TOKEN"));
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "sample",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0"
            },
            "requestId": "sample-request",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64
        },
        "isBase64Encoded": false
    });
    if let Some(body) = body {
        headers.insert("content-type".to_owned(), json!("application/json"));
        event["body"] = json!(body.to_string());
    }
    event["headers"] = Value::Object(headers);
    event
}

/// A ring for a job, as SQS hands it over.
pub(crate) fn doorbell() -> Value {
    let body = json!({ "org": format!("org_{SAMPLE_ID}"), "job": format!("job_{SAMPLE_ID}") });
    json!({ "Records": [{
        "messageId": "2e1424d4-f796-459a-8184-9c92662be6da",
        "receiptHandle": "sample",
        "body": body.to_string(),
        "attributes": {
            "ApproximateFirstReceiveTimestamp": "1767225600001",
            "ApproximateReceiveCount": "1",
            "MessageGroupId": format!("org_{SAMPLE_ID}"),
            "SenderId": "AIDAEXAMPLE",
            "SentTimestamp": "1767225600000"
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:sample",
        "awsRegion": "eu-central-1"
    }] })
}

fn of_operation(document: &Value, operation: &Operation) -> Value {
    let described = &document["paths"][&operation.path][operation.method.to_lowercase()];
    let parameters = described["parameters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let value_of = |parameter: &Value| plain(&example(document, &parameter["schema"], 0));
    let path = filled(&operation.path, &|name| {
        let parameter = parameters
            .iter()
            .find(|known| known["name"] == name && known["in"] == "path");
        parameter.map_or_else(|| "sample".to_owned(), value_of)
    });
    let required: Vec<String> = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true)
        .map(|parameter| format!("{}={}", plain(&parameter["name"]), value_of(parameter)))
        .collect();
    let target = if required.is_empty() {
        path
    } else {
        format!("{path}?{}", required.join("&"))
    };
    let schema = &described["requestBody"]["content"]["application/json"]["schema"];
    let body = (!schema.is_null()).then(|| example(document, schema, 0));
    let signed_in = operation.permission != operations::Permission::Public;
    request(operation.method, &target, body.as_ref(), signed_in)
}

/// A path with a value for each of its parameters.
fn filled(path: &str, value: &dyn Fn(&str) -> String) -> String {
    let segments = path.split('/').map(|segment| {
        match segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) => value(name),
            None => segment.to_owned(),
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn page_name(route: &str) -> String {
    let words = route
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A value that a schema allows: its own example where it has one, else what it requires and what
/// has an example, or at least its first property.
fn example(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or(&Value::Null);
        return example(document, target, depth + 1);
    }
    for given in [
        &schema["example"],
        &schema["examples"][0],
        &schema["default"],
        &schema["const"],
        &schema["enum"][0],
    ] {
        if !given.is_null() {
            return given.clone();
        }
    }
    for choice in ["oneOf", "anyOf"] {
        let options = schema[choice].as_array().into_iter().flatten();
        if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
            return example(document, option, depth + 1);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = example(document, part, depth + 1) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    match kind(schema) {
        "string" => json!(sample_text(schema)),
        "integer" | "number" => json!(schema["minimum"].as_u64().unwrap_or(1).max(1)),
        "boolean" => json!(false),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            let items = (0..least.min(1)).map(|_| example(document, &schema["items"], depth + 1));
            Value::Array(items.collect())
        }
        "object" => Value::Object(sample_object(document, schema, depth)),
        _ => Value::Null,
    }
}

/// The type of a schema; of several, the first that is not `null`.
fn kind(schema: &Value) -> &str {
    let first = || {
        schema["type"]
            .as_array()?
            .iter()
            .find(|kind| *kind != "null")?
            .as_str()
    };
    let fields = schema.get("properties").map(|_| "object");
    schema["type"]
        .as_str()
        .or_else(first)
        .or(fields)
        .unwrap_or_default()
}

fn sample_object(document: &Value, schema: &Value, depth: usize) -> Map<String, Value> {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    let properties: Vec<_> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    let mut wanted: Vec<_> = properties
        .iter()
        .filter(|(name, property)| required(name) || !property["example"].is_null())
        .copied()
        .collect();
    if wanted.is_empty() {
        // A change that changes nothing shows nobody anything.
        wanted.extend(properties.first().copied());
    }
    let filled = wanted.into_iter();
    filled
        .map(|(name, property)| (name.clone(), example(document, property, depth + 1)))
        .collect()
}

fn sample_text(schema: &Value) -> String {
    let prefix = schema["pattern"].as_str().and_then(|pattern| {
        pattern
            .strip_prefix('^')?
            .split_once("_[0-9a-hjkmnp-tv-z]{26}")
            .map(|(prefix, _)| prefix)
    });
    match (prefix, schema["format"].as_str()) {
        (Some(prefix), _) => format!("{prefix}_{SAMPLE_ID}"),
        (None, Some("date-time")) => "2026-01-01T00:00:00Z".to_owned(),
        (None, Some("email")) => "ada@example.com".to_owned(),
        (None, Some("uri")) => "https://example.com/".to_owned(),
        _ => "sample".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "paths": { "/v1/agents/{agent_id}": { "patch": {
                "parameters": [
                    { "name": "agent_id", "in": "path", "schema": { "$ref": "#/components/schemas/AgentId" } },
                    { "name": "limit", "in": "query", "schema": { "type": "integer" } },
                    { "name": "at", "in": "query", "required": true, "schema": { "type": "integer", "minimum": 7 } }
                ],
                "requestBody": { "content": { "application/json": { "schema": {
                    "$ref": "#/components/schemas/Change"
                } } } }
            } } },
            "components": { "schemas": {
                "AgentId": { "type": "string", "pattern": "^agt_[0-9a-hjkmnp-tv-z]{26}$" },
                "Change": {
                    "type": "object",
                    "required": ["name", "when", "kind", "tags", "inner", "either", "loose"],
                    "properties": {
                        "name": { "type": "string", "example": "Guide" },
                        "when": { "type": "string", "format": "date-time" },
                        "kind": { "enum": ["a", "b"] },
                        "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                        "inner": { "$ref": "#/components/schemas/Inner" },
                        "either": { "oneOf": [{ "type": "null" }, { "type": "boolean" }] },
                        "loose": { "$ref": "#/components/schemas/Loose" },
                        "left_out": { "type": "string" },
                        "shown": { "type": ["string", "null"], "example": "yes" }
                    }
                },
                "Loose": { "type": "object", "properties": { "a": { "type": "boolean" }, "b": {} } },
                "Inner": { "allOf": [
                    { "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } }
                ] }
            } }
        })
    }

    #[test]
    fn a_sample_follows_the_schema_of_its_operation() {
        let operation = crate::testing::operation("PATCH", "/v1/agents/{agent_id}", "agents");
        let event = of_operation(&document(), &operation);
        assert_eq!(event["rawPath"], format!("/v1/agents/agt_{SAMPLE_ID}"));
        assert_eq!(event["rawQueryString"], "at=7");
        assert_eq!(event["requestContext"]["http"]["method"], "PATCH");
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        let expected = json!({
            "name": "Guide", "when": "2026-01-01T00:00:00Z", "kind": "a", "tags": ["sample"],
            "inner": { "n": 1 }, "either": false, "loose": { "a": false }, "shown": "yes"
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_schema_that_holds_itself_comes_to_an_end() {
        let document = json!({ "a": { "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/a" } } } });
        let mut value = &example(&document, &json!({ "$ref": "#/a" }), 0);
        let mut depth = 0;
        while let Some(inner) = value.get("a") {
            (value, depth) = (inner, depth + 1);
        }
        assert!(value.is_null() && depth <= MAX_DEPTH);
    }

    #[test]
    fn ids_of_samples_are_ids() {
        let event = doorbell();
        let body: Value =
            serde_json::from_str(event["Records"][0]["body"].as_str().unwrap()).unwrap();
        assert!(
            body["org"]
                .as_str()
                .unwrap()
                .parse::<kernel::OrgId>()
                .is_ok()
        );
        assert!(
            body["job"]
                .as_str()
                .unwrap()
                .parse::<kernel::JobId>()
                .is_ok()
        );
    }

    #[test]
    fn pages_have_a_name_and_a_target() {
        assert_eq!(page_name("GET /docs/{path}"), "get-docs-path");
        assert_eq!(
            filled("/docs/{path}", &|_| "index.html".to_owned()),
            "/docs/index.html"
        );
    }
}
