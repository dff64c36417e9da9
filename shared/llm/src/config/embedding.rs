//! The embedding models that the environment names.

use std::sync::Arc;
use std::time::Duration;

use embedding::{Embedder, Embedders, ModelId, StaticModel, WIDTHS};
use secrecy::SecretString;

use super::env::Reader;
use super::{ConfigError, Provider};
use crate::embeddings::{BedrockEmbeddings, OpenAiEmbeddings};
use crate::http::Timeouts;
use crate::{bedrock, openai};

const MODELS: &str = "OVERGLASS_EMBEDDING_MODEL";
const PROVIDER: &str = "OVERGLASS_EMBEDDING_PROVIDER";
const BASE_URL: &str = "OVERGLASS_EMBEDDING_BASE_URL";
const API_KEY: &str = "OVERGLASS_EMBEDDING_API_KEY";

const STATIC: &str = "static";
const MINILM: &str = "minilm";
const PROVIDERS: [&str; 4] = [STATIC, MINILM, openai::PROVIDER, bedrock::PROVIDER];

/// What a model is asked for that says nothing of the length of its vectors.
const USUAL_WIDTH: usize = 256;
/// The length of the vectors of Cohere's third generation, which has no other.
const COHERE_3_WIDTH: usize = 1024;

/// Embedding takes seconds at most, and what did not answer is asked again by a job.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(60),
    idle: Duration::from_secs(30),
};

/// Makes the embedding models that environment variables name, looked up through `get`; an empty
/// value counts as absent.
///
/// | variable | meaning |
/// |---|---|
/// | `OVERGLASS_EMBEDDING_MODEL` | the models that knowledge bases may use, with commas between them, each `provider::name@dimensions`; the first is that of new knowledge bases. `static` and `minilm` stand alone. Dimensions are 256, 384 or 1024 |
/// | `OVERGLASS_EMBEDDING_PROVIDER` | `static`, `minilm`, `openai` or `bedrock`: whose model a bare name is, and whose usual model is taken where none is named. By default `static` |
/// | `OVERGLASS_EMBEDDING_BASE_URL`, `OVERGLASS_EMBEDDING_API_KEY` | where and with which key OpenAI's `/embeddings` is spoken, apart from the language model |
/// | `OVERGLASS_MINILM_FILE` | the file that `tools/embedding/minilm.py` has made |
///
/// Keys, addresses and the region of a provider are those of its language models. The static model
/// needs nothing and is always at hand.
///
/// # Errors
/// All faults at once, each naming its variable.
pub fn embedders_from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Embedders, ConfigError> {
    let mut reader = Reader::new(get);
    let models = models(&mut reader);
    match reader.problems.is_empty() {
        true => Ok(Embedders::new(models)),
        false => Err(ConfigError {
            problems: reader.problems,
        }),
    }
}

fn models(reader: &mut Reader<'_>) -> Vec<Arc<dyn Embedder>> {
    let preferred = reader.var(PROVIDER);
    if let Some(name) = preferred
        .as_deref()
        .filter(|name| !PROVIDERS.contains(name))
    {
        reader.problem(format!(
            "{PROVIDER} names `{name}`; the provider must be static, minilm, openai or bedrock"
        ));
        return Vec::new();
    }
    let provider = preferred.as_deref().unwrap_or(STATIC);
    let named = reader.var(MODELS).unwrap_or_default();
    let named: Vec<&str> = named
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if named.is_empty() {
        return model(reader, provider, None).into_iter().collect();
    }
    named
        .into_iter()
        .filter_map(|name| match name.split_once("::") {
            Some((provider, name)) => model(reader, provider, Some(name)),
            None if PROVIDERS.contains(&name) => model(reader, name, None),
            None => model(reader, provider, Some(name)),
        })
        .collect()
}

