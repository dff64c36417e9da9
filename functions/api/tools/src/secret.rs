//! A text that must not be repeated to anybody.

use std::fmt;

use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A secret of a body. What is no text is refused without being named: a problem document would
/// otherwise say `invalid type: integer 1234`, which may be most of a password.
#[derive(Debug, Clone)]
pub(crate) struct Secret(pub(crate) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for a text, a deserializer would itself name what it found instead.
        deserializer.deserialize_any(Text).map(Self)
    }
}

struct Text;

macro_rules! refused {
    ($($method:ident: $type:ty;)*) => {$(
        fn $method<E: Error>(self, _: $type) -> Result<SecretString, E> {
            Err(E::custom("must be a text"))
        }
    )*};
}

impl Visitor<'_> for Text {
    type Value = SecretString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretString, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<SecretString, E> {
        Ok(text.into())
    }

    refused! {
        visit_bool: bool;
        visit_i64: i64;
        visit_i128: i128;
        visit_u64: u64;
        visit_u128: u128;
        visit_f64: f64;
        visit_bytes: &[u8];
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_text_is_taken_and_anything_else_is_refused_without_being_named() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.0.expose_secret(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        for other in [
            "4711",
            "-4711",
            "4711.5",
            "4711e99",
            "[4711]",
            "{\"4711\":1}",
            "true",
        ] {
            let error = serde_json::from_str::<Secret>(other)
                .unwrap_err()
                .to_string();
            assert!(!error.contains("4711"), "{other}: {error}");
        }
    }
}
