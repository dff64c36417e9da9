//! Models that fail, in every way that they do, and what becomes of the run.

use std::time::Duration;

use llm::ModelError;
use llm::scripted::{Gate, Scripted, Turn};
use serde_json::{Value, json};

use super::{agent, run, start, trace};
use crate::support::stream::{kinds, whole};
use crate::support::{World, ended, text, within};

/// A model that is asked to wait for no time at all.
fn busy() -> ModelError {
    ModelError::RateLimited {
        retry_after: Some(Duration::from_millis(1)),
    }
}

#[tokio::test]
async fn a_model_that_is_busy_is_asked_again() {
    let overloaded = ModelError::Overloaded {
        retry_after: Some(Duration::from_millis(1)),
    };
    let model = Scripted::new([
        Turn::fail(busy()),
        Turn::fail(overloaded),
        Turn::text("Every 500 hours."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(
        (&execution["state"], &execution["steps"]),
        (&json!("completed"), &json!(1))
    );
    // One effect, begun three times; what was asked was always the same.
    let trace = trace(&admin, &execution).await;
    assert_eq!((trace.len(), &trace[0]["attempts"]), (1, &json!(3)));
    let asked = model.requests();
    assert!(asked.iter().all(|request| *request == asked[0]));
}

#[tokio::test]
async fn a_model_that_stays_away_is_given_up_after_five_calls() {
    let model = Scripted::computed(|_, _| Turn::fail(busy()));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "failed");
    assert_eq!(execution["failure"]["code"], "model_unavailable");
    assert_eq!(model.calls(), 5);
    assert_eq!(execution["answer"], Value::Null);
}

#[tokio::test]
async fn a_failure_that_no_repetition_mends_ends_the_run_with_its_reason() {
    let message = "no such thing".to_owned();
    let failures = [
        (
            ModelError::Unauthorized {
                provider: "openai".to_owned(),
            },
            "unauthorized",
        ),
        (
            ModelError::QuotaExhausted {
                message: message.clone(),
            },
            "quota_exhausted",
        ),
        (
            ModelError::InvalidRequest {
                message: message.clone(),
            },
            "invalid_request",
        ),
        (
            ModelError::ContextTooLong {
                message: message.clone(),
            },
            "context_too_long",
        ),
        (
            ModelError::ContentFiltered {
                message: message.clone(),
            },
            "content_filtered",
        ),
        (ModelError::MalformedReply { message }, "malformed_reply"),
    ];
    let model = Scripted::new(failures.iter().map(|(error, _)| Turn::fail(error.clone())));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    for (calls, (error, code)) in failures.iter().enumerate() {
        assert_eq!(error.code(), *code);
        let execution = run(&admin, &guide).await;
        assert_eq!(execution["state"], "failed");
        assert_eq!(execution["failure"]["code"], format!("model_{code}"));
        assert_eq!(execution["failure"]["message"], format!("{error}."));
        assert_eq!(model.calls(), calls + 1);
        let events = whole(&admin, &text(&execution["id"])).await;
        assert_eq!(kinds(&events), ["RUN_STARTED", "STEP_STARTED", "RUN_ERROR"]);
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_begun_anew_and_not_pieced_together() {
    let lost = ModelError::ConnectionLost { received_any: true };
    let model = Scripted::new([
        Turn::text("Every 400 hours, said").cut_after(3, lost),
        Turn::text("Every 500 hours."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["answer"], "Every 500 hours.");
    let events = whole(&admin, &text(&execution["id"])).await;
    let last_message = &events
        .iter()
        .rfind(|event| event.kind == "TEXT_MESSAGE_END");
    let id = &last_message.expect("a message").data["message_id"];
    let said: String = events
        .iter()
        .filter(|event| event.kind == "TEXT_MESSAGE_CONTENT" && event.data["message_id"] == *id)
        .map(|event| text(&event.data["delta"]))
        .collect();
    assert_eq!(said, "Every 500 hours.");
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_though_the_model_says_nothing() {
    let gate = Gate::new();
    let model = Scripted::computed(move |_, _| Turn::text("Too late.").gated_after(0, &gate));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let body = json!({
        "name": "Guide", "instructions": "Answer.", "limits": { "max_seconds": 1 },
    });
    let guide = admin.create("/v1/agents", &body).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "expired");
    assert_eq!(execution["failure"]["code"], "deadline_exceeded");
    assert!(
        text(&execution["failure"]["message"]).contains("1 seconds"),
        "{execution}"
    );
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_though_the_model_asks_to_wait() {
    let hour = ModelError::RateLimited {
        retry_after: Some(Duration::from_secs(3_600)),
    };
    let model = Scripted::computed(move |_, _| Turn::fail(hour.clone()));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let body = json!({
        "name": "Guide", "instructions": "Answer.", "limits": { "max_seconds": 1 },
    });
    let guide = admin.create("/v1/agents", &body).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(
        execution["failure"]["code"], "deadline_exceeded",
        "{execution}"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_to_be_kept_ends_the_run_and_says_so() {
    let model = Scripted::new([
        Turn::text("x".repeat(500_000)),
        Turn::calls([("remember", json!({ "text": "x".repeat(450_000) }))]),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    for _ in 0..2 {
        let execution = run(&admin, &guide).await;
        assert_eq!(execution["state"], "failed");
        assert_eq!(
            execution["failure"]["code"], "too_large",
            "{}",
            execution["failure"]
        );
    }
}

#[tokio::test]
async fn a_model_that_panics_harms_no_other_run() {
    let model = Scripted::computed(|request, _| {
        let asked = format!("{:?}", request.system);
        assert!(!asked.contains("Panic"), "as it was told");
        Turn::text("Fine.")
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let body = json!({
        "name": "Bad", "instructions": "Panic.", "limits": { "max_seconds": 2 },
    });
    let bad = admin.create("/v1/agents", &body).await;
    let good = agent(&admin, &[]).await;
    let failing = start(&admin, &bad).await;
    for _ in 0..3 {
        assert_eq!(run(&admin, &good).await["state"], "completed");
    }
    let failed = within("the bad run ends", ended(&admin, &failing)).await;
    assert_eq!(failed["state"], "expired", "{failed}");
    assert!(!failed.to_string().contains("as it was told"), "{failed}");
}
