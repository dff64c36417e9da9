//! The configuration as environment variables.

use reqwest::Url;
use secrecy::SecretString;

use super::{ConfigError, ModelConfig, Provider};
use crate::bedrock::BedrockCredentials;
use crate::http::{Timeouts, is_loopback};
use crate::model::ModelId;
use crate::retry::RetryPolicy;
use crate::{anthropic, bedrock, gemini, mistral, offline, openai};

/// The models that answer when `OVERGLASS_MODEL` names none.
const DEFAULT_OPENAI_MODEL: &str = "gpt-5.4-mini";
const DEFAULT_ANTHROPIC_MODEL: &str = "claude-sonnet-4-6";
const DEFAULT_GEMINI_MODEL: &str = "gemini-3.6-flash";
const DEFAULT_MISTRAL_MODEL: &str = "mistral-medium-latest";

/// Every provider, those first whose key decides when nothing else does.
pub(super) const PROVIDERS: [&str; 6] = [
    openai::PROVIDER,
    anthropic::PROVIDER,
    gemini::PROVIDER,
    mistral::PROVIDER,
    bedrock::PROVIDER,
    offline::PROVIDER,
];

/// More than this is no patience but a mistake.
const MAX_RETRIES: u32 = 5;

pub(super) fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<ModelConfig, ConfigError> {
    let mut reader = Reader::new(get);
    let config = reader.read();
    match reader.problems.is_empty() {
        true => Ok(config),
        false => Err(ConfigError {
            problems: reader.problems,
        }),
    }
}

