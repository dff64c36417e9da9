//! The rules of the repository, one module a family. A finding is one line that says where, what
//! is wrong and how to mend it.

mod crates;
mod events;
mod layers;
mod links;
mod parity;
mod permissions;
mod route_table;
mod template_rules;
mod words;

use std::fmt;

use anyhow::Result;

use crate::functions::API;
use crate::repo::Repo;
use crate::template::Stack;
use crate::{generated, operations};

pub(crate) use events::{FOLDER as SAMPLE_FOLDER, read as read_samples};
pub(crate) use parity::served;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    message: String,
}

impl Finding {
    pub(crate) fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// Every finding of every family, in the order of files.
pub(crate) fn all(repo: &Repo) -> Result<Vec<Finding>> {
    let files = repo.files()?;
    let stack = Stack::load(repo, &files)?;
    let operations = operations::all()?;
    let crates = crates::function_crates(repo);
    let samples = events::read(repo, &files);
    let linked: Vec<&str> = API.iter().map(|function| function.name).collect();

    let mut findings = crates::check(&crates, &linked);
    findings.extend(parity::functions(&crates, &stack));
    findings.extend(parity::routes(API, &operations, &stack));
    findings.extend(parity::nested_stacks(&stack));
    findings.extend(events::check(&samples, API, &operations, &crates, &stack));
    findings.extend(route_table::check(repo, API, &operations));
    findings.extend(permissions::check(&stack));
    findings.extend(template_rules::check(&stack));
    findings.extend(layers::check(&repo.packages));
    findings.extend(words::check(repo, &files));
    findings.extend(links::check(repo, &files));
    findings.extend(generated::openapi()?.staleness(repo));
    findings.extend(generated::routes()?.staleness(repo));
    findings.sort();
    findings.dedup();
    Ok(findings)
}
