//! Pages for people who hold a link: no script, nothing from elsewhere, and every text that comes
//! from a model or a tenant written so that it can be nothing but text.

use std::fmt::Write as _;

use axum::response::{Html, IntoResponse, Response};
use domain::approval::{Approval, ApprovalSubject, Decision, MAX_ANSWER_CHARS};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

#[cfg(test)]
mod tests;

/// Only this style, by its hash, and forms that go back to where they came from.
const POLICY: &str = "default-src 'none'; \
                      style-src 'sha256-IKfRqBpuLK61qpVtE7vjjL7EeDDx5TEpzcFu/OLhp1A='; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;\
padding:0 1rem;color:#1a1a1a;background:#fff}h1{font-size:1.4rem}pre{white-space:pre-wrap;\
overflow-wrap:anywhere;background:#f4f4f5;border:1px solid #d4d4d8;border-radius:6px;padding:.8rem}\
label{display:block;margin:1rem 0 .2rem}textarea{box-sizing:border-box;width:100%;min-height:4rem;\
font:inherit}button{font:inherit;padding:.5rem 1.2rem;margin:1rem .6rem 0 0}.wrong{color:#b00020}\
dt{font-weight:600}dd{margin:0 0 .6rem}";

/// A page, as it is answered.
#[derive(Debug)]
pub(crate) struct Page {
    status: StatusCode,
    title: &'static str,
    /// HTML.
    body: String,
}

impl Page {
    /// A page that says one thing.
    pub(crate) fn notice(status: StatusCode, title: &'static str, text: &str) -> Self {
        Self {
            status,
            title,
            body: format!("<p>{}</p>", escaped(text)),
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
             <style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n",
            title = self.title,
            body = self.body,
        );
        let mut response = (self.status, Html(html)).into_response();
        for (name, value) in [
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // The address of the page is a secret.
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
            (ROBOTS, "noindex, nofollow"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What the page about an approval shows beside the approval.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) org: String,
    pub(crate) agent: String,
}

/// What somebody has typed so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) reason: Option<String>,
    pub(crate) text: Option<String>,
}

/// The page that asks, with a form to answer; again with what was typed and what is wrong with it,
/// if anything is.
pub(crate) fn question(
    approval: &Approval,
    about: &About,
    typed: &Typed,
    wrong: Option<&str>,
) -> Page {
    let mut body = asked(approval, about);
    if let Some(wrong) = wrong {
        let _ = write!(body, "<p class=\"wrong\">{}</p>", escaped(wrong));
    }
    body.push_str("<form method=\"post\" accept-charset=\"utf-8\">");
    let (label, choices) = choices(&approval.subject);
    if let Some(label) = label {
        body.push_str(&field("text", label, typed.text.as_deref()));
    }
    let label = "Why? The agent is told. (optional)";
    body.push_str(&field("reason", label, typed.reason.as_deref()));
    for (decision, label) in choices {
        let _ = write!(
            body,
            "<button name=\"decision\" value=\"{}\">{label}</button>",
            decision.name()
        );
    }
    body.push_str("</form>");
    let status = match wrong {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let title = match &approval.subject {
        ApprovalSubject::ToolCall { .. } => "An agent asks for approval",
        ApprovalSubject::Question { .. } => "An agent has a question",
        ApprovalSubject::UnknownOutcome { .. } => "A call was interrupted",
    };
    Page {
        status,
        title,
        body,
    }
}

/// The page after an answer.
pub(crate) fn thanks(decision: Decision) -> Page {
    let text = match decision {
        Decision::Approve => "You approved the call. The agent goes on.",
        Decision::Reject => "You rejected it. The agent is told so.",
        Decision::Reply => "Your answer goes to the agent.",
        Decision::Retry => "The call is made again.",
        Decision::Succeeded => "The agent is told that the call happened.",
    };
    Page::notice(StatusCode::OK, "Thank you", text)
}

fn asked(approval: &Approval, about: &About) -> String {
    let mut body = String::from("<dl>");
    let mut fact = |name: &str, value: &str| {
        let _ = write!(body, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    };
    fact("Organization", &about.org);
    fact("Agent", &about.agent);
    fact("Execution", &approval.execution.to_string());
    if let Some(tool) = approval.subject.tool() {
        fact("Tool", tool);
    }
    fact("Answer until", &approval.expires_at.to_string());
    if let ApprovalSubject::UnknownOutcome {
        idempotency_key, ..
    } = &approval.subject
    {
        fact("Idempotency key of the call", idempotency_key);
    }
    body.push_str("</dl>");
    let (said, shown) = match &approval.subject {
        ApprovalSubject::ToolCall { arguments, .. } => (
            "The agent wants to call this tool with these arguments:",
            format!("{arguments:#}"),
        ),
        ApprovalSubject::Question { question } => ("The agent asks:", question.clone()),
        ApprovalSubject::UnknownOutcome { arguments, .. } => (
            "This call was interrupted, and nobody knows whether it happened:",
            format!("{arguments:#}"),
        ),
    };
    let _ = write!(body, "<p>{said}</p><pre>{}</pre>", escaped(&shown));
    body
}

/// The label of the text that goes with an answer, if one does, and the answers to choose from.
fn choices(
    subject: &ApprovalSubject,
) -> (Option<&'static str>, &'static [(Decision, &'static str)]) {
    match subject {
        ApprovalSubject::ToolCall { .. } => (
            None,
            &[(Decision::Approve, "Approve"), (Decision::Reject, "Reject")],
        ),
        ApprovalSubject::Question { .. } => (
            Some("Your answer"),
            &[
                (Decision::Reply, "Send the answer"),
                (Decision::Reject, "Give no answer"),
            ],
        ),
        ApprovalSubject::UnknownOutcome { .. } => (
            Some("If it happened: with what result?"),
            &[
                (Decision::Succeeded, "It happened"),
                (Decision::Retry, "Make the call again"),
                (Decision::Reject, "Treat it as failed"),
            ],
        ),
    }
}

fn field(name: &str, label: &str, typed: Option<&str>) -> String {
    // The first line break after the tag is not part of the text.
    format!(
        "<label for=\"{name}\">{label}</label>\
         <textarea id=\"{name}\" name=\"{name}\" maxlength=\"{MAX_ANSWER_CHARS}\">\n{}</textarea>",
        escaped(typed.unwrap_or_default())
    )
}

/// A text as HTML that shows it and does nothing else. Characters that cannot be seen, or that turn
/// the direction of others around, are spelt out: what is approved is what is read.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(letter),
            '\r' => {}
            _ if is_hidden(letter) => {
                let _ = write!(html, "\\u{{{:04x}}}", u32::from(letter));
            }
            _ => html.push(letter),
        }
    }
    html
}

fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
