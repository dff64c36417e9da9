//! Which runs of an org may run now: a place for each, and a line for those that find none.
//!
//! A run takes a place when it is queued or goes on after a wait, and keeps it until it waits or
//! ends; a run without a place is not rung for, so that the queues that all orgs share never hold
//! more of one org's runs than it has places. Whoever frees a place gives it to the first run in
//! line, in the same transaction: nothing has to notice that a place is free. Of many who do so at
//! the same moment one gives its place to the first, and the others try again with one of the first
//! sixteen, so that they do not stand in each other's way.
//!
//! A run of an agent with a limit of its own takes a place among that agent's runs first and only
//! then one of the org, so there is a line for each such agent and one for the org: whoever is first
//! in it can go as soon as a place is free.
//!
//! The rows are read, changed in memory and written on the condition that they are as they were
//! read; no row is written by all. Two transactions that touch no common row could still miss each
//! other: one run joins the line while the last place is given up, and nobody is left to call it.
//! So whoever joins a line makes sure that somebody is there who will see it:
//!
//! - the first in line writes to a place that is held. Its holder, who leaves only if its place is
//!   as it was read, then reads again and finds the line.
//! - who comes later checks that another is still in line. That one gets a place only after this,
//!   and finds the line when it leaves.
//! - a holder who leaves while others stay in line without giving its place away tells another
//!   holder in the same way.
//!
//! Runs that other runs call need no place: their root has one.

use std::collections::{BTreeMap, BTreeSet};

use domain::execution::Execution;
use kernel::cursor::PageRequest;
use kernel::{AgentId, ExecutionId, JobId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Executions;
use crate::keys::{self, Collection, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Commit, ReadError};

#[cfg(test)]
mod tests;

/// The most places an org can have.
pub const MAX_PLACES: u32 = 200;
/// How many of those in line are read. One or two are let in at once, of these.
const LINE_READ: u32 = 16;
/// How many runs one change lets in, for the sake of its size.
const LET_IN: usize = 4;

/// A place that a run has among the runs of its org, or of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) org: OrgId,
    pub(crate) number: u32,
    pub(crate) execution: ExecutionId,
    /// The agent among whose runs the place is; absent for a place of the org.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) agent: Option<AgentId>,
    #[serde(default)]
    pub(crate) version: u64,
}

impl Record for Place {
    const NOUN: &'static str = "place to run";

