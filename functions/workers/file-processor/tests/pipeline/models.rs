//! Knowledge bases with models of their choice, and on their way from one to another.

use std::time::Duration;

use domain::knowledge::Passage;
use domain::price::PriceMap;
use embedding::{Embedders, EmbeddingError, Scripted};
use http::Method;
use kernel::{FileId, KnowledgeBaseId};
use serde_json::{Value, json};
use store::vectors::{SearchedSet, VectorsOf};
use work::JobState;

use crate::world::World;

const STATIC: &str = "static-en-256@1";
const NOTES: [(&str, &str); 3] = [
    (
        "oil.md",
        "# Oil\n\nThe gearbox oil is changed every 500 hours.",
    ),
    (
        "rota.md",
        "# Rota\n\nThe person on call answers a page within 12 minutes.",
    ),
    (
        "parcels.md",
        "# Parcels\n\nA late parcel is reported to the warehouse in Lisbon.",
    ),
];
const QUESTION: &str =
    "gearbox oil changed hours, person on call answers page, late parcel warehouse";

fn words(width: usize) -> Scripted {
    Scripted::new("words@1", width).expect("an id")
}

async fn base_of(world: &World, model: &str) -> KnowledgeBaseId {
    let body = json!({ "name": "Handbooks", "embedding_model": model });
    let base = world.post("/v1/knowledge-bases", body).await.expect(201);
    assert_eq!(base["embedding_model"], model);
    crate::world::id(&base["id"])
}

async fn base_with_notes(world: &World, model: &str) -> (KnowledgeBaseId, Vec<String>) {
    let base = base_of(world, model).await;
    let mut files = Vec::new();
    for (name, text) in NOTES {
        files.push(world.upload(name, text.as_bytes(), Some(base)).await);
    }
    world.work().await;
    (base, files)
}

async fn change(world: &World, base: KnowledgeBaseId, model: &str) -> Value {
    let body = json!({ "embedding_model": model });
    let path = format!("/v1/knowledge-bases/{base}");
    world
        .call(Method::PATCH, &path, Some(body))
        .await
        .expect(200)
}

async fn stands(world: &World, base: KnowledgeBaseId) -> Value {
    world
        .get(&format!("/v1/knowledge-bases/{base}"))
        .await
        .expect(200)
}

/// The model that answered, and the documents that it found.
async fn answer(world: &World, base: KnowledgeBaseId) -> (String, usize) {
    let path = format!("/v1/knowledge-bases/{base}/search");
    let body = json!({ "query": QUESTION, "limit": 10 });
    let answer = world.post(&path, body).await.expect(200);
    let model = answer["model"].as_str().expect("a model").to_owned();
    let mut found: Vec<&str> = answer["passages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|passage| passage["file"].as_str().expect("an id"))
        .collect();
    found.sort_unstable();
    found.dedup();
    (model, found.len())
}

/// Whether a set holds anything of a file.
async fn holds(world: &World, base: KnowledgeBaseId, file: &str, set: u32) -> bool {
    let file: FileId = file.parse().expect("an id");
    let knowledge = world.store.knowledge(world.tenant);
    knowledge
        .holds_vectors(base, file, set, 1)
        .await
        .expect("counted")
}

/// Rings for the job of a change until there is nothing more to wait for.
async fn see_through(world: &World, base: KnowledgeBaseId) {
    let held = stands(world, base).await;
    let job = crate::world::id(&held["reembedding"]["job"]);
    for _ in 0..10 {
        world.work().await;
        let job = world.job_of(job).await;
        if job.state == JobState::Done {
            return;
        }
        world.clock.advance(Duration::from_secs(60));
        world.ring(&job).await;
    }
    panic!(
        "the change does not come to its end: {}",
        stands(world, base).await
    );
}

fn unavailable(model: &Scripted, seconds: u64) -> Option<EmbeddingError> {
    Some(EmbeddingError::Unavailable {
        model: model.id().parse().expect("an id"),
        reason: "it is limiting the rate of requests".to_owned(),
        retry_after: Some(Duration::from_secs(seconds)),
    })
}

fn refused(model: &Scripted) -> Option<EmbeddingError> {
    Some(EmbeddingError::Refused {
        model: model.id().parse().expect("an id"),
        reason: "the key is wrong".to_owned(),
    })
}

#[tokio::test]
async fn a_new_model_answers_only_once_every_document_has_its_vectors() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let (base, files) = base_with_notes(&world, STATIC).await;
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));

    let changed = change(&world, base, "words@1").await;
    assert_eq!(changed["embedding_model"], STATIC);
    assert_eq!(changed["reembedding"]["model"], "words@1");
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));

    // The job of the change makes one for each document, and waits.
    let message = world.message().await;
    assert_eq!(world.deliver(message).await, 0);
    let progress = &stands(&world, base).await["reembedding_progress"];
    assert_eq!(*progress, json!({ "documents_done": 0, "documents": 3 }));
    for _ in &files {
        assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));
        let message = world.message().await;
        assert_eq!(world.deliver(message).await, 0);
    }
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));
    for file in &files {
        assert!(holds(&world, base, file, 0).await && holds(&world, base, file, 1).await);
    }

    see_through(&world, base).await;
    assert_eq!(answer(&world, base).await, ("words@1".to_owned(), 3));
    let held = stands(&world, base).await;
    assert_eq!(held["embedding_model"], "words@1");
    assert_eq!(held["reembedding"], Value::Null);
    for file in &files {
        assert!(
            !holds(&world, base, file, 0).await,
            "the old ones are removed"
        );
        assert!(holds(&world, base, file, 1).await);
    }
    let events = world.events().await;
    let changes = events
        .iter()
        .filter(|event| *event == "knowledge_base.reembedded");
    assert_eq!(changes.count(), 1);
}

