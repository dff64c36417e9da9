//! Words that no file may hold: they name a machine or a download, and not the product.

use crate::check::Finding;
use crate::repo::Repo;

/// Hosts of package registries, which belong into a person's own configuration. Written in two
/// parts, so that this file does not hold them.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("npm", "js.com"),
];

/// The beginnings of somebody's home.
const HOMES: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
];

/// Files that tools write, and that name where they got things from.
const EXEMPT: &[&str] = &["Cargo.lock"];

/// Checks every text of the repository.
pub(crate) fn check(repo: &Repo, files: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.contains(&file.as_str())) {
        // What is not text is a document or a picture, made elsewhere.
        if let Ok(text) = std::fs::read_to_string(repo.path(file)) {
            let found = text
                .lines()
                .enumerate()
                .filter_map(|(index, line)| Some((index, in_line(line)?)));
            findings.extend(found.map(|(index, word)| {
                Finding::new(
                    file,
                    format!("line {} holds `{word}`, take it out", index + 1),
                )
            }));
        }
    }
    findings
}

fn in_line(line: &str) -> Option<&'static str> {
    let host = HOSTS.iter().find(|host| line.contains(*host));
    host.or_else(|| HOMES.iter().find(|home| begins_a_path(line, home)))
        .copied()
}

/// Whether `home` stands at the beginning of a path: `/v1/home/x` goes through no home.
fn begins_a_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"._-}".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_one;

    #[test]
    fn a_forbidden_word_is_found_with_its_line() {
        for word in HOSTS.iter().chain(HOMES) {
            let folder = tempfile::tempdir().unwrap();
            let repo = Repo::at(folder.path().to_owned());
            repo.write("docs/a.md", &format!("fine\nsee \"{word}x\"\n"))
                .unwrap();
            let findings = check(&repo, &["docs/a.md".to_owned()]);
            assert_one(&findings, &format!("docs/a.md: line 2 holds `{word}`"));
        }
    }

    #[test]
    fn homes_within_a_path_lock_files_and_what_is_no_text_pass() {
        let home = HOMES[0];
        assert_eq!(
            in_line(&format!("GET https://api.example.com/v1{home}x")),
            None
        );
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path().to_owned());
        repo.write("Cargo.lock", HOSTS[0]).unwrap();
        std::fs::write(repo.path("picture"), [0xff, 0xfe, 0x00]).unwrap();
        assert_eq!(
            check(&repo, &["Cargo.lock".to_owned(), "picture".to_owned()]),
            []
        );
    }
}
