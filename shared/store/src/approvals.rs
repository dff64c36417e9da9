//! Approvals, their answers, and the links that answer one.
//!
//! An approval is answered once. Its answer, what that means for the run and, where it came by a
//! link, the end of that link are one transaction: of two answers, of an answer and an expiry, or
//! of an answer and a cancellation, one is written and the other is told what stands.

use std::time::Duration;

use domain::approval::{Approval, ApprovalAnswer, ApprovalState};
use domain::event::{Actor, EventKind};
use domain::execution::{ExecutionState, StreamEntryKind};
use kernel::cursor::{Page, PageRequest};
use kernel::{ApprovalId, ExecutionId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, CommitError, Error, ReadError, Store, Tenant};

/// How often an answer is tried against others who change the same run: more than the calls of one
/// step, all of which may be answered at the same moment.
const ATTEMPTS: u32 = 40;

impl Record for Approval {
    const NOUN: &'static str = "approval";

    fn key(&self) -> Key {
        keys::approval(self.org, self.id)
    }

    fn indexes(&self) -> IndexKeys {
        keys::approval_indexes(self.org, self.id, self.execution, self.state.name())
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A link that answers one approval, once. It is there as long as it was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    pub org: OrgId,
    pub approval: ApprovalId,
    /// SHA-256 of what only the link itself holds, in hexadecimal.
    pub digest: String,
    /// On whose behalf it answers.
    pub holder: Actor,
    pub made_by: Actor,
    pub created_at: Timestamp,
    /// Epoch seconds; the table's TTL attribute, which only cleans up.
    pub expires_at: i64,
}

impl LinkRow {
    /// Whether the link's time is over, whether or not it was cleaned up.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.as_seconds() >= self.expires_at
    }
}

impl Record for LinkRow {
    const NOUN: &'static str = "approval link";

    fn key(&self) -> Key {
        keys::approval_link(self.org, self.approval, &self.digest)
    }
}

/// Why an answer does not stand.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It was answered otherwise, its time was over, or it was withdrawn: this is how it stands.
    #[error("the approval is not open any more")]
    Closed(Box<Approval>),
    /// Its run has ended.
    #[error("the execution is {}", .0.name())]
    Ended(ExecutionState),
    /// The link was used before.
    #[error("the link was used before")]
    LinkUsed,
    /// The run changed again and again meanwhile. Asking again is safe.
    #[error("the execution changed too often meanwhile")]
    Contended,
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<ReadError> for AnswerError {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// The approvals of one org.
#[derive(Debug, Clone, Copy)]
pub struct Approvals<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The approvals of an org.
    #[must_use]
    pub fn approvals(&self, tenant: Tenant) -> Approvals<'_> {
        Approvals {
            store: self,
            tenant,
        }
    }
}

