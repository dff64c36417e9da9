//! Bodies of the right kind with a wrong field: the problem names it.

use serde_json::json;

use super::schema::fields;
use super::{Case, cases};
use crate::support::operations::document;

async fn every_field(mut visit: impl AsyncFnMut(&Case, &super::schema::Field)) {
    let (_world, cases) = cases().await;
    let document = document();
    for case in &cases {
        let body = case.operation.body.as_ref().expect("a body");
        for field in fields(&document, body) {
            visit(case, &field).await;
        }
    }
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let (_world, cases) = cases().await;
    for case in &cases {
        let mut body = case.valid.clone();
        body["unknown"] = json!(1);
        case.send_json(&body).await.names("/unknown");
        let nested = case.valid.as_object().expect("an object").iter();
        for (name, _) in nested.filter(|(name, value)| value.is_object() && *name != "parameters") {
            let mut body = case.valid.clone();
            body[name]["unknown"] = json!(1);
            case.send_json(&body)
                .await
                .names(&format!("/{name}/unknown"));
        }
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let mut seen = 0;
    every_field(async |case, field| {
        if field.required {
            case.send_json(&field.without(&case.valid))
                .await
                .names(&field.pointer);
            seen += 1;
        }
    })
    .await;
    assert!(seen > 20, "{seen} required fields");
}

#[tokio::test]
async fn a_field_that_stands_twice_is_named() {
    let (_world, cases) = cases().await;
    for case in &cases {
        let valid = case.valid.to_string();
        let (name, value) = case
            .valid
            .as_object()
            .and_then(|all| all.iter().next())
            .expect("a field");
        let twice = format!("{{\"{name}\":{value},{}", &valid[1..]);
        case.send(twice).await.names(&format!("/{name}"));
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_named() {
    let mut seen = 0;
    every_field(async |case, field| {
        for wrong in field.wrong_types() {
            let answer = case.send_json(&field.set(&case.valid, wrong.clone())).await;
            assert!(
                answer.status == 422 && answer.named_fields().contains(&field.pointer),
                "{} {} {wrong}: {answer}",
                case.name(),
                field.pointer
            );
            seen += 1;
        }
    })
    .await;
    assert!(seen > 200, "{seen} values");
}

#[tokio::test]
async fn a_value_beyond_a_stated_limit_is_named_and_one_at_it_is_not() {
    let mut seen = 0;
    every_field(async |case, field| {
        for wrong in field.beyond_limits() {
            let answer = case.send_json(&field.set(&case.valid, wrong.clone())).await;
            let shown: String = wrong.to_string().chars().take(60).collect();
            assert!(
                answer.status == 422 && answer.named_fields().contains(&field.pointer),
                "{} {} {shown}: {answer}",
                case.name(),
                field.pointer
            );
            seen += 1;
        }
        for right in field.at_limits() {
            let answer = case.send_json(&field.set(&case.valid, right.clone())).await;
            assert!(
                !answer.status.is_server_error(),
                "{} {}: {answer}",
                case.name(),
                field.pointer
            );
            let named =
                !answer.status.is_success() && answer.named_fields().contains(&field.pointer);
            let shown: String = right.to_string().chars().take(60).collect();
            assert!(
                !named,
                "{} {} {shown}: {answer}",
                case.name(),
                field.pointer
            );
            seen += 1;
        }
    })
    .await;
    assert!(seen > 80, "{seen} values");
}

#[tokio::test]
async fn no_text_and_no_list_is_without_end() {
    every_field(async |case, field| {
        if let Some(endless) = field.endless() {
            let answer = case.send_json(&field.set(&case.valid, endless)).await;
            assert!(
                answer.body.len() < 4_096,
                "{} repeats what it was sent",
                case.name()
            );
            let named = answer.named_fields();
            let about_it = named.iter().any(|name| name.starts_with(&field.pointer));
            assert!(
                answer.status == 422 && about_it,
                "{} {}: {}",
                case.name(),
                field.pointer,
                answer.status
            );
        }
    })
    .await;
}

#[tokio::test]
async fn every_text_says_in_the_document_what_bounds_it() {
    let mut unbounded = Vec::new();
    every_field(async |case, field| {
        if !field.is_bounded() {
            unbounded.push(format!("{} {}", case.name(), field.pointer));
        }
    })
    .await;
    assert_eq!(unbounded, Vec::<String>::new());
}
