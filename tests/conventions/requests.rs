//! Request ids, paths and methods that are not there, and the way in.

use http::Method;
use serde_json::json;

use crate::support::fixture::nobodys;
use crate::support::{World, send, text};

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_usable_and_made_if_not() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let with = async |id: &str| {
        let request = admin
            .request(Method::GET, "/v1/agents")
            .header("x-request-id", id);
        text(&json!(send(request).await.header("x-request-id")))
    };
    for id in ["abc", "a-b_c.d:1", &"x".repeat(128)] {
        assert_eq!(with(id).await, id);
    }
    let made = text(&json!(admin.get("/v1/agents").await.header("x-request-id")));
    assert!(made.starts_with("req_"), "{made}");
    for id in ["", "a b", "<script>", &"x".repeat(129), "\u{e9}"] {
        let made = with(id).await;
        assert!(made.starts_with("req_"), "{id:?} gave {made}");
    }
    let problem = send(
        admin
            .request(Method::GET, "/v1/none")
            .header("x-request-id", "abc"),
    )
    .await;
    assert_eq!(problem.header("x-request-id"), Some("abc"));
}

#[tokio::test]
async fn a_request_id_is_the_thread_from_the_request_to_what_the_worker_did() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let agent = admin
        .create("/v1/agents", &crate::support::fixture::agent("Guide"))
        .await;
    let run = json!({ "agent_id": agent["id"], "input": "How often?" });
    let request = admin
        .request(Method::POST, "/v1/executions")
        .header("x-request-id", "thread-1");
    let execution = send(request.json(&run)).await.created();
    assert_eq!(execution["correlation_id"], "thread-1");
    let id = text(&execution["id"]);
    crate::support::ended(&admin, &id).await;
    let kinds = crate::support::eventually("the end is sealed", async || {
        let found = admin
            .post("/v1/audit/search", &json!({ "subject": id }))
            .await
            .ok();
        let entries = found["items"].as_array().expect("a list").clone();
        (entries.len() == 3).then_some(entries)
    })
    .await;
    for entry in &kinds {
        assert_eq!(entry["correlation_id"], "thread-1", "{entry}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_another_method_a_405() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for path in [
        "/",
        "/v1",
        "/v1/none",
        "/v2/agents",
        "/v1/agents/x/y/z",
        "/V1/agents",
        "//",
    ] {
        admin.get(path).await.problem(404, "not_found");
        world.anonymous().get(path).await.problem(404, "not_found");
    }
    for (method, path) in [
        (Method::PUT, "/v1/agents"),
        (Method::DELETE, "/v1/agents"),
        (Method::POST, "/health"),
        (Method::PATCH, "/v1/audit"),
        (Method::DELETE, "/v1/audit"),
    ] {
        let answer = send(admin.request(method.clone(), path)).await;
        answer.problem(405, "method_not_allowed");
        assert!(
            answer.header("allow").is_some(),
            "{method} {path} says what is allowed"
        );
    }
}

#[tokio::test]
async fn nothing_of_an_audit_entry_can_be_addressed_or_changed() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let path = format!("/v1/audit/{}", nobodys("evt_01jbst9de6fp79y0938nkrkayd"));
        send(admin.request(method, &path))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn whoever_belongs_to_no_org_or_to_several_is_told_what_to_do() {
    let world = World::start().await;
    let person = world.person("ada");
    person
        .get("/v1/agents")
        .await
        .problem(403, "no_organization");
    let org = person.create("/v1/orgs", &json!({ "name": "First" })).await;
    // The only org that can be meant needs no header.
    let found = crate::support::eventually("the membership is listed", async || {
        let answer = person.get("/v1/agents").await;
        (answer.status == 200).then_some(answer)
    });
    found.await;
    let second = person
        .create("/v1/orgs", &json!({ "name": "Second" }))
        .await;
    person
        .get("/v1/agents")
        .await
        .problem(400, "organization_required");
    for org in [&org, &second] {
        person
            .for_org(text(&org["id"]))
            .get("/v1/agents")
            .await
            .ok();
    }
    for nonsense in ["", "x", "org_1"] {
        person
            .for_org(nonsense)
            .get("/v1/agents")
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_credential_that_is_no_bearer_is_refused_in_words() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for header in [
        "",
        "Bearer",
        "Basic YTpi",
        admin.credential(),
        "Bearer  ",
        "bearer\tx",
    ] {
        let request = world.anonymous().request(Method::GET, "/v1/agents");
        let answer = send(request.header("authorization", header)).await;
        answer.any_problem();
        assert_eq!(answer.status, 401, "{header:?}: {answer}");
    }
    let request = world.anonymous().request(Method::GET, "/v1/users/me");
    let lower = format!("bearer {}", admin.credential());
    send(request.header("authorization", lower)).await.ok();
}
