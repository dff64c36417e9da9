//! Deciding what to do next, from the conversation as it stands.
//!
//! Nothing is remembered between calls: the conversation says which searches were made, what
//! they found and which orders were carried out, so a run that is taken over by another worker
//! goes on exactly where it was.

use serde_json::{Map, Value, json};

use super::Reply;
use super::answer::{self, Nothing, Written};
use super::evidence::{self, Passage};
use super::intent::{self, Intent, Question};
use super::orders::Order;
use super::perform;
use super::rank::{Finding, Pool};
use super::schema::{self, Hint};
use crate::chat::{Arguments, ChatRequest, Message, ToolCall, ToolSpec};

const SEARCH: &str = "search_knowledge";
const READ: &str = "read_document";

/// The most documents to read on in one turn.
const MAX_READS: usize = 3;

/// A call of this turn with what came of it.
pub(super) struct Exchange<'a> {
    pub call: &'a ToolCall,
    pub result: Option<ToolOutcome<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct ToolOutcome<'a> {
    pub content: &'a str,
    pub is_error: bool,
}

/// The turn so far.
pub(super) struct Turn<'a> {
    pub request: &'a ChatRequest,
    pub message: &'a str,
    pub intent: Intent,
    /// What was found for the message before it was put.
    given: Vec<&'a str>,
    pub exchanges: Vec<Exchange<'a>>,
    /// Calls in the whole conversation, so that ids stay unique in it.
    calls_before: usize,
}

/// The next reply.
pub(super) fn next(request: &ChatRequest) -> Reply {
    let turn = Turn::read(request);
    let first = turn.first_calls();
    if !first.is_empty() {
        return turn.call(first);
    }
    let evidence = turn.evidence();
    let reads = turn.reads(&evidence);
    if !reads.is_empty() {
        return turn.call(reads);
    }
    let (findings, written) = turn.answer(&evidence);
    let pending = turn.waiting_orders(&findings, &evidence);
    if !pending.is_empty() {
        return turn.call(pending);
    }
    turn.finish(&written)
}

impl<'a> Turn<'a> {
    fn read(request: &'a ChatRequest) -> Self {
        let said: Vec<(usize, &str)> = request
            .messages
            .iter()
            .enumerate()
            .filter_map(|(position, message)| match message {
                Message::User { text } if evidence::given(text).is_none() => {
                    Some((position, text.as_str()))
                }
                _ => None,
            })
            .collect();
        let (start, message) = said.last().copied().unwrap_or((0, ""));
        // It stands right before the message that it is for.
        let given = request.messages[..start]
            .iter()
            .rev()
            .map_while(|message| match message {
                Message::User { text } => evidence::given(text),
                _ => None,
            })
            .collect();
        let earlier = said.iter().rev().nth(1).map(|(_, text)| *text);
        let results: Vec<(&str, ToolOutcome<'_>)> = request.messages[start..]
            .iter()
            .filter_map(|message| match message {
                Message::ToolResult {
                    call_id,
                    content,
                    is_error,
                    ..
                } => Some((
                    call_id.as_str(),
                    ToolOutcome {
                        content,
                        is_error: *is_error,
                    },
                )),
                _ => None,
            })
            .collect();
        let calls_of = |messages: &'a [Message]| -> Vec<&'a ToolCall> {
            messages
                .iter()
                .filter_map(|message| match message {
                    Message::Assistant { tool_calls, .. } => Some(tool_calls),
                    _ => None,
                })
                .flatten()
                .collect()
        };
        let exchanges = calls_of(&request.messages[start..])
            .into_iter()
            .map(|call| Exchange {
                call,
                result: results
                    .iter()
                    .find(|(id, _)| *id == call.id)
                    .map(|(_, outcome)| *outcome),
            })
            .collect();
        Self {
            request,
            message,
            intent: intent::read(message, earlier),
            given,
            exchanges,
            calls_before: calls_of(&request.messages).len(),
        }
    }

    pub(super) fn tool(&self, name: &str) -> Option<&'a ToolSpec> {
        self.request.tools.iter().find(|tool| tool.name == name)
    }

