//! Who may answer: by role, by name, as a machine, as an agent, from elsewhere.

use domain::approval::ApprovalPolicy;
use domain::org::Role;
use domain::permission::Permission;
use serde_json::json;

use super::{Office, answer, answer_path, shown};
use crate::support::asked::may_remember;
use crate::support::{World, text};

fn policy(role: Role, approvers: &[&str]) -> ApprovalPolicy {
    ApprovalPolicy {
        role,
        approvers: approvers
            .iter()
            .map(|id| id.parse().expect("a user's id"))
            .collect(),
        ..ApprovalPolicy::default()
    }
}

#[tokio::test]
async fn whoever_has_too_low_a_role_or_is_not_named_is_403_and_the_refusal_is_sealed() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let member = world.join(&office.admin, "bob", "member").await;
    let manager = world.join(&office.admin, "carl", "manager").await;
    let me = text(&manager.get("/v1/users/me").await.ok()["id"]);
    let body = json!({ "decision": "approve" });
    for (policy, refused, admitted) in [
        (policy(Role::Manager, &[]), &member, &manager),
        (policy(Role::Member, &[&me]), &office.admin, &manager),
        (policy(Role::Member, &[&me]), &member, &manager),
    ] {
        let asked = office.ask(&world, &policy, vec![may_remember()]).await;
        answer(refused, &asked, &body)
            .await
            .problem(403, "forbidden");
        assert_eq!(shown(refused, &asked.only().id).await["state"], "pending");
        crate::v1::audit::settled(&world, &office.admin).await;
        let denied = office.events("permission.denied", &asked.only().id).await;
        assert_eq!(denied.len(), 1);
        answer(admitted, &asked, &body).await.ok();
    }
    // A name is no role.
    let policy = policy(Role::Admin, &[&me]);
    let asked = office.ask(&world, &policy, vec![may_remember()]).await;
    let refused = answer(&manager, &asked, &body).await;
    refused.problem(403, "forbidden");
}

#[tokio::test]
async fn another_org_finds_no_approval_here() {
    let world = World::start().await;
    let (ours, theirs) = (
        Office::open(&world, "ada").await,
        Office::open(&world, "bob").await,
    );
    let asked = ours.may_it(&world).await;
    let path = format!("/v1/approvals/{}", asked.only().id);
    let body = json!({ "decision": "approve" });
    theirs.admin.get(&path).await.problem(404, "not_found");
    answer(&theirs.admin, &asked, &body)
        .await
        .problem(404, "not_found");
    let links = format!("{path}/links");
    theirs
        .admin
        .post(&links, &json!({}))
        .await
        .problem(404, "not_found");
    assert_eq!(shown(&ours.admin, &asked.only().id).await["version"], 1);
}

#[tokio::test]
async fn a_machine_answers_by_its_scopes_where_nobody_is_named() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let me = text(&office.admin.get("/v1/users/me").await.ok()["id"]);
    let scopes = |role: Role| -> Vec<&str> {
        let all = Permission::ALL.iter();
        all.filter(|one| one.granted_to_role(role))
            .map(|one| one.scope())
            .collect()
    };
    let writer = world.machine(&office.admin, &["executions:write"]).await;
    let manager = world.machine(&office.admin, &scopes(Role::Manager)).await;
    let reader = world.machine(&office.admin, &["executions:read"]).await;
    let body = json!({ "decision": "approve" });
    let plain = office
        .ask(&world, &policy(Role::Member, &[]), vec![may_remember()])
        .await;
    answer(&reader, &plain, &body)
        .await
        .problem(403, "forbidden");
    let answered = answer(&writer, &plain, &body).await.ok();
    assert_eq!(answered["answer"]["by"]["kind"], "api_key");
    let strict = office
        .ask(&world, &policy(Role::Manager, &[]), vec![may_remember()])
        .await;
    answer(&writer, &strict, &body)
        .await
        .problem(403, "forbidden");
    answer(&manager, &strict, &body).await.ok();
    let named = office
        .ask(&world, &policy(Role::Member, &[&me]), vec![may_remember()])
        .await;
    answer(&manager, &named, &body)
        .await
        .problem(403, "forbidden");
    answer(&office.admin, &named, &body).await.ok();
}

#[tokio::test]
async fn a_key_that_acts_as_an_agent_approves_nothing() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let all: Vec<&str> = Permission::ALL.iter().map(|one| one.scope()).collect();
    let key = json!({ "name": "Agent", "scopes": all, "agent": office.agent });
    let key = office.admin.create("/v1/api-keys", &key).await;
    let agent = world.bearer(text(&key["secret"]));
    let asked = office.may_it(&world).await;
    let body = json!({ "decision": "approve" });
    let refused = answer(&agent, &asked, &body).await;
    refused.problem(403, "forbidden");
    // Nor does it make a link by which somebody else would, or it itself.
    let me = text(&office.admin.get("/v1/users/me").await.ok()["id"]);
    let links = answer_path(&asked).replace("/answer", "/links");
    for body in [json!({}), json!({ "approver_user_id": me })] {
        agent.post(&links, &body).await.problem(403, "forbidden");
    }
    assert_eq!(shown(&agent, &asked.only().id).await["state"], "pending");
}
