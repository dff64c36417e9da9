//! Secrets are planted in two organizations wherever something can be searched for or talked about.
//! Then everybody puts the same questions to every operation that searches or chats, with their own
//! ids and with others', and reads all that comes back.

use http::Method;
use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use serde_json::{Value, json};

use super::path;
use crate::matrix::rows::row;
use crate::support::fixture::{Fixture, fill};
use crate::support::operations::{Operation, document, operations};
use crate::support::search::found;
use crate::support::{Api, World, eventually, send, tenant};
use crate::v1::files::bring;

/// Where secrets are: of the last two, those of the conversation are its member's and the managers',
/// and the query is its member's alone.
const PLACES: [&str; 7] = ["name", "chunk", "agent", "task", "memory", "talk", "query"];

/// What an operation that searches or chats has in its path.
const PARTS: [&str; 4] = ["search", "chat", "conversations", "recall"];

fn secret(place: &str, org: &str) -> String {
    format!("secret{place}{org}x7")
}

fn planted(place: &str, org: &str) -> String {
    format!("vault{place} password {}", secret(place, org))
}

/// What everybody asks: what leads to the secrets, and never one of them.
fn questions() -> Vec<String> {
    let leading = PLACES.map(|place| format!("vault{place} password"));
    leading
        .into_iter()
        .chain(["secret*".to_owned(), "secret".to_owned()])
        .collect()
}

/// A model that takes a note where the fixture wants one, and else repeats all that it was told.
fn repeating() -> Scripted {
    Scripted::computed(|request: &ChatRequest, _| {
        let may_remember = request.tools.iter().any(|tool| tool.name == "remember");
        match request.messages.len() {
            1 if may_remember => Turn::calls([("remember", json!({ "text": "Oil is changed." }))]),
            _ => Turn::text(format!("{:?} {:?}", request.system, request.messages)),
        }
    })
}

/// An org with its secrets. Its member has said and searched for some of them.
struct Planted {
    name: &'static str,
    fixture: Fixture,
}

impl Planted {
    async fn new(world: &World, name: &'static str) -> Self {
        let fixture = Fixture::build(world, name).await;
        let (admin, member) = (&fixture.admin, &fixture.member);
        let base = fixture.id("knowledge_base_id");
        let text = format!("# Notes\n\n{}.\n", planted("chunk", name));
        let file = format!("{} notes.md", planted("name", name));
        bring(world, admin, &file, text.as_bytes(), Some(base)).await;
        let agent = fixture.path("/v1/agents/{agent_id}");
        let known = json!({ "knowledge_bases": [base], "description": planted("agent", name) });
        admin.patch(&agent, &known).await.ok();
        let task = json!({ "title": planted("task", name) });
        admin.create("/v1/tasks", &task).await;
        let memory = json!({
            "text": planted("memory", name), "kind": "preference", "importance": 10,
        });
        admin.create(&format!("{agent}/memory"), &memory).await;
        let said = json!({ "message": planted("talk", name) });
        let chat = fixture.path("/v1/chat/{agent_id}");
        assert_eq!(member.post(&chat, &said).await.status, 200);
        for place in ["name", "chunk", "agent", "task", "talk"] {
            let word = secret(place, name);
            eventually(&format!("{word} is found"), async || {
                let titles = found(world.store(), tenant(admin), &word).await;
                (!titles.is_empty()).then_some(())
            })
            .await;
        }
        // It finds the task, and so is worth being suggested.
        let query = json!({ "query": format!("vaulttask {}", planted("query", name)) });
        member.post(&path(member), &query).await.ok();
        Self { name, fixture }
    }

    fn secrets(&self, places: &[&str]) -> impl Iterator<Item = String> {
        places.iter().map(move |place| secret(place, self.name))
    }
}

/// Every operation that searches or chats, from what the handlers say of themselves.
fn searching() -> Vec<Operation> {
    let is_one =
        |operation: &Operation| operation.path.split('/').any(|part| PARTS.contains(&part));
    operations(&document()).into_iter().filter(is_one).collect()
}

/// The bodies by which a question is put to an operation.
fn bodies(operation: &Operation, fixture: &Fixture, question: &str) -> Vec<Option<Value>> {
    let takes = |name: &str| {
        let schema = operation.body.as_ref();
        schema.is_some_and(|schema| schema["properties"].get(name).is_some())
    };
    if takes("mode") {
        let modes = ["text", "semantic", "hybrid"].iter();
        let body = |mode| Some(json!({ "query": question, "mode": mode, "limit": 100 }));
        return modes.map(body).collect();
    }
    for name in ["query", "message"] {
        if takes(name) {
            return vec![Some(json!({ name: question }))];
        }
    }
    vec![row(operation).body.map(|body| body(fixture))]
}

