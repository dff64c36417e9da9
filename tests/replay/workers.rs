//! Events of queues, of the log's stream and of the schedule.

use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as DynamoEvent;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use event_router::EventRouter;
use kernel::{Clock as _, OrgId};
use lambda::batch;
use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};
use store::Tenant;
use work::{Job, JobState, RunnerConfig};

use super::samples;
use crate::support::bare::Bare;
use crate::support::search::found;
use crate::support::{Api, send, tenant, text, within};

/// The workers whose samples are replayed below.
pub const REPLAYED: &[&str] = &[
    "agent-runner",
    "crawler",
    "event-router",
    "file-processor",
    "indexer",
    "sweeper",
];

/// How long the invocations of these tests may take.
const INVOCATION: Duration = Duration::from_secs(900);

/// The samples of a worker that doorbells wake, ringing for this job.
fn doorbells(function: &str, job: &Job) -> Vec<SqsEvent> {
    samples(function)
        .iter()
        .filter(|sample| sample.json()["Records"].is_array())
        .map(|sample| {
            let mut event = sample.json();
            for record in event["Records"].as_array_mut().expect("records") {
                let mut doorbell: Value =
                    serde_json::from_str(&text(&record["body"])).expect("a doorbell");
                assert!(
                    doorbell["org"].is_string() && doorbell["job"].is_string(),
                    "{sample}"
                );
                doorbell["org"] = json!(job.org);
                doorbell["job"] = json!(job.id);
                record["body"] = json!(doorbell.to_string());
            }
            serde_json::from_value(event).unwrap_or_else(|error| panic!("{sample}: {error}"))
        })
        .collect()
}

async fn queued(api: &Api) -> String {
    let agent = api
        .create("/v1/agents", &json!({ "name": "A", "instructions": "B" }))
        .await;
    let run = json!({ "agent_id": agent["id"], "input": "?" });
    text(&api.create("/v1/executions", &run).await["id"])
}

#[tokio::test]
async fn a_doorbell_runs_an_execution_and_a_second_one_nothing() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let execution = queued(&api).await;
    let model = Scripted::new([Turn::text("Done.")]);
    let runner = bare.agents(&model, Policy::public());
    let job = bare.job_of(tenant(&api).org()).await;
    for event in doorbells("agent-runner", &job) {
        for _ in 0..2 {
            let deadline = bare.clock.now().plus(INVOCATION);
            let response = batch::run_doorbells(&runner, event.clone(), deadline).await;
            assert!(response.batch_item_failures.is_empty(), "{response:?}");
        }
    }
    let ended = api.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(
        (&ended["state"], &ended["answer"]),
        (&json!("completed"), &json!("Done."))
    );
    assert_eq!(
        (model.calls(), bare.job(&job).await.state),
        (1, JobState::Done)
    );
}

#[tokio::test]
async fn a_doorbell_has_a_file_read() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let content = b"# Rota\n\nAnswer within 12 minutes.\n";
    let body = crate::support::world::announced("rota.md", content, None);
    let offer = api
        .create(&crate::support::world::upload_path(&api), &body)
        .await;
    let http = crate::support::client::http_client();
    let mut put = http
        .put(text(&offer["upload"]["url"]))
        .body(content.to_vec());
    let headers = offer["upload"]["headers"].as_object().expect("headers");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
        put = put.header(name, text(value));
    }
    assert!(send(put).await.status.is_success());
    let path = format!("/v1/files/{}", text(&offer["file"]["id"]));
    api.post(&format!("{path}/confirm"), &json!({})).await.ok();

    let handlers = file_processor::handlers(&bare.store);
    let runner = batch::runner(&bare.store, handlers, RunnerConfig::default());
    let job = bare.job_of_kind(tenant(&api).org(), "file.process").await;
    for event in doorbells("file-processor", &job) {
        let deadline = bare.clock.now().plus(INVOCATION);
        let response = batch::run_doorbells(&runner, event, deadline).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    let file = api.get(&path).await.ok();
    assert_eq!(
        (&file["status"], &file["format"]),
        (&json!("ready"), &json!("markdown"))
    );
}

