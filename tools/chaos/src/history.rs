//! What happened, seen from outside the product: every call that reached a server, every write that
//! was carried out, every kill and every fault, on one clock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kernel::{AgentId, ExecutionId, JobId, OrgId};

use crate::party::Party;
use crate::proxy::{Fault, Operation, Row};

mod facts;
mod parts;

pub(crate) use parts::{
    CallFacts, EffectFacts, EffectKey, Hold, HoldEnd, LateFacts, Pause, RingFacts, RunFacts,
    Trouble,
};
use parts::{JobFacts, JobRow};

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) runs: BTreeMap<u64, RunFacts>,
    pub(crate) effects: BTreeMap<EffectKey, EffectFacts>,
    pub(crate) troubles: HashMap<JobId, Vec<(Instant, Trouble)>>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) killed: HashMap<Party, Instant>,
    /// To which worker a doorbell of a job was handed, and when.
    pub(crate) deliveries: HashMap<JobId, Vec<(Party, Instant)>>,
    /// Requests of workers.
    pub(crate) requests: BTreeMap<Operation, u64>,
    /// Faults that requests of workers met.
    pub(crate) faults: BTreeMap<(Operation, Fault), u64>,
    /// Faults that starter and sweeper met.
    pub(crate) other_faults: u64,
    pub(crate) rings: RingFacts,
    pub(crate) late: LateFacts,
    /// Transactions that were acknowledged and thrown away, for a control.
    pub(crate) thrown_away: u64,
    /// Calls of servers by somebody who should not have known of them.
    pub(crate) strange_calls: Vec<String>,
    /// Every write of a job's row, for the story of what went wrong.
    rows: HashMap<JobId, Vec<(Instant, Party, JobRow)>>,
    jobs: HashMap<JobId, JobFacts>,
    jobs_of: HashMap<ExecutionId, JobId>,
    numbers: HashMap<ExecutionId, u64>,
    /// The agents that may be called, by their orgs.
    colleagues: HashMap<OrgId, AgentId>,
    tokens: HashSet<String>,
}

/// Where it is written down.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Facts>);

/// A call under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallId {
    effect: EffectKey,
    index: usize,
}

impl History {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub(crate) fn so_far(&self) -> Facts {
        self.facts().clone()
    }

    /// Looks at what happened so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.facts())
    }

    /// An execution is about to be asked for.
    pub(crate) fn run(&self, run: RunFacts) {
        self.facts().run(run);
    }

    /// An agent may be called by the others of its org.
    pub(crate) fn colleague(&self, org: OrgId, agent: AgentId) {
        self.facts().colleagues.insert(org, agent);
    }

    /// The store said that a run is paused.
    pub(crate) fn paused(&self, number: u64) {
        if let Some(run) = self.facts().runs.get_mut(&number) {
            run.pauses.push(Pause {
                from: Instant::now(),
                until: None,
            });
        }
    }

    /// A run is about to be let go on.
    pub(crate) fn resuming(&self, number: u64) {
        let mut facts = self.facts();
        let run = facts.runs.get_mut(&number);
        for pause in run.into_iter().flat_map(|run| &mut run.pauses) {
            pause.until.get_or_insert_with(Instant::now);
        }
    }

    /// The store said that it is queued.
    pub(crate) fn acknowledged(&self, number: u64) {
        if let Some(run) = self.facts().runs.get_mut(&number) {
            run.acknowledged = true;
        }
    }

    /// A call has reached a server.
    pub(crate) fn call_began(&self, effect: EffectKey) -> CallId {
        let mut facts = self.facts();
        let calls = &mut facts.effects.entry(effect).or_default().calls;
        calls.push(CallFacts {
            began: Instant::now(),
            pieces_read: 0,
            whole: false,
        });
        let index = calls.len() - 1;
        CallId { effect, index }
    }

    /// The client of a call has taken so much of its reply, or is gone.
    pub(crate) fn call_ended(&self, call: CallId, pieces_read: usize, whole: bool) {
        let mut facts = self.facts();
        let effect = facts.effects.get_mut(&call.effect);
        if let Some(known) = effect.and_then(|effect| effect.calls.get_mut(call.index)) {
            known.pieces_read = pieces_read;
            known.whole = whole;
        }
    }

    /// A server was asked for something that is in no script.
    pub(crate) fn strange_call(&self, what: String) {
        self.facts().strange_calls.push(what);
    }

    /// A worker has sent a request.
    pub(crate) fn request(&self, who: Party, operation: &Operation) {
        if let Party::Worker(_) = who {
            *self.facts().requests.entry(operation.clone()).or_default() += 1;
        }
    }

    /// A request met a fault.
    pub(crate) fn fault(&self, who: Party, operation: &Operation, fault: Fault, about: &About) {
        let mut facts = self.facts();
        match who {
            Party::Worker(_) => {
                *facts.faults.entry((operation.clone(), fault)).or_default() += 1;
            }
            Party::Starter | Party::Sweeper => facts.other_faults += 1,
        }
        facts.trouble(who, about, Trouble::Fault);
    }

    /// Writes that were sent at this moment are carried out, or acknowledged. The same transaction
    /// counts once.
    pub(crate) fn written(&self, who: Party, token: Option<&str>, sent: Instant, rows: &[Row]) {
        let mut facts = self.facts();
        if let Some(token) = token
            && !facts.tokens.insert(token.to_owned())
        {
            return;
        }
        for row in rows {
            facts.row(who, sent, row);
        }
    }

    /// Whether a transaction was carried out.
    pub(crate) fn has_seen(&self, token: &str) -> bool {
        self.facts().tokens.contains(token)
    }

    /// A transaction was acknowledged and thrown away.
    pub(crate) fn thrown_away(&self) {
        self.facts().thrown_away += 1;
    }

    /// The fence under which a job is held, as last written.
    pub(crate) fn fence(&self, job: JobId) -> Option<(u64, bool)> {
        let facts = self.facts();
        let known = facts.jobs.get(&job)?;
        Some((known.fence, known.leased))
    }

    /// The jobs that a request is about.
    pub(crate) fn jobs_about(&self, about: &About) -> Vec<JobId> {
        self.facts().jobs_about(about)
    }

    /// A write that was held back arrived, in the same attempt or a later one.
    pub(crate) fn late(&self, stale: bool, applied: bool) {
        let late = &mut self.facts().late;
        late.stale += u64::from(stale);
        late.stale_applied += u64::from(stale && applied);
        late.in_time += u64::from(!stale);
    }

    /// Something happened to a doorbell.
    pub(crate) fn rings(&self, change: impl FnOnce(&mut RingFacts)) {
        change(&mut self.facts().rings);
    }

    /// A doorbell was handed to a worker.
    pub(crate) fn delivered(&self, job: JobId, who: Party) {
        let mut facts = self.facts();
        let delivery = (who, Instant::now());
        facts.deliveries.entry(job).or_default().push(delivery);
    }

    /// A worker was killed. Returns how many jobs it held.
    pub(crate) fn killed(&self, worker: Party) -> usize {
        let mut facts = self.facts();
        let now = Instant::now();
        facts.killed.insert(worker, now);
        let held: Vec<JobId> = facts
            .jobs
            .iter()
            .filter(|(_, job)| job.leased && job.holder == Some(worker))
            .map(|(id, _)| *id)
            .collect();
        for job in &held {
            facts.hold(*job, now);
        }
        held.len()
    }
}

