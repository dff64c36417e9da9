//! Several models for one answer: when one cannot give it, the next one is asked.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::reply::{Delta, PassedOver};

/// Models in the order in which they are asked.
///
/// The next one is asked only before the first piece of a reply, and only about what it may do
/// better: see [`ModelError::another_provider_may_help`]. A call of which nobody knows whether
/// the provider works on it is not made elsewhere unless that was allowed, since both would be
/// paid for.
///
/// An empty [`ChatRequest::model`] asks each for its own default. A name with a provider asks
/// only those of that provider, and a bare name only the first.
pub struct Failover {
    models: Vec<Arc<dyn ChatModel>>,
    first: ModelId,
    repeat_unknown: bool,
}

impl Failover {
    /// A model that stands for several; `None` when there are none.
    pub fn new(models: Vec<Arc<dyn ChatModel>>) -> Option<Self> {
        let first = models.first()?.id().clone();
        Some(Self {
            models,
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
        let requested = requested.trim();
        let provider = requested.split_once("::").map(|(provider, _)| provider);
        let asked = match (requested, provider) {
            ("", _) => &self.models[..],
            (_, None) => &self.models[..1],
            (_, Some(_)) => &self.models[..],
        };
        let mut chosen: Vec<Candidate> = Vec::new();
        for model in asked {
            if provider.is_some_and(|provider| provider != model.id().provider) {
                continue;
            }
            let ids = model.candidates(requested)?.into_iter();
            chosen.extend(ids.map(|id| Candidate {
                model: Arc::clone(model),
                id,
            }));
        }
        if chosen.is_empty() {
            let configured = self.models.iter().map(|model| model.id().provider.clone());
            return Err(unknown_provider(requested, configured.collect()));
        }
        Ok(chosen)
    }
}

#[async_trait]
impl ChatModel for Failover {
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

/// One that may be asked.
pub(crate) struct Candidate {
    pub model: Arc<dyn ChatModel>,
    /// What it is asked for.
    pub id: ModelId,
}

/// The failure to find who could answer for `requested`.
pub(crate) fn unknown_provider(requested: &str, mut configured: Vec<String>) -> ModelError {
    configured.sort();
    configured.dedup();
    let provider = requested.split_once("::").map_or("", |(name, _)| name);
    ModelError::UnknownProvider {
        model: crate::fault::clean(requested, &[]),
        provider: crate::fault::clean(provider, &[]),
        configured,
    }
}

/// Asks one after the other until one begins to answer.
pub(crate) async fn first_answer(
    candidates: Vec<Candidate>,
    mut request: ChatRequest,
    repeat_unknown: bool,
) -> Result<DeltaStream, ModelError> {
    let alone = candidates.len() == 1;
    let mut failures: Vec<(ModelId, ModelError)> = Vec::new();
    for Candidate { model, id } in candidates {
        request.model = id.to_string();
        let started = match alone {
            // Nobody is left to ask, so there is nothing to find out before handing on.
            true => model.stream(request.clone()).await,
            false => begun(&*model, request.clone()).await,
        };
        let error = match started {
            Ok(deltas) => {
                let passed_over = failures
                    .into_iter()
                    .map(|(id, error)| PassedOver::new(id, &error))
                    .collect();
                return Ok(introduced(deltas, id, passed_over));
            }
            Err(error) => error,
        };
        let moves_on =
            error.another_provider_may_help() && (repeat_unknown || !error.may_have_been_billed());
        if !moves_on {
            return Err(error);
        }
        if !alone {
            tracing::warn!(model = %id, code = error.code(), "a model cannot answer; the next one is asked");
        }
        failures.push((id, error));
    }
    Err(most_telling(failures))
}

/// Starts a call and waits for the first piece of its reply: until then, another model may still
/// be asked. Who answers and what it read so far are no pieces.
async fn begun(model: &dyn ChatModel, request: ChatRequest) -> Result<DeltaStream, ModelError> {
    let mut deltas = model.stream(request).await?;
    let mut head = Vec::new();
    loop {
        let delta = deltas
            .next()
            .await
            .ok_or_else(|| ModelError::malformed("the reply has no end"))??;
        let is_preamble = matches!(delta, Delta::Started { .. } | Delta::Usage { .. });
        head.push(Ok(delta));
        if !is_preamble {
            return Ok(stream::iter(head).chain(deltas).boxed());
        }
    }
}

/// A stream that tells who answers, also when the model itself does not.
fn introduced(deltas: DeltaStream, id: ModelId, passed_over: Vec<PassedOver>) -> DeltaStream {
    let mut own = Some(Delta::Started {
        model: id,
        passed_over: Vec::new(),
    });
    let deltas = deltas.flat_map(move |delta| {
        let missing = match &delta {
            Ok(Delta::Started { .. }) => own.take().and(None),
            _ => own.take(),
        };
        stream::iter(missing.map(Ok).into_iter().chain([delta]))
    });
    with_passed_over(deltas, passed_over).boxed()
}

/// A stream that also tells who was asked before.
pub(crate) fn with_passed_over(
    deltas: impl Stream<Item = Result<Delta, ModelError>> + Send,
    before: Vec<PassedOver>,
) -> impl Stream<Item = Result<Delta, ModelError>> + Send {
    let mut before = Some(before);
    deltas.map(move |delta| match delta {
        Ok(Delta::Started { model, passed_over }) => {
            let mut all = before.take().unwrap_or_default();
            all.extend(passed_over);
            Ok(Delta::Started {
                model,
                passed_over: all,
            })
        }
        other => other,
    })
}

/// The one failure to report of several: one that may cost something, so that the cost is not
/// forgotten; else the one that passes soonest; else the last.
fn most_telling(failures: Vec<(ModelId, ModelError)>) -> ModelError {
    let rank = |error: &ModelError| {
        let wait = error.retry_after().unwrap_or_default();
        match (error.may_have_been_billed(), error.is_retry_safe()) {
            (true, _) => (0, wait),
            (false, true) => (1, wait),
            (false, false) => (2, wait),
        }
    };
    failures
        .into_iter()
        .rev()
        .map(|(_, error)| error)
        .min_by_key(rank)
        .unwrap_or_else(|| ModelError::InvalidRequest {
            message: "there is no model to ask".to_owned(),
        })
}
