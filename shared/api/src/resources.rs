//! The resources of the product: how each is found, and which permissions guard it.

use domain::agent::Agent;
use domain::api_key::ApiKey;
use domain::approval::Approval;
use domain::audit::AuditEntry;
use domain::budget::{Account, Budget};
use domain::conversation::Conversation;
use domain::execution::Execution;
use domain::file::{File, FileLink, FileVersion, LinkTarget};
use domain::knowledge::{Document, KnowledgeBase};
use domain::memory::Memory;
use domain::org::{Invitation, Member, Org};
use domain::permission::Permission;
use domain::search::analytics::SearchAnalytics;
use domain::source::WebSource;
use domain::swarm::Swarm;
use domain::task::Task;
use domain::tool::Tool;
use domain::viewer::Viewer;
use kernel::{
    AgentId, ApiKeyId, ApprovalId, ConversationId, ExecutionId, FileId, InvitationId,
    KnowledgeBaseId, MemoryId, OrgId, SearchId, SourceId, SwarmId, TaskId, ToolId, UserId,
};
use store::{ReadError, Store, Tenant};

use crate::resource::{PathParams, Resource};

macro_rules! resource {
    ($type:ty, $id:ty, $param:literal, $noun:literal, $read:ident, $write:ident,
     |$store:ident, $tenant:ident, $key:ident, $path:ident| $load:block
     $(, private to $owner:ident)?) => {
        impl Resource for $type {
            type Id = $id;
            const PARAM: &'static str = $param;
            const NOUN: &'static str = $noun;
            const READ: Permission = Permission::$read;
            const WRITE: Permission = Permission::$write;

            async fn load(
                $store: &Store,
                $tenant: Tenant,
                $key: $id,
                $path: &PathParams,
            ) -> Result<Option<Self>, ReadError> $load

            $(fn is_visible_to(&self, viewer: Viewer) -> bool {
                viewer.sees(self.$owner)
            })?
        }
    };
}

resource!(
    Org,
    OrgId,
    "org_id",
    "organization",
    OrgRead,
    OrgWrite,
    |store, tenant, id, _path| {
        if id == tenant.org() {
            store.org(tenant).get().await
        } else {
            Ok(None)
        }
    }
);
resource!(
    Member,
    UserId,
    "user_id",
    "member",
    OrgRead,
    OrgWrite,
    |store, tenant, id, _path| { store.org(tenant).member(id).await }
);
resource!(
    Invitation,
    InvitationId,
    "invitation_id",
    "invitation",
    OrgWrite,
    OrgWrite,
    |store, tenant, id, _path| { store.org(tenant).invitation(id).await }
);
resource!(
    ApiKey,
    ApiKeyId,
    "key_id",
    "API key",
    ApiKeyRead,
    ApiKeyWrite,
    |store, tenant, id, _path| { store.api_keys(tenant).get(id).await }
);
resource!(
    Agent,
    AgentId,
    "agent_id",
    "agent",
    AgentRead,
    AgentWrite,
    |store, tenant, id, _path| { store.agents(tenant).get(id).await }
);
resource!(
    Memory,
    MemoryId,
    "memory_id",
    "memory",
    AgentRead,
    AgentWrite,
    |store, tenant, id, path| {
        match path.get::<AgentId>("agent_id") {
            Some(agent) => store.memories(tenant).get(agent, id).await,
            None => Ok(None),
        }
    }
);
resource!(
    Tool,
    ToolId,
    "tool_id",
    "tool",
    ToolRead,
    ToolWrite,
    |store, tenant, id, _path| { store.tools(tenant).get(id).await }
);
resource!(
    Task,
    TaskId,
    "task_id",
    "task",
    TaskRead,
    TaskWrite,
    |store, tenant, id, _path| { store.tasks(tenant).get(id).await }
);
resource!(
    Execution,
    ExecutionId,
    "execution_id",
    "execution",
    ExecutionRead,
    ExecutionWrite,
    |store, tenant, id, _path| { store.executions(tenant).get(id).await },
    private to private_to
);
resource!(
    Conversation,
    ConversationId,
    "conversation_id",
    "conversation",
    ExecutionRead,
    ExecutionWrite,
    |store, tenant, id, _path| { store.conversations(tenant).get(id).await },
    private to begun_by
);
resource!(
    Approval,
    ApprovalId,
    "approval_id",
    "approval",
    ExecutionRead,
    ExecutionWrite,
    |store, tenant, id, _path| { store.approvals(tenant).get(id).await }
);
resource!(
    Swarm,
    SwarmId,
    "swarm_id",
    "swarm",
    AgentRead,
    AgentWrite,
    |store, tenant, id, _path| { store.swarms(tenant).get(id).await }
);

/// A swarm, for those who have it work and follow what it does.
#[derive(Debug, Clone)]
pub struct SwarmWork {
    pub swarm: Swarm,
}

resource!(
    SwarmWork,
    SwarmId,
    "swarm_id",
    "swarm",
    ExecutionRead,
    ExecutionWrite,
    |store, tenant, id, _path| {
        let swarm = store.swarms(tenant).get(id).await?;
        Ok(swarm.map(|swarm| Self { swarm }))
    }
);

/// An agent beside a swarm: one that is a member, even if it was deleted, or may become one.
#[derive(Debug, Clone)]
pub struct Membership {
    pub swarm: Swarm,
    pub agent: AgentId,
}

