//! Workers that run out of time, die or are replaced while they consolidate.

use std::time::Duration;

use work::Outcome;

use super::{LEASE, LONG, Workshop, essence};

#[tokio::test]
async fn an_attempt_that_has_no_time_takes_one_step_and_the_next_goes_on() {
    let shop = Workshop::open().await;
    let (whole, piecemeal) = (shop.agent("Whole").await, shop.agent("Piecemeal").await);
    shop.fill(whole).await;
    shop.fill(piecemeal).await;
    shop.consolidate(whole).await;
    let job = shop.job(piecemeal).await;
    let mut attempts = 0;
    loop {
        let claimed = shop.claim(&job).await;
        let outcome = shop.attempt(claimed.clone(), Duration::ZERO).await;
        let ended = matches!(outcome, Outcome::Done { .. });
        assert!(ended || outcome == Outcome::Yield, "{outcome:?}");
        shop.settle(&claimed, outcome).await;
        attempts += 1;
        if ended {
            break;
        }
    }
    assert!(attempts > 4, "{attempts} attempts");
    assert_eq!(
        essence(&shop.memories(piecemeal).await),
        essence(&shop.memories(whole).await)
    );
}

#[tokio::test]
async fn workers_that_die_at_any_moment_lose_nothing() {
    let shop = Workshop::open().await;
    let whole = shop.agent("Whole").await;
    shop.fill(whole).await;
    shop.consolidate(whole).await;
    let expected = essence(&shop.memories(whole).await);
    let mut kills = 0;
    for first in [200, 500, 1_100, 1_700] {
        let killed = shop.agent("Killed").await;
        shop.fill(killed).await;
        let job = shop.job(killed).await;
        // Each worker lives longer than the one before, so that the last one ends.
        let mut life = Duration::from_micros(first);
        let outcome = loop {
            let claimed = shop.claim(&job).await;
            match tokio::time::timeout(life, shop.attempt(claimed, LONG)).await {
                Ok(outcome) => break outcome,
                Err(_) => kills += 1,
            }
            life = life * 8 / 5;
            shop.bare.clock.advance(LEASE + Duration::from_secs(1));
        };
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        assert_eq!(essence(&shop.memories(killed).await), expected);
    }
    assert!(kills > 8, "{kills} kills");
}

#[tokio::test]
async fn a_worker_that_was_replaced_changes_nothing() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    shop.fill(guide).await;
    let job = shop.job(guide).await;
    let stale = shop.claim(&job).await;
    shop.bare.clock.advance(LEASE + Duration::from_secs(1));
    let current = shop.claim(&job).await;
    let before = shop.memories(guide).await;
    let outcome = shop.attempt(stale, LONG).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(shop.memories(guide).await, before);
    let outcome = shop.attempt(current, LONG).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(shop.memories(guide).await.len(), 4);
}
