//! `/v1/orgs` and its members.

use std::time::Duration;

use serde_json::json;

use crate::support::instance::Instance;
use crate::support::{Api, World, eventually, text};

async fn id_of(person: &Api) -> String {
    text(&person.get("/v1/users/me").await.ok()["id"])
}

async fn member_path(org: &Api, person: &Api) -> String {
    format!("/v1/orgs/{}/members/{}", org.org(), id_of(person).await)
}

#[tokio::test]
async fn whoever_founds_an_org_is_its_first_admin() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let path = format!("/v1/orgs/{}", admin.org());
    let org = admin.get(&path).await.ok();
    assert_eq!(
        (&org["name"], &org["admins"]),
        (&json!("Org of ada"), &json!(1))
    );
    let members = admin.list(&format!("{path}/members")).await;
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["user"], id_of(&admin).await);
    assert_eq!(members[0]["role"], "admin");
    let listed = eventually("the org is listed", async || {
        admin.list("/v1/orgs").await.pop()
    })
    .await;
    assert_eq!(
        (&listed["id"], &listed["role"]),
        (&org["id"], &json!("admin"))
    );

    let renamed = admin.patch(&path, &json!({ "name": "Bakery" })).await.ok();
    assert_eq!(
        (&renamed["name"], &renamed["version"]),
        (&json!("Bakery"), &json!(2))
    );
    assert_eq!(
        admin.patch(&path, &json!({ "name": "Bakery" })).await.ok(),
        renamed
    );
}

#[tokio::test]
async fn the_last_admin_is_neither_removed_nor_demoted() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mel = world.join(&admin, "mel", "manager").await;
    let (ada_path, mel_path) = (
        member_path(&admin, &admin).await,
        member_path(&admin, &mel).await,
    );
    for role in ["manager", "member"] {
        let demoted = admin.patch(&ada_path, &json!({ "role": role })).await;
        demoted.problem(409, "last_admin");
    }
    admin.delete(&ada_path).await.problem(409, "last_admin");

    // With a second admin the first may go, and then the second is the last.
    let promoted = admin
        .patch(&mel_path, &json!({ "role": "admin" }))
        .await
        .ok();
    assert_eq!(
        (&promoted["role"], &promoted["version"]),
        (&json!("admin"), &json!(2))
    );
    let org = admin.get(&format!("/v1/orgs/{}", admin.org())).await.ok();
    assert_eq!(org["admins"], 2);
    admin
        .patch(&ada_path, &json!({ "role": "member" }))
        .await
        .ok();
    admin.delete(&mel_path).await.problem(403, "forbidden");
    mel.delete(&mel_path).await.problem(409, "last_admin");
    mel.delete(&ada_path).await.gone();
}

#[tokio::test]
async fn two_admins_who_demote_each_other_at_once_never_both_win() {
    let world = World::start().await;
    for round in 0..5 {
        let ada = world.founder(&format!("ada{round}")).await;
        let bob = world.join(&ada, &format!("bob{round}"), "admin").await;
        let (ada_path, bob_path) = (member_path(&ada, &ada).await, member_path(&ada, &bob).await);
        let body = json!({ "role": "member" });
        let (one, other) = tokio::join!(ada.patch(&bob_path, &body), bob.patch(&ada_path, &body));
        let won = [&one, &other]
            .iter()
            .filter(|answer| answer.status == 200)
            .count();
        assert!(won <= 1, "{one}\n{other}");
        for answer in [&one, &other]
            .into_iter()
            .filter(|answer| answer.status != 200)
        {
            assert!(
                matches!(answer.status.as_u16(), 403 | 409 | 412),
                "{answer}"
            );
        }
        let members = world.store().org(crate::support::tenant(&ada));
        let page = kernel::cursor::PageRequest::first(10);
        let members = members
            .members(&page)
            .await
            .expect("the store answers")
            .items;
        let admins = members
            .iter()
            .filter(|member| member.role == domain::org::Role::Admin)
            .count();
        let org = world.store().org(crate::support::tenant(&ada)).get().await;
        let counted = org.expect("the store answers").expect("is there").admins;
        assert!(admins >= 1);
        assert_eq!(
            usize::try_from(counted).expect("few"),
            admins,
            "the count follows the members"
        );
    }
}

