//! Every operation meets every caller. What there is to meet is read from the document that the
//! handlers generate, so that an operation without a row fails.

mod callers;
mod foreign;
pub mod rows;

use std::collections::BTreeSet;

use crate::support::operations::{Operation, document, operations};

/// What anybody may read.
const PUBLIC: &[&str] = &["get_health", "get_readiness", "get_openapi"];

/// What any person may do, whatever their orgs, and no machine.
const PERSONAL: &[&str] = &[
    "get_me",
    "update_me",
    "list_orgs",
    "create_org",
    "accept_invitation",
];

/// Whether nobody can do an operation again to the same thing.
pub fn spends_it(operation: &Operation) -> bool {
    operation.method == http::Method::DELETE
        || matches!(
            operation.id.as_str(),
            "set_task_status"
                | "abort_file_version"
                | "add_document"
                | "create_source"
                | "update_source"
                | "refresh_source"
                | "link_file"
                | "restore_file"
                | "upload_file_parts"
                | "accept_invitation"
                | "answer_approval"
                | "input_to_execution"
                | "execute_task"
        )
}

/// Whether each scope of an operation lets in by itself, whatever is asked for.
pub fn one_is_enough(operation: &Operation) -> bool {
    matches!(
        operation.id.as_str(),
        "suggest_searches" | "click_search_hit"
    )
}

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let operations = operations(&document());
    let known: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(known.len(), operations.len(), "two operations share an id");
    let rows: BTreeSet<&str> = rows::ROWS.iter().map(|row| row.operation).collect();
    assert_eq!(rows.len(), rows::ROWS.len(), "two rows for one operation");
    assert_eq!(
        known.difference(&rows).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "without a row"
    );
    assert_eq!(
        rows.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "of nothing"
    );
}

#[test]
fn a_row_has_a_body_where_its_operation_takes_one() {
    for operation in operations(&document()) {
        let row = rows::row(&operation);
        assert_eq!(
            row.body.is_some(),
            operation.body.is_some(),
            "{}",
            operation.id
        );
    }
}

#[test]
fn what_needs_no_scope_is_listed() {
    let operations = operations(&document());
    let ids = |scopes: Option<usize>| -> BTreeSet<&str> {
        let matching = operations
            .iter()
            .filter(|operation| operation.scopes.as_ref().map(Vec::len) == scopes);
        matching.map(|operation| operation.id.as_str()).collect()
    };
    assert_eq!(ids(None), PUBLIC.iter().copied().collect());
    assert_eq!(ids(Some(0)), PERSONAL.iter().copied().collect());
}

#[test]
fn every_scope_of_the_document_is_a_permission_and_every_permission_opens_something() {
    let operations = operations(&document());
    let stated: BTreeSet<&str> = operations
        .iter()
        .flat_map(|operation| operation.scopes())
        .map(String::as_str)
        .collect();
    let permissions = domain::permission::Permission::ALL;
    assert_eq!(
        stated,
        permissions
            .iter()
            .map(|permission| permission.scope())
            .collect()
    );
}
