//! Reading a provider's complaint: from status, headers and body to a [`ModelError`].

mod class;
mod clean;
mod retry_after;

use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;

use crate::error::ModelError;

use class::Class;
pub(crate) use clean::clean;
use retry_after::retry_after;

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
        fault.retry_after = retry_after(headers, now).or(fault.retry_after);
        fault
    }

    /// From a JSON document, in any of the shapes that providers use.
    pub fn from_json(body: &Value) -> Self {
        // A list of one is how Google's APIs complain where a list was expected.
        let body = body.get(0).unwrap_or(body);
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
        if fault.kind.is_empty() {
            // Google's name for it, such as `RESOURCE_EXHAUSTED`.
            fault.kind = text("status");
        }
        if fault.message.is_empty() {
            let details = match &inner["detail"] {
                Value::Null => &inner["message"]["detail"],
                detail => detail,
            };
            fault.message = match details {
                Value::String(detail) => detail.clone(),
                Value::Array(fields) => field_faults(fields),
                _ => text("Message"),
            };
        }
        for detail in inner["details"].as_array().into_iter().flatten() {
            if let Some(wait) = detail["retryDelay"].as_str() {
                fault.retry_after = retry_after::seconds(wait);
            }
            if let Some(reason) = detail["reason"].as_str().filter(|_| fault.code.is_empty()) {
                fault.code = reason.to_owned();
            }
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
        match Class::of(&self) {
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
}

/// What is wrong with which fields, from a list of `{loc, msg}`.
fn field_faults(fields: &[Value]) -> String {
    let fault = |field: &Value| {
        let path: Vec<String> = field["loc"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|part| {
                part.as_str()
                    .map_or_else(|| part.to_string(), str::to_owned)
            })
            .collect();
        let message = field["msg"].as_str().unwrap_or_default();
        match path.is_empty() {
            true => message.to_owned(),
            false => format!("{}: {message}", path.join(".")),
        }
    };
    fields.iter().map(fault).collect::<Vec<_>>().join("; ")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
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
            (
                400,
                json!({"object": "error", "type": "invalid_model", "message": "Invalid model: x", "code": "1500"}),
                "unknown_model",
            ),
            (
                400,
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}),
                "unauthorized",
            ),
            (
                400,
                json!([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]),
                "context_too_long",
            ),
            (
                400,
                json!({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "User location is not supported."}}),
                "forbidden",
            ),
            (
                403,
                json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no"}}),
                "forbidden",
            ),
            (
                404,
                json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "models/x is not found"}}),
                "unknown_model",
            ),
            (
                429,
                json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota"}}),
                "rate_limited",
            ),
            (
                503,
                json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}),
                "overloaded",
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
        for wrong in [
            json!({"detail": [{"loc": ["body", "tools", 0], "msg": "extra fields"}]}),
            json!({"message": {"detail": [{"loc": ["body", "tools", 0], "msg": "extra fields"}]}}),
        ] {
            assert_eq!(
                error_of(422, wrong).to_string(),
                "the model provider refused the request: body.tools.0: extra fields"
            );
        }
        let delayed = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "2.5s"}]}});
        assert_eq!(
            error_of(429, delayed).retry_after(),
            Some(Duration::from_millis(2500))
        );
    }
}
