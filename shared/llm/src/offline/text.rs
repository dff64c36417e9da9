//! Words, numbers and stems: as much language as the offline model has.

/// A word or number, ready to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The comparable form: a light stem, or a number without separators.
    pub stem: String,
    /// Whether it is a number.
    pub number: bool,
}

/// The words and numbers of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    words(text)
        .into_iter()
        .map(|word| match number(&word) {
            Some(stem) => Token { stem, number: true },
            None => Token {
                stem: stem(&word),
                number: false,
            },
        })
        .collect()
}

/// The words of a text in lower case. Digits and the letters after them are two words, so that
/// `20mm` is a number with a unit; `M12` is one.
pub(super) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (position, &c) in chars.iter().enumerate() {
        let previous = position.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(position + 1).copied();
        let in_number = word.chars().all(|c| !c.is_alphabetic()) && !word.is_empty();
        let digits_around = previous.is_some_and(|c| c.is_ascii_digit())
            && next.is_some_and(|c| c.is_ascii_digit());
        if c.is_alphanumeric() {
            if in_number && c.is_alphabetic() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase());
        } else if in_number && digits_around && matches!(c, '.' | ',') {
            word.push(c);
        } else if in_number && digits_around && is_thousands_space(c) {
            // "2 000" set with a narrow or fixed space is one number.
        } else if matches!(c, '\'' | '’') && next.is_some_and(char::is_alphabetic) {
            // The rest of "pump's" is no word.
            word.push('\'');
        } else if matches!(c, '%' | '°') {
            flush(&mut word, &mut words);
            words.push(c.to_string());
        } else {
            flush(&mut word, &mut words);
        }
    }
    flush(&mut word, &mut words);
    words
}

fn flush(word: &mut String, words: &mut Vec<String>) {
    let whole = std::mem::take(word);
    let bare = whole.split('\'').next().unwrap_or_default();
    if !bare.is_empty() {
        words.push(bare.to_owned());
    }
}

fn is_thousands_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// The plain form of a number: no thousands separators, a point before decimals, small numerals
/// as digits.
fn number(word: &str) -> Option<String> {
    const NUMERALS: [&str; 11] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ];
    if let Some(position) = NUMERALS.iter().position(|numeral| *numeral == word) {
        return Some((position + 2).to_string());
    }
    if !word.starts_with(|c: char| c.is_ascii_digit())
        || !word
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
    {
        return None;
    }
    let groups: Vec<&str> = word.split(',').collect();
    let thousands = groups.len() > 1
        && groups[0].len() <= 3
        && groups[1..].iter().all(|group| {
            let whole = group.split('.').next().unwrap_or_default();
            whole.len() == 3
        });
    Some(match thousands {
        true => word.replace(',', ""),
        false => word.replace(',', "."),
    })
}

/// Cuts the endings that English adds to one word. The result need not be a word; two forms of
/// one word have to give the same.
pub(super) fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() <= 3 || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    if word.starts_with("mainten") {
        return "maintain".to_owned();
    }
    if matches!(word, "used" | "uses" | "using" | "usage") {
        return "use".to_owned();
    }
    let mut stem = word.to_owned();
    if let Some(base) = cut(&stem, "ies", 2) {
        stem = format!("{base}y");
    } else if let Some(base) = cut(&stem, "sses", 1) {
        stem = format!("{base}ss");
    } else if !stem.ends_with("ss") && !stem.ends_with("us") && !stem.ends_with("is") {
        stem = cut(&stem, "s", 2).unwrap_or(stem);
    }
    for (ending, least) in [
        ("ional", 4),
        ("ion", 4),
        ("ment", 4),
        ("ness", 3),
        ("ing", 3),
        ("ed", 3),
        ("ly", 4),
    ] {
        if let Some(base) = cut(&stem, ending, least) {
            stem = single_consonant(base);
            break;
        }
    }
    cut(&stem, "e", 3).unwrap_or(stem)
}

fn cut(word: &str, ending: &str, least: usize) -> Option<String> {
    word.strip_suffix(ending)
        .filter(|base| base.len() >= least)
        .map(str::to_owned)
}

/// "stopp" from "stopped" is "stop"; "fill" stays.
fn single_consonant(mut base: String) -> String {
    let bytes = base.as_bytes();
    let length = bytes.len();
    if length > 3
        && bytes[length - 1] == bytes[length - 2]
        && matches!(
            bytes[length - 1],
            b'b' | b'd' | b'g' | b'm' | b'n' | b'p' | b'r' | b't'
        )
    {
        base.pop();
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [
            &["change", "changes", "changed", "changing"][..],
            &["interval", "intervals"],
            &["maintain", "maintenance"],
            &["use", "used", "using"],
            &["replace", "replaced", "replacement", "replacing"],
            &["battery", "batteries"],
            &[
                "operate",
                "operation",
                "operations",
                "operating",
                "operated",
            ],
            &["stop", "stops", "stopped", "stopping"],
            &["glass", "glasses"],
            &["lubricate", "lubrication", "lubricating"],
        ] {
            let stems: Vec<String> = forms.iter().map(|form| stem(form)).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{stems:?}");
        }
        assert_ne!(stem("gear"), stem("gearbox"));
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let stems = |text: &str| -> Vec<String> {
            tokens(text).into_iter().map(|token| token.stem).collect()
        };
        assert_eq!(stems("2,000 hours"), ["2000", "hour"]);
        assert_eq!(stems("2\u{202f}000 h"), ["2000", "h"]);
        assert_eq!(stems("1,5 bar"), ["1.5", "bar"]);
        assert_eq!(stems("1,234,567.89"), ["1234567.89"]);
        assert_eq!(
            stems("20mm at 80 °C, 5%"),
            ["20", "mm", "at", "80", "°", "c", "5", "%"]
        );
        assert_eq!(
            stems("M12 bolt, six of them"),
            ["m12", "bolt", "6", "of", "them"]
        );
        assert_eq!(stems("the pump's seal"), ["the", "pump", "seal"]);
    }
}
