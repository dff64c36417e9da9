//! Callers of another org: for them there is nothing here, and nothing tells them otherwise.

use domain::permission::Permission;
use serde_json::json;

use super::rows::row;
use crate::support::fixture::{Fixture, fill, nobodys};
use crate::support::operations::{Operation, document, operations};
use crate::support::{Answer, Api, World, send, text};

/// Operations on things that a path names by their ids.
fn of_things() -> Vec<Operation> {
    let guarded = operations(&document())
        .into_iter()
        .filter(|operation| !operation.scopes().is_empty());
    guarded
        .filter(|operation| operation.path_parameters().any(|name| name != "org_id"))
        .collect()
}

async fn call(operation: &Operation, caller: &Api, path: &str, fixture: &Fixture) -> Answer {
    send(row(operation).request(operation, caller, path, fixture)).await
}

/// Asserts that both answers are the same 404, byte for byte.
fn assert_same_404(operation: &Operation, theirs: Answer, missing: Answer) {
    theirs.problem(404, "not_found");
    assert_eq!(
        theirs.indistinguishable(),
        missing.indistinguishable(),
        "{}",
        operation.id
    );
}

#[tokio::test]
async fn things_of_another_org_are_404_byte_for_byte_as_things_that_do_not_exist() {
    let world = World::start().await;
    let (ours, theirs) = tokio::join!(
        Fixture::build(&world, "ours"),
        Fixture::build(&world, "theirs")
    );
    let all: Vec<&str> = Permission::ALL.iter().map(|one| one.scope()).collect();
    let machine = world.machine(&ours.admin, &all).await;
    for operation in of_things() {
        // The path names our org, where it names one, and their things.
        let path_of_theirs = fill(&operation.path, |name| match name {
            "org_id" => ours.admin.org().to_owned(),
            _ => theirs.id(name).to_owned(),
        });
        let path_of_nothing = ours.path_to_nothing(&operation.path);
        let path_of_nonsense = fill(&operation.path, |name| match name {
            "org_id" | "version" => ours.id(name).to_owned(),
            _ => "nonsense".to_owned(),
        });
        for caller in [&ours.admin, &machine] {
            let missing = call(&operation, caller, &path_of_nothing, &ours).await;
            for path in [&path_of_theirs, &path_of_nonsense] {
                let foreign = call(&operation, caller, path, &ours).await;
                assert_same_404(&operation, foreign, missing.clone());
            }
        }
    }
}

#[tokio::test]
async fn another_org_is_404_byte_for_byte_as_an_org_that_does_not_exist() {
    let world = World::start().await;
    let (ours, theirs) = tokio::join!(
        Fixture::build(&world, "ours"),
        Fixture::build(&world, "theirs")
    );
    let all: Vec<&str> = Permission::ALL.iter().map(|one| one.scope()).collect();
    let machine = world.machine(&ours.admin, &all).await;
    let nowhere = nobodys(theirs.admin.org());
    for operation in operations(&document()) {
        if operation.scopes().is_empty() {
            continue;
        }
        let path_in = |org: &str| {
            fill(&operation.path, |name| match name {
                "org_id" => org.to_owned(),
                _ => theirs.id(name).to_owned(),
            })
        };
        for caller in [&ours.admin, &machine] {
            let ask = async |org: &str| {
                call(&operation, &caller.for_org(org), &path_in(org), &theirs).await
            };
            let missing = ask(&nowhere).await;
            assert_same_404(&operation, ask(theirs.admin.org()).await, missing.clone());
            assert_same_404(&operation, ask("nonsense").await, missing);
        }
    }
}

#[tokio::test]
async fn whoever_holds_no_token_cannot_tell_an_invitation_from_none() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let stranger = world.person("stranger");
    let template = "/v1/orgs/{org_id}/invitations/{invitation_id}/accept";
    let body = json!({ "token": "AAAA" });
    let theirs = stranger.post(&fixture.path(template), &body).await;
    theirs.problem(404, "not_found");
    let nowhere = fill(template, |name| nobodys(fixture.id(name)));
    for path in [
        fixture.path_to_nothing(template),
        nowhere,
        "/v1/orgs/x/invitations/y/accept".into(),
    ] {
        let missing = stranger.post(&path, &body).await;
        assert_eq!(
            missing.indistinguishable(),
            theirs.clone().indistinguishable(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_id_of_another_org_in_a_body_is_refused_as_one_that_does_not_exist() {
    let world = World::start().await;
    let (ours, theirs) = tokio::join!(
        Fixture::build(&world, "ours"),
        Fixture::build(&world, "theirs")
    );
    let upload = crate::support::world::upload_path(&ours.admin);
    let base = ours.path("/v1/knowledge-bases/{knowledge_base_id}/documents");
    let assign = ours.path("/v1/tasks/{task_id}/assign");
    type Body = fn(&str) -> serde_json::Value;
    let link = ours.path("/v1/files/{file_id}/links");
    let bodies: [(&str, &str, &str, Body); 10] = [
        (
            "/v1/executions",
            "agent_id",
            "/agent_id",
            |id| json!({ "agent_id": id, "input": "?" }),
        ),
        (
            "/v1/agents",
            "tool_id",
            "/tools/0",
            |id| json!({ "name": "A", "instructions": "B", "tools": [id] }),
        ),
        (
            "/v1/agents",
            "knowledge_base_id",
            "/knowledge_bases/0",
            |id| json!({ "name": "A", "instructions": "B", "knowledge_bases": [id] }),
        ),
        (
            "/v1/tasks",
            "agent_id",
            "/assignee/id",
            |id| json!({ "title": "A", "assignee": { "kind": "agent", "id": id } }),
        ),
        (
            &assign,
            "agent_id",
            "/agent_id",
            |id| json!({ "agent_id": id }),
        ),
        (
            &assign,
            "user_id",
            "/user_id",
            |id| json!({ "user_id": id }),
        ),
        (
            "/v1/api-keys",
            "agent_id",
            "/agent",
            |id| json!({ "name": "A", "scopes": ["agents:read"], "agent": id }),
        ),
        (&base, "file_id", "/file_id", |id| json!({ "file_id": id })),
        (
            &link,
            "agent_id",
            "/agent_id",
            |id| json!({ "agent_id": id }),
        ),
        (&upload, "knowledge_base_id", "/knowledge_base_id", |id| {
            crate::support::world::announced("a.md", b"a", Some(id))
        }),
    ];
    for (path, kind, field, body) in bodies {
        let foreign = ours.admin.post(path, &body(theirs.id(kind))).await;
        let problem = foreign.names(field);
        assert!(
            text(&problem["detail"]).contains("of this organization"),
            "{problem}"
        );
        let missing = ours
            .admin
            .post(path, &body(&nobodys(theirs.id(kind))))
            .await;
        assert_eq!(
            foreign.indistinguishable(),
            missing.indistinguishable(),
            "{path} {field}"
        );
    }
}