fn model(reader: &mut Reader<'_>, provider: &str, name: Option<&str>) -> Option<Arc<dyn Embedder>> {
    match (provider, name) {
        (STATIC, None) => Some(Arc::new(StaticModel)),
        (MINILM, None) => minilm(reader),
        (openai::PROVIDER | bedrock::PROVIDER, name) => remote(reader, provider, name),
        (other, _) => {
            reader.problem(format!(
                "{MODELS} names `{other}`, which has no such model; models are named static, minilm, openai::… or bedrock::…"
            ));
            None
        }
    }
}

fn remote(
    reader: &mut Reader<'_>,
    provider: &str,
    name: Option<&str>,
) -> Option<Arc<dyn Embedder>> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => usual_model(reader, provider)?,
    };
    let (name, width) = match name.split_once('@') {
        None => {
            let width = usual_width(&name);
            (name, width)
        }
        Some((name, width)) => (name.to_owned(), width.parse().unwrap_or_default()),
    };
    if !WIDTHS.contains(&width) {
        reader.problem(format!(
            "{MODELS} asks for a width that no index has: after `{name}@` comes 256, 384 or 1024"
        ));
        return None;
    }
    let Ok(id) = ModelId::new(&format!("{provider}::{name}"), &width.to_string()) else {
        reader.problem(format!(
            "{MODELS} names a model that no id can hold: `{name}`"
        ));
        return None;
    };
    let made: Result<Arc<dyn Embedder>, String> = match embedding_provider(reader, provider)? {
        Provider::OpenAi { api_key, base_url } => {
            OpenAiEmbeddings::new(id, name, width, &base_url, api_key, TIMEOUTS)
                .map(|model| Arc::new(model) as _)
        }
        Provider::Bedrock {
            region,
            endpoint,
            credentials,
        } => BedrockEmbeddings::new(id, name, width, &endpoint, region, credentials, TIMEOUTS)
            .map(|model| Arc::new(model) as _),
        _ => Err(format!("`{provider}` has no embedding models")),
    };
    made.map_err(|problem| reader.problem(format!("{MODELS}: {problem}")))
        .ok()
}

/// How to reach a provider's embedding models: a server of their own, or that of its language
/// models.
fn embedding_provider(reader: &mut Reader<'_>, provider: &str) -> Option<Provider> {
    let (base, key) = (reader.var(BASE_URL), reader.var(API_KEY));
    if provider != openai::PROVIDER || (base.is_none() && key.is_none()) {
        return reader.provider(provider);
    }
    let base = base.as_deref().unwrap_or(openai::DEFAULT_BASE_URL);
    let base_url = reader.url(BASE_URL, base, key.is_some())?;
    Some(Provider::OpenAi {
        api_key: key.map(SecretString::from),
        base_url,
    })
}

fn usual_model(reader: &mut Reader<'_>, provider: &str) -> Option<String> {
    let shared = match reader.var(API_KEY) {
        Some(_) => None,
        None => reader.var("OPENAI_BASE_URL"),
    };
    let is_elsewhere = reader
        .var(BASE_URL)
        .or(shared)
        .is_some_and(|base| !base.contains("://api.openai.com"));
    match provider {
        openai::PROVIDER if is_elsewhere => {
            reader.problem(format!(
                "{MODELS} is missing; a server of one's own has its own names for models"
            ));
            None
        }
        openai::PROVIDER => Some("text-embedding-3-small".to_owned()),
        _ => Some("amazon.titan-embed-text-v2:0".to_owned()),
    }
}

fn usual_width(name: &str) -> usize {
    let is_third =
        name.contains("cohere.embed-english-v3") || name.contains("cohere.embed-multilingual-v3");
    match is_third {
        true => COHERE_3_WIDTH,
        false => USUAL_WIDTH,
    }
}

