//! Everything that may happen.

use work::JobState;

use super::rules::{Rules, Scope};
use super::state::{Doing, Ends, State, Worker};

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

impl State {
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
            if rules.sweeps && self.sweeper.is_none() && place.row.is_in_reach() {
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
                if scope.parks {
                    end(Ends::ParkShortly);
                }
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
}
