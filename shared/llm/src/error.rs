//! What can go wrong between us and a model, in words that a person understands.

use std::time::Duration;

use thiserror::Error;

/// Why a call to a model failed.
///
/// Messages may be shown to the person whose agent failed: they carry no key, no header and no
/// more of a provider's reply than one cleaned sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The credentials are missing, wrong, expired or revoked.
    #[error("{provider} refused the credentials; check the key that is configured for it")]
    Unauthorized {
        /// The provider that refused.
        provider: String,
    },
    /// The credentials are good, but not for this.
    #[error("{provider} does not let these credentials do this: {message}")]
    Forbidden {
        /// The provider that refused.
        provider: String,
        /// The provider's reason.
        message: String,
    },
    /// Too many requests or tokens in a short time.
    #[error("the model provider is limiting the rate of requests{}", after(.retry_after))]
    RateLimited {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The account is out of credit or over its spending limit; waiting does not help.
    #[error("the account at the model provider has no credit left: {message}")]
    QuotaExhausted {
        /// The provider's reason.
        message: String,
    },
    /// The provider is out of capacity.
    #[error("the model provider is overloaded{}", after(.retry_after))]
    Overloaded {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider found a fault in the request.
    #[error("the model provider refused the request: {message}")]
    InvalidRequest {
        /// The provider's reason.
        message: String,
    },
    /// The model does not exist, or belongs to a provider that is not configured here.
    #[error("the model `{model}` is not available from {provider}")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// Who was asked.
        provider: String,
    },
    /// A model was asked for by `provider::name`, and no such provider is configured here.
    #[error(
        "`{model}` cannot be used: no provider `{provider}` is configured here, only {}",
        .configured.join(", ")
    )]
    UnknownProvider {
        /// What was asked for.
        model: String,
        /// The provider that it names.
        provider: String,
        /// The providers that can be named instead.
        configured: Vec<String>,
    },
    /// The conversation is longer than the model can read.
    #[error("the conversation is too long for the model: {message}")]
    ContextTooLong {
        /// The provider's reason.
        message: String,
    },
    /// The provider's filter refused the request before the model saw it.
    #[error("the model provider's content filter refused the request: {message}")]
    ContentFiltered {
        /// The provider's reason.
        message: String,
    },
    /// The provider took too long.
    #[error("the model provider did not answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// How long we waited: for the first byte, or for the next one.
        after: Duration,
        /// Whether a part of the reply had been handed on.
        received_any: bool,
    },
    /// No connection could be made, so the provider never saw the request.
    #[error("the model provider cannot be reached: {message}")]
    Unreachable {
        /// What failed: name, connection or TLS.
        message: String,
    },
    /// The connection broke while the request or the reply was under way.
    #[error("the connection to the model provider was lost {}", lost(.received_any))]
    ConnectionLost {
        /// Whether a part of the reply had been handed on.
        received_any: bool,
    },
    /// The provider reported a failure of its own after a part of the reply had been handed on.
    #[error("the model provider broke off its reply: {message}")]
    Interrupted {
        /// The provider's reason.
        message: String,
    },
    /// The reply does not follow the provider's protocol, or is larger than we accept.
    #[error("the reply of the model provider cannot be used: {message}")]
    MalformedReply {
        /// What is wrong with it.
        message: String,
    },
    /// The reply came whole, but it is not the JSON that was asked for.
    #[error("the reply of the model does not follow the schema that was asked for: {message}")]
    SchemaMismatch {
        /// What is wrong with it, and where.
        message: String,
    },
    /// The provider failed.
    #[error("the model provider failed with status {status}: {message}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// The provider's reason.
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
}

