//! `/v1/swarms`, and agents at work together.

use domain::budget::Account;
use domain::swarm::MAX_POSTED;
use llm::scripted::{Gate, Scripted, Turn};
use llm::{ChatRequest, Message, ModelError};
use serde_json::{Value, json};

use crate::support::fixture::agent;
use crate::support::stream::whole;
use crate::support::world::{Setup, prices, tenant};
use crate::support::{Api, World, ended, eventually, text, within};

/// What a model call sets aside where a token of the reply costs one micro-credit.
const RESERVED: i64 = 8_192;

/// A swarm of three: who hands work on, and two who do it.
struct Team {
    admin: Api,
    swarm: String,
    members: [String; 2],
}

impl Team {
    async fn found(admin: &Api, limits: Value) -> Self {
        let mut ids = Vec::new();
        for instructions in ["Coordinate.", "Look.", "Write."] {
            let body = json!({
                "name": instructions, "instructions": instructions, "tools": ["remember"],
            });
            ids.push(text(&admin.create("/v1/agents", &body).await["id"]));
        }
        let swarm = json!({
            "name": "Desk",
            "coordinator": ids[0],
            "members": [
                { "agent": ids[1], "role": "Looks things up." },
                { "agent": ids[2], "role": "Writes answers." },
            ],
            "limits": limits,
        });
        let swarm = admin.create("/v1/swarms", &swarm).await;
        Self {
            admin: admin.clone(),
            swarm: format!("/v1/swarms/{}", text(&swarm["id"])),
            members: [ids[1].clone(), ids[2].clone()],
        }
    }

    async fn start(&self) -> String {
        let path = format!("{}/executions", self.swarm);
        let input = json!({ "input": "Why is it late?" });
        text(&self.admin.create(&path, &input).await["id"])
    }

    async fn run(&self) -> Value {
        ended(&self.admin, &self.start().await).await
    }

    async fn messages(&self, root: &str) -> Vec<Value> {
        let path = format!("{}/messages?execution_id={root}", self.swarm);
        self.admin.list(&path).await
    }

    async fn post(&self, root: &str, to: Option<&str>, said: &str) -> Value {
        let body = json!({ "execution_id": root, "to": to, "text": said });
        let path = format!("{}/messages", self.swarm);
        self.admin.create(&path, &body).await
    }

    /// Every execution but the coordinator's, once all have ended.
    async fn others(&self, root: &str) -> Vec<Value> {
        eventually("every execution ends", async || {
            let all = self.admin.list("/v1/executions").await;
            let over = all.iter().all(|one| one["finished_at"].is_string());
            let others = all.into_iter().filter(|one| one["id"] != root).collect();
            over.then_some(others)
        })
        .await
    }
}

/// Who is asked: the first word of the instructions.
fn who(request: &ChatRequest) -> &str {
    let system = request.system.as_deref().unwrap_or_default();
    system.split('.').next().unwrap_or_default()
}

/// The agents that the asked one is told it may call.
fn colleagues(request: &ChatRequest) -> Vec<String> {
    let system = request.system.as_deref().unwrap_or_default();
    let lines = system
        .lines()
        .filter_map(|line| line.strip_prefix("- agt_"));
    lines
        .map(|line| format!("agt_{}", line.split(' ').next().unwrap_or_default()))
        .collect()
}

/// How many turns the asked one has had.
fn turns(request: &ChatRequest) -> usize {
    let own = |message: &&Message| matches!(message, Message::Assistant { .. });
    request.messages.iter().filter(own).count()
}

/// What the asked one was told by others, after its input.
fn heard(request: &ChatRequest) -> String {
    let said = request.messages.iter().skip(1).filter_map(|message| {
        let Message::User { text } = message else {
            return None;
        };
        Some(text.as_str())
    });
    said.collect::<Vec<_>>().join("\n")
}

/// What the calls of the asked one gave back.
fn gave(request: &ChatRequest) -> String {
    let results = request.messages.iter().filter_map(|message| {
        let Message::ToolResult { content, .. } = message else {
            return None;
        };
        Some(content.as_str())
    });
    results.collect::<Vec<_>>().join("\n")
}

/// The coordinator's turn: both members at once, then an answer with what they said.
fn coordinate(request: &ChatRequest) -> Turn {
    match turns(request) {
        0 => Turn::calls(colleagues(request).into_iter().map(|agent| {
            let arguments = json!({ "agent_id": agent, "input": "Help." });
            ("call_agent", arguments)
        })),
        _ => Turn::text(format!("All said: {}", gave(request))),
    }
}

