//! Several providers behind one model: who is asked, who is not, and who is said to have answered.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use llm::scripted::{Scripted, Turn};
use llm::{
    ChatModel, ChatRequest, Delta, Failover, ModelConfig, ModelError, ModelId, OpaquePart,
    Provider, RetryPolicy, Router, Usage, build,
};
use serde_json::json;

use crate::server::{Reply, Server};
use crate::{ask, request};

fn named(provider: &str, turns: impl IntoIterator<Item = Turn>) -> Scripted {
    Scripted::new(turns).named(ModelId::new(provider, "m"))
}

fn over(models: &[&Scripted]) -> Failover {
    let models = models
        .iter()
        .map(|model| Arc::new((*model).clone()) as Arc<dyn ChatModel>)
        .collect();
    Failover::new(models).unwrap()
}

fn overloaded() -> ModelError {
    ModelError::Overloaded { retry_after: None }
}

fn lost() -> ModelError {
    ModelError::ConnectionLost {
        received_any: false,
    }
}

#[tokio::test]
async fn the_next_one_answers_and_says_so() {
    let first = named("openai", [Turn::fail(overloaded())]);
    let second = named(
        "anthropic",
        [Turn::fail(ModelError::QuotaExhausted {
            message: "x".into(),
        })],
    );
    let third = named("gemini", [Turn::text("Yes.")]);
    let model = over(&[&first, &second, &third]);
    assert_eq!(model.id().provider, "openai");
    let candidates: Vec<String> = model
        .candidates("")
        .unwrap()
        .iter()
        .map(ModelId::to_string)
        .collect();
    assert_eq!(candidates, ["openai::m", "anthropic::m", "gemini::m"]);
    let reply = ask(&model, request("x")).await.unwrap();
    assert_eq!(reply.text, "Yes.");
    assert_eq!(reply.model, Some(ModelId::new("gemini", "m")));
    let passed: Vec<(String, &str, bool)> = reply
        .passed_over
        .iter()
        .map(|over| {
            (
                over.model.to_string(),
                &*over.code,
                over.may_have_been_billed,
            )
        })
        .collect();
    assert_eq!(
        passed,
        [
            ("openai::m".to_owned(), "overloaded", false),
            ("anthropic::m".to_owned(), "quota_exhausted", false),
        ]
    );
}

