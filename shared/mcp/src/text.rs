//! Text from a server, made fit to be shown.

/// One line of at most `longest` characters, without characters that hide or reorder others.
pub(crate) fn line(text: &str, longest: usize) -> String {
    clean(text, longest, |_| false)
}

/// As [`line`], with its line breaks and tabs.
pub(crate) fn lines(text: &str, longest: usize) -> String {
    clean(text, longest, |c| matches!(c, '\n' | '\t'))
}

fn clean(text: &str, longest: usize, keep: impl Fn(char) -> bool) -> String {
    let mut cleaned = String::new();
    let mut left = longest;
    for c in text.trim().chars() {
        let c = if keep(c) {
            c
        } else if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            ' '
        } else if is_invisible(c) {
            continue;
        } else {
            c
        };
        if left == 0 {
            cleaned.push('…');
            break;
        }
        cleaned.push(c);
        left -= 1;
    }
    cleaned
}

/// Characters that change the order of others, or carry text that no reader sees but a model does.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_or_starts_a_line() {
        let text = "  a\r\nb\u{202e}c\u{1b}[2J\u{e0041}\u{e0042}\u{2028}d\te  ";
        assert_eq!(line(text, 80), "a  bc [2J d e");
        assert_eq!(lines(text, 80), "a \nbc [2J d\te");
        assert_eq!(line("Müller 🛢", 80), "Müller 🛢");
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("", 3), "");
    }
}
