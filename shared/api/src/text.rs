//! Rules for text that people type.

/// A name: not blank, no control characters, at most `most` characters.
///
/// # Errors
/// Says what is wrong, for the field it is in.
pub fn check_line(text: &str, most: usize) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    if text.chars().count() > most {
        return Err(garde::Error::new(format!(
            "must have at most {most} characters"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(garde::Error::new("must not contain control characters"));
    }
    Ok(())
}

/// A mail address, as far as one can tell without writing to it.
///
/// # Errors
/// Says that it is none.
pub fn check_email(text: &str) -> garde::Result {
    let valid = text.len() <= 254
        && !text
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control())
        && text.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty()
                && !host.contains('@')
                && host.contains('.')
                && host.split('.').all(|label| !label.is_empty())
        });
    if valid {
        Ok(())
    } else {
        Err(garde::Error::new("must be a mail address"))
    }
}

/// The name of a thing, at most 200 characters; for garde's `custom`.
///
/// # Errors
/// Says what is wrong.
pub fn name(text: &str, (): &()) -> garde::Result {
    check_line(text, 200)
}

/// A mail address; for garde's `custom`.
///
/// # Errors
/// Says what is wrong.
pub fn email(text: &str, (): &()) -> garde::Result {
    check_email(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_not_blank_short_and_printable() {
        assert!(check_line("Ünïcode ok", 20).is_ok());
        for text in ["", "  ", "a\u{0}b", "a\nb", "xxxxxxxxxxxxxxxxxxxxx"] {
            assert!(check_line(text, 20).is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_have_one_at_and_a_domain() {
        assert!(check_email("a.b+c@example.co.uk").is_ok());
        for text in [
            "", "a", "a@b", "@b.c", "a@b@c.d", "a b@c.d", "a@b..c", "a@.b",
        ] {
            assert!(check_email(text).is_err(), "{text:?}");
        }
    }
}
