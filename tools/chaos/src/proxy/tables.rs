//! The proxy before DynamoDB: passes requests on, and has some of them meet a fault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::StatusCode;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::faults::{conflict, internal_error, nothing, throttled};
use super::rows::{about, deaf, fenced_by, unconditional, without_table, without_wakes, written};
use super::upstream::Upstream;
use super::wire::{Door, Reply, Request, Response};
use super::{Fault, Operation, Row};
use crate::history::{About, History};
use crate::party::Party;
use crate::plan::{Control, Plan};
use crate::seeds::Dice;

/// How often a request meets a fault.
const WRITES_OF_WORKERS: f64 = 0.06;
const READS_OF_WORKERS: f64 = 0.04;
/// So often that some executions are not acknowledged, for all that the SDK tries again.
const WRITES_OF_STARTER: f64 = 0.25;
/// Fewer and shorter, since each keeps every lost job waiting, and that time is measured.
const OF_SWEEPER: f64 = 0.01;
const LONGEST_ELSEWHERE: u64 = 300;
/// How often a control throws a transaction away.
const THROWN_AWAY: f64 = 0.08;
/// How often a control holds a transaction back.
const HELD_BACK: f64 = 0.15;
/// The longest that a transaction is held back while its attempt goes on.
const LATEST: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The proxy.
#[derive(Debug)]
pub(crate) struct Tables {
    upstream: Upstream,
    history: Arc<History>,
    seed: u64,
    control: Option<Control>,
    /// The name of the table of ledgers.
    ledger: String,
    dice: Mutex<BTreeMap<Operation, Arc<Dice>>>,
    /// Requests that arrive late.
    late: TaskTracker,
}

/// A request, and what is known of it.
#[derive(Debug, Clone)]
struct Call {
    who: Party,
    operation: Operation,
    request: Request,
    body: Value,
    about: About,
    received: std::time::Instant,
}

impl Call {
    /// By which a transaction that is sent again is known.
    fn token(&self) -> Option<&str> {
        self.body["ClientRequestToken"].as_str()
    }
}

impl Tables {
    pub(crate) fn new(url: &str, history: Arc<History>, plan: &Plan, ledger: &str) -> Self {
        Self {
            upstream: Upstream::new(url),
            history,
            seed: plan.seed,
            control: plan.control,
            ledger: ledger.to_owned(),
            dice: Mutex::default(),
            late: TaskTracker::new(),
        }
    }

    /// Waits until every request has arrived.
    pub(crate) async fn settle(&self) {
        self.late.close();
        self.late.wait().await;
    }

