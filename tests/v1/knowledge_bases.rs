//! `/v1/knowledge-bases`: documents in, passages out.

use std::sync::Arc;

use embedding::{Embedder, Embedders};
use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use serde_json::{Value, json};

use super::files::bring;
use crate::support::search::found;
use crate::support::{Api, Setup, World, ended, eventually, tenant, text};

const HANDBOOK: &[u8] = include_bytes!("../../samples/turbine-maintenance-handbook.pdf");
const FAQ: &[u8] = b"# Parking\n\nVisitors park their cars behind the boiler house.\n\n\
                     # Canteen\n\nLunch is served in the canteen at noon.\n";

async fn base(api: &Api, name: &str) -> String {
    text(
        &api.create("/v1/knowledge-bases", &json!({ "name": name }))
            .await["id"],
    )
}

fn documents(base: &str) -> String {
    format!("/v1/knowledge-bases/{base}/documents")
}

/// The document of a file, once it can be searched or never will be.
async fn indexed(api: &Api, base: &str, file: &Value) -> Value {
    eventually("the document is indexed", async || {
        let all = api.list(&documents(base)).await;
        let document = all
            .into_iter()
            .find(|document| document["file"] == file["id"])?;
        (document["status"] != "indexing").then_some(document)
    })
    .await
}

async fn search(api: &Api, base: &str, query: &str) -> Vec<Value> {
    let path = format!("/v1/knowledge-bases/{base}/search");
    let found = api
        .post(&path, &json!({ "query": query, "limit": 3 }))
        .await
        .ok();
    found["passages"].as_array().expect("passages").clone()
}

#[tokio::test]
async fn a_document_is_found_by_its_meaning_with_its_place() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = base(&admin, "Handbooks").await;
    let faq = bring(&world, &admin, "faq.md", FAQ, Some(&base)).await;
    let handbook = bring(&world, &admin, "handbook.pdf", HANDBOOK, Some(&base)).await;
    assert!(
        handbook["pages"].as_u64().is_some_and(|pages| pages > 1),
        "{handbook}"
    );
    for file in [&faq, &handbook] {
        let document = indexed(&admin, &base, file).await;
        assert_eq!(
            (&document["status"], &document["chunks"]),
            (&json!("ready"), &file["chunks"])
        );
    }
    let passages = search(&admin, &base, "Where do visitors leave their car?").await;
    assert_eq!(passages.len(), 3);
    let best = &passages[0];
    assert_eq!(
        (&best["document"], &best["heading_path"]),
        (&json!("faq.md"), &json!(["Parking"]))
    );
    let passage = text(&best["text"]);
    assert!(passage.contains("boiler house"), "{best}");
    let place = |name: &str| best[name].as_u64().expect("an offset") as usize;
    assert_eq!(place("end") - place("start"), passage.chars().count());
    let scores: Vec<f64> = passages
        .iter()
        .map(|one| one["score"].as_f64().expect("a score"))
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let torque = search(&admin, &base, "torque of the blade root bolts").await;
    assert_eq!(torque[0]["document"], "handbook.pdf");
    assert!(torque[0]["page"].is_u64(), "{torque:?}");

    let path = format!("/v1/knowledge-bases/{base}/search");
    let nothing = admin
        .post(&path, &json!({ "query": "\u{13000}\u{13001}" }))
        .await
        .ok();
    assert_eq!(nothing["passages"], json!([]));
    assert!(nothing["note"].is_string(), "{nothing}");
}

#[tokio::test]
async fn a_knowledge_base_is_created_changed_and_deleted_once_it_is_empty() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = json!({ "name": "Handbooks", "description": "For technicians." });
    let made = admin.create("/v1/knowledge-bases", &body).await;
    assert_eq!(
        (&made["version"], &made["name"]),
        (&json!(1), &json!("Handbooks"))
    );
    let path = format!("/v1/knowledge-bases/{}", text(&made["id"]));
    let changed = admin.patch(&path, &json!({ "name": "Manuals" })).await.ok();
    assert_eq!(
        (&changed["name"], &changed["description"]),
        (&json!("Manuals"), &made["description"])
    );
    let id = text(&made["id"]);
    let file = bring(&world, &admin, "faq.md", FAQ, Some(&id)).await;
    admin.delete(&path).await.problem(409, "not_empty");
    admin
        .delete(&format!("{}/{}", documents(&id), text(&file["id"])))
        .await
        .gone();
    admin.delete(&path).await.gone();
    admin.get(&path).await.problem(404, "not_found");
    // The file stays.
    assert_eq!(
        admin
            .get(&format!("/v1/files/{}", text(&file["id"])))
            .await
            .ok()["status"],
        "ready"
    );
}