#[cfg(feature = "minilm")]
fn minilm(reader: &mut Reader<'_>) -> Option<Arc<dyn Embedder>> {
    const FILE: &str = "OVERGLASS_MINILM_FILE";
    let Some(path) = reader.var(FILE) else {
        reader.problem(format!(
            "{FILE} is missing; tools/embedding/minilm.py makes the file"
        ));
        return None;
    };
    let model = embedding::MiniLm::load(path.as_ref());
    model
        .map(|model| Arc::new(model) as _)
        .map_err(|error| reader.problem(format!("{FILE}: {error}")))
        .ok()
}

#[cfg(not(feature = "minilm"))]
fn minilm(reader: &mut Reader<'_>) -> Option<Arc<dyn Embedder>> {
    reader.problem(format!(
        "{MODELS} names `minilm`, and this program was built without the feature `minilm`"
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(variables: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let embedders = embedders_from_env(&get).map_err(|error| error.problems)?;
        let mut ids = vec![embedders.default_model().model().to_string()];
        ids.extend(embedders.ids().map(str::to_owned));
        Ok(ids)
    }

    #[test]
    fn without_a_word_it_is_the_static_model() {
        let only = vec!["static-en-256@1".to_owned(); 2];
        assert_eq!(ids(&[]), Ok(only.clone()));
        assert_eq!(ids(&[(PROVIDER, "static")]), Ok(only));
    }

    #[test]
    fn a_provider_has_a_usual_model() {
        let found = ids(&[(PROVIDER, "openai"), ("OPENAI_API_KEY", "k")]).expect("configured");
        assert_eq!(found[0], "openai::text-embedding-3-small@256");
        let found = ids(&[(PROVIDER, "bedrock"), ("AWS_REGION", "eu-west-1")]).expect("configured");
        assert_eq!(found[0], "bedrock::amazon.titan-embed-text-v2:0@256");
    }

    #[test]
    fn several_models_can_be_at_hand_and_the_first_is_the_default() {
        let found = ids(&[
            (
                MODELS,
                "openai::text-embedding-3-large@1024, static, bedrock::cohere.embed-english-v3",
            ),
            ("OPENAI_API_KEY", "k"),
            ("AWS_REGION", "eu-west-1"),
        ])
        .expect("configured");
        assert_eq!(
            found,
            [
                "openai::text-embedding-3-large@1024",
                "bedrock::cohere.embed-english-v3@1024",
                "openai::text-embedding-3-large@1024",
                "static-en-256@1"
            ]
        );
    }

    #[test]
    fn a_server_of_ones_own_needs_no_key_and_a_name() {
        let base = (BASE_URL, "http://127.0.0.1:11434/v1");
        let found = ids(&[(PROVIDER, "openai"), base, (MODELS, "bge-m3@1024")]);
        assert_eq!(found.expect("configured")[0], "openai::bge-m3@1024");
        let problems = ids(&[(PROVIDER, "openai"), base]).expect_err("no name");
        assert!(problems[0].starts_with(MODELS), "{problems:?}");
    }

    #[test]
    fn what_cannot_be_is_named_by_its_variable() {
        let key = ("OPENAI_API_KEY", "k");
        for (variables, expected) in [
            (vec![(PROVIDER, "acme")], PROVIDER),
            (vec![(PROVIDER, "openai")], "OPENAI_API_KEY"),
            (vec![(MODELS, "openai::m@512"), key], MODELS),
            (vec![(MODELS, "openai::m@many"), key], MODELS),
            (vec![(MODELS, "acme::m")], MODELS),
            (vec![(MODELS, "static::m")], MODELS),
            (
                vec![
                    (MODELS, "bedrock::amazon.nova-pro-v1:0"),
                    ("AWS_REGION", "r"),
                ],
                MODELS,
            ),
            (
                vec![(MODELS, "bedrock::amazon.titan-embed-text-v2:0")],
                "AWS_REGION",
            ),
            (
                vec![
                    (MODELS, "openai::m"),
                    (BASE_URL, "http://example.com/v1"),
                    (API_KEY, "k"),
                ],
                BASE_URL,
            ),
        ] {
            let problems = ids(&variables).expect_err(expected);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected), "{problems:?}");
        }
    }
}
