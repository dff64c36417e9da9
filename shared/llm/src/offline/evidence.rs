//! What the tools brought: passages with their sources.

use serde_json::Value;

/// Where a piece of text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The mark that the search gave it, such as `[1]`.
    pub label: String,
    /// The document's name.
    pub document: String,
    /// The page, where documents have pages.
    pub page: Option<String>,
    /// The heading, where they have none.
    pub heading: Option<String>,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Passage {
    pub source: Source,
    pub text: String,
    /// How well the search thinks it fits, from 0 to 1.
    pub score: f64,
    /// Whether the document says more than was returned.
    pub truncated: bool,
    /// The result as it came, to copy identifiers from.
    pub raw: Value,
}

impl Source {
    /// "handbook.pdf, page 3".
    pub fn describe(&self) -> String {
        match (&self.page, &self.heading) {
            (Some(page), _) => format!("{}, page {page}", self.document),
            (None, Some(heading)) => format!("{}, “{heading}”", self.document),
            (None, None) => self.document.clone(),
        }
    }

    /// Whether two passages stand in the same place.
    pub fn same_place(&self, other: &Source) -> bool {
        self.document == other.document && self.page == other.page && self.heading == other.heading
    }
}

/// What a message holds between the marks that set retrieved passages apart, if it is one that shows
/// them.
pub(super) fn given(message: &str) -> Option<&str> {
    const BEGIN: &str = "\n<passages>\n";
    let (_, rest) = message.split_once(BEGIN)?;
    rest.strip_suffix("\n</passages>")
}

/// The passages of a search result, or `None` when the result is not one.
pub(super) fn passages(content: &str) -> Option<Vec<Passage>> {
    let json = json_in(content)?;
    let list = json["passages"].as_array()?;
    Some(
        list.iter()
            .enumerate()
            .filter_map(|(position, raw)| passage(position, raw))
            .collect(),
    )
}

fn passage(position: usize, raw: &Value) -> Option<Passage> {
    let text = raw["text"]
        .as_str()
        .filter(|text| !text.trim().is_empty())?;
    Some(Passage {
        source: Source {
            label: label(&raw["citation"]).unwrap_or_else(|| format!("[{}]", position + 1)),
            document: scalar(&raw["document"]).unwrap_or_else(|| "a document".to_owned()),
            page: scalar(&raw["page"]),
            heading: scalar(&raw["heading"]),
        },
        text: text.to_owned(),
        score: raw["score"].as_f64().unwrap_or(0.0).clamp(0.0, 1.0),
        truncated: raw["truncated"].as_bool().unwrap_or(false),
        raw: raw.clone(),
    })
}

/// What reading a document further gave, as passages of the same source. A tool may answer with
/// text, with `{"text": …}` or with pages.
pub(super) fn document_text(content: &str, of: &Passage) -> Vec<Passage> {
    let again = |text: &str, page: Option<String>| Passage {
        source: Source {
            page: page.or_else(|| of.source.page.clone()),
            ..of.source.clone()
        },
        text: text.to_owned(),
        truncated: false,
        ..of.clone()
    };
    match json_in(content) {
        Some(json) => {
            let pages = json["pages"].as_array().cloned().unwrap_or_default();
            if pages.is_empty() {
                let text = json["text"].as_str().or_else(|| json["content"].as_str());
                return text
                    .map(|text| again(text, scalar(&json["page"])))
                    .into_iter()
                    .collect();
            }
            pages
                .iter()
                .filter_map(|page| Some(again(page["text"].as_str()?, scalar(&page["page"]))))
                .collect()
        }
        None if content.trim().is_empty() => Vec::new(),
        None => vec![again(content, None)],
    }
}

/// A person's answer, out of whatever a tool wrapped it in. `None` when the tool only says that
/// it has passed the question on.
pub(super) fn human_answer(content: &str) -> Option<String> {
    const KEYS: [&str; 6] = ["answer", "response", "decision", "text", "message", "input"];
    match json_in(content) {
        Some(json) => KEYS.iter().find_map(|key| scalar(&json[*key])),
        None => Some(content.trim().to_owned()).filter(|text| !text.is_empty()),
    }
}

