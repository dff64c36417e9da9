//! The vector index of Knowledge.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::search_vectors::builders::SearchVectorsFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use embedded::tables::VECTOR_INDEXES;
use embedded::{Services, TableNames};

use crate::support::{item, number, put, services, text};

/// A unit vector in the plane of the first two axes.
fn direction(degrees: f32) -> Vec<AttributeValue> {
    let mut values = vec![0.0_f32; 256];
    (values[1], values[0]) = degrees.to_radians().sin_cos();
    values.into_iter().map(number).collect()
}

async fn chunk(services: &Services, names: &TableNames, org: &str, base: &str, degrees: f32) {
    let attributes = [("org", org), ("knowledge_base", base), ("text", "words")];
    let mut chunk = item(
        &format!("ORG#{org}"),
        &format!("{base}#{degrees}"),
        &attributes,
    );
    chunk.insert(
        "embedding".to_owned(),
        AttributeValue::L(direction(degrees)),
    );
    put(services, &names.knowledge, chunk).await;
}

fn search(services: &Services, names: &TableNames, org: &str) -> SearchVectorsFluentBuilder {
    services
        .clients()
        .dynamodb
        .search_vectors()
        .table_name(&names.knowledge)
        .index_name(VECTOR_INDEXES[0].index)
        .set_search_vector(Some(direction(0.0)))
        .search_condition_expression("org = :org")
        .expression_attribute_values(":org", text(org))
        .top_k(10)
}

/// The sort keys found, nearest first, with their distances.
async fn found(search: SearchVectorsFluentBuilder) -> Vec<(String, f64)> {
    let results = search.send().await.expect("searched").search_results;
    results
        .expect("results")
        .into_iter()
        .map(|result| {
            let item = result.item.expect("an item");
            assert!(!item.contains_key("embedding"), "vectors stay behind");
            (item["sk"].as_s().expect("text").clone(), result.score)
        })
        .collect()
}

#[tokio::test]
async fn a_search_finds_the_nearest_of_one_organization() {
    let (services, names) = services().await;
    for degrees in [90.0, 0.0, 180.0, 60.0] {
        chunk(&services, &names, "org_a", "kb_1", degrees).await;
    }
    chunk(&services, &names, "org_b", "kb_1", 0.0).await;

    let results = found(search(&services, &names, "org_a")).await;
    let expected = [
        ("kb_1#0", 0.0),
        ("kb_1#60", 0.5),
        ("kb_1#90", 1.0),
        ("kb_1#180", 2.0),
    ];
    assert_eq!(results.len(), expected.len(), "{results:?}");
    for ((key, distance), (expected_key, expected_distance)) in results.iter().zip(expected) {
        assert_eq!(key, expected_key);
        assert!((distance - expected_distance).abs() < 1e-6, "{results:?}");
    }
    assert_eq!(
        found(search(&services, &names, "org_a").top_k(2))
            .await
            .len(),
        2
    );
    assert_eq!(found(search(&services, &names, "org_c")).await, []);
}

#[tokio::test]
async fn a_search_can_be_narrowed_to_a_knowledge_base() {
    let (services, names) = services().await;
    chunk(&services, &names, "org_a", "kb_1", 10.0).await;
    chunk(&services, &names, "org_a", "kb_2", 0.0).await;
    chunk(&services, &names, "org_b", "kb_1", 0.0).await;

    let narrowed = search(&services, &names, "org_a")
        .search_condition_expression("org = :org AND knowledge_base = :base")
        .expression_attribute_values(":base", text("kb_1"));
    let keys: Vec<_> = found(narrowed)
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["kb_1#10"]);
}

#[tokio::test]
async fn a_search_must_name_its_organization_and_may_only_compare_for_equality() {
    let (services, names) = services().await;
    chunk(&services, &names, "org_a", "kb_1", 0.0).await;

    let everywhere = services
        .clients()
        .dynamodb
        .search_vectors()
        .table_name(&names.knowledge)
        .index_name(VECTOR_INDEXES[0].index)
        .set_search_vector(Some(direction(0.0)))
        .top_k(10);
    let refused = everywhere.send().await.expect_err("no organization");
    assert_eq!(
        refused.message(),
        Some("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    );
    for condition in [
        "knowledge_base = :org",
        "org = :org OR org = :base",
        "org = :org AND begins_with(knowledge_base, :base)",
        "org = :org AND knowledge_base IN (:base)",
        "org = :org AND #text = :base",
    ] {
        let mut search = search(&services, &names, "org_a").search_condition_expression(condition);
        if condition.contains(":base") {
            search = search.expression_attribute_values(":base", text("kb_1"));
        }
        if condition.contains("#text") {
            search = search.expression_attribute_names("#text", "text");
        }
        let refused = search.send().await.expect_err(condition);
        assert_eq!(refused.code(), Some("ValidationException"), "{condition}");
    }
}

#[tokio::test]
async fn vectors_of_another_length_are_refused() {
    let (services, names) = services().await;
    let short = vec![number(1.0); 3];
    let refused = search(&services, &names, "org_a")
        .set_search_vector(Some(short.clone()))
        .send()
        .await
        .expect_err("a short search vector");
    assert_eq!(
        refused.message(),
        Some("Input search vector dimension 3 does not match vector index dimension 256")
    );

    let mut chunk = item("ORG#a", "short", &[("org", "org_a")]);
    chunk.insert("embedding".to_owned(), AttributeValue::L(short));
    let refused = services
        .clients()
        .dynamodb
        .put_item()
        .table_name(&names.knowledge)
        .set_item(Some(chunk))
        .send()
        .await
        .expect_err("a short embedding");
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_projection_decides_what_comes_back() {
    let (services, names) = services().await;
    chunk(&services, &names, "org_a", "kb_1", 30.0).await;
    // Without an embedding a row is kept and not found.
    put(
        &services,
        &names.knowledge,
        item("ORG#org_a", "plain", &[("org", "org_a")]),
    )
    .await;

    let results = search(&services, &names, "org_a")
        .projection_expression("sk, #text, embedding")
        .expression_attribute_names("#text", "text")
        .send()
        .await
        .expect("searched")
        .search_results
        .expect("results");
    assert_eq!(results.len(), 1);
    let found = results[0].item().expect("an item");
    assert_eq!(found.len(), 3, "{found:?}");
    let embedding = found["embedding"].as_l().expect("a list");
    assert_eq!(embedding.len(), 256);

    let removed = services
        .clients()
        .dynamodb
        .delete_item()
        .table_name(&names.knowledge)
        .set_key(Some(item("ORG#org_a", "kb_1#30", &[])));
    removed.send().await.expect("deleted");
    assert_eq!(found_count(&services, &names).await, 0);
}

async fn found_count(services: &Services, names: &TableNames) -> usize {
    found(search(services, names, "org_a")).await.len()
}
