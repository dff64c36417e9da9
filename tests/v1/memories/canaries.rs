//! Distinct texts are planted in the memories of several agents of several organizations. Then
//! everything is done that anybody can do, and none of them turns up where it does not belong.

use http::Method;
use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use serde_json::{Value, json};

use super::{ask, path, told};
use crate::support::fixture::agent;
use crate::support::{Answer, Api, World, send, text};

const ORGS: usize = 3;
const AGENTS: usize = 3;

struct Planted {
    api: Api,
    agent: Value,
    /// Told by a person, and learned in an execution.
    canaries: [String; 2],
    memories: Vec<String>,
}

fn canary(org: usize, agent: usize, way: &str) -> String {
    format!("canary-{org}-{agent}-{way}-q7x")
}

/// What the model of every agent is asked, so that memories of all are relevant to all.
const QUESTION: &str = "What is the secret word of the vault?";

fn memory_text(canary: &str) -> String {
    format!("The secret word of the vault is {canary}.")
}

/// A model that remembers what its question tells it to, and else answers.
fn model() -> Scripted {
    Scripted::computed(|request: &ChatRequest, _| {
        let asked = request
            .messages
            .first()
            .map(|message| format!("{message:?}"));
        let asked = asked.unwrap_or_default();
        match asked.split_once("Remember: ") {
            Some((_, rest)) if request.messages.len() == 1 => {
                let word = rest.split('!').next().unwrap_or_default();
                let note = json!({ "text": memory_text(word), "importance": 10 });
                Turn::calls([("remember", note)])
            }
            _ => Turn::text("Noted."),
        }
    })
}

async fn plant(world: &World) -> Vec<Planted> {
    let mut planted = Vec::new();
    for org in 0..ORGS {
        let api = world.founder(&format!("founder{org}")).await;
        for number in 0..AGENTS {
            let agent = api
                .create("/v1/agents", &agent(&format!("Agent {number}")))
                .await;
            let canaries = ["told", "learned"].map(|way| canary(org, number, way));
            let body = json!({
                "text": memory_text(&canaries[0]), "kind": "preference", "importance": 10,
            });
            api.create(&path(&agent), &body).await;
            ask(&api, &agent, &format!("Remember: {}!", canaries[1])).await;
            let memories = api.list(&path(&agent)).await;
            assert_eq!(memories.len(), 2);
            planted.push(Planted {
                memories: memories.iter().map(|one| text(&one["id"])).collect(),
                api: api.clone(),
                agent,
                canaries,
            });
        }
    }
    planted
}

#[tokio::test]
async fn what_an_agent_remembers_is_found_with_no_other_agent_and_no_other_org() {
    let model = model();
    let world = World::with_model(&model).await;
    let planted = plant(&world).await;
    let all: Vec<&String> = planted.iter().flat_map(|one| &one.canaries).collect();
    let mut looked = 0;
    for one in &planted {
        let before = model.requests().len();
        ask(&one.api, &one.agent, QUESTION).await;
        // In prompts: its own, both of them, and of no other.
        for request in &model.requests()[before..] {
            let prompt = format!("{request:?}");
            for canary in &all {
                let own = one.canaries.contains(canary);
                assert_eq!(prompt.contains(canary.as_str()), own, "{canary}: {prompt}");
                looked += 1;
            }
            assert_eq!(told(request).len(), 2);
        }
        // In lists and recalls, even of those who look for another's words.
        for target in &all {
            let own = one.canaries.contains(target);
            let query = memory_text(target).replace(' ', "+");
            let recalled = one
                .api
                .get(&format!(
                    "{}/recall?limit=50&query={query}",
                    path(&one.agent)
                ))
                .await;
            recalled.ok();
            let listed = one
                .api
                .get(&format!("{}?limit=100", path(&one.agent)))
                .await;
            for answer in [&recalled, &listed] {
                assert_eq!(body_of(answer).contains(target.as_str()), own, "{answer}");
                looked += 1;
            }
        }
    }
    assert!(looked > 300, "{looked} looks");
}

/// Every memory operation at the memories of `whose`, as `who`, named through the agent `through`.
async fn everything(who: &Api, through: &Value, whose: &Planted, to: &Value) -> Vec<Answer> {
    let mut answers = Vec::new();
    for memory in &whose.memories {
        let at = format!("{}/{memory}", path(through));
        for (method, path, body) in [
            (Method::GET, at.clone(), Value::Null),
            (Method::PATCH, at.clone(), json!({ "text": "Stolen." })),
            (
                Method::POST,
                format!("{at}/share"),
                json!({ "agent_id": to["id"] }),
            ),
            (Method::DELETE, at, Value::Null),
        ] {
            let request = who.request(method, &path);
            let request = if body.is_null() {
                request
            } else {
                request.json(&body)
            };
            answers.push(send(request).await);
        }
    }
    answers
}

#[tokio::test]
async fn nobody_reaches_a_memory_but_through_its_own_agent_in_its_own_org() {
    let world = World::with_model(&model()).await;
    let planted = plant(&world).await;
    let mut tried = 0;
    for who in &planted {
        for whose in &planted {
            if who.agent["id"] == whose.agent["id"] {
                continue;
            }
            // Through their own agent, and by the path of the other's.
            let mut answers = everything(&who.api, &who.agent, whose, &who.agent).await;
            if who.api.org() != whose.api.org() {
                answers.extend(everything(&who.api, &whose.agent, whose, &who.agent).await);
                for path in ["", "/recall", "?kind=fact"] {
                    let path = format!("{}{path}", path_of(whose));
                    answers.push(who.api.get(&path).await);
                }
                let write = json!({ "text": "Planted by a stranger." });
                answers.push(who.api.post(&path_of(whose), &write).await);
            }
            for answer in answers {
                answer.problem(404, "not_found");
                for canary in &whose.canaries {
                    assert!(!body_of(&answer).contains(canary.as_str()), "{answer}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried} tries");
    for one in &planted {
        let kept = one.api.list(&path_of(one)).await;
        let ids: Vec<String> = kept.iter().map(|memory| text(&memory["id"])).collect();
        assert_eq!(ids, one.memories);
        for memory in &kept {
            let words = text(&memory["text"]);
            assert!(
                one.canaries
                    .iter()
                    .any(|canary| words == memory_text(canary)),
                "{words}"
            );
        }
    }
}

#[tokio::test]
async fn no_log_of_another_org_tells_of_a_memory() {
    let world = World::with_model(&model()).await;
    let planted = plant(&world).await;
    for one in planted.iter().step_by(AGENTS) {
        let at = format!("{}/{}", path_of(one), one.memories[0]);
        one.api.patch(&at, &json!({ "importance": 3 })).await.ok();
        crate::v1::audit::settled(&world, &one.api).await;
        let log = json!(one.api.list("/v1/audit").await).to_string();
        for other in &planted {
            for (canary, memory) in other.canaries.iter().zip(&other.memories) {
                if other.api.org() != one.api.org() {
                    assert!(!log.contains(canary.as_str()) && !log.contains(memory.as_str()));
                }
            }
        }
        assert!(log.contains("memory.updated"));
    }
}

fn body_of(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn path_of(planted: &Planted) -> String {
    path(&planted.agent)
}
