//! Providers' embedding models, against scripted servers.

use std::sync::Arc;
use std::time::Duration;

use embedding::{Embedded, Embedder, EmbeddingError, Purpose, embed_all};
use llm::embedders_from_env;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const KEY: &str = "sk-canary";

fn configured(variables: &[(&str, &str)]) -> Arc<dyn Embedder> {
    let get = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let embedders = embedders_from_env(&get).expect("configured");
    Arc::clone(embedders.default_model())
}

fn openai(server: &Server, model: &str) -> Arc<dyn Embedder> {
    configured(&[
        ("OVERGLASS_EMBEDDING_MODEL", model),
        ("OVERGLASS_EMBEDDING_PROVIDER", "openai"),
        ("OVERGLASS_EMBEDDING_BASE_URL", &server.url("/v1")),
        ("OVERGLASS_EMBEDDING_API_KEY", KEY),
    ])
}

fn bedrock(server: &Server, model: &str) -> Arc<dyn Embedder> {
    configured(&[
        ("OVERGLASS_EMBEDDING_MODEL", model),
        ("OVERGLASS_EMBEDDING_PROVIDER", "bedrock"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_BEARER_TOKEN_BEDROCK", KEY),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &server.url("")),
    ])
}

/// A vector of `width` numbers of which one is not zero.
fn axis(width: usize, at: usize) -> Vec<f32> {
    let mut vector = vec![0.0; width];
    vector[at] = 2.0;
    vector
}

fn item(index: usize, vector: &[f32]) -> Value {
    json!({ "object": "embedding", "index": index, "embedding": vector })
}

fn answer(items: impl IntoIterator<Item = Value>) -> Value {
    json!({
        "object": "list",
        "data": items.into_iter().collect::<Vec<_>>(),
        "model": "m",
        "usage": { "prompt_tokens": 7, "total_tokens": 7 },
    })
}

async fn embed(model: &Arc<dyn Embedder>, texts: &[&str]) -> Result<Embedded, EmbeddingError> {
    embed_all(model.as_ref(), texts, Purpose::Passage).await
}

/// The error of one call that the server answers so.
async fn failed(reply: Reply) -> EmbeddingError {
    let server = Server::start([reply]).await;
    let model = openai(&server, "text-embedding-3-small@256");
    let error = embed(&model, &["a", "b"]).await.expect_err("no vectors");
    assert!(!error.to_string().contains("canary"), "{error}");
    assert_eq!(server.received().len(), 1, "a call is made once");
    error
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_whatever_order_they_are_sent_in() {
    let reply = answer([item(1, &axis(256, 1)), item(0, &axis(256, 0))]);
    let server = Server::start([Reply::json(200, reply)]).await;
    let model = openai(&server, "text-embedding-3-small");
    assert_eq!(
        model.model().to_string(),
        "openai::text-embedding-3-small@256"
    );
    let embedded = embed(&model, &["first", "second"]).await.expect("vectors");
    let unit = |at| axis(256, at).iter().map(|x| x / 2.0).collect::<Vec<f32>>();
    assert_eq!(embedded.vectors, [unit(0), unit(1)], "of unit length");
    assert_eq!((embedded.usage.calls, embedded.usage.tokens), (1, 7));

    let request = server.only_request();
    assert_eq!(request.line, "POST /v1/embeddings HTTP/1.1");
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(
        request.body,
        json!({
            "model": "text-embedding-3-small",
            "input": ["first", "second"],
            "encoding_format": "float",
            "dimensions": 256,
        })
    );
}

#[tokio::test]
async fn a_model_that_has_one_length_is_not_asked_for_another() {
    // Servers of one's own leave the index and the usage out.
    let reply = json!({ "data": [{ "embedding": axis(1024, 3) }] });
    let server = Server::start([Reply::json(200, reply)]).await;
    let model = openai(&server, "bge-m3@1024");
    let embedded = embed(&model, &["text"]).await.expect("vectors");
    assert_eq!(embedded.vectors[0].len(), 1024);
    assert_eq!(embedded.usage.tokens, 0);
    let body = server.only_request().body;
    assert_eq!(body.get("dimensions"), None);
}

#[tokio::test]
async fn many_texts_are_several_calls() {
    let call = |count: usize| {
        let items = (0..count).map(|index| item(index, &axis(256, index)));
        Reply::json(200, answer(items))
    };
    let server = Server::start([call(32), call(32), call(6)]).await;
    let model = openai(&server, "text-embedding-3-small");
    let texts: Vec<String> = (0..70).map(|number| format!("text {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedded = embed(&model, &texts).await.expect("vectors");
    assert_eq!(embedded.vectors.len(), 70);
    assert_eq!((embedded.usage.calls, embedded.usage.tokens), (3, 21));
    let inputs: Vec<usize> = server
        .received()
        .iter()
        .map(|request| request.body["input"].as_array().expect("a list").len())
        .collect();
    assert_eq!(inputs, [32, 32, 6]);
}

#[tokio::test]
async fn too_many_requests_say_when_to_come_again() {
    let body = json!({ "error": { "type": "rate_limit_error", "message": "Slow down." } });
    let error = failed(Reply::json(429, body).header("retry-after", "17")).await;
    assert!(error.is_transient(), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    let error = failed(Reply::json(503, json!({}))).await;
    assert!(
        error.is_transient() && error.retry_after().is_none(),
        "{error}"
    );
}

#[tokio::test]
async fn what_will_be_refused_again_is_no_reason_to_come_again() {
    let too_long = json!({ "error": {
        "code": "context_length_exceeded", "message": "maximum context length is 8192 tokens",
    } });
    for reply in [
        Reply::json(
            401,
            json!({ "error": { "message": format!("bad key {KEY}") } }),
        ),
        Reply::json(400, too_long),
        Reply::json(404, json!({ "error": { "message": "no such model" } })),
    ] {
        let error = failed(reply).await;
        assert!(!error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn vectors_that_are_not_what_was_asked_for_are_refused() {
    let whole = axis(256, 0);
    for (items, expected) in [
        (vec![item(0, &whole)], "1 vectors for 2 texts"),
        (
            vec![item(0, &whole), item(1, &whole), item(2, &whole)],
            "3 vectors for 2 texts",
        ),
        (
            vec![item(0, &whole), item(1, &axis(255, 0))],
            "255 dimensions where 256",
        ),
        (vec![item(0, &whole), item(0, &whole)], "numbered"),
        (vec![item(1, &whole), item(2, &whole)], "numbered"),
    ] {
        let error = failed(Reply::json(200, answer(items))).await;
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn half_a_reply_is_no_reply() {
    let body = answer([item(0, &axis(256, 0)), item(1, &axis(256, 1))]).to_string();
    let bytes = body.into_bytes();
    let half = bytes[..bytes.len() / 2].to_vec();
    let json = "application/json";
    for reply in [
        Reply::bytes(json, [half.clone()]).cut(),
        Reply::bytes(json, [half]),
        Reply::bytes("text/html", [b"<html>sorry</html>".to_vec()]),
    ] {
        let error = failed(reply).await;
        assert!(error.is_transient(), "{error}");
        assert!(!error.to_string().contains("sorry"), "{error}");
    }
}

#[tokio::test]
async fn titan_gets_one_text_a_call_and_the_length_that_is_wanted() {
    let reply = |at| {
        let body = json!({ "embedding": axis(256, at), "inputTextTokenCount": 3 });
        Reply::json(200, body)
    };
    let server = Server::start([reply(0)]).await;
    let model = bedrock(&server, "amazon.titan-embed-text-v2:0");
    assert_eq!(
        model.model().to_string(),
        "bedrock::amazon.titan-embed-text-v2:0@256"
    );
    let embedded = embed(&model, &["one"]).await.expect("a vector");
    assert_eq!((embedded.usage.calls, embedded.usage.tokens), (1, 3));
    let request = server.only_request();
    assert_eq!(
        request.line,
        "POST /model/amazon.titan-embed-text-v2%3A0/invoke HTTP/1.1"
    );
    assert_eq!(
        request.body,
        json!({ "inputText": "one", "dimensions": 256, "normalize": true })
    );

    let server = Server::start([reply(5), reply(5), reply(5)]).await;
    let model = bedrock(&server, "amazon.titan-embed-text-v2:0");
    let embedded = embed(&model, &["a", "b", "c"]).await.expect("vectors");
    assert_eq!(embedded.vectors.len(), 3);
    assert_eq!((embedded.usage.calls, embedded.usage.tokens), (3, 9));
}

#[tokio::test]
async fn cohere_is_told_what_a_text_is_for() {
    let reply = |width| {
        let body = json!({
            "id": "x", "texts": [], "response_type": "embeddings_by_type",
            "embeddings": { "float": [axis(width, 0)] },
        });
        Reply::json(200, body).header("x-amzn-bedrock-input-token-count", "11")
    };
    let server = Server::start([reply(1024), reply(1024)]).await;
    let model = bedrock(&server, "cohere.embed-english-v3");
    for (purpose, expected) in [
        (Purpose::Passage, "search_document"),
        (Purpose::Query, "search_query"),
    ] {
        let embedded = embed_all(model.as_ref(), &["text"], purpose).await;
        assert_eq!(embedded.expect("vectors").usage.tokens, 11);
        let request = server.received().pop().expect("a request");
        assert_eq!(request.body["input_type"], expected);
        assert_eq!(request.body["truncate"], "END");
        assert_eq!(request.body.get("output_dimension"), None);
    }

    let server = Server::start([reply(256)]).await;
    let model = bedrock(&server, "eu.cohere.embed-v4:0@256");
    embed(&model, &["text"]).await.expect("vectors");
    assert_eq!(server.only_request().body["output_dimension"], 256);
}

#[tokio::test]
async fn bedrock_limits_and_refuses_as_it_does_for_language_models() {
    let reply = |status, kind: &str| {
        Reply::json(status, json!({ "message": "no" })).header("x-amzn-errortype", kind)
    };
    for (reply, is_transient) in [
        (reply(429, "ThrottlingException"), true),
        (reply(503, "ServiceUnavailableException"), true),
        (reply(403, "AccessDeniedException"), false),
        (reply(400, "ValidationException"), false),
    ] {
        let server = Server::start([reply]).await;
        let model = bedrock(&server, "cohere.embed-v4:0");
        let error = embed(&model, &["text"]).await.expect_err("refused");
        assert_eq!(error.is_transient(), is_transient, "{error}");
    }
}
