//! What becomes of memories that say the same, and of those that are too many.

use std::time::Duration;

use domain::memory::consolidation::{CONSOLIDATE_AFTER, MAX_MEMORIES, PROTECTED_IMPORTANCE};
use domain::memory::{Memory, MemoryKind};
use serde_json::json;

use super::{Workshop, essence};
use crate::support::fixture::agent;
use crate::support::{World, ended, eventually, text};

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
