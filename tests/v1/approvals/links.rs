//! Links: made by whoever may answer, opened by anybody, used once.

use std::time::Duration;

use axum::body::Body;
use domain::approval::{ApprovalPolicy, ApprovalSubject};
use domain::org::Role;
use futures::future::join_all;
use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{Asked, Office, answer, execution, shown};
use crate::support::asked::may_remember;
use crate::support::instance::Instance;
use crate::support::{Answer, Api, World, ended, send, text};

const FORM: &str = "application/x-www-form-urlencoded";

/// Makes a link, and gives its address.
async fn link(api: &Api, asked: &Asked, body: &Value) -> Value {
    let path = format!("/v1/approvals/{}/links", asked.only().id);
    let answer = api.post(&path, body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = answer.header("location").unwrap_or_default();
    assert_eq!(location, format!("/v1/approvals/{}", asked.only().id));
    answer.created()
}

async fn address(api: &Api, asked: &Asked) -> String {
    text(&link(api, asked, &json!({})).await["path"])
}

/// Sends the form of a page.
async fn submit(world: &World, address: &str, form: &str) -> Answer {
    let request = world
        .anonymous()
        .request(Method::POST, address)
        .header("content-type", FORM)
        .body(form.to_owned());
    send(request).await
}

/// The text of a page with this status, which nobody keeps and which loads and runs nothing.
#[track_caller]
fn page(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{answer}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer}");
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("script"), "{policy}");
    String::from_utf8(answer.body.to_vec()).expect("a text")
}

#[tokio::test]
async fn a_link_shows_what_is_asked_as_often_as_it_is_opened_and_answers_once() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let made = link(&office.admin, &asked, &json!({})).await;
    assert_eq!(made["expires_at"], json!(asked.only().expires_at));
    let address = text(&made["path"]);
    // Scanners of mail open it, by any method that changes nothing, and more than once.
    let stranger = world.anonymous();
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let opened = send(stranger.request(method.clone(), &address)).await;
        let html = page(&opened, 200);
        if method == Method::GET {
            for shown in ["Oil is changed.", "remember", "Org of ada", "Guide"] {
                assert!(html.contains(shown), "{shown}: {html}");
            }
        }
    }
    let options = send(stranger.request(Method::OPTIONS, &address)).await;
    assert!(!options.status.is_success(), "{options}");
    let pending = shown(&office.admin, &asked.only().id).await;
    assert_eq!(
        (&pending["state"], &pending["version"]),
        (&json!("pending"), &json!(1))
    );

    let form = "reason=Fine%2C%0D%0Ago+on.&decision=approve";
    page(&submit(&world, &address, form).await, 200);
    let answered = shown(&office.admin, &asked.only().id).await;
    assert_eq!(answered["answer"]["decision"], "approve");
    assert_eq!(answered["answer"]["reason"], "Fine,\ngo on.");
    assert_eq!(answered["answer"]["via"], "link");
    let me = office.admin.get("/v1/users/me").await.ok();
    assert_eq!(answered["answer"]["by"]["id"], me["id"]);
    let id = asked.execution.id.to_string();
    assert_eq!(ended(&office.admin, &id).await["state"], "completed");

    page(&submit(&world, &address, form).await, 410);
    let again = page(&stranger.get(&address).await, 410);
    assert!(!again.contains("Oil is changed."), "{again}");
    assert_eq!(shown(&office.admin, &asked.only().id).await, answered);
    crate::v1::audit::settled(&world, &office.admin).await;
    let sealed = office.events("approval.answered", &asked.only().id).await;
    assert_eq!(sealed.len(), 1);
    assert_eq!(sealed[0]["data"]["link_made_by"]["id"], me["id"]);
}

#[tokio::test]
async fn of_many_uses_of_one_link_and_of_many_links_one_answers() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let mut addresses = Vec::new();
    for _ in 0..3 {
        addresses.push(address(&office.admin, &asked).await);
    }
    let uses = addresses.iter().cycle().take(60);
    let forms = ["decision=approve", "decision=reject"];
    let answers = join_all(
        uses.zip(forms.iter().cycle())
            .map(|(address, form)| submit(&world, address, form)),
    )
    .await;
    let won = answers.iter().filter(|one| one.status == 200).count();
    assert_eq!(won, 1);
    for lost in answers.iter().filter(|one| one.status != 200) {
        page(lost, 410);
    }
    assert_eq!(shown(&office.admin, &asked.only().id).await["version"], 2);
}

