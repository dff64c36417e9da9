//! Callers of the org itself: nobody, machines with and without scopes, members of each role,
//! support.

use std::time::Duration;

use domain::org::Role;
use domain::permission::Permission;
use domain::user::{PlatformRole, User};
use serde_json::json;

use super::rows::{delete_file, row};
use super::{one_is_enough, spends_it};
use crate::support::fixture::Fixture;
use crate::support::instance::Instance;
use crate::support::operations::{Operation, document, operations};
use crate::support::{Answer, Api, World, send, text};

async fn call(operation: &Operation, caller: &Api, fixture: &Fixture) -> Answer {
    let row = row(operation);
    let path = row.path(operation, caller, fixture).await;
    send(row.request(operation, caller, &path, fixture)).await
}

/// Operations on an org's things, and the permissions that they need.
fn of_an_org() -> Vec<(Operation, Vec<Permission>)> {
    let guarded = operations(&document())
        .into_iter()
        .filter(|operation| !operation.scopes().is_empty());
    guarded
        .map(|operation| {
            let scopes = operation.scopes().iter();
            let permissions = scopes
                .map(|scope| scope.parse().expect("a permission"))
                .collect();
            (operation, permissions)
        })
        .collect()
}

#[tokio::test]
async fn whoever_has_no_valid_credential_is_401_everywhere_but_where_all_may_read() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let revoked = revoked_key(&world, &fixture).await;
    let token = fixture.admin.credential();
    let (head, signature) = token.rsplit_once('.').expect("a signed token");
    let other: String = signature.chars().rev().collect();
    let strangers = [
        ("nobody", world.anonymous()),
        ("garbage", world.bearer("garbage")),
        ("a forged token", world.bearer(format!("{head}.{other}"))),
        ("a mistyped key", world.bearer(format!("{revoked}x"))),
        ("a revoked key", world.bearer(revoked)),
    ];
    for operation in operations(&document()) {
        for (who, caller) in &strangers {
            let answer = call(&operation, caller, &fixture).await;
            if operation.scopes.is_none() {
                assert_eq!(answer.status, 200, "{who} {}: {answer}", operation.id);
                continue;
            }
            answer.any_problem();
            assert_eq!(answer.status, 401, "{who} {}: {answer}", operation.id);
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer"),
                "{who} {}",
                operation.id
            );
        }
    }
}

async fn revoked_key(world: &World, fixture: &Fixture) -> String {
    let body = json!({ "name": "Old", "scopes": Permission::ALL });
    let key = fixture.admin.create("/v1/api-keys", &body).await;
    let secret = text(&key["secret"]);
    world.bearer(secret.clone()).get("/v1/agents").await.ok();
    fixture
        .admin
        .delete(&format!("/v1/api-keys/{}", text(&key["id"])))
        .await
        .gone();
    secret
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    fixture.read_file().await;
    let instance = Instance::beside(&world);
    let soon = kernel::Clock::now(&instance.clock).plus(Duration::from_secs(600));
    let body = json!({ "name": "Short", "scopes": Permission::ALL, "expires_at": soon });
    let secret = text(&fixture.admin.create("/v1/api-keys", &body).await["secret"]);
    let guarded = of_an_org();
    let readable = guarded
        .iter()
        .filter(|(operation, _)| operation.method == http::Method::GET);
    let paths: Vec<String> = readable
        .map(|(operation, _)| fixture.path(&operation.path))
        .collect();
    assert!(paths.len() > 15);
    for path in &paths {
        assert_eq!(
            instance.get(&secret, path).await.status.as_u16() / 100,
            2,
            "{path}"
        );
    }
    instance.clock.advance(Duration::from_secs(600));
    for path in &paths {
        instance
            .get(&secret, path)
            .await
            .problem(401, "invalid_api_key");
    }
}

#[tokio::test]
async fn a_key_without_the_scope_is_403_however_many_others_it_has() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    for missing in Permission::ALL {
        let others: Vec<&str> = Permission::ALL
            .iter()
            .filter(|one| *one != missing)
            .map(|one| one.scope())
            .collect();
        let machine = world.machine(&fixture.admin, &others).await;
        for (operation, needed) in of_an_org() {
            if !needed.contains(missing) || one_is_enough(&operation) {
                continue;
            }
            let problem = call(&operation, &machine, &fixture)
                .await
                .problem(403, "forbidden");
            let detail = text(&problem["detail"]);
            assert!(
                detail.contains(missing.scope()),
                "{}: {detail}",
                operation.id
            );
        }
    }
}

#[tokio::test]
async fn where_one_of_several_scopes_is_enough_each_of_them_is_and_all_others_are_not() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let open = of_an_org();
    let open = open
        .iter()
        .filter(|(operation, _)| one_is_enough(operation));
    let mut seen = 0;
    for (operation, ways) in open {
        let others: Vec<&str> = Permission::ALL
            .iter()
            .filter(|one| !ways.contains(*one))
            .map(|one| one.scope())
            .collect();
        let machine = world.machine(&fixture.admin, &others).await;
        call(operation, &machine, &fixture)
            .await
            .problem(403, "forbidden");
        for way in ways {
            let machine = world.machine(&fixture.admin, &[way.scope()]).await;
            call(operation, &machine, &fixture).await.ok();
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} ways");
}

