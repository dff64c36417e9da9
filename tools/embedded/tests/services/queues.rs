//! Queues: delay, visibility, dead letters, and Lambda's event shape.

use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use embedded::{Options, Queue, QueueSource, QueueSpec, Services, create_queues};

struct Fixture {
    services: Services,
    queue: Queue,
}

impl Fixture {
    async fn new(spec: QueueSpec) -> Self {
        let services = Services::start(Options::memory()).await.expect("started");
        let client = &services.clients().sqs;
        let specs = [spec];
        let made = create_queues(client, &specs).await.expect("made");
        let again = create_queues(client, &specs).await.expect("made again");
        assert_eq!(made, again);
        let [queue] = <[Queue; 1]>::try_from(made).expect("one queue");
        Self { services, queue }
    }

    async fn send(&self, body: &str, delay: i32) {
        let sqs = &self.services.clients().sqs;
        sqs.send_message()
            .queue_url(&self.queue.url)
            .message_body(body)
            .message_group_id("org_a")
            .delay_seconds(delay)
            .send()
            .await
            .expect("sent");
    }

    async fn source(&self, url: &str) -> QueueSource {
        let source = QueueSource::new(&self.services.clients().sqs, url, 10);
        source.await.expect("a source").with_wait(Duration::ZERO)
    }
}

#[tokio::test]
async fn a_long_poll_is_answered_when_something_is_sent() {
    let fixture = Fixture::new(QueueSpec::new("files", Duration::from_secs(30))).await;
    let source = fixture.source(&fixture.queue.url).await;
    let source = source.with_wait(Duration::from_secs(20));
    let began = Instant::now();
    for round in 0..30 {
        let body = round.to_string();
        let (event, ()) = tokio::join!(source.poll(), async {
            // Lets the poll go first.
            tokio::task::yield_now().await;
            fixture.send(&body, 0).await;
        });
        let event = event.expect("polled").expect("a message");
        assert_eq!(bodies(Some(&event)), [body.as_str()]);
    }
    // Looking every 100 ms would take three seconds.
    assert!(began.elapsed() < Duration::from_millis(1_500));
}

fn bodies(event: Option<&SqsEvent>) -> Vec<&str> {
    event
        .map(|event| event.records.as_slice())
        .unwrap_or_default()
        .iter()
        .filter_map(|record| record.body.as_deref())
        .collect()
}

#[tokio::test]
async fn messages_arrive_as_lambda_would_hand_them_over() {
    let fixture = Fixture::new(QueueSpec::new("files", Duration::from_secs(30))).await;
    let sqs = fixture.services.endpoints().sqs.clone();
    assert!(fixture.queue.url.starts_with(&sqs), "{:?}", fixture.queue);
    assert!(fixture.queue.dead_letter_url.ends_with("/files-dead"));
    fixture.send("first", 0).await;
    fixture.send("second", 0).await;

    let source = fixture.source(&fixture.queue.url).await;
    let event = source.poll().await.expect("polled").expect("messages");
    assert_eq!(bodies(Some(&event)), ["first", "second"]);
    let record = &event.records[0];
    assert_eq!(record.event_source.as_deref(), Some("aws:sqs"));
    let arn = record.event_source_arn.as_deref().expect("an ARN");
    assert!(arn.ends_with(":files"), "{arn}");
    assert_eq!(record.attributes["ApproximateReceiveCount"], "1");
    let json = serde_json::to_value(&event).expect("JSON");
    assert_eq!(json["Records"][1]["body"], "second");

    assert_eq!(
        source.poll().await.expect("polled"),
        None,
        "both are hidden"
    );
    let mut response = SqsBatchResponse::default();
    response.add_failure(event.records[1].message_id.clone().expect("an id"));
    assert_eq!(
        source.acknowledge(&event, &response).await.expect("done"),
        1
    );
    let all_done = SqsBatchResponse::default();
    let deleted = source.acknowledge(&event, &all_done).await;
    assert_eq!(deleted.expect("deleting twice is harmless"), 2);
}

#[tokio::test]
async fn a_delayed_message_comes_late() {
    let fixture = Fixture::new(QueueSpec::new("bulk", Duration::from_secs(30))).await;
    fixture.send("later", 1).await;
    let source = fixture.source(&fixture.queue.url).await;
    assert_eq!(source.poll().await.expect("polled"), None);

    let sent = Instant::now();
    let patient = source.with_wait(Duration::from_secs(5));
    let event = patient.poll().await.expect("polled");
    assert_eq!(bodies(event.as_ref()), ["later"]);
    assert!(sent.elapsed() > Duration::from_millis(700), "{sent:?}");
    assert!(
        sent.elapsed() < Duration::from_secs(4),
        "a long poll ends early"
    );
}

#[tokio::test]
async fn an_unacknowledged_message_comes_again_and_then_dies() {
    let spec = QueueSpec {
        max_receive_count: 2,
        ..QueueSpec::new("interactive", Duration::from_secs(1))
    };
    let fixture = Fixture::new(spec).await;
    fixture.send("poison", 0).await;
    let source = fixture.source(&fixture.queue.url).await;
    let dead = fixture.source(&fixture.queue.dead_letter_url).await;
    for attempt in ["1", "2"] {
        let event = source.poll().await.expect("polled").expect("a message");
        assert_eq!(
            event.records[0].attributes["ApproximateReceiveCount"],
            attempt
        );
        assert_eq!(source.poll().await.expect("polled"), None, "hidden");
        assert_eq!(dead.poll().await.expect("polled"), None, "not dead yet");
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    assert_eq!(source.poll().await.expect("polled"), None, "given up");
    let event = dead.poll().await.expect("polled");
    assert_eq!(bodies(event.as_ref()), ["poison"]);
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_long_poll() {
    let fixture = Fixture::new(QueueSpec::new("files", Duration::from_secs(30))).await;
    let source = fixture.source(&fixture.queue.url).await;
    let waiting = source.with_wait(Duration::from_secs(20));
    let poll = tokio::spawn(async move { waiting.poll().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    fixture.services.shutdown().await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    poll.abort();
}