    /// Each kind of operation has dice of its own.
    fn roll<T>(&self, call: &Call, draw: impl FnOnce(&mut rand::rngs::StdRng) -> T) -> T {
        let dice = {
            let mut all = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Dice::new(self.seed, &call.operation.0));
            Arc::clone(all.entry(call.operation.clone()).or_insert_with(fresh))
        };
        dice.roll(draw)
    }

    fn fault(&self, call: &Call) -> Option<Fault> {
        let chance = match (call.who, call.operation.writes()) {
            (Party::Worker(_), true) => WRITES_OF_WORKERS,
            (Party::Worker(_) | Party::Starter, false) => READS_OF_WORKERS,
            (Party::Starter, true) => WRITES_OF_STARTER,
            (Party::Sweeper, _) => OF_SWEEPER,
        };
        let of_worker = matches!(call.who, Party::Worker(_));
        // A transaction that was carried out is acknowledged when it is sent again, and conflicts
        // with nothing.
        let done = call
            .token()
            .is_some_and(|token| self.history.has_seen(token));
        let choices: Vec<Fault> = Fault::ALL
            .into_iter()
            .filter(|fault| fault.suits(&call.operation))
            .filter(|fault| of_worker || *fault != Fault::Late)
            .filter(|fault| !done || *fault != Fault::Conflict)
            .collect();
        let stale = self.control == Some(Control::StaleWrites);
        self.roll(call, |draw| {
            if stale && of_worker && call.operation.is_transaction() && draw.random_bool(HELD_BACK)
            {
                return Some(Fault::Late);
            }
            draw.random_bool(chance)
                .then(|| choices.choose(draw).copied())
                .flatten()
        })
    }

    /// A pause of at most so many milliseconds.
    fn pause(&self, call: &Call, longest: u64) -> Duration {
        let longest = match call.who {
            Party::Worker(_) => longest,
            Party::Starter | Party::Sweeper => longest.min(LONGEST_ELSEWHERE),
        };
        Duration::from_millis(self.roll(call, |draw| draw.random_range(20..longest)))
    }

    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        self.history.request(call.who, &call.operation);
        let throws_away = self.control == Some(Control::LostWrites)
            && call.operation.is_transaction()
            && self.roll(&call, |draw| draw.random_bool(THROWN_AWAY));
        if throws_away {
            self.history.thrown_away();
            self.note(&call);
            return Reply::Whole(nothing());
        }
        let Some(fault) = self.fault(&call) else {
            return self.pass(&call).await;
        };
        let (who, operation) = (call.who, &call.operation);
        self.history.fault(who, operation, fault, &call.about);
        match fault {
            Fault::Error => Reply::Whole(internal_error()),
            Fault::Throttle => Reply::Whole(throttled()),
            Fault::Conflict => Reply::Whole(conflict(operation, &call.body)),
            Fault::Reset => Reply::Reset,
            Fault::ErrorAfter => {
                self.pass(&call).await;
                Reply::Whole(internal_error())
            }
            Fault::Delay => {
                sleep(self.pause(&call, 800)).await;
                self.pass(&call).await
            }
            Fault::RequestLost => {
                sleep(self.pause(&call, 1_500)).await;
                Reply::HangUp
            }
            Fault::ReplyLost => {
                self.pass(&call).await;
                Reply::HangUp
            }
            Fault::Late => {
                let proxy = Arc::clone(&self);
                self.late
                    .spawn(async move { proxy.arrive_late(call).await });
                Reply::HangUp
            }
        }
    }

    /// Carries a request out, and notes what it wrote.
    async fn pass(&self, call: &Call) -> Reply {
        let sent = match self.falsified(call) {
            Some(body) => self.send(call, &body).await,
            None => self.upstream.pass(&call.request).await,
        };
        match sent {
            Ok(response) => {
                if response.status() == StatusCode::OK {
                    self.note(call);
                }
                Reply::Whole(response)
            }
            // The embedded service is ending.
            Err(_) => Reply::HangUp,
        }
    }

    /// What a control makes of a transaction of a worker.
    fn falsified(&self, call: &Call) -> Option<Value> {
        if !matches!(call.who, Party::Worker(_)) || !call.operation.is_transaction() {
            return None;
        }
        let ends = || {
            let rows = written(&call.operation, &call.body);
            let mut rows = rows.iter();
            rows.any(|row| matches!(row, Row::Execution { ended: true, .. }))
        };
        match self.control? {
            Control::ForgottenCallers => ends().then(|| without_wakes(&call.body)),
            Control::DeafWorkers => Some(deaf(&call.body)),
            Control::FreeCalls => Some(without_table(&call.body, &self.ledger)),
            Control::LostWrites | Control::StaleWrites => None,
        }
    }

    fn note(&self, call: &Call) {
        if !call.operation.writes() {
            return;
        }
        let rows: Vec<Row> = written(&call.operation, &call.body);
        let token = call.token();
        self.history.written(call.who, token, call.received, &rows);
    }

    /// Holds a request back until its attempt is over, and then carries it out: it must be refused.
    async fn arrive_late(&self, call: Call) {
        let first = || self.history.jobs_about(&call.about).first().copied();
        let job = fenced_by(&call.body).or_else(first);
        let fence = || job.and_then(|job| self.history.fence(job));
        let (begun, before) = (Instant::now(), fence());
        while fence() == before && begun.elapsed() < LATEST {
            sleep(LOOK).await;
        }
        let stale = fence() != before;
        let strips = stale && self.control == Some(Control::StaleWrites);
        let response = if strips {
            self.send(&call, &unconditional(&call.body)).await
        } else {
            self.upstream.pass(&call.request).await
        };
        let done = response.is_ok_and(|response| response.status() == StatusCode::OK);
        // Carried out before, it is acknowledged again without being carried out again.
        let seen = call
            .token()
            .is_some_and(|token| self.history.has_seen(token));
        let first = strips || !seen;
        self.history.late(stale, done && first);
        if done {
            self.note(&call);
        }
    }

    /// Sends a request with another body.
    async fn send(&self, call: &Call, body: &Value) -> anyhow::Result<Response> {
        let body = Bytes::from(body.to_string());
        let mut head = call.request.head.clone();
        head.headers.remove("x-amz-content-sha256");
        self.upstream.pass(&Request { head, body }).await
    }
}

impl Door for Tables {
    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            let target = request.head.headers.get("x-amz-target");
            let target = target.and_then(|target| target.to_str().ok());
            let operation = target.and_then(|target| target.split_once('.'));
            let who = Party::of(&request.head.headers);
            let (Some(who), Some((_, operation))) = (who, operation) else {
                return Reply::HangUp;
            };
            let call = Call {
                who,
                operation: Operation(operation.to_owned()),
                about: about(&String::from_utf8_lossy(&request.body)),
                body: serde_json::from_slice(&request.body).unwrap_or_default(),
                received: std::time::Instant::now(),
                request,
            };
            // What is under way is carried out and noted, also when its client is killed meanwhile.
            let answering = tokio::spawn(Self::answer(self, call));
            answering.await.unwrap_or(Reply::HangUp)
        })
    }
}
