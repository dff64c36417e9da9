//! The form of API keys, and what is caught before anything is looked up.

use std::collections::HashSet;

use identity::{ApiKey, KeyEnvironment, KeyFormatError};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Computed with another implementation of CRC-32 and SHA-256.
const KNOWN_KEY: &str = "og_prod_0Az90Az90Az90Az90Az90Az90Az9bY1Lw1OI";
const KNOWN_HASH: &str = "e4370bc7726958ade912ae20e6b3d899ade118d1c23d8d1e4e16f100ecfd5686";

fn environment(name: &str) -> KeyEnvironment {
    KeyEnvironment::new(name).expect("an environment")
}

fn keys(count: u64) -> impl Iterator<Item = ApiKey> {
    (0..count).map(|seed| ApiKey::generate(&environment("prod"), &mut StdRng::seed_from_u64(seed)))
}

#[test]
fn a_known_key_reads_as_another_implementation_wrote_it() {
    let parsed = ApiKey::parse(KNOWN_KEY).expect("a key");
    assert_eq!(parsed.environment().as_str(), "prod");
    assert_eq!(parsed.hash(), KNOWN_HASH);
}

#[test]
fn a_new_key_has_its_form_and_reads_back() {
    for name in ["local", "dev", "staging", "prod", "x", "0123456789abcdef"] {
        let key = ApiKey::generate(&environment(name), &mut rand::rng());
        let secret = key
            .expose()
            .strip_prefix(&format!("og_{name}_"))
            .expect("a prefix");
        assert_eq!(secret.len(), 36);
        assert!(secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        let parsed = ApiKey::parse(key.expose()).expect("its own key");
        assert_eq!(parsed.environment(), &environment(name));
        assert_eq!(parsed.hash(), key.hash());
        assert_eq!(key.hash().len(), 64);
        assert_eq!(key.hint(), format!("og_{name}_{}…", &secret[..4]));
    }
}

#[test]
fn keys_differ_and_use_the_whole_alphabet_evenly() {
    let secrets: Vec<String> = keys(2000)
        .map(|key| key.expose()["og_prod_".len()..][..30].to_owned())
        .collect();
    assert_eq!(secrets.iter().collect::<HashSet<_>>().len(), secrets.len());
    let mut counts = [0_u32; 128];
    for byte in secrets.iter().flat_map(|secret| secret.bytes()) {
        counts[usize::from(byte)] += 1;
    }
    // 60,000 draws over 62 characters: 968 each, with a standard deviation of 31. The seeds are
    // fixed, so this either always holds or never does.
    let used: Vec<u32> = counts.into_iter().filter(|count| *count > 0).collect();
    assert_eq!(used.len(), 62);
    assert!(
        used.iter().all(|count| (813..=1123).contains(count)),
        "{used:?}"
    );
}

/// Every position, every other printable character, and some that are not. CRC-32 finds any change
/// confined to 32 bits in a row, and the spelling of a checksum is unique, so nothing gets through.
#[test]
fn any_single_changed_character_is_refused() {
    let alphabet: Vec<char> = (0x20..0x7f_u8)
        .map(char::from)
        .chain(['\0', '\n', 'é', '０'])
        .collect();
    let mut tried = 0;
    for key in keys(20) {
        let text = key.expose();
        for (position, original) in text.char_indices() {
            for other in alphabet.iter().filter(|other| **other != original) {
                let changed = format!("{}{other}{}", &text[..position], &text[position + 1..]);
                assert!(ApiKey::parse(&changed).is_err(), "{changed}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 20 * 44 * (95 + 4 - 1));
}

#[test]
fn neighbours_swapped_or_a_character_lost_or_doubled_is_refused() {
    for key in keys(200) {
        let text = key.expose();
        for position in 0..text.len() {
            let (head, tail) = text.split_at(position);
            let without = format!("{head}{}", &tail[1..]);
            let doubled = format!("{head}{}{tail}", &tail[..1]);
            assert!(ApiKey::parse(&without).is_err(), "{without}");
            assert!(ApiKey::parse(&doubled).is_err(), "{doubled}");
            if let [first, second, ..] = *tail.as_bytes()
                && first != second
            {
                let swapped = format!(
                    "{head}{}{}{}",
                    char::from(second),
                    char::from(first),
                    &tail[2..]
                );
                assert!(ApiKey::parse(&swapped).is_err(), "{swapped}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let body = &KNOWN_KEY["og_prod_".len()..];
    for (text, expected) in [
        (String::new(), KeyFormatError::NotAnApiKey),
        ("og_".to_owned(), KeyFormatError::NotAnApiKey),
        ("og_prod".to_owned(), KeyFormatError::NotAnApiKey),
        (format!("sk_prod_{body}"), KeyFormatError::NotAnApiKey),
        (format!("OG_prod_{body}"), KeyFormatError::NotAnApiKey),
        (format!(" {KNOWN_KEY}"), KeyFormatError::NotAnApiKey),
        (format!("Bearer {KNOWN_KEY}"), KeyFormatError::NotAnApiKey),
        (format!("og__{body}"), KeyFormatError::InvalidEnvironment),
        (
            format!("og_PROD_{body}"),
            KeyFormatError::InvalidEnvironment,
        ),
        (
            format!("og_pro d_{body}"),
            KeyFormatError::InvalidEnvironment,
        ),
        (
            format!("og_{}_{body}", "e".repeat(17)),
            KeyFormatError::InvalidEnvironment,
        ),
        ("og_prod_".to_owned(), KeyFormatError::WrongLength),
        (KNOWN_KEY[..43].to_owned(), KeyFormatError::WrongLength),
        (format!("{KNOWN_KEY}0"), KeyFormatError::WrongLength),
        (format!("{KNOWN_KEY}\n"), KeyFormatError::WrongLength),
        (
            format!("{KNOWN_KEY}{}", "0".repeat(1 << 20)),
            KeyFormatError::WrongLength,
        ),
        (
            KNOWN_KEY.replacen("Az9", "A-9", 1),
            KeyFormatError::InvalidCharacter,
        ),
        (
            KNOWN_KEY.replacen("Az9", "A_9", 1),
            KeyFormatError::InvalidCharacter,
        ),
        (
            KNOWN_KEY.replacen("Az", "é", 1),
            KeyFormatError::InvalidCharacter,
        ),
        (
            KNOWN_KEY.replacen("Az9", "Az8", 1),
            KeyFormatError::WrongChecksum,
        ),
        (KNOWN_KEY.replace("OI", "IO"), KeyFormatError::WrongChecksum),
        // The checksum covers the environment: a key cannot be carried into another.
        (
            KNOWN_KEY.replace("prod", "dev"),
            KeyFormatError::WrongChecksum,
        ),
    ] {
        assert_eq!(ApiKey::parse(&text).err(), Some(expected), "{text:.80}");
    }
}

#[test]
fn a_key_of_another_environment_is_refused() {
    let parsed = ApiKey::parse(KNOWN_KEY).expect("a key");
    assert!(
        parsed
            .clone()
            .require_environment(&environment("prod"))
            .is_ok()
    );
    for other in ["dev", "staging", "local", "pro", "prod2"] {
        let outcome = parsed.clone().require_environment(&environment(other));
        assert_eq!(
            outcome.err(),
            Some(KeyFormatError::WrongEnvironment),
            "{other}"
        );
    }
}

#[test]
fn environments_are_short_lower_case_names() {
    for name in [
        "",
        "Prod",
        "pro-d",
        "pro_d",
        "pro d",
        "prod\n",
        "é",
        "12345678901234567",
    ] {
        assert_eq!(
            KeyEnvironment::new(name),
            Err(KeyFormatError::InvalidEnvironment),
            "{name}"
        );
    }
}

#[test]
fn secrets_do_not_print() {
    let key = keys(1).next().expect("a key");
    let parsed = ApiKey::parse(key.expose()).expect("its own key");
    for shown in [format!("{key:?}"), format!("{parsed:?}"), key.hint()] {
        assert!(shown.contains("og_prod_"), "{shown}");
        // Four characters may show, in the hint; five may not.
        assert!(
            !shown.contains(&key.expose()[..13]) && !shown.contains(&key.hash()),
            "{shown}"
        );
    }
    // Nor does an error repeat what was typed.
    let error = ApiKey::parse(&key.expose().replace("og_prod", "og_dev")).expect_err("a wrong key");
    assert!(!format!("{error} {error:?}").contains(&key.expose()[8..13]));
}

proptest! {
    #[test]
    fn any_seed_gives_a_key_that_reads_back(seed in any::<[u8; 32]>(), name in "[a-z0-9]{1,16}") {
        let key = ApiKey::generate(&environment(&name), &mut StdRng::from_seed(seed));
        let parsed = ApiKey::parse(key.expose());
        prop_assert_eq!(parsed.map(|parsed| parsed.hash().to_owned()), Ok(key.hash()));
    }

    /// Guessing blindly gets past the checksum once in four thousand million times.
    #[test]
    fn texts_that_were_not_made_here_are_refused(
        text in prop_oneof![any::<String>(), "og_[a-z]{1,8}_[0-9A-Za-z]{36}", "og_.{0,60}"]
    ) {
        prop_assert!(ApiKey::parse(&text).is_err());
    }
}