#[tokio::test]
async fn every_width_has_an_index_that_answers() {
    let models =
        [384, 1024].map(|width| Scripted::new(&format!("words-{width}@1"), width).expect("an id"));
    let world = World::with_models(models.clone()).await;
    let (base, _) = base_with_notes(&world, STATIC).await;
    for model in models {
        change(&world, base, &model.id()).await;
        see_through(&world, base).await;
        assert_eq!(answer(&world, base).await, (model.id(), 3));
    }
    change(&world, base, STATIC).await;
    see_through(&world, base).await;
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));
}

#[tokio::test]
async fn messages_that_come_again_and_workers_that_die_change_nothing() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let (base, files) = base_with_notes(&world, STATIC).await;
    change(&world, base, "words@1").await;

    // The first worker dies of the change, the second of the first document.
    let message = world.message().await;
    world.claim(&message).await;
    assert_eq!(world.deliver(message.clone()).await, 0);
    let document = world.message().await;
    world.claim(&document).await;
    assert_eq!(world.deliver(document.clone()).await, 0);
    for again in [message, document] {
        assert_eq!(world.deliver(again).await, 0);
    }
    see_through(&world, base).await;
    assert_eq!(answer(&world, base).await, ("words@1".to_owned(), 3));
    assert_eq!(words.calls().len(), files.len(), "each document once");
    let events = world.events().await;
    let changes = events
        .iter()
        .filter(|event| *event == "knowledge_base.reembedded");
    assert_eq!(changes.count(), 1);
}

/// A worker has read the knowledge base before the change began, and is through after the change was
/// looked over: its document must not be left behind.
#[tokio::test]
async fn a_document_that_becomes_ready_meanwhile_has_both() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let base = base_of(&world, STATIC).await;
    let (name, text) = NOTES[0];
    let file = world.upload(name, text.as_bytes(), Some(base)).await;
    let message = world.message().await;
    assert_eq!(world.deliver(message).await, 0, "the file is read");

    let knowledge = world.store.knowledge(world.tenant);
    let seen = knowledge.base(base).await.expect("read").expect("there");
    let id: FileId = file.parse().expect("an id");
    let document = knowledge
        .document(base, id)
        .await
        .expect("read")
        .expect("there");
    let message = world.message().await;
    let fence = world.claim(&message).await;
    change(&world, base, "words@1").await;
    let embedded = store::joining::Embedded::default();
    let told = knowledge
        .indexed(fence, &world.cause(), &document, &seen, &embedded)
        .await;
    assert!(told.expect_err("the base wants more now").is_changed());

    assert_eq!(world.deliver(message).await, 0);
    let ready = world.document(base, &file).await.expect("there");
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["vector_sets"], json!([0, 1]));
    see_through(&world, base).await;
    assert_eq!(answer(&world, base).await, ("words@1".to_owned(), 1));
}

