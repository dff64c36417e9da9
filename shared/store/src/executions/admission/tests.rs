use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

fn run(number: u128, agent: u128, agent_limit: Option<u32>) -> WaitingRun {
    WaitingRun {
        org: OrgId::from_u128(1),
        execution: ExecutionId::from_u128(number),
        agent: AgentId::from_u128(agent),
        job: JobId::from_u128(number),
        agent_limit,
        for_agent: false,
        since: Timestamp::from_millis(0),
        version: 1,
    }
}

fn empty(limit: u32) -> Admission {
    Admission::new(limit, 0, Gates::default())
}

/// Who was let in by what was done last.
fn let_in(admission: &mut Admission) -> Vec<ExecutionId> {
    let runs = std::mem::take(&mut admission.let_in);
    runs.iter().map(|run| run.execution).collect()
}

#[test]
fn places_are_limited_and_go_to_the_first_in_line() {
    let mut admission = empty(2);
    let runs: Vec<WaitingRun> = (1..=4).map(|number| run(number, 9, None)).collect();
    let entered: Vec<bool> = runs.iter().map(|run| admission.enter(run)).collect();
    assert_eq!(entered, [true, true, false, false]);
    for (leaves, comes) in [(1, Some(2)), (0, Some(3)), (2, None), (3, None)] {
        admission.leave(runs[leaves].execution);
        let expected: Vec<_> = comes
            .map(|index: usize| runs[index].execution)
            .into_iter()
            .collect();
        assert_eq!(let_in(&mut admission), expected);
    }
    assert!(admission.now.org.places.is_empty());
}

#[test]
fn a_limited_agent_holds_up_only_itself() {
    let mut admission = empty(3);
    let (one, two) = (run(1, 7, Some(1)), run(2, 7, Some(1)));
    let other = run(3, 8, None);
    assert!(admission.enter(&one));
    assert!(!admission.enter(&two));
    assert!(admission.enter(&other));
    admission.leave(other.execution);
    assert_eq!(let_in(&mut admission), []);
    admission.leave(one.execution);
    assert_eq!(let_in(&mut admission), [two.execution]);
}

#[test]
fn nobody_overtakes_who_could_go() {
    let mut admission = empty(1);
    let (one, two, three) = (run(1, 7, None), run(2, 7, None), run(3, 7, None));
    assert!(admission.enter(&one));
    assert!(!admission.enter(&two));
    // The place is free, but two stands in line for it.
    admission.now.org.places.clear();
    assert!(!admission.enter(&three));
    assert_eq!(let_in(&mut admission), [two.execution]);
}

#[test]
fn who_leaves_the_line_frees_nothing() {
    let mut admission = empty(1);
    let (one, two, three) = (run(1, 7, None), run(2, 7, None), run(3, 7, None));
    for run in [&one, &two, &three] {
        admission.enter(run);
    }
    admission.leave(two.execution);
    assert_eq!(let_in(&mut admission), []);
    admission.leave(one.execution);
    assert_eq!(let_in(&mut admission), [three.execution]);
}

#[test]
fn who_waited_for_something_else_meanwhile_stands_by_its_age() {
    let mut admission = empty(1);
    let (one, two, three) = (run(1, 7, None), run(2, 7, None), run(3, 7, None));
    assert!(admission.enter(&one));
    assert!(!admission.enter(&three));
    assert!(!admission.enter(&two));
    admission.leave(one.execution);
    assert_eq!(let_in(&mut admission), [two.execution]);
}

#[test]
fn places_are_handed_over_whole_or_not_at_all() {
    let mut admission = empty(2);
    let (one, two) = (run(1, 7, Some(1)), run(2, 7, Some(1)));
    let unlimited = run(3, 7, None);
    assert!(admission.enter(&one));
    assert!(!admission.hand_over(two.execution, &one));
    assert!(!admission.hand_over(one.execution, &unlimited));
    assert!(admission.hand_over(one.execution, &two));
    assert!(!admission.has_place(one.execution));
    assert!(admission.has_place(two.execution));
    assert!(!admission.enter(&one));
}

