//! Every kind of change, and who is said to have made it.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::event::EventKind;
use embedding::{Embedder, Embedders, EmbeddingError, StaticModel};
use serde_json::json;
use store::Commit;

use super::{entries, settled};
use crate::support::fixture::{Fixture, new_version};
use crate::support::world::{Setup, prices};
use crate::support::{World, asked, ended, eventually, send, tenant, text};
use crate::v1::files::processed;

#[tokio::test]
async fn every_kind_of_change_is_in_the_chain_with_who_did_it() {
    // At a price, so that credits can run out.
    let world = World::with(Setup {
        prices: prices(1),
        embedders: embedders(),
        ..Setup::default()
    })
    .await;
    let fixture = Fixture::build(&world, "one").await;
    let admin = &fixture.admin;
    let me = text(&admin.get("/v1/users/me").await.ok()["id"]);
    change_everything(&world, &fixture).await;
    settled(&world, admin).await;
    let entries = entries(admin).await;
    let seen: BTreeSet<&str> = entries.iter().map(|entry| entry.kind.name()).collect();
    // The org's own end is sealed as well; it is seen by nobody after it. Ends and waits that need
    // a model of their own have their own journeys, and so have sources, which need a site; what
    // becomes of a file with time is seen where the clock is the test's own.
    let unseen = [
        EventKind::OrgDeleted,
        EventKind::ExecutionFailed,
        EventKind::ExecutionExpired,
        EventKind::ExecutionAwaitingInput,
        EventKind::ExecutionAwaitingAuth,
        EventKind::ExecutionHandedOff,
        EventKind::FilePurged,
        EventKind::FileUploadExpired,
        EventKind::SourceCreated,
        EventKind::SourceUpdated,
        EventKind::SourceRefreshRequested,
        EventKind::SourceCrawled,
        EventKind::SourceCrawlFailed,
        EventKind::SourceDeleted,
        EventKind::SourceRemoved,
    ];
    let expected = EventKind::ALL
        .iter()
        .filter(|kind| !unseen.contains(kind))
        .map(|kind| kind.name());
    let missing: Vec<&str> = expected.filter(|kind| !seen.contains(kind)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let created = entries
        .iter()
        .find(|entry| entry.kind == EventKind::AgentCreated)
        .expect("seen");
    assert_eq!(created.subject, fixture.id("agent_id"));
    assert_eq!(
        serde_json::to_value(created.actor).expect("JSON"),
        json!({ "kind": "user", "id": me })
    );
    assert!(
        created.correlation_id.starts_with("req_"),
        "{}",
        created.correlation_id
    );
    // A change says what was before and after.
    let renamed = entries
        .iter()
        .find(|entry| entry.kind == EventKind::OrgUpdated)
        .expect("seen");
    let name = &renamed.data["changes"]["name"];
    assert_eq!(
        name,
        &json!({ "before": "Org of one-admin", "after": "Bakery" })
    );
    // No event tells a secret.
    let all = serde_json::to_string(&entries).expect("JSON");
    for secret in [
        fixture.token.as_str(),
        &fixture.link,
        admin.credential(),
        "og_local_",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
}

const WILLING: &str = "words@1";
const REFUSING: &str = "refusing-words@1";

/// The built-in model for whoever names none, one that embeds whatever it is given, and one that
/// refuses.
fn embedders() -> Embedders {
    let model = |id| embedding::Scripted::new(id, 384).expect("an id");
    let (willing, refusing) = (model(WILLING), model(REFUSING));
    let refusal = EmbeddingError::Refused {
        model: refusing.model().clone(),
        reason: "it was told to".to_owned(),
    };
    refusing.then(vec![Some(refusal); 100]);
    let models: Vec<Arc<dyn Embedder>> =
        vec![Arc::new(StaticModel), Arc::new(willing), Arc::new(refusing)];
    Embedders::new(models)
}

/// Has a knowledge base embedded again, once with success.
async fn reembed(fixture: &Fixture) {
    let admin = &fixture.admin;
    let base = fixture.path("/v1/knowledge-bases/{knowledge_base_id}");
    for model in [WILLING, REFUSING] {
        let change = json!({ "embedding_model": model });
        admin.patch(&base, &change).await.ok();
        eventually("the change of model has ended", async || {
            let shown = admin.get(&base).await.ok();
            let has_failed = shown["reembedding"]["failure"].is_object();
            (has_failed || shown["embedding_model"] == model).then_some(())
        })
        .await;
    }
    assert_eq!(admin.get(&base).await.ok()["embedding_model"], WILLING);
}

/// Shares a memory, and tells an agent the same again and again until one memory is left of it.
async fn remember_much(fixture: &Fixture) {
    let admin = &fixture.admin;
    let share = fixture.path("/v1/agents/{agent_id}/memory/{memory_id}/share");
    let body = json!({ "agent_id": fixture.id("other_agent_id") });
    admin.create(&share, &body).await;
    let memory = fixture.path("/v1/agents/{agent_id}/memory");
    for _ in 0..domain::memory::consolidation::CONSOLIDATE_AFTER {
        let body = json!({ "text": "The workshop opens at seven." });
        admin.create(&memory, &body).await;
    }
    eventually("the memories are consolidated", async || {
        (admin.list(&memory).await.len() < 20).then_some(())
    })
    .await;
}

/// Has an execution run out of credits, and gives it more.
async fn run_out_of_credits(fixture: &Fixture) {
    let admin = &fixture.admin;
    let budget = fixture.path("/v1/budgets/agents/{agent_id}");
    let set = async |granted: i64| {
        let body = json!({ "granted_micro_credits": granted });
        admin.put(&budget, &body).await.ok();
    };
    set(0).await;
    let run = json!({ "agent_id": fixture.id("agent_id"), "input": "How often?" });
    let execution = text(&admin.create("/v1/executions", &run).await["id"]);
    eventually("the credits run out", async || {
        let path = format!("/v1/executions/{execution}");
        (admin.get(&path).await.ok()["state"] == "over_budget").then_some(())
    })
    .await;
    set(5_000_000).await;
    ended(admin, &execution).await;
}

/// Changes and deletes one of everything, after all of it was created.
async fn change_everything(world: &World, fixture: &Fixture) {
    let admin = &fixture.admin;
    run_out_of_credits(fixture).await;
    let asking = fixture.path("/v1/executions/{execution_id}/input");
    let pause = asking.replace("/input", "/pause");
    admin.post(&pause, &json!({})).await.ok();
    let credential = fixture.path("/v1/tools/{tool_id}/credential");
    admin.delete(&credential).await.gone();
    let swarm = fixture.path("/v1/swarms/{swarm_id}");
    admin.patch(&swarm, &json!({ "name": "Others" })).await.ok();
    admin.delete(&swarm).await.gone();
    let confirm = fixture.path("/v1/files/{file_id}/confirm");
    admin.post(&confirm, &json!({})).await.ok();
    let documents = fixture.path("/v1/knowledge-bases/{knowledge_base_id}/documents");
    eventually("the document is indexed", async || {
        let all = admin.list(&documents).await;
        (all[0]["status"] == "ready").then_some(())
    })
    .await;
    reembed(fixture).await;
    let base = fixture.id("knowledge_base_id");
    let bad = world.upload(admin, "text.pdf", b"no PDF", Some(base)).await;
    admin
        .post(
            &format!("/v1/files/{}/confirm", text(&bad["id"])),
            &json!({}),
        )
        .await
        .ok();
    eventually("the bad file fails", async || {
        let file = admin
            .get(&format!("/v1/files/{}", text(&bad["id"])))
            .await
            .ok();
        (file["status"] == "failed").then_some(())
    })
    .await;
    fixture
        .member
        .get("/v1/api-keys")
        .await
        .problem(403, "forbidden");
    for (template, body) in [
        ("/v1/orgs/{org_id}", json!({ "name": "Bakery" })),
        (
            "/v1/orgs/{org_id}/members/{user_id}",
            json!({ "role": "manager" }),
        ),
        ("/v1/agents/{agent_id}", json!({ "description": "B" })),
        (
            "/v1/agents/{agent_id}/memory/{memory_id}",
            json!({ "text": "B" }),
        ),
        ("/v1/tools/{tool_id}", json!({ "description": "B" })),
        ("/v1/tasks/{task_id}", json!({ "title": "B" })),
        (
            "/v1/conversations/{conversation_id}",
            json!({ "title": "B" }),
        ),
        (
            "/v1/knowledge-bases/{knowledge_base_id}",
            json!({ "name": "B" }),
        ),
    ] {
        admin.patch(&fixture.path(template), &body).await.ok();
    }
    remember_much(fixture).await;
    let assign = json!({ "agent_id": fixture.id("agent_id") });
    admin
        .post(&fixture.path("/v1/tasks/{task_id}/assign"), &assign)
        .await
        .ok();
    let status = json!({ "status": "cancelled" });
    admin
        .post(&fixture.path("/v1/tasks/{task_id}/status"), &status)
        .await
        .ok();
    let rotate = fixture.path("/v1/api-keys/{key_id}/rotate");
    admin.post(&rotate, &json!({})).await.ok();
    let run = json!({ "agent_id": fixture.id("agent_id"), "input": "?" });
    eventually("a run is cancelled in time", async || {
        let execution = admin.create("/v1/executions", &run).await;
        let cancel = format!("/v1/executions/{}/cancel", text(&execution["id"]));
        let ended = admin.post(&cancel, &json!({})).await.ok();
        (ended["state"] == "cancelled").then_some(())
    })
    .await;
    ask_people(world, fixture).await;
    change_files(world, fixture).await;
    for template in [
        "/v1/agents/{agent_id}/memory/{memory_id}",
        "/v1/knowledge-bases/{knowledge_base_id}/documents/{file_id}",
        "/v1/files/{file_id}",
        "/v1/api-keys/{key_id}",
        "/v1/conversations/{conversation_id}",
        "/v1/agents/{agent_id}",
        "/v1/tools/{tool_id}",
        "/v1/tasks/{task_id}",
        "/v1/orgs/{org_id}/invitations/{invitation_id}",
        "/v1/orgs/{org_id}/members/{user_id}",
    ] {
        admin.delete(&fixture.path(template)).await.gone();
    }
    admin
        .delete(&format!("{documents}/{}", text(&bad["id"])))
        .await
        .gone();
    let source = fixture.path("/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}");
    admin.delete(&source).await.gone();
    eventually("the source is gone", async || {
        (admin.get(&source).await.status == 404).then_some(())
    })
    .await;
    admin
        .delete(&fixture.path("/v1/knowledge-bases/{knowledge_base_id}"))
        .await
        .gone();
}

/// A content is announced and given up, another takes over and the first comes back; the file is
/// linked, let go, deleted and restored.
async fn change_files(world: &World, fixture: &Fixture) {
    let admin = &fixture.admin;
    let file = fixture.path("/v1/files/{file_id}");
    fixture.announce_version().await;
    let abort = fixture.path("/v1/files/{file_id}/versions/{version}/abort");
    admin.post(&abort, &json!({})).await.ok();
    let versions = format!("{file}/versions");
    let newer = b"# Newer";
    let offer = admin.create(&versions, &new_version(newer)).await;
    let stored = send(world.upload_request(&offer).body(newer.to_vec())).await;
    assert!(stored.status.is_success(), "{stored}");
    let confirm = format!("{versions}/{}/confirm", offer["content"]["number"]);
    admin.post(&confirm, &json!({})).await.ok();
    let read = processed(admin, &admin.get(&file).await.ok()).await;
    assert_eq!(read["status"], "ready");
    admin
        .post(&format!("{file}/rollback"), &json!({ "version": 1 }))
        .await
        .ok();
    fixture.link_file("agent_id").await;
    let link = fixture.path("/v1/files/{file_id}/links/agents/{agent_id}");
    admin.delete(&link).await.gone();
    admin.delete(&file).await.gone();
    admin
        .post(&format!("{file}/restore"), &json!({}))
        .await
        .ok();
}

/// One approval is answered, one is taken back and one expires.
async fn ask_people(world: &World, fixture: &Fixture) {
    let admin = &fixture.admin;
    let answer = fixture.path("/v1/approvals/{approval_id}/answer");
    admin
        .post(&answer, &json!({ "decision": "reject" }))
        .await
        .ok();
    let asked = fixture.ask(world).await;
    let cancel = format!("/v1/executions/{}/cancel", asked.execution.id);
    admin.post(&cancel, &json!({})).await.ok();
    let (store, tenant) = (world.store(), tenant(admin));
    let asked = fixture.ask(world).await;
    let expired = asked.only().expired(store.now());
    let commit = Commit::new(tenant).close_approval(store, &asked::cause(), &expired, 1);
    store.commit(commit).await.expect("is written");
}
