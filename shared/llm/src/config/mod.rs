//! Which models to use, read once at start.

mod embedding;
mod env;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use reqwest::Url;
use secrecy::SecretString;

use crate::anthropic::{self, Anthropic};
use crate::bedrock::{self, Bedrock, BedrockCredentials};
use crate::gemini::{self, Gemini};
use crate::http::Timeouts;
use crate::mistral::{self, Mistral};
use crate::model::{ChatModel, ModelId};
use crate::offline::{self, Offline};
use crate::openai::{self, OpenAi};
use crate::retry::{Retry, RetryPolicy};
use crate::router::Router;

pub use self::embedding::embedders_from_env;

/// The providers that may be called, and everything needed for it. Keys do not show in its
/// debug output.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The models that answer when a request names none: the first, and each next one when those
    /// before it cannot. Never empty.
    pub default: Vec<ModelId>,
    /// The providers whose models a request may name, each once.
    pub providers: Vec<Provider>,
    /// How long each stage of a call may take.
    pub timeouts: Timeouts,
    /// What is done about a call that is refused for now.
    pub retry: RetryPolicy,
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
    /// Google's Gemini API.
    Gemini {
        /// The key.
        api_key: SecretString,
        /// Ends where `/models/…` begins.
        base_url: Url,
    },
    /// Mistral.
    Mistral {
        /// The key.
        api_key: SecretString,
        /// Ends where `/chat/completions` begins.
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

impl Provider {
    /// The name by which a [`ModelId`] means this provider.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offline => offline::PROVIDER,
            Self::OpenAi { .. } => openai::PROVIDER,
            Self::Anthropic { .. } => anthropic::PROVIDER,
            Self::Gemini { .. } => gemini::PROVIDER,
            Self::Mistral { .. } => mistral::PROVIDER,
            Self::Bedrock { .. } => bedrock::PROVIDER,
        }
    }

    /// A client whose default model is `name`.
    fn client(&self, name: String, timeouts: Timeouts) -> Result<Arc<dyn ChatModel>, String> {
        Ok(match self.clone() {
            Self::Offline => Arc::new(Offline::new()),
            Self::OpenAi { api_key, base_url } => {
                Arc::new(OpenAi::new(name, &base_url, api_key, timeouts)?)
            }
            Self::Anthropic { api_key, base_url } => {
                Arc::new(Anthropic::new(name, &base_url, api_key, timeouts)?)
            }
            Self::Gemini { api_key, base_url } => {
                Arc::new(Gemini::new(name, &base_url, api_key, timeouts)?)
            }
            Self::Mistral { api_key, base_url } => {
                Arc::new(Mistral::new(name, &base_url, api_key, timeouts)?)
            }
            Self::Bedrock {
                region,
                endpoint,
                credentials,
            } => Arc::new(Bedrock::new(
                name,
                &endpoint,
                region,
                credentials,
                timeouts,
            )?),
        })
    }
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
    /// One model of one provider.
    pub fn single(name: impl Into<String>, provider: Provider) -> Self {
        Self {
            default: vec![ModelId::new(provider.name(), name)],
            providers: vec![provider],
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
        }
    }

    /// The built-in model.
    pub fn offline() -> Self {
        Self::single(offline::NAME, Provider::Offline)
    }

    /// Reads the configuration from environment variables, looked up through `get`; an empty
    /// value counts as absent.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `OVERGLASS_MODEL` | the model, bare or as `provider::name`, or several with commas between them: the next one answers when those before it cannot. Required for Bedrock and for a base URL other than OpenAI's, where nobody can guess it |
    /// | `OVERGLASS_MODEL_PROVIDER` | `offline`, `openai`, `anthropic`, `gemini`, `mistral` or `bedrock`. By default the provider that `OVERGLASS_MODEL` names first, else the first in this list that has a key, else `offline`. Set to `offline`, it keeps every other provider out |
    /// | `OVERGLASS_MODEL_RETRIES` | how often a call is made again that was refused before it began, from 0 to 5; 2 by default |
    /// | `OPENAI_API_KEY`, `OPENAI_BASE_URL` | a key is not needed when a base URL is set |
    /// | `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` | |
    /// | `GEMINI_API_KEY`, `GEMINI_BASE_URL` | |
    /// | `MISTRAL_API_KEY`, `MISTRAL_BASE_URL` | |
    /// | `AWS_REGION` or `AWS_DEFAULT_REGION` | Bedrock's region; the function's own, on Lambda |
    /// | `AWS_BEARER_TOKEN_BEDROCK` | a Bedrock API key, instead of AWS credentials |
    /// | `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` | another endpoint for Bedrock |
    ///
    /// Every provider that has a key can be named by a request. Bedrock, which needs none, counts
    /// once one of the first two variables or its own key names it.
    ///
    /// # Errors
    /// All faults at once, each naming its variable.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        env::read(get)
    }

    /// The id that a model of this configuration has: that of its first default.
    pub fn id(&self) -> ModelId {
        self.default
            .first()
            .cloned()
            .unwrap_or_else(|| ModelId::new(offline::PROVIDER, offline::NAME))
    }
}

/// Makes the model of a configuration: a [`Router`] over its providers that is asked again as
/// its [`RetryPolicy`] allows. Nothing is sent and nothing is awaited.
///
/// # Errors
/// When no HTTP client can be made for a provider, or a default model has none.
pub fn build(config: &ModelConfig) -> Result<Arc<dyn ChatModel>, ConfigError> {
    let mut problems = Vec::new();
    let mut clients = Vec::new();
    for provider in &config.providers {
        let default = config
            .default
            .iter()
            .find(|id| id.provider == provider.name());
        // The router names the model in every call, so a client can do without a default.
        let name = default.map(|id| id.name.clone()).unwrap_or_default();
        match provider.client(name, config.timeouts) {
            Ok(client) => clients.push(client),
            Err(problem) => problems.push(problem),
        }
    }
    for id in &config.default {
        let has_provider = |provider: &Provider| provider.name() == id.provider;
        if !config.providers.iter().any(has_provider) {
            problems.push(format!("`{id}` has no provider"));
        }
    }
    let router = Router::new(clients, config.default.clone());
    match router {
        Some(router) if problems.is_empty() => {
            let router = router.repeating_unknown(config.retry.repeat_unknown);
            Ok(Arc::new(Retry::new(Arc::new(router), config.retry)))
        }
        _ => {
            if config.default.is_empty() {
                problems.push("it names no default model".to_owned());
            }
            Err(ConfigError { problems })
        }
    }
}
