//! The log's stream: order, checkpoints, and batches that come again.

use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use embedded::{Error, LogStream, Options, Services};

use crate::support::{item, put, services, tables};

fn keys(event: &Event) -> Vec<String> {
    event.records.iter().map(key).collect()
}

fn key(record: &EventRecord) -> String {
    let image = record.change.new_image.clone();
    let image: serde_json::Value = serde_dynamo::from_item(image).expect("plain attributes");
    image["sk"].as_str().unwrap_or_default().to_owned()
}

fn done() -> DynamoDbEventResponse {
    DynamoDbEventResponse::default()
}

fn failed_at(event: &Event, position: usize) -> DynamoDbEventResponse {
    failed(event.records[position].change.sequence_number.clone())
}

fn failed(sequence_number: Option<String>) -> DynamoDbEventResponse {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = sequence_number;
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures.push(failure);
    response
}

async fn write(services: &Services, table: &str, events: &[&str]) {
    for event in events {
        put(
            services,
            table,
            item("ORG#a", event, &[("type", "agent.created")]),
        )
        .await;
    }
}

async fn next(stream: &mut LogStream) -> embedded::Batch {
    tokio::time::timeout(Duration::from_secs(5), stream.next())
        .await
        .expect("records in time")
        .expect("a batch")
}

async fn is_empty(stream: &mut LogStream) -> bool {
    let wait = Duration::from_millis(300);
    tokio::time::timeout(wait, stream.next()).await.is_err()
}

#[tokio::test]
async fn records_come_in_order_in_the_shape_of_lambda() {
    let (services, names) = services().await;
    let transaction = services.clients().dynamodb.transact_write_items();
    let actions = ["evt_1", "evt_2"].map(|event| {
        let put = Put::builder()
            .table_name(&names.log)
            .set_item(Some(item("ORG#a", event, &[])))
            .build()
            .expect("a put");
        TransactWriteItem::builder().put(put).build()
    });
    let transaction = transaction.set_transact_items(Some(actions.to_vec()));
    transaction.send().await.expect("written together");
    write(&services, &names.log, &["evt_0", "evt_1"]).await;

    let mut stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    let batch = next(&mut stream).await;
    assert_eq!(batch.attempt, 1);
    assert_eq!(keys(&batch.event), ["evt_1", "evt_2", "evt_0", "evt_1"]);
    let names_of_changes: Vec<_> = batch
        .event
        .records
        .iter()
        .map(|record| record.event_name.as_str())
        .collect();
    assert_eq!(names_of_changes, ["INSERT", "INSERT", "INSERT", "MODIFY"]);
    let record = &batch.event.records[0];
    assert_eq!(record.event_source.as_deref(), Some("aws:dynamodb"));
    assert!(
        record
            .event_source_arn
            .as_deref()
            .is_some_and(|arn| arn.contains("/stream/"))
    );
    assert!(!record.change.keys.is_empty());
    let json = serde_json::to_string(&batch.event).expect("JSON");
    let parsed: Event = serde_json::from_str(&json).expect("as Lambda sends it");
    assert_eq!(keys(&parsed), keys(&batch.event));
    stream.settle(&done()).await.expect("settled");
    assert!(is_empty(&mut stream).await);
}

