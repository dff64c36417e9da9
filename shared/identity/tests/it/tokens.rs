//! Which tokens are accepted, and what is said of the others.

use aws_lc_rs::hmac;
use identity::{Claims, ConfigError, MAX_TOKEN_BYTES, TokenError, Verifier};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    AUDIENCE, FakeSource, ISSUER, NOW, Signer, b64, claims, claims_with, key_set, verifier,
};

/// A verifier that knows one Ed25519 key, with that key.
fn simple() -> (Signer, Verifier) {
    let signer = Signer::ed("ed-1");
    let verifier = verifier(FakeSource::new(key_set([&signer])));
    (signer, verifier)
}

async fn outcome_of(changes: Value) -> Result<Claims, TokenError> {
    let (signer, verifier) = simple();
    verifier
        .verify(&signer.token(&claims_with(&changes)), NOW)
        .await
}

async fn code_of(changes: Value) -> &'static str {
    outcome_of(changes)
        .await
        .map_or_else(|error| error.code(), |_| "accepted")
}

#[tokio::test]
async fn genuine_tokens_of_each_algorithm_are_accepted() {
    let signers = Signer::one_of_each();
    let verifier = verifier(FakeSource::new(key_set(&signers)));
    for signer in &signers {
        let token = signer.token(&claims_with(&json!({
            "email": "ada@example.com", "email_verified": true, "name": " Ada Lovelace "
        })));
        let claims = verifier.verify(&token, NOW).await.expect(signer.alg());
        assert_eq!(claims.subject, "user-1");
        assert_eq!(claims.issuer, ISSUER);
        assert_eq!(claims.email.as_deref(), Some("ada@example.com"));
        assert!(claims.email_verified);
        assert_eq!(claims.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(claims.expires_at, NOW + 300);
        let shown = format!("{claims:?}");
        assert!(shown.contains("user-1") && !shown.contains("ada@") && !shown.contains("Ada"));
    }
}

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
async fn times_are_checked_with_a_minute_of_leeway() {
    for (changes, expected) in [
        (json!({"exp": NOW + 1}), "accepted"),
        (json!({"exp": NOW - 59}), "accepted"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": NOW - 61}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": -1}), "expired"),
        (json!({"exp": -1e300}), "expired"),
        (json!({"exp": 1e300}), "accepted"),
        (json!({"exp": NOW as f64 - 59.5}), "expired"),
        (json!({"exp": NOW as f64 + 0.5}), "accepted"),
        (json!({"exp": null}), "malformed"),
        (json!({"exp": "1999999999"}), "malformed"),
        (json!({"exp": true}), "malformed"),
        (json!({"exp": [NOW + 300]}), "malformed"),
        (json!({"nbf": NOW + 60}), "accepted"),
        (json!({"nbf": NOW + 61}), "not_yet_valid"),
        (json!({"nbf": 1e300}), "not_yet_valid"),
        (json!({"nbf": null}), "accepted"),
        (json!({"nbf": "soon"}), "malformed"),
    ] {
        assert_eq!(code_of(changes.clone()).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn time_is_what_the_caller_says_it_is() {
    let (signer, verifier) = simple();
    let token = signer.token(&claims());
    for (now, expected) in [
        (NOW - 66, Err(TokenError::NotYetValid)),
        (NOW - 65, Ok(())),
        (NOW + 359, Ok(())),
        (NOW + 360, Err(TokenError::Expired)),
        (i64::MAX, Err(TokenError::Expired)),
        (i64::MIN, Err(TokenError::NotYetValid)),
    ] {
        assert_eq!(
            verifier.verify(&token, now).await.map(drop),
            expected,
            "{now}"
        );
    }
}

#[tokio::test]
async fn the_issuer_must_match_to_the_letter() {
    for (iss, expected) in [
        (json!(null), "wrong_issuer"),
        (json!(""), "wrong_issuer"),
        (json!("https://issuer.example.com/pool/"), "wrong_issuer"),
        (json!("https://issuer.example.com/Pool"), "wrong_issuer"),
        (json!("http://issuer.example.com/pool"), "wrong_issuer"),
        (json!("https://issuer.example.com/pool2"), "wrong_issuer"),
        (json!("https://attacker.example.com"), "wrong_issuer"),
        (json!([ISSUER]), "malformed"),
        (json!(ISSUER), "accepted"),
    ] {
        assert_eq!(code_of(json!({ "iss": iss })).await, expected, "{iss}");
    }
}

#[tokio::test]
async fn the_audience_must_be_ours() {
    for (changes, expected) in [
        (json!({"aud": [AUDIENCE]}), "accepted"),
        (json!({"aud": ["other", AUDIENCE]}), "accepted"),
        (json!({"aud": "other"}), "wrong_audience"),
        (json!({"aud": ""}), "wrong_audience"),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"aud": ["over", "glass"]}), "wrong_audience"),
        (json!({"aud": "Overglass"}), "wrong_audience"),
        (
            json!({"aud": format!("{AUDIENCE} other")}),
            "wrong_audience",
        ),
        (json!({"aud": null}), "wrong_audience"),
        (json!({"aud": 7}), "malformed"),
        (json!({"aud": [7, AUDIENCE]}), "malformed"),
        // Cognito's access tokens.
        (
            json!({"aud": null, "client_id": AUDIENCE, "token_use": "access"}),
            "accepted",
        ),
        (
            json!({"aud": null, "client_id": "other", "token_use": "access"}),
            "wrong_audience",
        ),
        (
            json!({"aud": null, "client_id": AUDIENCE, "token_use": "id"}),
            "wrong_audience",
        ),
        (
            json!({"aud": null, "client_id": AUDIENCE}),
            "wrong_audience",
        ),
        (
            json!({"aud": null, "token_use": "access"}),
            "wrong_audience",
        ),
        // A wrong audience is not made good by a client id.
        (
            json!({"aud": "other", "client_id": AUDIENCE, "token_use": "access"}),
            "wrong_audience",
        ),
        // Cognito's identity tokens.
        (json!({"token_use": "id"}), "accepted"),
    ] {
        assert_eq!(code_of(changes.clone()).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn several_audiences_may_be_accepted() {
    let signer = Signer::ed("ed-1");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = Verifier::new(ISSUER, ["web", "cli"], source).expect("a verifier");
    for (audience, accepted) in [("web", true), ("cli", true), (AUDIENCE, false)] {
        let token = signer.token(&claims_with(&json!({ "aud": audience })));
        assert_eq!(
            verifier.verify(&token, NOW).await.is_ok(),
            accepted,
            "{audience}"
        );
    }
}

#[tokio::test]
async fn a_token_needs_a_subject() {
    for (sub, expected) in [
        (json!(null), "malformed"),
        (json!(""), "malformed"),
        (json!(7), "malformed"),
        (json!("s".repeat(255)), "accepted"),
        (json!("s".repeat(256)), "malformed"),
    ] {
        assert_eq!(code_of(json!({ "sub": sub })).await, expected, "{sub}");
    }
}

#[tokio::test]
async fn email_and_name_are_taken_with_care() {
    for (changes, email, verified) in [
        (json!({}), None, false),
        (json!({"email": "a@b.c"}), Some("a@b.c"), false),
        (
            json!({"email": "a@b.c", "email_verified": true}),
            Some("a@b.c"),
            true,
        ),
        (
            json!({"email": "a@b.c", "email_verified": "true"}),
            Some("a@b.c"),
            true,
        ),
        (
            json!({"email": "a@b.c", "email_verified": "false"}),
            Some("a@b.c"),
            false,
        ),
        (
            json!({"email": "a@b.c", "email_verified": "TRUE "}),
            Some("a@b.c"),
            false,
        ),
        (json!({"email_verified": true}), None, false),
        (json!({"email": "", "email_verified": true}), None, false),
        (
            json!({"email": "no address", "email_verified": true}),
            None,
            false,
        ),
        (
            json!({"email": "a@b\r\nBcc: x@y.z", "email_verified": true}),
            None,
            false,
        ),
        (
            json!({"email": format!("{}@b.c", "a".repeat(251)), "email_verified": true}),
            None,
            false,
        ),
    ] {
        let claims = outcome_of(changes.clone()).await.expect("accepted");
        assert_eq!(
            (claims.email.as_deref(), claims.email_verified),
            (email, verified),
            "{changes}"
        );
    }
    let long = outcome_of(json!({"name": "é".repeat(300)}))
        .await
        .expect("accepted");
    assert_eq!(long.name.expect("a name").chars().count(), 200);
    assert_eq!(
        outcome_of(json!({"name": "  "}))
            .await
            .expect("accepted")
            .name,
        None
    );
    assert_eq!(code_of(json!({"email_verified": 1})).await, "malformed");
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

/// Two parsers may take different ones of two equal names.
#[tokio::test]
async fn repeated_names_are_refused() {
    let (signer, verifier) = simple();
    let good = signer.header().to_string();
    let claims_text = claims().to_string();
    let twice = claims_text.replacen('{', r#"{"sub":"admin","#, 1);
    let outcome = verifier.verify(&signer.token_of(&good, &twice), NOW).await;
    assert_eq!(outcome.expect_err("two subjects").code(), "malformed");
    let twice = good.replacen('{', r#"{"kid":"other","#, 1);
    let outcome = verifier
        .verify(&signer.token_of(&twice, &claims_text), NOW)
        .await;
    assert_eq!(outcome.expect_err("two key ids").code(), "malformed");
}

#[tokio::test]
async fn oversized_tokens_are_refused_before_anything_else() {
    let signer = Signer::ed("ed-1");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    let padded =
        |length: usize| signer.token(&claims_with(&json!({"padding": "p".repeat(length)})));
    let too_long = (0..)
        .map(padded)
        .find(|token| token.len() > MAX_TOKEN_BYTES)
        .expect("a long one");
    assert_eq!(
        verifier
            .verify(&too_long, NOW)
            .await
            .expect_err("too long")
            .code(),
        "malformed"
    );
    assert_eq!(
        verifier
            .verify(&"a".repeat(1 << 24), NOW)
            .await
            .expect_err("too long")
            .code(),
        "malformed"
    );
    assert_eq!(source.fetches(), 0);

    let longest = (0..7000)
        .map(padded)
        .filter(|token| token.len() <= MAX_TOKEN_BYTES)
        .last();
    let longest = longest.expect("one that fits");
    assert!(longest.len() > MAX_TOKEN_BYTES - 4, "{}", longest.len());
    verifier
        .verify(&longest, NOW)
        .await
        .expect("as long as allowed");
}

#[tokio::test]
async fn texts_that_are_not_tokens_are_malformed() {
    let signer = Signer::ed("ed-1");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    let token = signer.token(&claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let deep = format!(r#"{{"alg":{}"#, "[".repeat(4000));
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "not a token".to_owned(),
        format!("Bearer {token}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{}.{payload}.{signature}", b64("null")),
        format!("{}.{payload}.{signature}", b64("[]")),
        format!("{}.{payload}.{signature}", b64(r#""EdDSA""#)),
        format!("{}.{payload}.{signature}", b64(deep)),
        format!("{}.{payload}.{signature}", b64([0xff, 0xfe])),
        signer.token_of(&signer.header().to_string(), "null"),
        signer.token_of(&signer.header().to_string(), "[]"),
        signer.token_of(&signer.header().to_string(), "{"),
        signer.token_of(&signer.header().to_string(), &"[".repeat(4000)),
    ] {
        let error = verifier.verify(&text, NOW).await.expect_err(&text);
        assert_eq!(error.code(), "malformed", "{text:?}");
    }
}

#[tokio::test]
async fn messages_repeat_nothing_of_the_token() {
    let canary = "canary-8c1f";
    for changes in [
        json!({"iss": canary}),
        json!({"aud": canary}),
        json!({"exp": canary}),
        json!({"exp": 1, "sub": canary}),
    ] {
        let error = outcome_of(changes).await.expect_err("refused");
        assert!(!format!("{error} {error:?}").contains(canary), "{error:?}");
    }
}

#[test]
fn a_verifier_needs_an_issuer_and_audiences() {
    let source = || FakeSource::new(Vec::new());
    assert_eq!(
        Verifier::new("", [AUDIENCE], source()).err(),
        Some(ConfigError::NoIssuer)
    );
    assert_eq!(
        Verifier::new(ISSUER, [""; 0], source()).err(),
        Some(ConfigError::NoAudience)
    );
    assert_eq!(
        Verifier::new(ISSUER, [AUDIENCE, ""], source()).err(),
        Some(ConfigError::NoAudience)
    );
}

proptest! {
    /// No text is accepted but a signed one, and none brings the verifier down.
    #[test]
    fn arbitrary_texts_are_refused(
        text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}"]
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (_, verifier) = simple();
        prop_assert!(runtime.block_on(verifier.verify(&text, NOW)).is_err());
    }

    /// The same for payloads that are signed and JSON but otherwise anything.
    #[test]
    fn arbitrary_signed_payloads_are_never_accepted_without_the_claims_that_matter(
        value in arbitrary_json()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (signer, verifier) = simple();
        prop_assert!(runtime.block_on(verifier.verify(&signer.token(&value), NOW)).is_err());
    }
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::from),
        Just(json!(ISSUER)),
        Just(json!(AUDIENCE)),
    ];
    let name = prop_oneof!["iss", "aud", "nbf", "sub", "email", "name", "[a-z]{1,4}"];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