    fn key(&self) -> Key {
        match self.agent {
            Some(agent) => keys::agent_place(self.org, agent, self.number),
            None => keys::org_place(self.org, self.number),
        }
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A run that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingRun {
    pub(crate) org: OrgId,
    pub(crate) execution: ExecutionId,
    pub(crate) agent: AgentId,
    pub(crate) job: JobId,
    /// The most runs of its agent at the same time, if they are limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) agent_limit: Option<u32>,
    /// Whether it waits for a place among the runs of its agent; for one of the org, if not.
    #[serde(default)]
    pub(crate) for_agent: bool,
    pub(crate) since: Timestamp,
    /// Always 1: who waits is not changed.
    #[serde(default)]
    pub(crate) version: u64,
}

impl WaitingRun {
    pub(crate) fn new(execution: &Execution, now: Timestamp) -> Self {
        Self {
            org: execution.org,
            execution: execution.id,
            agent: execution.agent,
            job: execution.job,
            agent_limit: execution.limits.max_concurrent,
            for_agent: false,
            since: now,
            version: 1,
        }
    }
}

impl Record for WaitingRun {
    const NOUN: &'static str = "waiting run";

    fn key(&self) -> Key {
        if self.for_agent {
            keys::run_waiting_for_agent(self.org, self.agent, self.execution)
        } else {
            keys::waiting_run(self.org, self.execution)
        }
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A row of an admission partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Row {
    Waiting(WaitingRun),
    Place(Place),
}

impl Record for Row {
    const NOUN: &'static str = "row of the admission";

    fn key(&self) -> Key {
        match self {
            Self::Waiting(run) => run.key(),
            Self::Place(place) => place.key(),
        }
    }
}

/// What is to be written, each on the condition that it is as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Create(Row),
    /// The place as it becomes, over this version.
    Replace(Place, u64),
    Delete(Row),
    /// The run must be in line still.
    Check(WaitingRun),
}

/// Those in a line, in order, as far as it was read.
#[derive(Debug, Clone, Default)]
struct Line {
    runs: Vec<WaitingRun>,
    /// The line was not read beyond this run.
    horizon: Option<ExecutionId>,
}

impl Line {
    fn has(&self, execution: ExecutionId) -> bool {
        self.runs.iter().any(|run| run.execution == execution)
    }

    /// Puts a run in, by its age: one that waited for something else meanwhile was there before.
    fn join(&mut self, run: WaitingRun) {
        let before = |other: &WaitingRun| other.execution < run.execution;
        let position = self.runs.partition_point(before);
        self.runs.insert(position, run);
    }

    /// Where the next to be let in stands: first, but for `skip`. Nobody before whom others stand who
    /// were not read.
    fn next(&self, skip: usize) -> Option<usize> {
        let is_known = |run: &&WaitingRun| self.horizon.is_none_or(|last| run.execution <= last);
        let known = self.runs.iter().take_while(is_known).count();
        (known > 0).then(|| skip % known)
    }
}

/// The places of an org or of an agent, and those who wait for one.
#[derive(Debug, Clone, Default)]
struct Gate {
    places: Vec<Place>,
    line: Line,
}

impl Gate {
    fn has_place(&self, execution: ExecutionId) -> bool {
        self.places.iter().any(|place| place.execution == execution)
    }

    /// Takes the next in line out and gives it a place, if there is one.
    fn let_in(&mut self, skip: usize, limit: impl Fn(&WaitingRun) -> u32) -> Option<WaitingRun> {
        let next = self.line.next(skip)?;
        let limit = limit(&self.line.runs[next]);
        if self.places.len() >= limit as usize {
            return None;
        }
        let taken: BTreeSet<u32> = self.places.iter().map(|place| place.number).collect();
        let number = numbers(self.line.runs[next].execution, limit)
            .find(|number| !taken.contains(number))?;
        let run = self.line.runs.remove(next);
        self.places.push(Place {
            org: run.org,
            number,
            execution: run.execution,
            agent: run.for_agent.then_some(run.agent),
            version: first_version(run.execution),
        });
        Some(run)
    }

    fn leave(&mut self, execution: ExecutionId) {
        self.places.retain(|place| place.execution != execution);
        self.line.runs.retain(|run| run.execution != execution);
    }

    fn hand_over(&mut self, from: ExecutionId, to: ExecutionId) {
        for place in &mut self.places {
            if place.execution == from {
                place.execution = to;
            }
        }
    }

    fn by_key(&self) -> BTreeMap<String, Row> {
        let places = self.places.iter().cloned().map(Row::Place);
        let runs = self.line.runs.iter().cloned().map(Row::Waiting);
        places.chain(runs).map(|row| (row.key().sk, row)).collect()
    }

    /// What has changed since it was read as `read`. `pick` chooses among so many.
    fn changes(&self, read: &Self, pick: impl Fn(usize) -> usize) -> Vec<Change> {
        let (before, now) = (read.by_key(), self.by_key());
        let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
        let mut changes: Vec<Change> = gone.map(|(_, row)| Change::Delete(row.clone())).collect();
        for (key, row) in &now {
            match (before.get(key), row) {
                (None, row) => changes.push(Change::Create(row.clone())),
                (Some(Row::Place(before)), Row::Place(place))
                    if before.execution != place.execution =>
                {
                    let place = Place {
                        version: first_version(place.execution),
                        ..place.clone()
                    };
                    changes.push(Change::Replace(place, before.version));
                }
                _ => {}
            }
        }
        changes.extend(self.told(read, pick));
        changes
    }

    /// What makes sure that those in line are seen by somebody who will leave.
    fn told(&self, read: &Self, pick: impl Fn(usize) -> usize) -> Option<Change> {
        let (stay, given): (Vec<&Place>, Vec<&Place>) = self
            .places
            .iter()
            .partition(|place| read.has_place(place.execution));
        let joined = self
            .line
            .runs
            .iter()
            .any(|run| !read.line.has(run.execution));
        let freed = self.places.len() < read.places.len();
        // Who is given a place now leaves it later, and finds the line as it is then.
        if !(joined || freed) || self.line.runs.is_empty() || !given.is_empty() {
            return None;
        }
        let others: Vec<&WaitingRun> = self
            .line
            .runs
            .iter()
            .filter(|run| read.line.has(run.execution))
            .collect();
        if !freed && !others.is_empty() {
            return Some(Change::Check(others[pick(others.len())].clone()));
        }
        if stay.is_empty() {
            return None;
        }
        let place = stay[pick(stay.len())];
        let seen = Place {
            version: place.version + 1,
            ..place.clone()
        };
        Some(Change::Replace(seen, place.version))
    }
}

/// The numbers of places in the order in which a run looks for a free one. Each begins elsewhere: of
/// those who come at the same moment, all but one would find the first one taken.
fn numbers(execution: ExecutionId, limit: u32) -> impl Iterator<Item = u32> {
    let first = execution.as_u128() % u128::from(limit.max(1));
    let first = u32::try_from(first).unwrap_or_default();
    (first..limit).chain(0..first)
}

/// The version that the place of a run begins with. No other run's places have versions near it:
/// whoever has read an earlier holder's does not take this one for it.
fn first_version(execution: ExecutionId) -> u64 {
    const RANDOM_BITS: u128 = (1 << 40) - 1;
    u64::try_from((execution.as_u128() & RANDOM_BITS) << 20).unwrap_or_default() + 1
}

/// Who runs in an org, and who waits: as it was read, and as it is to become.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// How many places the org has.
    limit: u32,
    /// Where in line the next to be let in stands: first, unless many let in others at the same
    /// moment, who would all take the same.
    skip: usize,
    read: Gates,
    now: Gates,
    let_in: Vec<WaitingRun>,
}

#[derive(Debug, Clone, Default)]
struct Gates {
    org: Gate,
    /// Of the one agent that this is about.
    agent: Gate,
}

impl Admission {
    fn new(limit: u32, skip: usize, read: Gates) -> Self {
        Self {
            limit,
            skip,
            now: read.clone(),
            read,
            let_in: Vec::new(),
        }
    }

    /// Whether a run has the place that it needs.
    fn has_place(&self, execution: ExecutionId) -> bool {
        self.now.org.has_place(execution)
    }

    /// Gives a run a place; if there is none, or others are before it, puts it in line. Says
    /// whether it has a place.
    pub(crate) fn enter(&mut self, run: &WaitingRun) -> bool {
        let execution = run.execution;
        let Gates { org, agent } = &mut self.now;
        let waits = org.line.has(execution) || agent.line.has(execution);
        if !waits && !org.has_place(execution) {
            let for_agent = run.agent_limit.is_some() && !agent.has_place(execution);
            let gate = if for_agent { agent } else { org };
            gate.line.join(WaitingRun {
                for_agent,
                ..run.clone()
            });
        }
        self.fill();
        self.let_in.retain(|run| run.execution != execution);
        self.has_place(execution)
    }

    /// Takes a run out, from its places or from the line.
    pub(crate) fn leave(&mut self, execution: ExecutionId) {
        self.now.org.leave(execution);
        self.now.agent.leave(execution);
        self.fill();
    }

    /// Gives the places of a run to another of the same agent. `false` if it has none that suit,
    /// and nothing was changed.
    pub(crate) fn hand_over(&mut self, from: ExecutionId, to: &WaitingRun) -> bool {
        let Gates { org, agent } = &mut self.now;
        if !org.has_place(from) || agent.has_place(from) != to.agent_limit.is_some() {
            return false;
        }
        org.hand_over(from, to.execution);
        agent.hand_over(from, to.execution);
        true
    }

    /// Those who were given a place meanwhile: their jobs must be woken.
    pub(crate) fn let_in(&self) -> &[WaitingRun] {
        &self.let_in
    }

    /// Lets in who can go.
    fn fill(&mut self) {
        let Gates { org, agent } = &mut self.now;
        for _ in 0..LET_IN {
            let Some(run) = agent.let_in(self.skip, |run| run.agent_limit.unwrap_or(u32::MAX))
            else {
                break;
            };
            org.line.join(WaitingRun {
                for_agent: false,
                ..run
            });
        }
        while self.let_in.len() < LET_IN
            && let Some(run) = org.let_in(self.skip, |_| self.limit)
        {
            self.let_in.push(run);
        }
    }

    /// What has changed since it was read. `pick` chooses among so many.
    fn changes(&self, pick: impl Fn(usize) -> usize) -> Vec<Change> {
        let mut changes = self.now.org.changes(&self.read.org, &pick);
        changes.extend(self.now.agent.changes(&self.read.agent, &pick));
        changes
    }

    /// Adds to a commit what has changed since it was read. Refused if others changed it meanwhile.
    pub(crate) fn add_to(&self, commit: Commit) -> Commit {
        let changes = self.changes(|among| rand::random_range(0..among));
        changes.iter().fold(commit, |commit, change| match change {
            Change::Create(Row::Place(place)) => commit.create(place),
            Change::Create(Row::Waiting(run)) => commit.create(run),
            Change::Replace(place, version) => commit.replace(place, *version),
            Change::Delete(Row::Place(place)) => commit.delete(place, place.version),
            Change::Delete(Row::Waiting(run)) => commit.delete(run, run.version),
            Change::Check(run) => commit.unless_changed(run, run.version),
        })
    }
}

impl Executions<'_> {
    /// Who runs in the org and who waits, as far as a run has to do with it, read consistently.
    /// `is_new` if the run cannot be in line yet.
    pub(crate) async fn admission(
        &self,
        run: &Execution,
        is_new: bool,
    ) -> Result<Admission, ReadError> {
        let org = self.tenant.org();
        let limit = self.store.config.runs_per_org.clamp(1, MAX_PLACES);
        let skip = match self.lost {
            0 => 0,
            _ => rand::random_range(0..LINE_READ as usize),
        };
        let of_agent = async {
            match run.limits.max_concurrent {
                Some(limit) => {
                    let list = keys::agent_admission(org, run.agent);
                    self.gate(&list, limit).await
                }
                None => Ok(Gate::default()),
            }
        };
        let of_org = keys::admission(org);
        let (of_org, of_agent) = tokio::try_join!(self.gate(&of_org, limit), of_agent)?;
        let mut read = Gates {
            org: of_org,
            agent: of_agent,
        };
        let is_seen =
            read.org.has_place(run.id) || read.org.line.has(run.id) || read.agent.line.has(run.id);
        if is_new || is_seen {
            return Ok(Admission::new(limit, skip, read));
        }
        // It may be further back in line than was read.
        let mut keys = vec![keys::waiting_run(org, run.id)];
        if run.limits.max_concurrent.is_some() {
            keys.push(keys::run_waiting_for_agent(org, run.agent, run.id));
        }
        for run in self.store.get_batch::<WaitingRun>(&keys).await? {
            let gate = if run.for_agent {
                &mut read.agent
            } else {
                &mut read.org
            };
            gate.line.join(run);
        }
        Ok(Admission::new(limit, skip, read))
    }

    /// All places of a gate, and those who are first in line for one.
    async fn gate(&self, list: &Collection, limit: u32) -> Result<Gate, ReadError> {
        let mut gate = Gate::default();
        let mut page = PageRequest::first(limit + LINE_READ);
        loop {
            let read = self.store.page(list, &page, Order::Ascending).await?;
            // Places come before those in line.
            for row in read.items {
                match row {
                    Row::Place(place) => gate.places.push(place),
                    Row::Waiting(run) => gate.line.runs.push(run),
                }
            }
            let last = gate.line.runs.last().map(|run| run.execution);
            if read.next.is_none() || last.is_some() {
                gate.line.horizon = last.filter(|_| read.next.is_some());
                return Ok(gate);
            }
            page.after = read.next;
        }
    }
}
