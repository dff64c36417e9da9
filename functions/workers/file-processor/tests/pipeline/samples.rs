//! The documents that the repository carries, from upload to an answer.

use serde_json::{Value, json};

use crate::world::{World, sample};

#[tokio::test]
async fn every_question_finds_the_place_that_answers_it() {
    let world = World::new().await;
    let base = world.base().await;
    let mut expected = Vec::new();
    for (name, format, pages) in [
        ("turbine-maintenance-handbook.pdf", "pdf", json!(6)),
        ("bearing-supply-agreement.docx", "docx", Value::Null),
        ("on-call-faq.md", "markdown", Value::Null),
    ] {
        let file = world.upload(name, &sample(name), Some(base)).await;
        assert_eq!(
            world.document(base, &file).await.expect("added")["status"],
            "indexing"
        );
        expected.push((file, format, pages));
    }
    world.work().await;

    for (file, format, pages) in &expected {
        let processed = world.file(file).await;
        assert_eq!(processed["status"], "ready", "{processed}");
        assert_eq!(
            (&processed["format"], &processed["pages"]),
            (&json!(format), pages)
        );
        let document = world.document(base, file).await.expect("a document");
        assert_eq!(document["status"], "ready", "{document}");
        assert!(document["chunks"].as_u64() > Some(0), "{document}");
        assert_eq!(document["chunks"], processed["chunks"]);
    }

    let questions: Vec<Value> =
        serde_json::from_slice(&sample("questions.json")).expect("questions");
    assert!(questions.len() >= 8);
    for question in &questions {
        let query = question["question"].as_str().expect("a question");
        let passages = world.search(base, query, 3).await;
        let right = |passage: &Value| {
            passage["document"] == question["document"] && passage["page"] == question["page"]
        };
        assert!(
            passages.iter().any(right),
            "{question}\nfound {passages:#?}"
        );
        let scores: Vec<f64> = passages
            .iter()
            .filter_map(|p| p["score"].as_f64())
            .collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    }
}

#[tokio::test]
async fn what_was_uploaded_comes_back_as_it_was() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let file = world.upload("on-call-faq.md", &content, None).await;
    assert_eq!(world.download(&file).await, (200, content));
    let answer = world.get("/v1/files").await.expect(200);
    assert_eq!(answer["items"][0]["id"], json!(file));
}

#[tokio::test]
async fn a_query_without_a_known_word_is_answered_with_a_note() {
    let world = World::new().await;
    let base = world.base().await;
    let path = format!("/v1/knowledge-bases/{base}/search");
    let answer = world
        .post(&path, json!({ "query": "🙈🙉🙊" }))
        .await
        .expect(200);
    assert_eq!(answer["passages"], json!([]));
    assert!(
        answer["note"]
            .as_str()
            .is_some_and(|note| note.contains("No word")),
        "{answer}"
    );
}
