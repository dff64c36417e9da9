//! The `//!` table at the top of a function's `lib.rs` names its routes as they are.

use crate::check::Finding;
use crate::functions::{API_FOLDER, ApiFunction};
use crate::operations::{METHODS, Operation, Permission};
use crate::repo::Repo;

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// `GET /v1/agents`.
    route: String,
    /// The cell as written.
    permission: String,
    file: String,
}

/// Checks the table of every API function.
pub(crate) fn check(repo: &Repo, table: &[ApiFunction], operations: &[Operation]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in table {
        let folder = format!("{API_FOLDER}/{}/src", function.name);
        let library = format!("{folder}/lib.rs");
        let Ok(text) = repo.read(&library) else {
            findings.push(Finding::new(
                library,
                "is missing, write the library of the function",
            ));
            continue;
        };
        let own: Vec<&Operation> = operations
            .iter()
            .filter(|operation| operation.function == function.name)
            .collect();
        let messages = compare(&rows(&text), &own, function.pages, &|file| {
            repo.exists(&format!("{folder}/{file}"))
        });
        findings.extend(
            messages
                .into_iter()
                .map(|message| Finding::new(&library, message)),
        );
    }
    findings
}

fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .map_while(|line| line.strip_prefix("//!"))
        .filter_map(|line| {
            let cells: Vec<&str> = line
                .trim()
                .trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            let [method, path, permission, file] = cells.as_slice() else {
                return None;
            };
            METHODS.contains(method).then(|| Row {
                route: format!("{method} {}", path.trim_matches('`')),
                permission: (*permission).to_owned(),
                file: file.trim_matches('`').to_owned(),
            })
        })
        .collect()
}

fn compare(
    rows: &[Row],
    operations: &[&Operation],
    pages: &[&str],
    file_exists: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut messages = Vec::new();
    let public = Permission::Public;
    let expected: Vec<(String, &Permission)> = operations
        .iter()
        .map(|operation| (operation.route(), &operation.permission))
        .chain(pages.iter().map(|route| ((*route).to_owned(), &public)))
        .collect();
    for (route, permission) in &expected {
        match rows
            .iter()
            .filter(|row| row.route == *route)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [] => messages.push(format!("the route table lacks `{route}`, add a row")),
            [row] if !says(&row.permission, permission) => messages.push(format!(
                "the route table gives `{route}` the permission {}, write {}",
                row.permission,
                written(permission)
            )),
            [_] => {}
            _ => messages.push(format!(
                "the route table names `{route}` twice, take a row out"
            )),
        }
    }
    for row in rows {
        if !expected.iter().any(|(route, _)| *route == row.route) {
            messages.push(format!(
                "the route table names `{}`, which is not served: take the row out",
                row.route
            ));
        }
        if !file_exists(&row.file) {
            messages.push(format!(
                "the route table says that `{}` is in {}, which is not there",
                row.route, row.file
            ));
        }
    }
    messages
}

/// Whether a cell says who may call. Where no scope decides, words say who does.
fn says(cell: &str, permission: &Permission) -> bool {
    match permission {
        Permission::Public => cell == "none",
        Permission::SignedIn => !cell.is_empty() && cell != "none" && !cell.contains('`'),
        Permission::Scope(_) => cell == written(permission),
    }
}

fn written(permission: &Permission) -> String {
    match permission {
        Permission::Public => "none".to_owned(),
        Permission::SignedIn => "in words who may call it".to_owned(),
        Permission::Scope(scope) => format!("`{}`", scope.replace(" or ", "` or `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::operation;

    const TABLE: &str = "\
//! Agents.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/agents` | `agents:read` | `list.rs` |
//! | POST | `/v1/agents` | any person | `create.rs` |
//! | GET | `/docs` | none | `pages.rs` |

use api::Routes;
//! | GET | `/not/read` | none | `x.rs` |
";

    fn messages(table: &str) -> Vec<String> {
        let list = operation("GET", "/v1/agents", "agents");
        let create = Operation {
            permission: Permission::SignedIn,
            ..operation("POST", "/v1/agents", "agents")
        };
        compare(&rows(table), &[&list, &create], &["GET /docs"], &|file| {
            file != "gone.rs"
        })
    }

    fn broken(old: &str, new: &str, expected: &str) {
        let found = messages(&TABLE.replace(old, new));
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{found:#?}"
        );
    }

    #[test]
    fn a_table_that_says_what_is_served_passes() {
        assert_eq!(messages(TABLE), Vec::<String>::new());
    }

    #[test]
    fn rows_that_lack_or_are_too_many_are_found() {
        broken(
            "//! | GET | `/docs` | none | `pages.rs` |\n",
            "",
            "lacks `GET /docs`",
        );
        let row = "//! | GET | `/docs` | none | `pages.rs` |\n";
        broken(row, &format!("{row}{row}"), "names `GET /docs` twice");
        broken(
            row,
            &format!("{row}{}", row.replace("/docs", "/other")),
            "which is not served",
        );
    }

    #[test]
    fn a_wrong_permission_or_file_is_found() {
        broken("`agents:read`", "`agents:write`", "write `agents:read`");
        broken("any person", "none", "in words who may call it");
        broken("any person", "`agents:write`", "in words who may call it");
        broken("| none |", "| anybody |", "write none");
        broken("list.rs", "gone.rs", "is in gone.rs, which is not there");
    }
}
