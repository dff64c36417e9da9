//! API keys: `og_<environment>_` + 30 random base62 characters + 6 base62 characters of CRC-32.
//!
//! The checksum covers everything before it. It tells a mistyped or made-up key from a possible one
//! before anything is looked up, and lets scanners find leaked keys without false alarms; the pattern
//! is `og_[a-z0-9]{1,16}_[0-9A-Za-z]{36}`. It is no protection against whoever knows the algorithm:
//! the 178 random bits are. Because of those bits a plain SHA-256 is enough to store a key by.

use std::fmt;

use rand::{CryptoRng, Rng};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const PREFIX: &str = "og_";
const RANDOM_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;
const MAX_ENVIRONMENT_BYTES: usize = 16;
/// Random characters that [`ApiKey::hint`] shows: 24 of 178 bits.
const HINT_CHARS: usize = 4;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why a text is not an API key that this environment accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFormatError {
    /// It does not begin as `og_<environment>_`.
    #[error("an API key begins with og_, an environment and an underscore")]
    NotAnApiKey,
    /// The environment is not 1 to 16 lower-case letters and digits.
    #[error("an environment is 1 to 16 lower-case letters and digits")]
    InvalidEnvironment,
    /// The part after the environment is not 36 characters long.
    #[error("the API key has the wrong length")]
    WrongLength,
    /// A character outside base62.
    #[error("the API key has a character outside 0-9, A-Z and a-z")]
    InvalidCharacter,
    /// The checksum does not belong to the rest.
    #[error("the API key is mistyped: its checksum does not match")]
    WrongChecksum,
    /// A whole key, of another environment.
    #[error("the API key belongs to another environment")]
    WrongEnvironment,
}

impl KeyFormatError {
    /// A stable, machine-readable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnApiKey => "not_an_api_key",
            Self::InvalidEnvironment => "invalid_environment",
            Self::WrongLength => "wrong_length",
            Self::InvalidCharacter => "invalid_character",
            Self::WrongChecksum => "wrong_checksum",
            Self::WrongEnvironment => "wrong_environment",
        }
    }
}

/// The environment part of a key: 1 to 16 lower-case ASCII letters and digits, such as `prod`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyEnvironment(String);

impl KeyEnvironment {
    /// Checks a name.
    ///
    /// # Errors
    /// [`KeyFormatError::InvalidEnvironment`].
    pub fn new(name: &str) -> Result<Self, KeyFormatError> {
        let is_valid = (1..=MAX_ENVIRONMENT_BYTES).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if is_valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(KeyFormatError::InvalidEnvironment)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A whole API key, secret included. Shown to its owner once, when it is made; never stored, never
/// printed, wiped from memory when dropped.
pub struct ApiKey {
    text: SecretString,
    environment: KeyEnvironment,
}

impl ApiKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(environment: &KeyEnvironment, rng: &mut R) -> Self {
        let length = PREFIX.len() + environment.0.len() + 1 + RANDOM_CHARS + CHECKSUM_CHARS;
        // Room for all of it from the start: a buffer that grows leaves copies of the secret behind.
        let mut text = String::with_capacity(length);
        text.push_str(PREFIX);
        text.push_str(&environment.0);
        text.push('_');
        text.extend(
            (0..RANDOM_CHARS).map(|_| char::from(BASE62[rng.random_range(0..BASE62.len())])),
        );
        let checksum = checksum(&text);
        text.extend(checksum.map(char::from));
        Self {
            text: SecretString::from(text),
            environment: environment.clone(),
        }
    }

    /// Checks the form and checksum of a text that claims to be a key, without any I/O.
    ///
    /// # Errors
    /// [`KeyFormatError`], except [`KeyFormatError::WrongEnvironment`]: see
    /// [`ParsedKey::require_environment`].
    pub fn parse(text: &str) -> Result<ParsedKey, KeyFormatError> {
        let rest = text
            .strip_prefix(PREFIX)
            .ok_or(KeyFormatError::NotAnApiKey)?;
        let (environment, secret) = rest.split_once('_').ok_or(KeyFormatError::NotAnApiKey)?;
        let environment = KeyEnvironment::new(environment)?;
        if secret.len() != RANDOM_CHARS + CHECKSUM_CHARS {
            return Err(KeyFormatError::WrongLength);
        }
        if !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(KeyFormatError::InvalidCharacter);
        }
        let (covered, written) = text.split_at(text.len() - CHECKSUM_CHARS);
        if written.as_bytes() != checksum(covered) {
            return Err(KeyFormatError::WrongChecksum);
        }
        Ok(ParsedKey {
            environment,
            hash: hash(text),
        })
    }

    /// The key itself, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// SHA-256 of the whole key in lower-case hex: what is stored, and looked up by.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(self.expose())
    }

    /// Enough of the key for its owner to recognise it in a list, as `og_prod_aB3x…`.
    #[must_use]
    pub fn hint(&self) -> String {
        let shown = PREFIX.len() + self.environment.0.len() + 1 + HINT_CHARS;
        format!("{}…", &self.expose()[..shown])
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PREFIX}{}_…)", self.environment.0)
    }
}

/// A text that has the form of an API key. Whether such a key exists is for the store to say. Holds
/// the hash and not the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ParsedKey {
    environment: KeyEnvironment,
    hash: String,
}

impl ParsedKey {
    /// The environment that the key names.
    #[must_use]
    pub fn environment(&self) -> &KeyEnvironment {
        &self.environment
    }

    /// SHA-256 of the whole key in lower-case hex: 64 characters.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Refuses a key of another environment, so that one that strayed there is not even looked up.
    ///
    /// # Errors
    /// [`KeyFormatError::WrongEnvironment`].
    pub fn require_environment(self, expected: &KeyEnvironment) -> Result<Self, KeyFormatError> {
        if self.environment == *expected {
            Ok(self)
        } else {
            Err(KeyFormatError::WrongEnvironment)
        }
    }
}

impl fmt::Debug for ParsedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParsedKey({PREFIX}{}_…)", self.environment.0)
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// CRC-32 (ISO-HDLC) in base62, most significant digit first. Six digits hold more than 32 bits, so
/// different sums never share a spelling.
fn checksum(covered: &str) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(covered.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // The check value of CRC-32/ISO-HDLC is CBF43926 hexadecimal, 3421780262 decimal.
        assert_eq!(crc32fast::hash(b"123456789"), 3_421_780_262);
        let value = checksum("123456789").iter().fold(0_u64, |value, digit| {
            value * 62
                + BASE62
                    .iter()
                    .position(|other| other == digit)
                    .expect("a digit") as u64
        });
        assert_eq!(value, 3_421_780_262);
        // The empty text sums to zero: all six digits are there.
        assert_eq!(&checksum(""), b"000000");
    }
}
