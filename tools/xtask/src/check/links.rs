//! Links of documents to files of the repository lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::check::Finding;
use crate::repo::Repo;

/// Checks every Markdown file.
pub(crate) fn check(repo: &Repo, files: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let Ok(text) = repo.read(file) else { continue };
        for target in targets(&text) {
            let exists = resolved(file, &target).is_some_and(|path| repo.path(&path).exists());
            if !exists {
                findings.push(Finding::new(
                    file,
                    format!("links to `{target}`, which is not there: mend the link"),
                ));
            }
        }
    }
    findings
}

/// What the links of a document point at, where that is a file. Code is no prose.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for (at, _) in prose.match_indices(opening) {
                let rest = &prose[at + opening.len()..];
                let target = rest.split(closing).next().unwrap_or_default();
                let target = target.split([' ', '#', '?']).next().unwrap_or_default();
                if !target.is_empty() && !target.contains(':') && !target.starts_with("//") {
                    found.push(target.to_owned());
                }
            }
        }
    }
    found
}

/// The file that a link means, from the root; none outside the repository.
fn resolved(file: &str, target: &str) -> Option<String> {
    let mut path = match target.strip_prefix('/') {
        Some(_) => PathBuf::new(),
        None => Path::new(file).parent()?.to_owned(),
    };
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_one;

    fn findings(text: &str) -> Vec<Finding> {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path().to_owned());
        repo.write("docs/a.md", text).unwrap();
        repo.write("docs/b.md", "").unwrap();
        repo.write("README.md", "").unwrap();
        check(&repo, &["docs/a.md".to_owned()])
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[b](b.md#part) [root](../README.md \"title\") [c](./b.md), <img src=\"/README.md\">\n\
                    [web](https://example.com/x) [mail](mailto:a@example.com) [here](#here)\n\
                    `[code](nothing.md)`\n```\n[code](nothing.md)\n```\n[folder](../docs)\n";
        assert_eq!(findings(text), []);
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        for link in [
            "[x](c.md)",
            "[x](../../README.md)",
            "<a href=\"c.md\">",
            "a [b](b.md) and [c](c.md)",
        ] {
            assert_one(&findings(link), "which is not there");
        }
    }
}
