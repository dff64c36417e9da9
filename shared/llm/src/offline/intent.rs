//! What a person asks for: questions to answer, and things to do.
//!
//! Only the person's own message is read in here. What documents and tools say never is.

use super::text::{is_stop_word, sentences, words};

/// The most questions that one message is split into, and so the most searches in one turn.
const MAX_QUESTIONS: usize = 4;

/// A message, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intent {
    /// What to look up.
    pub questions: Vec<Question>,
    /// What to do, in the order of the message.
    pub orders: Vec<Order>,
}

/// One thing to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// As the person put it.
    pub text: String,
    /// What to search for: the question, with its subject where it only says "it".
    pub query: String,
}

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

const INTERROGATIVES: &[&str] = &[
    "what", "which", "who", "whom", "whose", "when", "where", "why", "how",
];
const AUXILIARIES: &[&str] = &[
    "is", "are", "was", "were", "do", "does", "did", "can", "could", "should", "must", "may",
    "will", "has", "have",
];
const REQUESTS: &[&str] = &[
    "find",
    "tell",
    "list",
    "show",
    "give",
    "explain",
    "describe",
    "summarise",
    "summarize",
    "look",
    "search",
    "say",
    "state",
    "name",
    "report",
    "compare",
    "answer",
    "check",
    "determine",
];
const PRONOUNS: &[&str] = &[
    "it", "its", "they", "them", "their", "this", "that", "these", "those",
];
const PEOPLE: &[&str] = &[
    "human",
    "person",
    "someone",
    "somebody",
    "operator",
    "manager",
    "supervisor",
    "colleague",
    "expert",
    "team",
    "approver",
    "people",
    "engineer",
    "user",
];

/// Reads a message. `earlier` is what the person said before it, for words like "it".
pub(super) fn read(message: &str, earlier: Option<&str>) -> Intent {
    let mut intent = Intent::default();
    let mut rest: Vec<String> = Vec::new();
    for line in joined_lines(message) {
        for sentence in sentences(&line) {
            for clause in clauses(&sentence) {
                match order(&clause) {
                    Some(order) => intent.orders.push(order),
                    None => rest.push(clause),
                }
            }
        }
    }
    intent.questions = questions(&rest, earlier);
    if intent.questions.is_empty() {
        // Without a question there is no answer to wait for: take the words as they are.
        for order in &mut intent.orders {
            order.settle(message);
        }
    }
    intent
}

