//! Writing the answer down, with its sources.

use super::NOTICE;
use super::evidence::{Passage, Source};
use super::intent::Question;
use super::rank::{Finding, Quote, with_end};

/// The findings of all questions, as text and as the sources that it cites.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Written {
    /// What was found, with marks such as `[1]`.
    pub text: String,
    /// `[1] handbook.pdf, page 3`, in the order of first use.
    pub sources: Vec<String>,
}

/// What to say when the search had no result to quote from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nothing {
    /// It ran and found nothing.
    Found,
    /// It failed.
    Failed,
    /// There is no tool to search with.
    Searchable,
}

/// Writes what was found for each question.
pub(super) fn write(
    questions: &[Question],
    findings: &[Finding],
    passages: &[Passage],
    nothing: Nothing,
) -> Written {
    let mut marks = Marks::new(findings, passages);
    let mut parts = Vec::new();
    for (question, finding) in questions.iter().zip(findings) {
        let answer = match finding {
            Finding::Answer(quotes) => quotes
                .iter()
                .map(|quote| marks.quoted(quote))
                .collect::<Vec<_>>()
                .join(" "),
            Finding::Closest(quote) => format!(
                "The documents that I searched do not seem to answer this. The closest passage is: {}",
                marks.quoted(quote)
            ),
            Finding::Nothing => match nothing {
                Nothing::Found if passages.is_empty() => {
                    "Nothing was found about this in the documents that I searched.".to_owned()
                }
                Nothing::Found => {
                    "The documents that I searched do not seem to answer this.".to_owned()
                }
                Nothing::Failed => "The search failed, so I cannot answer this.".to_owned(),
                Nothing::Searchable => {
                    "I have no documents to search, and without them I know nothing.".to_owned()
                }
            },
        };
        parts.push(match questions.len() {
            1 => answer,
            _ => format!("{}\n{answer}", heading(&question.text)),
        });
    }
    Written {
        text: parts.join("\n\n"),
        sources: marks.sources(),
    }
}

/// The parts of a reply, in order, with the sources and the notice at the end.
pub(super) fn reply(parts: &[String], sources: &[String]) -> String {
    let mut parts: Vec<String> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .cloned()
        .collect();
    if !sources.is_empty() {
        parts.push(format!("Sources: {}", sources.join("; ")));
    }
    parts.push(NOTICE.to_owned());
    parts.join("\n\n")
}

/// Text of a document on its way into an answer: one line, with nothing in it that could pass
/// for one of our marks.
pub(super) fn quotable(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| !matches!(c, '*' | '`' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'))
        .collect();
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(open) = rest.find('[') {
        clean.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        match inner.find(']') {
            Some(close) if close <= 8 => {
                clean.push('(');
                clean.push_str(&inner[..close]);
                clean.push(')');
                rest = &inner[close + 1..];
            }
            _ => {
                clean.push('[');
                rest = inner;
            }
        }
    }
    clean.push_str(rest);
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn heading(question: &str) -> String {
    let mut chars = question.trim().chars();
    match chars.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

/// Which mark stands for which source.
struct Marks<'a> {
    passages: &'a [Passage],
    /// Whether the marks of the search say clearly which source is meant. Two searches may both
    /// have a `[1]`; then the sources are numbered anew.
    own: bool,
    used: Vec<&'a Source>,
}

impl<'a> Marks<'a> {
    fn new(findings: &[Finding], passages: &'a [Passage]) -> Self {
        let quoted: Vec<&Source> = findings
            .iter()
            .flat_map(Finding::quotes)
            .flat_map(|quote| &quote.passages)
            .map(|position| &passages[*position].source)
            .collect();
        let own = quoted.iter().all(|one| {
            quoted
                .iter()
                .all(|other| one.label != other.label || one.same_place(other))
        });
        Self {
            passages,
            own,
            used: Vec::new(),
        }
    }

    fn quoted(&mut self, quote: &Quote) -> String {
        let marks: Vec<String> = quote
            .passages
            .iter()
            .map(|position| self.mark(*position))
            .collect();
        format!("{} {}", with_end(&quotable(&quote.text)), marks.concat())
    }

    fn mark(&mut self, position: usize) -> String {
        let source = &self.passages[position].source;
        let number = match self.used.iter().position(|used| used.same_place(source)) {
            Some(number) => number,
            None => {
                self.used.push(source);
                self.used.len() - 1
            }
        };
        self.label(number)
    }

    fn label(&self, number: usize) -> String {
        match self.own {
            true => self.used[number].label.clone(),
            false => format!("[{}]", number + 1),
        }
    }

    fn sources(&self) -> Vec<String> {
        self.used
            .iter()
            .enumerate()
            .map(|(number, source)| {
                format!("{} {}", self.label(number), quotable(&source.describe()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_cannot_forge_marks() {
        assert_eq!(
            quotable("See [9] and\n**bold** [a long bracket stays]\u{202e}"),
            "See (9) and bold [a long bracket stays]"
        );
        assert_eq!(quotable("open [ only"), "open [ only");
        assert_eq!(quotable("ä[ö]"), "ä(ö)");
    }
}
