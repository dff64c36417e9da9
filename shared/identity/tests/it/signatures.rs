//! Forged tokens: algorithms, keys, signatures and headers that must not be believed.

use aws_lc_rs::hmac;
use identity::TokenError;
use serde_json::json;

use crate::support::{FakeSource, NOW, Signer, b64, claims, key_set, simple, verifier};

#[tokio::test]
async fn unsigned_tokens_are_refused() {
    let source = FakeSource::new(key_set([&Signer::ed("ed-1")]));
    let verifier = verifier(source.clone());
    for alg in [
        "none", "None", "NONE", "nOnE", "", " none", "null", "rs256", "eddsa",
    ] {
        let header = json!({"alg": alg, "kid": "ed-1"}).to_string();
        for signature in ["", "AAAA"] {
            let token = format!("{}.{}.{signature}", b64(&header), b64(claims().to_string()));
            let outcome = verifier.verify(&token, NOW).await;
            assert_eq!(
                outcome,
                Err(TokenError::UnsupportedAlgorithm),
                "{alg:?} {signature:?}"
            );
        }
    }
    assert_eq!(source.fetches(), 0);
}

/// The public key is public, so a verifier that took it for an HMAC secret would accept anything.
#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    for signer in Signer::one_of_each() {
        let source = FakeSource::new(key_set([&signer]));
        let verifier = verifier(source.clone());
        let jwk = signer.jwk().to_string().into_bytes();
        for secret in [
            signer.public_bytes(),
            jwk,
            b64(signer.public_bytes()).into_bytes(),
            Vec::new(),
        ] {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            for (alg, expected) in [
                ("HS256", TokenError::UnsupportedAlgorithm),
                ("HS384", TokenError::UnsupportedAlgorithm),
                ("HS512", TokenError::UnsupportedAlgorithm),
                (signer.alg(), TokenError::BadSignature),
            ] {
                let header = json!({"alg": alg, "kid": signer.kid}).to_string();
                let message = format!("{}.{}", b64(header), b64(claims().to_string()));
                let tag = hmac::sign(&secret, message.as_bytes());
                let token = format!("{message}.{}", b64(tag));
                assert_eq!(verifier.verify(&token, NOW).await, Err(expected), "{alg}");
            }
        }
    }
}

#[tokio::test]
async fn algorithms_that_are_not_ours_are_refused_whatever_the_key() {
    let signer = Signer::rsa("rsa-1");
    let verifier = verifier(FakeSource::new(key_set([&signer])));
    for alg in [
        "RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed448", "RSA1_5",
        "dir",
    ] {
        let token = signer.token_with(&json!({"alg": alg, "kid": "rsa-1"}), &claims());
        let outcome = verifier.verify(&token, NOW).await;
        assert_eq!(outcome, Err(TokenError::UnsupportedAlgorithm), "{alg}");
    }
}

/// Each token names a published key that did not sign it: of the same kind, and of each other kind
/// under either algorithm.
#[tokio::test]
async fn swapping_the_key_id_is_a_bad_signature() {
    let signers = [
        Signer::rsa("rsa-1"),
        Signer::rsa("rsa-2"),
        Signer::ec("ec-1"),
        Signer::ec("ec-2"),
        Signer::ed("ed-1"),
        Signer::ed("ed-2"),
    ];
    let verifier = verifier(FakeSource::new(key_set(&signers)));
    for signer in &signers {
        for other in signers.iter().filter(|other| other.kid != signer.kid) {
            for alg in [signer.alg(), other.alg()] {
                let token = signer.token_with(&json!({"alg": alg, "kid": other.kid}), &claims());
                let outcome = verifier.verify(&token, NOW).await;
                assert_eq!(
                    outcome,
                    Err(TokenError::BadSignature),
                    "{} as {} {alg}",
                    signer.kid,
                    other.kid
                );
            }
        }
    }
}

