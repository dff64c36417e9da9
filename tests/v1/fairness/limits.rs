//! Places: how many there are, who gets them and how they are given up.

use std::collections::HashSet;
use std::time::Duration;

use llm::ModelError;
use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::json;
use store::Store;

use super::{
    PLACES, admission, agent, attribute, called, flood, holding, input, left_behind, places, start,
    state,
};
use crate::support::bare::Bare;
use crate::support::world::{Setup, prices};
use crate::support::{Api, World, ended, eventually, tenant, text, within};

/// The longest time of an invocation.
const LONG: Duration = Duration::from_secs(900);

/// How many doorbells of executions that somebody waits for lie in the queue.
async fn doorbells(store: &Store) -> usize {
    let attributes = store
        .clients()
        .sqs()
        .get_queue_attributes()
        .queue_url(store.config().queue(work::Lane::AgentInteractive))
        .attribute_names("All".into())
        .send()
        .await
        .expect("an answer");
    let all = attributes.attributes.unwrap_or_default();
    let counts = all
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"));
    counts
        .filter_map(|(_, count)| count.parse::<usize>().ok())
        .sum()
}

/// Long enough for anything that should not happen to happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

#[tokio::test]
async fn an_org_runs_as_much_at_once_as_it_has_places_and_rings_for_no_more() {
    let gate = Gate::new();
    let model = holding(&gate);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, None).await;
    let (store, org) = (world.store(), tenant(&admin).org());
    let runs = flood(&admin, &guide, PLACES + 15).await;
    called(&model, PLACES).await;
    for ended in 0..=15 {
        called(&model, PLACES + ended).await;
        // All places are taken, each by another, and what is beyond waits.
        let held = places(store, org).await;
        assert_eq!(held.len(), PLACES);
        assert_eq!(held.iter().collect::<HashSet<_>>().len(), PLACES);
        let running = admin.list("/v1/executions?state=running").await;
        assert!(running.len() <= PLACES, "{}", running.len());
        assert!(
            model.calls() <= PLACES + ended,
            "after {ended}: {}",
            model.calls()
        );
        gate.open();
    }
    for _ in 0..PLACES {
        gate.open();
    }
    for run in &runs {
        assert_eq!(ended(&admin, run).await["state"], "completed");
    }
    assert_eq!(left_behind(store, org).await, 0);
}

#[tokio::test]
async fn the_queue_holds_no_more_doorbells_of_an_org_than_it_has_places() {
    let bare = Bare::start().await;
    let (one, other) = (bare.founder("ada").await, bare.founder("eve").await);
    let guide = agent(&one, None).await;
    flood(&one, &guide, 5 * PLACES).await;
    assert_eq!(doorbells(&bare.store).await, PLACES);
    let theirs = agent(&other, None).await;
    start(&other, &theirs, "hello").await;
    assert_eq!(doorbells(&bare.store).await, PLACES + 1);
    // The sweeper, hours later, rings again for those with a place and for nobody else.
    bare.clock.advance(Duration::from_secs(3 * 3_600));
    let before = doorbells(&bare.store).await;
    sweeper::sweep(&bare.store, bare.store.now())
        .await
        .expect("a whole sweep");
    assert_eq!(doorbells(&bare.store).await, before + PLACES + 1);
}

#[tokio::test]
async fn runs_are_let_in_in_the_order_in_which_they_came() {
    let gate = Gate::new();
    let model = holding(&gate);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, Some(1)).await;
    let mut runs = Vec::new();
    for number in 0..12 {
        runs.push(start(&admin, &guide, &format!("hold {number}")).await);
    }
    for count in 1..=12 {
        called(&model, count).await;
        assert_eq!(model.calls(), count, "one at a time");
        gate.open();
    }
    for run in &runs {
        ended(&admin, run).await;
    }
    let order: Vec<String> = model
        .requests()
        .iter()
        .map(|request| input(request).to_owned())
        .collect();
    let expected: Vec<String> = (0..12).map(|number| format!("hold {number}")).collect();
    assert_eq!(order, expected);
    let org = tenant(&admin).org();
    assert_eq!(admission(world.store(), org, Some(&guide)).await.len(), 0);
    assert_eq!(left_behind(world.store(), org).await, 0);
}

#[tokio::test]
async fn an_agent_with_a_limit_holds_up_only_itself() {
    let gate = Gate::new();
    let model = holding(&gate);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let (limited, free) = (agent(&admin, Some(3)).await, agent(&admin, None).await);
    let runs = flood(&admin, &limited, 12).await;
    called(&model, 3).await;
    let quick = start(&admin, &free, "quick").await;
    assert_eq!(ended(&admin, &quick).await["state"], "completed");
    a_while().await;
    assert_eq!(model.calls(), 4);
    let (store, org) = (world.store(), tenant(&admin).org());
    for count in 1..=12 {
        let held = admission(store, org, Some(&limited)).await;
        let held = held
            .iter()
            .filter(|row| attribute(row, "sk").starts_with("PLACE#"));
        assert!(held.count() <= 3);
        assert!(model.calls() <= 4 + count, "{}", model.calls());
        gate.open();
        called(&model, (4 + count).min(13)).await;
    }
    for run in &runs {
        assert_eq!(ended(&admin, run).await["state"], "completed");
    }
    assert_eq!(left_behind(store, org).await, 0);
    assert_eq!(admission(store, org, Some(&limited)).await.len(), 0);
}

