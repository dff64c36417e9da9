//! Where in a text the words are that were looked for.

use std::collections::HashMap;
use std::ops::Range;

use super::build::Terms;
use super::{Highlight, HighlightedField};
use crate::analysis::{Stems, Word, split};
use crate::item::Item;

/// About how many characters of a body are shown.
const FRAGMENT_CHARS: usize = 240;

/// The parts of an item that show why it was found.
pub(crate) fn highlights(item: &Item, terms: &Terms) -> Vec<Highlight> {
    let mut stems = Stems::of(item.language.as_deref());
    let heading = item.heading.as_deref().unwrap_or_default();
    let fields = [
        (HighlightedField::Title, item.title.as_str(), usize::MAX),
        (HighlightedField::Heading, heading, usize::MAX),
        (HighlightedField::Body, &item.body, FRAGMENT_CHARS),
    ];
    fields
        .into_iter()
        .filter_map(|(field, text, most)| highlight(field, text, most, terms, &mut stems))
        .collect()
}

fn highlight(
    field: HighlightedField,
    text: &str,
    most_chars: usize,
    terms: &Terms,
    stems: &mut Stems,
) -> Option<Highlight> {
    let mut known: HashMap<String, bool> = HashMap::new();
    let found: Vec<Word> = split(text)
        .into_iter()
        .filter(|word| match known.get(&word.text) {
            Some(wanted) => *wanted,
            None => {
                let wanted = is_wanted(&text[word.start..word.end], word, terms, stems);
                known.insert(word.text.clone(), wanted);
                wanted
            }
        })
        .collect();
    let fragment = best_fragment(text, &found, most_chars)?;
    let shown = &text[fragment.clone()];
    let chars = |bytes: usize| text[fragment.start..bytes].chars().count();
    let within = found
        .iter()
        .filter(|word| word.start >= fragment.start && word.end <= fragment.end);
    Some(Highlight {
        field,
        text: shown.to_owned(),
        ranges: within
            .map(|word| chars(word.start)..chars(word.end))
            .collect(),
        offset: text[..fragment.start].chars().count(),
    })
}

fn is_wanted(written: &str, word: &Word, terms: &Terms, stems: &mut Stems) -> bool {
    terms.words.contains(&word.text)
        || terms
            .prefixes
            .iter()
            .any(|prefix| word.text.starts_with(prefix.as_str()))
        || (!terms.stems.is_empty()
            && stems
                .of_word(written)
                .is_some_and(|stem| terms.stems.contains(&stem)))
}

/// The part of a text, in bytes, that shows the most different words, the first of several.
fn best_fragment(text: &str, found: &[Word], most_chars: usize) -> Option<Range<usize>> {
    let mut best: Option<(usize, usize, usize)> = None;
    for (first, word) in found.iter().enumerate() {
        let mut different: Vec<&str> = Vec::new();
        let mut last = first;
        for (index, other) in found.iter().enumerate().skip(first) {
            // Bytes are at least as many as characters: what fits by bytes fits.
            if other.end - word.start > most_chars && index > first {
                break;
            }
            if !different.contains(&other.text.as_str()) {
                different.push(&other.text);
            }
            last = index;
        }
        if best.is_none_or(|(count, ..)| different.len() > count) {
            best = Some((different.len(), first, last));
        }
    }
    let (_, first, last) = best?;
    let (from, to) = (found[first].start, found[last].end);
    let room = most_chars.saturating_sub(text[from..to].chars().count());
    if room >= text.len() {
        return Some(0..text.len());
    }
    let before = text[..from].char_indices().rev().take(room / 3).last();
    let start = before.map_or(from, |(at, _)| at);
    let used = text[start..to].chars().count();
    let after = text[to..]
        .char_indices()
        .take(most_chars.saturating_sub(used))
        .last();
    let end = after.map_or(to, |(at, letter)| to + at + letter.len_utf8());
    Some(at_words(text, start, from)..end_at_word(text, to, end))
}

/// Not in the middle of a word: the first place behind a space, unless there is none.
fn at_words(text: &str, start: usize, from: usize) -> usize {
    if start == 0 {
        return 0;
    }
    let space = text[start..from].find(char::is_whitespace);
    space.map_or(start, |at| {
        let rest = &text[start + at..from];
        from - rest.trim_start().len()
    })
}

fn end_at_word(text: &str, to: usize, end: usize) -> usize {
    if end == text.len() {
        return end;
    }
    let space = text[to..end].rfind(char::is_whitespace);
    space.map_or(end, |at| to + text[to..to + at].trim_end().len())
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::item::ItemKind;

    fn terms(words: &[&str]) -> Terms {
        let mut english = Stems::of(None);
        Terms {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            prefixes: Vec::new(),
            stems: words
                .iter()
                .filter_map(|word| english.of_word(word))
                .collect(),
        }
    }

    fn item(body: &str) -> Item {
        Item {
            body: body.to_owned(),
            ..Item::new(ItemKind::Task, "x", Timestamp::from_millis(0))
        }
    }

    fn marked(highlight: &Highlight) -> Vec<String> {
        let letters: Vec<char> = highlight.text.chars().collect();
        let ranges = highlight.ranges.iter();
        ranges
            .map(|range| letters[range.clone()].iter().collect())
            .collect()
    }

    #[test]
    fn the_words_are_marked_in_whatever_form() {
        let found = highlights(
            &item("Überall pumpen Pumps: a pump, PUMPED."),
            &terms(&["pump"]),
        );
        assert_eq!(marked(&found[0]), ["Pumps", "pump", "PUMPED"]);
        assert_eq!(found[0].offset, 0);
        assert!(highlights(&item("Nothing here."), &terms(&["pump"])).is_empty());
    }

    #[test]
    fn the_fragment_has_the_most_different_words() {
        let filler = "lorem ipsum ".repeat(60);
        let text = format!("pump pump pump {filler} the pump needs oil now {filler}");
        let found = &highlights(&item(&text), &terms(&["pump", "oil"]))[0];
        assert_eq!(marked(found), ["pump", "oil"]);
        assert!(found.text.chars().count() <= FRAGMENT_CHARS);
        assert!(found.text.starts_with("lorem") || found.text.starts_with("ipsum"));
        let at: String = text.chars().skip(found.offset).take(20).collect();
        assert!(found.text.starts_with(&at));
    }

    proptest! {
        #[test]
        fn every_text_is_cut_at_its_letters(
            text in "(pump|öl|油|é|[a-z]{1,9}| |\\n|🙂){0,200}"
        ) {
            for found in highlights(&item(&text), &terms(&["pump", "öl", "油"])) {
                let letters = found.text.chars().count();
                prop_assert!(found.ranges.iter().all(|range| range.end <= letters));
                prop_assert!(!found.ranges.is_empty());
                let at: String = text.chars().skip(found.offset).take(letters).collect();
                prop_assert_eq!(at, found.text);
            }
        }
    }
}
