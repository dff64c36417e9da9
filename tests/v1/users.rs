//! `/v1/users/me`.

use serde_json::{Value, json};

use crate::support::{World, text};

#[tokio::test]
async fn a_person_is_known_from_the_first_valid_token_on() {
    let world = World::start().await;
    let me = world.person("ada").get("/v1/users/me").await.ok();
    assert_eq!(
        (&me["email"], &me["email_verified"]),
        (&json!("ada@example.com"), &json!(true))
    );
    assert_eq!((&me["name"], &me["version"]), (&json!("ada"), &json!(1)));
    // Another token of the same person is the same person, and another person another.
    let again = world.person("ada").get("/v1/users/me").await.ok();
    assert_eq!(again, me);
    let other = world.person("bob").get("/v1/users/me").await.ok();
    assert_ne!(other["id"], me["id"]);
}

#[tokio::test]
async fn twenty_first_requests_at_once_make_one_person() {
    let world = World::start().await;
    let ada = world.person("ada");
    let all = futures::future::join_all((0..20).map(|_| ada.get("/v1/users/me"))).await;
    let first = all[0].ok();
    assert!(all.iter().all(|answer| answer.ok() == first));
}

#[tokio::test]
async fn people_choose_their_name_language_and_time_zone_and_take_them_back() {
    let world = World::start().await;
    let ada = world.person("ada");
    let body = json!({ "name": "Ada L.", "preferences": { "language": "pt-BR", "time_zone": "europe/lisbon" } });
    let changed = ada.patch("/v1/users/me", &body).await.ok();
    assert_eq!(changed["name"], "Ada L.");
    assert_eq!(
        changed["preferences"],
        json!({ "language": "pt-BR", "time_zone": "Europe/Lisbon" })
    );
    // What is absent stays, null takes back.
    let body = json!({ "preferences": { "language": null } });
    let changed = ada.patch("/v1/users/me", &body).await.ok();
    assert_eq!(
        changed["preferences"],
        json!({ "time_zone": "Europe/Lisbon" })
    );
    assert_eq!(
        (&changed["name"], &changed["version"]),
        (&json!("Ada L."), &json!(3))
    );
    let changed = ada
        .patch("/v1/users/me", &json!({ "name": null }))
        .await
        .ok();
    assert_eq!(changed["name"], Value::Null);
    // What changes nothing is no new version.
    let same = ada
        .patch("/v1/users/me", &json!({ "name": null }))
        .await
        .ok();
    assert_eq!(same, changed);
    assert_eq!(ada.get("/v1/users/me").await.ok(), changed);
    // A token that is presented again does not undo what was chosen.
    assert_eq!(world.person("ada").get("/v1/users/me").await.ok(), changed);
}

#[tokio::test]
async fn preferences_that_do_not_exist_are_named() {
    let world = World::start().await;
    let ada = world.person("ada");
    for (preference, values) in [
        ("language", ["", "e", "en_US", "english please"]),
        ("time_zone", ["", "Mars/Olympus", "+01:00", "../etc/passwd"]),
    ] {
        for value in values {
            let body = json!({ "preferences": { preference: value } });
            let answer = ada.patch("/v1/users/me", &body).await;
            answer.names(&format!("/preferences/{preference}"));
        }
    }
    assert_eq!(ada.get("/v1/users/me").await.ok()["version"], 1);
}

#[tokio::test]
async fn nobody_gives_themselves_a_platform_role() {
    let world = World::start().await;
    let ada = world.person("ada");
    for field in ["platform_role", "email", "email_verified", "id", "version"] {
        let answer = ada
            .patch("/v1/users/me", &json!({ field: "super_admin" }))
            .await;
        answer.names(&format!("/{field}"));
    }
    let me = text(&ada.get("/v1/users/me").await.ok()["id"]);
    assert!(me.starts_with("usr_"));
}
