//! The job `memory.consolidate`: that it begins once, ends whatever happens to its workers, and
//! loses nothing on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_runner::AgentRunner;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::event::Actor;
use domain::memory::consolidation::{CONSOLIDATE_AFTER, MAX_MEMORIES, PROTECTED_IMPORTANCE};
use domain::memory::{Importance, Memory, MemoryKind, MemorySource};
use futures::future::join_all;
use kernel::cursor::PageRequest;
use kernel::{AgentId, Clock as _, ExecutionId, MemoryId};
use llm::scripted::{Scripted, Turn};
use outbound::{Client, Policy};
use serde_json::{Value, json};
use store::memories::MemoryDraft;
use store::memories::recalls::COUNT_AFTER;
use store::memories::upkeep::CONSOLIDATE_JOB;
use store::{Cause, Commit, CommitError, Error, Tenant};
use work::{Attempt, DUE_SHARDS, Handler as _, Job, JobStore as _, Outcome, protocol};

use crate::support::bare::Bare;
use crate::support::fixture::agent;
use crate::support::{Api, World, ended, eventually, tenant, text};

const LEASE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);

/// An org with workers that a journey drives step by step.
struct Workshop {
    bare: Bare,
    admin: Api,
    tenant: Tenant,
}

impl Workshop {
    async fn open() -> Self {
        let bare = Bare::start().await;
        let admin = bare.founder("ada").await;
        Self {
            tenant: tenant(&admin),
            bare,
            admin,
        }
    }

    async fn agent(&self, name: &str) -> AgentId {
        let made = self.admin.create("/v1/agents", &agent(name)).await;
        text(&made["id"]).parse().expect("an id")
    }

    /// Has an agent remember something at a moment of its own.
    async fn remember(&self, agent: AgentId, text: &str, kind: MemoryKind, weight: u8) -> Memory {
        self.bare.clock.advance(Duration::from_millis(1));
        let draft = MemoryDraft {
            agent,
            kind,
            text: text.to_owned(),
            importance: Importance::new(weight).expect("from 1 to 10"),
            source: MemorySource::Person { by: Actor::System },
            // As if it were embedded with an older model: consolidation embeds it anew.
            embedding: None,
        };
        let memories = self.bare.store.memories(self.tenant);
        memories
            .create(&cause(), draft)
            .await
            .expect("it is written")
    }

    /// Notes that an execution was told of these.
    async fn tell(&self, agent: AgentId, memories: Vec<MemoryId>) {
        let store = &self.bare.store;
        let execution = ExecutionId::generate(store.now());
        let note = store
            .memories(self.tenant)
            .note(agent, execution, memories, 0)
            .await
            .expect("an answer");
        let commit = note.add_to(Commit::new(self.tenant), store);
        store.commit(commit).await.expect("it is noted");
    }

    /// Every memory of an agent with all recalls of it, newest first.
    async fn memories(&self, agent: AgentId) -> Vec<Memory> {
        let memories = self.bare.store.memories(self.tenant);
        let page = PageRequest::first(1_000);
        let page = memories.page(agent, None, &page).await.expect("an answer");
        memories
            .with_recalls(agent, page.items)
            .await
            .expect("an answer")
    }

    async fn open_jobs(&self) -> Vec<Job> {
        let horizon = self.bare.store.now().plus(Duration::from_secs(86_400));
        let mut jobs = Vec::new();
        for shard in 0..DUE_SHARDS {
            let due = self.bare.store.due(shard, horizon, 1_000).await;
            jobs.extend(due.expect("an answer"));
        }
        jobs.retain(|job| job.kind == CONSOLIDATE_JOB && job.org == self.tenant.org());
        jobs
    }

