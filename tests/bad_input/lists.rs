//! Lists: their limits, and cursors that belong to one list of one org.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::matrix::rows::row;
use crate::support::fixture::Fixture;
use crate::support::operations::{Operation, document, operations};
use crate::support::{Answer, Api, World, send, text};

/// Every operation that pages through a list by its query.
fn lists() -> Vec<Operation> {
    let listing = |operation: &Operation| {
        ["limit", "cursor"]
            .iter()
            .all(|name| operation.query.iter().any(|known| known == name))
    };
    operations(&document())
        .into_iter()
        .filter(listing)
        .collect()
}

async fn ask(operation: &Operation, caller: &Api, fixture: &Fixture, query: &str) -> Answer {
    let path = format!("{}?{query}", fixture.path(&operation.path));
    send(row(operation).request(operation, caller, &path, fixture)).await
}

/// The cursor after the first item of a list.
async fn first_cursor(operation: &Operation, fixture: &Fixture) -> String {
    let page = ask(operation, &fixture.admin, fixture, "limit=1")
        .await
        .ok();
    page["next_cursor"]
        .as_str()
        .unwrap_or_else(|| panic!("{} has no second page: {page}", operation.id))
        .to_owned()
}

async fn doubled(world: &World, name: &str) -> Fixture {
    let fixture = Fixture::build(world, name).await;
    fixture.double(world).await;
    fixture
}

#[tokio::test]
async fn a_bad_limit_a_bad_cursor_and_an_unknown_parameter_are_named() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let lists = lists();
    assert!(lists.len() > 12, "{} lists", lists.len());
    for operation in &lists {
        for limit in ["0", "101", "-1", "1.5", "x", "", "99999999999999999999"] {
            let query = format!("limit={limit}");
            ask(operation, &fixture.admin, &fixture, &query)
                .await
                .names("limit");
        }
        let long = "A".repeat(1_001);
        for cursor in ["", "x", "AAAA", "%00", "%ff", &long] {
            let query = format!("cursor={cursor}");
            ask(operation, &fixture.admin, &fixture, &query)
                .await
                .names("cursor");
        }
        ask(operation, &fixture.admin, &fixture, "colour=red")
            .await
            .names("colour");
        ask(operation, &fixture.admin, &fixture, "limit=1&limit=2")
            .await
            .names("limit");
    }
}

#[tokio::test]
async fn pages_of_one_together_are_the_whole_list_in_its_order() {
    let world = World::start().await;
    let fixture = doubled(&world, "one").await;
    crate::v1::audit::settled(&world, &fixture.admin).await;
    for operation in lists() {
        let whole = ask(&operation, &fixture.admin, &fixture, "limit=100")
            .await
            .ok();
        let whole = whole["items"].as_array().expect("a list").clone();
        assert!(whole.len() > 1, "{} has one page only", operation.id);
        let mut walked: Vec<Value> = Vec::new();
        let mut query = "limit=1".to_owned();
        loop {
            let page = ask(&operation, &fixture.admin, &fixture, &query).await.ok();
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= 1, "{}: {page}", operation.id);
            walked.extend(items.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => query = format!("limit=1&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{}", operation.id);
    }
}

#[tokio::test]
async fn a_cursor_that_was_changed_is_refused() {
    let world = World::start().await;
    let fixture = doubled(&world, "one").await;
    for operation in lists() {
        let cursor = first_cursor(&operation, &fixture).await;
        for place in [0, cursor.len() / 2, cursor.len() - 2] {
            let mut bytes = cursor.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("letters");
            let query = format!("cursor={forged}");
            ask(&operation, &fixture.admin, &fixture, &query)
                .await
                .names("cursor");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_another_org_is_refused() {
    let world = World::start().await;
    let (ours, theirs) = tokio::join!(doubled(&world, "ours"), doubled(&world, "theirs"));
    let lists = lists();
    let mut cursors = Vec::new();
    for operation in &lists {
        cursors.push((operation.id.clone(), first_cursor(operation, &ours).await));
    }
    let distinct: BTreeSet<&String> = cursors.iter().map(|(_, cursor)| cursor).collect();
    assert_eq!(distinct.len(), cursors.len());
    for operation in &lists {
        for (list, cursor) in &cursors {
            let query = format!("cursor={cursor}");
            let answer = ask(operation, &ours.admin, &ours, &query).await;
            if *list == operation.id {
                answer.ok();
            } else {
                answer.names("cursor");
            }
        }
        let foreign = first_cursor(operation, &theirs).await;
        let query = format!("cursor={foreign}");
        ask(operation, &ours.admin, &ours, &query)
            .await
            .names("cursor");
    }
}

#[tokio::test]
async fn a_cursor_holds_for_the_filter_it_came_with() {
    let world = World::start().await;
    let fixture = doubled(&world, "one").await;
    let admin = &fixture.admin;
    let agent = fixture.id("agent_id");
    for list in [
        "/v1/tasks?status=todo",
        &format!("/v1/executions?agent_id={agent}"),
    ] {
        let page = admin.get(&format!("{list}&limit=1")).await.ok();
        let cursor = text(&page["next_cursor"]);
        admin.get(&format!("{list}&cursor={cursor}")).await.ok();
        let (unfiltered, _) = list.split_once('?').expect("a filter");
        admin
            .get(&format!("{unfiltered}?cursor={cursor}"))
            .await
            .names("cursor");
    }
    for (query, field) in [
        ("status=done", "status"),
        ("agent_id=x", "agent_id"),
        (&format!("status=todo&agent_id={agent}"), "status"),
    ] {
        admin.get(&format!("/v1/tasks?{query}")).await.names(field);
    }
    admin
        .get("/v1/executions?agent_id=x")
        .await
        .names("agent_id");
}

#[tokio::test]
async fn the_verification_of_the_chain_takes_its_own_cursor_only() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let audit = fixture.admin.get("/v1/audit?limit=1").await.ok();
    let cursor = text(&audit["next_cursor"]);
    for query in [
        format!("cursor={cursor}"),
        "cursor=x".into(),
        "limit=5".into(),
    ] {
        let field = query.split('=').next().expect("a name");
        fixture
            .admin
            .get(&format!("/v1/audit/verify?{query}"))
            .await
            .names(field);
    }
}
