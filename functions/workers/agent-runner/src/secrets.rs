//! Keeping secrets out of what is kept: a service may send back what it was sent.

use secrecy::{ExposeSecret as _, SecretString};

/// Shorter ones would be found where they are not meant.
const SHORTEST: usize = 6;

/// `text` without the values of these headers, nor the part of each that follows its scheme.
pub(crate) fn masked(mut text: String, headers: &[(String, SecretString)]) -> String {
    for (_, value) in headers {
        let value = value.expose_secret();
        let token = value.split_once(' ').map_or(value, |(_, token)| token);
        for secret in [value, token] {
            if secret.len() >= SHORTEST && text.contains(secret) {
                text = text.replace(secret, "[secret]");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_holds_no_secret() {
        let headers = [(
            "authorization".to_owned(),
            SecretString::from("Bearer s3cr3t-t0ken"),
        )];
        let echoed = r#"{"authorization":"Bearer s3cr3t-t0ken","token":"s3cr3t-t0ken"}"#.to_owned();
        assert_eq!(
            masked(echoed, &headers),
            r#"{"authorization":"[secret]","token":"[secret]"}"#
        );
        let short = [("x-key".to_owned(), SecretString::from("abc"))];
        assert_eq!(masked("abcdef".to_owned(), &short), "abcdef");
    }
}
