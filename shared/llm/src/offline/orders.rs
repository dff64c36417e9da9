//! Reading orders: "remember …", "create a task …", "ask a human …".

use super::lexicon::{INTERROGATIVES, PEOPLE, one_of};
use super::text::words;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Keep something in memory.
    Remember(Subject),
    /// Make a task with this title.
    CreateTask(Subject),
    /// Ask a person.
    AskHuman {
        /// What to ask.
        question: Subject,
        /// Whether the person is to judge the answer that was found.
        about_answer: bool,
    },
}

/// What an order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Words of the message.
    Given(String),
    /// Whatever the answer turns out to be.
    TheAnswer,
}

impl Order {
    /// The tool that carries the order out.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::Remember(_) => "remember",
            Self::CreateTask(_) => "create_task",
            Self::AskHuman { .. } => "ask_human",
        }
    }

    /// Whether it has to wait until the questions are answered.
    pub fn needs_answer(&self) -> bool {
        match self {
            Self::Remember(subject) | Self::CreateTask(subject) => *subject == Subject::TheAnswer,
            Self::AskHuman {
                question,
                about_answer,
            } => *about_answer || *question == Subject::TheAnswer,
        }
    }
}

impl Order {
    /// Puts the words of the message in the place of an answer that will not come.
    pub fn settle(&mut self, message: &str) {
        let whole = || Subject::Given(message.split_whitespace().collect::<Vec<_>>().join(" "));
        match self {
            Self::Remember(subject) | Self::CreateTask(subject) => {
                if *subject == Subject::TheAnswer {
                    *subject = whole();
                }
            }
            Self::AskHuman {
                question,
                about_answer,
            } => {
                *about_answer = false;
                if *question == Subject::TheAnswer {
                    *question = whole();
                }
            }
        }
    }
}

/// Splits a sentence where an order begins: "find X and remember it".
pub(super) fn clauses(sentence: &str) -> Vec<String> {
    const CONNECTORS: [&str; 7] = [
        ", and then ",
        ", then ",
        " and then ",
        " then ",
        ", and ",
        " and ",
        ", ",
    ];
    // ASCII only: positions in it are positions in the sentence.
    let lower = sentence.to_ascii_lowercase();
    let cut = lower
        .char_indices()
        .filter_map(|(position, _)| {
            let connector = CONNECTORS
                .iter()
                .find(|connector| lower[position..].starts_with(**connector))?;
            let next = position + connector.len();
            order(&sentence[next..])
                .is_some()
                .then_some((position, next))
        })
        .next();
    match cut {
        Some((end, next)) => {
            let mut clauses = vec![sentence[..end].to_owned()];
            clauses.extend(self::clauses(&sentence[next..]));
            clauses
        }
        None => vec![sentence.to_owned()],
    }
}

/// Reads a clause as an order, if it is one.
pub(super) fn order(clause: &str) -> Option<Order> {
    let clause = strip_politeness(clause.trim());
    let is_question = clause.ends_with('?');
    let words = words(clause);
    let first = words.first()?.as_str();
    match first {
        "remember" | "memorise" | "memorize" | "note" | "keep" | "don" | "forget" => {
            remember(clause, is_question)
        }
        "create" | "add" | "open" | "make" | "file" | "raise" | "set" => create_task(clause),
        "ask" | "confirm" | "check" | "verify" | "consult" | "get" | "request" | "seek" => {
            ask_human(clause, first, &words)
        }
        _ => None,
    }
}

fn remember(clause: &str, is_question: bool) -> Option<Order> {
    let content = after_any(
        clause,
        &[
            "remember",
            "memorise",
            "memorize",
            "keep in mind",
            "note that",
            "don't forget",
        ],
    )?;
    let content = after_any(content, &["that", "this:", "the following:", ":"]).unwrap_or(content);
    let content = trim(content);
    let first = words(content).into_iter().next().unwrap_or_default();
    // "Do you remember when …?" asks; "remember: …" orders.
    if is_question && (one_of(INTERROGATIVES, &first) || first == "if") {
        return None;
    }
    Some(Order::Remember(subject(content)))
}

fn create_task(clause: &str) -> Option<Order> {
    let lower = clause.to_ascii_lowercase();
    let position = ["task", "to-do", "todo", "ticket", "reminder"]
        .iter()
        .filter_map(|noun| {
            let at = lower.find(noun)?;
            // "a follow-up task", but not "a list of everything that the task needs".
            (words(&lower[..at]).len() <= 5).then_some(at + noun.len())
        })
        .min()?;
    let title = clause.get(position..)?;
    if !title.is_empty() && title.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let title = title.trim_start_matches([':', ',', ' ']);
    let title = after_any(
        title,
        &[
            "to",
            "for",
            "called",
            "titled",
            "named",
            "that says",
            "about",
        ],
    )
    .unwrap_or(title);
    Some(Order::CreateTask(subject(trim(title))))
}

