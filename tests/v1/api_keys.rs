//! `/v1/api-keys`.

use std::time::Duration;

use domain::permission::Permission;
use serde_json::{Value, json};

use crate::support::instance::Instance;
use crate::support::{Api, World, eventually, text};

async fn create(admin: &Api, scopes: &[&str]) -> Value {
    admin
        .create(
            "/v1/api-keys",
            &json!({ "name": "Import", "scopes": scopes }),
        )
        .await
}

fn path(key: &Value) -> String {
    format!("/v1/api-keys/{}", text(&key["id"]))
}

async fn rotate(admin: &Api, key: &Value, overlap: u64) -> Value {
    let path = format!("{}/rotate", path(key));
    admin
        .post(&path, &json!({ "overlap_seconds": overlap }))
        .await
        .ok()
}

async fn status(instance: &Instance, secret: &str) -> u16 {
    instance.get(secret, "/v1/agents").await.status.as_u16()
}

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_nowhere() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let answer = admin
        .post(
            "/v1/api-keys",
            &json!({ "name": "Import", "scopes": ["agents:read"] }),
        )
        .await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let key = answer.created();
    let secret = text(&key["secret"]);
    let (prefix, digits) = secret.rsplit_once('_').expect("a prefix");
    assert_eq!((prefix, digits.len()), ("og_local", 36));
    assert!(
        digits.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{secret}"
    );
    let hint = text(&key["hint"]);
    assert!(secret.starts_with(hint.trim_end_matches('…')), "{hint}");

    let shown = admin.get(&path(&key)).await.ok();
    assert_eq!(shown["secret"], Value::Null);
    assert_eq!(admin.list("/v1/api-keys").await, [shown]);
    world.bearer(&secret).get("/v1/agents").await.ok();
    let rotated = text(&rotate(&admin, &key, 60).await["secret"]);
    assert_nowhere(&world, &[&secret, &rotated]).await;
}

/// Looks through every table for texts that must not be there.
async fn assert_nowhere(world: &World, secrets: &[&str]) {
    let store = world.store();
    let config = store.config();
    for table in [
        &config.core,
        &config.work,
        &config.log,
        &config.audit,
        &config.ephemeral,
    ] {
        let scan = store
            .clients()
            .dynamo
            .scan()
            .table_name(table)
            .send()
            .await
            .expect("a scan");
        let items = format!("{:?}", scan.items());
        for secret in secrets {
            assert!(!items.contains(secret), "{table} holds {secret}");
        }
    }
}

