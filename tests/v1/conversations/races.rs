//! Many turns at the same moment.

use futures::future::join_all;
use llm::scripted::{Gate, Scripted, Turn};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::Talk;
use crate::support::{World, eventually, tenant, text};
use crate::v1::fairness::{left_behind, places};

impl Talk {
    async fn quick() -> Self {
        let model = Scripted::computed(|_, _| Turn::text("Yes."));
        let world = World::with_model(&model).await;
        let admin = world.founder("ada").await;
        Self::of(world, admin, model, Gate::new(), &[]).await
    }

    /// Every execution of the org, in the order in which they began.
    async fn begun(&self) -> Vec<Value> {
        let mut all = self.admin.list("/v1/executions").await;
        all.retain(|execution| !execution["started_at"].is_null());
        all.sort_by_key(|execution| text(&execution["started_at"]));
        all
    }
}

/// Asserts that no run began before the one before it had ended.
fn assert_one_at_a_time(begun: &[Value]) {
    for pair in begun.windows(2) {
        let (end, start) = (&pair[0]["finished_at"], &pair[1]["started_at"]);
        assert!(text(end) <= text(start), "{} {}", pair[0], pair[1]);
    }
}

#[tokio::test]
async fn of_many_turns_at_once_none_is_lost_and_one_is_open_at_a_time() {
    let talk = Talk::quick().await;
    let inputs: Vec<String> = (0..40).map(|number| format!("{number}")).collect();
    let turns = join_all(inputs.iter().map(|input| talk.turn(input, None))).await;
    let done = eventually("all have ended", async || {
        let now = talk.now().await;
        (now["active"].is_null() && now["turns"] == 40).then_some(now)
    })
    .await;
    assert_eq!(done["waiting"], Value::Null);
    let listed = talk.turns().await;
    let numbers: Vec<u64> = listed
        .iter()
        .filter_map(|turn| turn["turn"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    assert!(listed.iter().all(|turn| turn["state"] == "completed"));

    let begun = talk.begun().await;
    assert_eq!(begun.len(), turns.len());
    assert_one_at_a_time(&begun);
    // In the order in which they were taken in, each told of all before it.
    for (index, execution) in begun.iter().enumerate() {
        assert_eq!(execution["conversation"]["turn"], index + 1);
    }
    let lengths: Vec<usize> = talk
        .model
        .requests()
        .iter()
        .map(|request| request.messages.len())
        .collect();
    let expected: Vec<usize> = (0..40).map(|before| 2 * before.min(20) + 1).collect();
    assert_eq!(lengths, expected);
    let org = tenant(&talk.admin).org();
    assert_eq!(left_behind(talk.world.store(), org).await, 0);
}

#[tokio::test]
async fn of_many_interruptions_at_once_each_ends_one_turn_and_the_last_one_answers() {
    let talk = Talk::quick().await;
    let inputs: Vec<String> = (0..16).map(|number| format!("{number}")).collect();
    let asked = inputs
        .iter()
        .map(|input| talk.turn(input, Some("interrupt")));
    join_all(asked).await;
    talk.idle().await;
    let turns = talk.turns().await;
    assert_eq!(turns.len(), 16);
    for turn in &turns {
        let state = text(&turn["state"]);
        assert!(
            ["completed", "cancelled"].contains(&state.as_str()),
            "{turn}"
        );
    }
    assert_eq!(turns[15]["state"], "completed");
    assert_one_at_a_time(&talk.begun().await);
    let org = tenant(&talk.admin).org();
    assert_eq!(left_behind(talk.world.store(), org).await, 0);
}

/// Turns of every policy, and executions that are paused, resumed and cancelled at random moments.
#[tokio::test]
async fn whatever_is_done_to_turns_none_is_lost_and_none_is_stuck() {
    for seed in [1, 2] {
        let talk = Talk::quick().await;
        let (talk, policies) = (&talk, ["enqueue", "interrupt", "rollback", "reject"]);
        let actors = (0..6).map(|actor| async move {
            let mut random = StdRng::seed_from_u64(seed * 100 + actor);
            let mut begun = 0;
            for number in 0..8 {
                let policy = policies[random.random_range(0..policies.len())];
                let answer = talk.ask(&format!("{actor} {number}"), Some(policy)).await;
                if answer.status == 409 {
                    answer.problem(409, "conversation_busy");
                    continue;
                }
                begun += 1;
                let id = text(&answer.created()["id"]);
                let operations: &[&str] = match random.random_range(0..4) {
                    0 => &["pause", "resume"],
                    1 => &["cancel"],
                    2 => &["pause"],
                    _ => &[],
                };
                for operation in operations {
                    let path = format!("/v1/executions/{id}/{operation}");
                    let answer = talk.admin.post(&path, &json!({})).await;
                    assert!([200, 409].contains(&answer.status.as_u16()), "{answer}");
                }
            }
            begun
        });
        let begun: u64 = join_all(actors).await.into_iter().sum();
        // What was paused for good holds up the others until it is resumed.
        eventually("all have ended", async || {
            let now = talk.now().await;
            if let Some(active) = now["active"].as_str() {
                let path = format!("/v1/executions/{active}/resume");
                talk.admin.post(&path, &json!({})).await;
            }
            (now["active"].is_null() && now["waiting"].is_null()).then_some(())
        })
        .await;
        let turns = talk.turns().await;
        assert_eq!(turns.len() as u64, begun, "seed {seed}");
        let numbers = turns.iter().filter_map(|turn| turn["turn"].as_u64());
        assert!(numbers.eq(1..=begun), "seed {seed}");
        for turn in &turns {
            let state = text(&turn["state"]);
            assert!(
                ["completed", "cancelled"].contains(&state.as_str()),
                "seed {seed}: {turn}"
            );
        }
        let org = tenant(&talk.admin).org();
        assert_eq!(places(talk.world.store(), org).await, Vec::<String>::new());
        assert_eq!(left_behind(talk.world.store(), org).await, 0);
    }
}
