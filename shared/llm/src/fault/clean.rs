//! A provider's sentence, made fit to be shown.

use secrecy::{ExposeSecret, SecretString};

/// The most characters of a provider's message that are worth showing.
const MAX_MESSAGE_CHARS: usize = 300;

/// One short line that holds neither a configured secret nor anything that looks like a key.
pub(crate) fn clean(text: &str, secrets: &[SecretString]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        let secret = secret.expose_secret();
        if !secret.is_empty() {
            text = text.replace(secret, "[redacted]");
        }
    }
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| match looks_like_key(word) {
            true => "[redacted]".to_owned(),
            false => word.to_owned(),
        })
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Providers repeat a part of a wrong key in their message.
fn looks_like_key(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.len() > 8
        && ["sk-", "sk_", "og_", "AKIA", "ASIA", "AIza"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_survives_in_a_message() {
        let secret = SecretString::from("canary-value");
        let text = "Incorrect key: sk-abcdefgh1234. \n You sent canary-value; AKIAIOSFODNN7EXAMPLE";
        assert_eq!(
            clean(text, &[secret]),
            "Incorrect key: [redacted] You sent [redacted]; [redacted]"
        );
        assert_eq!(clean(&"x".repeat(1000), &[]).chars().count(), 301);
    }
}
