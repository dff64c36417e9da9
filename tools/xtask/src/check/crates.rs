//! Function crates: folder, crate and binary have one name, and the binary is four lines.

use crate::check::Finding;
use crate::functions::{API_FOLDER, WORKER_FOLDER};
use crate::repo::Repo;

/// The most lines of a function's `main.rs`: whatever more there is belongs to its library.
const MAX_MAIN_LINES: usize = 4;

/// A crate under `functions/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionCrate {
    /// From the root.
    pub(crate) folder: String,
    pub(crate) package: String,
    pub(crate) binaries: Vec<String>,
    pub(crate) is_worker: bool,
    /// The text of `src/main.rs`, if there is one.
    pub(crate) main: Option<String>,
}

impl FunctionCrate {
    /// The last segment of its folder, which everything else is called after.
    pub(crate) fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }
}

/// The function crates of the workspace.
pub(crate) fn function_crates(repo: &Repo) -> Vec<FunctionCrate> {
    let in_folder = |folder: &str, parent: &str| {
        folder
            .strip_prefix(parent)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    repo.packages
        .iter()
        .filter_map(|package| {
            let is_worker = in_folder(&package.folder, WORKER_FOLDER);
            (is_worker || in_folder(&package.folder, API_FOLDER)).then(|| FunctionCrate {
                folder: package.folder.clone(),
                package: package.name.clone(),
                binaries: package.binaries.clone(),
                is_worker,
                main: repo.read(&format!("{}/src/main.rs", package.folder)).ok(),
            })
        })
        .collect()
}

/// `linked` are the API functions that this tool knows.
pub(crate) fn check(crates: &[FunctionCrate], linked: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in crates {
        let manifest = format!("{}/Cargo.toml", function.folder);
        let name = function.name();
        if function.package != name {
            findings.push(Finding::new(
                &manifest,
                format!(
                    "the crate is called {}, call it {name} like its folder",
                    function.package
                ),
            ));
        }
        if function.binaries != [name] {
            findings.push(Finding::new(
                &manifest,
                format!(
                    "the binaries are {:?}, have one called {name}",
                    function.binaries
                ),
            ));
        }
        if !function.is_worker && !linked.contains(&name) {
            findings.push(Finding::new(
                &manifest,
                format!("{name} is in no table, add it to tools/xtask/src/functions.rs"),
            ));
        }
        findings.extend(check_main(function));
    }
    for name in linked {
        if !crates
            .iter()
            .any(|function| !function.is_worker && function.name() == *name)
        {
            findings.push(Finding::new(
                "tools/xtask/src/functions.rs",
                format!("{name} has no crate in {API_FOLDER}, take it out or make one"),
            ));
        }
    }
    findings
}

fn check_main(function: &FunctionCrate) -> Option<Finding> {
    let file = format!("{}/src/main.rs", function.folder);
    let Some(text) = &function.main else {
        return Some(Finding::new(
            file,
            "is missing, add the four lines that start the function",
        ));
    };
    let lines = text.lines().count();
    if lines > MAX_MAIN_LINES {
        return Some(Finding::new(
            file,
            format!("has {lines} lines, keep to {MAX_MAIN_LINES} and move the rest to lib.rs"),
        ));
    }
    if !text.contains("lambda::") {
        return Some(Finding::new(
            file,
            "starts nothing, call a runner of the lambda crate",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_one;

    fn agents() -> FunctionCrate {
        FunctionCrate {
            folder: "functions/api/agents".to_owned(),
            package: "agents".to_owned(),
            binaries: vec!["agents".to_owned()],
            is_worker: false,
            main: Some("a\nb\n    lambda::http(agents::routes()).await\n}\n".to_owned()),
        }
    }

    #[test]
    fn a_crate_by_the_pattern_passes() {
        assert_eq!(check(&[agents()], &["agents"]), []);
    }

    #[test]
    fn folder_crate_and_binary_share_a_name() {
        let renamed = FunctionCrate {
            package: "agent".to_owned(),
            ..agents()
        };
        assert_one(
            &check(&[renamed], &["agents"]),
            "call it agents like its folder",
        );
        for binaries in [
            vec![],
            vec!["bootstrap".to_owned()],
            vec!["agents".to_owned(), "x".to_owned()],
        ] {
            let other = FunctionCrate {
                binaries,
                ..agents()
            };
            assert_one(&check(&[other], &["agents"]), "have one called agents");
        }
    }

    #[test]
    fn table_and_folder_name_the_same_functions() {
        assert_one(
            &check(&[agents()], &[]),
            "add it to tools/xtask/src/functions.rs",
        );
        assert_one(
            &check(&[agents()], &["agents", "gone"]),
            "gone has no crate",
        );
    }

    #[test]
    fn a_main_is_four_lines_that_start_something() {
        for (main, expected) in [
            (None, "is missing"),
            (Some("fn main() {}\n"), "starts nothing"),
            (Some("a\nb\nlambda::x\nc\nd\n"), "has 5 lines"),
        ] {
            let function = FunctionCrate {
                main: main.map(str::to_owned),
                ..agents()
            };
            assert_one(&check(&[function], &["agents"]), expected);
        }
    }
}
