//! `/v1/budgets`, and executions that are paid from them.

use domain::budget::Account;
use domain::execution::ExecutionState;
use llm::scripted::{Gate, Scripted, Turn};
use serde_json::{Value, json};

use crate::support::fixture::agent;
use crate::support::redact::redacted;
use crate::support::world::{Setup, prices, tenant};
use crate::support::{Api, World, ended, eventually, text, within};

/// What a model call sets aside where a token of the reply costs one micro-credit and the request
/// nothing: as many as a reply may have.
const RESERVED: i64 = 8_192;
/// What a scripted reply costs then.
const COST: i64 = 10;

async fn set(api: &Api, path: &str, micros: i64) -> Value {
    let body = json!({ "granted_micro_credits": micros });
    api.put(path, &body).await.ok()
}

/// A host whose scripted model costs one micro-credit for each token of its reply.
async fn priced(model: &Scripted) -> World {
    World::with(Setup {
        model: model.clone(),
        prices: prices(1),
        ..Setup::default()
    })
    .await
}

async fn start(api: &Api, agent: &Value) -> Value {
    let run = json!({ "agent_id": agent["id"], "input": "How often?" });
    api.create("/v1/executions", &run).await
}

fn path(execution: &Value) -> String {
    format!("/v1/executions/{}", text(&execution["id"]))
}

/// Waits until an execution waits for credits.
async fn out_of_credits(api: &Api, execution: &Value) -> Value {
    eventually("the credits run out", async || {
        let execution = api.get(&path(execution)).await.ok();
        (execution["state"] == "over_budget").then_some(execution)
    })
    .await
}

async fn assert_whole(world: &World, api: &Api, account: Account) {
    let budgets = world.store().budgets(tenant(api));
    let found = budgets.verify(account).await.expect("an answer");
    assert_eq!(found.sum, found.balance, "{account:?}");
}

#[tokio::test]
async fn a_budget_is_set_read_raised_lowered_and_removed() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let org = "/v1/budgets/org";
    admin.get(org).await.problem(404, "not_found");
    admin.delete(org).await.problem(404, "not_found");
    let made = set(&admin, org, 5_000_000).await;
    insta::assert_json_snapshot!(redacted(&made));
    assert_eq!(admin.get(org).await.ok(), made);
    // To set it again is nothing.
    assert_eq!(set(&admin, org, 5_000_000).await, made);
    assert_eq!(set(&admin, org, 7_000_000).await["available"], 7_000_000);
    assert_eq!(set(&admin, org, 1_000_000).await["available"], 1_000_000);

    let made = admin.create("/v1/agents", &agent("Guide")).await;
    let of_agent = format!("/v1/budgets/agents/{}", text(&made["id"]));
    admin.get(&of_agent).await.problem(404, "not_found");
    set(&admin, &of_agent, 3).await;
    let accounts: Vec<Value> = admin
        .list("/v1/budgets")
        .await
        .iter()
        .map(|budget| budget["account"]["kind"].clone())
        .collect();
    assert_eq!(accounts, [json!("agent"), json!("org")]);

    let ledger = admin.list("/v1/budgets/org/ledger").await;
    let amounts: Vec<i64> = ledger
        .iter()
        .map(|entry| entry["amount"].as_i64().expect("a number"))
        .collect();
    assert_eq!(amounts, [-6_000_000, 2_000_000, 5_000_000]);
    let verified = admin.get("/v1/budgets/org/verify").await.ok();
    let expected = json!({
        "sums_to_balance": true, "sum": 1_000_000, "balance": 1_000_000, "entries": 3,
    });
    assert_eq!(verified, expected);

    admin.delete(org).await.gone();
    admin.get(org).await.problem(404, "not_found");
    // The ledger outlives the budget.
    let verified = admin.get("/v1/budgets/org/verify").await.ok();
    assert_eq!(
        (&verified["sum"], &verified["entries"]),
        (&json!(0), &json!(4))
    );
    // The budget of an agent outlives the agent, and can be removed.
    let gone = format!("/v1/agents/{}", text(&made["id"]));
    admin.delete(&gone).await.gone();
    admin.get(&of_agent).await.ok();
    admin.delete(&of_agent).await.gone();
    admin.get(&of_agent).await.problem(404, "not_found");
    assert_eq!(admin.list("/v1/budgets").await, Vec::<Value>::new());
}

#[tokio::test]
async fn managers_see_budgets_and_admins_set_them() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let manager = world.join(&admin, "mia", "manager").await;
    let member = world.join(&admin, "max", "member").await;
    set(&admin, "/v1/budgets/org", 5).await;
    manager.get("/v1/budgets/org").await.ok();
    let body = json!({ "granted_micro_credits": 9 });
    let refused = manager.put("/v1/budgets/org", &body).await;
    refused.problem(403, "forbidden");
    for path in ["/v1/budgets", "/v1/budgets/org", "/v1/budgets/org/ledger"] {
        member.get(path).await.problem(403, "forbidden");
    }
    for wrong in [
        json!(-1),
        json!(1_000_000_000_000_001_i64),
        json!(1.5),
        json!("5"),
    ] {
        let body = json!({ "granted_micro_credits": wrong });
        let refused = admin.put("/v1/budgets/org", &body).await;
        refused.names("/granted_micro_credits");
    }
}