#[tokio::test]
async fn nobody_makes_a_key_that_may_do_more_than_they_may() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let clerk = world
        .machine(&admin, &["api-keys:write", "api-keys:read", "agents:read"])
        .await;
    create(&clerk, &["agents:read", "api-keys:read"]).await;
    let body = json!({ "name": "More", "scopes": ["agents:read", "tasks:write", "audit:read"] });
    let answer = clerk.post("/v1/api-keys", &body).await;
    answer.names("/scopes/1");
    assert_eq!(answer.named_fields(), ["/scopes/1", "/scopes/2"]);
    // Nor is one shown the new secret of a key that may.
    let strong = create(&admin, &["tasks:write"]).await;
    let rotation = format!("{}/rotate", path(&strong));
    clerk
        .post(&rotation, &json!({}))
        .await
        .problem(403, "forbidden");
    // Only admins make keys at all.
    let mel = world.join(&admin, "mel", "manager").await;
    let body = json!({ "name": "Mine", "scopes": ["agents:read"] });
    mel.post("/v1/api-keys", &body)
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_key_that_acts_as_an_agent_makes_keys_of_that_agent_only() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let agent = admin
        .create("/v1/agents", &json!({ "name": "A", "instructions": "B" }))
        .await;
    let other = admin
        .create("/v1/agents", &json!({ "name": "C", "instructions": "D" }))
        .await;
    let of_agent = |agent: &Value| json!({ "name": "K", "scopes": ["api-keys:write", "agents:read"], "agent": agent });
    let key = admin.create("/v1/api-keys", &of_agent(&agent["id"])).await;
    let machine = world.bearer(text(&key["secret"]));
    for body in [of_agent(&other["id"]), of_agent(&Value::Null)] {
        machine.post("/v1/api-keys", &body).await.names("/agent");
    }
    machine
        .create("/v1/api-keys", &of_agent(&agent["id"]))
        .await;
    let free = create(&admin, &["agents:read"]).await;
    let rotation = format!("{}/rotate", path(&free));
    machine
        .post(&rotation, &json!({}))
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn after_a_rotation_both_secrets_work_until_the_overlap_ends() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let key = create(&admin, &["agents:read"]).await;
    let old = text(&key["secret"]);
    let rotated = rotate(&admin, &key, 600).await;
    let new = text(&rotated["secret"]);
    assert_ne!(old, new);
    assert_eq!(
        (&rotated["id"], &rotated["version"]),
        (&key["id"], &json!(2))
    );
    let instance = Instance::beside(&world);
    assert_eq!(
        (status(&instance, &old).await, status(&instance, &new).await),
        (200, 200)
    );
    instance.clock.advance(Duration::from_secs(590));
    assert_eq!(
        (status(&instance, &old).await, status(&instance, &new).await),
        (200, 200)
    );
    instance.clock.advance(Duration::from_secs(10));
    assert_eq!(
        (status(&instance, &old).await, status(&instance, &new).await),
        (401, 200)
    );
}

#[tokio::test]
async fn an_overlap_of_zero_ends_the_old_secret_at_once() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let key = create(&admin, &["agents:read"]).await;
    let old = world.bearer(text(&key["secret"]));
    old.get("/v1/agents").await.ok();
    let new = world.bearer(text(&rotate(&admin, &key, 0).await["secret"]));
    old.get("/v1/agents").await.problem(401, "invalid_api_key");
    new.get("/v1/agents").await.ok();
}

#[tokio::test]
async fn a_second_rotation_does_not_lengthen_what_the_first_has_bounded() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let key = create(&admin, &["agents:read"]).await;
    let first = text(&key["secret"]);
    let second = text(&rotate(&admin, &key, 100).await["secret"]);
    let third = text(&rotate(&admin, &key, 1_000).await["secret"]);
    let instance = Instance::beside(&world);
    let all = async || {
        [
            status(&instance, &first).await,
            status(&instance, &second).await,
            status(&instance, &third).await,
        ]
    };
    assert_eq!(all().await, [200, 200, 200]);
    instance.clock.advance(Duration::from_secs(101));
    assert_eq!(all().await, [401, 200, 200]);
    instance.clock.advance(Duration::from_secs(900));
    assert_eq!(all().await, [401, 401, 200]);
}

#[tokio::test]
async fn no_rotation_outlives_the_expiry_of_its_key() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let instance = Instance::beside(&world);
    let expiry = kernel::Clock::now(&instance.clock).plus(Duration::from_secs(300));
    let body = json!({ "name": "Short", "scopes": ["agents:read"], "expires_at": expiry });
    let key = admin.create("/v1/api-keys", &body).await;
    let old = text(&key["secret"]);
    let new = text(&rotate(&admin, &key, 604_800).await["secret"]);
    assert_eq!(
        (status(&instance, &old).await, status(&instance, &new).await),
        (200, 200)
    );
    instance.clock.advance(Duration::from_secs(300));
    assert_eq!(
        (status(&instance, &old).await, status(&instance, &new).await),
        (401, 401)
    );
    let past =
        json!({ "name": "Late", "scopes": ["agents:read"], "expires_at": "2020-01-01T00:00:00Z" });
    admin.post("/v1/api-keys", &past).await.names("/expires_at");
}