#[test]
fn changes_are_conditional_on_what_was_read() {
    let (one, two) = (run(1, 7, None), run(2, 7, None));
    let mut first = empty(1);
    first.enter(&one);
    let held = Place {
        org: one.org,
        number: 0,
        execution: one.execution,
        agent: None,
        version: first_version(one.execution),
    };
    assert_eq!(
        first.changes(|_| 0),
        [Change::Create(Row::Place(held.clone()))]
    );

    // The first in line writes to the place that it waits for.
    let mut second = Admission::new(1, 0, first.now);
    second.enter(&two);
    let seen = Place {
        version: held.version + 1,
        ..held
    };
    assert_eq!(
        second.changes(|_| 0),
        [
            Change::Create(Row::Waiting(two.clone())),
            Change::Replace(seen.clone(), seen.version - 1)
        ]
    );

    // The next checks that the first is there.
    let mut gates = second.now;
    gates.org.places = vec![seen.clone()];
    let three = run(3, 7, None);
    let mut third = Admission::new(1, 0, gates.clone());
    third.enter(&three);
    assert_eq!(
        third.changes(|_| 0),
        [
            Change::Create(Row::Waiting(three)),
            Change::Check(two.clone())
        ]
    );

    // Who leaves gives its place away.
    let mut leaving = Admission::new(1, 0, gates);
    leaving.leave(one.execution);
    let given = Place {
        org: one.org,
        number: 0,
        execution: two.execution,
        agent: None,
        version: first_version(two.execution),
    };
    assert_eq!(
        leaving.changes(|_| 0),
        [
            Change::Delete(Row::Waiting(two)),
            Change::Replace(given, seen.version)
        ]
    );
}

/// Transactions on the rows of one org, which are read, computed and committed in any order.
struct Stage {
    limit: u32,
    rows: BTreeMap<(String, String), Row>,
    runs: Vec<Actor>,
    under_way: Vec<UnderWay>,
    random: StdRng,
    /// Whether those who join a line tell somebody.
    is_careful: bool,
}

struct Actor {
    run: WaitingRun,
    stands: Stands,
    /// How often it waits for something else before it ends.
    pauses: u32,
    /// Whether it is cancelled if that is possible.
    is_fickle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Outside,
    InLine,
    Running,
    Ended,
}

struct UnderWay {
    actor: usize,
    enters: bool,
    admission: Admission,
    changes: Vec<Change>,
}

impl Stage {
    fn new(seed: u64, is_careful: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(2..14);
        let agents = random.random_range(1..4);
        let runs = (1..=count)
            .map(|number| {
                let agent: u128 = random.random_range(0..agents);
                // The first agent is not limited.
                let limit = (agent > 0).then(|| u32::try_from(agent).expect("small"));
                Actor {
                    run: run(number, agent, limit),
                    stands: Stands::Outside,
                    pauses: random.random_range(0..3),
                    is_fickle: random.random_ratio(1, 5),
                }
            })
            .collect();
        Self {
            limit: random.random_range(1..4),
            rows: BTreeMap::new(),
            runs,
            under_way: Vec::new(),
            random,
            is_careful,
        }
    }

    fn gate(&self, collection: &Collection, most: usize) -> Gate {
        let mut gate = Gate::default();
        for ((pk, _), row) in &self.rows {
            match row {
                _ if *pk != collection.pk => {}
                Row::Place(place) => gate.places.push(place.clone()),
                Row::Waiting(run) if gate.line.runs.len() < most => {
                    gate.line.runs.push(run.clone());
                }
                Row::Waiting(_) => {
                    gate.line.horizon = gate.line.runs.last().map(|run| run.execution);
                }
            }
        }
        gate
    }

    /// Reads as [`Executions::admission`] does, a few of each line.
    fn read(&mut self, of: &WaitingRun) -> Admission {
        let most = self.random.random_range(1..4);
        let mut read = Gates {
            org: self.gate(&keys::admission(of.org), most),
            agent: Gate::default(),
        };
        if of.agent_limit.is_some() {
            read.agent = self.gate(&keys::agent_admission(of.org, of.agent), most);
        }
        for for_agent in [false, true] {
            let own = WaitingRun {
                for_agent,
                ..of.clone()
            };
            let key = own.key();
            let gate = if for_agent {
                &mut read.agent
            } else {
                &mut read.org
            };
            if self.rows.contains_key(&(key.pk, key.sk)) && !gate.line.has(of.execution) {
                gate.line.join(own);
            }
        }
        let skip = self.random.random_range(0..3);
        Admission::new(self.limit, skip, read)
    }

    /// What an actor does next, if anything: `true` to enter, `false` to leave.
    fn next(&self, actor: usize) -> Option<bool> {
        if self.under_way.iter().any(|one| one.actor == actor) {
            return None;
        }
        match self.runs[actor].stands {
            Stands::Outside => Some(true),
            Stands::Running => Some(false),
            Stands::InLine if self.runs[actor].is_fickle => Some(false),
            Stands::InLine | Stands::Ended => None,
        }
    }

