//! Carrying out orders: the arguments of their calls, and what to say about them.

use serde_json::{Map, Value, json};

use super::answer;
use super::evidence::{self, Passage};
use super::orders::{Order, Subject};
use super::rank::{Finding, with_end};
use super::schema::{self, Hint};
use super::turn::{ToolOutcome, Turn};
use crate::chat::ToolSpec;

/// The most characters of a tool's complaint to repeat.
const MAX_REASON_CHARS: usize = 200;

impl Turn<'_> {
    /// The arguments of the call that carries an order out.
    pub(super) fn order_arguments(
        &self,
        order: &Order,
        tool: &ToolSpec,
        answer: &str,
    ) -> Map<String, Value> {
        let asked = self
            .intent
            .questions
            .first()
            .map_or(self.message, |question| question.text.as_str());
        let words = |subject: &Subject| match subject {
            Subject::Given(text) => text.clone(),
            Subject::TheAnswer => answer.to_owned(),
        };
        match order {
            Order::Remember(subject) => {
                let hints = [
                    Hint::main(
                        &[
                            "content",
                            "text",
                            "fact",
                            "memory",
                            "value",
                            "note",
                            "statement",
                        ],
                        &words(subject),
                    ),
                    Hint::extra(&["kind", "type"], json!("fact")),
                ];
                schema::arguments(&tool.parameters, &hints, &words(subject))
            }
            Order::CreateTask(subject) => {
                let (title, details) = match subject {
                    Subject::Given(title) => (title.as_str(), self.message),
                    Subject::TheAnswer => (asked, answer),
                };
                let hints = [
                    Hint::main(&["title", "name", "task", "summary", "subject"], title),
                    Hint::extra(
                        &["description", "details", "body", "instructions", "notes"],
                        json!(details),
                    ),
                ];
                schema::arguments(&tool.parameters, &hints, title)
            }
            Order::AskHuman {
                question,
                about_answer,
            } => {
                let mut ask = match question {
                    Subject::Given(text) => capitalised(text),
                    Subject::TheAnswer => format!("Is this right? {asked}"),
                };
                if *about_answer && !answer.is_empty() {
                    ask = format!("{} The documents say: {answer}", ended(&ask));
                }
                let hints = [Hint::main(
                    &["question", "prompt", "message", "text", "ask"],
                    &ended(&ask),
                )];
                schema::arguments(&tool.parameters, &hints, &ask)
            }
        }
    }

    /// What came of an order, in a sentence.
    pub(super) fn report(&self, order: &Order) -> Option<String> {
        let what = match order {
            Order::Remember(_) => "remember something",
            Order::CreateTask(_) => "create a task",
            Order::AskHuman { .. } => "ask a person",
        };
        if self.tool(order.tool()).is_none() {
            return Some(format!(
                "I was asked to {what}, but I have no tool for it (`{}`).",
                order.tool()
            ));
        }
        // Orders of one tool are reported together, with the first of them.
        let same_tool = |other: &&Order| other.tool() == order.tool();
        if self.intent.orders.iter().find(same_tool) != Some(order) {
            return None;
        }
        let outcomes: Vec<ToolOutcome<'_>> = self
            .made(order.tool())
            .filter_map(|exchange| exchange.result)
            .collect();
        let reports: Vec<String> = outcomes
            .iter()
            .map(|outcome| {
                if outcome.is_error {
                    let reason = answer::quotable(outcome.content);
                    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
                    return format!("I could not {what}: {reason}");
                }
                match order {
                    Order::Remember(_) => "I have remembered it.".to_owned(),
                    Order::CreateTask(_) => "I have created the task.".to_owned(),
                    Order::AskHuman { .. } => match evidence::human_answer(outcome.content) {
                        Some(said) => format!("A person answered: “{}”", answer::quotable(&said)),
                        None => "I have passed the question on to a person.".to_owned(),
                    },
                }
            })
            .collect();
        if reports.is_empty() && matches!(order, Order::Remember(_)) && order.needs_answer() {
            return Some("I have remembered nothing, since I found no answer.".to_owned());
        }
        (!reports.is_empty()).then(|| reports.join("\n"))
    }
}

/// The answers without marks, for tools; empty when there is none.
pub(super) fn plain_answer(findings: &[Finding], passages: &[Passage]) -> String {
    let quotes: Vec<String> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Answer(quotes) => quotes.first(),
            Finding::Closest(_) | Finding::Nothing => None,
        })
        .map(|quote| {
            let text = with_end(&answer::quotable(&quote.text));
            match quote.passages.first() {
                Some(at) => {
                    let source = passages[*at].source.describe();
                    format!("{text} ({})", answer::quotable(&source))
                }
                None => text,
            }
        })
        .collect();
    quotes.join(" ")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

/// A question with its mark.
fn ended(text: &str) -> String {
    match text.ends_with(['?', '.', '!', ')']) {
        true => text.to_owned(),
        false => format!("{text}?"),
    }
}
