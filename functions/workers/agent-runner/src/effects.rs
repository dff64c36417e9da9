//! The commits of a run. Every one carries the job's fence and the version of the execution's row:
//! a worker that was replaced, or whose run was cancelled, writes nothing more.

use domain::execution::{
    Effect, EffectOutcome, EffectRequest, RequestedCall, StreamEntry, StreamEntryKind,
};
use serde_json::json;
use store::Commit;
use store::executions::OfOrg;

use crate::reply::Reply;
use crate::run::{Run, Stop};

impl Run<'_> {
    /// An empty change that only this attempt can commit.
    pub(crate) fn commit(&self) -> Commit {
        Commit::new(self.tenant).fenced_by(self.attempt.fence)
    }

    /// Commits a change together with the execution's row, which had `version`, and new entries
    /// of its stream.
    pub(crate) async fn write(
        &mut self,
        mut commit: Commit,
        version: u64,
        entries: Vec<StreamEntry>,
    ) -> Result<(), Stop> {
        self.execution.version = version + 1;
        self.execution.updated_at = self.runner.store.now();
        for row in entries {
            commit = commit.create(&OfOrg {
                org: self.execution.org,
                row,
            });
        }
        commit = commit.replace(&self.execution, version);
        Ok(self.runner.store.commit(commit).await?)
    }

    /// Notes that a call begins, before it is made.
    pub(crate) async fn begin_effect(
        &mut self,
        step: u32,
        call: u32,
        request: EffectRequest,
        entry: Option<(StreamEntryKind, serde_json::Value)>,
    ) -> Result<(), Stop> {
        let effect = self.new_effect(step, call, request);
        let version = self.execution.version;
        let now = self.runner.store.now();
        let entries = entry
            .map(|(kind, data)| self.execution.next_stream_entry(kind, data, now))
            .into_iter()
            .collect();
        let commit = self.commit().put(&self.row(&effect));
        self.write(commit, version, entries).await?;
        self.journal.record(effect);
        Ok(())
    }

    /// Writes what the model said.
    pub(crate) async fn settle_model(
        &mut self,
        step: u32,
        request: EffectRequest,
        outcome: EffectOutcome,
        entries: Vec<(StreamEntryKind, serde_json::Value)>,
    ) -> Result<(), Stop> {
        let version = self.execution.version;
        if let EffectOutcome::Model { tokens, .. } = &outcome {
            self.execution.usage.add_model_call(*tokens);
        }
        let effect = self.settled_effect(step, 0, request, outcome);
        let now = self.runner.store.now();
        let entries = entries
            .into_iter()
            .map(|(kind, data)| self.execution.next_stream_entry(kind, data, now))
            .collect();
        let commit = self.commit().put(&self.row(&effect));
        self.write(commit, version, entries).await?;
        self.journal.record(effect);
        Ok(())
    }

    /// Writes what a tool answered, together with whatever the tool changed.
    pub(crate) async fn settle_tool(
        &mut self,
        step: u32,
        call: u32,
        requested: &RequestedCall,
        reply: Reply,
    ) -> Result<(), Stop> {
        let version = self.execution.version;
        self.execution.usage.tool_calls += 1;
        let request = EffectRequest::Tool {
            call_id: requested.call_id.clone(),
            name: requested.name.clone(),
            arguments: requested.arguments.clone(),
        };
        let outcome = EffectOutcome::Tool {
            content: reply.content.clone(),
            is_error: reply.is_error,
        };
        let effect = self.settled_effect(step, call, request, outcome);
        let now = self.runner.store.now();
        let data = json!({
            "tool_call_id": requested.call_id,
            "name": requested.name,
            "content": reply.content,
            "is_error": reply.is_error,
        });
        let entry = self
            .execution
            .next_stream_entry(StreamEntryKind::ToolCallResult, data, now);
        let commit = reply
            .change
            .add_to(self.commit(), &self.runner.store, &self.cause())
            .put(&self.row(&effect));
        self.write(commit, version, vec![entry]).await?;
        self.journal.record(effect);
        Ok(())
    }

    fn new_effect(&self, step: u32, call: u32, request: EffectRequest) -> Effect {
        Effect {
            execution: self.execution.id,
            step,
            call,
            request,
            outcome: None,
            started_at: self.runner.store.now(),
            settled_at: None,
            attempts: self.journal.attempts(step, call) + 1,
        }
    }

    fn settled_effect(
        &self,
        step: u32,
        call: u32,
        request: EffectRequest,
        outcome: EffectOutcome,
    ) -> Effect {
        let begun = self.journal.effect(step, call);
        let fresh = self.new_effect(step, call, request);
        Effect {
            outcome: Some(outcome),
            started_at: begun.map_or(fresh.started_at, |effect| effect.started_at),
            settled_at: Some(fresh.started_at),
            attempts: begun.map_or(fresh.attempts, |effect| effect.attempts),
            ..fresh
        }
    }

    fn row(&self, effect: &Effect) -> OfOrg<Effect> {
        OfOrg {
            org: self.execution.org,
            row: effect.clone(),
        }
    }
}