    fn begin(&mut self, actor: usize, enters: bool) {
        let run = self.runs[actor].run.clone();
        let mut admission = self.read(&run);
        if enters {
            admission.enter(&run);
        } else {
            admission.leave(run.execution);
        }
        let random = std::cell::RefCell::new(&mut self.random);
        let mut changes = admission.changes(|among| random.borrow_mut().random_range(0..among));
        if !self.is_careful {
            let read = &admission.read;
            changes.retain(|change| match change {
                Change::Check(_) => false,
                Change::Replace(place, _) if place.agent.is_some() => {
                    !read.agent.has_place(place.execution)
                }
                Change::Replace(place, _) => !read.org.has_place(place.execution),
                _ => true,
            });
        }
        self.under_way.push(UnderWay {
            actor,
            enters,
            admission,
            changes,
        });
    }

    fn holds(&self, change: &Change) -> bool {
        let at = |key: Key| self.rows.get(&(key.pk, key.sk));
        match change {
            Change::Create(row) => at(row.key()).is_none(),
            Change::Delete(row) => at(row.key()) == Some(row),
            Change::Check(run) => at(run.key()).is_some(),
            Change::Replace(place, version) => matches!(
                at(place.key()),
                Some(Row::Place(stored)) if stored.version == *version
            ),
        }
    }

    /// Commits one that is under way, whole or not at all.
    fn commit(&mut self, index: usize) {
        let one = self.under_way.swap_remove(index);
        if !one.changes.iter().all(|change| self.holds(change)) {
            return;
        }
        for change in one.changes {
            let (row, stays) = match change {
                Change::Create(row) => (row, true),
                Change::Replace(place, _) => (Row::Place(place), true),
                Change::Delete(row) => (row, false),
                Change::Check(_) => continue,
            };
            let key = row.key();
            if stays {
                self.rows.insert((key.pk, key.sk), row);
            } else {
                self.rows.remove(&(key.pk, key.sk));
            }
        }
        for run in one.admission.let_in() {
            let found = self
                .runs
                .iter_mut()
                .find(|actor| actor.run.execution == run.execution);
            let actor = found.expect("is known");
            assert_eq!(actor.stands, Stands::InLine, "only who waits is let in");
            actor.stands = Stands::Running;
        }
        let actor = &mut self.runs[one.actor];
        actor.stands = match (one.enters, one.admission.has_place(actor.run.execution)) {
            (true, true) => Stands::Running,
            (true, false) => Stands::InLine,
            (false, _) if actor.pauses > 0 && actor.stands == Stands::Running => {
                actor.pauses -= 1;
                Stands::Outside
            }
            (false, _) => Stands::Ended,
        };
        self.check();
    }

    /// Nobody runs without a place, nobody has one without running, and no limit is exceeded.
    fn check(&self) {
        let mut held: BTreeMap<Option<AgentId>, BTreeSet<ExecutionId>> = BTreeMap::new();
        for row in self.rows.values() {
            if let Row::Place(place) = row {
                let new = held.entry(place.agent).or_default().insert(place.execution);
                assert!(new, "one place each");
            }
        }
        let running: BTreeSet<ExecutionId> = self
            .runs
            .iter()
            .filter(|actor| actor.stands == Stands::Running)
            .map(|actor| actor.run.execution)
            .collect();
        let of_org = held.remove(&None).unwrap_or_default();
        assert_eq!(of_org, running);
        assert!(running.len() <= self.limit as usize);
        for (agent, places) in held {
            let actor = self
                .runs
                .iter()
                .find(|actor| Some(actor.run.agent) == agent);
            let limit = actor.and_then(|actor| actor.run.agent_limit);
            assert!(places.len() <= limit.expect("is limited") as usize);
        }
    }

    /// Goes on until nothing can be done. Says whether all runs have ended.
    fn play(mut self) -> bool {
        loop {
            let ready: Vec<(usize, bool)> = (0..self.runs.len())
                .filter_map(|actor| Some((actor, self.next(actor)?)))
                .collect();
            let (starts, commits) = (ready.len(), self.under_way.len());
            if starts + commits == 0 {
                break;
            }
            let choice = self.random.random_range(0..starts + commits);
            match ready.get(choice) {
                Some((actor, enters)) => self.begin(*actor, *enters),
                None => self.commit(choice - starts),
            }
        }
        let all_ended = self.runs.iter().all(|actor| actor.stands == Stands::Ended);
        assert!(!all_ended || self.rows.is_empty(), "nothing is left behind");
        all_ended
    }
}

#[test]
fn in_any_order_of_transactions_no_limit_is_exceeded_and_nobody_is_left_in_line() {
    for seed in 0..600 {
        assert!(Stage::new(seed, true).play(), "seed {seed}");
    }
}

/// Shows that the test above looks closely enough.
#[test]
fn without_telling_anybody_some_are_left_in_line() {
    assert!((0..2_000).any(|seed| !Stage::new(seed, false).play()));
}
