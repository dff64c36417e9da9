//! The runs of one org beside the many of another.

use std::time::{Duration, Instant};

use kernel::Timestamp;
use llm::scripted::{Gate, Scripted, Turn};
use serde_json::Value;

use super::{PLACES, agent, called, flood, holding, input, left_behind, start};
use crate::support::{Api, World, ended, tenant, text};

/// What may be added to a wait on a machine that does other things as well.
const NOISE: Duration = Duration::from_secs(1);

/// How long a run waited from its start to its first step.
async fn wait_of(api: &Api, run: &str) -> (Duration, Value) {
    let run = ended(api, run).await;
    let moment = |name: &str| -> Timestamp { text(&run[name]).parse().expect("a moment") };
    (moment("started_at").since(moment("created_at")), run)
}

/// The middle and the longest of some waits.
fn summary(waits: &mut [Duration]) -> (Duration, Duration) {
    waits.sort_unstable();
    (waits[waits.len() / 2], waits[waits.len() - 1])
}

/// One org starts `count` runs that stay where they are; another's runs come one by one.
async fn beside_a_backlog(count: usize) {
    let gate = Gate::new();
    let model = holding(&gate);
    let world = World::with_model(&model).await;
    let (busy, quiet) = (world.founder("ada").await, world.founder("eve").await);
    let (theirs, own) = (agent(&busy, None).await, agent(&quiet, None).await);
    let mut idle = Vec::new();
    for number in 0..10 {
        let run = start(&quiet, &own, &format!("{number}")).await;
        idle.push(wait_of(&quiet, &run).await.0);
    }
    let began = Instant::now();
    flood(&busy, &theirs, count).await;
    let flooded = began.elapsed();
    called(&model, PLACES + 10).await;

    let mut waits = Vec::new();
    for number in 0..10 {
        let run = start(&quiet, &own, &format!("{number}")).await;
        let (wait, run) = wait_of(&quiet, &run).await;
        assert_eq!(run["state"], "completed");
        waits.push(wait);
    }
    // The backlog has not moved: nobody had to give way.
    assert_eq!(model.calls(), PLACES + 20);
    let waiting = left_behind(world.store(), tenant(&busy).org()).await - PLACES;
    assert_eq!(waiting, count - PLACES);
    let ((idle_middle, idle_longest), (middle, longest)) =
        (summary(&mut idle), summary(&mut waits));
    eprintln!(
        "{count} runs queued in {flooded:?}; waits of the other org: idle {idle_middle:?}, at most \
         {idle_longest:?}; beside the backlog {middle:?}, at most {longest:?}"
    );
    assert!(
        middle <= 2 * idle_middle + NOISE,
        "{middle:?} {idle_middle:?}"
    );
}

#[tokio::test]
async fn a_backlog_of_one_org_is_not_in_the_way_of_another() {
    beside_a_backlog(200).await;
}

#[tokio::test]
#[ignore = "takes minutes; prints the waits beside 10,000 queued runs"]
async fn ten_thousand_queued_runs_of_one_org_are_not_in_the_way_of_another() {
    beside_a_backlog(10_000).await;
}

#[tokio::test]
async fn while_one_org_works_off_a_backlog_the_runs_of_another_come_in_between() {
    let gate = Gate::new();
    let at = gate.clone();
    let model = Scripted::computed(move |request, _| {
        let turn = Turn::text("One two three.");
        if input(request).starts_with("hold") {
            turn.gated_after(0, &at).paced(Duration::from_millis(30))
        } else {
            turn
        }
    });
    let world = World::with_model(&model).await;
    let (busy, quiet) = (world.founder("ada").await, world.founder("eve").await);
    let (theirs, own) = (agent(&busy, None).await, agent(&quiet, None).await);
    let backlog = flood(&busy, &theirs, 200).await;
    for _ in &backlog {
        gate.open();
    }
    let mut waits = Vec::new();
    for number in 0..5 {
        let run = start(&quiet, &own, &format!("{number}")).await;
        waits.push(wait_of(&quiet, &run).await);
    }
    let mut begun = Vec::new();
    for run in &backlog {
        let run = ended(&busy, run).await;
        assert_eq!(run["state"], "completed");
        begun.push(text(&run["started_at"]));
    }
    for (wait, run) in &waits {
        let (created, started) = (text(&run["created_at"]), text(&run["started_at"]));
        let later = begun.iter().filter(|at| **at > started).count();
        let between = begun
            .iter()
            .filter(|at| **at >= created && **at <= started)
            .count();
        eprintln!("{between} runs of the busy org began in the {wait:?} before it, {later} later");
        assert!(later > 0, "the backlog was there");
        // Those rung for before it, and at most one more in the place of each while it begins.
        assert!(between <= 2 * PLACES, "{between}");
    }
    assert_eq!(left_behind(world.store(), tenant(&busy).org()).await, 0);
}
