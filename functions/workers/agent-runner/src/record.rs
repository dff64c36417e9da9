//! The commits of a run. Every one carries the job's fence and the version of the execution's row:
//! a worker that was replaced writes nothing more. Where the row was changed from outside (paused,
//! cancelled, told of an answer), a call that was under way is still settled, so that it is neither
//! made nor paid again; nothing new is begun.

use domain::execution::{
    Effect, EffectOutcome, EffectRequest, Execution, ExecutionState, StreamEntryKind,
};
use domain::swarm::SwarmMessage;
use kernel::Timestamp;
use serde_json::{Value, json};
use store::executions::OfOrg;
use store::{Commit, CommitError, Store};

use crate::beginning::Beginning;
use crate::run::{Held, Run};
use crate::stop::Stop;

/// How often a change is made anew on a row that was changed meanwhile.
const TRIES: u32 = 8;

/// Entries of a stream, to be numbered.
pub(crate) type Entries = Vec<(StreamEntryKind, Value)>;

/// A change of a run in the making: what its row becomes and what is written with it.
pub(crate) struct Draft {
    pub(crate) execution: Execution,
    pub(crate) now: Timestamp,
    entries: Entries,
    messages: Vec<SwarmMessage>,
    commit: Commit,
}

impl Draft {
    /// Tells those who watch.
    pub(crate) fn tell(&mut self, kind: StreamEntryKind, data: Value) {
        self.entries.push((kind, data));
    }

    /// Tells those who watch of something that AG-UI has no name for.
    pub(crate) fn tell_custom(&mut self, name: &str, value: Value) {
        self.tell(
            StreamEntryKind::Custom,
            json!({ "name": name, "value": value }),
        );
    }

    /// Tells the agents of the run's swarm something.
    pub(crate) fn send(&mut self, message: SwarmMessage) {
        self.messages.push(message);
    }

    /// Begins the run, or goes on with it after a wait.
    fn begin(&mut self, beginning: &Beginning, store: &Store) {
        let begun = self.execution.transition(ExecutionState::Running, self.now);
        if begun.is_err() {
            return;
        }
        let (kind, data) = beginning.entry.clone();
        self.tell(kind, data);
        if let Some(event) = &beginning.event {
            self.also(|commit| commit.event(event.clone()));
        }
        if let Some(note) = &beginning.note {
            self.also(|commit| note.clone().add_to(commit, store));
        }
    }

    /// Writes more in the same transaction.
    pub(crate) fn also(&mut self, change: impl FnOnce(Commit) -> Commit) {
        self.commit = change(self.take_commit());
    }

    /// Takes the change out, to be built on and put back.
    pub(crate) fn take_commit(&mut self) -> Commit {
        let tenant = self.commit.tenant();
        std::mem::replace(&mut self.commit, Commit::new(tenant))
    }

    /// Writes an effect of the run.
    pub(crate) fn put_effect(&mut self, effect: &Effect) {
        let row = OfOrg {
            org: self.execution.org,
            row: effect.clone(),
        };
        self.also(|commit| commit.put(&row));
    }
}

/// What may be recorded once the run no longer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    Nothing,
    Settlement,
}