fn ask_human(clause: &str, verb: &str, words: &[String]) -> Option<Order> {
    let asks_approval = words
        .iter()
        .any(|word| word.starts_with("approv") || word == "confirmation");
    let person = words.iter().position(|word| one_of(PEOPLE, word));
    if person.is_none() && !asks_approval {
        return None;
    }
    if matches!(verb, "get" | "request" | "seek") && !asks_approval {
        return None;
    }
    // What is left without the verb and the person is the question.
    let remainder = remainder_after_person(clause, verb);
    // "Ask a human to confirm it" is "confirm it with a human".
    let judged = after_any(
        &remainder,
        &["confirm", "check", "verify", "approve", "review"],
    );
    let about_answer =
        matches!(verb, "confirm" | "check" | "verify") || asks_approval || judged.is_some();
    Some(Order::AskHuman {
        question: subject(judged.unwrap_or(&remainder)),
        about_answer,
    })
}

fn remainder_after_person(clause: &str, verb: &str) -> String {
    const SKIPPED: &[&str] = &[
        "a",
        "an",
        "the",
        "my",
        "our",
        "with",
        "from",
        "for",
        "to",
        "about",
        "of",
        "on",
        "that",
        "approval",
        "confirmation",
        "s",
    ];
    let mut kept: Vec<&str> = Vec::new();
    let mut seen_person = false;
    for word in clause.split_whitespace() {
        let bare = word
            .trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase();
        let bare = bare.split('\'').next().unwrap_or_default();
        let at_start = kept.is_empty();
        if one_of(PEOPLE, bare) && !seen_person {
            seen_person = true;
            // "with a manager": the words that led to the person go with him.
            while kept
                .last()
                .is_some_and(|word| SKIPPED.contains(&word.to_lowercase().as_str()))
            {
                kept.pop();
            }
        } else if at_start && (bare == verb || SKIPPED.contains(&bare)) {
            continue;
        } else {
            kept.push(word);
        }
    }
    trim(&kept.join(" ")).to_owned()
}

fn subject(text: &str) -> Subject {
    const THE_ANSWER: &[&str] = &[
        "",
        "it",
        "this",
        "that",
        "them",
        "the answer",
        "the result",
        "the results",
        "your answer",
        "this answer",
        "what you find",
        "what you found",
        "the finding",
        "the findings",
        "the value",
        "the answers",
    ];
    let text = trim(text);
    let lower = text.to_lowercase();
    let lower = lower.strip_prefix("if ").unwrap_or(&lower);
    let short_reference = lower.starts_with("the ") && words(lower).len() <= 4;
    match THE_ANSWER.contains(&lower) || short_reference {
        true => Subject::TheAnswer,
        false => Subject::Given(text.to_owned()),
    }
}

pub(super) fn strip_politeness(clause: &str) -> &str {
    const OPENINGS: &[&str] = &[
        "please",
        "then",
        "also",
        "finally",
        "and",
        "next",
        "afterwards",
        "kindly",
        "can you",
        "could you",
        "would you",
        "i want you to",
        "make sure to",
        "make sure you",
        "now",
        "first",
    ];
    let mut rest = clause.trim_start_matches([',', ' ']);
    while let Some(shorter) = after_any(rest, OPENINGS) {
        rest = shorter.trim_start_matches([',', ' ']);
    }
    rest
}

/// What follows the first of the phrases that the text begins with, as whole words.
fn after_any<'a>(text: &'a str, phrases: &[&str]) -> Option<&'a str> {
    phrases.iter().find_map(|phrase| {
        let head = text.get(..phrase.len())?;
        let rest = &text[phrase.len()..];
        let whole = phrase.ends_with(':') || !rest.starts_with(|c: char| c.is_alphanumeric());
        (head.eq_ignore_ascii_case(phrase) && whole).then(|| rest.trim_start())
    })
}

pub(super) fn trim(text: &str) -> &str {
    trim_start(text).trim_end_matches(['.', '!', '?', ',', ';', ' ', '"', '”', '\''])
}

pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches([':', ',', ';', ' ', '"', '“', '\'', '-'])
        .trim_end()
}