pub(super) struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            get,
            problems: Vec::new(),
        }
    }

    pub(super) fn var(&self, name: &str) -> Option<String> {
        (self.get)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn read(&mut self) -> ModelConfig {
        let preferred = self.preferred();
        let mut default = self.named(preferred.as_deref());
        if default.is_empty() {
            let provider = preferred.clone().unwrap_or_else(|| self.by_keys());
            let name = self.default_model(&provider).unwrap_or_default();
            default.push(ModelId::new(provider, name));
        }
        // Whoever asks for the offline model by this variable wants nothing to leave the machine.
        let closed = preferred.as_deref() == Some(offline::PROVIDER);
        let mut providers = Vec::new();
        for name in PROVIDERS {
            let wanted = default.iter().any(|id| id.provider == name);
            if wanted || (self.is_configured(name) && !closed) {
                providers.extend(self.provider(name));
            }
        }
        ModelConfig {
            default,
            providers,
            timeouts: Timeouts::default(),
            retry: self.retry(),
        }
    }

    /// The provider that `OVERGLASS_MODEL_PROVIDER` names, if it is one.
    fn preferred(&mut self) -> Option<String> {
        let name = self.var("OVERGLASS_MODEL_PROVIDER")?;
        self.known(&name, "OVERGLASS_MODEL_PROVIDER")
            .then_some(name)
    }

    fn known(&mut self, provider: &str, variable: &str) -> bool {
        let known = PROVIDERS.contains(&provider);
        if !known {
            self.problem(format!(
                "{variable} names `{provider}`; the provider must be offline, openai, anthropic, gemini, mistral or bedrock"
            ));
        }
        known
    }

    /// The models of `OVERGLASS_MODEL`, in order.
    fn named(&mut self, preferred: Option<&str>) -> Vec<ModelId> {
        let text = self.var("OVERGLASS_MODEL").unwrap_or_default();
        let mut ids: Vec<ModelId> = Vec::new();
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let (provider, model) = match name.split_once("::") {
                None => {
                    let provider = preferred.map_or_else(|| self.by_keys(), str::to_owned);
                    (provider, name)
                }
                Some((provider, _)) if !self.known(provider, "OVERGLASS_MODEL") => continue,
                Some((provider, model)) => match preferred {
                    // Only the first: the others stand by, and may be anybody's.
                    Some(preferred) if ids.is_empty() && preferred != provider => {
                        self.problem(format!(
                            "OVERGLASS_MODEL belongs to `{provider}`, but OVERGLASS_MODEL_PROVIDER is `{preferred}`"
                        ));
                        (preferred.to_owned(), model)
                    }
                    _ => (provider.to_owned(), model),
                },
            };
            if model.is_empty() {
                self.problem("OVERGLASS_MODEL names a provider but no model");
            }
            if provider == offline::PROVIDER && model != offline::NAME {
                self.problem(format!(
                    "OVERGLASS_MODEL is `{model}`, but no provider is configured for it: set OVERGLASS_MODEL_PROVIDER or a key"
                ));
            }
            ids.push(ModelId::new(provider, model));
        }
        ids
    }

    fn by_keys(&self) -> String {
        let with_key = [
            openai::PROVIDER,
            anthropic::PROVIDER,
            gemini::PROVIDER,
            mistral::PROVIDER,
        ];
        with_key
            .into_iter()
            .find(|name| self.is_configured(name))
            .unwrap_or(offline::PROVIDER)
            .to_owned()
    }

    /// Whether the environment holds what a provider needs, without being asked for it.
    fn is_configured(&self, provider: &str) -> bool {
        let has = |variable: &str| self.var(variable).is_some();
        match provider {
            openai::PROVIDER => has("OPENAI_API_KEY") || has("OPENAI_BASE_URL"),
            anthropic::PROVIDER => has("ANTHROPIC_API_KEY"),
            gemini::PROVIDER => has("GEMINI_API_KEY"),
            mistral::PROVIDER => has("MISTRAL_API_KEY"),
            bedrock::PROVIDER => has("AWS_BEARER_TOKEN_BEDROCK"),
            _ => true,
        }
    }

    fn default_model(&mut self, provider: &str) -> Option<String> {
        let own_server = self
            .var("OPENAI_BASE_URL")
            .is_some_and(|base| !base.contains("://api.openai.com"));
        let name = match provider {
            openai::PROVIDER if own_server => {
                self.problem("OVERGLASS_MODEL is missing; a server under OPENAI_BASE_URL has its own names for models");
                return None;
            }
            bedrock::PROVIDER => {
                self.problem(
                    "OVERGLASS_MODEL is missing; Bedrock's models differ by region and account",
                );
                return None;
            }
            openai::PROVIDER => DEFAULT_OPENAI_MODEL,
            anthropic::PROVIDER => DEFAULT_ANTHROPIC_MODEL,
            gemini::PROVIDER => DEFAULT_GEMINI_MODEL,
            mistral::PROVIDER => DEFAULT_MISTRAL_MODEL,
            _ => offline::NAME,
        };
        Some(name.to_owned())
    }

    pub(super) fn provider(&mut self, name: &str) -> Option<Provider> {
        match name {
            openai::PROVIDER => self.openai(),
            bedrock::PROVIDER => self.bedrock(),
            anthropic::PROVIDER => self
                .keyed("ANTHROPIC", anthropic::DEFAULT_BASE_URL)
                .map(|(api_key, base_url)| Provider::Anthropic { api_key, base_url }),
            gemini::PROVIDER => self
                .keyed("GEMINI", gemini::DEFAULT_BASE_URL)
                .map(|(api_key, base_url)| Provider::Gemini { api_key, base_url }),
            mistral::PROVIDER => self
                .keyed("MISTRAL", mistral::DEFAULT_BASE_URL)
                .map(|(api_key, base_url)| Provider::Mistral { api_key, base_url }),
            _ => Some(Provider::Offline),
        }
    }

    fn openai(&mut self) -> Option<Provider> {
        let key = self.var("OPENAI_API_KEY");
        let custom = self.var("OPENAI_BASE_URL");
        if key.is_none() && custom.is_none() {
            self.problem("OPENAI_API_KEY is missing");
        }
        let base = custom.as_deref().unwrap_or(openai::DEFAULT_BASE_URL);
        let base_url = self.url("OPENAI_BASE_URL", base, key.is_some())?;
        Some(Provider::OpenAi {
            api_key: key.map(SecretString::from),
            base_url,
        })
    }

    /// The variables of a provider that always wants a key.
    fn keyed(&mut self, prefix: &str, default_base: &str) -> Option<(SecretString, Url)> {
        let key = self.var(&format!("{prefix}_API_KEY"));
        if key.is_none() {
            self.problem(format!("{prefix}_API_KEY is missing"));
        }
        let variable = format!("{prefix}_BASE_URL");
        let base = self
            .var(&variable)
            .unwrap_or_else(|| default_base.to_owned());
        let base_url = self.url(&variable, &base, true)?;
        Some((SecretString::from(key?), base_url))
    }

    fn bedrock(&mut self) -> Option<Provider> {
        let region = self
            .var("AWS_REGION")
            .or_else(|| self.var("AWS_DEFAULT_REGION"));
        let Some(region) = region else {
            self.problem("AWS_REGION is missing");
            return None;
        };
        let credentials = match self.var("AWS_BEARER_TOKEN_BEDROCK") {
            Some(key) => BedrockCredentials::ApiKey(SecretString::from(key)),
            None => BedrockCredentials::DefaultChain,
        };
        let has_key = matches!(credentials, BedrockCredentials::ApiKey(_));
        let endpoint = self
            .var("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
            .unwrap_or_else(|| bedrock::endpoint(&region));
        let endpoint = self.url("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &endpoint, has_key)?;
        Some(Provider::Bedrock {
            region,
            endpoint,
            credentials,
        })
    }

    fn retry(&mut self) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        if let Some(text) = self.var("OVERGLASS_MODEL_RETRIES") {
            match text.parse() {
                Ok(retries) if retries <= MAX_RETRIES => policy.retries = retries,
                _ => self.problem(format!(
                    "OVERGLASS_MODEL_RETRIES is `{text}`; it must be a number from 0 to {MAX_RETRIES}"
                )),
            }
        }
        policy
    }

    /// Checks a base URL. Its text stays out of the message: it may hold a password.
    pub(super) fn url(&mut self, variable: &str, text: &str, with_key: bool) -> Option<Url> {
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
