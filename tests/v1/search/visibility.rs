//! Who finds what: by scope, by role, by org; and nothing that is gone.

use serde_json::json;

use super::*;
use crate::support::ended;

const MODES: [&str; 3] = ["text", "semantic", "hybrid"];

/// An org that has said a word wherever something can be said.
struct Teller {
    api: Api,
    base: String,
    file: String,
    agent: String,
    task: String,
    word: String,
}

impl Teller {
    async fn new(world: &World, name: &str) -> Self {
        let api = world.founder(name).await;
        let word = format!("canary{name}");
        let content =
            format!("# Notes\n\nThe password of the gearbox is {word}, as it always was.\n");
        let document = format!("{word}.md");
        let documents = [(document.as_str(), content.as_bytes())];
        let (base, mut files) = library(world, &api, &documents).await;
        let agent = json!({ "name": format!("Agent {word}"), "instructions": "Answer." });
        let agent = text(&api.create("/v1/agents", &agent).await["id"]);
        let made = task(&api, &format!("Task {word}"), "").await;
        let talk = json!({ "agent_id": agent, "title": "Talk" });
        let talk = text(&api.create("/v1/conversations", &talk).await["id"]);
        let input = format!("What of {word}?");
        let asked = json!({ "agent_id": agent, "conversation_id": talk, "input": input });
        let run = text(&api.create("/v1/executions", &asked).await["id"]);
        ended(&api, &run).await;
        Self {
            base,
            file: files.remove(0),
            agent,
            task: text(&made["id"]),
            api,
            word,
        }
    }

