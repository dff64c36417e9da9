//! The issuer's public keys: from a JSON Web Key Set to keys that verify one algorithm each.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// Keys of one set that are looked at. Issuers publish two or three.
const MAX_KEYS: usize = 64;
const MAX_KEY_ID_BYTES: usize = 256;
/// 2048 to 8192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const CURVE_POINT_BYTES: usize = 32;

/// A key that verifies exactly one algorithm. The algorithm follows from the kind of key, never from
/// a token: that is what keeps a public RSA key from being used as an HMAC secret.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    id: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// The usable keys of a set.
#[derive(Clone)]
pub(crate) struct KeySet {
    keys: Vec<VerifyingKey>,
}

/// A document that cannot serve as a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySetError {
    #[error("it is not a JSON Web Key Set")]
    NotAKeySet,
    #[error("it has no key for RS256, ES256 or EdDSA with a key id")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys of other kinds, and broken ones, are left out: an issuer may publish keys
    /// for other purposes beside those that concern us. A set in which nothing is left is an error,
    /// so that it does not take the place of a good one.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Document =
            serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        let keys: Vec<VerifyingKey> = document
            .keys
            .into_iter()
            .take(MAX_KEYS)
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(Jwk::into_verifying_key)
            .collect();
        if keys.is_empty() {
            Err(KeySetError::NoUsableKey)
        } else {
            Ok(Self { keys })
        }
    }

    /// The key with this id, if any. Ids repeat only between keys of different algorithms, so a key
    /// of the wanted algorithm goes first.
    pub(crate) fn find(&self, id: &str, algorithm: Algorithm) -> Option<&VerifyingKey> {
        let with_id = || self.keys.iter().filter(|key| key.id == id);
        with_id()
            .find(|key| key.algorithm == algorithm)
            .or_else(|| with_id().next())
    }
}

impl Jwk {
    fn into_verifying_key(self) -> Option<VerifyingKey> {
        if self.kid.is_empty() || self.kid.len() > MAX_KEY_ID_BYTES {
            return None;
        }
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (algorithm, name, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (Algorithm::RS256, "RS256", rsa(self.n?, self.e?)?),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", p256(&self.x?, &self.y?)?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", ed25519(&self.x?)?),
            _ => return None,
        };
        // RFC 9864 gives EdDSA on this curve a name of its own; a key may carry either.
        let declared_otherwise = self
            .alg
            .is_some_and(|alg| alg != name && !(alg == "Ed25519" && algorithm == Algorithm::EdDSA));
        if declared_otherwise {
            return None;
        }
        Some(VerifyingKey {
            id: self.kid,
            algorithm,
            key,
        })
    }
}

fn rsa(modulus: String, exponent: String) -> Option<DecodingKey> {
    let modulus = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(exponent).ok()?;
    let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
    if !RSA_MODULUS_BYTES.contains(&significant) || exponent.is_empty() || exponent.len() > 8 {
        return None;
    }
    Some(DecodingKey::from_rsa_raw_components(
        &modulus[modulus.len() - significant..],
        &exponent,
    ))
}

fn p256(x: &str, y: &str) -> Option<DecodingKey> {
    let is_coordinate = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == CURVE_POINT_BYTES)
    };
    if is_coordinate(x) && is_coordinate(y) {
        DecodingKey::from_ec_components(x, y).ok()
    } else {
        None
    }
}

