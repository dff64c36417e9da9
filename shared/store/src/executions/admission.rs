//! Which runs of an org may run now: a place for each, and a line for those that find none.
//!
//! A run takes a place when it is queued or goes on after a wait, and keeps it until it waits or
//! ends; a run without a place is not rung for, so that the queues that all orgs share never hold
//! more of one org's runs than it has places. Whoever frees a place gives it to the first run in
//! line, in the same transaction: nothing has to notice that a place is free.
//!
//! Runs that other runs call need no place: their root has one.

use std::collections::BTreeSet;

use domain::execution::Execution;
use kernel::{AgentId, ExecutionId, JobId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Executions;
use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Commit, ReadError};

/// The most places an org can have.
pub const MAX_PLACES: u32 = 200;
/// How many waiting runs are looked at to find one whose agent has room.
const LOOKED_AT: usize = 1_000;

/// A place that a run has among the runs of its org, or of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) org: OrgId,
    pub(crate) number: u32,
    pub(crate) execution: ExecutionId,
    /// The agent among whose runs the place is; absent for a place of the org.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) agent: Option<AgentId>,
}

impl Record for Place {
    const NOUN: &'static str = "place to run";

    fn key(&self) -> Key {
        match self.agent {
            Some(agent) => keys::agent_place(self.org, agent, self.number),
            None => keys::org_place(self.org, self.number),
        }
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
    pub(crate) since: Timestamp,
}

impl WaitingRun {
    pub(crate) fn new(execution: &Execution, now: Timestamp) -> Self {
        Self {
            org: execution.org,
            execution: execution.id,
            agent: execution.agent,
            job: execution.job,
            agent_limit: execution.limits.max_concurrent,
            since: now,
        }
    }
}

impl Record for WaitingRun {
    const NOUN: &'static str = "waiting run";

    fn key(&self) -> Key {
        keys::waiting_run(self.org, self.execution)
    }
}

/// A row of the admission partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// Who runs in an org, and who waits: as it was read, and as it is to become.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    /// How many places the org has.
    limit: u32,
    read: Rows,
    now: Rows,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    places: Vec<Place>,
    waiting: Vec<WaitingRun>,
}

impl Admission {
    /// Whether a run has the place that it needs.
    pub(crate) fn has_place(&self, execution: ExecutionId) -> bool {
        self.now
            .places
            .iter()
            .any(|place| place.agent.is_none() && place.execution == execution)
    }

    /// Gives a run a place; if there is none, or others are before it, puts it in line. Says
    /// whether it has a place.
    pub(crate) fn enter(&mut self, run: &WaitingRun) -> bool {
        if self.has_place(run.execution) {
            return true;
        }
        // Those who wait for their agent alone are not passed over: their agent has no room.
        let passed_over = self
            .now
            .waiting
            .iter()
            .take_while(|waiting| waiting.execution != run.execution)
            .any(|waiting| self.free_for(waiting).is_some());
        let places = if passed_over {
            None
        } else {
            self.free_for(run)
        };
        let position = self
            .now
            .waiting
            .iter()
            .position(|waiting| waiting.execution == run.execution);
        match (places, position) {
            (Some(places), position) => {
                if let Some(position) = position {
                    self.now.waiting.remove(position);
                }
                self.now.places.extend(places);
                true
            }
            (None, Some(_)) => false,
            (None, None) => {
                self.now.waiting.push(run.clone());
                false
            }
        }
    }

    /// Takes a run out, from its place or from the line. Its place goes to the first in line for
    /// whom there is room, who is returned: its job must be woken.
    pub(crate) fn leave(&mut self, execution: ExecutionId) -> Option<WaitingRun> {
        let held = self.now.places.len();
        self.now.places.retain(|place| place.execution != execution);
        self.now.waiting.retain(|run| run.execution != execution);
        if self.now.places.len() == held {
            return None;
        }
        let (index, places) = self
            .now
            .waiting
            .iter()
            .enumerate()
            .find_map(|(index, run)| self.free_for(run).map(|places| (index, places)))?;
        self.now.places.extend(places);
        Some(self.now.waiting.remove(index))
    }