impl Approvals<'_> {
    /// The approval with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ApprovalId) -> Result<Option<Approval>, ReadError> {
        self.store.get(&keys::approval(self.tenant.org(), id)).await
    }

    /// Those of these approvals that exist, oldest first, read consistently.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_many(&self, ids: &[ApprovalId]) -> Result<Vec<Approval>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::approval(self.tenant.org(), *id))
            .collect();
        let mut found: Vec<Approval> = self.store.get_batch(&keys).await?;
        found.sort_unstable_by_key(|approval| approval.id);
        Ok(found)
    }

    /// Approvals, in one state or in any, newest first. Those in one state may lag behind by
    /// moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        state: Option<ApprovalState>,
        page: &PageRequest,
    ) -> Result<Page<Approval>, ReadError> {
        let org = self.tenant.org();
        let list = state.map_or_else(
            || keys::approvals(org),
            |state| keys::approvals_in_state(org, state.name()),
        );
        self.store.page(&list, page, Order::Descending).await
    }

    /// The approvals of an execution, newest first. May lag behind by moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page_of_execution(
        &self,
        execution: ExecutionId,
        page: &PageRequest,
    ) -> Result<Page<Approval>, ReadError> {
        let list = keys::approvals_of_execution(self.tenant.org(), execution);
        self.store.page(&list, page, Order::Descending).await
    }

    /// Answers an approval, and lets its run go on if it waited for nothing else. Whoever says the
    /// same again is given what was written the first time. Whether the answer is one that may be
    /// given, and by whom, is for the caller to check.
    ///
    /// # Errors
    /// [`AnswerError`] says what stands instead.
    pub async fn answer(
        &self,
        cause: &Cause,
        approval: &Approval,
        answer: ApprovalAnswer,
        link: Option<&LinkRow>,
    ) -> Result<Approval, AnswerError> {
        let mut current = approval.clone();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(pause(attempt)).await;
                current = self.get(approval.id).await?.ok_or(AnswerError::Contended)?;
            }
            match &current.answer {
                Some(given) if current.state == ApprovalState::Answered => {
                    return if link.is_none() && answer.repeats(given) {
                        Ok(current)
                    } else {
                        Err(AnswerError::Closed(Box::new(current)))
                    };
                }
                _ if current.state != ApprovalState::Pending || current.is_over(answer.at) => {
                    return Err(AnswerError::Closed(Box::new(current)));
                }
                _ => {}
            }
            let answered = current.answered(answer.clone());
            let written = self.write_answer(cause, &answered, current.version, link);
            match written.await {
                Ok(()) => return Ok(answered),
                Err(AnswerError::Store(Error::Commit(
                    CommitError::Changed { noun } | CommitError::Exists { noun },
                ))) => {
                    if noun == LinkRow::NOUN {
                        return Err(AnswerError::LinkUsed);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(AnswerError::Contended)
    }

    async fn write_answer(
        &self,
        cause: &Cause,
        approval: &Approval,
        expected: u64,
        link: Option<&LinkRow>,
    ) -> Result<(), AnswerError> {
        let executions = self.store.executions(self.tenant);
        let Some(before) = executions.get(approval.execution).await? else {
            return Err(AnswerError::Closed(Box::new(approval.clone())));
        };
        if before.state.is_terminal() {
            return Err(AnswerError::Ended(before.state));
        }
        let mut execution = before.clone();
        if let Some(waiting) = &mut execution.waiting {
            waiting.approvals.retain(|id| *id != approval.id);
        }
        let waits_on = execution
            .waiting
            .as_ref()
            .is_some_and(|waiting| !waiting.approvals.is_empty());
        // The link is first: whoever uses it twice is told just that.
        let mut commit = Commit::new(self.tenant);
        if let Some(link) = link {
            commit = commit.delete_existing(link);
        }
        let mut data = facts(approval);
        if let Some(link) = link {
            data["link_made_by"] = json!(link.made_by);
        }
        let kind = EventKind::ApprovalAnswered;
        let event = self
            .store
            .event(self.tenant, cause, kind, approval.id, data);
        commit = commit.replace(approval, expected).event(event);
        if execution.state == ExecutionState::AwaitingInput && !waits_on {
            commit = executions.add_resume(commit, cause, &mut execution).await?;
        }
        let told = json!({ "name": "approval_answered", "value": brief(approval) });
        let told = (StreamEntryKind::Custom, told);
        let commit = executions
            .add_told_change(commit, &before, &mut execution, told)
            .await?;
        Ok(self.store.commit(commit).await.map_err(Error::from)?)
    }

    /// Writes a link.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create_link(&self, cause: &Cause, link: &LinkRow) -> Result<(), Error> {
        let data = json!({ "holder": link.holder, "expires_at": link.expires_at });
        let kind = EventKind::ApprovalLinkCreated;
        let event = self
            .store
            .event(self.tenant, cause, kind, link.approval, data);
        let commit = Commit::new(self.tenant).create(link).event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// A link that was not used, by the digest of what it holds.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn link(
        &self,
        approval: ApprovalId,
        digest: &str,
    ) -> Result<Option<LinkRow>, ReadError> {
        let key = keys::approval_link(self.tenant.org(), approval, digest);
        self.store.get(&key).await
    }
}

impl Commit {
    /// Asks people: writes the approval, with its event.
    pub fn request_approval(self, store: &Store, cause: &Cause, approval: &Approval) -> Self {
        let kind = EventKind::ApprovalRequested;
        let event = store.event(self.tenant(), cause, kind, approval.id, facts(approval));
        self.create(approval).event(event)
    }

