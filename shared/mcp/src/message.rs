//! JSON-RPC 2.0, as far as a client of tools needs it.

use serde::Deserialize;
use serde_json::{Value, json};

/// The longest id of a server's request that is answered.
const MAX_ID_BYTES: usize = 256;

/// A message from a server.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A reply, or an error that names no request because the server could not read it.
    Reply {
        id: Option<Value>,
        outcome: Result<Value, RpcError>,
    },
    /// A request that expects an answer.
    Request { id: Value, method: String },
    /// Progress, logs, changed lists: nothing that a call waits for.
    Notification,
}

/// The error of a reply.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct RpcError {
    pub code: i64,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub data: Option<Value>,
}

#[derive(Deserialize)]
struct Envelope {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// Reads one message, or the batch of messages that version 2025-03-26 allows. `None` if the bytes
/// are anything else.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Incoming>> {
    let is_batch = bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'[');
    let envelopes: Vec<Envelope> = if is_batch {
        serde_json::from_slice(bytes).ok()?
    } else {
        vec![serde_json::from_slice(bytes).ok()?]
    };
    let messages: Option<Vec<Incoming>> = envelopes.into_iter().map(classify).collect();
    messages.filter(|messages| !messages.is_empty())
}

fn classify(envelope: Envelope) -> Option<Incoming> {
    if envelope.jsonrpc != "2.0" {
        return None;
    }
    match (
        envelope.method,
        envelope.id,
        envelope.result,
        envelope.error,
    ) {
        (Some(method), Some(id), None, None) => Some(Incoming::Request { id, method }),
        (Some(_), None, None, None) => Some(Incoming::Notification),
        (None, Some(id), Some(result), None) => Some(Incoming::Reply {
            id: Some(id),
            outcome: Ok(result),
        }),
        (None, id, None, Some(error)) => Some(Incoming::Reply {
            id,
            outcome: Err(error),
        }),
        _ => None,
    }
}

/// Whether a reply with this id answers request `ours`. Some servers give a number back as text.
pub(crate) fn answers(id: Option<&Value>, ours: u64) -> bool {
    match id {
        // Only an error comes without an id, and each request has its own connection.
        None => true,
        Some(Value::Number(number)) => number.as_u64() == Some(ours),
        Some(Value::String(text)) => *text == ours.to_string(),
        Some(_) => false,
    }
}

/// A request.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// A notification.
pub(crate) fn notification(method: &str, params: Option<Value>) -> String {
    let mut message = json!({ "jsonrpc": "2.0", "method": method });
    if let Some(params) = params {
        message["params"] = params;
    }
    message.to_string()
}

/// The answer to a server's request: a ping is returned, anything else refused. `None` if the id
/// is none that can be answered.
pub(crate) fn answer(id: &Value, method: &str) -> Option<String> {
    let answerable = match id {
        Value::Number(_) => true,
        Value::String(text) => text.len() <= MAX_ID_BYTES,
        _ => false,
    };
    if !answerable {
        return None;
    }
    let answer = if method == "ping" {
        json!({ "jsonrpc": "2.0", "id": id, "result": {} })
    } else {
        let error = json!({ "code": -32601, "message": "this client offers no such method" });
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    };
    Some(answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Option<Incoming> {
        read(text.as_bytes()).and_then(|mut messages| messages.pop())
    }

    #[test]
    fn messages_are_told_apart() {
        assert!(matches!(
            one(r#" {"jsonrpc":"2.0","id":1,"result":{"a":1},"more":[1]}"#),
            Some(Incoming::Reply {
                id: Some(_),
                outcome: Ok(_)
            })
        ));
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}"#),
            Some(Incoming::Reply {
                id: None,
                outcome: Err(_)
            })
        ));
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#),
            Some(Incoming::Request { .. })
        ));
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#),
            Some(Incoming::Notification)
        ));
        let batch = r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":1,"result":{}}]"#;
        assert_eq!(read(batch.as_bytes()).map(|all| all.len()), Some(2));
        for nonsense in [
            "",
            "null",
            "{}",
            "[1]",
            "[]",
            "<html>",
            "\u{0}\u{1}",
            r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":"broken"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}} trailing"#,
        ] {
            assert!(read(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(read(deep.as_bytes()).is_none());
    }

    #[test]
    fn a_reply_has_to_name_its_request() {
        assert!(answers(Some(&json!(7)), 7));
        assert!(answers(Some(&json!("7")), 7));
        assert!(answers(None, 7));
        for other in [
            json!(8),
            json!("8"),
            json!(-7),
            json!(7.5),
            json!([7]),
            json!(true),
        ] {
            assert!(!answers(Some(&other), 7), "{other}");
        }
    }

    #[test]
    fn a_ping_is_returned_and_the_rest_refused() {
        let read = |text: Option<String>| -> Value {
            serde_json::from_str(&text.expect("an answer")).expect("JSON")
        };
        assert_eq!(
            read(answer(&json!("p-1"), "ping")),
            json!({ "jsonrpc": "2.0", "id": "p-1", "result": {} })
        );
        for method in [
            "sampling/createMessage",
            "elicitation/create",
            "roots/list",
            "x",
        ] {
            assert_eq!(read(answer(&json!(3), method))["error"]["code"], -32601);
        }
        for id in [json!(null), json!({}), json!([1]), json!("x".repeat(257))] {
            assert!(answer(&id, "ping").is_none(), "{id}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(read(&bytes).is_none());
        }
    }
}
