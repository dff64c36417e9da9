//! The proxy before SQS: doorbells are dropped, doubled, delayed and handed out in another order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use work::Doorbell;

use super::faults::answer;
use super::upstream::Upstream;
use super::wire::{Door, Reply, Request};
use crate::history::History;
use crate::party::Party;
use crate::plan::Plan;
use crate::seeds::Dice;

const DROPPED: f64 = 0.04;
const DOUBLED: f64 = 0.15;
const DELAYED: f64 = 0.20;
/// How long the upstream queue is asked to wait for a message, in seconds.
const WAIT: u64 = 1;

/// The proxy.
#[derive(Debug)]
pub(crate) struct Queues {
    upstream: Upstream,
    history: Arc<History>,
    dice: Dice,
    droppable: u64,
    /// What was received and not handed out, by the URL of its queue.
    received: Mutex<HashMap<String, Vec<Received>>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Received {
    order: u64,
    message: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    queue_url: String,
    #[serde(default)]
    max_number_of_messages: Option<usize>,
    #[serde(default)]
    wait_time_seconds: Option<u64>,
}

impl Queues {
    pub(crate) fn new(url: &str, history: Arc<History>, plan: &Plan) -> Self {
        Self {
            upstream: Upstream::new(url),
            history,
            dice: Dice::new(plan.seed, "doorbells"),
            droppable: plan.droppable,
            received: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Receives from a queue, for as long as the runtime lives, what workers will ask for. A worker
    /// that is killed while it waits takes no message with it that way.
    pub(crate) async fn pump(self: Arc<Self>, queue: String) {
        let mut order = 0;
        loop {
            let Ok(messages) = self.receive(&queue).await else {
                sleep(Duration::from_millis(200)).await;
                continue;
            };
            if messages.is_empty() {
                continue;
            }
            let mut all = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = all.entry(queue.clone()).or_default();
            for message in messages {
                order += 1;
                waiting.push(Received { order, message });
            }
            drop(all);
            self.arrived.notify_waiters();
        }
    }

    async fn receive(&self, queue: &str) -> anyhow::Result<Vec<Value>> {
        let body = json!({
            "QueueUrl": queue,
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": WAIT,
            "MessageSystemAttributeNames": ["All"],
        });
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "AmazonSQS.ReceiveMessage"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let body = Bytes::from(body.to_string());
        let reply = self.upstream.send(Method::POST, "/", headers, body).await?;
        anyhow::ensure!(reply.status() == StatusCode::OK, "{}", reply.status());
        let body = reply.into_body().collect().await?.to_bytes();
        let mut body: Value = serde_json::from_slice(&body)?;
        Ok(match body["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        })
    }

    /// Takes a doorbell, as SQS would from where its sender stands.
    async fn send(self: Arc<Self>, who: Party, request: Request) -> Reply {
        let by_sweeper = who == Party::Sweeper;
        let droppable = self.history.look(|facts| facts.rings.dropped) < self.droppable;
        // The sweeper is what lost rings are left to, and how soon it is heard is measured.
        let longest = if by_sweeper { 500 } else { 2_500 };
        let (dropped, doubled, delay) = self.dice.roll(|draw| {
            let dropped = draw.random_bool(DROPPED) && droppable && !by_sweeper;
            let doubled = draw
                .random_bool(DOUBLED)
                .then(|| Duration::from_millis(draw.random_range(0..3_000)));
            let delay = draw
                .random_bool(DELAYED)
                .then(|| Duration::from_millis(draw.random_range(50..longest)));
            (dropped, doubled, delay)
        });
        self.history.rings(|rings| {
            rings.sent += 1;
            rings.by_sweeper += u64::from(by_sweeper);
            rings.dropped += u64::from(dropped);
            rings.duplicated += u64::from(!dropped && doubled.is_some());
            rings.delayed += u64::from(!dropped && delay.is_some());
        });
        if dropped {
            return Reply::Whole(accepted());
        }
        if let Some(after) = doubled {
            self.pass_after(after, request.clone());
        }
        match delay {
            Some(after) => {
                self.pass_after(after, request);
                Reply::Whole(accepted())
            }
            None => self.pass(&request).await,
        }
    }

    fn pass_after(self: &Arc<Self>, after: Duration, request: Request) {
        let proxy = Arc::clone(self);
        tokio::spawn(async move {
            sleep(after).await;
            proxy.pass(&request).await
        });
    }

    async fn pass(&self, request: &Request) -> Reply {
        match self.upstream.pass(request).await {
            Ok(response) => Reply::Whole(response),
            Err(_) => Reply::HangUp,
        }
    }

    /// Hands messages out, in any order.
    async fn hand_out(&self, who: Party, request: &Request) -> Reply {
        let Ok(asked) = serde_json::from_slice::<Receive>(&request.body) else {
            return self.pass(request).await;
        };
        let seconds = asked.wait_time_seconds.unwrap_or(0);
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let most = asked.max_number_of_messages.unwrap_or(1).max(1);
        loop {
            let arrived = self.arrived.notified();
            let messages = self.take(&asked.queue_url, most);
            if !messages.is_empty() {
                for message in &messages {
                    let body = message["Body"].as_str().unwrap_or_default();
                    if let Ok(doorbell) = serde_json::from_str::<Doorbell>(body) {
                        self.history.delivered(doorbell.job, who);
                    }
                }
                let body = json!({ "Messages": messages });
                return Reply::Whole(answer(StatusCode::OK, &body));
            }
            if timeout_at(deadline, arrived).await.is_err() {
                return Reply::Whole(answer(StatusCode::OK, &json!({})));
            }
        }
    }

    fn take(&self, queue: &str, most: usize) -> Vec<Value> {
        let mut all = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = all.get_mut(queue) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        while taken.len() < most && !waiting.is_empty() {
            let at = self.dice.roll(|draw| draw.random_range(0..waiting.len()));
            let one = waiting.swap_remove(at);
            let overtakes = waiting.iter().any(|other| other.order < one.order);
            self.history
                .rings(|rings| rings.overtaken += u64::from(overtakes));
            taken.push(one.message);
        }
        taken
    }
}

/// What SQS says to a message that it has taken.
fn accepted() -> super::wire::Response {
    let id = "00000000-0000-4000-8000-000000000000";
    answer(StatusCode::OK, &json!({ "MessageId": id }))
}

impl Door for Queues {
    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            let target = request.head.headers.get("x-amz-target").cloned();
            let who = Party::of(&request.head.headers);
            let (Some(target), Some(who)) = (target, who) else {
                return Reply::HangUp;
            };
            match target.to_str() {
                Ok("AmazonSQS.SendMessage") => self.send(who, request).await,
                Ok("AmazonSQS.ReceiveMessage") => self.hand_out(who, &request).await,
                _ => self.pass(&request).await,
            }
        })
    }
}