#[tokio::test]
async fn a_doorbell_has_a_source_crawled() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let base = json!({ "name": "Handbooks" });
    let base = api.create("/v1/knowledge-bases", &base).await;
    let path = format!("/v1/knowledge-bases/{}/sources", text(&base["id"]));
    let source = json!({ "url": "https://docs.invalid/" });
    let source = api.create(&path, &source).await;
    let outbound = outbound::Client::new(Policy::public()).expect("a client");
    let handlers = crawler::handlers(&bare.store, outbound, crawler::Settings::default());
    let runner = batch::runner(&bare.store, handlers, RunnerConfig::default());
    let job = bare.job_of_kind(tenant(&api).org(), "source.crawl").await;
    for event in doorbells("crawler", &job) {
        let deadline = bare.clock.now().plus(INVOCATION);
        let response = batch::run_doorbells(&runner, event, deadline).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    // There is no such host.
    let source = api
        .get(&format!("{path}/{}", text(&source["id"])))
        .await
        .ok();
    assert_eq!(source["crawl"]["failed"], 1, "{source}");
    assert_eq!(bare.job(&job).await.state, JobState::Done);
}

#[tokio::test]
async fn a_command_has_an_index_made_anew_and_a_doorbell_does_it() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let agent = json!({ "name": "Turbine expert", "instructions": "B" });
    api.create("/v1/agents", &agent).await;
    let (store, tenant) = (&bare.store, tenant(&api));
    let commands = samples("indexer").into_iter().map(|sample| sample.json());
    for mut command in commands.filter(|event| event["Records"].is_null()) {
        command["rebuild"] = json!([tenant.org()]);
        let done = indexer::command(store, command.clone()).await;
        assert_eq!(done.expect("asked for"), command);
    }
    let refused = indexer::command(store, json!({ "rebuild": [], "drop": [] })).await;
    assert!(refused.is_err());

    let runner = batch::runner(store, indexer::handlers(store), RunnerConfig::default());
    let job = bare.job_of(tenant.org()).await;
    for event in doorbells("indexer", &job) {
        let deadline = bare.clock.now().plus(INVOCATION);
        let response = batch::run_doorbells(&runner, event, deadline).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    let head = store.text_index(tenant).head().await.expect("an answer");
    let head = head.expect("an index");
    assert_eq!((head.generation, head.rebuild), (2, None));
    assert_eq!(bare.job(&job).await.state, JobState::Parked);
    assert_eq!(found(store, tenant, "turbines").await, ["Turbine expert"]);
}

#[tokio::test]
async fn a_message_that_is_no_doorbell_is_not_delivered_again() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let runner = bare.agents(&Scripted::new([]), Policy::public());
    queued(&api).await;
    let job = bare.job_of(tenant(&api).org()).await;
    let mut event = doorbells("agent-runner", &job).remove(0);
    event.records[0].body = Some("{\"org\":".to_owned());
    let mut missing = event.records[0].clone();
    let other = OrgId::generate(bare.clock.now());
    missing.body = Some(json!({ "org": other, "job": job.id }).to_string());
    event.records.push(missing);
    let deadline = bare.clock.now().plus(INVOCATION);
    let response = batch::run_doorbells(&runner, event, deadline).await;
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    assert_eq!(bare.job(&job).await.state, JobState::Ready);
}