#[tokio::test]
async fn a_run_without_credits_waits_for_them_and_asks_the_model_nothing_meanwhile() {
    let model = Scripted::new([Turn::text("Every 500 hours.")]);
    let world = priced(&model).await;
    let admin = world.founder("ada").await;
    set(&admin, "/v1/budgets/org", RESERVED - 1).await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let execution = start(&admin, &guide).await;
    let waiting = out_of_credits(&admin, &execution).await;
    assert_eq!(waiting["waiting"]["account"], json!({ "kind": "org" }));
    assert_eq!(model.calls(), 0);

    // Lowering it helps nobody; raising it does, by itself.
    set(&admin, "/v1/budgets/org", 5).await;
    set(&admin, "/v1/budgets/org", RESERVED).await;
    let done = ended(&admin, &text(&execution["id"])).await;
    assert_eq!(
        (&done["state"], &done["spending"]["spent"]),
        (&json!("completed"), &json!(COST))
    );
    assert_eq!(model.calls(), 1);
    let budget = admin.get("/v1/budgets/org").await.ok();
    assert_eq!(
        (&budget["spent"], &budget["reserved"], &budget["available"]),
        (&json!(COST), &json!(0), &json!(RESERVED - COST))
    );
    assert_whole(&world, &admin, Account::Org).await;
}

#[tokio::test]
async fn an_agents_budget_stops_its_runs_and_nobody_elses_until_it_is_removed() {
    let model = Scripted::computed(|_, _| Turn::text("Every 500 hours."));
    let world = priced(&model).await;
    let (admin, other) = (world.founder("ada").await, world.founder("bob").await);
    let thrifty = admin.create("/v1/agents", &agent("Thrifty")).await;
    let free = admin.create("/v1/agents", &agent("Free")).await;
    let budget = format!("/v1/budgets/agents/{}", text(&thrifty["id"]));
    set(&admin, &budget, 0).await;
    let stopped = start(&admin, &thrifty).await;
    let running = start(&admin, &free).await;
    let theirs = other.create("/v1/agents", &agent("Theirs")).await;
    let elsewhere = start(&other, &theirs).await;
    for (api, execution) in [(&admin, &running), (&other, &elsewhere)] {
        let done = ended(api, &text(&execution["id"])).await;
        assert_eq!(done["state"], "completed");
    }
    out_of_credits(&admin, &stopped).await;
    admin.delete(&budget).await.gone();
    let done = ended(&admin, &text(&stopped["id"])).await;
    assert_eq!(done["state"], "completed");
}

#[tokio::test]
async fn a_run_has_a_budget_of_its_own_that_can_be_raised_while_it_waits() {
    let model = Scripted::new([
        Turn::calls([("remember", json!({ "text": "Oil is changed." }))]),
        Turn::text("Every 500 hours."),
    ]);
    let world = priced(&model).await;
    let admin = world.founder("ada").await;
    let mut body = agent("Guide");
    body["limits"]["max_micro_credits"] = json!(RESERVED);
    let guide = admin.create("/v1/agents", &body).await;
    let execution = start(&admin, &guide).await;
    // The first call leaves too little for the second.
    let waiting = out_of_credits(&admin, &execution).await;
    let id = text(&execution["id"]);
    assert_eq!(
        waiting["waiting"]["account"],
        json!({ "kind": "execution", "id": id })
    );
    let budget = format!("/v1/budgets/executions/{id}");
    assert_eq!(admin.get(&budget).await.ok()["available"], RESERVED - COST);
    set(&admin, &budget, RESERVED + COST).await;
    let done = ended(&admin, &id).await;
    assert_eq!(
        (&done["state"], &done["spending"]["spent"]),
        (&json!("completed"), &json!(2 * COST))
    );
    let ledger: Vec<Value> = admin
        .list(&format!("{budget}/ledger"))
        .await
        .iter()
        .rev()
        .map(|entry| json!([entry["kind"], entry["amount"], entry["call"]["step"]]))
        .collect();
    let step = |kind: &str, amount: i64, step: Option<u32>| json!([kind, amount, step]);
    let expected = [
        step("grant", RESERVED, None),
        step("reserve", -RESERVED, Some(1)),
        step("settle", RESERVED - COST, Some(1)),
        step("grant", COST, None),
        step("reserve", -RESERVED, Some(2)),
        step("settle", RESERVED - COST, Some(2)),
    ];
    assert_eq!(ledger, expected);
    let account = Account::Execution {
        id: id.parse().expect("an id"),
    };
    assert_whole(&world, &admin, account).await;
}