impl ModelError {
    /// A reply that breaks the protocol.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::MalformedReply {
            message: message.into(),
        }
    }

    /// Whether the same request may be sent again, here or to another provider: it may well
    /// succeed, and nobody has seen a part of the reply that a second one would contradict.
    ///
    /// It says nothing about cost: see [`ModelError::may_have_been_billed`].
    pub fn is_retry_safe(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. } => true,
            Self::Timeout { received_any, .. } | Self::ConnectionLost { received_any } => {
                !received_any
            }
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::QuotaExhausted { .. }
            | Self::InvalidRequest { .. }
            | Self::UnknownModel { .. }
            | Self::UnknownProvider { .. }
            | Self::ContextTooLong { .. }
            | Self::ContentFiltered { .. }
            | Self::Interrupted { .. }
            | Self::MalformedReply { .. }
            | Self::SchemaMismatch { .. } => false,
        }
    }

    /// Whether the provider may charge for the failed call: it took the request and we do not
    /// know how far it came. A ledger keeps its reservation in that case.
    pub fn may_have_been_billed(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::ConnectionLost { .. }
            | Self::Interrupted { .. }
            | Self::MalformedReply { .. }
            | Self::SchemaMismatch { .. } => true,
            // A gateway that gave up on the model does not know either what the model did.
            Self::Unavailable { status, .. } => matches!(status, 408 | 502 | 504 | 524),
            _ => false,
        }
    }

    /// Whether the provider certainly did not work on the request and may do so shortly: no
    /// connection was made, or it said that it has no capacity for it now.
    pub fn is_refused_for_now(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Overloaded { .. } | Self::Unreachable { .. }
        )
    }

    /// Whether another provider may answer what this one could not. A fault in the request
    /// itself follows it everywhere, and what one provider's filter refuses is not taken to the
    /// next until one lets it pass.
    pub fn another_provider_may_help(&self) -> bool {
        match self {
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::RateLimited { .. }
            | Self::QuotaExhausted { .. }
            | Self::Overloaded { .. }
            | Self::UnknownModel { .. }
            | Self::ContextTooLong { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::MalformedReply { .. } => true,
            Self::Timeout { received_any, .. } | Self::ConnectionLost { received_any } => {
                !received_any
            }
            Self::InvalidRequest { .. }
            | Self::UnknownProvider { .. }
            | Self::ContentFiltered { .. }
            | Self::Interrupted { .. }
            | Self::SchemaMismatch { .. } => false,
        }
    }

    /// How long the provider asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A stable name for traces and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Overloaded { .. } => "overloaded",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::UnknownModel { .. } => "unknown_model",
            Self::UnknownProvider { .. } => "unknown_provider",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::ContentFiltered { .. } => "content_filtered",
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::Interrupted { .. } => "interrupted",
            Self::MalformedReply { .. } => "malformed_reply",
            Self::SchemaMismatch { .. } => "schema_mismatch",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The same failure, seen after a part of the reply was handed on.
    pub(crate) fn after_output(self) -> Self {
        match self {
            Self::Timeout { after, .. } => Self::Timeout {
                after,
                received_any: true,
            },
            Self::ConnectionLost { .. } => Self::ConnectionLost { received_any: true },
            Self::MalformedReply { .. }
            | Self::SchemaMismatch { .. }
            | Self::Interrupted { .. } => self,
            other => Self::Interrupted {
                message: other.to_string(),
            },
        }
    }
}

fn after(wait: &Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("; it asks to wait {} s", wait.as_secs_f64().ceil()),
        None => String::new(),
    }
}

fn lost(received_any: &bool) -> &'static str {
    if *received_any {
        "in the middle of the reply"
    } else {
        "before a reply arrived"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_after_output_is_never_safe_to_repeat() {
        let errors = [
            ModelError::RateLimited { retry_after: None },
            ModelError::Overloaded { retry_after: None },
            ModelError::Unavailable {
                status: 500,
                message: "x".into(),
                retry_after: None,
            },
            ModelError::Unreachable {
                message: "x".into(),
            },
            ModelError::ConnectionLost {
                received_any: false,
            },
            ModelError::Timeout {
                after: Duration::from_secs(1),
                received_any: false,
            },
        ];
        for error in errors {
            assert!(error.is_retry_safe(), "{error}");
            let late = error.after_output();
            assert!(!late.is_retry_safe(), "{late}");
            assert!(late.may_have_been_billed(), "{late}");
        }
    }

    #[test]
    fn what_is_known_about_a_failure_fits_together() {
        let unavailable = |status| ModelError::Unavailable {
            status,
            message: "x".into(),
            retry_after: None,
        };
        assert!(!unavailable(500).may_have_been_billed());
        assert!(unavailable(504).may_have_been_billed());
        assert!(unavailable(500).another_provider_may_help());
        assert!(!unavailable(500).is_refused_for_now());
        let refused = ModelError::InvalidRequest {
            message: "x".into(),
        };
        assert!(!refused.another_provider_may_help());
        // Whatever is refused for now is safe to send again, and nobody pays for it.
        for error in [
            ModelError::RateLimited { retry_after: None },
            ModelError::Overloaded { retry_after: None },
            ModelError::Unreachable {
                message: "x".into(),
            },
        ] {
            assert!(error.is_refused_for_now() && error.is_retry_safe());
            assert!(error.another_provider_may_help() && !error.may_have_been_billed());
        }
    }

    #[test]
    fn messages_read_as_sentences() {
        let elsewhere = ModelError::UnknownProvider {
            model: "acme::m".into(),
            provider: "acme".into(),
            configured: vec!["offline".into(), "openai".into()],
        };
        assert_eq!(
            elsewhere.to_string(),
            "`acme::m` cannot be used: no provider `acme` is configured here, only offline, openai"
        );
        let limited = ModelError::RateLimited {
            retry_after: Some(Duration::from_millis(1500)),
        };
        assert_eq!(
            limited.to_string(),
            "the model provider is limiting the rate of requests; it asks to wait 2 s"
        );
        assert_eq!(
            ModelError::ConnectionLost { received_any: true }.to_string(),
            "the connection to the model provider was lost in the middle of the reply"
        );
    }
}
