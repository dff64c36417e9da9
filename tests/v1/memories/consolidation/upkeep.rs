//! When the job begins, and what it does besides.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::memory::consolidation::CONSOLIDATE_AFTER;
use domain::memory::{Importance, MemoryKind};
use futures::future::join_all;
use kernel::{Clock as _, ExecutionId, MemoryId};
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};
use store::memories::MemoryChange;
use store::memories::recalls::COUNT_AFTER;
use store::{Commit, CommitError, Error};
use work::Outcome;

use super::{LONG, Workshop, cause};
use crate::support::text;

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
            MemoryChange {
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
