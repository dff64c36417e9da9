//! The format of sealed bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format: [`FORMAT`] |
//! | 4 | the version of the data key, most significant byte first |
//! | 12 | the nonce |
//! | … | the encrypted secret |
//! | 16 | the tag |

use secrecy::SecretSlice;

use crate::key::{DataKey, DoesNotOpen, OVERHEAD};
use crate::place::Place;

/// The only format there is so far.
pub const FORMAT: u8 = 1;
/// The largest secret that is sealed, in bytes.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

const HEADER_BYTES: usize = 5;

/// Why bytes are no sealed secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    #[error("it is too short")]
    Truncated,
    #[error("its format {0} is not known")]
    UnknownFormat(u8),
}

/// The version of the data key that sealed these bytes.
pub(crate) fn key_version(sealed: &[u8]) -> Result<u32, NotSealed> {
    match sealed {
        [FORMAT, a, b, c, d, rest @ ..] if rest.len() >= OVERHEAD => {
            Ok(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        [FORMAT, ..] | [] => Err(NotSealed::Truncated),
        [format, ..] => Err(NotSealed::UnknownFormat(*format)),
    }
}

pub(crate) fn seal(key: &DataKey, version: u32, place: &Place<'_>, secret: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEADER_BYTES + OVERHEAD + secret.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&version.to_be_bytes());
    key.encrypt(&place.authenticated(version), secret, &mut sealed);
    sealed
}

/// Opens bytes whose header [`key_version`] has read.
pub(crate) fn open(
    key: &DataKey,
    version: u32,
    place: &Place<'_>,
    sealed: &[u8],
) -> Result<SecretSlice<u8>, DoesNotOpen> {
    let encrypted = sealed.get(HEADER_BYTES..).ok_or(DoesNotOpen)?;
    key.decrypt(&place.authenticated(version), encrypted)
}

#[cfg(test)]
mod tests {
    use kernel::OrgId;
    use secrecy::{ExposeSecret as _, SecretBox};

    use super::*;

    fn key() -> DataKey {
        DataKey::new(&SecretBox::new(Box::new([7; 32])))
    }

    fn place() -> Place<'static> {
        Place {
            org: OrgId::from_u128(1),
            kind: "tool_credential",
            id: "tol_0000000000000000000000000a",
            version: 3,
            facts: b"https://api.example.com",
        }
    }

    /// Made by another implementation of AES-GCM from the description above, and must open for ever.
    const GOLDEN: &str = "0100000002000102030405060708090a0b5ae48802787bf92a16dc84ee9b755fcb8205c1aa742886fbdad371c9efceb2bae3da";

    #[test]
    fn what_was_sealed_once_opens_for_ever() {
        let sealed = hex::decode(GOLDEN).unwrap();
        assert_eq!(key_version(&sealed), Ok(2));
        let secret = open(&key(), 2, &place(), &sealed).unwrap();
        assert_eq!(secret.expose_secret(), b"Bearer canary-31c9");
    }

    #[test]
    fn the_same_secret_is_never_sealed_to_the_same_bytes() {
        let seal = || super::seal(&key(), 2, &place(), b"secret");
        let (one, other) = (seal(), seal());
        assert_ne!(one, other);
        assert_eq!(one.len(), HEADER_BYTES + OVERHEAD + 6);
        assert_eq!(one[..HEADER_BYTES], [FORMAT, 0, 0, 0, 2]);
    }

    #[test]
    fn an_empty_or_unknown_text_is_told_from_a_damaged_one() {
        assert_eq!(key_version(&[]), Err(NotSealed::Truncated));
        assert_eq!(key_version(&[FORMAT; 32]), Err(NotSealed::Truncated));
        assert_eq!(key_version(&[0; 64]), Err(NotSealed::UnknownFormat(0)));
        assert_eq!(key_version(&[2; 64]), Err(NotSealed::UnknownFormat(2)));
    }
}
