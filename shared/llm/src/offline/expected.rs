//! What kind of thing a question asks for, and whether a sentence holds it.

use std::collections::BTreeSet;

use super::lexicon::{one_of, same_meaning};
use super::text::{Token, stem, tokens, words};

/// The kind of thing that a question asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expected {
    /// No kind in particular.
    Anything,
    /// A number, followed by one of the units if there are any.
    Quantity(BTreeSet<String>),
    /// A length of time, or a rhythm.
    Duration,
    /// A point in time.
    Time,
    /// Somebody.
    Person,
    /// A cause or a purpose.
    Reason,
}

const TIME_UNITS: &str = "second sec minute min hour h hr day week month year shift quarter";
const RHYTHMS: &str = "hourly daily weekly monthly quarterly yearly annually annual once twice";
const MEASURES: &str = "temperature pressure torque voltage current weight mass speed capacity \
    volume price cost fee limit percentage length height width depth distance power size quantity \
    amount number dose rate";
const CALENDAR: &str = "january february march april may june july august september october \
    november december monday tuesday wednesday thursday friday saturday sunday noon midnight \
    before after until every am pm immediately";
const ROLES: &str = "manager engineer operator director officer team supervisor lead head \
    department staff technician by";
const REASONS: &str = "because since so therefore prevents avoid otherwise due protects";
const EXTENTS: &str =
    "much far heavy hot cold deep wide high tall fast big large thick warm strong";

impl Expected {
    /// What a question asks for.
    pub fn of(question: &str) -> Self {
        let words = words(question);
        let follows = |first: &str| {
            let at = words.iter().position(|word| word == first)?;
            words.get(at + 1).map(String::as_str)
        };
        match follows("how") {
            Some("many") => {
                let mut units = BTreeSet::new();
                if let Some(noun) = follows("many").map(stem) {
                    units.extend(same_meaning(&noun).iter().cloned());
                    units.insert(noun);
                }
                return Self::Quantity(units);
            }
            Some("long" | "often" | "frequently" | "soon" | "old") => return Self::Duration,
            Some(extent) if one_of(EXTENTS, extent) => return Self::Quantity(BTreeSet::new()),
            _ => {}
        }
        let asks = |any_of: &str| words.iter().any(|word| one_of(any_of, word));
        if asks("interval intervals frequency duration") {
            return Self::Duration;
        }
        if asks("when deadline") {
            return Self::Time;
        }
        if asks("who whom whose") {
            return Self::Person;
        }
        if asks("why") {
            return Self::Reason;
        }
        let measures = stems_of(MEASURES);
        let names_measure = words.iter().any(|word| measures.contains(&stem(word)));
        match asks("what which") && names_measure {
            true => Self::Quantity(BTreeSet::new()),
            false => Self::Anything,
        }
    }

    /// Whether a sentence holds such a thing.
    pub fn satisfied_by(&self, sentence: &str) -> bool {
        let words = words(sentence);
        let has = |list: &str| words.iter().any(|word| one_of(list, word));
        match self {
            Self::Anything => false,
            Self::Quantity(units) => has_quantity(sentence, units),
            Self::Duration => {
                let units = stems_of(TIME_UNITS);
                let rhythm = words.windows(2).any(|pair| {
                    one_of("every each per a", &pair[0]) && units.contains(&stem(&pair[1]))
                });
                rhythm || has(RHYTHMS) || has_quantity(sentence, &units)
            }
            Self::Time => {
                let clock_or_date = sentence.contains([':', '-', '/', '.'])
                    && has_quantity(sentence, &BTreeSet::new());
                has(CALENDAR)
                    || has(RHYTHMS)
                    || clock_or_date
                    || has_quantity(sentence, &stems_of(TIME_UNITS))
            }
            Self::Person => {
                let named = sentence
                    .split_whitespace()
                    .skip(1)
                    .any(|word| word.starts_with(char::is_uppercase));
                named || has(ROLES) || sentence.contains('@')
            }
            Self::Reason => has(REASONS),
        }
    }
}

/// Whether a number is soon followed by one of these units, or stands there at all when any will
/// do.
fn has_quantity(sentence: &str, units: &BTreeSet<String>) -> bool {
    let tokens: Vec<Token> = tokens(sentence);
    tokens.iter().enumerate().any(|(at, token)| {
        token.number
            && (units.is_empty()
                || tokens[at + 1..]
                    .iter()
                    .take(3)
                    .take_while(|next| !next.number)
                    .any(|next| units.contains(&next.stem)))
    })
}

fn stems_of(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(stem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_by_what_they_hold() {
        let cases = [
            (
                "How many hours is it?",
                "Every 2,000 operating hours.",
                true,
            ),
            ("How many hours is it?", "After 500 h.", true),
            ("How many hours is it?", "Use 5 litres in 3 bottles.", false),
            ("How many hours is it?", "After many hours.", false),
            ("How often is it done?", "Check it weekly.", true),
            ("How often is it done?", "Check it every shift.", true),
            ("How often is it done?", "Check it with 3 people.", false),
            ("How heavy is it?", "It weighs 12 kg.", true),
            ("What is the torque?", "Tighten it to 35 Nm.", true),
            ("What is the torque?", "Tighten it well.", false),
            ("When does it open?", "At 08:30.", true),
            ("When does it open?", "It opens slowly.", false),
            ("Who signs?", "It is signed by the plant manager.", true),
            ("Who signs?", "It is signed twice.", false),
            ("Why is it red?", "It is red because it is hot.", true),
            ("Why is it red?", "It is red.", false),
        ];
        for (question, sentence, expected) in cases {
            let found = Expected::of(question).satisfied_by(sentence);
            assert_eq!(found, expected, "{question} {sentence}");
        }
        assert_eq!(Expected::of("Describe the belt."), Expected::Anything);
    }
}
