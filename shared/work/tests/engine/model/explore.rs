//! Breadth first through all states, then backwards from the good ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use super::action::Action;
use super::rules::{Rules, Scope};
use super::state::State;

pub struct Explored {
    pub states: usize,
    pub transitions: usize,
    /// The longest of the shortest paths to a state.
    pub depth: u32,
    /// States in which every job has ended.
    pub ended: usize,
    /// A shortest path to a broken promise.
    pub counterexample: Option<String>,
}

struct Seen {
    parent: u32,
    action: Action,
    depth: u32,
}

#[derive(Default)]
struct Graph {
    numbers: HashMap<State, u32>,
    seen: Vec<Seen>,
    /// From, to: the transitions that need no fault.
    helpful: Vec<(u32, u32)>,
    ended: Vec<u32>,
    transitions: usize,
}

pub fn explore(scope: &Scope, rules: &Rules) -> Explored {
    let mut graph = Graph::default();
    let broken = graph.walk(scope, rules);
    let counterexample = broken.or_else(|| {
        let stuck = graph.first_stuck()?;
        Some(graph.path(stuck, "from here no job can end without help", scope, rules))
    });
    Explored {
        states: graph.seen.len(),
        transitions: graph.transitions,
        depth: graph.seen.iter().map(|seen| seen.depth).max().unwrap_or(0),
        ended: graph.ended.len(),
        counterexample,
    }
}

impl Graph {
    fn walk(&mut self, scope: &Scope, rules: &Rules) -> Option<String> {
        let first = State::first(scope);
        self.numbers.insert(first.clone(), 0);
        self.seen.push(Seen {
            parent: 0,
            action: Action::Tick,
            depth: 0,
        });
        let mut frontier = vec![(0u32, first)];
        while !frontier.is_empty() {
            let mut next_frontier = Vec::new();
            for (number, state) in frontier {
                if state.has_ended() {
                    self.ended.push(number);
                }
                for action in state.actions(scope, rules) {
                    match state.after(action, scope, rules) {
                        Ok(Some(next)) => {
                            if let Some(new) = self.note(number, action, &next) {
                                next_frontier.push((new, next));
                            }
                        }
                        Ok(None) => {}
                        Err(violation) => {
                            let what = format!("{violation}, by {action:?}");
                            return Some(self.path(number, &what, scope, rules));
                        }
                    }
                }
            }
            frontier = next_frontier;
        }
        None
    }

    /// The number of the state, if it is a new one.
    fn note(&mut self, from: u32, action: Action, state: &State) -> Option<u32> {
        self.transitions += 1;
        let fresh = u32::try_from(self.seen.len()).expect("fewer than four billion states");
        let (to, is_new) = match self.numbers.entry(state.clone()) {
            Entry::Occupied(entry) => (*entry.get(), false),
            Entry::Vacant(entry) => (*entry.insert(fresh), true),
        };
        if action.is_helpful() {
            self.helpful.push((from, to));
        }
        if !is_new {
            return None;
        }
        let depth = self.seen[from as usize].depth + 1;
        self.seen.push(Seen {
            parent: from,
            action,
            depth,
        });
        Some(to)
    }

    /// A nearest state from which no path without faults leads to an end of all jobs.
    fn first_stuck(&mut self) -> Option<u32> {
        self.helpful.sort_unstable_by_key(|&(_, to)| to);
        let mut hopeful = vec![false; self.seen.len()];
        let mut open = self.ended.clone();
        for &state in &open {
            hopeful[state as usize] = true;
        }
        while let Some(state) = open.pop() {
            let start = self.helpful.partition_point(|&(_, to)| to < state);
            for &(from, to) in &self.helpful[start..] {
                if to != state {
                    break;
                }
                if !hopeful[from as usize] {
                    hopeful[from as usize] = true;
                    open.push(from);
                }
            }
        }
        // States are numbered in the order of their distance.
        hopeful
            .iter()
            .position(|hopeful| !hopeful)
            .map(|number| number as u32)
    }

    fn path(&self, mut number: u32, what: &str, scope: &Scope, rules: &Rules) -> String {
        let mut actions = Vec::new();
        while number != 0 {
            let seen = &self.seen[number as usize];
            actions.push(seen.action);
            number = seen.parent;
        }
        let mut text = format!("{what}, after {} steps:", actions.len());
        let mut state = State::first(scope);
        for action in actions.into_iter().rev() {
            if let Ok(Some(next)) = state.after(action, scope, rules) {
                state = next;
            }
            let _ = write!(text, "\n  {action:?}\n    {state:?}");
        }
        text
    }
}
