//! What no handler may take, and what each says of it: a problem document with a stable code and
//! the place of what is wrong, never a 500.

mod bodies;
mod fields;
mod lists;
mod schema;

use serde_json::Value;

use crate::matrix::rows::{Row, row};
use crate::support::fixture::Fixture;
use crate::support::operations::{Operation, document, operations};
use crate::support::{Answer, Api, World, send};

/// An operation that takes a body, and a valid one.
struct Case {
    operation: Operation,
    row: &'static Row,
    valid: Value,
    path: String,
    caller: Api,
}

impl Case {
    /// Every operation that takes a body.
    fn all(fixture: &Fixture) -> Vec<Self> {
        let with_body = operations(&document())
            .into_iter()
            .filter(|one| one.body.is_some());
        with_body
            .map(|operation| {
                let row = row(&operation);
                let caller = match operation.id.as_str() {
                    "accept_invitation" => fixture.invited.clone(),
                    _ => fixture.admin.clone(),
                };
                Self {
                    valid: row.body.expect("a row has a body")(fixture),
                    path: fixture.path(&operation.path),
                    row,
                    caller,
                    operation,
                }
            })
            .collect()
    }

    fn name(&self) -> &'static str {
        self.row.operation
    }

    fn request(&self) -> reqwest::RequestBuilder {
        self.caller
            .request(self.operation.method.clone(), &self.path)
    }

    /// Sends these bytes as JSON.
    async fn send(&self, body: impl Into<reqwest::Body>) -> Answer {
        send(
            self.request()
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    async fn send_json(&self, body: &Value) -> Answer {
        self.send(body.to_string()).await
    }
}

async fn cases() -> (World, Vec<Case>) {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    // Parts are asked for of a content that comes in parts.
    fixture.announce_parts().await;
    let cases = Case::all(&fixture);
    assert!(cases.len() > 20, "{} operations take a body", cases.len());
    (world, cases)
}
