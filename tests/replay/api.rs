//! Events of the HTTP API and of the streaming function's URL, each through the routes of its own
//! function.

use api::{App, Routes};
use axum::body::Body;
use embedding::Embedders;
use http::{Method, Request};
use outbound::Policy;
use serde_json::{Value, json};

use super::{Sample, samples};
use crate::matrix::rows::row;
use crate::support::fixture::Fixture;
use crate::support::instance::Instance;
use crate::support::operations::{Operation, document, operations};
use crate::support::{World, text};

/// What stands for an id in a sample, after its prefix.
const ANY_ID: &str = "01jbst9de6fp79y0938nkrkayd";

/// The name of a function and its routes.
type Function = (&'static str, fn() -> Routes);

/// Every function that answers requests.
pub const ROUTES: &[Function] = &[
    ("agents", agents::routes),
    ("api-keys", api_keys::routes),
    ("approvals", approvals::routes),
    ("audit", audit::routes),
    ("budgets", budgets::routes),
    ("chat", chat::routes),
    ("conversations", conversations::routes),
    ("docs", docs::routes),
    ("executions", executions::routes),
    ("files", files::routes),
    ("health", health::routes),
    ("knowledge-bases", knowledge_bases::routes),
    ("orgs", orgs::routes),
    ("search", search::routes),
    ("streams", streams::routes),
    ("swarms", swarms::routes),
    ("tasks", tasks::routes),
    ("tools", tools::routes),
    ("users", users::routes),
];

#[tokio::test]
async fn every_sample_of_a_request_succeeds_in_its_own_function() {
    let world = World::start().await;
    let operations = operations(&document());
    let shared = Fixture::build(&world, "shared").await;
    let mut replayed = 0;
    for (function, routes) in ROUTES {
        let instance = Instance::serving(&world, |app: App| {
            let routes = routes().with(Embedders::default()).with(Policy::public());
            api::service(routes.with(search::Indexes::default()), app)
        });
        for sample in samples(function) {
            replayed += 1;
            let event = sample.json();
            let method = text(&event["requestContext"]["http"]["method"]);
            let path = text(&event["rawPath"]);
            let operation = operations.iter().find(|one| is_of(one, &method, &path));
            let own = match operation {
                // Whoever has founded a second org has to name the one that is meant.
                Some(operation)
                    if crate::matrix::spends_it(operation) || operation.id == "create_org" =>
                {
                    Some(Fixture::build(&world, &format!("own{replayed}")).await)
                }
                _ => None,
            };
            let fixture = own.as_ref().unwrap_or(&shared);
            if let Some(operation) = operation {
                row(operation).prepare(&world, fixture).await;
            }
            let request = read(&sample, fixture, operation);
            let answer = instance.send(request).await;
            let status = answer.status.as_u16();
            // The pages for people are in no document.
            let successes = operation.map_or(&[200, 307][..], |one| one.successes.as_slice());
            assert!(successes.contains(&status), "{sample}: {answer}");
        }
    }
    assert!(replayed >= operations.len(), "{replayed} samples");
}

/// Whether an operation is the one at this path.
fn is_of(operation: &Operation, method: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (
        operation.path.split('/').collect(),
        path.split('/').collect(),
    );
    operation.method.as_str() == method
        && template.len() == path.len()
        && template
            .iter()
            .zip(path)
            .all(|(known, part)| known.starts_with('{') || *known == part)
}

/// The request that a sample is, as the Lambda runtime reads it, with a token and ids that exist.
fn read(sample: &Sample, fixture: &Fixture, operation: Option<&Operation>) -> Request<Body> {
    let mut text = sample.text();
    let template = operation.map_or("", |one| one.path.as_str());
    for id in fixture.ids_for(template) {
        if let Some((prefix, _)) = id.split_once('_') {
            text = text.replace(&format!("{prefix}_{ANY_ID}"), id);
        }
    }
    text = text.replace(
        "/results/sample",
        &format!("/results/{}", fixture.id("sha256")),
    );
    let personal = operation.is_some_and(|one| one.id == "accept_invitation");
    let caller = if personal {
        &fixture.invited
    } else {
        &fixture.admin
    };
    text = text.replace("APPROVAL_LINK", &fixture.link);
    text = text.replace("Bearer TOKEN", &format!("Bearer {}", caller.credential()));
    assert!(
        !text.contains(ANY_ID),
        "{sample} names something that no org has: {text}"
    );
    if personal {
        let mut event: Value = serde_json::from_str(&text).expect("JSON");
        event["body"] = json!(json!({ "token": fixture.token }).to_string());
        text = event.to_string();
    }
    if operation.is_some_and(|one| one.id == "share_agent_memory") {
        // All agents of a sample have one id, and nobody shares with themselves.
        let mut event: Value = serde_json::from_str(&text).expect("JSON");
        let body = json!({ "agent_id": fixture.id("other_agent_id") });
        event["body"] = json!(body.to_string());
        text = event.to_string();
    }
    let request = lambda_http::request::from_str(&text);
    let request = request.unwrap_or_else(|error| panic!("{sample}: {error}"));
    let (parts, body) = request.into_parts();
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(parts, body)
}

#[tokio::test]
async fn a_function_answers_what_is_another_functions_with_404() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    for (function, routes) in ROUTES {
        let instance = Instance::serving(&world, |app: App| api::service(routes(), app));
        let other = if *function == "agents" {
            "/v1/tools"
        } else {
            "/v1/agents"
        };
        let answer = instance.get(fixture.admin.credential(), other).await;
        answer.problem(404, "not_found");
    }
}

#[test]
fn samples_are_requests_as_the_http_api_sends_them() {
    for (function, _) in ROUTES {
        for sample in samples(function) {
            let event = sample.json();
            assert_eq!(event["version"], "2.0", "{sample}");
            assert_eq!(
                event["requestContext"]["http"]["path"], event["rawPath"],
                "{sample}"
            );
            let method = text(&event["requestContext"]["http"]["method"]);
            let has_body = !event["body"].is_null();
            assert!(!has_body || method != Method::GET.as_str(), "{sample}");
            assert_eq!(sample.function, *function);
        }
    }
}
