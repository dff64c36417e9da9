//! The journal of a run: what was asked of the outside and what came back, by step and call.

use std::collections::BTreeMap;

use domain::execution::{Effect, EffectOutcome};

/// The effects of a run by step and call.
#[derive(Debug, Default)]
pub(crate) struct Journal(BTreeMap<(u32, u32), Effect>);

impl Journal {
    pub(crate) fn new(effects: Vec<Effect>) -> Self {
        Self(
            effects
                .into_iter()
                .map(|effect| ((effect.step, effect.call), effect))
                .collect(),
        )
    }

    /// What came back from a call, if it did.
    pub(crate) fn settled(&self, step: u32, call: u32) -> Option<&EffectOutcome> {
        self.0
            .get(&(step, call))
            .and_then(|effect| effect.outcome.as_ref())
    }

    /// What is known of a call.
    pub(crate) fn effect(&self, step: u32, call: u32) -> Option<&Effect> {
        self.0.get(&(step, call))
    }

    /// Whether a call was begun, perhaps by a worker that died during it.
    pub(crate) fn begun(&self, step: u32, call: u32) -> bool {
        self.attempts(step, call) > 0
    }

    /// How often a call was begun.
    pub(crate) fn attempts(&self, step: u32, call: u32) -> u32 {
        self.0
            .get(&(step, call))
            .map_or(0, |effect| effect.attempts)
    }

    /// All effects, in order.
    pub(crate) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.0.values()
    }

    pub(crate) fn record(&mut self, effect: Effect) {
        self.0.insert((effect.step, effect.call), effect);
    }
}