fn ed25519(x: &str) -> Option<DecodingKey> {
    let bytes = URL_SAFE_NO_PAD.decode(x).ok()?;
    (bytes.len() == CURVE_POINT_BYTES).then(|| DecodingKey::from_ed_der(&bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ed(kid: &str) -> serde_json::Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([7; 32])})
    }

    fn parse(keys: serde_json::Value) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_that_do_not_concern_us_are_left_out_without_spoiling_the_set() {
        let b64 = |length: usize| URL_SAFE_NO_PAD.encode(vec![0xAB; length]);
        let point = b64(32);
        for (case, other) in [
            (
                "symmetric",
                json!({"kty": "oct", "kid": "other", "k": b64(32), "alg": "HS256"}),
            ),
            (
                "encryption",
                json!({"kty": "OKP", "crv": "Ed25519", "kid": "other", "x": point, "use": "enc"}),
            ),
            (
                "other curve",
                json!({"kty": "EC", "crv": "P-384", "kid": "other", "x": b64(48), "y": b64(48)}),
            ),
            (
                "curve named otherwise",
                json!({"kty": "EC", "crv": "secp256k1", "kid": "other", "x": point, "y": point}),
            ),
            (
                "x448",
                json!({"kty": "OKP", "crv": "Ed448", "kid": "other", "x": b64(57)}),
            ),
            (
                "short modulus",
                json!({"kty": "RSA", "kid": "other", "n": b64(128), "e": "AQAB"}),
            ),
            (
                "long modulus",
                json!({"kty": "RSA", "kid": "other", "n": b64(1025), "e": "AQAB"}),
            ),
            (
                "zeros for bits",
                json!({"kty": "RSA", "kid": "other", "n": URL_SAFE_NO_PAD.encode([0; 256]), "e": "AQAB"}),
            ),
            (
                "other RSA algorithm",
                json!({"kty": "RSA", "kid": "other", "n": b64(256), "e": "AQAB", "alg": "PS256"}),
            ),
            (
                "symmetric algorithm on RSA",
                json!({"kty": "RSA", "kid": "other", "n": b64(256), "e": "AQAB", "alg": "HS256"}),
            ),
            (
                "no exponent",
                json!({"kty": "RSA", "kid": "other", "n": b64(256), "e": ""}),
            ),
            (
                "short point",
                json!({"kty": "EC", "crv": "P-256", "kid": "other", "x": b64(31), "y": point}),
            ),
            (
                "not base64",
                json!({"kty": "EC", "crv": "P-256", "kid": "other", "x": "****", "y": point}),
            ),
            (
                "no key id",
                json!({"kty": "OKP", "crv": "Ed25519", "x": point}),
            ),
            (
                "empty key id",
                json!({"kty": "OKP", "crv": "Ed25519", "kid": "", "x": point}),
            ),
            (
                "numeric key id",
                json!({"kty": "OKP", "crv": "Ed25519", "kid": 7, "x": point}),
            ),
            ("not an object", json!("key")),
        ] {
            assert_eq!(
                parse(json!([other.clone()])).err(),
                Some(KeySetError::NoUsableKey),
                "{case}"
            );
            let set =
                parse(json!([other, ed("ours")])).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(set.find("ours", Algorithm::EdDSA).is_some(), "{case}");
            assert!(set.find("other", Algorithm::EdDSA).is_none(), "{case}");
        }
    }

    #[test]
    fn each_kind_of_key_verifies_its_own_algorithm() {
        let b64 = |length: usize| URL_SAFE_NO_PAD.encode(vec![0xAB; length]);
        let set = parse(json!([
            {"kty": "RSA", "kid": "r", "n": b64(256), "e": "AQAB"},
            {"kty": "RSA", "kid": "r2", "n": b64(512), "e": "AQAB", "alg": "RS256", "use": "sig"},
            {"kty": "EC", "crv": "P-256", "kid": "e", "x": b64(32), "y": b64(32), "alg": "ES256"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "d", "x": b64(32), "alg": "EdDSA"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "d2", "x": b64(32), "alg": "Ed25519"},
        ]))
        .expect("a set");
        for (id, algorithm) in [
            ("r", Algorithm::RS256),
            ("r2", Algorithm::RS256),
            ("e", Algorithm::ES256),
            ("d", Algorithm::EdDSA),
            ("d2", Algorithm::EdDSA),
        ] {
            assert_eq!(set.find(id, algorithm).expect(id).algorithm, algorithm);
        }
    }

    #[test]
    fn documents_that_are_not_key_sets_are_errors() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"keys":{}}"#,
            r#"{"keys":1}"#,
            "{\"keys\":[",
        ] {
            assert_eq!(
                KeySet::parse(text.as_bytes()).err(),
                Some(KeySetError::NotAKeySet),
                "{text}"
            );
        }
        assert_eq!(parse(json!([])).err(), Some(KeySetError::NoUsableKey));
        let deep = "[".repeat(100_000);
        assert_eq!(
            KeySet::parse(deep.as_bytes()).err(),
            Some(KeySetError::NotAKeySet)
        );
    }

    #[test]
    fn a_set_is_read_up_to_its_cap() {
        let keys: Vec<_> = (0..MAX_KEYS + 1)
            .map(|index| ed(&index.to_string()))
            .collect();
        let set = parse(json!(keys)).expect("a set");
        assert!(set.find("63", Algorithm::EdDSA).is_some());
        assert!(set.find("64", Algorithm::EdDSA).is_none());
    }
}