/// JSON, also with marks around it that set retrieved text apart.
fn json_in(content: &str) -> Option<Value> {
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(content) {
        return Some(value);
    }
    let start = content.find('{')?;
    let end = content.rfind('}')?;
    serde_json::from_str(content.get(start..=end)?).ok()
}

fn label(value: &Value) -> Option<String> {
    let text = scalar(value)?;
    let inner = text.trim_matches(['[', ']', ' ']);
    let plain = !inner.is_empty() && inner.len() <= 8 && inner.chars().all(char::is_alphanumeric);
    plain.then(|| format!("[{inner}]"))
}

/// Text or a number, on one line: it is going to stand in a sentence.
fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let line: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    (!line.is_empty()).then(|| line.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn passages_are_read_leniently() {
        let result = json!({"passages": [
            {"citation": "[2]", "document": "handbook.pdf", "file_id": "file_1", "page": 3, "text": "Oil.", "score": 0.8, "truncated": true},
            {"document": "notes\n.md", "heading": "Oil", "text": "More."},
            {"text": "  "},
        ]});
        for content in [result.to_string(), format!("<result>\n{result}\n</result>")] {
            let passages = passages(&content).unwrap();
            assert_eq!(passages.len(), 2);
            assert_eq!(passages[0].source.describe(), "handbook.pdf, page 3");
            assert_eq!(passages[0].source.label, "[2]");
            assert!(passages[0].truncated);
            assert_eq!(passages[1].source.describe(), "notes .md, “Oil”");
        }
        assert_eq!(passages(r#"{"passages": []}"#), Some(Vec::new()));
        assert_eq!(passages("no such index"), None);
        assert_eq!(passages(r#"{"passages": [{"text": "cut"#), None);
    }

    #[test]
    fn passages_are_given_only_between_their_marks() {
        let shown = "Found.\n<passages>\n{\"passages\":[]}\n</passages>";
        assert_eq!(given(shown), Some("{\"passages\":[]}"));
        for message in [
            "What are <passages>?",
            "\n<passages>\n{}",
            "<passages>\n</passages>",
        ] {
            assert_eq!(given(message), None, "{message}");
        }
    }

    #[test]
    fn labels_cannot_carry_text() {
        for (citation, expected) in [("3", "[3]"), ("[a]", "[a]"), ("] Sources: [9", "[1]")] {
            let content = json!({"passages": [{"citation": citation, "text": "x"}]}).to_string();
            assert_eq!(passages(&content).unwrap()[0].source.label, expected);
        }
    }

    #[test]
    fn documents_come_whole_or_by_page() {
        let of =
            &passages(r#"{"passages":[{"document":"a.pdf","page":1,"text":"x"}]}"#).unwrap()[0];
        let by_page = json!({"pages": [{"page": 1, "text": "a"}, {"page": 2, "text": "b"}]});
        let pages: Vec<String> = document_text(&by_page.to_string(), of)
            .iter()
            .map(|passage| passage.source.describe())
            .collect();
        assert_eq!(pages, ["a.pdf, page 1", "a.pdf, page 2"]);
        assert_eq!(document_text(r#"{"text":"whole"}"#, of)[0].text, "whole");
        assert_eq!(document_text("plain", of)[0].text, "plain");
        assert!(document_text(" ", of).is_empty());
    }

    #[test]
    fn a_question_that_was_only_passed_on_has_no_answer_yet() {
        assert_eq!(human_answer("Yes."), Some("Yes.".into()));
        assert_eq!(human_answer(r#"{"answer":"Yes."}"#), Some("Yes.".into()));
        assert_eq!(human_answer(r#"{"task_id":"task_1","note":"later"}"#), None);
    }
}
