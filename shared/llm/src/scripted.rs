//! A model that says what a test or a benchmark tells it to.
//!
//! It follows the same protocol as every other model, so a runner cannot tell the difference:
//! it records what it is asked, plays turns in order or computes them from the request, fails
//! before, between or after the pieces of a reply, and waits at a gate until it is let through.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::reply::{Delta, StopReason, Usage};
use crate::structured::{Check, deliver};

type Compute = dyn Fn(&ChatRequest, usize) -> Turn + Send + Sync;

/// A scripted model. Clones share the script and the record.
#[derive(Clone)]
pub struct Scripted {
    id: ModelId,
    script: Arc<Script>,
}

struct Script {
    turns: Mutex<VecDeque<Turn>>,
    compute: Option<Box<Compute>>,
    requests: Mutex<Vec<ChatRequest>>,
    calls: AtomicUsize,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("id", &self.id)
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

impl Scripted {
    /// Plays `turns` in order. A call after the last one fails with
    /// [`ModelError::InvalidRequest`], which shows a runner that asks too often.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self::with(turns.into_iter().collect(), None)
    }

    /// Computes each turn from the request and the number of the call, from 0. For runs in
    /// parallel, where no order of calls can be written down.
    pub fn computed(turn: impl Fn(&ChatRequest, usize) -> Turn + Send + Sync + 'static) -> Self {
        Self::with(VecDeque::new(), Some(Box::new(turn)))
    }

    fn with(turns: VecDeque<Turn>, compute: Option<Box<Compute>>) -> Self {
        Self {
            id: ModelId::new("scripted", "test"),
            script: Arc::new(Script {
                turns: Mutex::new(turns),
                compute,
                requests: Mutex::new(Vec::new()),
                calls: AtomicUsize::new(0),
            }),
        }
    }

    /// The same model under another id.
    #[must_use]
    pub fn named(mut self, id: ModelId) -> Self {
        self.id = id;
        self
    }

    /// How often it was called, failed calls included.
    pub fn calls(&self) -> usize {
        self.script.calls.load(Ordering::SeqCst)
    }

    /// What it was asked, in order.
    pub fn requests(&self) -> Vec<ChatRequest> {
        lock(&self.script.requests).clone()
    }

    /// How many scripted turns are left.
    pub fn turns_left(&self) -> usize {
        lock(&self.script.turns).len()
    }
}

/// One reply of a script.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    deltas: Vec<Delta>,
    refuse: Option<ModelError>,
    cut: Option<(usize, ModelError)>,
    gate: Option<(usize, Gate)>,
    pace: Option<Duration>,
}