#[tokio::test]
async fn what_a_cancelled_call_had_set_aside_comes_back_and_then_the_budget_can_go() {
    let gate = Gate::new();
    let model = Scripted::new([Turn::text("Every 500 hours.").gated_after(0, &gate)]);
    let world = priced(&model).await;
    let admin = world.founder("ada").await;
    set(&admin, "/v1/budgets/org", 2 * RESERVED).await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let execution = start(&admin, &guide).await;
    within("the call begins", async {
        while model.calls() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        admin.get("/v1/budgets/org").await.ok()["reserved"],
        RESERVED
    );
    let refused = admin.delete("/v1/budgets/org").await;
    refused.problem(409, "budget_in_use");
    let cancel = format!("{}/cancel", path(&execution));
    admin.post(&cancel, &json!({})).await.ok();
    ended(&admin, &text(&execution["id"])).await;
    let budget = admin.get("/v1/budgets/org").await.ok();
    assert_eq!(
        (&budget["reserved"], &budget["spent"]),
        (&json!(0), &json!(0))
    );
    admin.delete("/v1/budgets/org").await.gone();
    // The reply that comes too late finds no account, and harms nobody.
    gate.open();
    assert_whole(&world, &admin, Account::Org).await;
}

#[tokio::test]
async fn a_model_without_a_price_is_free_for_the_unlimited_and_refused_for_the_others() {
    let model = Scripted::computed(|_, _| Turn::text("Every 500 hours."));
    let world = World::with(Setup {
        model: model.clone(),
        prices: domain::price::PriceMap::built_in(),
        ..Setup::default()
    })
    .await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let unlimited = start(&admin, &guide).await;
    let done = ended(&admin, &text(&unlimited["id"])).await;
    assert_eq!(done["state"], "completed");
    set(&admin, "/v1/budgets/org", 1_000_000_000).await;
    let calls = model.calls();
    let limited = start(&admin, &guide).await;
    let done = ended(&admin, &text(&limited["id"])).await;
    assert_eq!(
        (&done["state"], &done["failure"]["code"]),
        (&json!("failed"), &json!("unknown_price"))
    );
    assert_eq!(model.calls(), calls);
}

#[tokio::test]
async fn twelve_runs_on_a_budget_for_three_calls_make_three_and_the_rest_when_it_is_raised() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = Scripted::computed(move |_, _| Turn::text("Now.").gated_after(0, &held));
    let world = priced(&model).await;
    let admin = world.founder("ada").await;
    set(&admin, "/v1/budgets/org", 3 * RESERVED).await;
    let mut body = agent("Guide");
    body["tools"] = json!([]);
    let guide = admin.create("/v1/agents", &body).await;
    let starts = (0..12).map(|_| start(&admin, &guide));
    let executions = futures::future::join_all(starts).await;
    eventually("nine wait for credits", async || {
        let list = admin.list("/v1/executions").await;
        let waiting = list.iter().filter(|one| one["state"] == "over_budget");
        (waiting.count() == 9).then_some(())
    })
    .await;
    assert_eq!(model.calls(), 3);
    let budget = admin.get("/v1/budgets/org").await.ok();
    assert_eq!(budget["available"], 0);
    for _ in &executions {
        gate.open();
    }
    set(&admin, "/v1/budgets/org", 20 * RESERVED).await;
    for execution in &executions {
        let done = ended(&admin, &text(&execution["id"])).await;
        assert_eq!(done["state"], "completed");
    }
    assert_eq!(model.calls(), 12);
    let budget = admin.get("/v1/budgets/org").await.ok();
    assert_eq!(
        (&budget["spent"], &budget["reserved"]),
        (&json!(12 * COST), &json!(0))
    );
    assert_whole(&world, &admin, Account::Org).await;
}

#[tokio::test]
async fn credits_do_not_resume_a_run_that_somebody_has_paused_meanwhile() {
    let model = Scripted::new([Turn::text("Every 500 hours.")]);
    let world = priced(&model).await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    set(&admin, "/v1/budgets/org", 1).await;
    let execution = start(&admin, &guide).await;
    let id = text(&out_of_credits(&admin, &execution).await["id"]);
    let executions = world.store().executions(tenant(&admin));
    let id = id.parse().expect("an execution's id");
    let waiting = executions.get(id).await.expect("an answer");
    let waiting = waiting.expect("is there");
    let pause = format!("{}/pause", path(&execution));
    assert_eq!(admin.post(&pause, &json!({})).await.ok()["state"], "paused");
    // Whoever raised the budget has read the run before and after the person's word.
    let cause = store::Cause {
        actor: domain::event::Actor::System,
        correlation_id: "raised".to_owned(),
    };
    let paused = executions.get(id).await.expect("an answer");
    for known in [waiting, paused.expect("is there")] {
        let state = ExecutionState::OverBudget;
        let left = executions.release(&cause, &known, state).await;
        assert_eq!(left.expect("an answer").state, ExecutionState::Paused);
    }
    set(&admin, "/v1/budgets/org", 1_000_000).await;
    let resume = format!("{}/resume", path(&execution));
    admin.post(&resume, &json!({})).await.ok();
    let ended = ended(&admin, &text(&execution["id"])).await;
    assert_eq!(ended["state"], "completed");
}