    /// The open job of an agent.
    async fn job(&self, agent: AgentId) -> Job {
        let mut jobs = self.open_jobs().await;
        jobs.retain(|job| job.payload == json!({ "agent": agent }));
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// Claims a job, as a worker does.
    async fn claim(&self, job: &Job) -> Job {
        let store = &self.bare.store;
        let read = store.load(job.org, job.id).await.expect("an answer");
        let read = read.expect("the job is there");
        let claimed = protocol::claim(&read, store.now(), LEASE, 7).expect("it can be claimed");
        let written = store.replace(&claimed, read.version).await;
        assert!(written.expect("an answer"));
        claimed
    }

    /// One attempt that has so much time.
    async fn attempt(&self, claimed: Job, time: Duration) -> Outcome {
        let attempt = Attempt::detached(claimed, Arc::new(self.bare.clock.clone()), time);
        runner(&self.bare).run(attempt).await
    }

    async fn settle(&self, claimed: &Job, outcome: Outcome) {
        let store = &self.bare.store;
        let fence = claimed.fence();
        let settled = protocol::settle(
            claimed,
            fence,
            &outcome,
            None,
            store.now(),
            protocol::Jitter::NONE,
        );
        let settled = settled.expect("it can be settled");
        let written = store.replace(&settled, claimed.version).await;
        assert!(written.expect("an answer"));
    }

    /// Runs the open job of an agent to its end in one attempt.
    async fn consolidate(&self, agent: AgentId) -> Value {
        let claimed = self.claim(&self.job(agent).await).await;
        let outcome = self.attempt(claimed.clone(), LONG).await;
        let Outcome::Done { result } = &outcome else {
            panic!("{outcome:?}");
        };
        let result = result.clone().expect("a result");
        self.settle(&claimed, outcome).await;
        result
    }

    /// Memories of which many say the same, with recalls.
    async fn fill(&self, agent: AgentId) {
        let families = ["The pump is oiled.", "The door squeaks.", "Ada likes tea."];
        let mut made = Vec::new();
        for number in 0..30_u8 {
            for family in families {
                let weight = 1 + number % 9;
                made.push(self.remember(agent, family, MemoryKind::Fact, weight).await);
            }
        }
        made.push(
            self.remember(agent, "The gate is green.", MemoryKind::Term, 5)
                .await,
        );
        for (number, memory) in made.iter().enumerate().step_by(2) {
            let mut told = vec![memory.id];
            told.extend(made.get(number + 3).map(|other| other.id));
            self.tell(agent, told).await;
        }
    }
}

fn runner(bare: &Bare) -> AgentRunner {
    let model = Arc::new(Scripted::computed(|_, _| Turn::text("Yes.")));
    let outbound = Client::new(Policy::public()).expect("a client");
    AgentRunner::new(
        bare.store.clone(),
        model,
        outbound,
        domain::price::PriceMap::built_in(),
    )
}

fn cause() -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: "test".to_owned(),
    }
}

/// What is remembered, whatever the ids are.
fn essence(memories: &[Memory]) -> BTreeMap<String, (u8, u64, usize, MemoryKind)> {
    let essence = memories.iter().map(|one| {
        let facts = (
            one.importance.value(),
            one.recalls,
            one.replaced.len(),
            one.kind,
        );
        (one.text.clone(), facts)
    });
    essence.collect()
}

#[tokio::test]
async fn what_says_the_same_becomes_one_and_nothing_that_was_counted_is_lost() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    shop.fill(guide).await;
    let before = shop.memories(guide).await;
    let recalls = |memories: &[Memory]| memories.iter().map(|one| one.recalls).sum::<u64>();
    assert_eq!((before.len(), recalls(&before)), (91, 46 + 44));
    let result = shop.consolidate(guide).await;
    assert_eq!(result, json!({ "merged": 87, "pruned": 0, "left": 4 }));
    let after = shop.memories(guide).await;
    assert_eq!((after.len(), recalls(&after)), (4, recalls(&before)));
    for one in &after {
        let family: Vec<&Memory> = before.iter().filter(|old| old.text == one.text).collect();
        assert_eq!(one.id, family[0].id, "the newest is kept");
        assert_eq!(
            Some(one.importance),
            family.iter().map(|old| old.importance).max()
        );
        assert_eq!(one.replaced.len(), (family.len() - 1).min(8));
    }
    assert_eq!(shop.open_jobs().await, []);

    // Again, and nothing changes.
    for number in 0..CONSOLIDATE_AFTER {
        let text = format!("Machine {number} stands still.");
        shop.remember(guide, &text, MemoryKind::Fact, 5).await;
    }
    let before = shop.memories(guide).await;
    let result = shop.consolidate(guide).await;
    assert_eq!(
        result,
        json!({ "merged": 0, "pruned": 0, "left": 4 + CONSOLIDATE_AFTER })
    );
    assert_eq!(essence(&shop.memories(guide).await), essence(&before));
}

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