#[tokio::test]
async fn a_file_is_in_as_many_knowledge_bases_as_it_is_put_into_and_found_there_only() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (one, two) = (base(&admin, "One").await, base(&admin, "Two").await);
    let file = bring(&world, &admin, "faq.md", FAQ, None).await;
    let add = json!({ "file_id": file["id"] });
    admin.create(&documents(&one), &add).await;
    indexed(&admin, &one, &file).await;
    assert_eq!(search(&admin, &one, "visitors park").await.len(), 2);
    assert_eq!(search(&admin, &two, "visitors park").await.len(), 0);
    admin
        .post(&documents(&one), &add)
        .await
        .problem(409, "already_exists");
    admin.create(&documents(&two), &add).await;
    indexed(&admin, &two, &file).await;
    assert_eq!(search(&admin, &two, "visitors park").await.len(), 2);
    let shown = admin
        .get(&format!("/v1/files/{}", text(&file["id"])))
        .await
        .ok();
    assert_eq!(shown["knowledge_bases"].as_array().map(Vec::len), Some(2));

    // Taken out of one, it is found in the other.
    admin
        .delete(&format!("{}/{}", documents(&one), text(&file["id"])))
        .await
        .gone();
    assert_gone(&admin, &one).await;
    assert_eq!(search(&admin, &two, "visitors park").await.len(), 2);
    // Deleted, it is found nowhere.
    admin
        .delete(&format!("/v1/files/{}", text(&file["id"])))
        .await
        .gone();
    assert_gone(&admin, &two).await;
    assert_eq!(admin.list(&documents(&two)).await.len(), 0);
}

