//! Copies of memories for other agents.

use serde_json::json;

use super::{ask, curt, path, texts, told};
use crate::support::fixture::agent;
use crate::support::{World, text};

#[tokio::test]
async fn a_memory_is_shared_as_a_copy_and_within_the_org_alone() {
    let model = curt();
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let other = admin.create("/v1/agents", &agent("Other")).await;
    let body = json!({ "text": "The gearbox oil is blue.", "kind": "term", "importance": 8 });
    let memory = admin.create(&path(&guide), &body).await;
    let share = format!("{}/{}/share", path(&guide), text(&memory["id"]));
    let answer = admin
        .post(&share, &json!({ "agent_id": other["id"] }))
        .await;
    let copy = answer.created();
    let at = format!("{}/{}", path(&other), text(&copy["id"]));
    assert_eq!(answer.header("location"), Some(at.as_str()));
    assert_eq!(
        (
            &copy["text"],
            &copy["kind"],
            &copy["importance"],
            &copy["agent"]
        ),
        (&memory["text"], &json!("term"), &json!(8), &other["id"])
    );
    let by = &memory["source"]["by"];
    let source = json!({
        "kind": "shared", "agent": guide["id"], "memory": memory["id"], "by": by,
    });
    assert_eq!(copy["source"], source);
    ask(&admin, &other, "Which colour has the gearbox oil?").await;
    let requests = model.requests();
    assert_eq!(texts(&told(&requests[0])), ["The gearbox oil is blue."]);

    // Each goes its own way.
    admin
        .delete(&format!("{}/{}", path(&guide), text(&memory["id"])))
        .await
        .gone();
    admin.get(&at).await.ok();
    admin
        .post(&share, &json!({ "agent_id": other["id"] }))
        .await
        .problem(404, "not_found");

    let own = format!("{at}/share");
    admin
        .post(&own, &json!({ "agent_id": other["id"] }))
        .await
        .names("/agent_id");
    let stranger = world.founder("bob").await;
    let foreign = stranger.create("/v1/agents", &agent("Foreign")).await;
    admin
        .post(&own, &json!({ "agent_id": foreign["id"] }))
        .await
        .names("/agent_id");
    assert_eq!(stranger.list(&path(&foreign)).await.len(), 0);
    let by_guide = format!("{}/{}/share", path(&guide), text(&copy["id"]));
    admin
        .post(&by_guide, &json!({ "agent_id": guide["id"] }))
        .await
        .problem(404, "not_found");
    let member = world.join(&admin, "eve", "member").await;
    member
        .post(&own, &json!({ "agent_id": guide["id"] }))
        .await
        .problem(403, "forbidden");
    member.get(&at).await.ok();
}
