//! Whole executions that ask people, by a clock that a journey moves and workers that it sends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::any;
use llm::Message;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use work::{DUE_SHARDS, Delivery, Job, JobState, JobStore as _, Runner};

use crate::support::bare::Bare;
use crate::support::{Api, tenant, text, within};

/// The time of the longest invocation.
const LONG: Duration = Duration::from_secs(900);

/// A service that pays money back, and waits for leave where it is told to.
struct Bank {
    port: u16,
    paid: Arc<Mutex<Vec<Value>>>,
    called: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl Bank {
    async fn start() -> Self {
        let paid: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (called, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (book, calls, gate) = (Arc::clone(&paid), Arc::clone(&called), Arc::clone(&leave));
        let pay = move |body: Bytes| {
            let (book, calls, gate) = (Arc::clone(&book), Arc::clone(&calls), Arc::clone(&gate));
            async move {
                let order: Value = serde_json::from_slice(&body).unwrap_or_default();
                let waits = order["slow"] == true;
                book.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(order);
                calls.add_permits(1);
                if waits {
                    gate.acquire().await.expect("is open").forget();
                }
                "paid back"
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(any(pay));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            port,
            paid,
            called,
            leave,
        }
    }

    fn paid(&self) -> Vec<Value> {
        self.paid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until it is called once more.
    async fn is_called(&self) {
        let called = within("the bank is called", self.called.acquire()).await;
        called.expect("is open").forget();
    }
}

/// An org whose agent pays money back, if people approve.
struct Shop {
    bare: Bare,
    bank: Bank,
    /// A machine: unlike a person's token, its key outlasts the days that pass here.
    admin: Api,
    model: Scripted,
    runner: Runner,
    job: Job,
    execution: String,
}

impl Shop {
    /// Begins an execution of an agent whose tool `refund` has this policy, and runs it as far as
    /// it goes.
    async fn open(policy: Value, turns: impl IntoIterator<Item = Turn>) -> Self {
        let (bare, bank) = (Bare::start().await, Bank::start().await);
        let admin = bare.founder("ada").await;
        let tool = json!({
            "name": "refund", "description": "Pays money back.",
            "parameters": {
                "type": "object",
                "properties": { "order": { "type": "integer" }, "slow": { "type": "boolean" } },
                "required": ["order"],
            },
            "approval": policy,
            "action": {
                "kind": "http", "method": "POST",
                "url": format!("http://127.0.0.1:{}/", bank.port),
            },
        });
        let tool = text(&admin.create("/v1/tools", &tool).await["id"]);
        let agent = json!({
            "name": "Clerk", "instructions": "Be fair.", "tools": [tool, "ask_human"],
        });
        let agent = admin.create("/v1/agents", &agent).await;
        let run = json!({ "agent_id": agent["id"], "input": "The parcel is broken." });
        let execution = text(&admin.create("/v1/executions", &run).await["id"]);
        let scopes = ["executions:read", "executions:write"];
        let key = json!({ "name": "Clerk's desk", "scopes": scopes });
        let key = admin.create("/v1/api-keys", &key).await;
        let model = Scripted::new(turns);
        let runner = bare.agents(&model, Policy::public().allow_loopback_ports([bank.port]));
        let job = bare.job_of(tenant(&admin).org()).await;
        bare.ring(&runner, &job, LONG).await;
        Self {
            admin: bare.bearer(text(&key["secret"])),
            bare,
            bank,
            model,
            runner,
            job,
            execution,
        }
    }

    async fn ring(&self) {
        self.bare.ring(&self.runner, &self.job, LONG).await;
    }

    async fn execution(&self) -> Value {
        let path = format!("/v1/executions/{}", self.execution);
        self.admin.get(&path).await.ok()
    }

    /// The approvals of the execution, in the order of their calls.
    async fn approvals(&self) -> Vec<Value> {
        let path = format!("/v1/approvals?execution_id={}", self.execution);
        let mut found = self.admin.list(&path).await;
        found.sort_by_key(|approval| (text(&approval["created_at"]), approval["call"].as_u64()));
        found
    }

    async fn answer(&self, approval: &Value, body: &Value) -> Value {
        let path = format!("/v1/approvals/{}/answer", text(&approval["id"]));
        self.admin.post(&path, body).await.ok()
    }

    async fn post(&self, what: &str) -> Value {
        let path = format!("/v1/executions/{}/{what}", self.execution);
        self.admin.post(&path, &json!({})).await.ok()
    }

    /// The tool calls of the execution, as its trace shows them.
    async fn calls(&self) -> Vec<Value> {
        let path = format!("/v1/executions/{}/trace", self.execution);
        let effects = self.admin.list(&path).await;
        let calls = effects.into_iter();
        calls
            .filter(|effect| effect["request"]["kind"] == "tool")
            .collect()
    }

    /// What the model was told of its tool calls in its newest request.
    fn told(&self) -> Vec<String> {
        let requests = self.model.requests();
        let newest = requests.last().expect("it was asked");
        let results = newest.messages.iter().filter_map(|message| match message {
            Message::ToolResult { content, .. } => Some(content.clone()),
            _ => None,
        });
        results.collect()
    }

    /// Asserts that the execution waits as a row and a parked job, that no ring is due before
    /// `seconds` have passed, and that one that comes all the same does nothing.
    async fn waits_for_free(&self, seconds: u64) {
        assert_eq!(self.execution().await["state"], "awaiting_input");
        let parked = self.bare.job(&self.job).await;
        assert_eq!((parked.state, parked.attempts), (JobState::Parked, 0));
        let (asked, paid) = (self.model.calls(), self.bank.paid().len());
        let almost = Duration::from_secs(seconds) - Duration::from_secs(1);
        let horizon = self.bare.store.now().plus(almost);
        for shard in 0..DUE_SHARDS {
            let due = self.bare.store.due(shard, horizon, 100).await;
            let due = due.expect("an answer");
            assert!(due.iter().all(|job| job.id != self.job.id), "{due:?}");
        }
        self.bare.clock.advance(almost);
        let stray = self.bare.invoke(&self.runner, &self.job, LONG).await;
        assert_eq!(stray, Delivery::Acknowledge);
        assert_eq!(self.bare.job(&self.job).await.version, parked.version);
        assert_eq!((self.model.calls(), self.bank.paid().len()), (asked, paid));
    }
}

fn refund(order: u32) -> (&'static str, Value) {
    ("refund", json!({ "order": order }))
}

#[tokio::test]
async fn an_approved_call_is_made_once_with_the_arguments_that_were_approved() {
    let turns = [Turn::calls([refund(7)]), Turn::text("Paid.")];
    let shop = Shop::open(json!({ "expires_in_seconds": 3_600 }), turns).await;
    shop.waits_for_free(3_600).await;
    let approvals = shop.approvals().await;
    assert_eq!(approvals.len(), 1);
    assert_eq!(approvals[0]["subject"]["arguments"], json!({ "order": 7 }));
    assert!(shop.bank.paid().is_empty());
    let edited = json!({ "decision": "approve", "arguments": { "order": 8 }, "reason": "Not 7." });
    shop.answer(&approvals[0], &edited).await;
    assert_eq!(shop.bare.job(&shop.job).await.state, JobState::Ready);
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert_eq!(shop.bank.paid(), [json!({ "order": 8 })]);
    let calls = shop.calls().await;
    assert_eq!(calls.len(), 1);
    let request = &calls[0]["request"];
    assert_eq!(request["arguments"], json!({ "order": 7 }));
    assert_eq!(request["edited_arguments"], json!({ "order": 8 }));
    assert_eq!(calls[0]["approval"], approvals[0]["id"]);
    assert!(shop.told()[0].contains("paid back"), "{:?}", shop.told());
}

#[tokio::test]
async fn a_rejected_call_is_not_made_and_the_model_is_told_why() {
    let turns = [Turn::calls([refund(7)]), Turn::text("Sorry.")];
    let shop = Shop::open(json!({}), turns).await;
    let approvals = shop.approvals().await;
    let body = json!({ "decision": "reject", "reason": "It was not broken." });
    shop.answer(&approvals[0], &body).await;
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert!(shop.bank.paid().is_empty());
    assert!(
        shop.told()[0].contains("It was not broken."),
        "{:?}",
        shop.told()
    );
}

#[tokio::test]
async fn a_question_is_answered_in_the_words_of_a_person() {
    let turns = [
        Turn::calls([("ask_human", json!({ "question": "How much?" }))]),
        Turn::text("At most 100."),
    ];
    let shop = Shop::open(json!({}), turns).await;
    shop.waits_for_free(24 * 3_600).await;
    let approvals = shop.approvals().await;
    assert_eq!(approvals[0]["subject"]["question"], "How much?");
    let body = json!({ "decision": "reply", "text": "No more than a hundred." });
    shop.answer(&approvals[0], &body).await;
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert!(
        shop.told()[0].contains("No more than a hundred."),
        "{:?}",
        shop.told()
    );
}

#[tokio::test]
async fn when_nobody_answers_the_policy_does() {
    for (on_expiry, state, paid) in [
        ("reject", "completed", 0),
        ("approve", "completed", 1),
        ("expire", "expired", 0),
    ] {
        let turns = [Turn::calls([refund(7)]), Turn::text("Well.")];
        let policy = json!({ "expires_in_seconds": 600, "on_expiry": on_expiry });
        let shop = Shop::open(policy, turns).await;
        shop.waits_for_free(600).await;
        shop.bare.clock.advance(Duration::from_secs(1));
        shop.ring().await;
        assert_eq!(shop.execution().await["state"], state, "{on_expiry}");
        assert_eq!(shop.bank.paid().len(), paid, "{on_expiry}");
        let approvals = shop.approvals().await;
        assert_eq!(approvals[0]["state"], "expired", "{on_expiry}");
        if state == "expired" {
            assert_eq!(approvals[0]["answer"], Value::Null);
        } else {
            assert_eq!(approvals[0]["answer"]["decision"], on_expiry);
            assert_eq!(approvals[0]["answer"]["via"], "expiry");
        }
    }
}

#[tokio::test]
async fn what_one_step_asks_is_asked_together_and_decided_each_for_itself() {
    let turns = [
        Turn::calls([
            refund(1),
            refund(2),
            ("ask_human", json!({ "question": "Sure?" })),
            refund(3),
        ]),
        Turn::text("Done."),
    ];
    let shop = Shop::open(json!({ "expires_in_seconds": 3_600 }), turns).await;
    let approvals = shop.approvals().await;
    assert_eq!(approvals.len(), 4);
    shop.answer(
        &approvals[2],
        &json!({ "decision": "reply", "text": "Quite." }),
    )
    .await;
    shop.answer(&approvals[1], &json!({ "decision": "reject" }))
        .await;
    shop.waits_for_free(1_800).await;
    shop.answer(&approvals[3], &json!({ "decision": "approve" }))
        .await;
    shop.answer(&approvals[0], &json!({ "decision": "approve" }))
        .await;
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    let mut orders: Vec<u64> = shop
        .bank
        .paid()
        .iter()
        .filter_map(|paid| paid["order"].as_u64())
        .collect();
    orders.sort_unstable();
    assert_eq!(orders, [1, 3]);
    let told = shop.told();
    assert_eq!(told.len(), 4);
    assert!(told[1].contains("not approved") && told[2].contains("Quite."));
    assert_eq!(shop.model.calls(), 2);
}

#[tokio::test]
async fn some_expire_and_the_others_are_still_waited_for() {
    let turns = [
        Turn::calls([refund(1), ("ask_human", json!({ "question": "Sure?" }))]),
        Turn::text("Done."),
    ];
    let shop = Shop::open(json!({ "expires_in_seconds": 600 }), turns).await;
    shop.waits_for_free(600).await;
    shop.bare.clock.advance(Duration::from_secs(1));
    shop.ring().await;
    let approvals = shop.approvals().await;
    assert_eq!(approvals[0]["state"], "expired");
    assert_eq!(approvals[1]["state"], "pending");
    // The question has a day, of which ten minutes are over.
    shop.waits_for_free(20 * 3_600).await;
    shop.answer(
        &approvals[1],
        &json!({ "decision": "reply", "text": "Yes." }),
    )
    .await;
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert!(shop.bank.paid().is_empty());
}

#[tokio::test]
async fn a_paused_execution_takes_answers_and_asks_nobody_twice() {
    let turns = [Turn::calls([refund(1), refund(2)]), Turn::text("Done.")];
    let shop = Shop::open(json!({}), turns).await;
    let approvals = shop.approvals().await;
    assert_eq!(shop.post("pause").await["state"], "paused");
    shop.answer(&approvals[0], &json!({ "decision": "approve" }))
        .await;
    assert_eq!(shop.execution().await["state"], "paused");
    shop.post("resume").await;
    shop.ring().await;
    let waits = shop.execution().await;
    assert_eq!(waits["state"], "awaiting_input");
    assert_eq!(waits["waiting"]["approvals"], json!([approvals[1]["id"]]));
    shop.answer(&approvals[1], &json!({ "decision": "approve" }))
        .await;
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert_eq!(shop.approvals().await.len(), 2);
    assert_eq!(shop.bank.paid().len(), 2);
    assert_eq!(shop.model.calls(), 2);
}

#[tokio::test]
async fn an_answer_that_comes_while_the_execution_is_on_its_way_to_wait_is_not_lost() {
    let slow = ("refund", json!({ "order": 2, "slow": true }));
    let turns = [Turn::calls([refund(1), slow]), Turn::text("Done.")];
    let shop = Shop::open(json!({}), turns).await;
    let approvals = shop.approvals().await;
    shop.post("pause").await;
    shop.answer(&approvals[1], &json!({ "decision": "approve" }))
        .await;
    shop.post("resume").await;
    // A worker makes the second call and would then wait for the answer about the first, which
    // comes while it is at it.
    let answered = async {
        shop.bank.is_called().await;
        assert_eq!(shop.execution().await["state"], "running");
        shop.answer(&approvals[0], &json!({ "decision": "approve" }))
            .await;
        shop.bank.leave.add_permits(1);
    };
    tokio::join!(shop.ring(), answered);
    // Whoever comes next finds nothing to wait for.
    for _ in 0..3 {
        if shop.execution().await["state"] != "completed" {
            let job = shop.bare.job(&shop.job).await;
            assert_eq!(job.state, JobState::Ready, "it waits for what was answered");
            shop.ring().await;
        }
    }
    assert_eq!(shop.execution().await["state"], "completed");
    assert_eq!(shop.bank.paid().len(), 2);
}

#[tokio::test]
async fn cancelling_withdraws_what_is_asked() {
    for paused in [false, true] {
        let turns = [Turn::calls([refund(1)]), Turn::text("Done.")];
        let shop = Shop::open(json!({}), turns).await;
        if paused {
            assert_eq!(shop.post("pause").await["state"], "paused");
        }
        assert_eq!(shop.post("cancel").await["state"], "cancelled");
        let approvals = shop.approvals().await;
        assert_eq!(approvals[0]["state"], "withdrawn", "paused: {paused}");
        let path = format!("/v1/approvals/{}/answer", text(&approvals[0]["id"]));
        let late = shop
            .admin
            .post(&path, &json!({ "decision": "approve" }))
            .await;
        late.problem(409, "approval_withdrawn");
    }
}

#[tokio::test]
async fn whether_an_interrupted_call_happened_is_asked_each_time_it_is_interrupted() {
    let slow = || ("refund", json!({ "order": 1, "slow": true }));
    let turns = [Turn::calls([slow()]), Turn::text("Done.")];
    let shop = Shop::open(json!({}), turns).await;
    let first = shop.approvals().await.remove(0);
    shop.answer(&first, &json!({ "decision": "approve" })).await;
    // Twice a worker dies while the bank is called.
    for interruption in 1..=2 {
        tokio::select! {
            () = shop.ring() => panic!("the bank does not answer"),
            () = shop.bank.is_called() => {}
        }
        shop.bare.bury_worker().await;
        shop.ring().await;
        let approvals = shop.approvals().await;
        assert_eq!(approvals.len(), 1 + interruption);
        assert_eq!(shop.bank.paid().len(), interruption);
        let asked = approvals.last().expect("asked");
        assert_eq!(asked["subject"]["kind"], "unknown_outcome");
        assert_eq!(asked["state"], "pending");
        assert_eq!(
            asked["subject"]["idempotency_key"],
            format!("{}-1-1", shop.execution)
        );
        if interruption == 1 {
            shop.answer(asked, &json!({ "decision": "retry" })).await;
        } else {
            let body = json!({ "decision": "succeeded", "text": "The bank shows one payment." });
            shop.answer(asked, &body).await;
        }
    }
    shop.ring().await;
    assert_eq!(shop.execution().await["state"], "completed");
    assert_eq!(shop.bank.paid().len(), 2);
    assert!(
        shop.told()[0].contains("The bank shows one payment."),
        "{:?}",
        shop.told()
    );
}