    /// Adds to a commit what has changed since it was read. Refused if others changed it meanwhile.
    pub(crate) fn add_to(&self, mut commit: Commit) -> Commit {
        for place in &self.read.places {
            if !self.now.places.iter().any(|now| now.key() == place.key()) {
                commit = commit.delete_existing(place);
            }
        }
        for place in &self.now.places {
            commit = match self
                .read
                .places
                .iter()
                .find(|read| read.key() == place.key())
            {
                None => commit.create(place),
                // Who has a place decides alone whom it goes to.
                Some(read) if read != place => commit.put(place),
                Some(_) => commit,
            };
        }
        for run in &self.read.waiting {
            if !self.now.waiting.contains(run) {
                commit = commit.delete_existing(run);
            }
        }
        for run in &self.now.waiting {
            if !self.read.waiting.contains(run) {
                commit = commit.put(run);
            }
        }
        commit
    }

    /// Free places for a run, if there are any: one of the org, and one of its agent where its
    /// runs are limited.
    fn free_for(&self, run: &WaitingRun) -> Option<Vec<Place>> {
        let free = |agent: Option<AgentId>, limit: u32| {
            let taken: BTreeSet<u32> = self
                .now
                .places
                .iter()
                .filter(|place| place.agent == agent)
                .map(|place| place.number)
                .collect();
            let used = u32::try_from(taken.len()).unwrap_or(u32::MAX);
            let number = (0..limit).find(|number| !taken.contains(number));
            number.filter(|_| used < limit).map(|number| Place {
                org: run.org,
                number,
                execution: run.execution,
                agent,
            })
        };
        let mut places = vec![free(None, self.limit)?];
        if let Some(limit) = run.agent_limit {
            places.push(free(Some(run.agent), limit)?);
        }
        Some(places)
    }
}

impl Executions<'_> {
    /// Who runs in the org and who waits, read consistently.
    pub(crate) async fn admission(&self) -> Result<Admission, ReadError> {
        let list = keys::admission(self.tenant.org());
        let mut rows = Rows::default();
        for row in self.store.all::<Row>(&list, LOOKED_AT).await? {
            match row {
                Row::Place(place) => rows.places.push(place),
                Row::Waiting(run) => rows.waiting.push(run),
            }
        }
        Ok(Admission {
            limit: self.store.config.runs_per_org.min(MAX_PLACES),
            read: rows.clone(),
            now: rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u128, agent: u128, agent_limit: Option<u32>) -> WaitingRun {
        WaitingRun {
            org: OrgId::from_u128(1),
            execution: ExecutionId::from_u128(number),
            agent: AgentId::from_u128(agent),
            job: JobId::from_u128(number),
            agent_limit,
            since: Timestamp::from_millis(0),
        }
    }

    fn admission(limit: u32) -> Admission {
        Admission {
            limit,
            ..Admission::default()
        }
    }

    #[test]
    fn places_are_limited_and_go_to_the_first_in_line() {
        let mut admission = admission(2);
        let runs: Vec<WaitingRun> = (1..=4).map(|number| run(number, 9, None)).collect();
        let entered: Vec<bool> = runs.iter().map(|run| admission.enter(run)).collect();
        assert_eq!(entered, [true, true, false, false]);
        assert_eq!(admission.leave(runs[1].execution), Some(runs[2].clone()));
        assert_eq!(admission.leave(runs[0].execution), Some(runs[3].clone()));
        assert_eq!(admission.leave(runs[2].execution), None);
        assert_eq!(admission.leave(runs[3].execution), None);
        assert!(admission.now.places.is_empty());
    }

    #[test]
    fn a_limited_agent_holds_up_only_itself() {
        let mut admission = admission(3);
        let (one, two) = (run(1, 7, Some(1)), run(2, 7, Some(1)));
        let other = run(3, 8, None);
        assert!(admission.enter(&one));
        assert!(!admission.enter(&two));
        assert!(admission.enter(&other));
        assert_eq!(admission.leave(other.execution), None);
        assert_eq!(admission.leave(one.execution), Some(two));
    }

    #[test]
    fn nobody_overtakes_who_could_go() {
        let mut admission = admission(1);
        let (one, two, three) = (run(1, 7, None), run(2, 7, None), run(3, 7, None));
        assert!(admission.enter(&one));
        assert!(!admission.enter(&two));
        // The place is free, but two stands in line for it.
        admission.now.places.clear();
        assert!(!admission.enter(&three));
        assert!(admission.enter(&two));
    }

    #[test]
    fn who_leaves_the_line_frees_nothing() {
        let mut admission = admission(1);
        let (one, two, three) = (run(1, 7, None), run(2, 7, None), run(3, 7, None));
        for run in [&one, &two, &three] {
            admission.enter(run);
        }
        assert_eq!(admission.leave(two.execution), None);
        assert_eq!(admission.leave(one.execution), Some(three));
    }
}
