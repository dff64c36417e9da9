//! The words that the offline model knows: general English, nothing about any subject.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use super::text::stem;

/// Words that say nothing about the subject of a question.
const STOP_WORDS: &str = "a about according after all also am an and any are as at be been before \
    being between but by can could did do does each every find for from get give had has have he \
    her here his how i if in into is it its list long many may me might much must my need no not of \
    often on or our out please say says shall she should show so some tell than that the their them \
    then there these they this those to up us was we were what when where which who whom whose why \
    will with would you your";

/// Words that begin a question.
pub(super) const INTERROGATIVES: &str = "what which who whom whose when where why how";

/// Words that begin a question without one of those.
pub(super) const AUXILIARIES: &str =
    "is are was were do does did can could should must may will has have";

/// Words that ask without a question mark.
pub(super) const REQUESTS: &str = "find tell list show give explain describe summarise summarize \
    look search say state name report compare answer check determine";

/// Words that stand for something said before.
pub(super) const PRONOUNS: &str = "it its they them their this that these those";

/// Words that only open or close a conversation.
pub(super) const GREETINGS: &str = "hello hi hey thanks thank ok okay bye";

/// Words for somebody who can be asked.
pub(super) const PEOPLE: &str = "human person someone somebody operator manager supervisor \
    colleague expert team approver people engineer user";

/// Abbreviations after which a full stop ends no sentence.
const ABBREVIATIONS: &str = "approx art ca cf co dr e.g eq etc fig i.e inc incl ltd max min mr mrs \
    ms no nos nr p pp sec st tel vol vs";

/// Groups of words that people use for one another.
const SAME_MEANING: &[&str] = &[
    "second sec s",
    "minute min",
    "hour h hr hourly",
    "day daily d",
    "week weekly",
    "month monthly",
    "year yearly annual annually",
    "metre meter m",
    "kilometre kilometer km",
    "millimetre millimeter mm",
    "litre liter l",
    "kilogram kilo kg",
    "percent percentage %",
    "degree ° temperature warm hot",
    "interval frequency",
    "change replace exchange renew swap",
    "oil lubricant",
    "repair fix mend",
    "buy purchase",
    "cost price fee charge",
    "start begin",
    "end finish",
    "stop halt shutdown",
    "maximum max limit",
    "minimum min",
    "phone telephone call",
    "mail email",
    "holiday vacation leave",
    "ill sick",
    "employee staff worker",
    "approve authorise authorize allow permit",
    "weigh weight heavy mass",
    "height tall",
    "check inspect examine",
    "clean wash",
    "fill refill",
    "danger hazard risk",
    "fault failure error defect",
    "refund reimburse",
    "client customer",
];

static STOPS: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

static RELATED: LazyLock<HashMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let mut related: HashMap<String, BTreeSet<String>> = HashMap::new();
    for group in SAME_MEANING {
        let stems: BTreeSet<String> = group.split_whitespace().map(stem).collect();
        for one in &stems {
            let others = stems.iter().filter(|other| *other != one).cloned();
            related.entry(one.clone()).or_default().extend(others);
        }
    }
    related
});

static NONE: BTreeSet<String> = BTreeSet::new();

/// Whether a lower-case word says nothing about the subject.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOPS.contains(word)
}

/// Whether a lower-case word stands in one of the lists above.
pub(super) fn one_of(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

/// Whether a full stop after this lower-case word is part of it.
pub(super) fn is_abbreviation(word: &str) -> bool {
    one_of(ABBREVIATIONS, word)
}

/// The stems that people use for this one.
pub(super) fn same_meaning(stem: &str) -> &'static BTreeSet<String> {
    RELATED.get(stem).unwrap_or(&NONE)
}

/// Whether two stems are forms of one word that the stemmer keeps apart: "install" and
/// "installat".
pub(super) fn share_a_root(a: &str, b: &str) -> bool {
    let shared = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    shared >= 5 && shared * 10 >= a.len().max(b.len()) * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_is_shared_both_ways_and_over_all_groups_of_a_word() {
        assert!(same_meaning("hour").contains("h"));
        assert!(same_meaning("h").contains("hour"));
        // "min" is short for two words.
        let min = same_meaning("min");
        assert!(min.contains(&stem("minute")) && min.contains(&stem("minimum")));
        assert!(same_meaning("gearbox").is_empty());
    }

    #[test]
    fn roots_are_long_enough_to_mean_something() {
        assert!(share_a_root(&stem("install"), &stem("installation")));
        assert!(!share_a_root("gear", "gearbox"));
        assert!(!share_a_root("contract", "control"));
    }
}
