//! What the model says: a play for each input, step by step, and how often it has called anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm::scripted::{Scripted, Turn};
use llm::{ChatRequest, Message};
use serde_json::{Value, json};

/// A tool's name and arguments; a text stands for arguments that are sent as they are.
pub type Call = (String, Value);

/// What the runs of the attacked org ask, and nobody else.
pub const OF_THE_VICTIM: &str = "How often?";

/// What the model says in one step.
#[derive(Debug, Clone, Default)]
pub struct Step {
    pub text: String,
    pub calls: Vec<Call>,
}

impl Step {
    pub fn calls(calls: impl IntoIterator<Item = Call>) -> Self {
        Self {
            calls: calls.into_iter().collect(),
            ..Self::default()
        }
    }

    pub fn says(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }
}

/// What the model does with an input.
#[derive(Debug, Clone)]
pub enum Play {
    /// These steps, then an answer.
    Steps(Vec<Step>),
    /// The same step for ever.
    Forever(Step),
    /// One call, and then whatever its result says is to be done.
    Obey(Call),
}

/// All plays. Clones share them.
#[derive(Clone, Default)]
pub struct Script {
    plays: Arc<Mutex<BTreeMap<String, Play>>>,
    calls: Arc<AtomicUsize>,
    canary: Arc<Mutex<String>>,
}

impl Script {
    /// A model whose runs for the victim say the canary, and keep it in mind.
    pub fn new(canary: &str) -> Self {
        let script = Self::default();
        canary.clone_into(&mut lock(&script.canary));
        script
    }

    pub fn play(&self, input: &str, play: Play) {
        lock(&self.plays).insert(input.to_owned(), play);
    }

    /// How many calls the model has emitted.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn model(&self) -> Scripted {
        let script = self.clone();
        Scripted::computed(move |request, _| script.turn(request))
    }

    fn turn(&self, request: &ChatRequest) -> Turn {
        let input = input(request);
        if input == OF_THE_VICTIM {
            return self.of_the_victim(request);
        }
        let turns = request.messages.iter();
        let step = turns
            .filter(|message| matches!(message, Message::Assistant { .. }))
            .count();
        let step = match lock(&self.plays).get(input) {
            None => Step::default(),
            Some(Play::Steps(steps)) => steps.get(step).cloned().unwrap_or_default(),
            Some(Play::Forever(always)) => always.clone(),
            Some(Play::Obey(call)) if step == 0 => Step::calls([call.clone()]),
            Some(Play::Obey(_)) if step == 1 => Step::calls(told_to_do(request)),
            Some(Play::Obey(_)) => Step::default(),
        };
        self.calls.fetch_add(step.calls.len(), Ordering::SeqCst);
        match step.text.as_str() {
            "" if step.calls.is_empty() => Turn::text("Done."),
            text => Turn::reply(text, step.calls),
        }
    }

    fn of_the_victim(&self, request: &ChatRequest) -> Turn {
        let canary = lock(&self.canary).clone();
        let may_remember = request.tools.iter().any(|tool| tool.name == "remember");
        match request.messages.len() {
            1 if may_remember => Turn::calls([("remember", json!({ "text": canary }))]),
            _ => Turn::text(canary),
        }
    }
}

/// What a run was asked.
pub fn input(request: &ChatRequest) -> &str {
    match request.messages.first() {
        Some(Message::User { text }) => text,
        _ => "",
    }
}

/// The calls that the last tool result orders.
fn told_to_do(request: &ChatRequest) -> Vec<Call> {
    let Some(Message::ToolResult { content, .. }) = request.messages.last() else {
        return Vec::new();
    };
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    let orders = content["body"]["do"].as_array().cloned();
    orders
        .unwrap_or_default()
        .into_iter()
        .map(|order| {
            let name = order["name"].as_str().unwrap_or_default().to_owned();
            (name, order["arguments"].clone())
        })
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
