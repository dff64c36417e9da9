//! `/v1/orgs/{org_id}/invitations`.

use std::time::Duration;

use domain::org::INVITATION_LIFETIME;
use kernel::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::instance::Instance;
use crate::support::{Answer, Api, World, text};

fn invitations(admin: &Api) -> String {
    format!("/v1/orgs/{}/invitations", admin.org())
}

async fn invite(admin: &Api, subject: &str, role: &str) -> Value {
    let body = json!({ "email": format!("{subject}@example.com"), "role": role });
    admin.create(&invitations(admin), &body).await
}

async fn accept(admin: &Api, person: &Api, invitation: &Value, token: &Value) -> Answer {
    let path = format!("{}/{}/accept", invitations(admin), text(&invitation["id"]));
    person.post(&path, &json!({ "token": token })).await
}

#[tokio::test]
async fn an_invitation_makes_its_addressee_a_member_once() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = json!({ "email": "Mel@Example.com", "role": "manager" });
    let answer = admin.post(&invitations(&admin), &body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let invitation = answer.created();
    assert_eq!(invitation["email"], "mel@example.com");
    let listed = admin.list(&invitations(&admin)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["token"], Value::Null, "the token is shown once");

    let mel = world.person("mel");
    let member = accept(&admin, &mel, &invitation, &invitation["token"])
        .await
        .ok();
    assert_eq!(
        (&member["role"], &member["email"]),
        (&json!("manager"), &json!("mel@example.com"))
    );
    mel.for_org(admin.org()).get("/v1/agents").await.ok();
    assert_eq!(admin.list(&invitations(&admin)).await.len(), 0);

    let again = accept(&admin, &mel, &invitation, &invitation["token"]).await;
    again.problem(409, "already_member");
    // Used up: not even after leaving.
    let path = format!("/v1/orgs/{}/members/{}", admin.org(), text(&member["user"]));
    admin.delete(&path).await.gone();
    let again = accept(&admin, &mel, &invitation, &invitation["token"]).await;
    again.problem(404, "not_found");
}

#[tokio::test]
async fn somebody_else_cannot_accept_it() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let invitation = invite(&admin, "mel", "admin").await;
    for other in ["eve", "mel.example", "xmel"] {
        let answer = accept(
            &admin,
            &world.person(other),
            &invitation,
            &invitation["token"],
        )
        .await;
        answer.problem(403, "invitation_for_another");
    }
    let mel = world.person("mel");
    accept(&admin, &mel, &invitation, &invitation["token"])
        .await
        .ok();
}

#[tokio::test]
async fn a_token_accepts_its_own_invitation_only() {
    let world = World::start().await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    let (first, second) = (
        invite(&ada, "mel", "member").await,
        invite(&ada, "mel", "admin").await,
    );
    let elsewhere = invite(&bob, "mel", "admin").await;
    let mel = world.person("mel");
    for token in [&second["token"], &elsewhere["token"], &json!("AAAA")] {
        accept(&ada, &mel, &first, token)
            .await
            .problem(404, "not_found");
    }
    accept(&bob, &mel, &first, &first["token"])
        .await
        .problem(404, "not_found");
    let member = accept(&ada, &mel, &first, &first["token"]).await.ok();
    assert_eq!(member["role"], "member");
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_opens_nothing() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let invitation = invite(&admin, "mel", "member").await;
    let path = format!("{}/{}", invitations(&admin), text(&invitation["id"]));
    admin.delete(&path).await.gone();
    admin.delete(&path).await.problem(404, "not_found");
    let mel = world.person("mel");
    accept(&admin, &mel, &invitation, &invitation["token"])
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn an_invitation_ends_after_seven_days() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let scopes: Vec<&str> = domain::permission::Permission::ALL
        .iter()
        .map(|one| one.scope())
        .collect();
    let machine = world.machine(&admin, &scopes).await;
    let mel = world.person("mel");
    for (age, opens) in [
        (INVITATION_LIFETIME, false),
        (INVITATION_LIFETIME - Duration::from_secs(60), true),
    ] {
        // Made by an instance whose clock stands in the past.
        let past = Instance::at(&world, SystemClock.now().minus(age));
        let body = json!({ "email": "mel@example.com", "role": "member" });
        let made = past
            .post(machine.credential(), &invitations(&admin), &body)
            .await
            .created();
        let answer = accept(&admin, &mel, &made, &made["token"]).await;
        if opens {
            answer.ok();
        } else {
            answer.problem(403, "invitation_expired");
        }
    }
}

#[tokio::test]
async fn of_two_acceptances_at_once_one_counts() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mel = world.person("mel");
    let (one, other) = (
        invite(&admin, "mel", "member").await,
        invite(&admin, "mel", "admin").await,
    );
    let (first, second) = tokio::join!(
        accept(&admin, &mel, &one, &one["token"]),
        accept(&admin, &mel, &other, &other["token"]),
    );
    let won = [&first, &second]
        .iter()
        .filter(|answer| answer.status == 200)
        .count();
    assert_eq!(won, 1, "{first}\n{second}");
    let members = admin
        .list(&format!("/v1/orgs/{}/members", admin.org()))
        .await;
    assert_eq!(members.len(), 2);
    let admins = members
        .iter()
        .filter(|member| member["role"] == "admin")
        .count();
    let org = admin.get(&format!("/v1/orgs/{}", admin.org())).await.ok();
    assert_eq!(org["admins"], admins);
}