#[tokio::test]
async fn an_agent_keeps_so_many_memories_and_important_preferences_longest() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    let pinned = shop
        .remember(
            guide,
            "Be brief.",
            MemoryKind::Preference,
            PROTECTED_IMPORTANCE,
        )
        .await;
    shop.bare
        .clock
        .advance(Duration::from_secs(400 * 24 * 60 * 60));
    let surplus = 20;
    for number in 0..MAX_MEMORIES - 1 + surplus {
        let weight = if number < surplus { 1 } else { 2 };
        let text = format!("Machine {number} stands still.");
        shop.remember(guide, &text, MemoryKind::Fact, weight).await;
    }
    assert_eq!(
        shop.open_jobs().await.len(),
        1,
        "one job, however many memories"
    );
    let result = shop.consolidate(guide).await;
    assert_eq!(
        result,
        json!({ "merged": 0, "pruned": surplus, "left": MAX_MEMORIES })
    );
    let kept = shop.memories(guide).await;
    assert_eq!(kept.len(), MAX_MEMORIES);
    assert!(kept.iter().any(|one| one.id == pinned.id));
    assert!(kept.iter().all(|one| one.importance.value() > 1));
}

#[tokio::test]
async fn what_a_deleted_agent_remembered_is_removed() {
    let shop = Workshop::open().await;
    let (gone, other) = (shop.agent("Gone").await, shop.agent("Other").await);
    shop.fill(gone).await;
    let kept = shop
        .remember(other, "Oil is changed.", MemoryKind::Fact, 5)
        .await;
    let before = shop.memories(gone).await;
    let path = format!("/v1/agents/{gone}");
    shop.admin.delete(&path).await.gone();
    let open = shop.open_jobs().await;
    assert_eq!(open.len(), 2, "one was open, and one removes what is left");
    for job in open {
        let claimed = shop.claim(&job).await;
        let outcome = shop.attempt(claimed.clone(), LONG).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        shop.settle(&claimed, outcome).await;
    }
    assert_eq!(shop.memories(gone).await.len(), 0);
    let last = format!("{path}/memory/{}", before[0].id);
    shop.admin.get(&last).await.problem(404, "not_found");
    assert_eq!(shop.memories(other).await, [kept]);
}

#[tokio::test]
async fn of_memories_at_the_same_moment_none_is_lost_and_one_job_is_made() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    let path = format!("/v1/agents/{guide}/memory");
    // The next one crosses the threshold, and each of these may be it.
    for number in 1..CONSOLIDATE_AFTER {
        let text = format!("Machine {number} stands still.");
        shop.remember(guide, &text, MemoryKind::Fact, 5).await;
    }
    assert_eq!(shop.open_jobs().await, []);
    let bodies: Vec<Value> = (0..20)
        .map(|number| json!({ "text": format!("Gate {number} is closed.") }))
        .collect();
    let answers = join_all(bodies.iter().map(|body| shop.admin.post(&path, body))).await;
    for answer in &answers {
        answer.created();
    }
    let made = CONSOLIDATE_AFTER - 1 + 20;
    assert_eq!(shop.memories(guide).await.len() as u64, made);
    let first = shop.job(guide).await;
    shop.consolidate(guide).await;
    assert_eq!(shop.open_jobs().await, []);
    // The count begins anew.
    for number in 1..=CONSOLIDATE_AFTER {
        let text = format!("Pump {number} is oiled.");
        shop.remember(guide, &text, MemoryKind::Fact, 5).await;
        let open = shop.open_jobs().await.len();
        assert_eq!(
            open,
            usize::from(number == CONSOLIDATE_AFTER),
            "after {number}"
        );
    }
    assert_ne!(shop.job(guide).await.id, first.id);
}

