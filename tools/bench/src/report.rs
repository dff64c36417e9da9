//! Tables, and the document that they are kept in.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

const DOCUMENT: &str = "docs/BENCHMARKS.md";
/// What stands around the figures, where there is no document yet.
const SKELETON: &str = include_str!("skeleton.md");

/// A Markdown table: names in the first column, figures in the others.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there is a row of this name.
    pub fn has(&self, name: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.first().is_some_and(|first| first == name))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.head.join(" | "))?;
        let figures = self.head.len().saturating_sub(1);
        writeln!(f, "|---|{}", "--:|".repeat(figures))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

/// A goal, and who keeps it. Shown as an item of a list.
pub struct Goal {
    what: String,
    judged: usize,
    failing: Vec<String>,
}

impl Goal {
    /// A goal that nobody was judged by.
    pub fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            judged: 0,
            failing: Vec::new(),
        }
    }

    /// Judges one by its figure, which is shown where it misses the goal.
    pub fn judge(&mut self, name: &str, kept: bool, figure: impl fmt::Display) {
        self.judged += 1;
        if !kept {
            self.failing.push(format!("{name} ({figure})"));
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.judged - self.failing.len();
        write!(
            f,
            "- Goal, {}: kept by {kept} of {}.",
            self.what, self.judged
        )?;
        match self.failing.as_slice() {
            [] => writeln!(f),
            failing => writeln!(f, " Missed by {}.", failing.join(", ")),
        }
    }
}

/// Puts the figures of a section into the document, in place of those that it had.
pub fn keep(root: &Path, section: &str, figures: &str) -> anyhow::Result<()> {
    let path = root.join(DOCUMENT);
    let document = match std::fs::read_to_string(&path) {
        Ok(document) => document,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => SKELETON.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {DOCUMENT}")),
    };
    std::fs::write(&path, with_figures(&document, section, figures))
        .with_context(|| format!("cannot write {DOCUMENT}"))
}

/// The document with new figures between the marks of a section; at its end, where it has none.
fn with_figures(document: &str, section: &str, figures: &str) -> String {
    let begin = format!("<!-- begin {section} -->");
    let end = format!("<!-- end {section} -->");
    let marked = document
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let figures = format!("{begin}\n\n{figures}\n\n{end}");
    match marked {
        Some((before, after)) => format!("{before}{figures}{after}"),
        None => format!("{}\n\n## The {section}\n\n{figures}\n", document.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::Section;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["request", "p50", "p95"]);
        table.row(["GET", "1", "2"]);
        let text = "| request | p50 | p95 |\n|---|--:|--:|\n| GET | 1 | 2 |\n";
        assert_eq!(table.to_string(), text);
    }

    #[test]
    fn a_goal_names_who_misses_it() {
        let mut goal = Goal::new("under 2");
        goal.judge("a", true, 1);
        assert_eq!(goal.to_string(), "- Goal, under 2: kept by 1 of 1.\n");
        goal.judge("b", false, 3);
        let text = "- Goal, under 2: kept by 1 of 2. Missed by b (3).\n";
        assert_eq!(goal.to_string(), text);
    }

    #[test]
    fn every_section_has_a_place_and_the_others_stay() {
        let mut document = SKELETON.to_owned();
        for section in Section::value_variants() {
            document = with_figures(&document, section.name(), section.name());
        }
        let again = with_figures(&document, "api", "new figures");
        assert!(again.contains("new figures") && again.contains("\n\nfunctions\n\n"));
        assert_eq!(again.replace("new figures", "api"), document);
        let more = with_figures(&document, "new", "figure 1");
        assert!(more.starts_with(document.trim_end()) && more.contains("\n\nfigure 1\n\n"));
        let changed = with_figures(&more, "new", "figure 2");
        assert_eq!(changed, more.replace("figure 1", "figure 2"));
    }
}