#[tokio::test]
async fn a_record_of_the_log_is_sealed_once() {
    let bare = Bare::start().await;
    let router = EventRouter::new(bare.store.clone());
    for sample in samples("event-router") {
        let json = sample.json();
        let records = json["Records"].as_array().expect("records");
        let image = &records[0]["dynamodb"]["NewImage"];
        let org: OrgId = text(&image["org"]["S"]).parse().expect("an org's id");
        let event: DynamoEvent = serde_json::from_value(json.clone())
            .unwrap_or_else(|error| panic!("{sample}: {error}"));
        for _ in 0..3 {
            let response = batch::read_stream(&router, event.clone()).await;
            assert!(
                response.batch_item_failures.is_empty(),
                "{sample}: {response:?}"
            );
        }
        let chain = bare.store.audit(Tenant::authorised(org));
        let head = chain.head().await.expect("an answer");
        assert_eq!(head.sequence, records.len() as u64, "{sample}");
        let page = chain
            .page(&kernel::cursor::PageRequest::first(10))
            .await
            .expect("an answer");
        assert_eq!(json!(page.items[0].kind), image["type"]["S"], "{sample}");
        assert_eq!(
            json!(page.items[0].correlation_id),
            image["correlation_id"]["S"],
            "{sample}"
        );
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_comes_again_and_the_others_do_not_wait_for_it() {
    let bare = Bare::start().await;
    let router = EventRouter::new(bare.store.clone());
    let sample = samples("event-router").remove(0);
    let mut json = sample.json();
    let good = json["Records"][0].clone();
    let (mut removed, mut damaged) = (good.clone(), good.clone());
    removed["eventName"] = json!("REMOVE");
    damaged["dynamodb"]["NewImage"]["type"]["S"] = json!("no.such.event");
    damaged["dynamodb"]["SequenceNumber"] = json!("77");
    json["Records"] = json!([removed, damaged, good]);
    let event: DynamoEvent = serde_json::from_value(json).expect("an event");
    let response = batch::read_stream(&router, event).await;
    let failed: Vec<Option<&str>> = response
        .batch_item_failures
        .iter()
        .map(|item| item.item_identifier.as_deref())
        .collect();
    assert_eq!(failed, [Some("77")]);
    let org: OrgId = text(&good["dynamodb"]["NewImage"]["org"]["S"])
        .parse()
        .expect("an id");
    let head = bare
        .store
        .audit(Tenant::authorised(org))
        .head()
        .await
        .expect("an answer");
    assert_eq!(head.sequence, 1);
}

#[tokio::test]
async fn the_schedule_takes_back_what_a_dead_worker_held() {
    let bare = Bare::start().await;
    let api = bare.founder("ada").await;
    let execution = queued(&api).await;
    let gate = Gate::new();
    let model = Scripted::new([
        Turn::text("Never.").gated_after(0, &gate),
        Turn::text("Done."),
    ]);
    let runner = bare.agents(&model, Policy::public());
    let job = bare.job_of(tenant(&api).org()).await;
    let event = doorbells("agent-runner", &job).remove(0);
    // The worker dies while the model speaks.
    let deadline = bare.clock.now().plus(INVOCATION);
    tokio::select! {
        _ = batch::run_doorbells(&runner, event.clone(), deadline) => panic!("it does not end"),
        () = within("the model speaks", gate.arrived()) => {}
    }
    assert_eq!(bare.job(&job).await.state, JobState::Leased);
    for sample in samples("sweeper") {
        let event: EventBridgeEvent = serde_json::from_value(sample.json())
            .unwrap_or_else(|error| panic!("{sample}: {error}"));
        assert_eq!(event.detail_type, "Scheduled Event", "{sample}");
        sweeper::sweep(&bare.store, bare.store.now())
            .await
            .expect("a whole sweep");
        assert_eq!(
            bare.job(&job).await.state,
            JobState::Leased,
            "its lease is not over"
        );
        bare.clock
            .advance(RunnerConfig::default().lease + Duration::from_secs(1));
        sweeper::sweep(&bare.store, bare.store.now())
            .await
            .expect("a whole sweep");
        assert_eq!(bare.job(&job).await.state, JobState::Ready);
    }
    let deadline = bare.clock.now().plus(INVOCATION);
    let response = batch::run_doorbells(&runner, event, deadline).await;
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    let ended = api.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!((&ended["answer"], model.calls()), (&json!("Done."), 2));
}