#[tokio::test]
async fn a_change_that_the_model_refuses_is_given_up_and_the_old_vectors_stay() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let (base, files) = base_with_notes(&world, STATIC).await;
    words.then([refused(&words)]);
    change(&world, base, "words@1").await;
    see_through(&world, base).await;

    let held = stands(&world, base).await;
    let failure = &held["reembedding"]["failure"];
    assert_eq!(failure["code"], "embedding_refused");
    let message = failure["message"].as_str().expect("a reason");
    assert!(
        message.contains(".md: ") && message.contains("the key is wrong"),
        "{message}"
    );
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));
    for file in &files {
        assert_eq!(
            world.document(base, file).await.expect("there")["status"],
            "ready"
        );
        assert!(
            !holds(&world, base, file, 1).await,
            "what was made is removed"
        );
    }

    // Asked again, it is tried again.
    change(&world, base, "words@1").await;
    see_through(&world, base).await;
    assert_eq!(answer(&world, base).await, ("words@1".to_owned(), 3));
}

#[tokio::test]
async fn a_change_can_be_taken_back_and_leaves_nothing() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let (base, files) = base_with_notes(&world, STATIC).await;
    change(&world, base, "words@1").await;
    let message = world.message().await;
    assert_eq!(world.deliver(message).await, 0);
    let message = world.message().await;
    assert_eq!(world.deliver(message).await, 0);

    let back = change(&world, base, STATIC).await;
    assert_eq!(back["reembedding"], Value::Null);
    world.work().await;
    assert_eq!(answer(&world, base).await, (STATIC.to_owned(), 3));
    for file in &files {
        assert!(!holds(&world, base, file, 1).await);
    }
}

#[tokio::test]
async fn a_model_that_is_out_of_breath_is_waited_for_as_long_as_it_asks() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let base = base_of(&world, "words@1").await;
    let (name, text) = NOTES[0];
    let file = world.upload(name, text.as_bytes(), Some(base)).await;
    words.then([unavailable(&words, 40)]);
    let reading = world.message().await;
    assert_eq!(world.deliver(reading).await, 0);
    let indexing = world.message().await;
    let before = world.clock_now();
    assert_eq!(world.deliver(indexing.clone()).await, 0);
    let job = world.jobs(&[indexing]).await.remove(0);
    assert_eq!((job.state, job.attempts), (JobState::Ready, 1));
    let waits = job.due_at.since(before);
    assert!(waits >= Duration::from_secs(40), "{waits:?}");
    assert_eq!(
        world.document(base, &file).await.expect("there")["status"],
        "indexing"
    );

    world.clock.advance(Duration::from_secs(60));
    world.ring(&job).await;
    world.work().await;
    assert_eq!(
        world.document(base, &file).await.expect("there")["status"],
        "ready"
    );
    assert_eq!(answer(&world, base).await, ("words@1".to_owned(), 1));
}

