//! What may happen to a request, and what a client then gets.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use serde_json::{Value, json};

use super::wire::Response;

/// An operation of DynamoDB, such as `GetItem`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Operation(pub(crate) String);

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may happen to a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Refused with a 500.
    Error,
    /// Carried out, and answered with a 500.
    ErrorAfter,
    /// Refused as too much.
    Throttle,
    /// Refused since another writes the same item.
    Conflict,
    /// Carried out after a while.
    Delay,
    /// Lost on its way: not carried out, and no answer for a while.
    RequestLost,
    /// Carried out, and its answer is lost.
    ReplyLost,
    /// Not carried out; the connection is reset.
    Reset,
    /// No answer; carried out when another attempt has taken over, or after a while.
    Late,
}

impl Fault {
    /// Every fault.
    pub(crate) const ALL: [Self; 9] = [
        Self::Error,
        Self::ErrorAfter,
        Self::Throttle,
        Self::Conflict,
        Self::Delay,
        Self::RequestLost,
        Self::ReplyLost,
        Self::Reset,
        Self::Late,
    ];

    /// What the table of faults calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "500",
            Self::ErrorAfter => "500, done",
            Self::Throttle => "throttle",
            Self::Conflict => "conflict",
            Self::Delay => "delay",
            Self::RequestLost => "request lost",
            Self::ReplyLost => "reply lost",
            Self::Reset => "reset",
            Self::Late => "late",
        }
    }

    /// Whether a request of this kind can meet it.
    pub(crate) fn suits(self, operation: &Operation) -> bool {
        match self {
            Self::ErrorAfter | Self::Conflict => operation.writes(),
            Self::Late => operation.is_transaction(),
            _ => true,
        }
    }
}

impl Operation {
    /// Whether it is several writes in one.
    pub(crate) fn is_transaction(&self) -> bool {
        self.0 == "TransactWriteItems"
    }

    /// Whether it changes something.
    pub(crate) fn writes(&self) -> bool {
        self.is_transaction() || matches!(self.0.as_str(), "PutItem" | "UpdateItem" | "DeleteItem")
    }
}

/// DynamoDB's own refusal by a 500.
pub(crate) fn internal_error() -> Response {
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "com.amazonaws.dynamodb.v20120810#InternalServerError",
        &json!({ "message": "Internal server error" }),
    )
}

/// DynamoDB's refusal of too much.
pub(crate) fn throttled() -> Response {
    refusal(
        StatusCode::BAD_REQUEST,
        "com.amazon.coral.availability#ThrottlingException",
        &json!({ "message": "Rate exceeded" }),
    )
}

/// DynamoDB's refusal of a write beside another.
pub(crate) fn conflict(operation: &Operation, request: &Value) -> Response {
    if !operation.is_transaction() {
        return refusal(
            StatusCode::BAD_REQUEST,
            "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
            &json!({ "message": "Transaction is ongoing for the item" }),
        );
    }
    let items = request["TransactItems"].as_array().map_or(1, Vec::len);
    let reasons: Vec<Value> = (0..items)
        .map(|index| match index {
            0 => json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing" }),
            _ => json!({ "Code": "None" }),
        })
        .collect();
    refusal(
        StatusCode::BAD_REQUEST,
        "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        &json!({ "Message": "Transaction cancelled", "CancellationReasons": reasons }),
    )
}

/// An acknowledgement without contents.
pub(crate) fn nothing() -> Response {
    answer(StatusCode::OK, &json!({}))
}

fn refusal(status: StatusCode, kind: &str, body: &Value) -> Response {
    let mut body = body.clone();
    body["__type"] = json!(kind);
    answer(status, &body)
}

/// A reply in the protocol of DynamoDB and SQS.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn operation(name: &str) -> Operation {
        Operation(name.to_owned())
    }

    #[tokio::test]
    async fn a_conflict_gives_a_reason_for_each_item() {
        let request = json!({ "TransactItems": [{}, {}, {}] });
        let response = conflict(&operation("TransactWriteItems"), &request);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let reasons = body["CancellationReasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 3);
        assert_eq!(reasons[0]["Code"], "TransactionConflict");
        assert_eq!(reasons[2]["Code"], "None");
    }

    #[test]
    fn reads_meet_no_conflict_and_only_transactions_come_late() {
        let met = |name: &str| Fault::ALL.map(|fault| fault.suits(&operation(name)));
        assert_eq!(met("GetItem").iter().filter(|suits| **suits).count(), 6);
        assert_eq!(met("PutItem").iter().filter(|suits| **suits).count(), 8);
        assert!(met("TransactWriteItems").iter().all(|suits| *suits));
    }
}