#[tokio::test]
async fn a_token_that_differs_by_one_character_is_no_link() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let genuine = address(&office.admin, &asked).await;
    let (folder, token) = genuine.rsplit_once('/').expect("a path");
    let stranger = world.anonymous();
    for place in 0..token.len() {
        let mut bytes = token.to_owned().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).expect("letters");
        let forged = format!("{folder}/{forged}");
        page(&submit(&world, &forged, "decision=approve").await, 404);
        page(&stranger.get(&forged).await, 404);
    }
    for nonsense in ["A", "AAAA", "%00", "%ff", &"A".repeat(2_000)] {
        page(&stranger.get(&format!("{folder}/{nonsense}")).await, 404);
    }
    // What is signed for something else is no link either.
    let agents = office.admin.get("/v1/approvals?limit=1").await.ok();
    assert_eq!(agents["items"].as_array().map(Vec::len), Some(1));
    office.may_it(&world).await;
    let cursor = text(&office.admin.get("/v1/approvals?limit=1").await.ok()["next_cursor"]);
    page(&stranger.get(&format!("{folder}/{cursor}")).await, 404);
    assert_eq!(shown(&office.admin, &asked.only().id).await["version"], 1);
    page(&stranger.get(&genuine).await, 200);
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_with_the_approval() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy {
        expires_in_seconds: 600,
        ..ApprovalPolicy::default()
    };
    let asked = office.ask(&world, &policy, vec![may_remember()]).await;
    let short = link(&office.admin, &asked, &json!({ "expires_in_seconds": 60 })).await;
    let long = link(
        &office.admin,
        &asked,
        &json!({ "expires_in_seconds": 86_400 }),
    )
    .await;
    assert_eq!(long["expires_at"], json!(asked.only().expires_at));
    let instance = Instance::beside(&world);
    let open = async |made: &Value| {
        let request = Request::get(text(&made["path"])).body(Body::empty());
        instance.send(request.expect("a request")).await
    };
    let use_it = async |made: &Value| {
        let request = Request::post(text(&made["path"]))
            .header(header::CONTENT_TYPE, FORM)
            .body(Body::from("decision=approve"));
        instance.send(request.expect("a request")).await
    };
    instance.clock.advance(Duration::from_secs(50));
    page(&open(&short).await, 200);
    instance.clock.advance(Duration::from_secs(11));
    page(&open(&short).await, 410);
    page(&use_it(&short).await, 410);
    page(&open(&long).await, 200);
    instance.clock.advance(Duration::from_secs(540));
    page(&open(&long).await, 410);
    page(&use_it(&long).await, 410);
    assert_eq!(shown(&office.admin, &asked.only().id).await["version"], 1);
    let credential = office.admin.credential();
    let path = format!("/v1/approvals/{}/links", asked.only().id);
    let late = instance.post(credential, &path, &json!({})).await;
    late.problem(409, "approval_expired");
}

#[tokio::test]
async fn a_link_to_what_was_answered_or_withdrawn_says_so() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let (answered, cancelled) = (office.may_it(&world).await, office.may_it(&world).await);
    let addresses = (
        address(&office.admin, &answered).await,
        address(&office.admin, &cancelled).await,
    );
    let body = json!({ "decision": "reject" });
    answer(&office.admin, &answered, &body).await.ok();
    let cancel = format!("/v1/executions/{}/cancel", cancelled.execution.id);
    office.admin.post(&cancel, &json!({})).await.ok();
    for address in [&addresses.0, &addresses.1] {
        page(&world.anonymous().get(address).await, 410);
        page(&submit(&world, address, "decision=approve").await, 410);
    }
    let path = format!("/v1/approvals/{}/links", answered.only().id);
    let late = office.admin.post(&path, &json!({})).await;
    late.problem(409, "approval_answered");
    assert_eq!(
        execution(&office.admin, &cancelled).await["state"],
        "cancelled"
    );
}