#[tokio::test]
async fn a_revoked_key_is_out_at_once_here_and_within_a_minute_elsewhere() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let key = create(&admin, &["agents:read"]).await;
    let old = text(&key["secret"]);
    let new = text(&rotate(&admin, &key, 600).await["secret"]);
    let elsewhere = Instance::beside(&world);
    for secret in [&old, &new] {
        world.bearer(secret).get("/v1/agents").await.ok();
        assert_eq!(status(&elsewhere, secret).await, 200);
    }
    admin.delete(&path(&key)).await.gone();
    for secret in [&old, &new] {
        world
            .bearer(secret)
            .get("/v1/agents")
            .await
            .problem(401, "invalid_api_key");
    }
    elsewhere.clock.advance(Duration::from_secs(60));
    for secret in [&old, &new] {
        assert_eq!(status(&elsewhere, secret).await, 401);
    }
    // It stays in the list, revoking it again changes nothing, and it gets no new secret.
    let shown = admin.get(&path(&key)).await.ok();
    assert!(shown["revoked_at"].is_string(), "{shown}");
    admin.delete(&path(&key)).await.gone();
    assert_eq!(
        admin.get(&path(&key)).await.ok()["version"],
        shown["version"]
    );
    let rotation = format!("{}/rotate", path(&key));
    admin
        .post(&rotation, &json!({}))
        .await
        .problem(409, "key_revoked");
}

#[tokio::test]
async fn no_secret_survives_a_rotation_and_a_revocation_at_once() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for _ in 0..8 {
        let key = create(&admin, &["agents:read"]).await;
        let mut secrets = vec![text(&key["secret"])];
        let (path, rotation) = (path(&key), format!("{}/rotate", path(&key)));
        let body = json!({ "overlap_seconds": 600 });
        let (rotated, revoked) = tokio::join!(admin.post(&rotation, &body), admin.delete(&path));
        if rotated.status == 200 {
            secrets.push(text(&rotated.json()["secret"]));
        } else {
            assert!(matches!(rotated.status.as_u16(), 409 | 412), "{rotated}");
        }
        if revoked.status != 204 {
            revoked.problem(412, "precondition_failed");
            admin.delete(&path).await.gone();
        }
        for secret in &secrets {
            world
                .bearer(secret)
                .get("/v1/agents")
                .await
                .problem(401, "invalid_api_key");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_refused_before_anything_is_looked_up() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let secret = text(&create(&admin, &["agents:read"]).await["secret"]);
    let mut mistyped = secret.clone();
    let end = if mistyped.pop() == Some('0') {
        '1'
    } else {
        '0'
    };
    mistyped.push(end);
    // A whole key of another environment, checksum and all.
    let prod = identity::KeyEnvironment::new("prod").expect("a name");
    let stray = identity::ApiKey::generate(&prod, &mut rand::rng());
    let cut_off = Instance::cut_off(&world);
    for wrong in [
        mistyped.as_str(),
        stray.expose(),
        &secret.replace("og_local_", "og_prod_"),
        &secret[..30],
        "og_",
    ] {
        cut_off
            .get(wrong, "/v1/agents")
            .await
            .problem(401, "invalid_api_key");
        world
            .bearer(wrong)
            .get("/v1/agents")
            .await
            .problem(401, "invalid_api_key");
    }
    // What may be a key is looked up, and nobody is told that it is none because of us.
    let unknown = cut_off.get(&secret, "/v1/agents").await;
    unknown.problem(503, "unavailable");
    assert_eq!(unknown.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_key_says_when_it_was_used_last() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let key = create(&admin, &[Permission::AgentRead.scope()]).await;
    assert_eq!(
        admin.get(&path(&key)).await.ok()["last_used_at"],
        Value::Null
    );
    world
        .bearer(text(&key["secret"]))
        .get("/v1/agents")
        .await
        .ok();
    eventually("its use is noted", async || {
        let shown = admin.get(&path(&key)).await.ok();
        shown["last_used_at"].is_string().then_some(())
    })
    .await;
}
