//! What the stores build on: transactions, indexes, limits and expiry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure,
    TimeToLiveStatus, TransactWriteItem, Update,
};
use embedded::{Error, Options, Services, create_tables};

use crate::support::{Item, get, item, number, put, services, tables, text};

fn put_action(table: &str, item: Item, condition: Option<&str>) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .set_condition_expression(condition.map(str::to_owned))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .expect("a put");
    TransactWriteItem::builder().put(put).build()
}

fn reasons(error: &TransactWriteItemsError) -> Vec<CancellationReason> {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons().to_vec()
        }
        other => panic!("not cancelled: {other:?}"),
    }
}

#[tokio::test]
async fn a_transaction_writes_to_several_tables_or_to_none() {
    let (services, names) = services().await;
    let client = &services.clients().dynamodb;

    let state = item("ORG#1", "AGENT#1", &[("name", "first")]);
    let event = item("ORG#1", "evt_1", &[]);
    let absent = Some("attribute_not_exists(pk)");
    client
        .transact_write_items()
        .transact_items(put_action(&names.core, state.clone(), absent))
        .transact_items(put_action(&names.log, event, absent))
        .send()
        .await
        .expect("both are new");
    assert!(get(&services, &names.log, "ORG#1", "evt_1").await.is_some());

    let refused = client
        .transact_write_items()
        .transact_items(put_action(&names.log, item("ORG#1", "evt_2", &[]), absent))
        .transact_items(put_action(&names.core, state.clone(), absent))
        .send()
        .await
        .expect_err("the agent is there")
        .into_service_error();
    let reasons = reasons(&refused);
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, [Some("None"), Some("ConditionalCheckFailed")]);
    assert_eq!(reasons[1].item(), Some(&state), "the item that was there");
    assert!(get(&services, &names.log, "ORG#1", "evt_2").await.is_none());
}

#[tokio::test]
async fn updates_and_checks_join_a_transaction() {
    let (services, names) = services().await;
    let client = &services.clients().dynamodb;
    put(
        &services,
        &names.core,
        item("ORG#1", "ORG#1", &[("state", "open")]),
    )
    .await;

    let increment = |expected: u32| {
        let update = Update::builder()
            .table_name(&names.work)
            .set_key(Some(item("JOB#1", "JOB#1", &[])))
            .update_expression("SET #fence = if_not_exists(#fence, :zero) + :one")
            .condition_expression("attribute_not_exists(#fence) OR #fence = :expected")
            .expression_attribute_names("#fence", "fence")
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":expected", number(expected))
            .build()
            .expect("an update");
        let check = ConditionCheck::builder()
            .table_name(&names.core)
            .set_key(Some(item("ORG#1", "ORG#1", &[])))
            .condition_expression("#state = :open")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":open", text("open"))
            .build()
            .expect("a check");
        client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .send()
    };
    increment(0).await.expect("the first");
    increment(1).await.expect("the second");
    let stale = increment(1)
        .await
        .expect_err("a stale fence")
        .into_service_error();
    assert_eq!(reasons(&stale)[0].code(), Some("ConditionalCheckFailed"));
    let job = get(&services, &names.work, "JOB#1", "JOB#1").await;
    assert_eq!(job.expect("the job")["fence"], number(2));
}