#[tokio::test]
async fn recalls_are_counted_once_enough_executions_have_noted_them() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    let oil = shop
        .remember(guide, "Oil is changed.", MemoryKind::Fact, 5)
        .await;
    let gone = shop
        .remember(guide, "The gate is green.", MemoryKind::Fact, 5)
        .await;
    for _ in 0..COUNT_AFTER - 1 {
        shop.tell(guide, vec![oil.id, gone.id]).await;
    }
    let memories = shop.bare.store.memories(shop.tenant);
    memories.delete(&cause(), &gone).await.expect("forgotten");
    assert_eq!(shop.open_jobs().await, []);
    let body = json!({ "agent_id": guide, "input": "When is the oil changed?" });
    let execution = shop.admin.create("/v1/executions", &body).await;
    let runs = shop
        .bare
        .agents(&Scripted::new([Turn::text("Now.")]), Policy::public());
    let run = shop.bare.job_of(shop.tenant.org()).await;
    shop.bare.ring(&runs, &run, Duration::from_secs(900)).await;
    let path = format!("/v1/executions/{}", text(&execution["id"]));
    assert_eq!(shop.admin.get(&path).await.ok()["state"], "completed");
    // Before they are counted and after, they are the same.
    let path = format!("/v1/agents/{guide}/memory/{}", oil.id);
    assert_eq!(shop.admin.get(&path).await.ok()["recalls"], COUNT_AFTER);
    shop.consolidate(guide).await;
    let counted = memories.get(guide, oil.id).await.expect("an answer");
    let counted = counted.expect("it is there");
    assert_eq!(counted.recalls, COUNT_AFTER as u64);
    let shown = shop.admin.get(&path).await.ok();
    assert_eq!(shown["recalls"], COUNT_AFTER);
    assert_eq!(shown["last_recalled_at"], json!(counted.last_recalled_at));
    let run = text(&execution["id"]).parse().expect("an id");
    assert_eq!(memories.told(guide, run).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_worker_that_takes_over_tells_what_the_first_told() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    let oil = shop
        .remember(guide, "Oil is changed.", MemoryKind::Fact, 5)
        .await;
    let gone = shop
        .remember(guide, "Oil is black.", MemoryKind::Fact, 5)
        .await;
    let memories = shop.bare.store.memories(shop.tenant);
    let execution = ExecutionId::generate(shop.bare.store.now());
    let ids = vec![gone.id, oil.id];
    let note = memories
        .note(guide, execution, ids, 0)
        .await
        .expect("an answer");
    let commit = note.add_to(Commit::new(shop.tenant), &shop.bare.store);
    shop.bare.store.commit(commit).await.expect("noted");
    let told = async || {
        let told = memories.told(guide, execution).await.expect("an answer");
        told.map(|told| told.into_iter().map(|one| one.id).collect::<Vec<_>>())
    };
    shop.remember(guide, "Oil is cheap.", MemoryKind::Fact, 10)
        .await;
    assert_eq!(told().await, Some(vec![gone.id, oil.id]));
    memories.delete(&cause(), &gone).await.expect("forgotten");
    assert_eq!(
        told().await,
        Some(vec![oil.id]),
        "what is forgotten is not told"
    );
    let other = shop.agent("Other").await;
    assert_eq!(
        memories.told(other, execution).await.expect("an answer"),
        None
    );
}