#[tokio::test]
async fn what_another_provider_cannot_cure_stays_where_it_is() {
    let errors = [
        ModelError::InvalidRequest {
            message: "x".into(),
        },
        ModelError::ContentFiltered {
            message: "x".into(),
        },
        // Nobody knows whether these are being worked on, and paid for.
        lost(),
        ModelError::Timeout {
            after: Duration::from_secs(1),
            received_any: false,
        },
        ModelError::Unavailable {
            status: 504,
            message: "x".into(),
            retry_after: None,
        },
    ];
    for error in errors {
        let first = named("openai", [Turn::fail(error.clone())]);
        let second = named("anthropic", [Turn::text("Yes.")]);
        let found = ask(&over(&[&first, &second]), request("x")).await;
        assert_eq!(found.unwrap_err(), error);
        assert_eq!(second.calls(), 0, "{error}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_left_behind_only_with_leave() {
    let first = named("openai", [Turn::fail(lost())]);
    let second = named("anthropic", [Turn::text("Yes.")]);
    let model = over(&[&first, &second]).repeating_unknown(true);
    let reply = ask(&model, request("x")).await.unwrap();
    assert!(reply.passed_over[0].may_have_been_billed);

    // When nobody answers, the failure that may cost something is the one to hear of.
    let first = named("openai", [Turn::fail(lost())]);
    let second = named("anthropic", [Turn::fail(overloaded())]);
    let model = over(&[&first, &second]).repeating_unknown(true);
    assert_eq!(ask(&model, request("x")).await.unwrap_err(), lost());
}

#[tokio::test]
async fn nobody_else_is_asked_once_a_piece_was_handed_on() {
    let beginnings = [
        Turn::text("One two."),
        Turn::raw([Delta::Opaque {
            part: OpaquePart {
                provider: "openai".into(),
                data: json!(1),
            },
        }]),
        Turn::calls([("search", json!({}))]),
    ];
    for turn in beginnings {
        let first = named("openai", [turn.cut_after(1, overloaded())]);
        let second = named("anthropic", [Turn::text("Yes.")]);
        let found = ask(&over(&[&first, &second]), request("x")).await;
        assert_eq!(found.unwrap_err(), overloaded());
        assert_eq!(second.calls(), 0);
    }
}

#[tokio::test]
async fn an_error_in_the_place_of_the_first_piece_is_in_time() {
    let usage = Delta::Usage {
        usage: Usage::default(),
    };
    let first = named("openai", [Turn::raw([usage]).cut_after(1, overloaded())]);
    let second = named("anthropic", [Turn::text("Yes.")]);
    let mut stream = over(&[&first, &second]).stream(request("x")).await.unwrap();
    let Some(Ok(Delta::Started { model, passed_over })) = stream.next().await else {
        panic!("a stream begins with who answers");
    };
    assert_eq!(model, ModelId::new("anthropic", "m"));
    assert_eq!(passed_over.len(), 1);
    let rest: Vec<_> = stream.collect().await;
    let begun_twice =
        |delta: &Result<Delta, ModelError>| matches!(delta, Ok(Delta::Started { .. }));
    assert!(!rest.iter().any(begun_twice));
}

#[tokio::test]
async fn when_nobody_answers_the_soonest_hope_is_reported() {
    let limited = |seconds| ModelError::RateLimited {
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let first = named("openai", [Turn::fail(limited(60))]);
    let second = named("anthropic", [Turn::fail(limited(3))]);
    let third = named(
        "gemini",
        [Turn::fail(ModelError::Unauthorized {
            provider: "gemini".into(),
        })],
    );
    let error = ask(&over(&[&first, &second, &third]), request("x"))
        .await
        .unwrap_err();
    assert_eq!(error, limited(3));
}

#[tokio::test]
async fn a_named_model_is_asked_and_no_other() {
    let first = named("openai", [Turn::text("One.")]);
    let second = named("anthropic", [Turn::fail(overloaded()), Turn::text("Two.")]);
    let model = over(&[&first, &second]);
    let to = |model: &str| ChatRequest {
        model: model.into(),
        ..request("x")
    };
    let error = ask(&model, to("anthropic::other")).await.unwrap_err();
    assert_eq!(error, overloaded());
    let reply = ask(&model, to("anthropic::other")).await.unwrap();
    assert_eq!(reply.model, Some(ModelId::new("anthropic", "other")));
    assert_eq!(first.calls(), 0);
    let error = ask(&model, to("acme::m")).await.unwrap_err();
    assert_eq!(error.code(), "unknown_provider");
    assert!(!error.is_retry_safe());
    assert!(error.to_string().contains("anthropic, openai"), "{error}");
}

#[tokio::test]
async fn a_router_finds_every_provider_and_its_stand_ins() {
    let openai =
        Scripted::computed(|_, _| Turn::fail(overloaded())).named(ModelId::new("openai", ""));
    let gemini = Scripted::computed(|_, _| Turn::text("Yes.")).named(ModelId::new("gemini", ""));
    let router = Router::new(
        vec![Arc::new(openai.clone()), Arc::new(gemini.clone())],
        vec![ModelId::new("openai", "a"), ModelId::new("gemini", "b")],
    )
    .unwrap();
    let to = |model: &str| ChatRequest {
        model: model.into(),
        ..request("x")
    };
    for (asked, answers) in [
        ("", "gemini::b"),
        ("gemini::c", "gemini::c"),
        ("openai::d, gemini::e", "gemini::e"),
    ] {
        let reply = ask(&router, to(asked)).await.unwrap();
        assert_eq!(reply.model.unwrap().to_string(), answers, "{asked}");
    }
    let asked: Vec<String> = openai.requests().iter().map(|r| r.model.clone()).collect();
    assert_eq!(asked, ["openai::a", "openai::d"]);
    assert_eq!(ask(&router, to("bare")).await.unwrap_err(), overloaded());
    for (wrong, code) in [
        ("acme::m", "unknown_provider"),
        ("gemini::c,acme::m", "unknown_provider"),
        ("gemini::", "unknown_model"),
        ("gemini::c,", "unknown_model"),
    ] {
        let before = gemini.calls();
        let error = ask(&router, to(wrong)).await.unwrap_err();
        assert_eq!(error.code(), code, "{wrong}");
        assert!(!error.is_retry_safe(), "{wrong}");
        assert_eq!(gemini.calls(), before);
    }
}

#[tokio::test]
async fn over_the_wire_a_limit_is_waited_out_or_passed_on() {
    let data = |text: &str| {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        Reply::data([chunk, end]).done()
    };
    let limited = |seconds: &str| {
        Reply::json(429, json!({"error": {"type": "requests", "message": "no"}}))
            .header("retry-after", seconds)
    };
    let openai = Server::start([
        limited("0"),
        data("First."),
        limited("3600"),
        Reply::json(400, json!({"error": {"message": "no"}})),
    ])
    .await;
    let mistral = Server::start([limited("3600"), data("Second.")]).await;
    let config = ModelConfig {
        default: vec![ModelId::new("openai", "a"), ModelId::new("mistral", "b")],
        providers: vec![
            Provider::OpenAi {
                api_key: None,
                base_url: openai.url("/v1").parse().unwrap(),
            },
            Provider::Mistral {
                api_key: "k".into(),
                base_url: mistral.url("/v1").parse().unwrap(),
            },
        ],
        retry: RetryPolicy {
            retries: 1,
            ..RetryPolicy::default()
        },
        ..ModelConfig::offline()
    };
    let model = build(&config).unwrap();
    // Both are limited; the first lets itself be asked again at once.
    let reply = ask(&*model, request("x")).await.unwrap();
    assert_eq!(reply.text, "First.");
    assert_eq!(reply.model, Some(ModelId::new("openai", "a")));
    assert_eq!(reply.passed_over.len(), 1);
    // An hour is not waited for while somebody else can answer.
    let reply = ask(&*model, request("x")).await.unwrap();
    assert_eq!(reply.text, "Second.");
    assert_eq!(reply.model, Some(ModelId::new("mistral", "b")));
    // A fault of the request is nobody else's business.
    let error = ask(&*model, request("x")).await.unwrap_err();
    assert_eq!(error.code(), "invalid_request");
    assert_eq!(openai.received().len(), 4);
    assert_eq!(mistral.received().len(), 2);
}
