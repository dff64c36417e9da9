//! What a folder holds.

use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use super::report::{Entry, Outcome, Reason};

/// The files of a folder in the order of their names, and what else is in it that nobody would expect
/// to be left out. Hidden and ignored files are; so is the data folder, should it be in there. A link
/// is not followed: it could lead anywhere, and what it leads to within the folder is found anyway.
pub(super) fn walk(root: &Path, data: &Path) -> Vec<Entry> {
    // The rules of a work tree count from its root on. Elsewhere those of the folder do, and none
    // that happen to lie above it.
    let is_in_git = root.ancestors().any(|above| above.join(".git").exists());
    let data = data.to_owned();
    let walk = WalkBuilder::new(root)
        .require_git(is_in_git)
        .parents(is_in_git)
        .git_global(false)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(move |entry| entry.path() != data)
        .build();
    walk.filter_map(|found| match found {
        Ok(found) => entry(root, &found),
        Err(error) => unreadable(root, &error),
    })
    .collect()
}

fn entry(root: &Path, found: &DirEntry) -> Option<Entry> {
    let kind = found.file_type()?;
    if kind.is_dir() {
        return None;
    }
    let mut entry = Entry::new(found.path().to_owned(), shown(root, found.path()));
    if kind.is_symlink() {
        let message = "It is a symbolic link, which is not followed.";
        let reason = Reason::new("symbolic_link", message);
        entry.outcome = Some(Outcome::Skipped { reason });
    } else if !kind.is_file() {
        let message = "It is a device, a pipe or a socket, and no file.";
        let reason = Reason::new("no_file", message);
        entry.outcome = Some(Outcome::Skipped { reason });
    } else {
        match found.metadata() {
            Ok(metadata) => entry.bytes = metadata.len(),
            Err(error) => entry.outcome = Some(Outcome::refused(Reason::unreadable(error))),
        }
    }
    Some(entry)
}

/// A folder whose entries cannot be read. What else goes wrong is about rules that say what to ignore.
fn unreadable(root: &Path, error: &ignore::Error) -> Option<Entry> {
    let (path, cause) = place(error)?;
    if !path.starts_with(root) {
        return None;
    }
    let mut entry = Entry::new(path.to_owned(), shown(root, path));
    entry.outcome = Some(Outcome::refused(Reason::unreadable(cause)));
    Some(entry)
}

fn place(error: &ignore::Error) -> Option<(&Path, &std::io::Error)> {
    match error {
        ignore::Error::WithDepth { err, .. } => place(err),
        ignore::Error::WithPath { path, err } => Some((path, err.io_error()?)),
        _ => None,
    }
}

/// The path below the folder, as people read it.
fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let below: PathBuf = if below.as_os_str().is_empty() {
        path.file_name().map(PathBuf::from).unwrap_or_default()
    } else {
        below.to_owned()
    };
    below.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn listed(root: &Path, data: &Path) -> Vec<(String, Option<String>)> {
        let entries = walk(root, data).into_iter();
        entries
            .map(|entry| {
                let why = entry.outcome.as_ref().and_then(Outcome::reason);
                (entry.shown, why.map(|reason| reason.code.clone()))
            })
            .collect()
    }

    fn fill(root: &Path, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
            fs::write(path, content).expect("is written");
        }
    }

    #[test]
    fn hidden_and_ignored_files_are_left_out_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        let elsewhere = tempfile::tempdir().expect("a folder");
        fill(elsewhere.path(), &[("secret.md", "x")]);
        fill(
            &root,
            &[
                ("b.md", "b"),
                ("a/c.md", "c"),
                (".hidden.md", "x"),
                (".folder/d.md", "x"),
                (".gitignore", "*.log\n/out\n"),
                ("a/e.log", "x"),
                ("out/f.md", "x"),
                ("a/.ignore", "g.*\n"),
                ("a/g.md", "x"),
                ("data/dynamodb.sqlite", "x"),
            ],
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(elsewhere.path(), root.join("link")).expect("a link");
            symlink(root.join("b.md"), root.join("link.md")).expect("a link");
        }
        let mut expected = vec![("a/c.md".to_owned(), None), ("b.md".to_owned(), None)];
        if cfg!(unix) {
            for link in ["link", "link.md"] {
                expected.push((link.to_owned(), Some("symbolic_link".to_owned())));
            }
        }
        assert_eq!(listed(&root, &root.join("data")), expected);
    }

    #[test]
    fn a_file_is_a_folder_of_one_and_rules_above_a_folder_are_those_of_a_work_tree() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        fill(&root, &[(".gitignore", "*.log\n"), ("docs/a.log", "x")]);
        let docs = root.join("docs");
        let nowhere = Path::new("/nowhere");
        let all = vec![("a.log".to_owned(), None)];
        assert_eq!(listed(&docs, nowhere), all);
        assert_eq!(listed(&docs.join("a.log"), nowhere), all);
        fs::create_dir(root.join(".git")).expect("is made");
        assert_eq!(listed(&docs, nowhere), []);
    }
}
