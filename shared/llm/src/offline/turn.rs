//! Deciding what to do next, from the conversation as it stands.
//!
//! Nothing is remembered between calls: the conversation says which searches were made, what
//! they found and which orders were carried out, so a run that is taken over by another worker
//! goes on exactly where it was.

use serde_json::{Map, Value, json};

use super::Reply;
use super::answer::{self, Nothing, Written};
use super::evidence::{self, Passage};
use super::intent::{self, Intent, Order, Question, Subject};
use super::rank::{Finding, Pool};
use super::schema::{self, Hint};
use crate::chat::{Arguments, ChatRequest, Message, ToolCall, ToolSpec};

const SEARCH: &str = "search_knowledge";
const READ: &str = "read_document";

/// The most documents to read on in one turn.
const MAX_READS: usize = 3;

/// The most characters of a tool's complaint to repeat.
const MAX_REASON_CHARS: usize = 200;

/// A call of this turn with what came of it.
struct Exchange<'a> {
    call: &'a ToolCall,
    result: Option<ToolOutcome<'a>>,
}

#[derive(Clone, Copy)]
struct ToolOutcome<'a> {
    content: &'a str,
    is_error: bool,
}

/// The turn so far.
struct Turn<'a> {
    request: &'a ChatRequest,
    message: &'a str,
    intent: Intent,
    exchanges: Vec<Exchange<'a>>,
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
                Message::User { text } => Some((position, text.as_str())),
                _ => None,
            })
            .collect();
        let (start, message) = said.last().copied().unwrap_or((0, ""));
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
            exchanges,
            calls_before: calls_of(&request.messages).len(),
        }
    }

    fn tool(&self, name: &str) -> Option<&'a ToolSpec> {
        self.request.tools.iter().find(|tool| tool.name == name)
    }

    fn made(&self, name: &str) -> impl Iterator<Item = &Exchange<'a>> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.call.name == name)
    }

    fn call(&self, calls: Vec<(&str, Map<String, Value>)>) -> Reply {
        Reply {
            text: String::new(),
            calls: calls
                .into_iter()
                .enumerate()
                .map(|(position, (name, arguments))| ToolCall {
                    id: format!("call_{}", self.calls_before + position + 1),
                    name: name.to_owned(),
                    arguments: Arguments::Json(arguments),
                })
                .collect(),
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
                    &question.query,
                )];
                let arguments = schema::arguments(&tool.parameters, &hints, &question.query);
                calls.push((SEARCH, arguments));
            }
        }
        calls.extend(self.orders(|order| !order.needs_answer(), ""));
        calls
    }

    /// The passages that the searches and readings of this turn brought.
    fn evidence(&self) -> Vec<Passage> {
        let found = self.found();
        let mut passages = found.clone();
        for exchange in self.made(READ) {
            let Some(outcome) = exchange.result.filter(|outcome| !outcome.is_error) else {
                continue;
            };
            // The passage that the reading continues: the one that shares its identifiers.
            let of = found
                .iter()
                .filter(|passage| passage.truncated)
                .find(|passage| continues(exchange.call, passage));
            if let Some(of) = of {
                passages.extend(evidence::document_text(outcome.content, of));
            }
        }
        passages
    }

    fn found(&self) -> Vec<Passage> {
        let mut found: Vec<Passage> = Vec::new();
        for exchange in self.made(SEARCH) {
            let Some(outcome) = exchange.result.filter(|outcome| !outcome.is_error) else {
                continue;
            };
            for passage in evidence::passages(outcome.content).unwrap_or_default() {
                // Two searches often return the same passage.
                let known = found.iter().any(|other| {
                    other.source.same_place(&passage.source) && other.text == passage.text
                });
                if !known {
                    found.push(passage);
                }
            }
        }
        found
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
            let best = pool.best_passage(&question.query).map(|at| &passages[at]);
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
            .map(|question| pool.find(&question.query))
            .collect();
        let mut searches = self.made(SEARCH).peekable();
        let nothing = if searches.peek().is_none() {
            Nothing::Searchable
        } else if searches.all(|search| !search.result.is_some_and(|outcome| !outcome.is_error)) {
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
        let answer = plain_answer(findings, passages);
        self.orders(Order::needs_answer, &answer)
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

    fn order_arguments(&self, order: &Order, tool: &ToolSpec, answer: &str) -> Map<String, Value> {
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
        let text = match &self.request.response_format {
            Some(format) => {
                let answer = parts.iter().filter(|part| !part.is_empty()).cloned();
                let answer: Vec<String> = answer.chain([super::NOTICE.to_owned()]).collect();
                schema::document(&format.schema, &answer.join("\n\n"), &written.sources).to_string()
            }
            None => answer::reply(&parts, &written.sources),
        };
        Reply {
            text,
            calls: Vec::new(),
        }
    }

    /// What came of an order, in a sentence.
    fn report(&self, order: &Order) -> Option<String> {
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
                    Order::AskHuman { .. } => {
                        let said = answer::quotable(&evidence::human_answer(outcome.content));
                        format!("A person answered: “{said}”")
                    }
                }
            })
            .collect();
        (!reports.is_empty()).then(|| reports.join("\n"))
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

/// The answers without marks, for tools.
fn plain_answer(findings: &[Finding], passages: &[Passage]) -> String {
    let quotes: Vec<String> = findings
        .iter()
        .filter_map(|finding| finding.quotes().first())
        .map(|quote| {
            let source = quote
                .passages
                .first()
                .map(|at| passages[*at].source.describe());
            let text = super::rank::with_end(&answer::quotable(&quote.text));
            match source {
                Some(source) => format!("{text} ({})", answer::quotable(&source)),
                None => text,
            }
        })
        .collect();
    match quotes.is_empty() {
        true => "Nothing was found.".to_owned(),
        false => quotes.join(" "),
    }
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
