//! The configuration, read from made-up environments.

use std::collections::HashMap;

use super::env::PROVIDERS;
use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<ModelConfig, ConfigError> {
    let map: HashMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ModelConfig::from_env(&|name| map.get(name).cloned())
}

fn id(pairs: &[(&str, &str)]) -> String {
    read(pairs).unwrap().id().to_string()
}

#[test]
fn the_provider_follows_the_keys() {
    assert_eq!(id(&[]), "offline::extractive");
    assert_eq!(id(&[("OPENAI_API_KEY", "  ")]), "offline::extractive");
    assert_eq!(id(&[("OPENAI_API_KEY", "k")]), "openai::gpt-5.4-mini");
    assert_eq!(
        id(&[("ANTHROPIC_API_KEY", "k")]),
        "anthropic::claude-sonnet-4-6"
    );
    assert_eq!(
        id(&[("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")]),
        "openai::gpt-5.4-mini"
    );
    assert_eq!(id(&[("GEMINI_API_KEY", "k")]), "gemini::gemini-3.6-flash");
    assert_eq!(
        id(&[
            ("MISTRAL_API_KEY", "k"),
            ("MISTRAL_BASE_URL", "https://eu.example/v1")
        ]),
        "mistral::mistral-medium-latest"
    );
    assert_eq!(
        id(&[
            ("OPENAI_API_KEY", "k"),
            ("OVERGLASS_MODEL_PROVIDER", "offline")
        ]),
        "offline::extractive"
    );
    assert_eq!(
        id(&[
            ("OPENAI_API_KEY", "k"),
            ("ANTHROPIC_API_KEY", "k"),
            ("OVERGLASS_MODEL", "anthropic::claude-haiku-4-5"),
        ]),
        "anthropic::claude-haiku-4-5"
    );
    assert_eq!(
        id(&[
            ("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"),
            ("OVERGLASS_MODEL", "qwen3:8b"),
        ]),
        "openai::qwen3:8b"
    );
    assert_eq!(
        id(&[
            ("OVERGLASS_MODEL_PROVIDER", "bedrock"),
            ("OVERGLASS_MODEL", "amazon.nova-lite-v1:0"),
            ("AWS_REGION", "eu-west-1"),
        ]),
        "bedrock::amazon.nova-lite-v1:0"
    );
}

#[test]
fn every_provider_with_a_key_can_be_named() {
    let names = |pairs: &[(&str, &str)]| -> Vec<&'static str> {
        let config = read(pairs).unwrap();
        config.providers.iter().map(Provider::name).collect()
    };
    let keys = [
        ("OPENAI_API_KEY", "k"),
        ("ANTHROPIC_API_KEY", "k"),
        ("GEMINI_API_KEY", "k"),
        ("MISTRAL_API_KEY", "k"),
        ("AWS_BEARER_TOKEN_BEDROCK", "k"),
        ("AWS_REGION", "eu-west-1"),
    ];
    assert_eq!(names(&keys), PROVIDERS);
    assert_eq!(names(&[]), ["offline"]);
    // A function always has a region; that alone does not make it call Bedrock.
    assert_eq!(names(&[("AWS_REGION", "eu-west-1")]), ["offline"]);
    let mut closed = keys.to_vec();
    closed.push(("OVERGLASS_MODEL_PROVIDER", "offline"));
    assert_eq!(names(&closed), ["offline"]);
}

#[test]
fn several_models_stand_by_in_order() {
    let config = read(&[
        (
            "OVERGLASS_MODEL",
            "openai::gpt-x, anthropic::claude-y,gpt-z",
        ),
        ("OPENAI_API_KEY", "k"),
        ("ANTHROPIC_API_KEY", "k"),
        ("OVERGLASS_MODEL_RETRIES", "0"),
    ])
    .unwrap();
    let ids: Vec<String> = config.default.iter().map(ModelId::to_string).collect();
    assert_eq!(
        ids,
        ["openai::gpt-x", "anthropic::claude-y", "openai::gpt-z"]
    );
    assert_eq!(config.retry.retries, 0);
    let model = build(&config).unwrap();
    assert_eq!(model.candidates("").unwrap(), config.default);
    assert_eq!(
        model.candidates("anthropic::other").unwrap(),
        [ModelId::new("anthropic", "other")]
    );
    assert_eq!(
        model.candidates("gemini::x").unwrap_err().code(),
        "unknown_provider"
    );
    assert_eq!(
        model.candidates("bare").unwrap()[0].to_string(),
        "openai::bare"
    );

    let missing = read(&[("OVERGLASS_MODEL", "openai::a,mistral::b,acme::c")]).unwrap_err();
    assert_eq!(missing.problems.len(), 3, "{missing}");
    assert!(missing.to_string().contains("MISTRAL_API_KEY is missing"));
    assert!(missing.to_string().contains("`acme`"));
    assert!(read(&[("OVERGLASS_MODEL_RETRIES", "6")]).is_err());
}

#[test]
fn every_fault_is_named_at_once() {
    let error = read(&[("OVERGLASS_MODEL_PROVIDER", "bedrock")]).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(error.to_string().contains("OVERGLASS_MODEL is missing"));
    assert!(error.to_string().contains("AWS_REGION is missing"));

    let error = read(&[
        ("OVERGLASS_MODEL_PROVIDER", "openai"),
        ("OVERGLASS_MODEL", "anthropic::x"),
        ("OPENAI_BASE_URL", "not a url"),
    ])
    .unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");

    let error = read(&[("OVERGLASS_MODEL", "gpt-4o")]).unwrap_err();
    assert!(error.to_string().contains("no provider is configured"));
    let error = read(&[("OVERGLASS_MODEL_PROVIDER", "gpt")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("offline, openai, anthropic, gemini, mistral or bedrock")
    );
    assert!(read(&[("OVERGLASS_MODEL_PROVIDER", "anthropic")]).is_err());
    assert!(read(&[("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]).is_err());
    assert!(read(&[("OVERGLASS_MODEL", "openai::"), ("OPENAI_API_KEY", "k")]).is_err());
}

#[test]
fn keys_stay_secret() {
    let plain_http = read(&[
        ("OPENAI_API_KEY", "sk-canary-key"),
        ("OPENAI_BASE_URL", "http://models.example/v1"),
        ("OVERGLASS_MODEL", "m"),
    ])
    .unwrap_err();
    assert!(plain_http.to_string().contains("plain http"));
    let password = read(&[
        ("OPENAI_BASE_URL", "https://me:canary@models.example/v1"),
        ("OVERGLASS_MODEL", "m"),
    ])
    .unwrap_err();
    assert!(!password.to_string().contains("canary"));

    for pairs in [
        &[("OPENAI_API_KEY", "sk-canary-key")][..],
        &[("ANTHROPIC_API_KEY", "sk-canary-key")],
        &[("GEMINI_API_KEY", "canary-key")],
        &[("MISTRAL_API_KEY", "canary-key")],
        &[
            ("OVERGLASS_MODEL", "bedrock::m"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_BEARER_TOKEN_BEDROCK", "canary"),
        ],
    ] {
        let config = read(pairs).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(*build(&config).unwrap().id(), config.id());
    }
}
