//! Every configured provider behind one [`ChatModel`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::failover::{Candidate, first_answer, unknown_provider};
use crate::model::{ChatModel, DeltaStream, ModelId};

/// Finds the provider that a request names.
///
/// | [`ChatRequest::model`] | asks |
/// |---|---|
/// | empty | the default models, in order, as [`Failover`](crate::Failover) does |
/// | `provider::name` | that provider for that model |
/// | `a::x,b::y` | the first, and the next one if that cannot answer |
/// | `name` | the provider of the first default model |
///
/// A provider that is not configured is [`ModelError::UnknownProvider`]: answering with another
/// model than the one asked for would be silent and wrong.
pub struct Router {
    providers: BTreeMap<String, Arc<dyn ChatModel>>,
    default: Vec<ModelId>,
    first: ModelId,
    repeat_unknown: bool,
}

impl Router {
    /// A router over clients of different providers, each of which takes any model name of its
    /// provider. `default` answers requests that name no model; `None` when it is empty.
    pub fn new(providers: Vec<Arc<dyn ChatModel>>, default: Vec<ModelId>) -> Option<Self> {
        let first = default.first()?.clone();
        let providers = providers
            .into_iter()
            .map(|model| (model.id().provider.clone(), model))
            .collect();
        Some(Self {
            providers,
            default,
            first,
            repeat_unknown: false,
        })
    }

    /// Whether to move on after a call whose outcome nobody knows. See
    /// [`RetryPolicy::repeat_unknown`](crate::RetryPolicy::repeat_unknown).
    #[must_use]
    pub fn repeating_unknown(mut self, allowed: bool) -> Self {
        self.repeat_unknown = allowed;
        self
    }

    fn choose(&self, requested: &str) -> Result<Vec<Candidate>, ModelError> {
        let ids = match requested.trim() {
            "" => self.default.clone(),
            names => names
                .split(',')
                .map(|name| self.id_of(name.trim()))
                .collect::<Result<_, _>>()?,
        };
        ids.into_iter()
            .map(|id| match self.providers.get(&id.provider) {
                Some(model) => Ok(Candidate {
                    model: Arc::clone(model),
                    id,
                }),
                None => Err(unknown_provider(
                    &id.to_string(),
                    self.providers.keys().cloned().collect(),
                )),
            })
            .collect()
    }

    fn id_of(&self, name: &str) -> Result<ModelId, ModelError> {
        let (provider, model) = name
            .split_once("::")
            .unwrap_or((self.first.provider.as_str(), name));
        if model.is_empty() {
            return Err(ModelError::UnknownModel {
                model: name.to_owned(),
                provider: provider.to_owned(),
            });
        }
        Ok(ModelId::new(provider, model))
    }
}

#[async_trait]
impl ChatModel for Router {
    fn id(&self) -> &ModelId {
        &self.first
    }

    fn candidates(&self, requested: &str) -> Result<Vec<ModelId>, ModelError> {
        let chosen = self.choose(requested)?;
        Ok(chosen.into_iter().map(|candidate| candidate.id).collect())
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let chosen = self.choose(&request.model)?;
        first_answer(chosen, request, self.repeat_unknown).await
    }
}
