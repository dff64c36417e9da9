//! Answers that are no results: what they are called, whether the call can have had an effect, and
//! whether waiting helps.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use mcp::{Challenge, ErrorKind, McpError};
use serde_json::{Value, json};

use crate::support::{Seen, Server, call_of, refusal, status};

async fn error_of(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> McpError {
    let server = Server::plain(answer).await;
    let error = call_of(&server).await.expect_err("a refusal");
    assert_eq!(server.of("tools/call").len(), 1, "{error}");
    error
}

#[tokio::test]
async fn every_status_has_a_name_and_a_meaning() {
    const SAFE: bool = true;
    const TRANSIENT: bool = true;
    for (answer, code, is_safe, is_transient) in [
        (201, "invalid_response", !SAFE, !TRANSIENT),
        (202, "invalid_response", !SAFE, !TRANSIENT),
        (204, "invalid_response", !SAFE, !TRANSIENT),
        (301, "redirected", !SAFE, !TRANSIENT),
        (302, "redirected", !SAFE, !TRANSIENT),
        (303, "redirected", !SAFE, !TRANSIENT),
        (307, "redirected", SAFE, !TRANSIENT),
        (308, "redirected", SAFE, !TRANSIENT),
        (400, "refused", SAFE, !TRANSIENT),
        (401, "unauthorized", SAFE, !TRANSIENT),
        (402, "refused", SAFE, !TRANSIENT),
        (403, "forbidden", SAFE, !TRANSIENT),
        (404, "refused", SAFE, !TRANSIENT),
        (405, "refused", SAFE, !TRANSIENT),
        (406, "refused", SAFE, !TRANSIENT),
        (408, "refused", !SAFE, TRANSIENT),
        (409, "refused", !SAFE, !TRANSIENT),
        (413, "refused", SAFE, !TRANSIENT),
        (415, "refused", SAFE, !TRANSIENT),
        (424, "refused", !SAFE, !TRANSIENT),
        (429, "rate_limited", SAFE, TRANSIENT),
        (500, "server_error", !SAFE, TRANSIENT),
        (501, "server_error", SAFE, TRANSIENT),
        (502, "server_error", !SAFE, TRANSIENT),
        (503, "server_error", !SAFE, TRANSIENT),
        (504, "server_error", !SAFE, TRANSIENT),
        (599, "server_error", !SAFE, TRANSIENT),
    ] {
        let error = error_of(move |_| status(answer)).await;
        assert_eq!(error.code(), code, "{answer}");
        assert_eq!(error.is_retry_safe(), is_safe, "{answer}");
        assert_eq!(error.is_transient(), is_transient, "{answer}");
    }
}

/// What a server answers to the call itself may come from inside the tool, whatever its status.
#[tokio::test]
async fn an_error_in_answer_to_the_call_says_nothing_about_its_effects() {
    for (answer, code, is_safe) in [
        (200, -32600, false),
        (200, -32601, false),
        (200, -32602, false),
        (200, -32603, false),
        (200, -32700, false),
        (200, -32042, false),
        (200, 1, false),
        (400, -32600, false),
        (404, -32601, false),
        (400, -32021, false),
        (500, -32603, false),
    ] {
        let error = error_of(move |seen| refusal(answer, &seen.body["id"], code, "no")).await;
        assert_eq!(error.code(), "rpc_error");
        assert_eq!(error.is_retry_safe(), is_safe, "{answer} {code}");
        assert!(!error.is_transient());
    }
    // From what stands before the tools, a status means what it says.
    for id in [Value::Null, json!("server-error"), json!(0)] {
        let id_of_error = id.clone();
        let error = error_of(move |_| refusal(400, &id_of_error, -32600, "no")).await;
        assert_eq!(
            (error.code(), error.is_retry_safe()),
            ("rpc_error", true),
            "{id}"
        );
    }
    let error = error_of(|_| refusal(500, &Value::Null, -32603, "no")).await;
    assert!(!error.is_retry_safe());
}

#[tokio::test]
async fn a_wish_for_credentials_says_what_to_authorize() {
    let asks = "Bearer error=\"invalid_token\", resource_metadata=\"https://example.com/.well-known/oauth-protected-resource\", scope=\"files:read\"";
    let error = error_of(move |_| {
        (
            axum::http::StatusCode::UNAUTHORIZED,
            [("www-authenticate", asks)],
        )
            .into_response()
    })
    .await;
    let ErrorKind::Unauthorized { challenge } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(
        *challenge,
        Challenge {
            scheme: "Bearer".to_owned(),
            error: Some("invalid_token".to_owned()),
            scope: Some("files:read".to_owned()),
            resource_metadata: Some(
                "https://example.com/.well-known/oauth-protected-resource".to_owned()
            ),
            ..Challenge::default()
        }
    );
    assert_eq!(error.needs_authorization(), Some(challenge));

    let bare = error_of(|_| status(401)).await;
    assert_eq!(bare.needs_authorization(), Some(&Challenge::default()));

    let more = "Bearer error=\"insufficient_scope\", scope=\"files:write\"";
    let error = error_of(move |_| {
        (
            axum::http::StatusCode::FORBIDDEN,
            [("www-authenticate", more)],
        )
            .into_response()
    })
    .await;
    assert_eq!(error.code(), "forbidden");
    let challenge = error.needs_authorization().expect("a challenge");
    assert_eq!(challenge.scope.as_deref(), Some("files:write"));
    let error = error_of(|_| status(403)).await;
    assert_eq!(error.needs_authorization(), None);
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let other = Server::plain(|_| status(200)).await;
    let target = format!("{}/deep?token=canary-3", other.url());
    let error = error_of(move |_| {
        let location = [("location", target.clone())];
        (axum::http::StatusCode::TEMPORARY_REDIRECT, location).into_response()
    })
    .await;
    let ErrorKind::Redirected { status, location } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(*status, 307);
    assert_eq!(
        location.as_deref(),
        Some(format!("{}/deep", other.url()).as_str())
    );
    assert!(!error.to_string().contains("canary"));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn how_long_to_wait_is_told_in_seconds() {
    for (value, expected) in [
        ("7", Some(Duration::from_secs(7))),
        (" 0 ", Some(Duration::ZERO)),
        ("99999999999", Some(Duration::from_secs(24 * 60 * 60))),
        ("-1", None),
        ("soon", None),
        ("Fri, 20 Nov 2026 08:53:55 GMT", None),
    ] {
        let error = error_of(move |_| {
            (
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                [("retry-after", value)],
            )
                .into_response()
        })
        .await;
        assert_eq!(error.retry_after(), expected, "{value}");
    }
}

#[tokio::test]
async fn what_a_server_says_is_one_short_line() {
    let error = error_of(|seen| {
        let text = format!("line one\r\nline two\u{202e}{}", "z".repeat(5000));
        refusal(200, &seen.body["id"], -32000, &text)
    })
    .await;
    let shown = error.to_string();
    assert!(
        shown.starts_with("tools/call: the server refuses: line one  line two"),
        "{shown}"
    );
    assert!(shown.len() < 700 && !shown.contains(['\r', '\n', '\u{202e}']));
}