async fn assert_gone(api: &Api, base: &str) {
    eventually("nothing is found any more", async || {
        search(api, base, "visitors park")
            .await
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_failed_document_with_its_reason() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let base = base(&admin, "Handbooks").await;
    let file = bring(&world, &admin, "text.pdf", FAQ, Some(&base)).await;
    let document = indexed(&admin, &base, &file).await;
    assert_eq!(
        (&document["status"], &document["failure"]),
        (&json!("failed"), &file["failure"])
    );
    let other = admin
        .create("/v1/knowledge-bases", &json!({ "name": "Other" }))
        .await;
    let add = admin
        .post(
            &documents(&text(&other["id"])),
            &json!({ "file_id": file["id"] }),
        )
        .await;
    add.problem(409, "file_failed");
}

#[tokio::test]
async fn another_org_finds_nothing_of_ours() {
    let world = World::start().await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    let (ours, theirs) = (base(&ada, "Handbooks").await, base(&bob, "Handbooks").await);
    let file = bring(&world, &ada, "faq.md", FAQ, Some(&ours)).await;
    indexed(&ada, &ours, &file).await;
    let paint = b"# Paint\n\nOurs is painted blue.\n";
    let own = bring(&world, &bob, "paint.md", paint, Some(&theirs)).await;
    indexed(&bob, &theirs, &own).await;
    let found = search(&bob, &theirs, "visitors and paint").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["document"], "paint.md");
    let path = format!("/v1/knowledge-bases/{ours}/search");
    bob.post(&path, &json!({ "query": "visitors park" }))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn an_agent_cites_document_and_page_of_what_it_was_shown_and_nothing_else() {
    let model = Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([(
            "search_knowledge",
            json!({ "query": "torque of the blade root bolts" }),
        )]),
        _ => Turn::text("It is in the handbook [1]. See also [99] and the footnote [x]."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let base = base(&admin, "Handbooks").await;
    let file = bring(&world, &admin, "handbook.pdf", HANDBOOK, Some(&base)).await;
    indexed(&admin, &base, &file).await;
    let body = json!({
        "name": "Guide", "instructions": "Answer.", "tools": ["search_knowledge", "read_document"],
        "knowledge_bases": [base],
    });
    let guide = admin.create("/v1/agents", &body).await;
    let run = json!({ "agent_id": guide["id"], "input": "Which torque?" });
    let execution = admin.create("/v1/executions", &run).await;
    let execution = ended(&admin, &text(&execution["id"])).await;
    let citations = execution["citations"].as_array().expect("citations");
    assert_eq!(citations.len(), 1, "{execution}");
    let citation = &citations[0];
    assert_eq!(
        (&citation["marker"], &citation["document"]),
        (&json!(1), &json!("handbook.pdf"))
    );
    assert_eq!(
        (&citation["file"], &citation["knowledge_base"]),
        (&file["id"], &json!(base))
    );
    assert!(
        citation["page"].as_u64().is_some_and(|page| page > 0),
        "{citation}"
    );
    // It is the place that the search gives.
    let found = search(&admin, &base, "torque of the blade root bolts").await;
    assert_eq!(citation["page"], found[0]["page"]);
}

#[tokio::test]
async fn an_agent_finds_by_words_what_its_embedding_model_does_not_know() {
    let model = Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([("search_knowledge", json!({ "query": "ZX4471Q" }))]),
        _ => Turn::text("It is in the list [1]."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let base = base(&admin, "Spares").await;
    let spares = b"# Spares\n\nThe seal ZX4471Q fits press 4.\n";
    for (name, content) in [("faq.md", FAQ), ("spares.md", &spares[..])] {
        let file = bring(&world, &admin, name, content, Some(&base)).await;
        indexed(&admin, &base, &file).await;
    }
    eventually("the word is in the text index", async || {
        let found = found(world.store(), tenant(&admin), "zx4471q").await;
        (!found.is_empty()).then_some(())
    })
    .await;
    let body = json!({
        "name": "Guide", "instructions": "Answer.", "tools": ["search_knowledge"],
        "knowledge_bases": [base],
    });
    let guide = admin.create("/v1/agents", &body).await;
    let run = json!({ "agent_id": guide["id"], "input": "What is ZX4471Q?" });
    let execution = admin.create("/v1/executions", &run).await;
    let execution = ended(&admin, &text(&execution["id"])).await;
    assert_eq!(
        execution["citations"][0]["document"], "spares.md",
        "{execution}"
    );
}

/// Two knowledge bases of different models, and one of them on its way to a third, on a host that
/// answers all the while.
#[tokio::test]
async fn a_knowledge_base_changes_its_model_while_an_agent_searches_it() {
    let model = |id, width| Arc::new(embedding::Scripted::new(id, width).expect("an id"));
    let embedders: Vec<Arc<dyn Embedder>> =
        vec![model("words@1", 384), model("other-words@1", 1024)];
    let agent_model = Scripted::computed(|request: &ChatRequest, _| match request.messages.len() {
        1 => Turn::calls([("search_knowledge", json!({ "query": "visitors park cars" }))]),
        _ => Turn::text("Behind the boiler house [1]."),
    });
    let world = World::with(Setup {
        model: agent_model,
        embedders: Embedders::new(embedders),
        ..Setup::default()
    })
    .await;
    let admin = world.founder("ada").await;
    let first = base(&admin, "First").await;
    let body = json!({ "name": "Second", "embedding_model": "static-en-256@1" });
    let second = text(&admin.create("/v1/knowledge-bases", &body).await["id"]);
    for base in [&first, &second] {
        let file = bring(&world, &admin, "faq.md", FAQ, Some(base)).await;
        assert_eq!(indexed(&admin, base, &file).await["status"], "ready");
    }
    let shown = async |base: &str| admin.get(&format!("/v1/knowledge-bases/{base}")).await.ok();
    assert_eq!(shown(&first).await["embedding_model"], "words@1");

    let path = format!("/v1/knowledge-bases/{first}");
    let change = json!({ "embedding_model": "other-words@1" });
    let changing = admin.patch(&path, &change).await.ok();
    assert_eq!(changing["reembedding"]["model"], "other-words@1");
    eventually("the knowledge base has the other model", async || {
        assert_eq!(search(&admin, &first, "visitors park cars").await.len(), 2);
        (shown(&first).await["embedding_model"] == "other-words@1").then_some(())
    })
    .await;

    let agent = json!({
        "name": "Guide", "instructions": "Answer.", "tools": ["search_knowledge"],
        "knowledge_bases": [first, second],
    });
    let agent = admin.create("/v1/agents", &agent).await;
    let run = json!({ "agent_id": agent["id"], "input": "Where do visitors park?" });
    let run = admin.create("/v1/executions", &run).await;
    let run = ended(&admin, &text(&run["id"])).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["citations"][0]["document"], "faq.md", "{run}");
}
