use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::approval::{ApprovalPolicy, ApprovalState};
use kernel::{AgentId, ApprovalId, ExecutionId, OrgId, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

fn approval(subject: ApprovalSubject) -> Approval {
    let at = Timestamp::from_millis(0);
    Approval {
        id: ApprovalId::from_u128(1),
        org: OrgId::from_u128(1),
        execution: ExecutionId::from_u128(1),
        agent: AgentId::from_u128(1),
        step: 1,
        call: 1,
        subject,
        policy: ApprovalPolicy::default(),
        state: ApprovalState::Pending,
        answer: None,
        created_at: at,
        expires_at: at,
        updated_at: at,
        version: 1,
    }
}

fn about(hostile: &str) -> About {
    About {
        org: hostile.to_owned(),
        agent: hostile.to_owned(),
    }
}

fn subjects(hostile: &str) -> [ApprovalSubject; 3] {
    let arguments = json!({ hostile: [hostile, { "deep": hostile }] });
    [
        ApprovalSubject::ToolCall {
            tool: hostile.to_owned(),
            arguments: arguments.clone(),
        },
        ApprovalSubject::Question {
            question: hostile.to_owned(),
        },
        ApprovalSubject::UnknownOutcome {
            tool: hostile.to_owned(),
            arguments,
            idempotency_key: hostile.to_owned(),
        },
    ]
}

/// The tags of a page, in order.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| Some(&rest[..rest.find('>')?]))
        .collect()
}

fn page(subject: ApprovalSubject, text: &str) -> String {
    let typed = Typed {
        reason: Some(text.to_owned()),
        text: Some(text.to_owned()),
    };
    question(&approval(subject), &about(text), &typed, Some(text)).body
}

#[test]
fn the_policy_allows_the_one_style_and_no_script() {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    assert!(!POLICY.contains("script") && !POLICY.contains("unsafe"));
    assert!(!STYLE.contains('<'));
}

#[test]
fn markup_in_what_is_asked_is_text() {
    for hostile in [
        "<script>alert(1)</script>",
        "</pre><form action=https://evil.example><button name=decision value=approve>",
        "\"><img src=x onerror=alert(1)>",
        "</textarea><script>",
        "' autofocus onfocus='x",
        "&lt;script&gt;",
    ] {
        for (subject, harmless) in subjects(hostile).into_iter().zip(subjects("x")) {
            let html = page(subject, hostile);
            assert_eq!(tags(&html), tags(&page(harmless, "x")), "{html}");
        }
    }
    assert_eq!(escaped("&lt;"), "&amp;lt;");
}

#[test]
fn what_cannot_be_seen_is_spelt_out() {
    assert_eq!(
        escaped("pay\u{202e}001\u{200b}"),
        "pay\\u{202e}001\\u{200b}"
    );
    assert_eq!(escaped("a\u{0}b\u{1b}"), "a\\u{0000}b\\u{001b}");
    assert_eq!(escaped("a\r\nb\tc"), "a\nb\tc");
    assert_eq!(escaped("Grüße, 你好 🙂"), "Grüße, 你好 🙂");
}

proptest! {
    #[test]
    fn no_text_leaves_its_place(text in "(\\PC|[<>&'\"\\n/=]){0,60}") {
        for (subject, harmless) in subjects(&text).into_iter().zip(subjects("x")) {
            let (html, harmless) = (page(subject, &text), page(harmless, "x"));
            prop_assert_eq!(tags(&html), tags(&harmless));
            prop_assert_eq!(html.matches('"').count(), harmless.matches('"').count());
        }
    }
}

#[test]
fn a_page_offers_every_answer_that_fits_and_no_other() {
    for subject in subjects("x") {
        let (label, offered) = choices(&subject);
        let mut offered: Vec<Decision> = offered.iter().map(|(one, _)| *one).collect();
        assert_eq!(label.is_some(), offered.iter().any(|one| one.needs_text()));
        offered.sort_by_key(|one| one.name());
        let mut allowed = subject.decisions();
        allowed.sort_by_key(|one| one.name());
        assert_eq!(offered, allowed);
    }
}

#[test]
fn every_page_is_kept_by_nobody_and_tells_nobody_where_it_was() {
    let typed = Typed::default();
    let pages =
        subjects("x").map(|subject| question(&approval(subject), &about("Bakery"), &typed, None));
    for page in pages.into_iter().chain([thanks(Decision::Approve)]) {
        let response = page.into_response();
        assert_eq!(response.status(), StatusCode::OK);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-security-policy", POLICY),
            ("content-type", "text/html; charset=utf-8"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-robots-tag", "noindex, nofollow"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
    }
}