impl Turn {
    /// Answers with text, a word at a time.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::reply(text.as_ref(), Vec::<(String, Value)>::new())
    }

    /// Calls tools: `(name, arguments)`. The ids are `call_0`, `call_1`, … of this turn; see
    /// [`Turn::with_id_prefix`].
    pub fn calls<N: Into<String>>(calls: impl IntoIterator<Item = (N, Value)>) -> Self {
        Self::reply("", calls)
    }

    /// Says something and calls tools.
    pub fn reply<N: Into<String>>(text: &str, calls: impl IntoIterator<Item = (N, Value)>) -> Self {
        let mut deltas: Vec<Delta> = text
            .split_inclusive(' ')
            .map(|word| Delta::TextDelta { text: word.into() })
            .collect();
        let mut count = 0u32;
        for (name, arguments) in calls {
            deltas.push(Delta::ToolCallStart {
                index: count,
                id: format!("call_{count}"),
                name: name.into(),
            });
            let fragment = match arguments {
                // A string stands for arguments that are not JSON.
                Value::String(raw) => raw,
                other => other.to_string(),
            };
            if !fragment.is_empty() {
                deltas.push(Delta::ToolCallArguments {
                    index: count,
                    fragment,
                });
            }
            count += 1;
        }
        deltas.push(Delta::Usage {
            usage: Usage {
                input_tokens: 100,
                output_tokens: 10,
                ..Usage::default()
            },
        });
        deltas.push(Delta::Finished {
            stop_reason: match count {
                0 => StopReason::EndTurn,
                _ => StopReason::ToolCalls,
            },
        });
        Self {
            deltas,
            ..Self::default()
        }
    }

    /// Sends exactly these deltas, however wrong.
    pub fn raw(deltas: impl IntoIterator<Item = Delta>) -> Self {
        Self {
            deltas: deltas.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Refuses the call before the first byte.
    pub fn fail(error: ModelError) -> Self {
        Self {
            refuse: Some(error),
            ..Self::default()
        }
    }

    /// Gives the tool calls ids that begin with `prefix`, so that turns do not share ids.
    #[must_use]
    pub fn with_id_prefix(mut self, prefix: &str) -> Self {
        for delta in &mut self.deltas {
            if let Delta::ToolCallStart { id, .. } = delta {
                *id = format!("{prefix}{id}");
            }
        }
        self
    }

    /// Reports this usage instead of 100 tokens in and 10 out.
    #[must_use]
    pub fn with_usage(mut self, used: Usage) -> Self {
        for delta in &mut self.deltas {
            if let Delta::Usage { usage } = delta {
                *usage = used;
            }
        }
        self
    }

    /// Ends for this reason instead of the natural one.
    #[must_use]
    pub fn with_stop_reason(mut self, reason: StopReason) -> Self {
        for delta in &mut self.deltas {
            if let Delta::Finished { stop_reason } = delta {
                *stop_reason = reason;
            }
        }
        self
    }

    /// Breaks off with `error` after `deltas` pieces.
    #[must_use]
    pub fn cut_after(mut self, deltas: usize, error: ModelError) -> Self {
        self.cut = Some((deltas, error));
        self
    }

    /// Waits at `gate` after `deltas` pieces.
    #[must_use]
    pub fn gated_after(mut self, deltas: usize, gate: &Gate) -> Self {
        self.gate = Some((deltas, gate.clone()));
        self
    }

    /// Waits this long before each piece.
    #[must_use]
    pub fn paced(mut self, pause: Duration) -> Self {
        self.pace = Some(pause);
        self
    }

    fn play(self) -> DeltaStream {
        let Self {
            deltas,
            cut,
            gate,
            pace,
            ..
        } = self;
        let mut steps: Vec<Step> = deltas
            .into_iter()
            .map(|delta| Step::Item(Ok(delta)))
            .collect();
        if let Some((position, error)) = cut {
            steps.truncate(position);
            steps.push(Step::Item(Err(error)));
        }
        if let Some((position, gate)) = gate {
            steps.insert(position.min(steps.len()), Step::Gate(gate));
        }
        stream::iter(steps)
            .filter_map(move |step| async move {
                match step {
                    Step::Item(item) => {
                        if let Some(pause) = pace {
                            tokio::time::sleep(pause).await;
                        }
                        Some(item)
                    }
                    Step::Gate(gate) => {
                        gate.pass().await;
                        None
                    }
                }
            })
            .boxed()
    }
}

enum Step {
    Item(Result<Delta, ModelError>),
    Gate(Gate),
}

/// A place where a scripted reply waits, so that a test can act at a known moment: cancel a run,
/// kill a worker, let a lease end.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    opened: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            opened: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until a reply stands at the gate.
    pub async fn arrived(&self) {
        // The semaphores are never closed, so there is no error to handle.
        if let Ok(permit) = self.arrived.acquire().await {
            permit.forget();
        }
    }

    /// Lets one waiting reply through, or the next one that comes.
    pub fn open(&self) {
        self.opened.add_permits(1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        if let Ok(permit) = self.opened.acquire().await {
            permit.forget();
        }
    }
}

#[async_trait]
impl ChatModel for Scripted {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let number = self.script.calls.fetch_add(1, Ordering::SeqCst);
        let turn = match &self.script.compute {
            Some(compute) => Some(compute(&request, number)),
            None => lock(&self.script.turns).pop_front(),
        };
        let check = Check::of(&request)?;
        let asked = self.id.resolve(&request.model).ok();
        let name = asked.unwrap_or(&self.id.name).to_owned();
        lock(&self.script.requests).push(request);
        let turn = turn.ok_or_else(|| ModelError::InvalidRequest {
            message: format!("the script has no turn for call {number}"),
        })?;
        match turn.refuse {
            Some(error) => Err(error),
            // Positions in a turn count what it says, not the word of who says it.
            None => {
                let id = ModelId::new(&self.id.provider, name);
                Ok(deliver(id, turn.play(), None, check))
            }
        }
    }
}

/// A test that panics elsewhere should show its own panic, not a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
