//! Which model to use, read once at start.

use std::fmt;
use std::sync::Arc;

use reqwest::Url;
use secrecy::SecretString;

use crate::anthropic::{self, Anthropic};
use crate::bedrock::{self, Bedrock, BedrockCredentials};
use crate::http::{Timeouts, is_loopback};
use crate::model::{ChatModel, ModelId};
use crate::offline::{self, Offline};
use crate::openai::{self, OpenAi};

/// The model that answers when `OVERGLASS_MODEL` names none.
const DEFAULT_OPENAI_MODEL: &str = "gpt-5.4-mini";
const DEFAULT_ANTHROPIC_MODEL: &str = "claude-sonnet-4-6";

/// A provider and everything needed to call it. Keys do not show in its debug output.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The model's name, as its provider knows it.
    pub model: String,
    /// The provider.
    pub provider: Provider,
    /// How long each stage of a call may take.
    pub timeouts: Timeouts,
}

/// How to reach a provider.
#[derive(Debug, Clone)]
pub enum Provider {
    /// The built-in model: no key, no network, no language model.
    Offline,
    /// OpenAI, or a server that speaks its protocol.
    OpenAi {
        /// Absent for servers on one's own machine that ask for none.
        api_key: Option<SecretString>,
        /// Ends where `/chat/completions` begins.
        base_url: Url,
    },
    /// Anthropic.
    Anthropic {
        /// The key.
        api_key: SecretString,
        /// Ends where `/v1/messages` begins.
        base_url: Url,
    },
    /// Amazon Bedrock.
    Bedrock {
        /// The region, for the endpoint and the signature.
        region: String,
        /// The runtime's endpoint.
        endpoint: Url,
        /// Who calls.
        credentials: BedrockCredentials,
    },
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// One sentence per fault, each naming its variable.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the model is not configured: {}",
            self.problems.join("; ")
        )
    }
}

impl std::error::Error for ConfigError {}

impl ModelConfig {
    /// The built-in model.
    pub fn offline() -> Self {
        Self {
            model: offline::NAME.to_owned(),
            provider: Provider::Offline,
            timeouts: Timeouts::default(),
        }
    }

    /// Reads the configuration from environment variables, looked up through `get`; an empty
    /// value counts as absent.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `OVERGLASS_MODEL_PROVIDER` | `offline`, `openai`, `anthropic` or `bedrock`. By default the provider that `OVERGLASS_MODEL` names, else the first that has a key (OpenAI, then Anthropic), else `offline` |
    /// | `OVERGLASS_MODEL` | the model, bare or as `provider::name`; required for Bedrock and for a base URL other than OpenAI's, where nobody can guess it |
    /// | `OPENAI_API_KEY`, `OPENAI_BASE_URL` | a key is not needed when a base URL is set |
    /// | `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` | |
    /// | `AWS_REGION` or `AWS_DEFAULT_REGION` | Bedrock's region; the function's own, on Lambda |
    /// | `AWS_BEARER_TOKEN_BEDROCK` | a Bedrock API key, instead of AWS credentials |
    /// | `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` | another endpoint for Bedrock |
    ///
    /// # Errors
    /// All faults at once, each naming its variable.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            get,
            problems: Vec::new(),
        };
        let config = reader.read();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigError {
                problems: reader.problems,
            }),
        }
    }

    /// The id that a model of this configuration has.
    pub fn id(&self) -> ModelId {
        let provider = match &self.provider {
            Provider::Offline => offline::PROVIDER,
            Provider::OpenAi { .. } => openai::PROVIDER,
            Provider::Anthropic { .. } => anthropic::PROVIDER,
            Provider::Bedrock { .. } => bedrock::PROVIDER,
        };
        ModelId::new(provider, &self.model)
    }
}

/// Makes the model of a configuration. Nothing is sent and nothing is awaited.
///
/// # Errors
/// When no HTTP client can be made for it.
pub fn build(config: &ModelConfig) -> Result<Arc<dyn ChatModel>, ConfigError> {
    let name = config.model.clone();
    let timeouts = config.timeouts;
    let model: Result<Arc<dyn ChatModel>, String> = match config.provider.clone() {
        Provider::Offline => Ok(Arc::new(Offline::new())),
        Provider::OpenAi { api_key, base_url } => {
            OpenAi::new(name, &base_url, api_key, timeouts).map(|model| Arc::new(model) as _)
        }
        Provider::Anthropic { api_key, base_url } => {
            Anthropic::new(name, &base_url, api_key, timeouts).map(|model| Arc::new(model) as _)
        }
        Provider::Bedrock {
            region,
            endpoint,
            credentials,
        } => Bedrock::new(name, &endpoint, region, credentials, timeouts)
            .map(|model| Arc::new(model) as _),
    };
    model.map_err(|problem| ConfigError {
        problems: vec![problem],
    })
}

struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn var(&self, name: &str) -> Option<String> {
        (self.get)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn read(&mut self) -> Option<ModelConfig> {
        let asked = self.var("OVERGLASS_MODEL");
        let (named, model) = match asked.as_deref().map(|model| model.split_once("::")) {
            Some(Some((provider, model))) => (Some(provider.to_owned()), Some(model.to_owned())),
            Some(None) => (None, asked),
            None => (None, None),
        };
        if model.as_deref() == Some("") {
            self.problem("OVERGLASS_MODEL names a provider but no model");
        }
        let provider = match (self.var("OVERGLASS_MODEL_PROVIDER"), named) {
            (Some(provider), Some(named)) if provider != named => {
                self.problem(format!(
                    "OVERGLASS_MODEL belongs to `{named}`, but OVERGLASS_MODEL_PROVIDER is `{provider}`"
                ));
                provider
            }
            (Some(provider), _) | (None, Some(provider)) => provider,
            (None, None) => self.provider_by_keys().to_owned(),
        };
        let (model, provider) = match provider.as_str() {
            offline::PROVIDER => self.offline(model),
            openai::PROVIDER => self.openai(model),
            anthropic::PROVIDER => self.anthropic(model),
            bedrock::PROVIDER => self.bedrock(model),
            other => {
                self.problem(format!(
                    "OVERGLASS_MODEL_PROVIDER is `{other}`; it must be offline, openai, anthropic or bedrock"
                ));
                (None, None)
            }
        };
        Some(ModelConfig {
            model: model?,
            provider: provider?,
            timeouts: Timeouts::default(),
        })
    }

    fn provider_by_keys(&self) -> &'static str {
        if self.var("OPENAI_API_KEY").is_some() || self.var("OPENAI_BASE_URL").is_some() {
            openai::PROVIDER
        } else if self.var("ANTHROPIC_API_KEY").is_some() {
            anthropic::PROVIDER
        } else {
            offline::PROVIDER
        }
    }

    fn offline(&mut self, model: Option<String>) -> (Option<String>, Option<Provider>) {
        if let Some(model) = model.filter(|model| model != offline::NAME) {
            self.problem(format!(
                "OVERGLASS_MODEL is `{model}`, but no provider is configured for it: set OVERGLASS_MODEL_PROVIDER or a key"
            ));
        }
        (Some(offline::NAME.to_owned()), Some(Provider::Offline))
    }

    fn openai(&mut self, model: Option<String>) -> (Option<String>, Option<Provider>) {
        let key = self.var("OPENAI_API_KEY");
        let custom = self.var("OPENAI_BASE_URL");
        let model = match (model, &custom) {
            (Some(model), _) => Some(model),
            (None, None) => Some(DEFAULT_OPENAI_MODEL.to_owned()),
            (None, Some(base)) if base.contains("://api.openai.com") => {
                Some(DEFAULT_OPENAI_MODEL.to_owned())
            }
            (None, Some(_)) => {
                self.problem("OVERGLASS_MODEL is missing; a server under OPENAI_BASE_URL has its own names for models");
                None
            }
        };
        if key.is_none() && custom.is_none() {
            self.problem("OPENAI_API_KEY is missing");
        }
        let base = custom.as_deref().unwrap_or(openai::DEFAULT_BASE_URL);
        let base_url = self.url("OPENAI_BASE_URL", base, key.is_some());
        let provider = base_url.map(|base_url| Provider::OpenAi {
            api_key: key.map(SecretString::from),
            base_url,
        });
        (model, provider)
    }

    fn anthropic(&mut self, model: Option<String>) -> (Option<String>, Option<Provider>) {
        let key = self.var("ANTHROPIC_API_KEY");
        if key.is_none() {
            self.problem("ANTHROPIC_API_KEY is missing");
        }
        let base = self
            .var("ANTHROPIC_BASE_URL")
            .unwrap_or_else(|| anthropic::DEFAULT_BASE_URL.to_owned());
        let base_url = self.url("ANTHROPIC_BASE_URL", &base, true);
        let provider = match (key, base_url) {
            (Some(key), Some(base_url)) => Some(Provider::Anthropic {
                api_key: SecretString::from(key),
                base_url,
            }),
            _ => None,
        };
        (
            Some(model.unwrap_or_else(|| DEFAULT_ANTHROPIC_MODEL.to_owned())),
            provider,
        )
    }

    fn bedrock(&mut self, model: Option<String>) -> (Option<String>, Option<Provider>) {
        if model.is_none() {
            self.problem(
                "OVERGLASS_MODEL is missing; Bedrock's models differ by region and account",
            );
        }
        let region = self
            .var("AWS_REGION")
            .or_else(|| self.var("AWS_DEFAULT_REGION"));
        let Some(region) = region else {
            self.problem("AWS_REGION is missing");
            return (model, None);
        };
        let credentials = match self.var("AWS_BEARER_TOKEN_BEDROCK") {
            Some(key) => BedrockCredentials::ApiKey(SecretString::from(key)),
            None => BedrockCredentials::DefaultChain,
        };
        let has_key = matches!(credentials, BedrockCredentials::ApiKey(_));
        let endpoint = self
            .var("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
            .unwrap_or_else(|| bedrock::endpoint(&region));
        let endpoint = self.url("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &endpoint, has_key);
        let provider = endpoint.map(|endpoint| Provider::Bedrock {
            region,
            endpoint,
            credentials,
        });
        (model, provider)
    }

    /// Checks a base URL. Its text stays out of the message: it may hold a password.
    fn url(&mut self, variable: &str, text: &str, with_key: bool) -> Option<Url> {
        let problem = match Url::parse(text) {
            Err(error) => format!("{variable} is not a URL: {error}"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                format!("{variable} must begin with https:// or http://")
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                format!("{variable} must not hold a user name or password")
            }
            Ok(url) if with_key && url.scheme() == "http" && !is_loopback(&url) => {
                format!(
                    "{variable} must be https: a key is sent over plain http only to this machine"
                )
            }
            Ok(url) => return Some(url),
        };
        self.problem(problem);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

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
                .contains("offline, openai, anthropic or bedrock")
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
}
