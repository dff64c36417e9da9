//! Operations, as the functions document them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::functions::{API, ApiFunction};

/// Methods in the order in which they are listed.
pub(crate) const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// One operation of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) function: String,
    pub(crate) permission: Permission,
}

/// Who may call an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Anybody, without credentials.
    Public,
    /// Anybody with valid credentials, or as the operation itself decides.
    SignedIn,
    /// Whoever has this scope, by role or by key; one of several is joined by ` or `.
    Scope(String),
}

impl Permission {
    /// As the index of operations shows it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Public => "none",
            Self::SignedIn => "signed-in",
            Self::Scope(scope) => scope,
        }
    }
}

impl Operation {
    /// `GET /v1/agents`.
    pub(crate) fn route(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn rank(&self) -> (String, usize) {
        let method = METHODS.iter().position(|method| *method == self.method);
        (self.path.clone(), method.unwrap_or(METHODS.len()))
    }
}

/// The operations of every API function, by path and method.
pub(crate) fn all() -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for function in API {
        operations.extend(of_document(function.name, &document(function)?)?);
    }
    operations.sort_by_key(Operation::rank);
    let mut ids = BTreeMap::new();
    for operation in &operations {
        if let Some(other) = ids.insert(operation.id.as_str(), operation.route()) {
            bail!(
                "`{other}` and `{}` are both called {}",
                operation.route(),
                operation.id
            );
        }
    }
    if let Some(pair) = operations
        .windows(2)
        .find(|pair| pair[0].route() == pair[1].route())
    {
        bail!(
            "{} and {} both serve {}",
            pair[0].function,
            pair[1].function,
            pair[0].route()
        );
    }
    Ok(operations)
}

/// The OpenAPI document of one function, as JSON.
pub(crate) fn document(function: &ApiFunction) -> Result<Value> {
    Ok(serde_json::to_value((function.routes)().into_openapi())?)
}

fn of_document(function: &str, document: &Value) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let Some(method) = METHODS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(method))
            else {
                bail!("{function} serves {path} by {method}, which this tool does not know");
            };
            let Some(id) = operation["operationId"].as_str() else {
                bail!("{function}: {method} {path} has no operation_id");
            };
            operations.push(Operation {
                method,
                path: path.clone(),
                id: id.to_owned(),
                function: function.to_owned(),
                permission: permission(operation),
            });
        }
    }
    Ok(operations)
}

fn permission(operation: &Value) -> Permission {
    let Some(ways) = operation["security"]
        .as_array()
        .filter(|ways| !ways.is_empty())
    else {
        return Permission::Public;
    };
    let scopes = ways.iter().map(|way| way["bearer"][0].as_str());
    match scopes.collect::<Option<Vec<&str>>>() {
        Some(scopes) => Permission::Scope(scopes.join(" or ")),
        None => Permission::SignedIn,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_read_with_their_permission() {
        let document = json!({ "paths": { "/v1/a": {
            "get": { "operationId": "list_a", "security": [{ "bearer": ["a:read"] }] },
            "post": { "operationId": "create_a", "security": [{ "bearer": [] }] },
            "delete": { "operationId": "delete_a" },
            "patch": { "operationId": "update_a", "security": [
                { "bearer": ["a:write", "b:read"] }, { "bearer": ["c:write"] },
            ] },
        } } });
        let read: Vec<String> = of_document("a", &document)
            .unwrap()
            .iter()
            .map(|operation| format!("{} {}", operation.route(), operation.permission.text()))
            .collect();
        assert_eq!(
            read,
            [
                "DELETE /v1/a none",
                "GET /v1/a a:read",
                "PATCH /v1/a a:write or c:write",
                "POST /v1/a signed-in"
            ]
        );
    }

    #[test]
    fn an_operation_without_a_name_is_an_error() {
        let document = json!({ "paths": { "/v1/a": { "get": {} } } });
        assert!(
            of_document("a", &document)
                .unwrap_err()
                .to_string()
                .contains("operation_id")
        );
    }
}