#[tokio::test]
async fn a_memory_of_the_first_form_is_read_changed_and_embedded() {
    let shop = Workshop::open().await;
    let guide = shop.agent("Guide").await;
    let store = &shop.bare.store;
    let mut ids = Vec::new();
    for word in ["Oil", "Gas"] {
        let id = MemoryId::generate(shop.bare.clock.now());
        let org = shop.tenant.org();
        let mut put = store
            .clients()
            .dynamo
            .put_item()
            .table_name(&store.config().core);
        for (name, value) in [
            ("pk", format!("ORG#{org}#AGENT#{guide}#MEMORY")),
            ("sk", id.to_string()),
            ("id", id.to_string()),
            ("org", org.to_string()),
            ("agent", guide.to_string()),
            ("kind", "fact".to_owned()),
            ("text", format!("{word} is changed.")),
            ("execution", ExecutionId::from_u128(4).to_string()),
            ("created_at", "2026-01-01T00:00:00.005Z".to_owned()),
        ] {
            put = put.item(name, AttributeValue::S(value));
        }
        put.send().await.expect("it is put");
        ids.push(id);
    }
    let path = |id: MemoryId| format!("/v1/agents/{guide}/memory/{id}");
    let read = shop.admin.get(&path(ids[0])).await.ok();
    assert_eq!(
        (&read["importance"], &read["version"]),
        (&json!(5), &json!(0))
    );
    let memories = store.memories(shop.tenant);
    let found = memories
        .get(guide, ids[0])
        .await
        .expect("an answer")
        .expect("is there");
    let change = json!({ "importance": 7 });
    let changed = shop.admin.patch(&path(ids[0]), &change).await.ok();
    assert_eq!(
        (&changed["importance"], &changed["version"]),
        (&json!(7), &json!(1))
    );
    // The version that was read is the condition here as well.
    let late = memories
        .update(
            &cause(),
            &found,
            store::memories::MemoryChange {
                kind: MemoryKind::Term,
                text: "Late.".to_owned(),
                importance: Importance::MAX,
                embedding: None,
            },
        )
        .await;
    assert!(
        matches!(late, Err(Error::Commit(CommitError::Changed { .. }))),
        "{late:?}"
    );
    for number in 0..CONSOLIDATE_AFTER {
        let text = format!("Machine {number} stands still.");
        shop.remember(guide, &text, MemoryKind::Fact, 5).await;
    }
    shop.consolidate(guide).await;
    let (entries, _) = memories.oldest(guide, 1_000).await.expect("an answer");
    assert_eq!(entries.len() as u64, CONSOLIDATE_AFTER + 2);
    assert!(
        entries
            .iter()
            .all(|(memory, vector)| vector.is_some() && memory.version > 0)
    );
    shop.admin.delete(&path(ids[1])).await.gone();
}

#[tokio::test]
async fn consolidation_happens_by_itself_and_is_in_the_log() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let path = format!("/v1/agents/{}/memory", text(&guide["id"]));
    for number in 0..CONSOLIDATE_AFTER {
        let body = json!({ "text": "The workshop opens at seven.", "importance": 1 + number % 10 });
        admin.create(&path, &body).await;
    }
    let left = eventually("one memory is left", async || {
        let left = admin.list(&path).await;
        (left.len() == 1).then(|| left[0].clone())
    })
    .await;
    assert_eq!(left["importance"], 10);
    assert_eq!(left["replaced"].as_array().map(Vec::len), Some(8));
    crate::v1::audit::settled(&world, &admin).await;
    let log = admin.list("/v1/audit").await;
    let told = log
        .iter()
        .find(|entry| entry["type"] == "memory.consolidated");
    let told = told.expect("the consolidation is in the log");
    assert_eq!(
        (&told["subject"], &told["data"]["agent"]),
        (&guide["id"], &guide["id"])
    );
    assert_eq!(told["data"]["merged_count"], CONSOLIDATE_AFTER - 1);
    assert_eq!(told["data"]["pruned_count"], 0);
    assert_eq!(told["actor"], json!({ "kind": "system" }));
    // The agent still runs, and is told of the one that is left.
    let body = json!({ "agent_id": guide["id"], "input": "When does the workshop open?" });
    let execution = admin.create("/v1/executions", &body).await;
    ended(&admin, &text(&execution["id"])).await;
    assert_eq!(
        admin.list(&path).await.len(),
        2,
        "the diligent model adds a note"
    );
}
