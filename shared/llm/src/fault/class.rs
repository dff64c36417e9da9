//! What kind of complaint it is.

use super::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
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

impl Class {
    /// The kind of a complaint.
    pub fn of(fault: &Fault) -> Self {
        Self::by_name(fault).unwrap_or_else(|| Self::by_status(fault))
    }

    /// Names are more exact than statuses: a 429 may mean "slow down" or "pay your bill".
    fn by_name(fault: &Fault) -> Option<Self> {
        let names = [
            fault.code.to_ascii_lowercase(),
            fault.kind.to_ascii_lowercase(),
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
                "model_not_found" | "invalid_model" | "resourcenotfoundexception" => {
                    Class::UnknownModel
                }
                "rate_limit_exceeded"
                | "rate_limit_error"
                | "resource_exhausted"
                | "throttlingexception" => Class::RateLimited,
                "overloaded_error"
                | "unavailable"
                | "serviceunavailableexception"
                | "modelnotreadyexception" => Class::Overloaded,
                "authentication_error"
                | "invalid_api_key"
                | "api_key_invalid"
                | "unauthenticated"
                | "unrecognizedclientexception"
                | "expiredtokenexception"
                | "invalidsignatureexception"
                | "incompletesignatureexception"
                | "missingauthenticationtokenexception" => Class::Unauthorized,
                // Google's "failed precondition" is a country or a plan that may not call.
                "permission_error"
                | "permission_denied"
                | "failed_precondition"
                | "accessdeniedexception" => Class::Forbidden,
                "server_error"
                | "api_error"
                | "internal"
                | "deadline_exceeded"
                | "internalserverexception"
                | "modelstreamerrorexception"
                | "modelerrorexception" => Class::Unavailable,
                // Both kinds cover several of our classes; the message decides below.
                "invalid_request_error" | "validationexception" => match too_long(&fault.message) {
                    true => Class::ContextTooLong,
                    false => continue,
                },
                _ => continue,
            };
            return Some(class);
        }
        None
    }

    fn by_status(fault: &Fault) -> Self {
        match fault.status {
            Some(401) => Class::Unauthorized,
            Some(402) => Class::QuotaExhausted,
            Some(403) => Class::Forbidden,
            // Without a word about a model, it is the address that does not exist.
            Some(404) if fault.message.to_ascii_lowercase().contains("model") => {
                Class::UnknownModel
            }
            Some(413) => Class::ContextTooLong,
            Some(429) => Class::RateLimited,
            Some(503 | 529) => Class::Overloaded,
            Some(408 | 409 | 424 | 425 | 500..) => Class::Unavailable,
            Some(_) if too_long(&fault.message) => Class::ContextTooLong,
            Some(_) => Class::InvalidRequest,
            // An error event inside a stream, with a name that we do not know.
            None if fault.kind.to_ascii_lowercase().contains("invalid_request")
                || fault.kind.eq_ignore_ascii_case("validationexception") =>
            {
                Class::InvalidRequest
            }
            None => Class::Unavailable,
        }
    }
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
        "maximum number of tokens allowed",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}
