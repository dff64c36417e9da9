//! Trying again, where that is certain to do no harm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use rand::Rng;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::failover::with_passed_over;
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::reply::PassedOver;

/// The wait before the first retry, where the provider asks for none; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// How often, how long and after what a call is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most retries of one call; 0 for none.
    pub retries: u32,
    /// The longest wait for one of them. A provider that asks for more gets its way: the error
    /// goes to the caller, who can park the work instead of paying a worker for waiting.
    pub longest_wait: Duration,
    /// Whether a call may be made again, here or elsewhere, when nobody knows whether the
    /// provider is working on it: no answer in time, a lost connection, a failing gateway. It
    /// may then be paid for twice, so this is off unless the caller knows how to account for it.
    pub repeat_unknown: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 2,
            longest_wait: Duration::from_secs(2),
            repeat_unknown: false,
        }
    }
}

impl RetryPolicy {
    /// How long to wait before retry number `retry`, from 0; nothing when it is not to be made.
    fn wait(&self, error: &ModelError, retry: u32) -> Option<Duration> {
        let safe = match self.repeat_unknown {
            true => error.is_retry_safe(),
            false => error.is_refused_for_now(),
        };
        if !safe || retry >= self.retries {
            return None;
        }
        match error.retry_after() {
            Some(wait) => (wait <= self.longest_wait).then_some(wait),
            None => {
                // Spread out, so that workers which were refused together do not return together.
                let full = FIRST_WAIT.saturating_mul(1 << retry.min(16));
                let share = rand::rng().random_range(0.5..1.0);
                Some(full.mul_f64(share).min(self.longest_wait))
            }
        }
    }
}

/// A model that is asked again after it refused a call before it began.
///
/// Never after the first byte of a reply: what fails inside the stream goes to the caller.
pub struct Retry {
    model: Arc<dyn ChatModel>,
    policy: RetryPolicy,
}

impl Retry {
    /// The same model, asked again as `policy` allows.
    pub fn new(model: Arc<dyn ChatModel>, policy: RetryPolicy) -> Self {
        Self { model, policy }
    }
}

#[async_trait]
impl ChatModel for Retry {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn candidates(&self, requested: &str) -> Result<Vec<ModelId>, ModelError> {
        self.model.candidates(requested)
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let mut passed_over: Vec<PassedOver> = Vec::new();
        let mut retry = 0;
        loop {
            let error = match self.model.stream(request.clone()).await {
                Ok(deltas) if passed_over.is_empty() => return Ok(deltas),
                Ok(deltas) => return Ok(with_passed_over(deltas, passed_over).boxed()),
                Err(error) => error,
            };
            let Some(wait) = self.policy.wait(&error, retry) else {
                return Err(error);
            };
            let first = self.model.candidates(&request.model)?.into_iter().next();
            let model = first.unwrap_or_else(|| self.id().clone());
            tracing::warn!(
                model = %model,
                code = error.code(),
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "a model refused a call for now; it is asked again"
            );
            passed_over.push(PassedOver::new(model, &error));
            tokio::time::sleep(wait).await;
            retry += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::collect;
    use crate::scripted::{Scripted, Turn};

    fn limited(seconds: Option<u64>) -> ModelError {
        ModelError::RateLimited {
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy {
            retries: 2,
            longest_wait: Duration::from_secs(10),
            repeat_unknown: false,
        }
    }

    fn unknown() -> ModelError {
        ModelError::ConnectionLost {
            received_any: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_now_is_waited_out_as_long_as_it_asks() {
        let script = Scripted::new([
            Turn::fail(limited(Some(7))),
            Turn::fail(ModelError::Unreachable {
                message: "refused".into(),
            }),
            Turn::text("Yes."),
        ]);
        let model = Retry::new(Arc::new(script.clone()), policy());
        let before = tokio::time::Instant::now();
        let reply = collect(model.stream(ChatRequest::default()).await.unwrap())
            .await
            .unwrap();
        let waited = before.elapsed();
        assert_eq!(reply.text, "Yes.");
        assert_eq!(script.calls(), 3);
        // Seven seconds as asked, and then between a quarter and half a second.
        assert!(waited >= Duration::from_millis(7250), "{waited:?}");
        assert!(waited < Duration::from_millis(7600), "{waited:?}");
        let codes: Vec<&str> = reply.passed_over.iter().map(|over| &*over.code).collect();
        assert_eq!(codes, ["rate_limited", "unreachable"]);
        assert!(
            reply
                .passed_over
                .iter()
                .all(|over| !over.may_have_been_billed)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_safe_is_not_repeated() {
        let errors = [
            unknown(),
            ModelError::Timeout {
                after: Duration::from_secs(1),
                received_any: false,
            },
            ModelError::Unavailable {
                status: 500,
                message: "x".into(),
                retry_after: None,
            },
            ModelError::InvalidRequest {
                message: "x".into(),
            },
            // Longer than there is to wait.
            limited(Some(11)),
        ];
        for error in errors {
            let script = Scripted::new([Turn::fail(error.clone()), Turn::text("Yes.")]);
            let model = Retry::new(Arc::new(script.clone()), policy());
            let found = model.stream(ChatRequest::default()).await.err().unwrap();
            assert_eq!(found, error);
            assert_eq!(script.calls(), 1, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_repeated_once_a_reply_has_begun() {
        let script = Scripted::new([
            Turn::text("One two.").cut_after(1, limited(None)),
            Turn::text("Yes."),
        ]);
        let model = Retry::new(Arc::new(script.clone()), policy());
        let reply = collect(model.stream(ChatRequest::default()).await.unwrap()).await;
        assert_eq!(reply.unwrap_err(), limited(None));
        assert_eq!(script.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_outcome_is_repeated_only_with_leave() {
        let script = Scripted::new([Turn::fail(unknown()), Turn::text("Yes.")]);
        let allowed = RetryPolicy {
            repeat_unknown: true,
            ..policy()
        };
        let model = Retry::new(Arc::new(script.clone()), allowed);
        let reply = collect(model.stream(ChatRequest::default()).await.unwrap())
            .await
            .unwrap();
        assert_eq!(reply.text, "Yes.");
        assert!(reply.passed_over[0].may_have_been_billed);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_come_to_an_end() {
        let script = Scripted::computed(|_, _| Turn::fail(limited(None)));
        let model = Retry::new(Arc::new(script.clone()), policy());
        assert!(model.stream(ChatRequest::default()).await.is_err());
        assert_eq!(script.calls(), 3);
    }
}
