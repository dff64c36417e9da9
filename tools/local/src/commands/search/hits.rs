//! What was found, as lines for people.

use console::style;
use serde_json::Value;

use crate::terminal::printable;

/// How hits are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// Whether the words that were found are in bold.
    pub(super) bold: bool,
}

impl Page {
    /// Lines that may be shown as they are: what comes from outside commands no terminal in them.
    pub(super) fn lines(self, found: &Value) -> Vec<String> {
        let hits = list(found, "hits");
        let mut lines = Vec::new();
        for (place, hit) in (1..).zip(&hits) {
            lines.extend(self.hit(place, hit));
        }
        if hits.is_empty() {
            lines.push("Nothing was found.".to_owned());
        }
        for correction in list(found, "corrections") {
            let instead = list(correction, "instead");
            let instead: Vec<&str> = instead.into_iter().filter_map(Value::as_str).collect();
            let word = correction["word"].as_str().unwrap_or_default();
            lines.push(plain(&format!(
                "Nothing holds \u{201c}{word}\u{201d}; looked for {} instead.",
                instead.join(", ")
            )));
        }
        let notes = list(found, "notes").into_iter().filter_map(Value::as_str);
        lines.extend(notes.map(plain));
        if found["next_cursor"].is_string() {
            let total = found["total"].as_u64();
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            lines.push(format!("{}{of} are shown; --limit shows more.", hits.len()));
        }
        lines
    }

    /// A hit: its title and where in it, its text, and where it is read.
    fn hit(self, place: usize, hit: &Value) -> Vec<String> {
        let field = |name: &str| hit[name].as_str().filter(|text| !text.is_empty());
        let marked = |name: &str| self.highlight(hit, name).or_else(|| field(name).map(plain));
        let mut title = format!("{place}. {}", marked("title").unwrap_or_default());
        if let Some(page) = hit["page"].as_u64() {
            title.push_str(&format!(", page {page}"));
        }
        if let Some(heading) = marked("heading") {
            title.push_str(&format!(", \u{201c}{heading}\u{201d}"));
        }
        let text = self.highlight(hit, "body");
        let text = text.or_else(|| field("snippet").map(plain));
        let source: Vec<String> = ["kind", "status", "path"]
            .into_iter()
            .filter_map(|name| field(name).map(plain))
            .collect();
        let below = text.into_iter().chain([source.join("  ")]);
        std::iter::once(title)
            .chain(below.map(|line| format!("   {line}")))
            .collect()
    }

    /// The first highlight of a field, with its words in bold.
    fn highlight(self, hit: &Value, field: &str) -> Option<String> {
        let mut highlights = list(hit, "highlights").into_iter();
        let highlight = highlights.find(|highlight| highlight["field"] == field)?;
        let text: Vec<char> = highlight["text"].as_str()?.chars().collect();
        let part = |from: usize, to: usize| plain(&text[from..to].iter().collect::<String>());
        let place = |value: &Value| {
            let place = value.as_u64().and_then(|place| usize::try_from(place).ok());
            place.unwrap_or(text.len()).min(text.len())
        };
        let (mut line, mut end) = (String::new(), 0);
        for range in list(highlight, "ranges") {
            let from = place(&range["start"]).max(end);
            let to = place(&range["end"]).max(from);
            let word = style(part(from, to)).bold().force_styling(self.bold);
            line.push_str(&part(end, from));
            line.push_str(&word.to_string());
            end = to;
        }
        Some(line + &part(end, text.len()))
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    value[field].as_array().into_iter().flatten().collect()
}

/// A text from outside, in one line: tables and lists come with much room between their words.
fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in printable(&text.replace('\r', " ")).chars() {
        match letter {
            letter if !letter.is_whitespace() => line.push(letter),
            _ if line.ends_with(' ') => {}
            _ => line.push(' '),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found() -> Value {
        json!({
            "hits": [
                {
                    "kind": "chunk", "title": "Handbook.pdf", "page": 12, "heading": "Care > Oil",
                    "path": "/v1/files/fil_1/text?start=120&length=800", "snippet": "unused",
                    "highlights": [
                        { "field": "heading", "text": "Care > Oil",
                          "ranges": [{ "start": 7, "end": 10 }], "offset": 0 },
                        { "field": "body", "text": "Das Öl\nwird\u{1b}[2J gewechselt. Öl!",
                          "ranges": [{ "start": 4, "end": 6 }, { "start": 28, "end": 30 }],
                          "offset": 310 },
                    ],
                },
                { "kind": "task", "title": "Change\n\t it", "status": "todo",
                  "path": "/v1/tasks/tsk_1", "snippet": "Soon.", "highlights": [] },
            ],
            "corrections": [{ "word": "oyl", "instead": ["oil", "öl"] }],
            "notes": ["Only words were looked for."],
            "total": 12, "next_cursor": "x",
        })
    }

    #[test]
    fn a_hit_is_shown_with_its_place_its_words_and_where_it_is_read() {
        assert_eq!(
            Page { bold: false }.lines(&found()),
            [
                "1. Handbook.pdf, page 12, \u{201c}Care > Oil\u{201d}",
                "   Das Öl wird\u{fffd}[2J gewechselt. Öl!",
                "   chunk  /v1/files/fil_1/text?start=120&length=800",
                "2. Change it",
                "   Soon.",
                "   task  todo  /v1/tasks/tsk_1",
                "Nothing holds \u{201c}oyl\u{201d}; looked for oil, öl instead.",
                "Only words were looked for.",
                "2 of 12 are shown; --limit shows more.",
            ]
        );
        let bold = Page { bold: true }.lines(&found());
        assert_eq!(
            bold[1],
            "   Das \u{1b}[1mÖl\u{1b}[0m wird\u{fffd}[2J gewechselt. \u{1b}[1mÖl\u{1b}[0m!"
        );
        assert!(bold[0].ends_with("\u{201c}Care > \u{1b}[1mOil\u{1b}[0m\u{201d}"));
    }

    #[test]
    fn nothing_found_is_said_and_places_outside_of_a_text_break_nothing() {
        let none = json!({ "hits": [] });
        let page = Page { bold: true };
        assert_eq!(page.lines(&none), ["Nothing was found."]);
        let ranges = json!([
            { "start": 2, "end": 9 }, { "start": 1, "end": 3 }, { "start": "x" }, {},
        ]);
        let highlights = json!([{ "field": "body", "text": "abc", "ranges": ranges }]);
        let hit = json!({ "hits": [{ "title": "T", "highlights": highlights }] });
        let lines = Page { bold: false }.lines(&hit);
        assert_eq!(lines[..2], ["1. T".to_owned(), "   abc".to_owned()]);
    }
}
