//! The pages that a link opens. Opening one changes nothing, since mail scanners open links too: an
//! answer is given by the form alone.

use api::{App, Problem, RequestContext};
use axum::Router;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::routing::get;
use bytes::Bytes;
use domain::approval::{
    AnsweredVia, Approval, ApprovalAnswer, ApprovalState, Decision, MAX_ANSWER_CHARS,
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use store::approvals::{AnswerError, LinkRow};
use store::{Cause, Tenant};

use crate::holders;
use crate::html::{self, About, Page, Typed};
use crate::links::FOLDER;
use crate::token::Token;

/// The pages under `/v1/approval-links`.
pub(crate) fn router() -> Router<App> {
    Router::new().route(&format!("{FOLDER}/{{token}}"), get(show).post(answer))
}

async fn show(State(app): State<App>, token: Result<Path<String>, PathRejection>) -> Page {
    let shown = async {
        let open = find(&app, token).await?;
        let about = about(&app, &open).await?;
        let typed = Typed::default();
        Ok::<_, Refused>(html::question(&open.approval, &about, &typed, None))
    };
    shown.await.unwrap_or_else(|refused| refused.0)
}

async fn answer(
    State(app): State<App>,
    request: RequestContext,
    token: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Page {
    let answered = async {
        let open = find(&app, token).await?;
        let form = read(&headers, body)?;
        give(&app, request, &open, form).await
    };
    answered.await.unwrap_or_else(|refused| refused.0)
}

/// The page that says why not.
struct Refused(Page);

impl Refused {
    fn with(status: StatusCode, title: &'static str, text: &str) -> Self {
        Self(Page::notice(status, title, text))
    }

    fn invalid() -> Self {
        let text = "There is no such link. Look whether all of its address was copied.";
        Self::with(StatusCode::NOT_FOUND, "This link is not valid", text)
    }

    fn over() -> Self {
        let text = "The time in which it could be answered by this link is over.";
        Self::with(StatusCode::GONE, "This link has expired", text)
    }

    fn used() -> Self {
        let text = "It answers once, and it has.";
        Self::with(StatusCode::GONE, "This link was used", text)
    }

    fn closed(state: ApprovalState) -> Self {
        let (title, text) = match state {
            ApprovalState::Answered => ("This was answered", "Somebody answered it before you."),
            ApprovalState::Pending | ApprovalState::Expired => {
                return Self::over();
            }
            ApprovalState::Withdrawn => (
                "This is no longer asked",
                "The agent's execution ended before an answer came.",
            ),
        };
        Self::with(StatusCode::GONE, title, text)
    }

    fn not_admitted() -> Self {
        let text = "Whom this link is for may not answer it any more.";
        Self::with(StatusCode::FORBIDDEN, "This link is void", text)
    }
}

impl From<Problem> for Refused {
    /// The cause goes to the log, as that of any problem.
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        drop(problem.into_response());
        let text = "Something went wrong on our side. Nothing is lost: try again in a moment.";
        Self::with(status, "That did not work", text)
    }
}

impl From<AnswerError> for Refused {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Closed(approval) => Self::closed(approval.state),
            AnswerError::Ended(_) => Self::closed(ApprovalState::Withdrawn),
            AnswerError::LinkUsed => Self::used(),
            AnswerError::Contended | AnswerError::Store(_) => Problem::from(error).into(),
        }
    }
}

/// A link that can be used, and what it answers.
struct Open {
    tenant: Tenant,
    approval: Approval,
    link: LinkRow,
}

/// What a token leads to, if it is genuine, was not used, and its holder may still answer. Nothing
/// is told of an approval before all of that is known.
async fn find(app: &App, token: Result<Path<String>, PathRejection>) -> Result<Open, Refused> {
    let token = token
        .ok()
        .and_then(|Path(text)| Token::open(app.signing(), &text))
        .ok_or_else(Refused::invalid)?;
    let now = app.store().now();
    if token.is_over(now) {
        return Err(Refused::over());
    }
    // The signature vouches for the org.
    let tenant = Tenant::authorised(token.org);
    let approvals = app.store().approvals(tenant);
    let digest = token.digest();
    let (approval, link) = tokio::try_join!(
        approvals.get(token.approval),
        approvals.link(token.approval, &digest)
    )
    .map_err(Problem::from)?;
    let approval = approval.ok_or_else(Refused::invalid)?;
    let link = link.ok_or_else(Refused::used)?;
    if approval.state != ApprovalState::Pending || approval.is_over(now) {
        return Err(Refused::closed(approval.state));
    }
    let holder = holders::holder(app, tenant, link.holder).await?;
    let admitted = holder.is_some_and(|who| approval.policy.admits(who).is_ok());
    if !admitted {
        return Err(Refused::not_admitted());
    }
    Ok(Open {
        tenant,
        approval,
        link,
    })
}

async fn about(app: &App, open: &Open) -> Result<About, Problem> {
    let (orgs, agents) = (
        app.store().org(open.tenant),
        app.store().agents(open.tenant),
    );
    let (org, agent) = tokio::try_join!(orgs.get(), agents.get(open.approval.agent))?;
    Ok(About {
        org: org.map(|org| org.name).unwrap_or_default(),
        agent: agent.map_or_else(|| open.approval.agent.to_string(), |agent| agent.spec.name),
    })
}

/// What the form sends. A browser sends every field, empty where nothing was typed.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    decision: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    text: String,
}

fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Form, Refused> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    let title = "That did not work";
    if kind.as_deref() != Some("application/x-www-form-urlencoded") {
        let text = "Answer by the form of this page.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refused::with(status, title, text));
    }
    let body = body.map_err(|rejection| {
        Refused::with(
            rejection.status(),
            title,
            "The answer did not arrive whole, or is too long.",
        )
    })?;
    serde_urlencoded::from_bytes(&body).map_err(|_| {
        let text = "Open the link again and answer by its form.";
        Refused::with(StatusCode::UNPROCESSABLE_ENTITY, title, text)
    })
}

/// Answers, or shows the form again with what is wrong. A refused form leaves the link as it was.
async fn give(
    app: &App,
    request: RequestContext,
    open: &Open,
    form: Form,
) -> Result<Page, Refused> {
    let decision = Decision::named(&form.decision);
    let typed = Typed {
        reason: typed(&form.reason),
        text: typed(&form.text),
    };
    let decision = match check(&open.approval, decision, &typed) {
        Ok(decision) => decision,
        Err(wrong) => {
            let about = about(app, open).await?;
            return Ok(html::question(&open.approval, &about, &typed, Some(&wrong)));
        }
    };
    let cause = Cause {
        actor: open.link.holder,
        correlation_id: request.request_id,
    };
    let answer = ApprovalAnswer {
        decision,
        by: open.link.holder,
        via: AnsweredVia::Link,
        reason: typed.reason,
        arguments: None,
        // The form has one field for all of its buttons.
        text: typed.text.filter(|_| decision.needs_text()),
        at: app.store().now(),
    };
    let approvals = app.store().approvals(open.tenant);
    approvals
        .answer(&cause, &open.approval, answer, Some(&open.link))
        .await?;
    Ok(html::thanks(decision))
}

/// What was typed into a field, if anything was, with the line breaks of this side of the wire.
fn typed(field: &str) -> Option<String> {
    let text = field.replace("\r\n", "\n");
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The decision, if it can be given with what was typed.
fn check(
    approval: &Approval,
    decision: Option<Decision>,
    typed: &Typed,
) -> Result<Decision, String> {
    let decision = decision
        .filter(|decision| approval.subject.allows(*decision))
        .ok_or("Choose one of the answers below.")?;
    for text in [&typed.reason, &typed.text].into_iter().flatten() {
        if text.chars().count() > MAX_ANSWER_CHARS {
            return Err(format!(
                "What you write may have at most {MAX_ANSWER_CHARS} characters."
            ));
        }
    }
    match decision {
        Decision::Reply if typed.text.is_none() => Err("Write an answer first.".to_owned()),
        Decision::Succeeded if typed.text.is_none() => {
            Err("Write down what the result of the call was.".to_owned())
        }
        decision => Ok(decision),
    }
}

#[cfg(test)]
mod tests {
    use domain::approval::{ApprovalPolicy, ApprovalSubject};
    use http::HeaderValue;
    use kernel::{AgentId, ApprovalId, ExecutionId, OrgId, Timestamp};

    use super::*;

    fn form(kind: &'static str, body: &'static str) -> Result<Form, StatusCode> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        read(&headers, Ok(Bytes::from_static(body.as_bytes())))
            .map_err(|refused| refused.0.into_response().status())
    }

    #[test]
    fn a_form_is_read_as_browsers_send_it_and_strictly() {
        let kind = "application/x-www-form-urlencoded; charset=UTF-8";
        let read = form(kind, "reason=Too+much%0D%0Aof+it&decision=reject").unwrap();
        assert_eq!(read.decision, "reject");
        assert_eq!(typed(&read.reason).as_deref(), Some("Too much\nof it"));
        assert_eq!(typed(&read.text), None);
        for bad in ["", "reason=x", "decision=a&decision=b", "decision=a&x=1"] {
            assert_eq!(
                form(kind, bad),
                Err(StatusCode::UNPROCESSABLE_ENTITY),
                "{bad}"
            );
        }
        for kind in ["application/json", "text/plain", "multipart/form-data"] {
            let refused = form(kind, "decision=approve");
            assert_eq!(refused, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{kind}");
        }
    }

    #[test]
    fn a_form_that_says_too_little_or_too_much_is_shown_again() {
        let at = Timestamp::from_millis(0);
        let question = Approval {
            id: ApprovalId::from_u128(1),
            org: OrgId::from_u128(1),
            execution: ExecutionId::from_u128(1),
            agent: AgentId::from_u128(1),
            step: 1,
            call: 1,
            subject: ApprovalSubject::Question {
                question: "How much?".to_owned(),
            },
            policy: ApprovalPolicy::default(),
            state: ApprovalState::Pending,
            answer: None,
            created_at: at,
            expires_at: at,
            updated_at: at,
            version: 1,
        };
        let said = |text: &str| Typed {
            reason: None,
            text: typed(text),
        };
        let reply = Some(Decision::Reply);
        assert_eq!(check(&question, reply, &said("7")), Ok(Decision::Reply));
        let most = "x".repeat(MAX_ANSWER_CHARS);
        assert_eq!(check(&question, reply, &said(&most)), Ok(Decision::Reply));
        assert!(check(&question, reply, &said(&format!("{most}x"))).is_err());
        assert!(check(&question, reply, &said(" \r\n")).is_err());
        assert!(check(&question, Some(Decision::Approve), &said("7")).is_err());
        assert!(check(&question, None, &said("7")).is_err());
        let reject = Some(Decision::Reject);
        assert_eq!(check(&question, reject, &said("")), Ok(Decision::Reject));
    }
}
