//! What a state keeps, and the one form in which equal states are equal.

use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use serde_json::Value;
use work::{DeadReason, Fence, Job, JobError, JobState, Lane, NewJob};

use super::rules::{HORIZON, Scope, TICK};
use crate::world::clock::START;

/// Waits are cut to this many ticks. Longer ones add states in which only time passes.
const NEAR: u8 = 2;
/// A moment that does not come.
pub const NEVER: u8 = 3;
const FAR: Duration = Duration::from_secs(10 * 3_600);

/// What of a [`Job`] can matter. Times are ticks from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    pub state: JobState,
    pub attempts: u8,
    pub fence: u8,
    /// Whose claim it was, as long as somebody is in doubt about that; else 0.
    pub token: u8,
    pub lease: u8,
    pub due: u8,
    pub ring: Option<u8>,
    pub cancel: bool,
    pub wake: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub row: Row,
    /// Fenced effects that were applied.
    pub effects: u8,
    /// At least one ring is on its way.
    pub ringing: bool,
    pub approved: bool,
    /// Whoever approved has not yet had the answer to the wake.
    pub waking: bool,
}

/// A replacement on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    pub row: Row,
    /// The stored row is still the one it was computed from.
    pub fresh: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ends {
    Done,
    Retry,
    Yield,
    ParkShortly,
    ParkForApproval,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// A claim (or the end of a lost last attempt) is on its way.
    Claiming(Write),
    /// The claim was not answered: look whether the row carries its token. 0 is nobody's.
    Doubting(u8),
    /// The handler runs and knows so many steps to be done.
    Running { fence: u8, steps: u8 },
    /// The next step is on its way.
    Appending { fence: u8, steps: u8 },
    /// The outcome is to be computed from the row as it is now.
    Ending { fence: u8, ends: Ends },
    /// The outcome is on its way.
    Settling { fence: u8, ends: Ends, write: Write },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    pub job: u8,
    pub doing: Doing,
}

/// A request that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stray {
    Replace { job: u8, row: Row },
    Append { job: u8, fence: u8, steps: u8 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub places: Vec<Place>,
    /// Those at work; the others are idle and all alike.
    pub workers: Vec<Worker>,
    pub strays: Vec<Stray>,
    /// The note of the sweeper that is on its way.
    pub sweeper: Option<(u8, Write)>,
}

fn job_id(job: u8) -> JobId {
    JobId::from_u128(u128::from(job) + 1)
}

pub fn fence(job: u8, number: u8) -> Fence {
    Fence {
        org: OrgId::from_u128(1),
        job: job_id(job),
        number: u64::from(number),
    }
}

fn ticks(time: Timestamp) -> u8 {
    let ticks = time.since(START).as_millis().div_ceil(TICK.as_millis());
    if time.since(START) >= FAR / 2 {
        NEVER
    } else {
        (ticks as u8).min(NEAR)
    }
}

pub fn moment(ticks: u8) -> Timestamp {
    if ticks == NEVER {
        START.plus(FAR)
    } else {
        START.plus(TICK * u32::from(ticks))
    }
}

impl Row {
    pub fn of(job: &Job) -> Self {
        Self {
            state: job.state,
            attempts: job.attempts as u8,
            fence: job.fence as u8,
            token: job.lease_token.unwrap_or(0) as u8,
            lease: job.lease_until.map_or(0, ticks),
            due: if job.state.is_terminal() || job.state == JobState::Leased {
                0
            } else {
                ticks(job.due_at)
            },
            ring: job.ring_at.map(ticks),
            cancel: job.cancel_requested,
            wake: job.wake_requested,
        }
    }

    pub fn job(&self, job: u8, scope: &Scope) -> Job {
        let leased = self.state == JobState::Leased;
        let dead = self.state == JobState::Dead;
        Job {
            state: self.state,
            attempts: u32::from(self.attempts),
            max_attempts: scope.max_attempts,
            fence: u64::from(self.fence),
            lease_token: leased.then_some(u64::from(self.token)),
            lease_until: leased.then(|| moment(self.lease)),
            due_at: moment(self.due),
            ring_at: self.ring.map(moment),
            cancel_requested: self.cancel,
            wake_requested: self.wake,
            dead_reason: dead.then_some(DeadReason::Failed),
            error: dead.then(|| JobError::new("", "")),
            ..NewJob::new(OrgId::from_u128(1), "", Lane::Files, Value::Null)
                .id(job_id(job))
                .build(START)
        }
    }

