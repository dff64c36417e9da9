//! Reading a provider's complaint: from status, headers and body to a [`ModelError`].

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::ModelError;

/// Longer waits are not hints any more but configuration errors of a provider.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The most characters of a provider's message that are worth showing.
const MAX_MESSAGE_CHARS: usize = 300;

/// A complaint, before it is understood.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Fault {
    /// HTTP status, when the complaint is a reply of its own.
    pub status: Option<u16>,
    /// The provider's class of error: `rate_limit_error`, `ThrottlingException`.
    pub kind: String,
    /// The provider's code: `context_length_exceeded`.
    pub code: String,
    /// The provider's sentence.
    pub message: String,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// From a reply with an error status.
    pub fn from_reply(status: u16, headers: &HeaderMap, body: &[u8], now: jiff::Timestamp) -> Self {
        let mut fault = match serde_json::from_slice::<Value>(body) {
            Ok(body) => Self::from_json(&body),
            // Pages of HTML from a proxy say nothing that a person wants to read.
            Err(_) => Self::default(),
        };
        if let Some(kind) = header(headers, "x-amzn-errortype") {
            // "ThrottlingException:http://internal.amazon.com/…"
            fault.kind = kind.split(':').next().unwrap_or_default().to_owned();
        }
        fault.status = Some(status);
        fault.retry_after = retry_after(headers, now);
        fault
    }

    /// From a JSON document, in any of the shapes that providers use.
    pub fn from_json(body: &Value) -> Self {
        let inner = match &body["error"] {
            Value::Null => body,
            Value::String(message) => {
                return Self {
                    message: message.clone(),
                    ..Self::default()
                };
            }
            inner => inner,
        };
        let text = |key: &str| inner[key].as_str().unwrap_or_default().to_owned();
        let mut fault = Self {
            kind: text("type"),
            code: text("code"),
            message: text("message"),
            ..Self::default()
        };
        if fault.message.is_empty() {
            fault.message = match &inner["detail"] {
                Value::String(detail) => detail.clone(),
                _ => text("Message"),
            };
        }
        // Gateways put the upstream's HTTP status where others put a name.
        fault.status = inner["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (400..600).contains(code));
        fault
    }

    /// Gives the complaint its type.
    pub fn into_error(self, provider: &str, model: &str, secrets: &[SecretString]) -> ModelError {
        let message = match (clean(&self.message, secrets), self.status) {
            (message, _) if !message.is_empty() => message,
            (_, Some(status)) => format!("status {status} and no reason given"),
            (_, None) => "no reason given".to_owned(),
        };
        let retry_after = self.retry_after;
        let provider = || provider.to_owned();
        match self.class() {
            Class::Unauthorized => ModelError::Unauthorized {
                provider: provider(),
            },
            Class::Forbidden => ModelError::Forbidden {
                provider: provider(),
                message,
            },
            Class::RateLimited => ModelError::RateLimited { retry_after },
            Class::QuotaExhausted => ModelError::QuotaExhausted { message },
            Class::Overloaded => ModelError::Overloaded { retry_after },
            Class::ContextTooLong => ModelError::ContextTooLong { message },
            Class::ContentFiltered => ModelError::ContentFiltered { message },
            Class::UnknownModel => ModelError::UnknownModel {
                model: clean(model, secrets),
                provider: provider(),
            },
            Class::InvalidRequest => ModelError::InvalidRequest { message },
            Class::Unavailable => ModelError::Unavailable {
                status: self.status.unwrap_or(500),
                message,
                retry_after,
            },
        }
    }

    fn class(&self) -> Class {
        self.class_by_name()
            .unwrap_or_else(|| self.class_by_status())
    }

    /// Names are more exact than statuses: a 429 may mean "slow down" or "pay your bill".
    fn class_by_name(&self) -> Option<Class> {
        let names = [
            self.code.to_ascii_lowercase(),
            self.kind.to_ascii_lowercase(),
        ];
        for name in &names {
            let class = match name.as_str() {
                "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" => {
                    Class::QuotaExhausted
                }
                "context_length_exceeded" | "exceed_context_size_error" | "request_too_large" => {
                    Class::ContextTooLong
                }
                "content_filter" | "content_policy_violation" => Class::ContentFiltered,
                "model_not_found" | "resourcenotfoundexception" => Class::UnknownModel,
                "rate_limit_exceeded" | "rate_limit_error" | "throttlingexception" => {
                    Class::RateLimited
                }
                "overloaded_error" | "serviceunavailableexception" | "modelnotreadyexception" => {
                    Class::Overloaded
                }
                "authentication_error"
                | "invalid_api_key"
                | "unrecognizedclientexception"
                | "expiredtokenexception"
                | "invalidsignatureexception"
                | "incompletesignatureexception"
                | "missingauthenticationtokenexception" => Class::Unauthorized,
                "permission_error" | "accessdeniedexception" => Class::Forbidden,
                "server_error"
                | "api_error"
                | "internalserverexception"
                | "modelstreamerrorexception"
                | "modelerrorexception" => Class::Unavailable,
                // Both kinds cover several of our classes; the message decides below.
                "invalid_request_error" | "validationexception" => match too_long(&self.message) {
                    true => Class::ContextTooLong,
                    false => continue,
                },
                _ => continue,
            };
            return Some(class);
        }
        None
    }

    fn class_by_status(&self) -> Class {
        match self.status {
            Some(401) => Class::Unauthorized,
            Some(402) => Class::QuotaExhausted,
            Some(403) => Class::Forbidden,
            // Without a word about a model, it is the address that does not exist.
            Some(404) if self.message.to_ascii_lowercase().contains("model") => Class::UnknownModel,
            Some(413) => Class::ContextTooLong,
            Some(429) => Class::RateLimited,
            Some(503 | 529) => Class::Overloaded,
            Some(408 | 409 | 424 | 425 | 500..) => Class::Unavailable,
            Some(_) if too_long(&self.message) => Class::ContextTooLong,
            Some(_) => Class::InvalidRequest,
            // An error event inside a stream, with a name that we do not know.
            None if self.kind.to_ascii_lowercase().contains("invalid_request")
                || self.kind.eq_ignore_ascii_case("validationexception") =>
            {
                Class::InvalidRequest
            }
            None => Class::Unavailable,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Unauthorized,
    Forbidden,
    RateLimited,
    QuotaExhausted,
    Overloaded,
    InvalidRequest,
    UnknownModel,
    ContextTooLong,
    ContentFiltered,
    Unavailable,
}

fn too_long(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "context length",
        "context window",
        "context size",
        "maximum context",
        "prompt is too long",
        "input is too long",
        "too many input tokens",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `retry-after-ms`, or `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let seconds = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value >= 0.0)
    };
    let wait = if let Some(milliseconds) = header(headers, "retry-after-ms").and_then(seconds) {
        Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?
    } else {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        match seconds(text) {
            Some(value) => Duration::try_from_secs_f64(value).unwrap_or(MAX_RETRY_AFTER),
            None => {
                let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
                Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
            }
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// One short line that holds neither a configured secret nor anything that looks like a key.
pub(crate) fn clean(text: &str, secrets: &[SecretString]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        let secret = secret.expose_secret();
        if !secret.is_empty() {
            text = text.replace(secret, "[redacted]");
        }
    }
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| match looks_like_key(word) {
            true => "[redacted]".to_owned(),
            false => word.to_owned(),
        })
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Providers repeat a part of a wrong key in their message.
fn looks_like_key(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.len() > 8
        && ["sk-", "sk_", "og_", "AKIA", "ASIA"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error_of(status: u16, body: Value) -> ModelError {
        Fault::from_reply(
            status,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            jiff::Timestamp::UNIX_EPOCH,
        )
        .into_error("openai", "gpt-x", &[])
    }

    #[test]
    fn the_shapes_of_the_field_are_understood() {
        let cases = [
            (
                401,
                json!({"error": {"message": "no", "code": "invalid_api_key"}}),
                "unauthorized",
            ),
            (
                403,
                json!({"error": {"type": "permission_error", "message": "no"}}),
                "forbidden",
            ),
            (
                429,
                json!({"error": {"type": "insufficient_quota", "message": "pay"}}),
                "quota_exhausted",
            ),
            (
                429,
                json!({"error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
                "rate_limited",
            ),
            (429, json!("not an object"), "rate_limited"),
            (
                400,
                json!({"error": {"code": "context_length_exceeded", "message": "x"}}),
                "context_too_long",
            ),
            (
                400,
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 201 tokens > 200"}}),
                "context_too_long",
            ),
            (
                400,
                json!({"message": "Input is too long for requested model."}),
                "context_too_long",
            ),
            (
                400,
                json!({"error": {"code": "content_filter", "message": "x"}}),
                "content_filtered",
            ),
            (
                400,
                json!({"error": {"message": "temperature must be below 2"}}),
                "invalid_request",
            ),
            (
                404,
                json!({"error": {"message": "x", "code": "model_not_found"}}),
                "unknown_model",
            ),
            (404, json!({"detail": "Not Found"}), "invalid_request"),
            (
                422,
                json!({"detail": "messages is missing"}),
                "invalid_request",
            ),
            (500, json!({"error": "boom"}), "unavailable"),
            (
                529,
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
                "overloaded",
            ),
            (301, json!({}), "invalid_request"),
        ];
        for (status, body, code) in cases {
            assert_eq!(
                error_of(status, body.clone()).code(),
                code,
                "{status} {body}"
            );
        }
        assert_eq!(
            error_of(422, json!({"detail": "messages is missing"})).to_string(),
            "the model provider refused the request: messages is missing"
        );
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now: jiff::Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(
            read("retry-after-ms", "250"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            read("retry-after", "Sun, 01 Mar 2026 10:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            read("retry-after", "Sun, 01 Mar 2026 09:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(read("retry-after", "1e300"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "-3"), None);
    }

    #[test]
    fn no_key_survives_in_a_message() {
        let secret = SecretString::from("canary-value");
        let text = "Incorrect key: sk-abcdefgh1234. \n You sent canary-value; AKIAIOSFODNN7EXAMPLE";
        assert_eq!(
            clean(text, &[secret]),
            "Incorrect key: [redacted] You sent [redacted]; [redacted]"
        );
        assert_eq!(clean(&"x".repeat(1000), &[]).chars().count(), 301);
    }
}
