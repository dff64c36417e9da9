//! The small case: what a state is and what may happen in it.

use std::fmt;
use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use serde_json::Value;
use work::protocol::{self, ClaimRefused, Illegal, Jitter, StaleFence};
use work::{DeadReason, Fence, Job, JobError, JobState, Lane, NewJob, Outcome};

use crate::audit;
use crate::world::clock::START;

const TICK: Duration = Duration::from_secs(30);
const LEASE: Duration = TICK;
/// How far ahead a sweep looks, in ticks.
const HORIZON: u8 = 1;
/// Waits are cut to this many ticks. Longer ones add states in which only time passes.
const NEAR: u8 = 2;
/// A moment that does not come.
const NEVER: u8 = 3;
const FAR: Duration = Duration::from_secs(10 * 3_600);

/// How large the case is.
#[derive(Debug, Clone)]
pub struct Scope {
    pub jobs: usize,
    pub workers: usize,
    /// Fenced effects until a job is done.
    pub steps: u8,
    pub max_attempts: u32,
    /// Requests of dead or impatient workers that may be on their way at the same time.
    pub strays: usize,
    /// Whether the last step waits for an approval.
    pub approvals: bool,
    pub cancels: bool,
    pub redrives: bool,
}

type Change = fn(&Job, Timestamp) -> Result<Option<Job>, Illegal>;

/// The protocol, each part replaceable by a broken one.
#[derive(Clone)]
pub struct Rules {
    pub claim: fn(&Job, Timestamp, Duration, u64) -> Result<Job, ClaimRefused>,
    pub settle: fn(&Job, Fence, &Outcome, Timestamp) -> Result<Job, StaleFence>,
    pub reclaim: fn(&Job, Timestamp) -> Option<Job>,
    pub wake: Change,
    /// The condition of a fenced commit.
    pub accepts: fn(Fence, &Job) -> bool,
    /// Whether a replacement needs the version it was computed from.
    pub compares: bool,
    pub sweeps: bool,
    /// Whether each change is held against the audit. Off, only consequences count.
    pub audited: bool,
}

impl Rules {
    pub const HONEST: Self = Self {
        claim: protocol::claim,
        settle,
        reclaim: protocol::reclaim,
        wake: protocol::wake,
        accepts: |fence, job| fence.is_held_by(job),
        compares: true,
        sweeps: true,
        audited: true,
    };
}

fn settle(job: &Job, fence: Fence, outcome: &Outcome, now: Timestamp) -> Result<Job, StaleFence> {
    protocol::settle(job, fence, outcome, None, now, Jitter::FULL)
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Tick,
    Deliver { job: u8, repeated: bool },
    LoseRing(u8),
    Apply { worker: u8, answered: bool },
    TimeOut(u8),
    Reload(u8),
    Heartbeat(u8),
    Append(u8),
    End { worker: u8, ends: Ends },
    Compute(u8),
    Crash(u8),
    ApplyStray(u8),
    LoseStray(u8),
    SweepRead { job: u8, rung: bool },
    SweepWrite,
    SweepCrash,
    Cancel(u8),
    Redrive(u8),
    Approve(u8),
    Wake(u8),
}

