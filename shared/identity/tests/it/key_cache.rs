//! Fetching the issuer's keys: rotation, floods, an issuer that is down.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use identity::{TokenError, Verifier};
use serde_json::json;

use crate::support::{FakeSource, NOW, Signer, claims_with, key_set, verifier};

const HOUR: i64 = 3600;

/// A token that is good for as long as any of these tests last.
fn long_token(signer: &Signer) -> String {
    signer.token(&claims_with(&json!({"exp": NOW + 100 * HOUR})))
}

fn token_with_key_id(signer: &Signer, kid: &str) -> String {
    signer.token_with(
        &json!({"alg": signer.alg(), "kid": kid}),
        &claims_with(&json!({})),
    )
}

async fn code(verifier: &Verifier, token: &str, now: i64) -> &'static str {
    verifier
        .verify(token, now)
        .await
        .map_or_else(|error| error.code(), |_| "accepted")
}

/// Lets other tasks run until they have begun this many fetches.
async fn fetches_reach(source: &FakeSource, count: usize) {
    let reached = async {
        while source.fetches() < count {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), reached).await;
    waited.expect("a fetch that begins");
}

#[tokio::test]
async fn a_fresh_set_is_not_fetched_again_for_an_hour() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    let token = long_token(&signer);
    for (after, fetches) in [
        (0, 1),
        (1, 1),
        (HOUR - 1, 1),
        (HOUR, 2),
        (HOUR + 1, 2),
        (2 * HOUR, 3),
    ] {
        assert_eq!(
            code(&verifier, &token, NOW + after).await,
            "accepted",
            "{after}"
        );
        assert_eq!(source.fetches(), fetches, "{after}");
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_a_withdrawn_one_stops_working() {
    let (old, new) = (Signer::ed("old"), Signer::ec("new"));
    let source = FakeSource::new(key_set([&old]));
    let verifier = verifier(source.clone());
    let (old_token, new_token) = (long_token(&old), long_token(&new));
    assert_eq!(code(&verifier, &old_token, NOW).await, "accepted");

    source.publish(key_set([&old, &new]));
    assert_eq!(code(&verifier, &new_token, NOW + 600).await, "accepted");
    assert_eq!(code(&verifier, &old_token, NOW + 601).await, "accepted");
    assert_eq!(source.fetches(), 2);

    source.publish(key_set([&new]));
    assert_eq!(
        code(&verifier, &old_token, NOW + 600 + HOUR).await,
        "unknown_key"
    );
    assert_eq!(
        code(&verifier, &new_token, NOW + 600 + HOUR).await,
        "accepted"
    );
    assert_eq!(source.fetches(), 3);
}

/// An issuer may put another key behind an id, even one of another kind.
#[tokio::test]
async fn a_key_replaced_under_its_id_is_replaced_here_too() {
    let (old, new) = (Signer::rsa("same"), Signer::ed("same"));
    let source = FakeSource::new(key_set([&old]));
    let verifier = verifier(source.clone());
    assert_eq!(code(&verifier, &long_token(&old), NOW).await, "accepted");
    source.publish(key_set([&new]));
    assert_eq!(
        code(&verifier, &long_token(&new), NOW + HOUR).await,
        "accepted"
    );
    assert_eq!(
        code(&verifier, &long_token(&old), NOW + HOUR).await,
        "bad_signature"
    );
}

#[tokio::test]
async fn unknown_key_ids_fetch_at_most_every_thirty_seconds() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    assert_eq!(code(&verifier, &long_token(&signer), NOW).await, "accepted");
    for (after, fetches) in [(1, 1), (29, 1), (30, 2), (31, 2), (59, 2), (60, 3)] {
        let token = token_with_key_id(&signer, &format!("made-up-{after}"));
        assert_eq!(
            code(&verifier, &token, NOW + after).await,
            "unknown_key",
            "{after}"
        );
        assert_eq!(source.fetches(), fetches, "{after}");
    }
}