#[tokio::test]
async fn whoever_is_removed_is_out_at_once_here_and_within_half_a_minute_elsewhere() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let tom = world.join(&admin, "tom", "member").await;
    let elsewhere = Instance::beside(&world);
    let path = format!("/v1/orgs/{}", admin.org());
    tom.get(&path).await.ok();
    elsewhere.get(tom.credential(), &path).await.ok();
    admin.delete(&member_path(&admin, &tom).await).await.gone();

    tom.get(&path).await.problem(404, "not_found");
    elsewhere.get(tom.credential(), &path).await.ok();
    elsewhere.clock.advance(Duration::from_secs(30));
    elsewhere
        .get(tom.credential(), &path)
        .await
        .problem(404, "not_found");
    let orgs = eventually("the membership is gone", async || {
        Some(tom.list("/v1/orgs").await).filter(Vec::is_empty)
    });
    orgs.await;
}

#[tokio::test]
async fn a_new_role_counts_at_once_here_and_within_half_a_minute_elsewhere() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mel = world.join(&admin, "mel", "manager").await;
    let elsewhere = Instance::beside(&world);
    let agent = json!({ "name": "Guide", "instructions": "Answer." });
    elsewhere
        .post(mel.credential(), "/v1/agents", &agent)
        .await
        .created();
    let demotion = json!({ "role": "member" });
    admin
        .patch(&member_path(&admin, &mel).await, &demotion)
        .await
        .ok();
    mel.post("/v1/agents", &agent)
        .await
        .problem(403, "forbidden");
    elsewhere.clock.advance(Duration::from_secs(30));
    elsewhere
        .post(mel.credential(), "/v1/agents", &agent)
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn nobody_gives_a_role_that_may_do_more_than_they_may() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let tom = world.join(&admin, "tom", "member").await;
    let clerk = world.machine(&admin, &["orgs:read", "orgs:write"]).await;
    let path = member_path(&admin, &tom).await;
    for role in ["manager", "admin"] {
        clerk
            .patch(&path, &json!({ "role": role }))
            .await
            .problem(403, "forbidden");
        let body = json!({ "email": "eve@example.com", "role": role });
        let invitations = format!("/v1/orgs/{}/invitations", admin.org());
        clerk
            .post(&invitations, &body)
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(
        admin.get(&format!("/v1/orgs/{}", admin.org())).await.ok()["admins"],
        1
    );
}

#[tokio::test]
async fn a_deleted_org_lets_nobody_in_and_its_keys_open_nothing() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let tom = world.join(&admin, "tom", "member").await;
    let machine = world.machine(&admin, &["agents:read"]).await;
    let elsewhere = Instance::beside(&world);
    machine.get("/v1/agents").await.ok();
    elsewhere.get(machine.credential(), "/v1/agents").await.ok();
    let path = format!("/v1/orgs/{}", admin.org());
    tom.delete(&path).await.problem(403, "forbidden");
    admin.delete(&path).await.gone();

    for caller in [&admin, &tom] {
        caller.get(&path).await.problem(404, "not_found");
        caller.get("/v1/agents").await.problem(404, "not_found");
    }
    machine
        .get("/v1/agents")
        .await
        .problem(401, "invalid_api_key");
    elsewhere.clock.advance(Duration::from_secs(30));
    elsewhere
        .get(machine.credential(), "/v1/agents")
        .await
        .problem(401, "invalid_api_key");
    assert_eq!(admin.list("/v1/orgs").await.len(), 0);
    // Its name and number are free for nothing: another org is another org.
    let next = admin
        .create("/v1/orgs", &json!({ "name": "Org of ada" }))
        .await;
    assert_ne!(text(&next["id"]), admin.org());
}