impl Action {
    /// Whether a world without further faults, in which nobody gives up a job, would do it.
    pub fn is_helpful(self) -> bool {
        match self {
            Self::Deliver { repeated, .. } => !repeated,
            Self::Apply { answered, .. } => answered,
            Self::SweepRead { rung, .. } => rung,
            Self::Tick
            | Self::Reload(_)
            | Self::Heartbeat(_)
            | Self::Append(_)
            | Self::End { .. }
            | Self::Compute(_)
            | Self::ApplyStray(_)
            | Self::LoseStray(_)
            | Self::SweepWrite
            | Self::Approve(_)
            | Self::Wake(_) => true,
            Self::LoseRing(_)
            | Self::TimeOut(_)
            | Self::Crash(_)
            | Self::SweepCrash
            | Self::Cancel(_)
            | Self::Redrive(_) => false,
        }
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn job_id(job: u8) -> JobId {
    JobId::from_u128(u128::from(job) + 1)
}

fn fence(job: u8, number: u8) -> Fence {
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

fn moment(ticks: u8) -> Timestamp {
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

    fn age(&mut self) {
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
        self.places.iter().all(|place| place.row.state.is_terminal())
    }

    /// The same state in the one form that all equal states share.
    fn canonical(mut self) -> Self {
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

    fn unused_token(&self) -> u8 {
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

    /// Everything that may happen next.
    pub fn actions(&self, scope: &Scope, rules: &Rules) -> Vec<Action> {
        let mut actions = vec![Action::Tick];
        for (job, place) in self.places.iter().enumerate() {
            let job = job as u8;
            if place.ringing {
                actions.push(Action::LoseRing(job));
                if self.workers.len() < scope.workers {
                    for repeated in [false, true] {
                        actions.push(Action::Deliver { job, repeated });
                    }
                }
            }
            let looks = place.row.ring.is_some_and(|ring| ring <= HORIZON);
            if rules.sweeps && self.sweeper.is_none() && looks {
                for rung in [true, false] {
                    actions.push(Action::SweepRead { job, rung });
                }
            }
            if scope.cancels && !place.row.state.is_terminal() && !place.row.cancel {
                actions.push(Action::Cancel(job));
            }
            if scope.redrives && place.row.state == JobState::Dead {
                actions.push(Action::Redrive(job));
            }
            if !place.approved {
                actions.push(Action::Approve(job));
            }
            if place.waking {
                actions.push(Action::Wake(job));
            }
        }
        for (index, worker) in self.workers.iter().enumerate() {
            self.actions_of(index as u8, worker, scope, &mut actions);
        }
        for stray in 0..self.strays.len() as u8 {
            actions.push(Action::ApplyStray(stray));
            actions.push(Action::LoseStray(stray));
        }
        if self.sweeper.is_some() {
            actions.push(Action::SweepWrite);
            actions.push(Action::SweepCrash);
        }
        actions
    }

    fn actions_of(&self, index: u8, worker: &Worker, scope: &Scope, actions: &mut Vec<Action>) {
        actions.push(Action::Crash(index));
        let place = &self.places[usize::from(worker.job)];
        match worker.doing {
            Doing::Claiming(_) | Doing::Appending { .. } | Doing::Settling { .. } => {
                for answered in [true, false] {
                    let worker = index;
                    actions.push(Action::Apply { worker, answered });
                }
                actions.push(Action::TimeOut(index));
            }
            Doing::Doubting(_) => actions.push(Action::Reload(index)),
            Doing::Ending { .. } => actions.push(Action::Compute(index)),
            Doing::Running { steps, .. } => {
                actions.push(Action::Heartbeat(index));
                let mut end = |ends| {
                    actions.push(Action::End {
                        worker: index,
                        ends,
                    });
                };
                end(Ends::Retry);
                end(Ends::Yield);
                end(Ends::ParkShortly);
                if place.row.cancel {
                    end(Ends::Cancelled);
                }
                let gated = scope.approvals && steps + 1 == scope.steps && !place.approved;
                if steps >= scope.steps {
                    end(Ends::Done);
                } else if gated {
                    end(Ends::ParkForApproval);
                } else {
                    actions.push(Action::Append(index));
                }
            }
        }
    }

    /// What follows; `None` if nothing changes.
    pub fn after(
        &self,
        action: Action,
        scope: &Scope,
        rules: &Rules,
    ) -> Result<Option<Self>, Violation> {
        let mut next = Step {
            state: self.clone(),
            scope,
            rules,
        };
        next.take(action)?;
        let next = next.state.canonical();
        Ok((next != *self).then_some(next))
    }
}

/// One action on its way through a state.
struct Step<'a> {
    state: State,
    scope: &'a Scope,
    rules: &'a Rules,
}

impl Step<'_> {
    fn take(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Tick => self.tick(),
            Action::Deliver { job, repeated } => {
                self.place(job).ringing = repeated;
                self.look(job);
            }
            Action::LoseRing(job) => self.place(job).ringing = false,
            Action::Apply { worker, answered } => return self.apply(worker, answered),
            Action::TimeOut(worker) => self.time_out(worker),
            Action::Reload(worker) => self.reload(worker),
            Action::Heartbeat(worker) => return self.heartbeat(worker),
            Action::Append(worker) => {
                let worker = self.worker(worker);
                if let Doing::Running { fence, steps } = worker.doing {
                    worker.doing = Doing::Appending { fence, steps };
                }
            }
            Action::End { worker, ends } => {
                let worker = self.worker(worker);
                if let Doing::Running { fence, .. } = worker.doing {
                    worker.doing = Doing::Ending { fence, ends };
                }
            }
            Action::Compute(worker) => self.compute(worker),
            Action::Crash(worker) => {
                self.leave_stray(worker);
                self.idle(worker);
            }
            Action::ApplyStray(stray) => {
                match self.state.strays.swap_remove(usize::from(stray)) {
                    Stray::Replace { job, row } => self.write(job, row)?,
                    Stray::Append { job, fence, steps } => {
                        self.append(job, fence, steps)?;
                    }
                }
            }
            Action::LoseStray(stray) => {
                self.state.strays.swap_remove(usize::from(stray));
            }
            Action::SweepRead { job, rung } => self.sweep(job, rung),
            Action::SweepWrite => {
                if let Some((job, write)) = self.state.sweeper.take()
                    && self.passes(write)
                {
                    let freed = self.place(job).row.state == JobState::Leased
                        && write.row.state == JobState::Ready;
                    self.write(job, write.row)?;
                    self.place(job).ringing |= freed;
                }
            }
            Action::SweepCrash => self.state.sweeper = None,
            Action::Cancel(job) => return self.change(job, protocol::request_cancel),
            Action::Redrive(job) => return self.change(job, protocol::redrive),
            Action::Approve(job) => {
                let place = self.place(job);
                place.approved = true;
                place.waking = true;
            }
            Action::Wake(job) => {
                self.place(job).waking = false;
                return self.change(job, self.rules.wake);
            }
        }
        Ok(())
    }

    fn place(&mut self, job: u8) -> &mut Place {
        &mut self.state.places[usize::from(job)]
    }

    fn worker(&mut self, worker: u8) -> &mut Worker {
        &mut self.state.workers[usize::from(worker)]
    }

    fn idle(&mut self, worker: u8) {
        self.state.workers.remove(usize::from(worker));
    }

    fn stored(&self, job: u8) -> Job {
        self.state.places[usize::from(job)].row.job(job, self.scope)
    }

    fn passes(&self, write: Write) -> bool {
        write.fresh || !self.rules.compares
    }

    fn tick(&mut self) {
        for place in &mut self.state.places {
            place.row.age();
        }
        for worker in &mut self.state.workers {
            match &mut worker.doing {
                Doing::Claiming(write) | Doing::Settling { write, .. } => write.row.age(),
                _ => {}
            }
        }
        for stray in &mut self.state.strays {
            if let Stray::Replace { row, .. } = stray {
                row.age();
            }
        }
        if let Some((_, write)) = &mut self.state.sweeper {
            write.row.age();
        }
    }

    /// A worker reads the job and, if it may, sends its claim.
    fn look(&mut self, job: u8) {
        let stored = self.stored(job);
        let next = match (self.rules.claim)(&stored, START, LEASE, 0) {
            Ok(claimed) => Some(claimed),
            Err(ClaimRefused::MustEnd) => (self.rules.reclaim)(&stored, START),
            Err(_) => None,
        };
        if let Some(next) = next {
            let doing = Doing::Claiming(Write {
                row: Row::of(&next),
                fresh: true,
            });
            self.state.workers.push(Worker { job, doing });
        }
    }

    fn apply(&mut self, index: u8, answered: bool) -> Result<(), Violation> {
        let Worker { job, doing } = *self.worker(index);
        match doing {
            Doing::Claiming(mut write) => {
                let passed = self.passes(write);
                let granted = passed && write.row.state == JobState::Leased;
                if granted && !answered {
                    write.row.token = self.state.unused_token();
                }
                if passed {
                    self.write(job, write.row)?;
                }
                match (answered, passed) {
                    (true, true) if granted => self.begin(index, write.row.fence),
                    (true, true) => self.idle(index),
                    (true, false) => self.look_again(index),
                    (false, _) => self.worker(index).doing = Doing::Doubting(write.row.token),
                }
            }
            Doing::Appending { fence, steps } => {
                let accepted = self.append(job, fence, steps)?;
                if !answered {
                    self.unanswered(index);
                } else if accepted {
                    let steps = steps + 1;
                    self.worker(index).doing = Doing::Running { fence, steps };
                } else {
                    self.idle(index);
                }
            }
            Doing::Settling { fence, ends, write } => {
                let passed = self.passes(write);
                if passed {
                    if self.place(job).row.fence != fence {
                        return Err(Violation("a stale attempt settled the job".to_owned()));
                    }
                    self.write(job, write.row)?;
                }
                if passed && answered {
                    self.ring_successor(job, write.row);
                    self.idle(index);
                } else {
                    self.worker(index).doing = Doing::Ending { fence, ends };
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, worker: u8, fence: u8) {
        let job = self.worker(worker).job;
        let steps = self.place(job).effects;
        self.worker(worker).doing = Doing::Running { fence, steps };
    }

    /// The worker gives up waiting; its request goes on.
    fn time_out(&mut self, index: u8) {
        let token = self.state.unused_token();
        if let Doing::Claiming(write) = &mut self.worker(index).doing {
            write.row.token = if write.fresh { token } else { 0 };
        }
        self.leave_stray(index);
        self.unanswered(index);
    }

    fn unanswered(&mut self, index: u8) {
        let worker = self.worker(index);
        worker.doing = match worker.doing {
            Doing::Claiming(write) => Doing::Doubting(write.row.token),
            // Done or not: only the next attempt can tell.
            Doing::Appending { fence, .. } => {
                let ends = Ends::Retry;
                Doing::Ending { fence, ends }
            }
            Doing::Settling { fence, ends, .. } => Doing::Ending { fence, ends },
            doing => doing,
        };
    }

    fn reload(&mut self, index: u8) {
        let Worker { job, doing } = *self.worker(index);
        let row = self.place(job).row;
        match doing {
            Doing::Doubting(token)
                if token != 0 && row.state == JobState::Leased && row.token == token =>
            {
                self.begin(index, row.fence);
            }
            _ => self.look_again(index),
        }
    }

    fn look_again(&mut self, index: u8) {
        let job = self.worker(index).job;
        self.idle(index);
        self.look(job);
    }

    fn heartbeat(&mut self, index: u8) -> Result<(), Violation> {
        let Worker { job, doing } = *self.worker(index);
        let Doing::Running { fence: number, .. } = doing else {
            return Ok(());
        };
        let stored = self.stored(job);
        match protocol::heartbeat(&stored, fence(job, number), START, LEASE, None) {
            Ok(kept) => self.write(job, Row::of(&kept)),
            Err(_) => {
                self.idle(index);
                Ok(())
            }
        }
    }

    fn compute(&mut self, index: u8) {
        let Worker { job, doing } = *self.worker(index);
        let Doing::Ending {
            fence: number,
            ends,
        } = doing
        else {
            return;
        };
        let outcome = match ends {
            Ends::Done => Outcome::done(),
            Ends::Retry => Outcome::retry("", ""),
            Ends::Yield => Outcome::Yield,
            Ends::ParkShortly => Outcome::Park { until: moment(1) },
            Ends::ParkForApproval => Outcome::Park {
                until: moment(NEVER),
            },
            Ends::Cancelled => Outcome::Cancelled,
        };
        let stored = self.stored(job);
        match (self.rules.settle)(&stored, fence(job, number), &outcome, START) {
            Ok(settled) => {
                let write = Write {
                    row: Row::of(&settled),
                    fresh: true,
                };
                self.worker(index).doing = Doing::Settling {
                    fence: number,
                    ends,
                    write,
                };
            }
            Err(stale) => {
                if stale == StaleFence::Settled {
                    self.ring_successor(job, Row::of(&stored));
                }
                self.idle(index);
            }
        }
    }

    fn ring_successor(&mut self, job: u8, row: Row) {
        let waits = matches!(row.state, JobState::Ready | JobState::Parked);
        self.place(job).ringing |= waits && row.due != NEVER;
    }

    fn leave_stray(&mut self, index: u8) {
        let Worker { job, doing } = *self.worker(index);
        let stray = match doing {
            Doing::Claiming(write) | Doing::Settling { write, .. } if self.passes(write) => {
                let row = write.row;
                Stray::Replace { job, row }
            }
            Doing::Appending { fence, steps } => Stray::Append { job, fence, steps },
            _ => return,
        };
        if self.state.strays.len() < self.scope.strays {
            self.state.strays.push(stray);
        }
    }

    fn sweep(&mut self, job: u8, rung: bool) {
        let stored = self.stored(job);
        let next = if stored.state == JobState::Leased {
            (self.rules.reclaim)(&stored, START)
        } else {
            self.place(job).ringing |= rung;
            protocol::rung(&stored, START)
        };
        self.state.sweeper = next.map(|next| {
            let row = Row::of(&next);
            (job, Write { row, fresh: true })
        });
    }

    fn change(&mut self, job: u8, change: Change) -> Result<(), Violation> {
        match change(&self.stored(job), START) {
            Ok(Some(next)) => {
                let row = Row::of(&next);
                self.write(job, row)?;
                self.ring_successor(job, row);
                Ok(())
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// A row is replaced; whatever else was computed from the old one is stale now.
    fn write(&mut self, job: u8, row: Row) -> Result<(), Violation> {
        if self.rules.audited {
            let old = self.stored(job);
            let mut new = row.job(job, self.scope);
            new.version = old.version + 1;
            audit::change(&old, &new, START, Duration::ZERO).map_err(Violation)?;
        }
        let place = self.state.places[usize::from(job)];
        if row.state == JobState::Done && place.effects != self.scope.steps {
            return Err(Violation("done before all steps were".to_owned()));
        }
        if matches!(place.row.state, JobState::Done | JobState::Cancelled) {
            return Err(Violation("an end was not the end".to_owned()));
        }
        self.place(job).row = row;
        let outdate = |write: &mut Write| write.fresh = false;
        for worker in &mut self.state.workers {
            if worker.job == job
                && let Doing::Claiming(write) | Doing::Settling { write, .. } = &mut worker.doing
            {
                outdate(write);
            }
        }
        if let Some((of, write)) = &mut self.state.sweeper
            && *of == job
        {
            outdate(write);
        }
        if self.rules.compares {
            self.state
                .strays
                .retain(|stray| !matches!(stray, Stray::Replace { job: of, .. } if *of == job));
            self.forget_stale_rows(job);
        }
        Ok(())
    }

    /// A stale write does nothing, so its content must not tell states apart.
    fn forget_stale_rows(&mut self, job: u8) {
        let row = self.place(job).row;
        for worker in &mut self.state.workers {
            if worker.job != job {
                continue;
            }
            if let Doing::Claiming(write) | Doing::Settling { write, .. } = &mut worker.doing
                && !write.fresh
            {
                write.row = Row { token: 0, ..row };
            }
        }
        if let Some((of, write)) = &mut self.state.sweeper
            && *of == job
        {
            write.row = Row { token: 0, ..row };
        }
    }

    /// A fenced effect, blind to how many were there before: exactly what the fence is for.
    fn append(&mut self, job: u8, number: u8, steps: u8) -> Result<bool, Violation> {
        let stored = self.stored(job);
        if !(self.rules.accepts)(fence(job, number), &stored) {
            return Ok(false);
        }
        if stored.state.is_terminal() {
            return Err(Violation("an effect after the end".to_owned()));
        }
        let place = self.place(job);
        if place.effects != steps {
            return Err(Violation(format!("step {steps} was done twice")));
        }
        place.effects += 1;
        Ok(true)
    }
}