#[tokio::test]
async fn a_request_token_makes_a_transaction_happen_once() {
    let (services, names) = services().await;
    let client = &services.clients().dynamodb;
    let write = |sk: &str| {
        let add = Update::builder()
            .table_name(&names.core)
            .set_key(Some(item("COUNT", sk, &[])))
            .update_expression("ADD n :one")
            .expression_attribute_values(":one", number(1))
            .build()
            .expect("an update");
        client
            .transact_write_items()
            .client_request_token("the-same-token")
            .transact_items(TransactWriteItem::builder().update(add).build())
            .send()
    };
    write("a").await.expect("first");
    write("a").await.expect("again");
    let counted = get(&services, &names.core, "COUNT", "a").await;
    assert_eq!(counted.expect("counted")["n"], number(1));

    let error = write("b")
        .await
        .expect_err("another body")
        .into_service_error();
    assert!(
        error.is_idempotent_parameter_mismatch_exception(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_transaction_has_the_limits_of_dynamodb() {
    let (services, names) = services().await;
    let client = &services.clients().dynamodb;
    let puts = |count: usize| -> Vec<TransactWriteItem> {
        (0..count)
            .map(|n| put_action(&names.core, item("LIMIT", &n.to_string(), &[]), None))
            .collect()
    };
    let write = |actions| {
        client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .send()
    };
    write(puts(100)).await.expect("a hundred");
    let too_many = write(puts(101)).await.expect_err("too many");
    assert_eq!(too_many.code(), Some("ValidationException"));

    let mut twice = puts(1);
    twice.extend(puts(1));
    let twice = write(twice).await.expect_err("one item twice");
    assert_eq!(
        twice.message(),
        Some("Transaction request cannot include multiple operations on one item")
    );

    let large = "x".repeat(390 * 1024);
    let large: Vec<_> = (0..11)
        .map(|n| {
            let item = item("LARGE", &n.to_string(), &[("data", &large)]);
            put_action(&names.core, item, None)
        })
        .collect();
    let too_large = write(large).await.expect_err("more than 4 MiB");
    assert_eq!(too_large.code(), Some("ValidationException"));
}

#[tokio::test]
async fn global_indexes_answer_in_order_and_not_consistently() {
    let (services, names) = services().await;
    let client = &services.clients().dynamodb;
    for (job, due) in [
        ("JOB#1", "2026-03"),
        ("JOB#2", "2026-01"),
        ("JOB#3", "2026-02"),
    ] {
        let job = item(job, job, &[("duepk", "SHARD#0"), ("duesk", due)]);
        put(&services, &names.work, job).await;
    }
    put(
        &services,
        &names.work,
        item("JOB#4", "JOB#4", &[("duepk", "SHARD#0")]),
    )
    .await;

    let query = || {
        client
            .query()
            .table_name(&names.work)
            .index_name("due")
            .key_condition_expression("duepk = :shard AND duesk <= :now")
            .expression_attribute_values(":shard", text("SHARD#0"))
            .expression_attribute_values(":now", text("2026-02"))
    };
    let due = query()
        .send()
        .await
        .expect("answered")
        .items
        .expect("items");
    let jobs: Vec<_> = due.iter().map(|item| item["pk"].clone()).collect();
    assert_eq!(jobs, [text("JOB#2"), text("JOB#3")], "sparse, by due time");

    let refused = query().consistent_read(true).send().await;
    let refused = refused.expect_err("an index is eventually consistent");
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[tokio::test]
async fn tables_are_made_once_and_an_older_folder_is_completed() {
    let services = Services::start(Options::memory()).await.expect("started");
    let client = &services.clients().dynamodb;
    // As an older version may have left it: a log without a stream.
    let names = embedded::TableNames::default();
    let old = |table: &str, sort: &str| {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let attribute = |name: &str| {
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .expect("an attribute")
        };
        let key = |name: &str, role| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(role)
                .build()
                .expect("a key")
        };
        client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute(sort))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key(sort, KeyType::Range))
            .send()
    };
    old(&names.log, "sk").await.expect("an old log");
    old(&names.work, "sk").await.expect("an old work table");
    let job = item("JOB#1", "JOB#1", &[("duepk", "SHARD#0"), ("duesk", "2026")]);
    put(&services, &names.work, job).await;

    for _ in 0..2 {
        assert_eq!(tables(&services).await, names);
    }
    let due = client
        .query()
        .table_name(&names.work)
        .index_name("due")
        .key_condition_expression("duepk = :shard")
        .expression_attribute_values(":shard", text("SHARD#0"))
        .send()
        .await
        .expect("the index was added");
    assert_eq!(due.count, 1, "with what the table held");
    assert!(services.log_stream(&names.log, "test").await.is_ok());

    let other = embedded::TableNames::prefixed("other");
    old(&other.core, "range").await.expect("foreign keys");
    let refused = create_tables(client, &other).await;
    assert!(
        matches!(refused, Err(Error::TableMismatch { ref table, .. }) if *table == other.core),
        "{refused:?}"
    );
}

#[tokio::test]
async fn items_expire() {
    let options = Options {
        expiry_interval: Duration::from_millis(50),
        ..Options::memory()
    };
    let services = Services::start(options).await.expect("started");
    let names = tables(&services).await;
    let described = services
        .clients()
        .dynamodb
        .describe_time_to_live()
        .table_name(&names.ephemeral)
        .send()
        .await
        .expect("described")
        .time_to_live_description
        .expect("a description");
    assert_eq!(described.attribute_name(), Some("expires_at"));
    assert_eq!(
        described.time_to_live_status(),
        Some(&TimeToLiveStatus::Enabled)
    );

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    for (sk, expires_at) in [("past", now - 60), ("future", now + 3600)] {
        let mut item = item("CACHE", sk, &[]);
        item.insert("expires_at".to_owned(), number(expires_at));
        put(&services, &names.ephemeral, item).await;
    }
    let gone = async {
        while get(&services, &names.ephemeral, "CACHE", "past")
            .await
            .is_some()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("the expired item is deleted");
    assert!(
        get(&services, &names.ephemeral, "CACHE", "future")
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_failed_condition_tells_what_was_there() {
    let (services, names) = services().await;
    let there = item("ORG#1", "ORG#1", &[("name", "")]);
    put(&services, &names.core, there.clone()).await;
    let refused = services
        .clients()
        .dynamodb
        .put_item()
        .table_name(&names.core)
        .set_item(Some(item("ORG#1", "ORG#1", &[])))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .expect_err("it is there")
        .into_service_error();
    match refused {
        PutItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item(), Some(&there));
        }
        other => panic!("another error: {other:?}"),
    }
}

#[tokio::test]
async fn index_keys_may_be_missing_but_not_empty() {
    let (services, names) = services().await;
    put(&services, &names.core, item("ORG#1", "missing", &[])).await;
    for empty in [text(""), AttributeValue::Null(true)] {
        let mut item = item("ORG#1", "empty", &[("gsi1sk", "1")]);
        item.insert("gsi1pk".to_owned(), empty);
        let put = services.clients().dynamodb.put_item();
        let put = put.table_name(&names.core).set_item(Some(item));
        let refused = put.send().await.expect_err("not a key");
        assert_eq!(refused.code(), Some("ValidationException"));
    }
}

#[tokio::test]
async fn a_full_page_may_be_the_last() {
    let (services, names) = services().await;
    for sk in ["1", "2"] {
        put(&services, &names.core, item("ORG#1", sk, &[])).await;
    }
    let page = |start: Option<Item>| {
        services
            .clients()
            .dynamodb
            .query()
            .table_name(&names.core)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text("ORG#1"))
            .limit(2)
            .set_exclusive_start_key(start)
            .send()
    };
    let first = page(None).await.expect("a page");
    assert_eq!(first.count, 2);
    let rest = page(first.last_evaluated_key).await.expect("a page");
    assert_eq!((rest.count, rest.last_evaluated_key), (0, None));
}