    /// Whether a sweep finds the job in the due index.
    pub fn is_in_reach(&self) -> bool {
        self.ring.is_some_and(|ring| ring <= HORIZON)
    }

    pub fn age(&mut self) {
        let down = |ticks: &mut u8| {
            if *ticks != NEVER {
                *ticks = ticks.saturating_sub(1);
            }
        };
        down(&mut self.lease);
        down(&mut self.due);
        if let Some(ring) = &mut self.ring {
            down(ring);
        }
    }
}

impl State {
    pub fn first(scope: &Scope) -> Self {
        let job = NewJob::new(OrgId::from_u128(1), "", Lane::Files, Value::Null).build(START);
        let place = Place {
            row: Row::of(&job),
            effects: 0,
            ringing: true,
            approved: !scope.approvals,
            waking: false,
        };
        Self {
            places: vec![place; scope.jobs],
            workers: Vec::new(),
            strays: Vec::new(),
            sweeper: None,
        }
    }

    pub fn has_ended(&self) -> bool {
        self.places
            .iter()
            .all(|place| place.row.state.is_terminal())
    }

    /// The same state in the one form that all equal states share.
    pub fn canonical(mut self) -> Self {
        for job in 0..self.places.len() as u8 {
            self.rank_fences(job);
        }
        self.workers.sort_unstable();
        self.name_tokens();
        self.strays.sort_unstable();
        self.strays.dedup();
        self
    }

    /// Tokens that somebody is in doubt about become 1, 2, …; the others do not matter.
    fn name_tokens(&mut self) {
        let mut names = [0u8; 256];
        let mut named = 0;
        for worker in &mut self.workers {
            if let Doing::Doubting(token) = &mut worker.doing
                && *token != 0
            {
                named += 1;
                names[usize::from(*token)] = named;
                *token = named;
            }
        }
        let rename = |row: &mut Row| row.token = names[usize::from(row.token)];
        for place in &mut self.places {
            rename(&mut place.row);
        }
        for worker in &mut self.workers {
            if let Doing::Claiming(write) | Doing::Settling { write, .. } = &mut worker.doing {
                rename(&mut write.row);
            }
        }
        for stray in &mut self.strays {
            if let Stray::Replace { row, .. } = stray {
                rename(row);
            }
        }
        if let Some((_, write)) = &mut self.sweeper {
            rename(&mut write.row);
        }
    }

    pub fn unused_token(&self) -> u8 {
        let used = |token| {
            self.workers
                .iter()
                .any(|worker| worker.doing == Doing::Doubting(token))
        };
        (1..=u8::MAX).find(|token| !used(*token)).unwrap_or(0)
    }

    fn rank_fences(&mut self, job: u8) {
        let mut used = Vec::with_capacity(8);
        self.each_fence(job, |fence| used.push(*fence));
        used.sort_unstable();
        used.dedup();
        self.each_fence(job, |fence| {
            *fence = used.iter().position(|used| used == fence).unwrap_or(0) as u8;
        });
    }

    fn each_fence(&mut self, job: u8, mut visit: impl FnMut(&mut u8)) {
        visit(&mut self.places[usize::from(job)].row.fence);
        for worker in self.workers.iter_mut().filter(|worker| worker.job == job) {
            match &mut worker.doing {
                Doing::Claiming(write) => visit(&mut write.row.fence),
                Doing::Doubting(_) => {}
                Doing::Running { fence, .. }
                | Doing::Appending { fence, .. }
                | Doing::Ending { fence, .. } => visit(fence),
                Doing::Settling { fence, write, .. } => {
                    visit(fence);
                    visit(&mut write.row.fence);
                }
            }
        }
        for stray in &mut self.strays {
            match stray {
                Stray::Replace { job: of, row } if *of == job => visit(&mut row.fence),
                Stray::Append { job: of, fence, .. } if *of == job => visit(fence),
                _ => {}
            }
        }
        if let Some((of, write)) = &mut self.sweeper
            && *of == job
        {
            visit(&mut write.row.fence);
        }
    }
}
