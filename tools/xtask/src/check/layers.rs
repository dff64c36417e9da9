//! Layers point one way: which crate of the workspace may use which.

use crate::check::Finding;
use crate::repo::Package;

/// What each crate, or each crate under a folder, may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("shared/kernel", &[]),
    ("shared/domain", &["kernel"]),
    ("shared/work", &["kernel"]),
    ("shared/vault", &["kernel"]),
    ("shared/store", &["kernel", "domain", "work", "vault"]),
    ("shared/outbound", &[]),
    ("shared/mcp", &["outbound"]),
    ("shared/identity", &[]),
    ("shared/embedding", &[]),
    ("shared/documents", &[]),
    ("shared/llm", &["embedding"]),
    (
        "shared/retrieval",
        &["kernel", "domain", "store", "embedding", "text-index"],
    ),
    ("shared/text-index", &["kernel", "domain", "work", "store"]),
    (
        "shared/api",
        &["kernel", "domain", "work", "store", "identity"],
    ),
    (
        "shared/lambda",
        &["kernel", "work", "vault", "store", "api"],
    ),
    // No function uses another: what two of them need is a layer.
    (
        "functions/api/*",
        &[
            "kernel",
            "domain",
            "work",
            "store",
            "outbound",
            "identity",
            "embedding",
            "llm",
            "retrieval",
            "text-index",
            "api",
            "lambda",
        ],
    ),
    (
        "functions/workers/*",
        &[
            "kernel",
            "domain",
            "work",
            "store",
            "outbound",
            "mcp",
            "embedding",
            "documents",
            "llm",
            "retrieval",
            "text-index",
            "lambda",
        ],
    ),
    ("tools/bench", &["*"]),
    ("tools/bench/bare", &[]),
    ("tools/chaos", &["*"]),
    ("tools/e2e", &["*"]),
    ("tools/embedded", &[]),
    ("tools/fuzz", &["documents"]),
    ("tools/local", &["*"]),
    ("tools/xtask", &["api", "functions/api/*"]),
    ("tests", &["*"]),
];

/// What any crate may use in its tests: AWS on the machine itself.
const FOR_TESTS: &[&str] = &["embedded"];

/// The tests of functions and tools may use whatever is below the hosts: a worker is best tested
/// behind the function that gives it work. Those of a layer may not.
const FOLDERS_TESTED_TOGETHER: &[&str] = &["functions/", "tools/"];
const TESTED_TOGETHER: &[&str] = &["shared/*", "functions/api/*", "functions/workers/*"];

/// Checks every dependency between crates of the workspace.
pub(crate) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some((_, allowed)) = ALLOWED.iter().find(|(place, _)| is_at(package, place)) else {
            let message =
                "belongs to no layer, add it to ALLOWED in tools/xtask/src/check/layers.rs";
            findings.push(Finding::new(manifest, message));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let target = packages.iter().find(|other| other.name == name);
            let is_allowed = allowed.iter().any(|known| {
                *known == "*" || *known == name || target.is_some_and(|target| is_at(target, known))
            });
            let together = FOLDERS_TESTED_TOGETHER
                .iter()
                .any(|at| package.folder.starts_with(at))
                && target.is_some_and(|target| TESTED_TOGETHER.iter().any(|at| is_at(target, at)));
            let for_tests = dependency.dev && (FOR_TESTS.contains(&name) || together);
            if !is_allowed && !for_tests {
                findings.push(Finding::new(
                    &manifest,
                    format!("{} may not use {name}, which is not in a layer below it: move what is needed down", package.name),
                ));
            }
        }
    }
    let stale = ALLOWED
        .iter()
        .filter(|(place, _)| !packages.iter().any(|package| is_at(package, place)));
    findings.extend(stale.map(|(place, _)| {
        Finding::new(
            "tools/xtask/src/check/layers.rs",
            format!("{place} is in the table and not in the workspace, take it out"),
        )
    }));
    findings
}

/// Whether a crate is at `place`: its folder, or `<folder>/*` for each crate within.
fn is_at(package: &Package, place: &str) -> bool {
    match place.strip_suffix("/*") {
        Some(parent) => {
            let rest = package
                .folder
                .strip_prefix(parent)
                .and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.contains('/'))
        }
        None => package.folder == place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Dependency;
    use crate::testing::assert_one;

    fn package(folder: &str, uses: &[&str]) -> Package {
        let dependencies = uses
            .iter()
            .map(|name| Dependency {
                name: (*name).to_owned(),
                dev: false,
            })
            .collect();
        Package {
            name: folder.rsplit('/').next().unwrap().to_owned(),
            folder: folder.to_owned(),
            binaries: Vec::new(),
            dependencies,
        }
    }

    /// A workspace with a crate in every place of the table, and these in place of theirs.
    fn workspace(changed: &[Package]) -> Vec<Package> {
        let mut packages: Vec<Package> = ALLOWED
            .iter()
            .map(|(place, _)| package(&place.replace('*', "sample"), &[]))
            .filter(|package| !changed.iter().any(|other| other.folder == package.folder))
            .collect();
        packages.extend_from_slice(changed);
        packages
    }

    #[test]
    fn edges_that_point_down_pass() {
        let packages = workspace(&[
            package("shared/store", &["kernel", "domain", "work"]),
            package("functions/api/agents", &["api", "store", "lambda"]),
            package("tools/xtask", &["api", "agents"]),
            package("tools/local", &["agents", "store", "llm"]),
        ]);
        assert_eq!(check(&packages), []);
    }

    #[test]
    fn an_edge_that_points_up_or_aside_is_found() {
        for (folder, used) in [
            ("shared/kernel", "domain"),
            ("shared/domain", "store"),
            ("shared/work", "store"),
            ("shared/store", "api"),
            ("functions/api/agents", "documents"),
            ("functions/workers/sweeper", "api"),
            ("tools/embedded", "store"),
            ("tools/xtask", "store"),
        ] {
            let findings = check(&workspace(&[package(folder, &[used])]));
            assert_one(&findings, &format!("may not use {used}"));
        }
        let aside = [
            package("functions/api/agents", &["tasks"]),
            package("functions/api/tasks", &[]),
        ];
        assert_one(&check(&workspace(&aside)), "agents may not use tasks");
    }

    #[test]
    fn tests_use_the_embedded_services_and_those_of_functions_other_functions() {
        let with = |folder: &str, used: &str| {
            let mut tested = package(folder, &[]);
            tested.dependencies.push(Dependency {
                name: used.to_owned(),
                dev: true,
            });
            check(&workspace(&[tested, package("functions/api/files", &[])]))
        };
        assert_eq!(with("functions/workers/file-processor", "embedded"), []);
        assert_eq!(with("functions/workers/file-processor", "files"), []);
        assert_one(
            &with("functions/workers/file-processor", "local"),
            "may not use local",
        );
        assert_eq!(with("shared/store", "embedded"), []);
        assert_one(&with("shared/store", "files"), "may not use files");
    }

    #[test]
    fn a_crate_without_a_layer_and_a_layer_without_a_crate_are_found() {
        assert_one(
            &check(&workspace(&[package("shared/new", &[])])),
            "belongs to no layer",
        );
        let mut fewer = workspace(&[]);
        fewer.retain(|package| package.folder != "shared/llm");
        assert_one(
            &check(&fewer),
            "shared/llm is in the table and not in the workspace",
        );
    }
}
