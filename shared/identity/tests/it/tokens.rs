//! Which genuine tokens are accepted, and what is said of the others.

use identity::{Claims, ConfigError, MAX_TOKEN_BYTES, TokenError, Verifier};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    AUDIENCE, FakeSource, ISSUER, NOW, Signer, b64, claims, claims_with, key_set, simple, verifier,
};

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
        let claims = verifier.verify(&token, NOW).await.expect("a genuine token");
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
    // Four characters of token for three bytes of padding, so one of these fits to the character,
    // or nearly.
    let about = (MAX_TOKEN_BYTES - padded(0).len()) * 3 / 4;
    let (fitting, too_long): (Vec<_>, Vec<_>) = (about - 4..about + 4)
        .map(padded)
        .partition(|token| token.len() <= MAX_TOKEN_BYTES);
    for token in too_long.iter().chain([&"a".repeat(1 << 24)]) {
        let error = verifier.verify(token, NOW).await.expect_err("too long");
        assert_eq!(error.code(), "malformed");
    }
    assert!(!too_long.is_empty());
    assert_eq!(source.fetches(), 0);

    let longest = fitting.last().expect("one that fits");
    assert!(longest.len() > MAX_TOKEN_BYTES - 4, "{}", longest.len());
    verifier
        .verify(longest, NOW)
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
