//! What a person asks for: questions to answer, and things to do.
//!
//! Only the person's own message is read in here. What documents and tools say never is.

use super::lexicon::{
    AUXILIARIES, GREETINGS, INTERROGATIVES, PRONOUNS, REQUESTS, is_stop_word, one_of,
};
use super::orders::{Order, clauses, order, strip_politeness, trim_start};
use super::text::words;
use super::units::sentences;

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
    /// What the talk was about before, where the question only says "it".
    pub topic: Vec<String>,
}

impl Question {
    /// What to search for.
    pub fn query(&self) -> String {
        match self.topic.is_empty() {
            true => self.text.clone(),
            false => format!("{} ({})", self.text, self.topic.join(" ")),
        }
    }
}

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
        if own.is_empty() && missing.is_empty() {
            continue;
        }
        if !needs_topic || topic.is_empty() {
            topic = own;
        }
        let question = Question {
            text,
            topic: missing,
        };
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    questions
}

/// "How often …, and where …?" asks twice.
fn parts(clause: &str) -> Vec<String> {
    // ASCII only: positions in it are positions in the clause.
    let lower = clause.to_ascii_lowercase();
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
        let begins = one_of(INTERROGATIVES, &first) || (is_question && one_of(AUXILIARIES, &first));
        let before = &lower[start..position];
        let left_asks = words(before)
            .iter()
            .any(|word| one_of(INTERROGATIVES, word))
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
    clause.ends_with('?') || one_of(INTERROGATIVES, &first) || one_of(REQUESTS, &first)
}

/// The words of a text that carry its subject.
pub(super) fn content(text: &str) -> Vec<String> {
    words(text)
        .into_iter()
        .filter(|word| !is_stop_word(word) && !one_of(GREETINGS, word))
        .collect()
}

fn has_pronoun(text: &str) -> bool {
    words(text).iter().any(|word| one_of(PRONOUNS, word))
}

#[cfg(test)]
mod tests {
    use super::super::orders::Subject;
    use super::*;

    fn queries(message: &str) -> Vec<String> {
        read(message, None)
            .questions
            .into_iter()
            .map(|question| question.query())
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
            intent.questions[0].query(),
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