#[tokio::test]
async fn hostile_arguments_are_shown_and_do_nothing() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let hostile = "</pre><script>fetch('//evil.example')</script><form action=//evil.example>";
    let hidden = "pay 1\u{202e}000";
    let subject = ApprovalSubject::ToolCall {
        tool: "remember".to_owned(),
        arguments: json!({ "text": hostile, hostile: hidden }),
    };
    let policy = ApprovalPolicy::default();
    let asked = office.ask(&world, &policy, vec![subject]).await;
    let address = address(&office.admin, &asked).await;
    // What was typed comes back with what is wrong, and is as harmless.
    let typed = "decision=nothing&reason=%3C%2Ftextarea%3E%3Cscript%3Ex%3C%2Fscript%3E";
    let opened = page(&world.anonymous().get(&address).await, 200);
    let again = page(&submit(&world, &address, typed).await, 422);
    for html in [&opened, &again] {
        assert!(!html.contains("<script"), "{html}");
        assert_eq!(html.matches("<form").count(), 1, "{html}");
        assert_eq!(html.matches("</textarea>").count(), 1, "{html}");
        assert!(html.contains("&lt;script&gt;fetch"), "{html}");
        assert!(html.contains("\\u{202e}"), "{html}");
        assert!(!html.contains('\u{202e}'), "{html}");
    }
    assert!(
        again.contains("&lt;/textarea&gt;&lt;script&gt;x"),
        "{again}"
    );
}

#[tokio::test]
async fn a_form_that_cannot_be_taken_leaves_the_link_as_it_was() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let subject = ApprovalSubject::Question {
        question: "How much may it cost?".to_owned(),
    };
    let policy = ApprovalPolicy::default();
    let asked = office.ask(&world, &policy, vec![subject]).await;
    let address = address(&office.admin, &asked).await;
    let long = format!("decision=reply&text={}", "x".repeat(8_001));
    for form in [
        "",
        "decision=",
        "decision=approve",
        "decision=reply",
        "decision=reply&text=+%0D%0A",
        "decision=reply&decision=reject&text=7",
        "decision=reply&text=7&arguments=x",
        &long,
    ] {
        page(&submit(&world, &address, form).await, 422);
    }
    let json = world
        .anonymous()
        .post(&address, &json!({ "decision": "reject" }))
        .await;
    page(&json, 415);
    let huge = format!("decision=reply&text={}", "x".repeat(1_100_000));
    page(&submit(&world, &address, &huge).await, 413);
    assert_eq!(shown(&office.admin, &asked.only().id).await["version"], 1);
    let kept = page(
        &submit(&world, &address, "decision=approve&text=At+most+100").await,
        422,
    );
    assert!(kept.contains("At most 100"), "{kept}");
    page(
        &submit(&world, &address, "decision=reply&text=At+most+100&reason=").await,
        200,
    );
    let answered = shown(&office.admin, &asked.only().id).await;
    assert_eq!(answered["answer"]["text"], "At most 100");
    assert_eq!(answered["answer"]["reason"], Value::Null);
}

#[tokio::test]
async fn only_whoever_may_answer_makes_links_or_a_manager_for_somebody_who_may() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let member = world.join(&office.admin, "bob", "member").await;
    let manager = world.join(&office.admin, "carl", "manager").await;
    let id = async |api: &Api| text(&api.get("/v1/users/me").await.ok()["id"]);
    let (bob, carl) = (id(&member).await, id(&manager).await);
    let policy = ApprovalPolicy {
        role: Role::Member,
        approvers: vec![bob.parse().expect("a user's id")],
        ..ApprovalPolicy::default()
    };
    let asked = office.ask(&world, &policy, vec![may_remember()]).await;
    let path = format!("/v1/approvals/{}/links", asked.only().id);
    let of = |id: &str| json!({ "approver_user_id": id });
    // Bob is named: for himself he may, for others nobody below a manager.
    link(&member, &asked, &json!({})).await;
    link(&member, &asked, &of(&bob)).await;
    member
        .post(&path, &of(&carl))
        .await
        .problem(403, "forbidden");
    // Carl is not named, so not for himself; but for Bob.
    for body in [json!({}), of(&carl)] {
        manager.post(&path, &body).await.problem(403, "forbidden");
    }
    office
        .admin
        .post(&path, &of(&carl))
        .await
        .names("/approver_user_id");
    let stranger = id(&world.person("mallory")).await;
    office
        .admin
        .post(&path, &of(&stranger))
        .await
        .names("/approver_user_id");
    for seconds in [0, 59, 2_592_001] {
        let body = json!({ "expires_in_seconds": seconds });
        member.post(&path, &body).await.names("/expires_in_seconds");
    }
    let made = link(&manager, &asked, &of(&bob)).await;
    assert_eq!(made["holder"]["id"], json!(bob));
    page(
        &submit(&world, &text(&made["path"]), "decision=reject").await,
        200,
    );
    let answered = shown(&member, &asked.only().id).await;
    assert_eq!(answered["answer"]["by"]["id"], json!(bob));
    crate::v1::audit::settled(&world, &office.admin).await;
    let sealed = office.events("approval.answered", &asked.only().id).await;
    assert_eq!(sealed[0]["data"]["link_made_by"]["id"], json!(carl));
}