/// What a request is about, by the ids that stand in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) executions: Vec<ExecutionId>,
    pub(crate) jobs: Vec<JobId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId::from_u128(7);
    const FIRST: Party = Party::Worker(1);
    const SECOND: Party = Party::Worker(2);

    fn row(version: u64, fence: u64, leased: bool) -> Row {
        Row::Job {
            id: JOB,
            version,
            fence,
            leased,
            ended: false,
        }
    }

    #[test]
    fn a_job_of_a_killed_worker_is_held_until_the_next_claim() {
        let history = History::default();
        history.written(FIRST, None, Instant::now(), &[row(2, 1, true)]);
        assert_eq!(history.killed(FIRST), 1);
        history.written(Party::Sweeper, None, Instant::now(), &[row(3, 2, false)]);
        assert_eq!(history.so_far().holds[0].end, HoldEnd::Open);
        history.written(SECOND, None, Instant::now(), &[row(4, 3, true)]);
        let facts = history.so_far();
        assert!(matches!(facts.holds[0].end, HoldEnd::Claimed(_)));
        assert_eq!(facts.troubles[&JOB].len(), 1);
    }

    #[test]
    fn a_claim_that_arrives_after_its_worker_was_killed_is_held_too() {
        let history = History::default();
        assert_eq!(history.killed(FIRST), 0);
        history.written(FIRST, None, Instant::now(), &[row(2, 1, true)]);
        assert_eq!(history.so_far().holds.len(), 1);
        history.written(FIRST, None, Instant::now(), &[row(3, 1, false)]);
        assert_eq!(history.so_far().holds[0].end, HoldEnd::Released);
    }

    #[test]
    fn a_lease_that_a_living_worker_loses_is_noted() {
        let history = History::default();
        history.written(FIRST, None, Instant::now(), &[row(2, 1, true)]);
        history.written(SECOND, None, Instant::now(), &[row(3, 2, true)]);
        let troubles = history.so_far().troubles[&JOB].clone();
        assert_eq!(troubles.len(), 1);
        assert_eq!(troubles[0].1, Trouble::Lapse);
    }

    #[test]
    fn a_transaction_counts_once_and_an_older_row_does_not_count() {
        let history = History::default();
        let key = EffectKey {
            execution: ExecutionId::from_u128(1),
            step: 1,
            call: 0,
        };
        let settle = Row::Effect { key, settled: true };
        history.written(
            FIRST,
            Some("t"),
            Instant::now(),
            std::slice::from_ref(&settle),
        );
        history.written(
            FIRST,
            Some("t"),
            Instant::now(),
            std::slice::from_ref(&settle),
        );
        assert_eq!(history.so_far().effects[&key].settled.len(), 1);
        history.written(FIRST, None, Instant::now(), &[row(5, 2, true)]);
        history.written(FIRST, None, Instant::now(), &[row(4, 1, true)]);
        assert_eq!(history.fence(JOB), Some((2, true)));
    }
}
