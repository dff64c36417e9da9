//! How much is done, how fast, and what goes wrong how often.

use std::time::Duration;

use clap::ValueEnum;

use crate::checks::rules;

/// A fault that is built into the stage, so that the checks are seen to find one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Control {
    /// Some transactions are acknowledged and never carried out.
    LostWrites,
    /// Writes of attempts that were replaced are carried out, without their conditions.
    StaleWrites,
    /// The end of a run that was called does not wake its caller.
    ForgottenCallers,
    /// Workers write whatever became of the run meanwhile, such as that somebody has paused it.
    DeafWorkers,
    /// Accounts are not told what calls have cost.
    FreeCalls,
}

impl Control {
    pub(crate) const ALL: [Self; 5] = [
        Self::LostWrites,
        Self::StaleWrites,
        Self::ForgottenCallers,
        Self::DeafWorkers,
        Self::FreeCalls,
    ];

    /// The rule that has to find it, where there is one for it alone.
    pub(crate) const fn rule(self) -> Option<&'static str> {
        match self {
            Self::LostWrites | Self::StaleWrites => None,
            Self::ForgottenCallers => Some(rules::CALLERS_ARE_TOLD),
            Self::DeafWorkers => Some(rules::PAUSES_HOLD),
            Self::FreeCalls => Some(rules::LEDGERS_ADD_UP),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LostWrites => "lost-writes",
            Self::StaleWrites => "stale-writes",
            Self::ForgottenCallers => "forgotten-callers",
            Self::DeafWorkers => "deaf-workers",
            Self::FreeCalls => "free-calls",
        }
    }
}

/// One run of the whole.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many executions must be acknowledged.
    pub(crate) executions: u64,
    /// How many workers are killed.
    pub(crate) kills: u64,
    /// How many workers run at the same time.
    pub(crate) workers: u32,
    /// How many executions are under way at the same time. Below what the workers can take, so
    /// that what is measured is recovery and not a queue.
    pub(crate) window: usize,
    /// How many jobs one worker runs at the same time.
    pub(crate) slots: usize,
    /// How long a claim holds without being renewed.
    pub(crate) lease: Duration,
    /// How much longer than its lease a lost job may wait for its next attempt.
    pub(crate) grace: Duration,
    /// How long nothing may come to its end before the rest is given up as stuck.
    pub(crate) patience: Duration,
    /// How long it may take in all; then it is judged as it stands.
    pub(crate) limit: Duration,
    /// Kills are spread over the time until this part of the executions has ended, so that each
    /// finds workers at work.
    pub(crate) killing_ends: f64,
    /// How many doorbells may be dropped.
    pub(crate) droppable: u64,
    /// Whether every fault must have hit every operation.
    pub(crate) covers_everything: bool,
    pub(crate) control: Option<Control>,
}

const LEASE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(5);

impl Plan {
    /// What a release has to pass.
    pub(crate) fn long(seed: u64) -> Self {
        Self {
            seed,
            executions: 2_000,
            kills: 500,
            workers: 8,
            window: 32,
            slots: 12,
            lease: LEASE,
            grace: GRACE,
            patience: Duration::from_secs(180),
            limit: Duration::MAX,
            killing_ends: 0.95,
            droppable: u64::MAX,
            covers_everything: true,
            control: None,
        }
    }

    /// What every change has to pass.
    pub(crate) fn short(seed: u64) -> Self {
        Self {
            executions: 60,
            kills: 15,
            workers: 4,
            window: 30,
            droppable: 3,
            patience: Duration::from_secs(60),
            killing_ends: 0.6,
            covers_everything: false,
            ..Self::long(seed)
        }
    }

    /// A run that has to be found wanting.
    pub(crate) fn control(seed: u64, control: Control) -> Self {
        let slowly = control == Control::ForgottenCallers;
        Self {
            executions: if slowly { 24 } else { 16 },
            kills: 3,
            workers: 2,
            window: 24,
            droppable: 0,
            // What nobody is told is only seen once everybody else was.
            patience: Duration::from_secs(if slowly { 15 } else { 10 }),
            limit: Duration::from_secs(if slowly { 35 } else { 20 }),
            control: Some(control),
            ..Self::short(seed)
        }
    }
}