    /// Waits until it finds its own word in everything.
    async fn found(&self) {
        let body = json!({ "query": self.word, "mode": "text", "limit": 100 });
        eventually("its own word is found", async || {
            let answer = search(&self.api, &body).await;
            (distinct(&answer, "kind").len() == 6).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_org_finds_nothing_of_another_however_it_asks() {
    let world = World::start().await;
    let (ours, theirs) = tokio::join!(Teller::new(&world, "ada"), Teller::new(&world, "eve"));
    tokio::join!(ours.found(), theirs.found());
    let own = json!({ "query": theirs.word, "facets": ["kind"] });
    let own = search(&theirs.api, &own).await;
    assert!(
        own.to_string().contains(&theirs.word),
        "the word is there to be found"
    );
    let questions = [
        theirs.word.clone(),
        format!("{}*", &theirs.word[..8]),
        "canaryevf".to_owned(),
        "password of the gearbox".to_owned(),
        String::new(),
    ];
    let filters = [
        json!({}),
        json!({ "knowledge_base": [theirs.base] }),
        json!({ "file": [theirs.file] }),
        json!({ "agent": [theirs.agent] }),
        json!({ "task": [theirs.task] }),
    ];
    let org = theirs.api.org();
    for mode in MODES {
        for question in &questions {
            for filter in &filters {
                let body =
                    json!({ "query": question, "mode": mode, "filters": filter, "limit": 100 });
                let answer = ours.api.post(&path(&ours.api), &body).await;
                if answer.status == 422 {
                    continue;
                }
                let found = answer.ok().to_string();
                let asked = found.matches(&theirs.word).count();
                assert_eq!(asked, 0, "{body}: {found}");
                for id in [&theirs.base, &theirs.file, &theirs.agent, &theirs.task] {
                    assert!(!found.contains(id.as_str()), "{body}: {found}");
                }
                // In the other org nothing is answered at all.
                let there = format!("/v1/orgs/{org}/search");
                ours.api
                    .for_org(org)
                    .post(&there, &body)
                    .await
                    .problem(404, "not_found");
            }
        }
    }
    let facets = json!({
        "mode": "text", "facets": ["knowledge_base", "file", "agent", "author"],
    });
    let counted = search(&ours.api, &facets).await.to_string();
    assert!(
        counted.contains(&ours.base) && !counted.contains(&theirs.base),
        "{counted}"
    );
}

#[tokio::test]
async fn a_key_finds_the_kinds_of_its_scopes_and_is_told_what_it_lacks() {
    let world = World::start().await;
    let teller = Teller::new(&world, "ada").await;
    teller.found().await;
    let org = teller.api.org();
    let kinds_of = [
        ("knowledge:read", vec!["chunk", "document"]),
        ("agents:read", vec!["agent"]),
        ("tasks:read", vec!["task"]),
        ("executions:read", vec!["execution", "message"]),
    ];
    for (scope, kinds) in &kinds_of {
        let machine = world.machine(&teller.api, &[scope]).await.for_org(org);
        for query in [teller.word.as_str(), ""] {
            let body = json!({ "query": query, "mode": "text", "facets": ["kind"] });
            let answer = search(&machine, &body).await;
            assert_eq!(distinct(&answer, "kind"), *kinds, "{scope}");
            let counted = answer["facets"][0]["values"].as_array().expect("values");
            assert_eq!(counted.len(), kinds.len(), "nor counted: {answer}");
        }
        for (other, foreign) in kinds_of.iter().filter(|(other, _)| other != scope) {
            let body = json!({ "query": teller.word, "kinds": foreign });
            let refused = machine.post(&path(&machine), &body).await;
            let problem = refused.problem(403, "forbidden");
            assert!(text(&problem["detail"]).contains(other), "{problem}");
        }
        let near = json!({ "query": "password of the gearbox", "mode": "semantic" });
        let near = machine.post(&path(&machine), &near).await;
        if *scope == "knowledge:read" {
            assert!(!hits(&near.ok()).is_empty());
        } else {
            near.problem(403, "forbidden");
        }
    }
    let machine = world
        .machine(&teller.api, &["files:read", "tools:read"])
        .await;
    let machine = machine.for_org(org);
    let refused = machine
        .post(&path(&machine), &json!({ "query": "x" }))
        .await;
    refused.problem(403, "forbidden");
}

#[tokio::test]
async fn what_a_member_said_is_found_by_them_and_by_managers() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let manager = world.join(&admin, "mia", "manager").await;
    let (ben, cleo) = (
        world.join(&admin, "ben", "member").await,
        world.join(&admin, "cleo", "member").await,
    );
    let agent = json!({ "name": "Guide", "instructions": "Answer." });
    let agent = text(&admin.create("/v1/agents", &agent).await["id"]);
    let talk = json!({ "agent_id": agent, "title": "Private talk" });
    let talk = text(&ben.create("/v1/conversations", &talk).await["id"]);
    let asked = json!({
        "agent_id": agent, "conversation_id": talk, "input": "When is the bluebird merger?",
    });
    let run = text(&ben.create("/v1/executions", &asked).await["id"]);
    ended(&ben, &run).await;
    let body = json!({ "query": "bluebird merger", "facets": ["kind", "author"] });
    let said = ["Private talk", "When is the bluebird merger?"];
    for api in [&ben, &manager, &admin] {
        finds(api, &body, &said).await;
    }
    let answer = search(&cleo, &body).await;
    assert_eq!(answer["hits"], json!([]));
    assert_eq!(answer["total"], json!(null));
    for facet in answer["facets"].as_array().expect("facets") {
        assert_eq!(facet["values"], json!([]), "nor counted");
    }
    let by_words = json!({ "query": "bluebird", "mode": "text" });
    assert_eq!(search(&cleo, &by_words).await["total"], 0);
    let near = json!({ "query": "blueberd", "mode": "text" });
    assert_eq!(
        search(&cleo, &near).await["corrections"],
        json!(null),
        "nor named"
    );
    for filter in [
        json!({ "conversation": [talk] }),
        json!({ "execution": [run] }),
    ] {
        let body = json!({ "mode": "text", "filters": filter });
        assert_eq!(search(&cleo, &body).await["total"], 0);
        eventually("ben finds the run and both messages", async || {
            (search(&ben, &body).await["total"] == 3).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_gone_is_found_in_no_mode() {
    let world = World::start().await;
    let teller = Teller::new(&world, "ada").await;
    teller.found().await;
    let api = &teller.api;
    for path in [
        format!("/v1/tasks/{}", teller.task),
        format!("/v1/agents/{}", teller.agent),
        format!(
            "/v1/knowledge-bases/{}/documents/{}",
            teller.base, teller.file
        ),
    ] {
        api.delete(&path).await.gone();
    }
    for mode in MODES {
        let query = if mode == "text" {
            teller.word.as_str()
        } else {
            "password of the gearbox"
        };
        let body = json!({ "query": query, "mode": mode });
        eventually(&format!("nothing is left in the mode {mode}"), async || {
            let kinds = distinct(&search(api, &body).await, "kind");
            let gone = ["agent", "chunk", "document", "task"];
            let left = gone
                .iter()
                .any(|kind| kinds.iter().any(|found| found == kind));
            (!left).then_some(())
        })
        .await;
    }
}