/// The lines of a message, with those joined that only the width of a page had split.
fn joined_lines(message: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in message.lines().map(str::trim) {
        match lines.last_mut() {
            Some(last)
                if last.ends_with(|c: char| c.is_alphanumeric() || c == ',')
                    && line.starts_with(char::is_lowercase) =>
            {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

impl Order {
    fn settle(&mut self, message: &str) {
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
fn clauses(sentence: &str) -> Vec<String> {
    const CONNECTORS: [&str; 7] = [
        ", and then ",
        ", then ",
        " and then ",
        " then ",
        ", and ",
        " and ",
        ", ",
    ];
    let lower = sentence.to_lowercase();
    // Lower case may change the length of a text in rare scripts; then it is one clause.
    if lower.len() != sentence.len() {
        return vec![sentence.to_owned()];
    }
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
fn order(clause: &str) -> Option<Order> {
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
    if is_question && (INTERROGATIVES.contains(&first.as_str()) || first == "if") {
        return None;
    }
    Some(Order::Remember(subject(content)))
}

fn create_task(clause: &str) -> Option<Order> {
    let lower = clause.to_lowercase();
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
    let person = words
        .iter()
        .position(|word| PEOPLE.contains(&word.as_str()));
    if person.is_none() && !asks_approval {
        return None;
    }
    if matches!(verb, "get" | "request" | "seek") && !asks_approval {
        return None;
    }
    // What is left without the verb and the person is the question.
    let remainder = remainder_after_person(clause, verb);
    let about_answer = matches!(verb, "confirm" | "check" | "verify") || asks_approval;
    Some(Order::AskHuman {
        question: subject(&remainder),
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
        if PEOPLE.contains(&bare) && !seen_person {
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

fn questions(clauses: &[String], earlier: Option<&str>) -> Vec<Question> {
    let asked: Vec<&String> = clauses.iter().filter(|clause| is_asking(clause)).collect();
    // Beside a question, statements are only its setting.
    let chosen: Vec<&String> = match asked.is_empty() {
        true => clauses.iter().collect(),
        false => asked,
    };
    let mut parts: Vec<String> = if chosen.iter().any(|clause| is_asking(clause)) {
        chosen.iter().flat_map(|clause| parts(clause)).collect()
    } else {
        let whole: Vec<&str> = chosen.iter().map(|clause| clause.as_str()).collect();
        vec![whole.join(" ")]
    };
    parts.retain(|part| !content(part).is_empty() || has_pronoun(part));
    parts.truncate(MAX_QUESTIONS);

    let mut topic = earlier.map(content).unwrap_or_default();
    let mut questions: Vec<Question> = Vec::new();
    for part in parts {
        let text = trim_start(&part).to_owned();
        let own = content(&text);
        let needs_topic = has_pronoun(&text) || own.len() < 2;
        let missing: Vec<String> = topic
            .iter()
            .filter(|word| needs_topic && !own.contains(word))
            .cloned()
            .collect();
        let query = match missing.is_empty() {
            true => text.clone(),
            false => format!("{text} ({})", missing.join(" ")),
        };
        if !own.is_empty() || !missing.is_empty() {
            topic = match needs_topic {
                true => topic,
                false => own,
            };
            if !questions.iter().any(|question| question.query == query) {
                questions.push(Question { text, query });
            }
        }
    }
    questions
}

/// "How often …, and where …?" asks twice.
fn parts(clause: &str) -> Vec<String> {
    let lower = clause.to_lowercase();
    if lower.len() != clause.len() {
        return vec![clause.to_owned()];
    }
    let is_question = clause.trim_end().ends_with('?');
    let mut parts = Vec::new();
    let mut start = 0;
    for (position, _) in lower.char_indices() {
        if position < start {
            continue;
        }
        let Some(connector) = [", and ", "; ", " and ", ", "]
            .iter()
            .find(|connector| lower[position..].starts_with(**connector))
        else {
            continue;
        };
        let next = position + connector.len();
        let first = words(&lower[next..]).into_iter().next().unwrap_or_default();
        let begins = INTERROGATIVES.contains(&first.as_str())
            || (is_question && AUXILIARIES.contains(&first.as_str()));
        let before = &lower[start..position];
        let left_asks = words(before)
            .iter()
            .any(|word| INTERROGATIVES.contains(&word.as_str()))
            || is_asking(before);
        if begins && left_asks && !content(before).is_empty() {
            parts.push(clause[start..position].to_owned());
            start = next;
        }
    }
    parts.push(clause[start..].to_owned());
    parts
}

fn is_asking(clause: &str) -> bool {
    let clause = strip_politeness(clause.trim());
    let first = words(clause).into_iter().next().unwrap_or_default();
    clause.ends_with('?')
        || INTERROGATIVES.contains(&first.as_str())
        || REQUESTS.contains(&first.as_str())
}

/// The words of a text that carry its subject.
pub(super) fn content(text: &str) -> Vec<String> {
    const GREETINGS: &[&str] = &["hello", "hi", "hey", "thanks", "thank", "ok", "okay", "bye"];
    words(text)
        .into_iter()
        .filter(|word| !is_stop_word(word) && !GREETINGS.contains(&word.as_str()))
        .collect()
}

fn has_pronoun(text: &str) -> bool {
    words(text)
        .iter()
        .any(|word| PRONOUNS.contains(&word.as_str()))
}

fn strip_politeness(clause: &str) -> &str {
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

fn trim(text: &str) -> &str {
    trim_start(text).trim_end_matches(['.', '!', '?', ',', ';', ' ', '"', '”', '\''])
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([':', ',', ';', ' ', '"', '“', '\'', '-'])
        .trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(message: &str) -> Vec<String> {
        read(message, None)
            .questions
            .into_iter()
            .map(|question| question.query)
            .collect()
    }

    fn given(text: &str) -> Subject {
        Subject::Given(text.to_owned())
    }

    #[test]
    fn one_question_stays_one() {
        for question in [
            "How many hours between gearbox oil changes?",
            "Which oil and which filter does the gearbox need?",
            "What are the rules for bread and butter?",
        ] {
            let found = queries(question);
            assert_eq!(found[0].split(' ').next(), question.split(' ').next());
            assert!(found.len() <= 2, "{found:?}");
        }
        assert_eq!(
            queries("I am new here. How many hours between gearbox oil changes?"),
            ["How many hours between gearbox oil changes?"]
        );
        assert_eq!(
            queries("Task: gearbox\n\nHow many hours between\ngearbox oil changes?"),
            ["How many hours between gearbox oil changes?"]
        );
        assert_eq!(
            queries("Maintenance interval of the gearbox"),
            ["Maintenance interval of the gearbox"]
        );
    }

    #[test]
    fn questions_with_two_parts_are_split() {
        assert_eq!(
            queries("How often is the gearbox oil changed, and which grade does the pump need?"),
            [
                "How often is the gearbox oil changed",
                "which grade does the pump need?"
            ]
        );
        assert_eq!(
            queries("Find out how often the filter is cleaned and who approves a shutdown."),
            [
                "Find out how often the filter is cleaned",
                "who approves a shutdown."
            ]
        );
        assert_eq!(
            queries("Where is the main valve? When was it replaced?"),
            [
                "Where is the main valve?",
                "When was it replaced? (main valve)"
            ]
        );
    }

    #[test]
    fn it_refers_to_what_was_said_before() {
        let intent = read("And how heavy is it?", Some("Where is the spare gearbox?"));
        assert_eq!(
            intent.questions[0].query,
            "And how heavy is it? (spare gearbox)"
        );
        assert!(read("hello", None).questions.is_empty());
        assert!(read("Thanks!", None).questions.is_empty());
    }

    #[test]
    fn orders_are_told_from_questions() {
        let intent = read(
            "Please remember that the gearbox was serviced on 3 May.",
            None,
        );
        assert!(intent.questions.is_empty());
        assert_eq!(
            intent.orders,
            [Order::Remember(given("the gearbox was serviced on 3 May"))]
        );

        let intent = read(
            "Create a follow-up task to inspect the seal and ask a human which depot to use.",
            None,
        );
        assert_eq!(
            intent.orders,
            [
                Order::CreateTask(given("inspect the seal")),
                Order::AskHuman {
                    question: given("which depot to use"),
                    about_answer: false,
                },
            ]
        );

        for question in [
            "How do I create a task?",
            "Do you remember when the pump was replaced?",
            "Can you remember what the limit is?",
            "What must I add to the oil?",
            "Check the oil level limits.",
            "Make a list of everything that the next maintenance task needs.",
        ] {
            let intent = read(question, None);
            assert_eq!(intent.orders, [], "{question}");
            assert_eq!(intent.questions.len(), 1, "{question}");
        }
    }

    #[test]
    fn orders_may_wait_for_the_answer() {
        let intent = read(
            "Find the gearbox oil interval, remember it, and confirm it with a human.",
            None,
        );
        assert_eq!(intent.questions.len(), 1);
        assert!(intent.orders.iter().all(Order::needs_answer), "{intent:?}");
        assert_eq!(intent.orders.len(), 2);

        let intent = read("Get approval from the manager to stop the line.", None);
        assert_eq!(
            intent.orders,
            [Order::AskHuman {
                question: given("stop the line"),
                about_answer: false,
            }]
        );
    }
}