#[tokio::test]
async fn a_failed_batch_blocks_until_it_is_dealt_with() {
    let (services, names) = services().await;
    write(&services, &names.log, &["evt_1", "evt_2", "evt_3", "evt_4"]).await;
    let stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    let mut stream = stream.with_batch_size(3);

    let first = next(&mut stream).await;
    assert_eq!(keys(&first.event), ["evt_1", "evt_2", "evt_3"]);
    // A handler that died said nothing.
    let again = next(&mut stream).await;
    assert_eq!((again.attempt, keys(&again.event)), (2, keys(&first.event)));
    // One that cannot name its record fails the batch.
    for unknown in [None, Some("1".to_owned())] {
        stream.settle(&failed(unknown)).await.expect("settled");
    }
    let again = next(&mut stream).await;
    assert_eq!((again.attempt, keys(&again.event)), (3, keys(&first.event)));
    // What came before a failure is done.
    stream
        .settle(&failed_at(&again.event, 1))
        .await
        .expect("settled");
    let rest = next(&mut stream).await;
    assert_eq!(keys(&rest.event), ["evt_2", "evt_3"]);
    assert_eq!(rest.attempt, 1, "the first attempt that begins here");

    let given_up = stream.discard_first().await.expect("discarded");
    assert_eq!(given_up.as_ref().map(key).as_deref(), Some("evt_2"));
    assert_eq!(keys(&next(&mut stream).await.event), ["evt_3"]);
    stream.settle(&done()).await.expect("settled");
    assert_eq!(keys(&next(&mut stream).await.event), ["evt_4"]);
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_stood_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        Services::start(Options::folder(folder.path()))
            .await
            .expect("started")
    };
    let services = start().await;
    let names = tables(&services).await;
    write(&services, &names.log, &["evt_1", "evt_2", "evt_3"]).await;
    let mut stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    let batch = next(&mut stream).await;
    stream
        .settle(&failed_at(&batch.event, 1))
        .await
        .expect("settled");
    services.shutdown().await;
    let lost = stream.next().await.expect("what was read is still here");
    assert_eq!(keys(&lost.event), ["evt_2", "evt_3"]);
    stream
        .settle(&failed_at(&lost.event, 0))
        .await
        .expect("settled");

    let services = start().await;
    tables(&services).await;
    write(&services, &names.log, &["evt_4"]).await;
    let mut stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    let batch = next(&mut stream).await;
    assert_eq!(keys(&batch.event), ["evt_2", "evt_3", "evt_4"]);
    stream.settle(&done()).await.expect("settled");
    assert!(is_empty(&mut stream).await);

    let mut other = services
        .log_stream(&names.log, "statistics")
        .await
        .expect("open");
    assert_eq!(
        next(&mut other).await.event.records.len(),
        4,
        "its own place"
    );
}

#[tokio::test]
async fn an_outage_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = Services::start(Options::folder(folder.path())).await;
    let services = services.expect("started");
    let names = tables(&services).await;
    write(&services, &names.log, &["evt_1"]).await;
    let mut stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    services.shutdown().await;
    let error = stream.next().await.expect_err("nobody answers");
    assert!(matches!(error, Error::Call { .. }), "{error}");
}

#[tokio::test]
async fn a_table_without_a_stream_is_refused() {
    let (services, names) = services().await;
    let refused = services.log_stream(&names.core, "audit").await;
    let error = refused.expect_err("no stream").to_string();
    assert_eq!(
        error,
        "the stream of overglass-core cannot be followed: the table has none"
    );
}

#[tokio::test]
async fn old_records_are_removed_once_every_consumer_has_passed_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        Services::start(Options::folder(folder.path()))
            .await
            .expect("started")
    };
    let services = start().await;
    let names = tables(&services).await;
    write(&services, &names.log, &["evt_1", "evt_2", "evt_3"]).await;
    for (consumer, stop_at) in [("fast", None), ("slow", Some(1))] {
        let mut stream = services
            .log_stream(&names.log, consumer)
            .await
            .expect("open");
        let batch = next(&mut stream).await;
        let response = stop_at.map_or_else(done, |stop| failed_at(&batch.event, stop));
        stream.settle(&response).await.expect("settled");
    }
    services.shutdown().await;

    let records = async || {
        let services = start().await;
        let newcomer = services.log_stream(&names.log, "newcomer").await;
        let batch = next(&mut newcomer.expect("open")).await;
        services.shutdown().await;
        keys(&batch.event)
    };
    assert_eq!(
        records().await,
        ["evt_1", "evt_2", "evt_3"],
        "a day is kept"
    );
    let file = rusqlite::Connection::open(folder.path().join("dynamodb.sqlite"));
    file.and_then(|file| {
        let day_and_more = "UPDATE _stream_records SET created_at = created_at - 90000";
        file.execute(day_and_more, [])
    })
    .expect("the records age");
    assert_eq!(
        records().await,
        ["evt_2", "evt_3"],
        "the slow one needs them"
    );
}