    /// Ends an approval that nobody answered: `approval` is how it stands from now on, expired or
    /// withdrawn, and `expected` the version that it had. Refused as [`CommitError::Changed`] if it
    /// was answered meanwhile.
    pub fn close_approval(
        self,
        store: &Store,
        cause: &Cause,
        approval: &Approval,
        expected: u64,
    ) -> Self {
        let kind = match approval.state {
            ApprovalState::Expired => EventKind::ApprovalExpired,
            ApprovalState::Withdrawn => EventKind::ApprovalWithdrawn,
            ApprovalState::Answered => EventKind::ApprovalAnswered,
            ApprovalState::Pending => EventKind::ApprovalRequested,
        };
        let event = store.event(self.tenant(), cause, kind, approval.id, facts(approval));
        self.replace(approval, expected).event(event)
    }
}

/// What those who watch the run are told. The arguments and the answer are in the approval.
fn brief(approval: &Approval) -> Value {
    let decision = approval.answer.as_ref().map(|answer| answer.decision);
    json!({
        "approval_id": approval.id,
        "decision": decision,
        "tool": approval.subject.tool(),
    })
}

/// What the event of an approval tells: who must or did answer what, and no arguments.
fn facts(approval: &Approval) -> Value {
    let mut facts = json!({
        "execution": approval.execution,
        "agent": approval.agent,
        "kind": approval.subject.kind(),
        "tool": approval.subject.tool(),
    });
    if approval.state == ApprovalState::Pending {
        facts["role"] = json!(approval.policy.role);
        facts["approvers"] = json!(approval.policy.approvers);
        facts["expires_at"] = json!(approval.expires_at);
    }
    if let Some(answer) = &approval.answer {
        facts["decision"] = json!(answer.decision);
        facts["via"] = json!(answer.via);
        facts["edited"] = json!(answer.arguments.is_some());
    }
    facts
}

/// How long an answer steps back before it is tried again.
fn pause(attempt: u32) -> Duration {
    let ceiling = 10 * u64::from(attempt.min(10));
    Duration::from_millis(rand::random_range(ceiling / 2..=ceiling))
}

#[cfg(test)]
mod tests {
    use domain::approval::{AnsweredVia, ApprovalPolicy, ApprovalSubject, Decision};
    use kernel::{AgentId, UserId};

    use super::*;

    fn approval() -> Approval {
        let arguments = json!({ "iban": "canary-4711" });
        Approval {
            id: ApprovalId::from_u128(1),
            org: OrgId::from_u128(1),
            execution: ExecutionId::from_u128(2),
            agent: AgentId::from_u128(3),
            step: 1,
            call: 1,
            subject: ApprovalSubject::ToolCall {
                tool: "refund".to_owned(),
                arguments,
            },
            policy: ApprovalPolicy::default(),
            state: ApprovalState::Pending,
            answer: None,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(10),
            updated_at: Timestamp::from_millis(0),
            version: 1,
        }
    }

    #[test]
    fn events_and_streams_tell_of_an_answer_and_hold_no_arguments() {
        let answered = approval().answered(ApprovalAnswer {
            decision: Decision::Approve,
            by: Actor::User {
                id: UserId::from_u128(1),
            },
            via: AnsweredVia::Link,
            reason: Some("canary-4712".to_owned()),
            arguments: Some(json!({ "iban": "canary-4713" })),
            text: None,
            at: Timestamp::from_millis(5),
        });
        let told = [facts(&approval()), facts(&answered), brief(&answered)];
        for value in &told {
            assert!(!value.to_string().contains("canary"), "{value}");
            assert_eq!(value["tool"], "refund");
        }
        assert_eq!(told[0]["role"], "member");
        assert_eq!(
            (&told[1]["decision"], &told[1]["via"], &told[1]["edited"]),
            (&json!("approve"), &json!("link"), &json!(true))
        );
        assert_eq!(told[2]["decision"], "approve");
    }

    #[test]
    fn a_link_is_over_at_its_second() {
        let link = LinkRow {
            org: OrgId::from_u128(1),
            approval: ApprovalId::from_u128(1),
            digest: String::new(),
            holder: Actor::System,
            made_by: Actor::System,
            created_at: Timestamp::from_millis(0),
            expires_at: 5,
        };
        assert!(!link.is_over(Timestamp::from_millis(4_999)));
        assert!(link.is_over(Timestamp::from_millis(5_000)));
    }
}