#[tokio::test]
async fn a_link_is_void_once_its_holder_may_not_answer_any_more() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let admin = &office.admin;
    let leaver = world.join(admin, "bob", "member").await;
    let demoted = world.join(admin, "carl", "manager").await;
    let id = async |api: &Api| text(&api.get("/v1/users/me").await.ok()["id"]);
    let (bob, carl) = (id(&leaver).await, id(&demoted).await);
    let scopes = ["executions:write"];
    let key = json!({ "name": "Mailer", "scopes": scopes });
    let key = admin.create("/v1/api-keys", &key).await;
    let machine = world.bearer(text(&key["secret"]));
    let anybody = office.may_it(&world).await;
    let managers = ApprovalPolicy {
        role: Role::Manager,
        ..ApprovalPolicy::default()
    };
    let strict = office.ask(&world, &managers, vec![may_remember()]).await;
    let addresses = [
        address(&leaver, &anybody).await,
        address(&demoted, &strict).await,
        address(&machine, &anybody).await,
    ];
    for address in &addresses {
        page(&world.anonymous().get(address).await, 200);
    }
    let members = format!("/v1/orgs/{}/members", admin.org());
    admin.delete(&format!("{members}/{bob}")).await.gone();
    admin
        .patch(&format!("{members}/{carl}"), &json!({ "role": "member" }))
        .await
        .ok();
    admin
        .delete(&format!("/v1/api-keys/{}", text(&key["id"])))
        .await
        .gone();
    for address in &addresses {
        let void = page(&world.anonymous().get(address).await, 403);
        assert!(!void.contains("Oil is changed."), "{void}");
        page(&submit(&world, address, "decision=approve").await, 403);
    }
    for asked in [&anybody, &strict] {
        assert_eq!(shown(admin, &asked.only().id).await["state"], "pending");
    }
}

#[tokio::test]
async fn a_machine_that_may_answer_makes_links_that_answer_for_it() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let machine = world.machine(&office.admin, &["executions:write"]).await;
    let asked = office.may_it(&world).await;
    let made = link(&machine, &asked, &json!({})).await;
    assert_eq!(made["holder"]["kind"], "api_key");
    page(
        &submit(&world, &text(&made["path"]), "decision=approve").await,
        200,
    );
    let answered = shown(&office.admin, &asked.only().id).await;
    assert_eq!(answered["answer"]["by"], made["holder"]);
}

#[tokio::test]
async fn a_link_is_shown_once_and_kept_nowhere() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let instance = Instance::beside(&world);
    let path = format!("/v1/approvals/{}/links", asked.only().id);
    let credential = office.admin.credential();
    let first = instance
        .post_once(credential, &path, &json!({}), "key-1")
        .await;
    let address = text(&first.created()["path"]);
    let token = address.rsplit('/').next().expect("a token").to_owned();
    let again = instance
        .post_once(credential, &path, &json!({}), "key-1")
        .await;
    again.problem(409, "secret_shown_once");
    assert!(!again.to_string().contains(&token), "{again}");
    crate::v1::audit::settled(&world, &office.admin).await;
    let sealed = office
        .events("approval.link_created", &asked.only().id)
        .await;
    assert_eq!(sealed.len(), 1);
    assert!(!json!(sealed).to_string().contains(&token));
    page(&world.anonymous().get(&address).await, 200);
}
