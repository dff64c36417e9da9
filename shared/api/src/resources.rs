//! The resources of the product: how each is found, and which permissions guard it.

use domain::agent::Agent;
use domain::api_key::ApiKey;
use domain::audit::AuditEntry;
use domain::execution::Execution;
use domain::file::File;
use domain::knowledge::{Document, KnowledgeBase};
use domain::memory::Memory;
use domain::org::{Invitation, Member, Org};
use domain::permission::Permission;
use domain::task::Task;
use domain::tool::Tool;
use kernel::{
    AgentId, ApiKeyId, ExecutionId, FileId, InvitationId, KnowledgeBaseId, MemoryId, OrgId, TaskId,
    ToolId, UserId,
};
use store::{ReadError, Store, Tenant};

use crate::resource::{PathParams, Resource};

macro_rules! resource {
    ($type:ty, $id:ty, $param:literal, $noun:literal, $read:ident, $write:ident,
     |$store:ident, $tenant:ident, $key:ident, $path:ident| $load:block) => {
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
    |store, tenant, id, _path| { store.executions(tenant).get(id).await }
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
