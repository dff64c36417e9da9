//! Problem documents (RFC 9457): what every error looks like from outside.
//!
//! A problem says what is wrong and where, and nothing of how the inside works. Its cause, if there
//! is one, goes to the log, once, when the problem becomes a response.

use axum::response::{IntoResponse, Response};
use domain::approval::ApprovalState;
use domain::execution::IllegalTransition as IllegalExecutionTransition;
use domain::org::MembershipError;
use domain::task::IllegalTransition;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use store::approvals::AnswerError;
use store::budgets::RemoveError;
use store::credentials::CredentialError;
use store::objects::ObjectError;
use store::orgs::MemberChangeError;
use store::{CommitError, ReadError};
use utoipa::ToSchema;

/// The base of problem types; each is documented under its code.
const TYPE_BASE: &str = "urn:overglass:problem:";

/// The media type of problem documents.
pub(crate) const PROBLEM_TYPE: &str = "application/problem+json";

/// An error as a response.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldProblem>,
    /// Boxed: few problems have it, and every handler's result would carry its size.
    current: Option<Box<serde_json::Value>>,
    retry_after: Option<u32>,
    cause: Option<String>,
    outcome_unknown: bool,
}

/// Marks a response after which nobody can say whether the request was carried out: it must not be
/// carried out again under the same `Idempotency-Key` at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutcomeUnknown;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where: a JSON pointer into the body (`/limits/max_steps`), or the name of a parameter or
    /// header.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem, in a few words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// Stable, in snake case; made for programs.
    code: &'static str,
    /// What is wrong this time, for people.
    detail: String,
    /// Every field that is wrong, where fields are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// What stands instead, where the request came after another that cannot be undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    current: Option<serde_json::Value>,
}

impl Problem {
    /// A problem with a stable code and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            current: None,
            retry_after: None,
            cause: None,
            outcome_unknown: false,
        }
    }

    /// The request cannot be understood at all.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Nobody is known to be asking.
    #[must_use]
    pub fn unauthenticated(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// The caller may not do this.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// There is no such thing, or it belongs to somebody else: the two are told apart by nobody.
    #[must_use]
    pub fn not_found(noun: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is no such {noun}."),
        )
    }

    /// The request contradicts the state of things.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Somebody changed it since the caller read it.
    #[must_use]
    pub fn changed(noun: &str) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            format!("The {noun} was changed meanwhile. Read it again and repeat the change."),
        )
    }

    /// Fields of the request are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are not valid.", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail)
        }
    }

    /// One field of the request is wrong.
    #[must_use]
    pub fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldProblem {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// Something inside went wrong; `cause` goes to the log only.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let detail = "Something went wrong on our side. The request id helps us find it.";
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }

    /// Something that is needed does not answer at the moment; `cause` goes to the log only.
    #[must_use]
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        let detail = "A service that is needed does not answer. Try again in a moment.";
        Self {
            cause: Some(cause.to_string()),
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    }

    /// The same problem, with a hint when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same problem, with what stands instead of what was asked for.
    #[must_use]
    pub fn with_current(mut self, current: &impl Serialize) -> Self {
        self.current = serde_json::to_value(current).ok().map(Box::new);
        self
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The document that says so, as JSON.
    pub(crate) fn into_document(self) -> String {
        let document = ProblemDocument {
            kind: format!("{TYPE_BASE}{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            errors: self.errors,
            current: self.current.map(|current| *current),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(
                code = self.code,
                status = self.status.as_u16(),
                cause,
                "request failed"
            );
        }
        let (status, retry_after) = (self.status, self.retry_after);
        let outcome_unknown = self.outcome_unknown;
        let mut response = (status, self.into_document()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if outcome_unknown {
            response.extensions_mut().insert(OutcomeUnknown);
        }
        response
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::unavailable(error),
            ReadError::Shape(_) => Self::internal(error),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Exists { noun } => {
                Self::conflict("already_exists", format!("This {noun} exists already."))
            }
            CommitError::Changed { noun } => Self::changed(noun),
            CommitError::OverBudget { .. } => Self::conflict(
                "over_budget",
                format!("{}.", capitalised(&error.to_string())),
            ),
            CommitError::TooLarge { .. } | CommitError::ItemTooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("This cannot be stored: {error}."),
            ),
            CommitError::FenceLost | CommitError::Shape(_) => Self::internal(error),
            CommitError::Unstorable(cause) => Self {
                cause: Some(cause),
                ..Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "unstorable",
                    "The body cannot be stored: values may be nested at most 32 levels deep, and \
                     numbers may have at most 38 digits.",
                )
            },
            CommitError::Unavailable(source) => Self {
                outcome_unknown: true,
                ..Self::unavailable(store::explain(&*source))
            },
        }
    }
}

impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Missing | ObjectError::TooLarge { .. } => Self::internal(error),
            ObjectError::Unavailable(_) => Self::unavailable(error),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Read(error) => error.into(),
            store::Error::Commit(error) => error.into(),
            store::Error::Object(error) => error.into(),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Read(error) => error.into(),
            CredentialError::Commit(error) => error.into(),
            CredentialError::Origin(error) => Self::conflict(
                "no_place_for_secrets",
                format!("This tool can have no credential: {error}."),
            ),
            CredentialError::OtherOrigin { .. } => Self::conflict(
                "no_place_for_secrets",
                "The tool's address was changed since its credential was set: set it again.",
            ),
            CredentialError::Vault(error) if error.is_transient() => Self::unavailable(error),
            CredentialError::Vault(error) => Self::internal(error),
        }
    }
}

impl From<RemoveError> for Problem {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Reserved { reserved } => Self::conflict(
                "budget_in_use",
                format!(
                    "{reserved} credits are set aside for calls under way. Remove the budget when \
                     they have ended."
                ),
            ),
            RemoveError::Store(error) => error.into(),
        }
    }
}

impl From<MemberChangeError> for Problem {
    fn from(error: MemberChangeError) -> Self {
        match error {
            MemberChangeError::Refused(MembershipError::LastAdmin) => Self::conflict(
                "last_admin",
                "The last admin of an organization can be neither removed nor demoted.",
            ),
            MemberChangeError::Store(error) => error.into(),
        }
    }
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Closed(approval) => {
                let (code, detail) = match approval.state {
                    ApprovalState::Answered => {
                        ("approval_answered", "This approval was answered already.")
                    }
                    ApprovalState::Pending | ApprovalState::Expired => (
                        "approval_expired",
                        "The time in which this approval could be answered is over.",
                    ),
                    ApprovalState::Withdrawn => (
                        "approval_withdrawn",
                        "The execution ended before this approval was answered.",
                    ),
                };
                Self::conflict(code, detail).with_current(&*approval)
            }
            AnswerError::Ended(state) => Self::conflict(
                "approval_withdrawn",
                format!("The execution that asked is {}.", state.name()),
            ),
            AnswerError::LinkUsed => {
                Self::new(StatusCode::GONE, "link_used", "This link was used before.")
            }
            AnswerError::Contended => Self::unavailable(error),
            AnswerError::Store(error) => error.into(),
        }
    }
}

impl From<IllegalTransition> for Problem {
    fn from(error: IllegalTransition) -> Self {
        Self::conflict(
            "illegal_transition",
            format!("{}.", capitalised(&error.to_string())),
        )
    }
}

impl From<IllegalExecutionTransition> for Problem {
    fn from(error: IllegalExecutionTransition) -> Self {
        Self::conflict(
            "illegal_transition",
            format!("{}.", capitalised(&error.to_string())),
        )
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