#[tokio::test]
async fn a_key_with_no_other_scope_than_the_one_stated_gets_in() {
    let world = World::start().await;
    let shared = Fixture::build(&world, "shared").await;
    for (number, (operation, _)) in of_an_org().into_iter().enumerate() {
        let_in(&world, &shared, number, &operation, None).await;
    }
}

#[tokio::test]
async fn the_least_role_that_has_the_permission_gets_in() {
    let world = World::start().await;
    let shared = Fixture::build(&world, "shared").await;
    for (number, (operation, needed)) in of_an_org().into_iter().enumerate() {
        let least = needed
            .iter()
            .map(|one| one.least_role())
            .max()
            .expect("a permission");
        let_in(&world, &shared, number, &operation, Some(least)).await;
    }
}

/// Calls an operation as the least of those who may, and asserts one of the successes that it
/// documents. What uses a thing up gets an org of its own.
async fn let_in(
    world: &World,
    shared: &Fixture,
    number: usize,
    operation: &Operation,
    role: Option<Role>,
) {
    let own = if spends_it(operation) {
        Some(Fixture::build(world, &format!("own{number}")).await)
    } else {
        None
    };
    let fixture = own.as_ref().unwrap_or(shared);
    let caller = match role {
        Some(Role::Member) => fixture.member.clone(),
        Some(Role::Manager) => fixture.manager.clone(),
        Some(Role::Admin) => fixture.admin.clone(),
        None => {
            let mut scopes: Vec<&str> = operation.scopes().iter().map(String::as_str).collect();
            // Nobody gives away more than they have.
            scopes.extend(beyond(&operation.id));
            world.machine(&fixture.admin, &scopes).await
        }
    };
    row(operation).prepare(world, fixture).await;
    let answer = call(operation, &caller, fixture).await;
    let status = answer.status.as_u16();
    assert!(
        operation.successes.contains(&status),
        "{}: {answer}",
        operation.id
    );
}

/// What else a machine needs, since a person or a machine that it makes will have it.
fn beyond(operation: &str) -> Vec<&'static str> {
    let roles = Permission::ALL.iter().filter(|one| {
        matches!(operation, "create_invitation" if one.granted_to_role(Role::Member))
            || matches!(operation, "update_member" if one.granted_to_role(Role::Manager))
    });
    let mut scopes: Vec<&str> = roles.map(|one| one.scope()).collect();
    if matches!(operation, "create_api_key" | "rotate_api_key") {
        scopes.push("agents:read");
    }
    scopes
}

#[tokio::test]
async fn a_member_below_the_least_role_is_403() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let mut refused = 0;
    for (operation, needed) in of_an_org() {
        let least = needed
            .iter()
            .map(|one| one.least_role())
            .max()
            .expect("a permission");
        for (role, caller) in [
            (Role::Member, &fixture.member),
            (Role::Manager, &fixture.manager),
        ] {
            if role < least {
                call(&operation, caller, &fixture)
                    .await
                    .problem(403, "forbidden");
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "{refused} refusals");
}

#[tokio::test]
async fn a_machine_does_nothing_that_is_for_people() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let all: Vec<&str> = Permission::ALL.iter().map(|one| one.scope()).collect();
    let machine = world.machine(&fixture.admin, &all).await;
    for operation in operations(&document()) {
        if operation.scopes.as_ref().is_some_and(Vec::is_empty) {
            call(&operation, &machine, &fixture)
                .await
                .problem(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn support_reads_every_org_and_changes_none() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    fixture.read_file().await;
    let support = platform(&world, "sue", PlatformRole::Support)
        .await
        .for_org(fixture.admin.org());
    let before = fixture.admin.list("/v1/agents").await;
    for (operation, _) in of_an_org() {
        let answer = call(&operation, &support, &fixture).await;
        if operation.only_reads() {
            let status = answer.status.as_u16();
            assert!(
                operation.successes.contains(&status),
                "{}: {answer}",
                operation.id
            );
        } else {
            answer.problem(403, "forbidden");
        }
    }
    assert_eq!(fixture.admin.list("/v1/agents").await, before);
}

/// A person with a role outside all orgs, which operators alone can give.
async fn platform(world: &World, subject: &str, role: PlatformRole) -> Api {
    let me = world.person(subject).get("/v1/users/me").await.ok();
    let id = text(&me["id"]).parse().expect("a user's id");
    let identities = world.store().identities();
    let user = identities
        .user(id)
        .await
        .expect("the store answers")
        .expect("was seen");
    let version = user.version;
    let promoted = User {
        platform_role: Some(role),
        version: version + 1,
        ..user
    };
    identities
        .update(&promoted, version)
        .await
        .expect("is written");
    // Another token: what is known of the first one's holder is kept for a while.
    world.person(subject)
}

#[tokio::test]
async fn a_super_admin_does_in_any_org_what_its_admins_may() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let root = platform(&world, "root", PlatformRole::SuperAdmin)
        .await
        .for_org(fixture.admin.org());
    for (operation, _) in of_an_org() {
        if operation.id == "restore_file" {
            delete_file(&fixture).await;
        }
        // These leave nothing behind for the others to meet.
        if operation.method != http::Method::DELETE {
            let answer = call(&operation, &root, &fixture).await;
            assert!(
                !matches!(answer.status.as_u16(), 401 | 403 | 404),
                "{}: {answer}",
                operation.id
            );
        }
    }
}
