//! Every sample event of `events/` goes through the handler that its function runs: the routes of
//! that function alone, or the runner of its batches.

mod api;
mod workers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A sample: `events/<function>/<case>.json`.
struct Sample {
    function: String,
    path: PathBuf,
}

impl Sample {
    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{self}: {error}"))
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository is above this crate")
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The samples of a function, in the order of their names.
fn samples(function: &str) -> Vec<Sample> {
    let folder = repository().join("events").join(function);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{function} has no sample");
    paths
        .into_iter()
        .map(|path| {
            assert!(
                path.extension().is_some_and(|kind| kind == "json"),
                "{}",
                path.display()
            );
            Sample {
                function: function.to_owned(),
                path,
            }
        })
        .collect()
}

#[test]
fn every_function_has_samples_and_every_sample_a_function() {
    let functions = repository().join("functions");
    let (apis, workers) = (
        folders(&functions.join("api")),
        folders(&functions.join("workers")),
    );
    let all: BTreeSet<String> = apis.union(&workers).cloned().collect();
    assert_eq!(folders(&repository().join("events")), all);
    for function in &all {
        assert!(!samples(function).is_empty());
    }
    // And all of them are replayed here.
    let known: BTreeSet<String> = api::ROUTES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(known, apis);
    let known: BTreeSet<String> = workers::REPLAYED
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(known, workers);
}