/// Keys, and addresses of keys, that a token brings along are not used.
#[tokio::test]
async fn a_token_cannot_bring_its_own_key() {
    let genuine = Signer::ed("ed-1");
    let attacker = Signer::ed("ed-1");
    let source = FakeSource::new(key_set([&genuine]));
    let verifier = verifier(source.clone());
    for extra in [
        json!({"jwk": attacker.jwk()}),
        json!({"jku": "https://attacker.example.com/keys"}),
        json!({"x5u": "https://attacker.example.com/cert"}),
        json!({"x5c": ["AAAA"]}),
    ] {
        let mut header = attacker.header();
        for (name, value) in extra.as_object().expect("an object") {
            header[name] = value.clone();
        }
        let outcome = verifier
            .verify(&attacker.token_with(&header, &claims()), NOW)
            .await;
        assert!(
            matches!(
                outcome,
                Err(TokenError::BadSignature | TokenError::Malformed(_))
            ),
            "{extra}: {outcome:?}"
        );
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn one_changed_bit_anywhere_is_refused() {
    for signer in Signer::one_of_each() {
        let verifier = verifier(FakeSource::new(key_set([&signer])));
        let (header, payload) = (signer.header().to_string(), claims().to_string());
        let message = format!("{}.{}", b64(&header), b64(&payload));
        let signature = signer.sign(message.as_bytes());
        verifier
            .verify(&format!("{message}.{}", b64(&signature)), NOW)
            .await
            .expect("unchanged");

        for index in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[index / 8] ^= 1 << (index % 8);
            let outcome = verifier
                .verify(&format!("{message}.{}", b64(changed)), NOW)
                .await;
            assert_eq!(
                outcome,
                Err(TokenError::BadSignature),
                "{} bit {index}",
                signer.alg()
            );
        }
        for index in 0..payload.len() {
            let mut changed = payload.clone().into_bytes();
            changed[index] ^= 1;
            let token = format!("{}.{}.{}", b64(&header), b64(changed), b64(&signature));
            let outcome = verifier.verify(&token, NOW).await;
            assert_eq!(
                outcome,
                Err(TokenError::BadSignature),
                "{} payload byte {index}",
                signer.alg()
            );
        }
        for cut in [0, 1, 31, 32, 63, signature.len() - 1] {
            let token = format!("{message}.{}", b64(&signature[..cut]));
            assert!(
                verifier.verify(&token, NOW).await.is_err(),
                "{} cut at {cut}",
                signer.alg()
            );
        }
    }
}

/// Signatures that some libraries have taken for good: all zeros, and the other encoding.
#[tokio::test]
async fn degenerate_ecdsa_signatures_are_refused() {
    let signer = Signer::ec("ec-1");
    let verifier = verifier(FakeSource::new(key_set([&signer])));
    let message = format!(
        "{}.{}",
        b64(signer.header().to_string()),
        b64(claims().to_string())
    );
    let fixed = signer.sign(message.as_bytes());
    let integer = |half: &[u8]| {
        // A leading zero keeps the number positive; DER asks for it only where needed, and a
        // verifier that wants the fixed form must refuse both.
        let mut der = vec![0x02, 33, 0];
        der.extend_from_slice(half);
        der
    };
    let mut der = vec![0x30, 70];
    der.extend(integer(&fixed[..32]));
    der.extend(integer(&fixed[32..]));
    for signature in [
        vec![0; 64],
        vec![0xff; 64],
        der,
        [&fixed[..], &[0]].concat(),
    ] {
        let token = format!("{message}.{}", b64(signature));
        assert_eq!(
            verifier.verify(&token, NOW).await,
            Err(TokenError::BadSignature)
        );
    }
}

#[tokio::test]
async fn headers_that_change_the_meaning_of_a_token_are_refused() {
    let (signer, verifier) = simple();
    for (changes, expected) in [
        (json!({}), "accepted"),
        (json!({"typ": "at+jwt"}), "accepted"),
        (json!({"typ": "application/at+jwt"}), "accepted"),
        (json!({"typ": "jwt"}), "accepted"),
        (json!({"typ": "logout+jwt"}), "malformed"),
        (json!({"typ": "secevent+jwt"}), "malformed"),
        (json!({"typ": "dpop+jwt"}), "malformed"),
        (json!({"typ": ""}), "malformed"),
        (json!({"crit": ["b64"], "b64": false}), "malformed"),
        (json!({"crit": []}), "malformed"),
        (json!({"kid": ""}), "malformed"),
        (json!({"kid": null}), "malformed"),
        (json!({"kid": 1}), "malformed"),
        (json!({"kid": ["ed-1"]}), "malformed"),
        (json!({"kid": "k".repeat(257)}), "malformed"),
        (json!({"kid": "../../etc/passwd"}), "unknown_key"),
        (json!({"alg": ["EdDSA"]}), "malformed"),
        (json!({"alg": null}), "malformed"),
    ] {
        let mut header = signer.header();
        for (name, value) in changes.as_object().expect("an object") {
            header[name] = value.clone();
        }
        let outcome = verifier
            .verify(&signer.token_with(&header, &claims()), NOW)
            .await;
        assert_eq!(
            outcome.map_or_else(|error| error.code(), |_| "accepted"),
            expected,
            "{changes}"
        );
    }
    let without_type = json!({"alg": "EdDSA", "kid": "ed-1"});
    verifier
        .verify(&signer.token_with(&without_type, &claims()), NOW)
        .await
        .expect("no type");
}
