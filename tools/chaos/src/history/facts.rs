//! What follows from what happened.

use std::time::Instant;

use kernel::{AgentId, ExecutionId, JobId, OrgId};

use super::{About, Facts, Hold, HoldEnd, JobFacts, JobRow, RunFacts, Trouble};
use crate::party::Party;
use crate::proxy::{Born, Row};

impl Facts {
    /// Acknowledged executions that have not ended.
    pub(crate) fn open(&self) -> usize {
        let open = |run: &&RunFacts| run.acknowledged && run.ended.is_none();
        self.runs.values().filter(open).count()
    }

    /// Those among them that somebody has asked for.
    pub(crate) fn open_asked_for(&self) -> usize {
        let open = |run: &&RunFacts| run.acknowledged && run.ended.is_none();
        let asked_for = self.runs.values().filter(|run| run.is_asked_for());
        asked_for.filter(open).count()
    }

    /// The agent that may be called in an org.
    pub(crate) fn colleague_in(&self, org: OrgId) -> Option<AgentId> {
        self.colleagues.get(&org).copied()
    }

    pub(super) fn run(&mut self, run: RunFacts) {
        self.jobs_of.insert(run.execution, run.job);
        self.numbers.insert(run.execution, run.number);
        self.runs.insert(run.number, run);
    }

    /// A run that another has called is there.
    fn born(&mut self, execution: ExecutionId, born: &Born) {
        let known = self.runs.get(&born.number).map(|run| run.execution);
        match known {
            Some(known) if known == execution => {}
            Some(known) => self.strange_calls.push(format!(
                "{execution} and {known} are both called as run {}",
                born.number
            )),
            None => self.run(RunFacts {
                number: born.number,
                org: born.org,
                execution,
                job: born.job,
                task: None,
                acknowledged: true,
                ended: None,
                pauses: Vec::new(),
            }),
        }
    }

    /// Jobs of executions that were written and have not ended.
    pub(crate) fn open_jobs(&self) -> usize {
        let jobs = self.runs.values().filter_map(|run| self.jobs.get(&run.job));
        jobs.filter(|job| !job.ended).count()
    }

    /// Jobs of killed workers that nobody has taken up: those of executions and others.
    pub(crate) fn open_holds(&self) -> usize {
        let open = |hold: &&Hold| hold.end == HoldEnd::Open;
        self.holds.iter().filter(open).count()
    }

    /// The number of an execution.
    pub(crate) fn number_of(&self, execution: ExecutionId) -> Option<u64> {
        self.numbers.get(&execution).copied()
    }

    /// Executions and their jobs that have ended: what grows as long as something goes on.
    pub(crate) fn ends(&self) -> usize {
        let jobs = self.runs.values().filter_map(|run| self.jobs.get(&run.job));
        let jobs = jobs.filter(|job| job.ended).count();
        let runs = self.runs.values().filter(|run| run.ended.is_some());
        jobs + runs.count()
    }

    /// Executions that somebody has asked for and that have ended.
    pub(crate) fn ended(&self) -> usize {
        let asked_for = self.runs.values().filter(|run| run.is_asked_for());
        asked_for.filter(|run| run.ended.is_some()).count()
    }