    pub(super) fn made(&self, name: &str) -> impl Iterator<Item = &Exchange<'a>> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.call.name == name)
    }

    fn call(&self, calls: Vec<(&str, Map<String, Value>)>) -> Reply {
        Reply {
            calls: calls
                .into_iter()
                .enumerate()
                .map(|(position, (name, arguments))| ToolCall {
                    id: format!("call_{}", self.calls_before + position + 1),
                    name: name.to_owned(),
                    arguments: Arguments::Json(arguments),
                })
                .collect(),
            ..Reply::default()
        }
    }

    /// Searches, and orders that wait for nothing.
    fn first_calls(&self) -> Vec<(&'static str, Map<String, Value>)> {
        let mut calls = Vec::new();
        if let Some(tool) = self.tool(SEARCH)
            && self.made(SEARCH).next().is_none()
        {
            for question in &self.intent.questions {
                let hints = [Hint::main(
                    &["query", "q", "question", "search", "text", "input", "terms"],
                    &question.query(),
                )];
                let arguments = schema::arguments(&tool.parameters, &hints, &question.query());
                calls.push((SEARCH, arguments));
            }
        }
        calls.extend(self.orders(|order| !order.needs_answer(), ""));
        calls
    }

    /// The passages that the searches and readings of this turn brought, each once.
    fn evidence(&self) -> Vec<Passage> {
        let given = self.given.iter().copied();
        let mut passages: Vec<Passage> = given.filter_map(evidence::passages).flatten().collect();
        for name in [SEARCH, READ] {
            for exchange in self.made(name) {
                let Some(outcome) = exchange.result.filter(|outcome| !outcome.is_error) else {
                    continue;
                };
                let brought = evidence::passages(outcome.content)
                    .or_else(|| {
                        // Bare text continues the passage that it was asked for.
                        let mut cut = passages.iter().filter(|passage| passage.truncated);
                        let of = cut.find(|passage| continues(exchange.call, passage))?;
                        Some(evidence::document_text(outcome.content, of))
                    })
                    .unwrap_or_default();
                for passage in brought {
                    let known = passages.iter().any(|other| {
                        other.source.same_place(&passage.source) && other.text == passage.text
                    });
                    if !known {
                        passages.push(passage);
                    }
                }
            }
        }
        passages
    }

    /// Readings of documents whose best passage was cut short.
    fn reads(&self, passages: &[Passage]) -> Vec<(&'static str, Map<String, Value>)> {
        let Some(tool) = self.tool(READ) else {
            return Vec::new();
        };
        if self.made(READ).next().is_some() {
            return Vec::new();
        }
        let pool = Pool::new(passages);
        let mut calls: Vec<(&'static str, Map<String, Value>)> = Vec::new();
        for question in &self.intent.questions {
            let best = pool.best_passage(question).map(|at| &passages[at]);
            let Some(passage) = best.filter(|passage| passage.truncated) else {
                continue;
            };
            let arguments = read_arguments(tool, passage);
            if calls.len() < MAX_READS && !calls.iter().any(|(_, other)| *other == arguments) {
                calls.push((READ, arguments));
            }
        }
        calls
    }

    fn answer(&self, passages: &[Passage]) -> (Vec<Finding>, Written) {
        let pool = Pool::new(passages);
        let questions: &[Question] = &self.intent.questions;
        let findings: Vec<Finding> = questions
            .iter()
            .map(|question| pool.find(question))
            .collect();
        let mut searches = self.made(SEARCH).peekable();
        let nothing = if searches.peek().is_none() && !self.given.is_empty() {
            Nothing::Found
        } else if searches.peek().is_none() {
            Nothing::Searchable
        } else if searches.all(|search| search.result.is_none_or(|outcome| outcome.is_error)) {
            Nothing::Failed
        } else {
            Nothing::Found
        };
        let written = answer::write(questions, &findings, passages, nothing);
        (findings, written)
    }

    fn waiting_orders(
        &self,
        findings: &[Finding],
        passages: &[Passage],
    ) -> Vec<(&'static str, Map<String, Value>)> {
        let answer = perform::plain_answer(findings, passages);
        // There is nothing to keep without an answer; a person or a task may still bring one.
        let sensible = |order: &Order| !answer.is_empty() || !matches!(order, Order::Remember(_));
        self.orders(|order| order.needs_answer() && sensible(order), &answer)
    }

    /// The calls for those orders that were not made yet. Calls are counted rather than
    /// compared: a person may have changed the arguments of one before approving it, and that
    /// must not look like an order that is still open.
    fn orders(
        &self,
        wanted: impl Fn(&Order) -> bool,
        answer: &str,
    ) -> Vec<(&'static str, Map<String, Value>)> {
        let mut in_sequence: Vec<&Order> = self.intent.orders.iter().collect();
        in_sequence.sort_by_key(|order| order.needs_answer());
        in_sequence
            .iter()
            .enumerate()
            .filter(|(_, order)| wanted(order))
            .filter_map(|(position, order)| {
                let tool = self.tool(order.tool())?;
                let before = in_sequence[..position]
                    .iter()
                    .filter(|other| other.tool() == order.tool())
                    .count();
                let open = self.made(order.tool()).count() <= before;
                open.then(|| (order.tool(), self.order_arguments(order, tool, answer)))
            })
            .collect()
    }

    fn finish(&self, written: &Written) -> Reply {
        let mut parts = vec![written.text.clone()];
        parts.extend(
            self.intent
                .orders
                .iter()
                .filter_map(|order| self.report(order)),
        );
        if parts.iter().all(String::is_empty) {
            parts.push(self.introduction());
        }
        let Some(format) = &self.request.response_format else {
            return Reply {
                text: answer::reply(&parts, &written.sources),
                ..Reply::default()
            };
        };
        let answer = answer::reply(&parts, &[]);
        let document = schema::document(&format.schema, &answer, &written.sources);
        Reply {
            made_up: !schema::says(&document, &answer),
            text: document.to_string(),
            ..Reply::default()
        }
    }

    fn introduction(&self) -> String {
        match self.tool(SEARCH) {
            Some(_) => "Ask me something that your documents may answer, and I will look for the sentences that do.".to_owned(),
            None => "I have no documents to search, and without them I know nothing.".to_owned(),
        }
    }
}