impl Run<'_> {
    /// An empty change that only this attempt can commit.
    pub(crate) fn commit(&self) -> Commit {
        Commit::new(self.tenant).fenced_by(self.attempt.fence)
    }

    /// Records what was held for the next change, if anything.
    pub(crate) async fn write_held(&mut self) -> Result<(), Stop> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.record(|_| {}).await
    }

    /// Records a change of a run that runs.
    pub(crate) async fn record(&mut self, make: impl Fn(&mut Draft)) -> Result<(), Stop> {
        self.write(Late::Nothing, make).await.map_err(Stop::from)
    }

    /// Records a change of a run that runs, and tells whether an account refused it.
    pub(crate) async fn record_paid(
        &mut self,
        make: impl Fn(&mut Draft),
    ) -> Result<Result<(), CommitError>, Stop> {
        match self.write(Late::Nothing, make).await {
            Err(Refused::Commit(error @ CommitError::OverBudget { .. })) => Ok(Err(error)),
            other => Ok(Ok(other?)),
        }
    }

    /// Records what came back from a call, even if the run was paused or has ended meanwhile; then
    /// the run stops here.
    pub(crate) async fn settle(&mut self, make: impl Fn(&mut Draft)) -> Result<(), Stop> {
        self.write(Late::Settlement, make)
            .await
            .map_err(Stop::from)?;
        if self.execution.state == ExecutionState::Running {
            Ok(())
        } else {
            Err(Stop::Refused)
        }
    }

    async fn write(&mut self, late: Late, make: impl Fn(&mut Draft)) -> Result<(), Refused> {
        let mut attempt = 0;
        loop {
            let mut draft = self.draft(self.commit());
            make(&mut draft);
            match self.commit_draft(draft).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    self.reload().await?;
                    if !self.goes_on() && late == Late::Nothing {
                        return Err(Refused::Commit(error));
                    }
                }
                Err(error) => return Err(Refused::Commit(error)),
            }
        }
    }

    /// Whether the run runs, or is about to.
    fn goes_on(&self) -> bool {
        match self.execution.state {
            ExecutionState::Running => true,
            ExecutionState::Queued => self.held.beginning.is_some(),
            _ => false,
        }
    }

    /// A change of the run as it stands, on top of `commit`, with what was held for it.
    pub(crate) fn draft(&self, commit: Commit) -> Draft {
        let mut draft = Draft {
            execution: self.execution.clone(),
            now: self.runner.store.now(),
            entries: Vec::new(),
            messages: Vec::new(),
            commit,
        };
        if !self.goes_on() {
            return draft;
        }
        if let Some(beginning) = &self.held.beginning {
            draft.begin(beginning, &self.runner.store);
        }
        if let Some((found, told)) = &self.held.found {
            draft.put_effect(found);
            draft.tell(StreamEntryKind::Custom, told.clone());
        }
        if let Some(step) = self.held.finished_step {
            draft.execution.steps = step;
            draft.execution.waiting = None;
            draft.tell(StreamEntryKind::StepFinished, json!({ "step": step }));
        }
        draft
    }

    /// Commits a draft of the run as it stands, once.
    pub(crate) async fn commit_draft(&mut self, draft: Draft) -> Result<(), CommitError> {
        let (commit, after, root) = self.finish(draft);
        self.runner.store.commit(commit).await?;
        self.execution = after;
        self.held = Held::default();
        if let (Some(of_run), Some(written)) = (self.root.as_mut(), root) {
            of_run.last_sequence = written;
        }
        Ok(())
    }

    /// The rows of the run and of its root, as others have left them.
    pub(crate) async fn reload(&mut self) -> Result<(), Stop> {
        let executions = self.runner.store.executions(self.tenant);
        let mut fresh = executions
            .get(self.execution.id)
            .await?
            .ok_or(Stop::Refused)?;
        // Runs that this one calls write to its stream as well.
        fresh.last_sequence = executions.last_sequence(fresh.id).await?;
        self.execution = fresh;
        self.root = executions.root_of(&self.execution).await?;
        Ok(())
    }

    fn finish(&self, draft: Draft) -> (Commit, Execution, Option<u64>) {
        let Draft {
            mut execution,
            entries,
            messages,
            mut commit,
            ..
        } = draft;
        // Nothing follows the terminal entry.
        let told = !self.execution.state.is_terminal();
        let root = self
            .root
            .as_ref()
            .filter(|_| told)
            .filter(|_| !entries.is_empty() || !messages.is_empty());
        let mut relayed = root.cloned();
        let executions = self.runner.store.executions(self.tenant);
        let entries = entries.into_iter().filter(|_| told);
        commit = executions.add_entries(commit, &mut execution, relayed.as_mut(), entries);
        // The log of a swarm is in the order of its coordinator's stream. What nobody would read,
        // since that run has ended, is not written.
        let cause = self.cause();
        for mut message in messages.into_iter().filter(|_| told) {
            let reader = match (relayed.as_mut(), execution.parent) {
                (Some(root), _) => root,
                (None, None) => &mut execution,
                (None, Some(_)) => break,
            };
            let swarms = self.runner.store.swarms(self.tenant);
            commit = swarms.add_message(commit, &cause, reader, &mut message);
        }
        let commit = executions.add_change(commit, &self.execution, &mut execution);
        let written = relayed.map(|root| root.last_sequence);
        (commit, execution, written)
    }

    /// The effect of a call as it begins.
    pub(crate) fn new_effect(&self, step: u32, call: u32, request: EffectRequest) -> Effect {
        let begun = self.journal.effect(step, call);
        Effect {
            execution: self.execution.id,
            step,
            call,
            request,
            outcome: None,
            started_at: self.runner.store.now(),
            settled_at: None,
            attempts: self.journal.attempts(step, call) + 1,
            unknown: false,
            approval: begun.and_then(|effect| effect.approval),
            child: begun.and_then(|effect| effect.child),
        }
    }

    /// The effect of a call as it ended.
    pub(crate) fn settled_effect(
        &self,
        step: u32,
        call: u32,
        request: EffectRequest,
        outcome: EffectOutcome,
    ) -> Effect {
        let fresh = self.new_effect(step, call, request);
        let begun = self
            .journal
            .effect(step, call)
            .filter(|effect| effect.attempts > 0);
        Effect {
            outcome: Some(outcome),
            started_at: begun.map_or(fresh.started_at, |effect| effect.started_at),
            settled_at: Some(fresh.started_at),
            attempts: begun.map_or(fresh.attempts, |effect| effect.attempts),
            ..fresh
        }
    }
}

/// Why a change was not recorded.
pub(crate) enum Refused {
    Commit(CommitError),
    /// Before it was committed.
    Stop(Stop),
}

impl Refused {
    /// Whether it is certain that nothing was written, and that this attempt may still write.
    pub(crate) fn wrote_nothing(&self) -> bool {
        match self {
            Self::Stop(_) => true,
            Self::Commit(error) => !matches!(
                error,
                CommitError::Unavailable(_) | CommitError::FenceLost | CommitError::Shape(_)
            ),
        }
    }
}

impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Commit(error) => error.into(),
            Refused::Stop(stop) => stop,
        }
    }
}
