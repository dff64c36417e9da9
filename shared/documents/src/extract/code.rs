//! Source code: its lines as they stand, with what they define as headings.
//!
//! A line that defines something is known by its first words, and what it is in by its
//! indentation. That finds what people look for in code that is formatted as usual; it is no parser
//! and takes no part in what a compiler would say.

mod definition;

use super::builder::Builder;
use super::text::{Lines, TextSource};
use crate::rejection::Rejection;

use definition::definition;

/// Comments and attributes above a definition belong to it, if they are no longer than this.
const MAX_PREAMBLE_BYTES: usize = 16 * 1024;

/// A programming language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    CSharp,
    Cpp,
    Go,
    Java,
    JavaScript,
    Kotlin,
    Lua,
    Php,
    Python,
    Ruby,
    Rust,
    Scala,
    Shell,
    Sql,
    Swift,
    TypeScript,
}

impl Language {
    /// The language that the name of a file promises.
    pub(crate) fn of_name(file_name: &str) -> Option<Self> {
        let (_, extension) = file_name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "c" | "h" => Self::C,
            "cs" => Self::CSharp,
            "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => Self::Cpp,
            "go" => Self::Go,
            "java" => Self::Java,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "kt" | "kts" => Self::Kotlin,
            "lua" => Self::Lua,
            "php" => Self::Php,
            "py" | "pyi" => Self::Python,
            "rb" => Self::Ruby,
            "rs" => Self::Rust,
            "scala" | "sc" => Self::Scala,
            "sh" | "bash" | "zsh" => Self::Shell,
            "sql" => Self::Sql,
            "swift" => Self::Swift,
            "ts" | "mts" | "cts" | "tsx" => Self::TypeScript,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::CSharp => "c#",
            Self::Cpp => "c++",
            Self::Go => "go",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Kotlin => "kotlin",
            Self::Lua => "lua",
            Self::Php => "php",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Rust => "rust",
            Self::Scala => "scala",
            Self::Shell => "shell",
            Self::Sql => "sql",
            Self::Swift => "swift",
            Self::TypeScript => "typescript",
        }
    }
}

pub(super) fn read(
    source: &mut TextSource<'_>,
    language: Option<Language>,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let mut lines = Lines::new(source);
    let mut line = String::new();
    let mut preamble = String::new();
    while lines.next(&mut line)? {
        let found = language.and_then(|language| definition(language, &line));
        if let Some(found) = found {
            builder.listed_label(found.level, &found.name)?;
        } else if is_preamble(&line) && preamble.len() < MAX_PREAMBLE_BYTES {
            preamble.push_str(&line);
            continue;
        }
        builder.append(&std::mem::take(&mut preamble))?;
        builder.append(&line)?;
    }
    builder.append(&preamble)
}

/// Whether a line speaks of the one after it: a comment, an attribute, a decorator.
fn is_preamble(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "#", "@", "/*", "*", "--", "\"\"\""]
        .iter()
        .any(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(file_name: &str, source: &str) -> Vec<(String, String)> {
        let language = Language::of_name(file_name);
        crate::extract::of_text(source, |source, builder| read(source, language, builder))
            .sections
            .into_iter()
            .map(|section| (section.heading_path.join(" > "), section.text))
            .collect()
    }

    fn headings(file_name: &str, source: &str) -> Vec<String> {
        places(file_name, source)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    }

    #[test]
    fn definitions_stand_under_what_they_are_in() {
        let source = "use std::fmt;\n\n/// A pump.\n#[derive(Debug)]\npub struct Pump {\n    \
                      speed: u32,\n}\n\nimpl fmt::Display for Pump {\n    // Writes it.\n    fn \
                      fmt(&self, f: &mut F) -> R {\n        write!(f, \"x\")\n    }\n}\n\npub(crate) \
                      async fn start() {}\n";
        assert_eq!(
            places("pump.rs", source),
            [
                ("".into(), "use std::fmt;".into()),
                (
                    "struct Pump".into(),
                    "/// A pump.\n#[derive(Debug)]\npub struct Pump {\n    speed: u32,\n}".into()
                ),
                (
                    "impl fmt::Display for Pump".into(),
                    "impl fmt::Display for Pump {".into()
                ),
                (
                    "impl fmt::Display for Pump > fn fmt".into(),
                    "    // Writes it.\n    fn fmt(&self, f: &mut F) -> R {\n        write!(f, \
                     \"x\")\n    }\n}"
                        .into()
                ),
                ("fn start".into(), "pub(crate) async fn start() {}".into()),
            ]
        );
    }

    #[test]
    fn each_language_has_its_words() {
        let cases: [(&str, &str, &[&str]); 12] = [
            (
                "a.py",
                "import os\n\nclass Pump(Base):\n    def start(self):\n        pass\n\n    async def stop(self): ...\n\ndef main():\n    pass\n",
                &[
                    "",
                    "class Pump",
                    "class Pump > def start",
                    "class Pump > def stop",
                    "def main",
                ],
            ),
            (
                "a.ts",
                "export default class Pump {\n}\nexport async function start(x: number) {\n}\ninterface Speed {}\n",
                &["class Pump", "function start", "interface Speed"],
            ),
            (
                "a.go",
                "package pump\n\nfunc (p *Pump) Start() error {\n}\n\ntype Speed struct {\n}\n",
                &["", "func (p *Pump) Start", "type Speed struct"],
            ),
            (
                "A.java",
                "public final class Pump extends Base {\n    private static int start(int x) {\n        return 1;\n    }\n}\n",
                &["class Pump extends Base", "class Pump extends Base > start"],
            ),
            (
                "a.c",
                "#include <x.h>\n\nstatic int start(int x)\n{\n    if (x) { return run(x); }\n}\n\nstruct pump {\n};\n",
                &["", "start", "struct pump"],
            ),
            (
                "a.sh",
                "set -e\n\nstart() {\n  run\n}\nfunction stop {\n  run\n}\n",
                &["", "start", "stop"],
            ),
            (
                "a.rb",
                "module Pumps\n  class Pump\n    def start\n    end\n  end\nend\n",
                &[
                    "module Pumps",
                    "module Pumps > class Pump",
                    "module Pumps > class Pump > def start",
                ],
            ),
            (
                "a.sql",
                "SELECT 1;\nCREATE TABLE pumps (\n  id int\n);\ncreate or replace view fast as select 1;\n",
                &["", "create table pumps", "create view fast"],
            ),
            (
                "a.kt",
                "data class Pump(val x: Int)\nfun start() {}\n",
                &["class Pump", "fun start"],
            ),
            (
                "a.php",
                "<?php\nfinal class Pump {\n  public function start() {}\n}\n",
                &["", "class Pump", "class Pump > function start"],
            ),
            (
                "a.swift",
                "public struct Pump {\n    func start() {}\n}\n",
                &["struct Pump", "struct Pump > func start"],
            ),
            ("a.unknown", "fn main() {}\nclass A {}\n", &[""]),
        ];
        for (name, source, expected) in cases {
            assert_eq!(headings(name, source), expected, "{name}");
        }
    }

    #[test]
    fn the_text_keeps_every_line() {
        let source = "fn a() {\n    1\n}\n\n// tail\n";
        let text: Vec<String> = places("a.rs", source)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(text, ["fn a() {\n    1\n}\n\n// tail"]);
    }
}