/// Puts a question to an operation at this path, in every way that it takes one. All that comes back.
async fn ask(
    caller: &Api,
    operation: &Operation,
    fixture: &Fixture,
    path: &str,
    question: &str,
) -> String {
    let mut all = String::new();
    let named = ["q", "query"];
    let parameter = operation
        .query
        .iter()
        .find(|name| named.contains(&name.as_str()));
    for body in bodies(operation, fixture, question) {
        let path = match parameter {
            Some(parameter) => format!("{path}?{parameter}={}", question.replace(' ', "+")),
            None => path.to_owned(),
        };
        let mut request = caller.request(operation.method.clone(), &path);
        match body {
            Some(body) => request = request.json(&body),
            None if operation.method == Method::POST => request = request.json(&json!({})),
            None => {}
        }
        let answer = send(request).await;
        assert!(
            !answer.status.is_server_error(),
            "{} {path}: {answer}",
            operation.id
        );
        all.push_str(&String::from_utf8_lossy(&answer.body));
    }
    all
}

/// Asks every operation everything, about things of one's own org. What is there is left there.
async fn crawl(caller: &Api, fixture: &Fixture) -> String {
    let mut all = String::new();
    for operation in searching() {
        if operation.method == Method::DELETE {
            continue;
        }
        let path = fixture.path(&operation.path);
        for question in questions() {
            all.push_str(&ask(caller, &operation, fixture, &path, &question).await);
        }
    }
    all
}

/// Asks every operation about the things of another org: under one's own, and under theirs.
async fn reach(caller: &Api, own: &Fixture, theirs: &Fixture) -> String {
    let mut all = String::new();
    let question = "vaulttask password";
    for operation in searching() {
        let under_own = fill(&operation.path, |name| match name {
            "org_id" => own.admin.org().to_owned(),
            _ => theirs.id(name).to_owned(),
        });
        all.push_str(&ask(caller, &operation, own, &under_own, question).await);
        let caller = caller.for_org(theirs.admin.org());
        let under_theirs = theirs.path(&operation.path);
        all.push_str(&ask(&caller, &operation, theirs, &under_theirs, question).await);
    }
    all
}

#[track_caller]
fn assert_without(all: &str, secrets: impl Iterator<Item = String>, who: &str) {
    for secret in secrets {
        let at = all.find(&secret);
        let around = at.map(|at| all[..at].chars().rev().take(300).collect::<String>());
        let around = around.map(|text| text.chars().rev().collect::<String>());
        assert_eq!(around, None, "{who} read {secret}");
    }
}

#[test]
fn every_way_to_search_or_chat_is_crawled() {
    let known: Vec<String> = searching().into_iter().map(|one| one.id).collect();
    for operation in [
        "search",
        "suggest_searches",
        "get_search_analytics",
        "click_search_hit",
        "search_knowledge_base",
        "search_audit_entries",
        "recall_agent_memories",
        "chat",
        "get_chat_history",
        "list_conversations",
        "list_conversation_turns",
    ] {
        assert!(known.iter().any(|one| one == operation), "{operation}");
    }
}

#[tokio::test]
async fn nothing_of_another_org_comes_out_of_any_search_or_chat() {
    let world = World::with_model(&repeating()).await;
    let (ada, eve) = tokio::join!(Planted::new(&world, "ada"), Planted::new(&world, "eve"));
    let scopes: Vec<&str> = domain::permission::Permission::ALL
        .iter()
        .map(|one| one.scope())
        .collect();
    let machine = world.machine(&eve.fixture.admin, &scopes).await;
    for caller in [&eve.fixture.admin, &machine] {
        let mut all = crawl(caller, &eve.fixture).await;
        all.push_str(&reach(caller, &eve.fixture, &ada.fixture).await);
        assert_without(&all, ada.secrets(&PLACES), "another org");
        // The same questions lead to what is their own.
        for secret in eve.secrets(&["name", "chunk", "task", "memory"]) {
            assert!(all.contains(&secret), "{secret} was there to be found");
        }
    }
}

#[tokio::test]
async fn what_is_a_members_own_comes_out_of_no_search_or_chat_of_others() {
    let world = World::with_model(&repeating()).await;
    let ada = Planted::new(&world, "ada").await;
    let fixture = &ada.fixture;
    let other = world.join(&fixture.admin, "moe", "member").await;
    let all = crawl(&other, fixture).await;
    assert_without(&all, ada.secrets(&["talk", "query"]), "another member");
    for caller in [&fixture.manager, &fixture.admin] {
        let all = crawl(caller, fixture).await;
        assert_without(&all, ada.secrets(&["query"]), "a manager");
    }
    // The same crawl finds every secret for whoever may see it.
    let all = crawl(&fixture.member, fixture).await;
    for secret in ada.secrets(&PLACES) {
        assert!(all.contains(&secret), "{secret} was there to be found");
    }
}