resource!(
    Membership,
    AgentId,
    "agent_id",
    "member",
    AgentRead,
    AgentWrite,
    |store, tenant, agent, path| {
        let swarm = match path.get::<SwarmId>("swarm_id") {
            Some(id) => store.swarms(tenant).get(id).await?,
            None => None,
        };
        let Some(swarm) = swarm else { return Ok(None) };
        let is_known =
            swarm.spec.member(agent).is_some() || store.agents(tenant).get(agent).await?.is_some();
        Ok(is_known.then_some(Self { swarm, agent }))
    }
);
resource!(
    File,
    FileId,
    "file_id",
    "file",
    FileRead,
    FileWrite,
    |store, tenant, id, _path| { store.files(tenant).get(id).await }
);

/// A file that was deleted and can be restored.
#[derive(Debug, Clone)]
pub struct DeletedFile {
    pub file: File,
}

resource!(
    DeletedFile,
    FileId,
    "file_id",
    "file",
    FileRead,
    FileWrite,
    |store, tenant, id, _path| {
        let file = store.files(tenant).get_any(id).await?;
        let now = store.now();
        Ok(file
            .filter(|file| file.may_be_restored(now))
            .map(|file| Self { file }))
    }
);

/// One of the contents of a file.
#[derive(Debug, Clone)]
pub struct FileContent {
    pub file: File,
    pub content: FileVersion,
}

resource!(
    FileContent,
    u32,
    "version",
    "file version",
    FileRead,
    FileWrite,
    |store, tenant, number, path| {
        let Some(id) = path.get::<FileId>("file_id") else {
            return Ok(None);
        };
        let files = store.files(tenant);
        let Some(file) = files.get(id).await? else {
            return Ok(None);
        };
        let content = files.version(id, number).await?;
        Ok(content.map(|content| Self { file, content }))
    }
);
resource!(
    FileLink,
    AgentId,
    "agent_id",
    "link of a file",
    FileRead,
    FileWrite,
    |store, tenant, id, path| {
        let Some(file) = path.get::<FileId>("file_id") else {
            return Ok(None);
        };
        let files = store.files(tenant);
        if files.get(file).await?.is_none() {
            return Ok(None);
        }
        files.link_to(file, LinkTarget::Agent { id }).await
    }
);
resource!(
    KnowledgeBase,
    KnowledgeBaseId,
    "knowledge_base_id",
    "knowledge base",
    KnowledgeRead,
    KnowledgeWrite,
    |store, tenant, id, _path| { store.knowledge(tenant).base(id).await }
);
resource!(
    Document,
    FileId,
    "file_id",
    "document",
    KnowledgeRead,
    KnowledgeWrite,
    |store, tenant, id, path| {
        match path.get::<KnowledgeBaseId>("knowledge_base_id") {
            Some(base) => store.knowledge(tenant).document(base, id).await,
            None => Ok(None),
        }
    }
);
resource!(
    WebSource,
    SourceId,
    "source_id",
    "source",
    KnowledgeRead,
    KnowledgeWrite,
    |store, tenant, id, path| {
        match path.get::<KnowledgeBaseId>("knowledge_base_id") {
            Some(base) => store.sources(tenant).get(base, id).await,
            None => Ok(None),
        }
    }
);

/// The account of an agent that exists, or of one that was deleted and has a budget still.
#[derive(Debug, Clone, Copy)]
pub struct AgentAccount {
    pub account: Account,
}

/// The account that the calls of an execution are paid from: of the one at the beginning of its
/// chain of calls.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionAccount {
    pub account: Account,
}

resource!(
    AgentAccount,
    AgentId,
    "agent_id",
    "agent",
    BudgetRead,
    BudgetWrite,
    |store, tenant, id, _path| {
        let account = Account::Agent { id };
        let is_known = store.agents(tenant).get(id).await?.is_some()
            || store.budgets(tenant).get(account).await?.is_some();
        Ok(is_known.then_some(Self { account }))
    }
);
resource!(
    ExecutionAccount,
    ExecutionId,
    "execution_id",
    "execution",
    BudgetRead,
    BudgetWrite,
    |store, tenant, id, _path| {
        let execution = store.executions(tenant).get(id).await?;
        Ok(execution.map(|execution| Self {
            account: Account::Execution {
                id: execution.root(),
            },
        }))
    }
);
// The budget of the org itself: there is no id to name it by.
resource!(
    Budget,
    OrgId,
    "org_id",
    "budget",
    BudgetRead,
    BudgetWrite,
    |store, tenant, id, _path| {
        if id == tenant.org() {
            store.budgets(tenant).get(Account::Org).await
        } else {
            Ok(None)
        }
    }
);
// Entries are listed and never addressed one by one; nobody may change them.
resource!(
    AuditEntry,
    kernel::EventId,
    "event_id",
    "audit entry",
    AuditRead,
    AuditRead,
    |_store, _tenant, _id, _path| { Ok(None) }
);
// What searches tell together: there is no id to name it by, and nobody may change it.
resource!(
    SearchAnalytics,
    SearchId,
    "search_id",
    "analytics of searches",
    SearchAnalyticsRead,
    SearchAnalyticsRead,
    |_store, _tenant, _id, _path| { Ok(None) }
);