#[tokio::test]
async fn the_same_text_is_embedded_once_for_an_org_and_never_known_to_another() {
    let words = words(256);
    let world = World::with_models([words.clone()]).await;
    let (_, files) = base_with_notes(&world, "words@1").await;
    let first = words.calls().len();
    assert_eq!(first, files.len());

    // The same files in another base, and the same texts in other files.
    let (second, _) = base_with_notes(&world, "words@1").await;
    assert_eq!(words.calls().len(), first, "{:?}", words.calls());
    assert_eq!(answer(&world, second).await, ("words@1".to_owned(), 3));

    let (text, prices) = (words.calls()[0][0].clone(), PriceMap::built_in());
    let again = async |tenant| {
        let texts = [text.as_str()];
        let embedded =
            retrieval::embed_passages(&world.store, tenant, &words, &prices, &texts).await;
        let spent = embedded.expect("embedded").spent;
        (spent.kept, spent.calls)
    };
    let other = world.other_tenant().await;
    assert_eq!(again(world.tenant).await, (1, 0));
    assert_eq!(again(other).await, (0, 1));
    assert_eq!(again(other).await, (1, 0));
    // After a month it is made anew.
    world.clock.advance(Duration::from_hours(31 * 24));
    assert_eq!(again(world.tenant).await, (0, 1));
}

#[tokio::test]
async fn bases_of_two_models_are_searched_together_by_rank() {
    let words = words(384);
    let world = World::with_models([words.clone()]).await;
    let (first, _) = base_with_notes(&world, STATIC).await;
    let (second, _) = base_with_notes(&world, "words@1").await;
    let embedders = Embedders::new(vec![std::sync::Arc::new(words)]);
    let bases = [first, second];
    let question = "How often is the gearbox oil changed?";
    let found = retrieval::search(&world.store, &embedders, world.tenant, &bases, question, 6);
    let found = found.await.expect("searched");
    let documents: Vec<(KnowledgeBaseId, &str)> = found
        .iter()
        .map(|passage| {
            (
                passage.chunk.knowledge_base,
                passage.chunk.document.as_str(),
            )
        })
        .collect();
    // Whatever the scores are, the first of each model come before the second of any.
    assert_eq!(documents[..2], [(first, "oil.md"), (second, "oil.md")]);
    assert_eq!(documents.len(), 6);
    let ranks = |base| -> Vec<&Passage> {
        found
            .iter()
            .filter(|passage| passage.chunk.knowledge_base == base)
            .collect()
    };
    for base in bases {
        assert!(ranks(base).is_sorted_by(|a, b| a.score >= b.score));
    }
    let gone = Embedders::default();
    let refused = retrieval::search(&world.store, &gone, world.tenant, &bases, question, 6).await;
    let refused = refused
        .expect_err("one of the models is not there")
        .to_string();
    assert!(
        refused.contains("words@1, which is not configured"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_search_asks_one_set_and_never_sees_another() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("a.md", NOTES[0].1.as_bytes(), Some(base))
        .await;
    world.work().await;
    let id: FileId = file.parse().expect("an id");
    let knowledge = world.store.knowledge(world.tenant);
    // A vector of the same length and another model, at right angles to all of the first.
    let mut other = vec![0.0; 256];
    other[7] = 1.0;
    let of = VectorsOf {
        knowledge_base: base,
        set: 1,
        file: id,
        content_version: 1,
    };
    knowledge
        .write_vectors(&of, 0, std::slice::from_ref(&other))
        .await
        .expect("written");
    let nearest = async |number| {
        let set = SearchedSet {
            knowledge_base: base,
            number,
        };
        knowledge
            .nearest(&[set], &other, 10)
            .await
            .expect("searched")
    };
    assert!(nearest(0).await.iter().all(|passage| passage.score < 0.9));
    assert!((nearest(1).await[0].score - 1.0).abs() < 1e-6);
    assert!(nearest(2).await.is_empty());
}

#[tokio::test]
async fn a_model_that_is_not_configured_is_refused_by_name() {
    let world = World::new().await;
    let base = world.base().await;
    let body = json!({ "name": "Handbooks", "embedding_model": "words@1" });
    let created = world.post("/v1/knowledge-bases", body.clone()).await;
    assert_eq!(created.problem(), (422, "invalid_request"));
    let path = format!("/v1/knowledge-bases/{base}");
    let body = json!({ "embedding_model": "words@1" });
    let changed = world.call(Method::PATCH, &path, Some(body)).await;
    assert_eq!(changed.problem(), (422, "invalid_request"));
    assert!(
        changed
            .body
            .to_string()
            .contains("there is static-en-256@1"),
        "{}",
        changed.body
    );
}
