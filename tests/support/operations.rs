//! The operations of the API, read from the document that the handlers generate.

use http::Method;
use serde_json::Value;

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    /// With `{parameters}`.
    pub path: String,
    /// The scopes it asks for: none where anybody may call it, an empty list where any person may.
    /// Where one of several lets in, all of them: what its row asks for needs each.
    pub scopes: Option<Vec<String>>,
    /// The schema of its JSON body, if it has one.
    pub body: Option<Value>,
    /// The names of its query parameters.
    pub query: Vec<String>,
    /// The statuses of success that it documents.
    pub successes: Vec<u16>,
}

impl Operation {
    /// Whether it changes nothing, by what its scopes say.
    pub fn only_reads(&self) -> bool {
        self.scopes().iter().all(|scope| scope.ends_with(":read"))
    }

    /// The scopes of an operation on an org's things.
    pub fn scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or_default()
    }

    /// The names of its path parameters, in order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
    }
}

/// The whole document.
pub fn document() -> Value {
    let functions: api::Documentation = local::host::routes();
    let document = api::openapi::base().merge_from(functions.into_openapi());
    serde_json::to_value(document).expect("the document is JSON")
}

/// Every operation of the document.
pub fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations");
            methods
                .iter()
                .map(move |(method, operation)| read(document, path, method, operation))
        })
        .collect()
}

fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let content = &operation["requestBody"]["content"]["application/json"]["schema"];
    let parameters = operation["parameters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let scopes = operation["security"].as_array().map(|alternatives| {
        let ways = alternatives.iter().map(|way| &way["bearer"]);
        ways.flat_map(|scopes| scopes.as_array().expect("the scheme is bearer"))
            .map(|scope| scope.as_str().expect("a scope").to_owned())
            .collect()
    });
    let statuses = operation["responses"]
        .as_object()
        .expect("responses")
        .keys();
    Operation {
        id: operation["operationId"].as_str().expect("an id").to_owned(),
        method: method.to_uppercase().parse().expect("a method"),
        path: path.to_owned(),
        scopes,
        body: (!content.is_null()).then(|| resolve(document, content)),
        query: parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect(),
        successes: statuses
            .filter_map(|status| status.parse().ok())
            .filter(|status| (200..300).contains(status))
            .collect(),
    }
}

/// A schema behind its references, and without the alternative of `null`.
pub fn resolve(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let target = document
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{reference} is nowhere"));
        return resolve(document, target);
    }
    for combination in ["oneOf", "anyOf", "allOf"] {
        let Some(parts) = schema[combination].as_array() else {
            continue;
        };
        let given: Vec<_> = parts.iter().filter(|part| part["type"] != "null").collect();
        if let [only] = given.as_slice() {
            let mut found = resolve(document, only);
            if given.len() < parts.len() {
                found["nullable"] = Value::Bool(true);
            }
            return found;
        }
    }
    schema.clone()
}
