//! Documents that are made from the code and committed, so that a change shows in review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::check::Finding;
use crate::functions::API;
use crate::operations::{self, Operation};
use crate::repo::Repo;

/// A document as it should be.
pub(crate) struct Document {
    /// From the root.
    pub(crate) path: &'static str,
    pub(crate) text: String,
    /// The task that writes it.
    task: &'static str,
}

impl Document {
    /// What is wrong with the committed document, if anything.
    pub(crate) fn staleness(&self, repo: &Repo) -> Option<Finding> {
        let committed = repo.read(self.path).ok();
        if committed.as_deref() == Some(self.text.as_str()) {
            return None;
        }
        let what = if committed.is_some() {
            "is not what the code says"
        } else {
            "is missing"
        };
        Some(Finding::new(
            self.path,
            format!("{what}, run `cargo xtask {}`", self.task),
        ))
    }
}

/// `docs/routes.txt`: one line an operation.
pub(crate) fn routes() -> Result<Document> {
    let text = index(&operations::all()?);
    Ok(Document {
        path: "docs/routes.txt",
        text,
        task: "routes",
    })
}

fn index(operations: &[Operation]) -> String {
    let width = |column: fn(&Operation) -> usize| operations.iter().map(column).max().unwrap_or(0);
    let path = width(|operation| operation.path.len());
    let id = width(|operation| operation.id.len());
    let function = width(|operation| operation.function.len());
    let mut text = String::new();
    for operation in operations {
        let _ = writeln!(
            text,
            "{:<6} {:<path$} {:<id$} {:<function$} {}",
            operation.method,
            operation.path,
            operation.id,
            operation.function,
            operation.permission.text(),
        );
    }
    text
}

/// `openapi.json`, as it is written.
pub(crate) fn openapi() -> Result<Document> {
    let mut text = serde_json::to_string_pretty(&document()?)?;
    text.push('\n');
    Ok(Document {
        path: "openapi.json",
        text,
        task: "openapi",
    })
}

/// The operations of all functions in one OpenAPI 3.1 document.
pub(crate) fn document() -> Result<Value> {
    // Names must be distinct before anything is merged by name.
    operations::all()?;
    let parts = API
        .iter()
        .map(|function| Ok((function.name, operations::document(function)?)))
        .collect::<Result<Vec<_>>>()?;
    merged(serde_json::to_value(api::openapi::base())?, &parts)
}

/// Adds paths and schemas of every part to the base. Objects are kept in the order of their keys.
fn merged(mut document: Value, parts: &[(&str, Value)]) -> Result<Value> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (function, part) in parts {
        for (path, item) in part["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                document["paths"][path][method] = operation.clone();
            }
        }
        for (name, schema) in part["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let known = &mut document["components"]["schemas"][name];
            if known.is_null() {
                *known = schema.clone();
                owners.insert(name.clone(), function);
            } else if known != schema {
                let owner = owners.get(name).copied().unwrap_or("the API layer");
                bail!(
                    "{owner} and {function} mean different things by the schema {name}: \
                     rename one with #[schema(as = …)]"
                );
            }
        }
    }
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let missing: Vec<&String> = references
        .iter()
        .filter(|reference| {
            reference
                .strip_prefix('#')
                .is_none_or(|place| document.pointer(place).is_none())
        })
        .collect();
    if !missing.is_empty() {
        bail!("the document refers to what it does not hold: {missing:?}");
    }
    Ok(document)
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields
                .values()
                .for_each(|field| collect_references(field, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::operation;

    fn part(path: &str, schema: Value) -> Value {
        json!({ "paths": { path: { "get": {} } }, "components": { "schemas": { "Thing": schema } } })
    }

    #[test]
    fn the_index_is_aligned_and_has_one_line_an_operation() {
        let operations = [
            operation("GET", "/v1/agents", "agents"),
            operation("DELETE", "/v1/tools/{tool_id}", "tools"),
        ];
        assert_eq!(
            index(&operations),
            "GET    /v1/agents          get_v1_agents           agents agents:read\n\
             DELETE /v1/tools/{tool_id} delete_v1_tools_tool_id tools  tools:write\n"
        );
    }

    #[test]
    fn parts_are_merged_by_path_and_schema() {
        let base = json!({ "openapi": "3.1.0", "paths": {}, "components": { "schemas": {} } });
        let parts = [("a", part("/a", json!({}))), ("b", part("/b", json!({})))];
        let document = merged(base, &parts).unwrap();
        assert_eq!(document["paths"].as_object().unwrap().len(), 2);
        assert_eq!(document["components"]["schemas"]["Thing"], json!({}));
    }

    #[test]
    fn one_name_for_two_schemas_is_an_error() {
        let parts = [
            ("a", part("/a", json!({ "type": "string" }))),
            ("b", part("/b", json!({ "type": "null" }))),
        ];
        let error = merged(json!({}), &parts).unwrap_err().to_string();
        assert!(
            error.contains("a and b") && error.contains("Thing"),
            "{error}"
        );
    }

    #[test]
    fn a_reference_to_nothing_is_an_error() {
        let parts = [(
            "a",
            part("/a", json!({ "$ref": "#/components/schemas/Missing" })),
        )];
        assert!(
            merged(json!({}), &parts)
                .unwrap_err()
                .to_string()
                .contains("Missing")
        );
    }

    #[test]
    fn a_missing_or_changed_document_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path().to_owned());
        let document = Document {
            path: "docs/routes.txt",
            text: "a\n".to_owned(),
            task: "routes",
        };
        assert!(
            document
                .staleness(&repo)
                .unwrap()
                .to_string()
                .contains("is missing, run `cargo xtask routes`")
        );
        repo.write(document.path, "b\n").unwrap();
        assert!(
            document
                .staleness(&repo)
                .unwrap()
                .to_string()
                .contains("is not what the code says")
        );
        repo.write(document.path, &document.text).unwrap();
        assert!(document.staleness(&repo).is_none());
    }
}