/// A model whose members do this; the coordinator calls them and concludes.
fn led(member: impl Fn(&ChatRequest) -> Turn + Send + Sync + 'static) -> Scripted {
    Scripted::computed(move |request, _| match who(request) {
        "Coordinate" => coordinate(request),
        _ => member(request),
    })
}

fn note() -> Turn {
    Turn::calls([("remember", json!({ "text": "It is late." }))])
}

/// Why each of these failed.
fn codes(executions: &[Value]) -> Vec<&str> {
    executions
        .iter()
        .map(|one| one["failure"]["code"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn three_work_in_parallel_tell_each_other_and_conclude() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = led(move |request| match turns(request) {
        0 => {
            let to = colleagues(request).pop();
            let said = format!("{} was here", who(request));
            Turn::calls([("send_message", json!({ "to": to, "text": said }))])
        }
        1 => note().gated_after(0, &held),
        _ => Turn::text(format!("heard {}", heard(request))),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let root = team.start().await;
    eventually("both have spoken", async || {
        (team.messages(&root).await.len() == 2).then_some(())
    })
    .await;
    gate.open();
    gate.open();
    let execution = ended(&admin, &root).await;
    assert_eq!(execution["state"], "completed", "{execution}");
    let answer = text(&execution["answer"]);
    for said in ["Look was here", "Write was here"] {
        assert!(answer.contains(said), "{said}: {answer}");
    }

    // The log, oldest first, says who told whom; each was heard by the other one only.
    let messages = team.messages(&root).await;
    for message in &messages {
        assert_eq!(message["execution"], root.as_str());
        let from = text(&message["from"]["id"]);
        assert!(team.members.contains(&from) && message["to"] != from.as_str());
    }
    assert!(messages[0]["sequence"].as_u64() < messages[1]["sequence"].as_u64());
    for request in model.requests() {
        let own = format!("{} was here", who(&request));
        assert!(!heard(&request).contains(&own), "{own}");
    }
    histories_only_grow(&model.requests());

    // The stream of the coordinator's run shows the others and what they said.
    let stream = whole(&admin, &root).await;
    let named = |name: &'static str| stream.iter().filter(move |seen| seen.data["name"] == name);
    for member in &team.members {
        let shown =
            named("sub_agent").any(|seen| seen.data["value"]["agent_id"] == member.as_str());
        assert!(shown, "{member}");
    }
    assert_eq!(named("swarm_message").count(), 2);
    assert_eq!(
        stream.last().map(|seen| seen.kind.as_str()),
        Some("RUN_FINISHED")
    );

    // Hand-offs are events.
    let swarm = text(&admin.get(&team.swarm).await.ok()["id"]);
    let handed = eventually("the hand-offs are sealed", async || {
        let log = admin.list("/v1/audit").await;
        let handed = log
            .into_iter()
            .filter(|entry| entry["type"] == "execution.handed_off");
        let handed: Vec<Value> = handed.collect();
        (handed.len() == 2).then_some(handed)
    })
    .await;
    for entry in &handed {
        assert_eq!(entry["data"]["from"], execution["agent"]);
        assert_eq!(entry["data"]["swarm"], swarm.as_str());
        assert!(team.members.contains(&text(&entry["data"]["to"])));
    }
    let budget = admin.get(&format!("/v1/budgets/executions/{root}")).await;
    assert_eq!(budget.ok()["steps_left"], 100 - 8);
}

/// Whatever a run was told once, it is told in every later call in the same place.
fn histories_only_grow(requests: &[ChatRequest]) {
    let mut compared = 0;
    for (index, later) in requests.iter().enumerate() {
        let same = |one: &&ChatRequest| who(one) == who(later);
        let Some(earlier) = requests[..index].iter().rev().find(same) else {
            continue;
        };
        assert!(later.messages.starts_with(&earlier.messages), "{later:?}");
        compared += 1;
    }
    assert!(compared > 0);
}

#[tokio::test]
async fn a_call_that_is_repeated_is_shown_what_it_was_shown_before() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = Scripted::computed(move |request, number| match number {
        0 => {
            let lost = ModelError::Interrupted {
                message: "cut".to_owned(),
            };
            note().cut_after(0, lost).gated_after(0, &held)
        }
        1 => coordinate(request),
        _ if who(request) == "Coordinate" => Turn::text(heard(request)),
        _ => Turn::text("Done."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let root = team.start().await;
    within("the call is under way", gate.arrived()).await;
    team.post(&root, None, "Make haste.").await;
    gate.open();
    let execution = ended(&admin, &root).await;
    let requests = model.requests();
    assert_eq!(requests[0].messages, requests[1].messages);
    assert!(heard(&requests[1]).is_empty());
    // It came with the next step, in a worker that read the journal anew.
    assert!(
        text(&execution["answer"]).contains("Make haste."),
        "{execution}"
    );
    let coordinated: Vec<ChatRequest> = requests
        .into_iter()
        .filter(|request| who(request) == "Coordinate")
        .collect();
    histories_only_grow(&coordinated);
}

#[tokio::test]
async fn the_steps_of_all_together_are_limited_to_the_call() {
    for steps in [1, 3, 5, 8] {
        let model = led(|_| note());
        let world = World::with_model(&model).await;
        let admin = world.founder("ada").await;
        let team = Team::found(&admin, json!({ "max_steps": steps })).await;
        let execution = team.run().await;
        assert_eq!(execution["state"], "failed", "{execution}");
        assert_eq!(execution["failure"]["code"], "swarm_step_limit");
        let others = team.others(&text(&execution["id"])).await;
        assert!(
            codes(&others)
                .iter()
                .all(|code| *code == "swarm_step_limit")
        );
        assert_eq!(others.len(), 2);
        assert_eq!(model.calls(), steps, "{others:?}");
    }
}

#[tokio::test]
async fn the_credits_of_all_together_are_limited_and_can_be_raised() {
    let model = led(|_| Turn::text("Done."));
    let world = World::with(Setup {
        model: model.clone(),
        prices: prices(1),
        ..Setup::default()
    })
    .await;
    let admin = world.founder("ada").await;
    // Enough for the coordinator's call and, after it, for one of the two members'.
    let team = Team::found(&admin, json!({ "max_micro_credits": RESERVED + 15 })).await;
    let root = team.start().await;
    eventually("a member waits for credits", async || {
        let all = admin.list("/v1/executions").await;
        let parked = all.iter().any(|one| one["state"] == "over_budget");
        let answered = all.iter().any(|one| one["state"] == "completed");
        (parked && answered).then_some(())
    })
    .await;
    assert_eq!(model.calls(), 2);
    let budget = format!("/v1/budgets/executions/{root}");
    let raised = json!({ "granted_micro_credits": 10 * RESERVED });
    admin.put(&budget, &raised).await.ok();
    let execution = ended(&admin, &root).await;
    assert_eq!(execution["state"], "completed", "{execution}");
    assert_eq!(model.calls(), 4);
    assert_eq!(admin.get(&budget).await.ok()["spent"], 40);
    let account = Account::Execution {
        id: root.parse().expect("an id"),
    };
    let found = world.store().budgets(tenant(&admin)).verify(account).await;
    let found = found.expect("an answer");
    assert_eq!(found.sum, found.balance);
}

#[tokio::test]
async fn members_call_no_deeper_than_the_swarm_allows_and_never_in_a_circle() {
    let model = led(|request| match turns(request) {
        0 => {
            let agent = colleagues(request).pop();
            let arguments = json!({ "agent_id": agent, "input": "Help." });
            Turn::calls([("call_agent", arguments)])
        }
        _ => Turn::text(format!("got {}", gave(request))),
    });
    for (depth, refusal) in [(1, "1 deep"), (5, "in a circle")] {
        let world = World::with_model(&model).await;
        let admin = world.founder("ada").await;
        let team = Team::found(&admin, json!({ "max_depth": depth })).await;
        let execution = team.run().await;
        assert_eq!(execution["state"], "completed", "{execution}");
        let answer = text(&execution["answer"]);
        assert!(answer.contains(refusal), "{refusal}: {answer}");
        let deepest = team.others(&text(&execution["id"])).await;
        let depths = deepest.iter().map(|one| one["parent"]["depth"].as_u64());
        assert_eq!(depths.max(), Some(Some(if depth == 1 { 1 } else { 2 })));
    }
}

#[tokio::test]
async fn the_end_of_the_coordinator_is_the_end_of_all() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = led(move |_| note().gated_after(0, &held));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let root = team.start().await;
    for _ in 0..2 {
        within("a member is at work", gate.arrived()).await;
    }
    let cancel = format!("/v1/executions/{root}/cancel");
    admin.post(&cancel, &json!({})).await.ok();
    let others = team.others(&root).await;
    assert_eq!(others.len(), 2);
    for one in &others {
        assert_eq!(one["state"], "cancelled", "{one}");
    }
    for _ in 0..2 {
        gate.open();
    }
    let late = json!({ "execution_id": root, "text": "Too late." });
    let messages = format!("{}/messages", team.swarm);
    let answer = admin.post(&messages, &late).await;
    answer.problem(409, "execution_ended");
}

#[tokio::test]
async fn people_can_post_so_many_messages_into_a_run_and_no_more() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = Scripted::computed(move |_, _| Turn::text("Done.").gated_after(0, &held));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let root = team.start().await;
    within("the coordinator is at work", gate.arrived()).await;
    for number in 1..MAX_POSTED {
        team.post(&root, None, &format!("Note {number}.")).await;
    }
    // Of several that come at once for the last place, one has it.
    let path = format!("{}/messages", team.swarm);
    let last = json!({ "execution_id": root, "text": "The last." });
    let answers = futures::future::join_all((0..4).map(|_| admin.post(&path, &last))).await;
    let (posted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(posted.len(), 1);
    for answer in &refused {
        answer.problem(409, "too_many_messages");
    }
    let messages = team.messages(&root).await;
    assert_eq!(u64::try_from(messages.len()), Ok(MAX_POSTED));
    // Another run is told as much.
    let other = team.start().await;
    within("the coordinator is at work", gate.arrived()).await;
    team.post(&other, None, "Make haste.").await;
    for root in [&root, &other] {
        gate.open();
        gate.open();
        ended(&admin, root).await;
    }
}

#[tokio::test]
async fn runs_of_a_swarm_that_is_deleted_end_at_their_next_step() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = led(move |_| note().gated_after(0, &held));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let root = team.start().await;
    for _ in 0..2 {
        within("a member is at work", gate.arrived()).await;
    }
    admin.delete(&team.swarm).await.gone();
    for _ in 0..2 {
        gate.open();
    }
    let mut all = team.others(&root).await;
    all.push(ended(&admin, &root).await);
    assert_eq!(codes(&all), ["swarm_deleted"; 3]);
    assert_eq!(model.calls(), 3);
    let messages = format!("{}/messages", team.swarm);
    admin.get(&messages).await.problem(404, "not_found");
}

#[tokio::test]
async fn messages_stay_in_their_run_their_swarm_and_their_org() {
    let gate = Gate::new();
    let held = gate.clone();
    let model = led(move |request| match turns(request) {
        0 => note().gated_after(0, &held),
        _ => Turn::text(format!("heard {}", heard(request))),
    });
    let world = World::with_model(&model).await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    let first = Team::found(&ada, json!({})).await;
    let teams = [
        &first,
        &first,
        &Team::found(&ada, json!({})).await,
        &Team::found(&bob, json!({})).await,
    ];
    let mut roots = Vec::new();
    for team in teams {
        roots.push(team.start().await);
    }
    for _ in 0..2 * roots.len() {
        within("a member is at work", gate.arrived()).await;
    }
    for (number, (team, root)) in teams.iter().zip(&roots).enumerate() {
        team.post(root, None, &format!("canary-{number}-all")).await;
        let to = Some(team.members[0].as_str());
        team.post(root, to, &format!("canary-{number}-one")).await;
    }
    for _ in 0..2 * roots.len() {
        gate.open();
    }
    for (number, (team, root)) in teams.iter().zip(&roots).enumerate() {
        let answer = text(&ended(&team.admin, root).await["answer"]);
        // Both members were told the one, and one of them the other.
        assert_eq!(answer.matches(&format!("canary-{number}-all")).count(), 2);
        assert_eq!(answer.matches(&format!("canary-{number}-one")).count(), 1);
        assert_eq!(answer.matches("canary-").count(), 3, "{answer}");
        let logged = team.messages(root).await;
        assert_eq!(logged.len(), 2);
    }
    let theirs = format!("{}/messages?execution_id={}", first.swarm, roots[2]);
    ada.get(&theirs).await.names("execution_id");
    let theirs = json!({ "execution_id": roots[3], "text": "Hello." });
    let path = format!("{}/messages", first.swarm);
    ada.post(&path, &theirs).await.names("/execution_id");
    bob.get(&path).await.problem(404, "not_found");
    let all = ada.list(&path).await;
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn only_those_of_a_swarm_may_be_told_and_called() {
    let model = led(|request| match turns(request) {
        0 => Turn::calls([
            (
                "send_message",
                json!({ "to": "agt_00000000000000000000000001", "text": "Hello." }),
            ),
            (
                "call_agent",
                json!({ "agent_id": "agt_00000000000000000000000001", "input": "Hello." }),
            ),
        ]),
        _ => Turn::text(format!("got {}", gave(request))),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let team = Team::found(&admin, json!({})).await;
    let execution = team.run().await;
    let answer = text(&execution["answer"]);
    assert_eq!(answer.matches("There is no such agent").count(), 2);
    assert_eq!(answer.matches("You may call only").count(), 2);
    let root = text(&execution["id"]);
    assert!(team.messages(&root).await.is_empty());
    // Alone, an agent is offered neither.
    let alone = json!({ "agent_id": team.members[0], "input": "Help." });
    let alone = admin.create("/v1/executions", &alone).await;
    ended(&admin, &text(&alone["id"])).await;
    let last = model.requests().pop().expect("a call");
    let offered: Vec<&str> = last.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["remember"]);
}

#[tokio::test]
async fn a_swarm_is_made_read_changed_and_deleted() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let stranger = world.founder("bob").await;
    let mut ids = Vec::new();
    for name in ["One", "Two", "Three"] {
        ids.push(text(&admin.create("/v1/agents", &agent(name)).await["id"]));
    }
    let foreign = text(&stranger.create("/v1/agents", &agent("Four")).await["id"]);
    let member = |agent: &str| json!({ "agent": agent, "role": "Looks." });
    let mut body = json!({
        "name": "Desk",
        "coordinator": foreign,
        "members": [member(&ids[1]), member(&ids[1]), member(&foreign)],
    });
    let refused = admin.post("/v1/swarms", &body).await;
    refused.problem(422, "invalid_request");
    assert_eq!(
        refused.named_fields(),
        ["/coordinator", "/members/1/agent", "/members/2/agent"]
    );
    body["coordinator"] = json!(ids[0]);
    body["members"] = json!([member(&ids[1])]);
    let swarm = admin.create("/v1/swarms", &body).await;
    let limits = json!({ "max_depth": 3, "max_steps": 100, "max_seconds": 3_600 });
    assert_eq!(swarm["limits"], limits);
    let path = format!("/v1/swarms/{}", text(&swarm["id"]));
    assert_eq!(admin.get(&path).await.ok(), swarm);
    stranger.get(&path).await.problem(404, "not_found");
    admin
        .patch(&path, &json!({ "limits": { "max_depth": 6 } }))
        .await
        .names("/limits/max_depth");
    admin
        .patch(&path, &json!({ "coordinator": ids[1] }))
        .await
        .names("/members/0/agent");
    let changed = json!({ "name": "Front desk", "limits": { "max_steps": 7 } });
    let changed = admin.patch(&path, &changed).await.ok();
    assert_eq!(
        (&changed["version"], &changed["name"]),
        (&json!(2), &json!("Front desk"))
    );
    assert_eq!(changed["members"], swarm["members"]);

    let of = |agent: &str| format!("{path}/members/{agent}");
    let role = json!({ "role": "Writes." });
    admin.put(&of(&ids[2]), &role).await.ok();
    admin.put(&of(&ids[1]), &role).await.ok();
    admin
        .put(&of(&ids[0]), &role)
        .await
        .problem(409, "is_coordinator");
    admin
        .put(&of(&foreign), &role)
        .await
        .problem(404, "not_found");
    let listed = admin.get(&format!("{path}/members")).await.ok();
    let expected = json!([
        { "agent": ids[1], "role": "Writes." }, { "agent": ids[2], "role": "Writes." },
    ]);
    assert_eq!(listed["items"], expected);
    admin.delete(&of(&ids[2])).await.gone();
    admin.delete(&of(&ids[2])).await.problem(404, "not_found");

    // An agent that was deleted stays named until it is taken out, and hinders nothing.
    admin.delete(&format!("/v1/agents/{}", ids[1])).await.gone();
    admin.patch(&path, &json!({ "name": "Desk" })).await.ok();
    admin.delete(&of(&ids[1])).await.gone();
    admin.delete(&format!("/v1/agents/{}", ids[0])).await.gone();
    let run = format!("{path}/executions");
    let refused = admin.post(&run, &json!({ "input": "Help." })).await;
    refused.problem(409, "coordinator_missing");
    admin.delete(&path).await.gone();
    admin.get(&path).await.problem(404, "not_found");
    assert!(admin.list("/v1/swarms").await.is_empty());
}
