//! Events: what happened, in an org, by whom, to what.

use kernel::{AgentId, ApiKeyId, EventId, ExecutionId, OrgId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! event_kinds {
    ($($variant:ident, $name:literal;)*) => {
        /// What happened. The name is `<noun>.<past participle>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum EventKind {
            $(#[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// Every kind of event.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name of the kind.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_kinds! {
    OrgCreated, "org.created";
    OrgUpdated, "org.updated";
    OrgDeleted, "org.deleted";
    MemberJoined, "member.joined";
    MemberRoleChanged, "member.role_changed";
    MemberRemoved, "member.removed";
    InvitationCreated, "invitation.created";
    InvitationRevoked, "invitation.revoked";
    ApiKeyCreated, "api_key.created";
    ApiKeyRotated, "api_key.rotated";
    ApiKeyRevoked, "api_key.revoked";
    AgentCreated, "agent.created";
    AgentUpdated, "agent.updated";
    AgentDeleted, "agent.deleted";
    MemoryCreated, "memory.created";
    MemoryUpdated, "memory.updated";
    MemoryDeleted, "memory.deleted";
    MemoryShared, "memory.shared";
    MemoryConsolidated, "memory.consolidated";
    ToolCreated, "tool.created";
    ToolUpdated, "tool.updated";
    ToolDeleted, "tool.deleted";
    ToolCredentialSet, "tool.credential_set";
    ToolCredentialRemoved, "tool.credential_removed";
    TaskCreated, "task.created";
    TaskUpdated, "task.updated";
    TaskAssigned, "task.assigned";
    TaskStatusChanged, "task.status_changed";
    TaskDeleted, "task.deleted";
    ExecutionQueued, "execution.queued";
    ExecutionStarted, "execution.started";
    ExecutionPaused, "execution.paused";
    ExecutionResumed, "execution.resumed";
    ExecutionAwaitingInput, "execution.awaiting_input";
    ExecutionAwaitingAuth, "execution.awaiting_auth";
    ExecutionOverBudget, "execution.over_budget";
    ExecutionCompleted, "execution.completed";
    ExecutionFailed, "execution.failed";
    ExecutionCancelled, "execution.cancelled";
    ExecutionExpired, "execution.expired";
    ExecutionHandedOff, "execution.handed_off";
    ApprovalRequested, "approval.requested";
    ApprovalLinkCreated, "approval.link_created";
    ApprovalAnswered, "approval.answered";
    ApprovalExpired, "approval.expired";
    ApprovalWithdrawn, "approval.withdrawn";
    BudgetChanged, "budget.changed";
    BudgetExhausted, "budget.exhausted";
    ConversationCreated, "conversation.created";
    ConversationUpdated, "conversation.updated";
    ConversationDeleted, "conversation.deleted";
    SwarmCreated, "swarm.created";
    SwarmUpdated, "swarm.updated";
    SwarmDeleted, "swarm.deleted";
    SwarmMessagePosted, "swarm.message_posted";
    FileUploadRequested, "file.upload_requested";
    FileConfirmed, "file.confirmed";
    FileProcessed, "file.processed";
    FileFailed, "file.failed";
    FileDeleted, "file.deleted";
    FileRestored, "file.restored";
    FilePurged, "file.purged";
    FileUploadExpired, "file.upload_expired";
    FileVersionRequested, "file.version_requested";
    FileVersionAdded, "file.version_added";
    FileVersionAbandoned, "file.version_abandoned";
    FileRolledBack, "file.rolled_back";
    FileLinked, "file.linked";
    FileUnlinked, "file.unlinked";
    KnowledgeBaseCreated, "knowledge_base.created";
    KnowledgeBaseUpdated, "knowledge_base.updated";
    KnowledgeBaseDeleted, "knowledge_base.deleted";
    KnowledgeBaseReembedded, "knowledge_base.reembedded";
    KnowledgeBaseReembeddingFailed, "knowledge_base.reembedding_failed";
    DocumentAdded, "document.added";
    DocumentIndexed, "document.indexed";
    DocumentFailed, "document.failed";
    DocumentRemoved, "document.removed";
    SourceCreated, "source.created";
    SourceUpdated, "source.updated";
    SourceRefreshRequested, "source.refresh_requested";
    SourceCrawled, "source.crawled";
    SourceCrawlFailed, "source.crawl_failed";
    SourceDeleted, "source.deleted";
    SourceRemoved, "source.removed";
    PermissionDenied, "permission.denied";
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A person.
    User { id: UserId },
    /// A machine with a key.
    ApiKey { id: ApiKeyId },
    /// An agent, in one of its executions.
    Agent { id: AgentId, execution: ExecutionId },
    /// The platform itself.
    System,
}

/// Something that happened. Written in the transaction that made it so, and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub id: EventId,
    pub org: OrgId,
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject: String,
    pub actor: Actor,
    pub occurred_at: Timestamp,
    /// The request, job or schedule that led here.
    pub correlation_id: String,
    /// Facts that readers need; their shape belongs to the kind.
    pub data: serde_json::Value,
}
