//! What each action does.

use std::time::Duration;

use work::protocol::{self, ClaimRefused, StaleFence};
use work::{Job, JobState, Outcome};

use super::action::Action;
use super::rules::{Change, HORIZON, LEASE, Rules, Scope, TICK, Violation};
use super::state::{Doing, Ends, NEVER, Place, Row, State, Stray, Worker, Write, fence, moment};
use crate::audit;
use crate::world::clock::START;

impl State {
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
            Action::ApplyStray(stray) => match self.state.strays.swap_remove(usize::from(stray)) {
                Stray::Replace { job, row } => self.write(job, row)?,
                Stray::Append { job, fence, steps } => {
                    self.append(job, fence, steps)?;
                }
            },
            Action::LoseStray(stray) => {
                self.state.strays.swap_remove(usize::from(stray));
            }
            Action::SweepRead { job, rung } => {
                self.sweep(job, rung);
                if !self.scope.slow_sweeps {
                    return self.note_sweep();
                }
            }
            Action::SweepWrite => return self.note_sweep(),
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
        let horizon = TICK * u32::from(HORIZON);
        let next = if stored.state == JobState::Leased {
            (self.rules.reclaim)(&stored, START)
        } else if protocol::wants_ring(&stored, START, horizon).is_some() {
            self.place(job).ringing |= rung;
            protocol::rung(&stored, START)
        } else {
            None
        };
        self.state.sweeper = next.map(|next| {
            let row = Row::of(&next);
            (job, Write { row, fresh: true })
        });
    }

    fn note_sweep(&mut self) -> Result<(), Violation> {
        if let Some((job, write)) = self.state.sweeper.take()
            && self.passes(write)
        {
            let freed =
                self.place(job).row.state == JobState::Leased && write.row.state == JobState::Ready;
            self.write(job, write.row)?;
            self.place(job).ringing |= freed;
        }
        Ok(())
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
