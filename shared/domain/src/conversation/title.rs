//! Titles that nobody gave.

/// The most characters of a title that is made from a message.
const MAX_CHARS: usize = 60;

/// A title for a conversation that begins with `message`: the beginning of its first line that says
/// something, cut between two words. Empty if nothing does.
#[must_use]
pub fn title_of(message: &str) -> String {
    message
        .lines()
        .map(one_line)
        .find(|line| line.chars().any(char::is_alphanumeric))
        .map(|line| shortened(&line))
        .unwrap_or_default()
}

/// The words of a line, without what only marks it as a heading, a quotation or an item.
fn one_line(line: &str) -> String {
    let visible: String = line
        .chars()
        .map(|letter| if is_hidden(letter) { ' ' } else { letter })
        .collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let line = words.join(" ");
    line.trim_start_matches(['#', '>', '-', '*', '`', ' '])
        .to_owned()
}

/// Whether a character shows nothing, or turns the direction of what follows it.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn shortened(line: &str) -> String {
    let Some((most, _)) = line.char_indices().nth(MAX_CHARS) else {
        return line.to_owned();
    };
    let cut = &line[..most];
    let end = match cut.rfind(' ') {
        Some(space) if !line[most..].starts_with(' ') => space,
        _ => most,
    };
    format!("{}…", cut[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_beginning_of_what_was_said() {
        for (message, title) in [
            (
                "How often is the oil changed?",
                "How often is the oil changed?",
            ),
            ("\n\n  ## Oil \t change\nIt is late.", "Oil change"),
            ("---\n> Dear all,", "Dear all,"),
            ("  \u{202e}\u{7}  ", ""),
            ("!!!\n???", ""),
            ("Öl\u{2028}wechsel", "Öl wechsel"),
        ] {
            assert_eq!(title_of(message), title, "{message:?}");
        }
    }

    #[test]
    fn a_long_title_ends_between_two_words() {
        let title = title_of(&"gearbox ".repeat(40));
        assert!(title.ends_with("gearbox…"), "{title}");
        assert!(title.chars().count() <= MAX_CHARS + 1);
        assert_eq!(title_of(&"ü".repeat(200)).chars().count(), MAX_CHARS + 1);
    }
}