    /// What happened to a job in this time, in order, in seconds from its beginning.
    pub(crate) fn story(&self, job: JobId, since: Instant, until: Instant) -> String {
        let mut events: Vec<(Instant, String)> = Vec::new();
        for (at, who, row) in self.rows.get(&job).into_iter().flatten() {
            let state = if row.leased { "leased" } else { "free" };
            let text = format!("v{} {state} fence {} by {who}", row.version, row.fence);
            events.push((*at, text));
        }
        for (at, trouble) in self.troubles.get(&job).into_iter().flatten() {
            events.push((*at, format!("{trouble:?}").to_lowercase()));
        }
        for (who, at) in self.deliveries.get(&job).into_iter().flatten() {
            let dies = self.killed.get(who).map(|killed| {
                // It may be dead already.
                let after = killed.saturating_duration_since(since).as_secs_f64();
                format!(", which dies at {after:.1}")
            });
            let dies = dies.unwrap_or_default();
            events.push((*at, format!("doorbell to {who}{dies}")));
        }
        events.retain(|(at, _)| (since..=until).contains(at));
        events.sort_by_key(|(at, _)| *at);
        let events = events.into_iter().map(|(at, text)| {
            let seconds = at.duration_since(since).as_secs_f64();
            format!("{seconds:.1} {text}")
        });
        events.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn jobs_about(&self, about: &About) -> Vec<JobId> {
        let of_executions = about.executions.iter();
        let mut jobs: Vec<JobId> = of_executions
            .filter_map(|execution| self.jobs_of.get(execution).copied())
            .chain(about.jobs.iter().copied())
            .collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Something that interrupts jobs: those that a request is about, and, where none of them is held
    /// by who sent it, any that is.
    pub(super) fn trouble(&mut self, who: Party, about: &About, trouble: Trouble) {
        let now = Instant::now();
        let mut jobs = self.jobs_about(about);
        let held = self.jobs.iter().filter(|(_, job)| job.holder == Some(who));
        let held: Vec<JobId> = held.map(|(id, _)| *id).collect();
        if !jobs.iter().any(|job| held.contains(job)) {
            jobs.extend(held);
        }
        for job in jobs {
            self.troubles.entry(job).or_default().push((now, trouble));
        }
    }

    pub(super) fn hold(&mut self, job: JobId, killed_at: Instant) {
        self.holds.push(Hold {
            job,
            killed_at,
            end: HoldEnd::Open,
        });
        let index = self.holds.len() - 1;
        self.jobs.entry(job).or_default().open_hold = Some(index);
        let troubles = self.troubles.entry(job).or_default();
        troubles.push((killed_at, Trouble::Kill));
    }

    pub(super) fn row(&mut self, who: Party, sent: Instant, row: &Row) {
        let now = Instant::now();
        match row {
            Row::Effect { key, settled } => {
                let facts = self.effects.entry(*key).or_default();
                match settled {
                    true => facts.settled.push(now),
                    false => facts.noted.push(sent),
                }
            }
            Row::Execution { id, ended, born } => {
                if let Some(born) = born {
                    self.born(*id, born);
                }
                let run = self.numbers.get(id).copied();
                if let Some(run) = run.and_then(|number| self.runs.get_mut(&number))
                    && *ended
                {
                    run.ended.get_or_insert(now);
                }
            }
            Row::Job {
                id,
                version,
                fence,
                leased,
                ended,
            } => {
                let known = self.jobs.entry(*id).or_default().clone();
                if *version <= known.version {
                    return;
                }
                let written = JobRow {
                    version: *version,
                    fence: *fence,
                    leased: *leased,
                };
                self.rows.entry(*id).or_default().push((now, who, written));
                let claimed = *leased && *fence > known.fence;
                let taken = known.leased && known.holder != Some(who) && (claimed || !leased);
                let holder_lives = known
                    .holder
                    .is_some_and(|it| !self.killed.contains_key(&it));
                if taken && holder_lives {
                    let troubles = self.troubles.entry(*id).or_default();
                    troubles.push((now, Trouble::Lapse));
                }
                let end = if claimed {
                    Some(HoldEnd::Claimed(now))
                } else if known.leased && !leased && known.holder == Some(who) {
                    Some(HoldEnd::Released)
                } else {
                    ended.then_some(HoldEnd::Ended)
                };
                let open_hold = match (end, known.open_hold) {
                    (Some(end), Some(hold)) => {
                        self.holds[hold].end = end;
                        None
                    }
                    (_, open) => open,
                };
                let holder = match (claimed, *leased) {
                    (true, _) => Some(who),
                    (false, true) => known.holder,
                    (false, false) => None,
                };
                let next = JobFacts {
                    version: *version,
                    fence: *fence,
                    leased: *leased,
                    ended: *ended,
                    holder,
                    open_hold,
                };
                self.jobs.insert(*id, next);
                // A claim that was under way when its worker was killed.
                if claimed && self.killed.contains_key(&who) {
                    self.hold(*id, now);
                }
            }
        }
    }
}