/// 10,000 made-up key ids over two minutes, in waves of a hundred at once.
#[tokio::test]
async fn a_flood_of_key_ids_is_no_flood_of_fetches() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    for wave in 0..100 {
        let now = NOW + wave * 120 / 100;
        let tokens: Vec<String> = (0..100)
            .map(|index| token_with_key_id(&signer, &format!("{wave}-{index}")))
            .collect();
        let outcomes = join_all(tokens.iter().map(|token| verifier.verify(token, now))).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| *outcome == Err(TokenError::UnknownKey))
        );
        // Honest callers are served in the middle of it.
        assert_eq!(code(&verifier, &long_token(&signer), now).await, "accepted");
    }
    assert!((2..=4).contains(&source.fetches()), "{}", source.fetches());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_arrive_together_share_one_fetch() {
    let signer = Signer::ed("a");
    let source = FakeSource::closed(key_set([&signer]));
    let verifier = Arc::new(verifier(source.clone()));
    let token = Arc::new(long_token(&signer));
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let (verifier, token) = (Arc::clone(&verifier), Arc::clone(&token));
            tokio::spawn(async move { verifier.verify(&token, NOW).await.is_ok() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    source.open();
    for call in calls {
        assert!(call.await.expect("a call"));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn without_any_keys_the_issuer_is_asked_every_two_seconds() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    source.go_down();
    let verifier = verifier(source.clone());
    let token = long_token(&signer);
    for (after, fetches) in [(0, 1), (0, 1), (1, 1), (2, 2), (3, 2), (4, 3)] {
        assert_eq!(
            code(&verifier, &token, NOW + after).await,
            "keys_unavailable",
            "{after}"
        );
        assert_eq!(source.fetches(), fetches, "{after}");
    }
    source.publish(key_set([&signer]));
    assert_eq!(code(&verifier, &token, NOW + 6).await, "accepted");
}

#[tokio::test]
async fn keys_serve_for_a_day_while_the_issuer_is_down() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    let token = long_token(&signer);
    assert_eq!(code(&verifier, &token, NOW).await, "accepted");
    source.go_down();
    for after in [HOUR, HOUR + 1, 2 * HOUR, 23 * HOUR, 24 * HOUR - 1] {
        assert_eq!(
            code(&verifier, &token, NOW + after).await,
            "accepted",
            "{after}"
        );
    }
    // One attempt per half minute, not per request.
    assert_eq!(source.fetches(), 1 + 4);
    assert_eq!(
        code(&verifier, &token, NOW + 24 * HOUR + 30).await,
        "keys_unavailable"
    );
    source.publish(key_set([&signer]));
    assert_eq!(
        code(&verifier, &token, NOW + 24 * HOUR + 60).await,
        "accepted"
    );
}

/// While the issuer cannot be asked, an unknown key id is not known to be wrong.
#[tokio::test]
async fn an_unknown_key_id_is_not_called_unknown_while_the_issuer_is_down() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = verifier(source.clone());
    assert_eq!(code(&verifier, &long_token(&signer), NOW).await, "accepted");
    source.go_down();
    let stranger = token_with_key_id(&signer, "b");
    assert_eq!(
        code(&verifier, &stranger, NOW + 30).await,
        "keys_unavailable"
    );
    assert_eq!(
        code(&verifier, &stranger, NOW + 31).await,
        "keys_unavailable"
    );
    assert_eq!(
        code(&verifier, &long_token(&signer), NOW + 31).await,
        "accepted"
    );
    assert_eq!(source.fetches(), 2);
    source.publish(key_set([&signer]));
    assert_eq!(code(&verifier, &stranger, NOW + 60).await, "unknown_key");
}

#[tokio::test]
async fn a_document_without_keys_does_not_replace_a_good_set() {
    let signer = Signer::ed("a");
    for bad in [
        "<html>maintenance</html>",
        "{\"keys\":[]}",
        "",
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AA\"}]}",
    ] {
        let source = FakeSource::new(key_set([&signer]));
        let verifier = verifier(source.clone());
        assert_eq!(code(&verifier, &long_token(&signer), NOW).await, "accepted");
        source.publish(bad.as_bytes().to_vec());
        assert_eq!(
            code(&verifier, &long_token(&signer), NOW + HOUR).await,
            "accepted",
            "{bad}"
        );
        assert_eq!(source.fetches(), 2);
    }
}

/// Only the caller that fetches waits for a slow issuer; the others use the key they have.
#[tokio::test]
async fn a_slow_issuer_delays_one_caller_and_not_all() {
    let signer = Signer::ed("a");
    let source = FakeSource::new(key_set([&signer]));
    let verifier = Arc::new(verifier(source.clone()));
    let token = long_token(&signer);
    assert_eq!(code(&verifier, &token, NOW).await, "accepted");

    source.close();
    let slow = {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        tokio::spawn(async move { verifier.verify(&token, NOW + HOUR).await.is_ok() })
    };
    fetches_reach(&source, 2).await;
    for _ in 0..50 {
        let call = code(&verifier, &token, NOW + HOUR);
        let outcome = tokio::time::timeout(Duration::from_secs(5), call).await;
        assert_eq!(outcome.expect("no waiting"), "accepted");
    }
    assert!(!slow.is_finished());
    source.open();
    assert!(slow.await.expect("the slow caller"));
    assert_eq!(source.fetches(), 2);
}

/// A caller that hangs up half-way takes its fetch with it; the next may try, within the limit.
#[tokio::test]
async fn an_abandoned_fetch_counts_and_does_not_block() {
    let signer = Signer::ed("a");
    let source = FakeSource::closed(key_set([&signer]));
    let verifier = Arc::new(verifier(source.clone()));
    let token = long_token(&signer);
    let abandoned = {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        tokio::spawn(async move { verifier.verify(&token, NOW).await })
    };
    fetches_reach(&source, 1).await;
    abandoned.abort();
    assert!(abandoned.await.expect_err("aborted").is_cancelled());
    source.open();
    assert_eq!(code(&verifier, &token, NOW + 1).await, "keys_unavailable");
    assert_eq!(source.fetches(), 1);
    assert_eq!(code(&verifier, &token, NOW + 2).await, "accepted");
    assert_eq!(source.fetches(), 2);
}

/// A clock that was wrong and is set back must not keep new keys out until it catches up.
#[tokio::test]
async fn a_clock_set_back_does_not_stop_fetching() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let source = FakeSource::new(key_set([&old]));
    let verifier = verifier(source.clone());
    let far = NOW + 10 * HOUR;
    assert_eq!(code(&verifier, &long_token(&old), far).await, "accepted");
    source.publish(key_set([&new]));
    assert_eq!(code(&verifier, &long_token(&new), NOW).await, "accepted");
    assert_eq!(source.fetches(), 2);
}