/// The arguments to read on in a passage's document: whatever identifiers the search returned
/// under the names that the tool uses.
fn read_arguments(tool: &ToolSpec, passage: &Passage) -> Map<String, Value> {
    let mut hints: Vec<Hint<'_>> = Vec::new();
    let identifier = ["file_id", "document_id", "id"]
        .iter()
        .find_map(|key| passage.raw[*key].as_str())
        .unwrap_or(&passage.source.document);
    hints.push(Hint::main(
        &["file_id", "document_id", "file", "id", "document"],
        identifier,
    ));
    if let Some(page) = &passage.source.page {
        hints.push(Hint::extra(&["page", "page_number"], json!(page)));
    }
    let mut arguments = schema::arguments(&tool.parameters, &hints, identifier);
    let properties = tool.parameters["properties"].as_object();
    for (name, value) in passage.raw.as_object().into_iter().flatten() {
        let wanted = properties.is_some_and(|properties| properties.contains_key(name));
        // Copying more than identifiers would pass a document's words off as ours.
        if wanted && name.ends_with("_id") {
            arguments.insert(name.clone(), value.clone());
        }
    }
    arguments
}

fn continues(call: &ToolCall, passage: &Passage) -> bool {
    let Some(arguments) = call.arguments.as_json() else {
        return false;
    };
    let file = ["file_id", "document_id", "id"]
        .iter()
        .find_map(|key| passage.raw[*key].as_str())
        .unwrap_or(&passage.source.document);
    arguments.values().any(|value| value.as_str() == Some(file))
}