/// An org with an agent that runs once at a time, and a model that does as the input says.
struct Single {
    world: World,
    admin: Api,
    agent: String,
    gates: [Gate; 2],
}

impl Single {
    async fn start() -> Self {
        let gates = [Gate::new(), Gate::new()];
        let at = gates.clone();
        let model = Scripted::computed(move |request, _| match input(request) {
            "hold 0" => Turn::text("Held.").gated_after(0, &at[0]),
            "hold 1" => Turn::text("Held.").gated_after(0, &at[1]),
            "fail" => Turn::fail(ModelError::ContextTooLong {
                message: "Too long.".to_owned(),
            }),
            _ => Turn::text("Done."),
        });
        let setup = Setup {
            model,
            prices: prices(1),
            ..Setup::default()
        };
        let world = World::with(setup).await;
        let admin = world.founder("ada").await;
        let agent = agent(&admin, Some(1)).await;
        Self {
            world,
            admin,
            agent,
            gates,
        }
    }

    async fn run(&self, input: &str) -> String {
        start(&self.admin, &self.agent, input).await
    }

    /// A run whose reply waits at this gate.
    async fn held(&self, gate: usize) -> String {
        let run = self.run(&format!("hold {gate}")).await;
        within("the model speaks", self.gates[gate].arrived()).await;
        run
    }

    async fn apply(&self, operation: &str, execution: &str) {
        let path = format!("/v1/executions/{execution}/{operation}");
        self.admin.post(&path, &json!({})).await.ok();
    }

    /// Whether a run can go, now that nobody else holds the only place.
    async fn is_free(&self) {
        let run = self.run("quick").await;
        assert_eq!(ended(&self.admin, &run).await["state"], "completed");
        let (store, org) = (self.world.store(), tenant(&self.admin).org());
        assert_eq!(left_behind(store, org).await, 0);
        assert_eq!(admission(store, org, Some(&self.agent)).await.len(), 0);
    }
}

#[tokio::test]
async fn a_place_is_given_up_however_a_run_ends_and_while_it_waits() {
    let single = Single::start().await;
    single.is_free().await;

    let failed = single.run("fail").await;
    assert_eq!(ended(&single.admin, &failed).await["state"], "failed");
    single.is_free().await;

    // Cancelled: while it runs, in line, and once it has its place and was not begun.
    let held = single.held(0).await;
    let (in_line, behind) = (single.run("quick").await, single.run("quick").await);
    single.apply("cancel", &in_line).await;
    single.apply("cancel", &held).await;
    assert_eq!(ended(&single.admin, &behind).await["state"], "completed");
    single.gates[0].open();
    single.is_free().await;

    // Paused: while it runs and in line.
    let held = single.held(1).await;
    let in_line = single.run("quick").await;
    single.apply("pause", &in_line).await;
    single.apply("pause", &held).await;
    single.gates[1].open();
    single.is_free().await;
    single.apply("resume", &held).await;
    single.apply("resume", &in_line).await;
    for run in [&held, &in_line] {
        assert_eq!(ended(&single.admin, run).await["state"], "completed");
    }
    single.is_free().await;

    // Out of credits: it waits without its place, and takes one when the budget is raised.
    let path = format!("/v1/budgets/agents/{}", single.agent);
    let budget = |micros: i64| json!({ "granted_micro_credits": micros });
    single.admin.put(&path, &budget(1)).await.ok();
    let poor = single.run("quick").await;
    eventually("the credits run out", async || {
        (state(&single.admin, &poor).await["state"] == "over_budget").then_some(())
    })
    .await;
    let (store, org) = (single.world.store(), tenant(&single.admin).org());
    assert_eq!(left_behind(store, org).await, 0);
    single.admin.put(&path, &budget(1_000_000)).await.ok();
    assert_eq!(ended(&single.admin, &poor).await["state"], "completed");
    single.is_free().await;
}

#[tokio::test]
async fn a_place_is_given_up_by_a_run_whose_time_is_over() {
    let bare = Bare::start().await;
    let admin = bare.machine("ada").await;
    let guide = agent(&admin, Some(1)).await;
    // One has the place and is never begun; one waits in line until its time is over as well.
    let (first, second) = (
        start(&admin, &guide, "a").await,
        start(&admin, &guide, "b").await,
    );
    bare.clock.advance(Duration::from_secs(23 * 3_600));
    let third = start(&admin, &guide, "c").await;
    let org = tenant(&admin).org();
    assert_eq!(places(&bare.store, org).await, std::slice::from_ref(&first));
    bare.clock.advance(Duration::from_secs(2 * 3_600));
    sweeper::sweep(&bare.store, bare.store.now())
        .await
        .expect("a whole sweep");
    for late in [&first, &second] {
        assert_eq!(state(&admin, late).await["state"], "expired");
    }
    assert_eq!(places(&bare.store, org).await, std::slice::from_ref(&third));

    // What has its place now is rung for, and runs.
    let job = text(&state(&admin, &third).await["job"]);
    let job = work::JobStore::load(&bare.store, org, job.parse().expect("an id")).await;
    let job = job.expect("an answer").expect("is there");
    assert_eq!(job.state, work::JobState::Ready);
    let runner = bare.agents(&holding(&Gate::new()), Policy::public());
    bare.ring(&runner, &job, LONG).await;
    assert_eq!(state(&admin, &third).await["state"], "completed");
    assert_eq!(left_behind(&bare.store, org).await, 0);
    assert_eq!(admission(&bare.store, org, Some(&guide)).await.len(), 0);
}
