//! Every key string, in one file. A golden test pins each: a changed key is lost data.
//!
//! A partition key begins with the org, so that nothing of two orgs ever shares a partition.

use kernel::{
    AgentId, ApiKeyId, EventId, ExecutionId, FileId, InvitationId, JobId, KnowledgeBaseId,
    MemoryId, OrgId, TaskId, Timestamp, ToolId, UserId,
};

use crate::config::Table;

/// Where one item stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub table: Table,
    pub pk: String,
    pub sk: String,
}

/// A set of items that are listed together, in the order of their sort keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collection {
    pub table: Table,
    pub index: Index,
    pub pk: String,
    /// Only items whose sort key begins so; empty for all.
    pub prefix: &'static str,
}

/// The table itself or one of its secondary indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    Primary,
    Gsi1,
    Gsi2,
    Due,
}

impl Index {
    /// The name of the index; `None` for the table itself.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Primary => None,
            Self::Gsi1 => Some("gsi1"),
            Self::Gsi2 => Some("gsi2"),
            Self::Due => Some("due"),
        }
    }

    /// The attributes that hold its partition and sort key.
    #[must_use]
    pub const fn attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::Primary => ("pk", "sk"),
            Self::Gsi1 => ("gsi1pk", "gsi1sk"),
            Self::Gsi2 => ("gsi2pk", "gsi2sk"),
            Self::Due => ("duepk", "duesk"),
        }
    }
}

/// The keys under which secondary indexes list an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexKeys {
    pub gsi1: Option<(String, String)>,
    pub gsi2: Option<(String, String)>,
    pub due: Option<(String, String)>,
}

impl IndexKeys {
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'static str, String)> {
        [
            (Index::Gsi1, self.gsi1),
            (Index::Gsi2, self.gsi2),
            (Index::Due, self.due),
        ]
        .into_iter()
        .filter_map(|(index, keys)| keys.map(|keys| (index, keys)))
        .flat_map(|(index, (pk, sk))| {
            let (pk_name, sk_name) = index.attributes();
            [(pk_name, pk), (sk_name, sk)]
        })
    }
}

fn key(table: Table, pk: String, sk: impl ToString) -> Key {
    Key {
        table,
        pk,
        sk: sk.to_string(),
    }
}

fn collection(table: Table, pk: String) -> Collection {
    Collection {
        table,
        index: Index::Primary,
        pk,
        prefix: "",
    }
}

// Users, identities and the hashes of API keys belong to no org.

pub(crate) fn user(user: UserId) -> Key {
    key(Table::Core, format!("USER#{user}"), "USER")
}

pub(crate) fn key_secret(hash: &str) -> Key {
    key(Table::Core, format!("KEYHASH#{hash}"), "KEYHASH")
}

// Orgs.

pub(crate) fn org(org: OrgId) -> Key {
    key(Table::Core, format!("ORG#{org}"), "ORG")
}

pub(crate) fn member(org: OrgId, user: UserId) -> Key {
    key(Table::Core, format!("ORG#{org}#MEMBER"), user)
}

pub(crate) fn members(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#MEMBER"))
}

pub(crate) fn orgs_of_user(user: UserId) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi1,
        pk: format!("USER#{user}#ORG"),
        prefix: "",
    }
}

pub(crate) fn member_indexes(org: OrgId, user: UserId) -> IndexKeys {
    IndexKeys {
        gsi1: Some((format!("USER#{user}#ORG"), org.to_string())),
        ..IndexKeys::default()
    }
}

pub(crate) fn invitation(org: OrgId, invitation: InvitationId) -> Key {
    key(Table::Core, format!("ORG#{org}#INVITATION"), invitation)
}

pub(crate) fn invitations(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#INVITATION"))
}

pub(crate) fn api_key(org: OrgId, id: ApiKeyId) -> Key {
    key(Table::Core, format!("ORG#{org}#APIKEY"), id)
}

pub(crate) fn api_keys(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#APIKEY"))
}

// Agents, tools, tasks.

pub(crate) fn agent(org: OrgId, agent: AgentId) -> Key {
    key(Table::Core, format!("ORG#{org}#AGENT"), agent)
}

pub(crate) fn agents(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#AGENT"))
}

pub(crate) fn agent_version(org: OrgId, agent: AgentId, version: u64) -> Key {
    key(
        Table::Core,
        format!("ORG#{org}#AGENT#{agent}#VERSION"),
        format!("{version:010}"),
    )
}

pub(crate) fn agent_versions(org: OrgId, agent: AgentId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#AGENT#{agent}#VERSION"))
}

pub(crate) fn memory(org: OrgId, agent: AgentId, memory: MemoryId) -> Key {
    key(
        Table::Core,
        format!("ORG#{org}#AGENT#{agent}#MEMORY"),
        memory,
    )
}

pub(crate) fn memories(org: OrgId, agent: AgentId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#AGENT#{agent}#MEMORY"))
}

pub(crate) fn tool(org: OrgId, tool: ToolId) -> Key {
    key(Table::Core, format!("ORG#{org}#TOOL"), tool)
}

pub(crate) fn tools(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#TOOL"))
}

/// The row that keeps a tool's name unique in its org.
pub(crate) fn tool_name(org: OrgId, name: &str) -> Key {
    key(Table::Core, format!("ORG#{org}#TOOLNAME"), name)
}

pub(crate) fn task(org: OrgId, task: TaskId) -> Key {
    key(Table::Core, format!("ORG#{org}#TASK"), task)
}

pub(crate) fn tasks(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#TASK"))
}

pub(crate) fn tasks_of_agent(org: OrgId, agent: AgentId) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#TASK#AGENT#{agent}"),
        prefix: "",
    }
}

pub(crate) fn tasks_with_status(org: OrgId, status: &str) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi2,
        pk: format!("ORG#{org}#TASK#STATUS#{status}"),
        prefix: "",
    }
}

pub(crate) fn task_indexes(
    org: OrgId,
    task: TaskId,
    agent: Option<AgentId>,
    status: &str,
) -> IndexKeys {
    IndexKeys {
        gsi1: agent.map(|agent| (format!("ORG#{org}#TASK#AGENT#{agent}"), task.to_string())),
        gsi2: Some((format!("ORG#{org}#TASK#STATUS#{status}"), task.to_string())),
        due: None,
    }
}

// Files and knowledge.

pub(crate) fn file(org: OrgId, file: FileId) -> Key {
    key(Table::Core, format!("ORG#{org}#FILE"), file)
}

pub(crate) fn files(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#FILE"))
}

pub(crate) fn knowledge_base(org: OrgId, id: KnowledgeBaseId) -> Key {
    key(Table::Core, format!("ORG#{org}#KB"), id)
}

pub(crate) fn knowledge_bases(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#KB"))
}

pub(crate) fn document(org: OrgId, base: KnowledgeBaseId, file: FileId) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#DOCUMENT"),
        file,
    )
}

pub(crate) fn documents(org: OrgId, base: KnowledgeBaseId) -> Collection {
    collection(Table::Knowledge, format!("ORG#{org}#KB#{base}#DOCUMENT"))
}

pub(crate) fn chunk(org: OrgId, base: KnowledgeBaseId, file: FileId, ordinal: u32) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#FILE#{file}#CHUNK"),
        format!("{ordinal:06}"),
    )
}

pub(crate) fn chunks(org: OrgId, base: KnowledgeBaseId, file: FileId) -> Collection {
    collection(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#FILE#{file}#CHUNK"),
    )
}

// Work.

pub(crate) fn job(org: OrgId, job: JobId) -> Key {
    key(Table::Work, format!("ORG#{org}#JOB#{job}"), "JOB")
}

pub(crate) fn due_jobs(shard: u32) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Due,
        pk: format!("DUE#{shard:02}"),
        prefix: "",
    }
}

pub(crate) fn due_sort_key(ring_at: Timestamp) -> String {
    format!("{:015}", ring_at.as_millis().max(0))
}

pub(crate) fn job_indexes(shard: u32, ring_at: Option<Timestamp>, job: JobId) -> IndexKeys {
    IndexKeys {
        due: ring_at.map(|at| {
            (
                format!("DUE#{shard:02}"),
                format!("{}#{job}", due_sort_key(at)),
            )
        }),
        ..IndexKeys::default()
    }
}

pub(crate) fn execution(org: OrgId, execution: ExecutionId) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#EXECUTION#{execution}"),
        "EXECUTION",
    )
}

pub(crate) fn executions(org: OrgId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#EXECUTION"),
        prefix: "",
    }
}

pub(crate) fn executions_of_agent(org: OrgId, agent: AgentId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Gsi2,
        pk: format!("ORG#{org}#EXECUTION#AGENT#{agent}"),
        prefix: "",
    }
}

pub(crate) fn execution_indexes(org: OrgId, execution: ExecutionId, agent: AgentId) -> IndexKeys {
    IndexKeys {
        gsi1: Some((format!("ORG#{org}#EXECUTION"), execution.to_string())),
        gsi2: Some((
            format!("ORG#{org}#EXECUTION#AGENT#{agent}"),
            execution.to_string(),
        )),
        due: None,
    }
}

pub(crate) fn effect(org: OrgId, execution: ExecutionId, step: u32, call: u32) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#EXECUTION#{execution}"),
        format!("EFFECT#{step:05}#{call:04}"),
    )
}

pub(crate) fn effects(org: OrgId, execution: ExecutionId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Primary,
        pk: format!("ORG#{org}#EXECUTION#{execution}"),
        prefix: "EFFECT#",
    }
}

pub(crate) fn stream_entry(org: OrgId, execution: ExecutionId, sequence: u64) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#EXECUTION#{execution}"),
        format!("STREAM#{sequence:010}"),
    )
}

pub(crate) fn stream(org: OrgId, execution: ExecutionId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Primary,
        pk: format!("ORG#{org}#EXECUTION#{execution}"),
        prefix: "STREAM#",
    }
}

// Log, audit, read models.

pub(crate) fn event(org: OrgId, event: EventId) -> Key {
    key(Table::Log, format!("ORG#{org}"), event)
}

pub(crate) fn audit_head(org: OrgId) -> Key {
    key(Table::Audit, format!("ORG#{org}#HEAD"), "HEAD")
}

pub(crate) fn audit_entry(org: OrgId, sequence: u64) -> Key {
    key(
        Table::Audit,
        format!("ORG#{org}#CHAIN"),
        audit_sort_key(sequence),
    )
}

pub(crate) fn audit_sort_key(sequence: u64) -> String {
    format!("{sequence:015}")
}

pub(crate) fn audit_entries(org: OrgId) -> Collection {
    collection(Table::Audit, format!("ORG#{org}#CHAIN"))
}

/// The row that keeps an event from being sealed twice.
pub(crate) fn audit_seen(org: OrgId, event: EventId) -> Key {
    key(Table::Audit, format!("ORG#{org}#SEEN"), event)
}

pub(crate) fn agent_stats(org: OrgId, agent: AgentId) -> Key {
    key(Table::Metrics, format!("ORG#{org}#AGENT#{agent}"), "STATS")
}

/// The row that keeps an event from being counted twice.
pub(crate) fn stats_seen(org: OrgId, event: EventId) -> Key {
    key(Table::Metrics, format!("ORG#{org}#SEEN"), event)
}

// Ephemeral.

/// `caller` names the caller and the operation: two of them may use the same key.
pub(crate) fn idempotency(scope: &str, digest: &str) -> Key {
    key(Table::Ephemeral, format!("IDEMPOTENCY#{scope}"), digest)
}

// Health.

/// A row that is never written: what a health probe asks for.
pub(crate) fn probe() -> Key {
    key(Table::Core, "PROBE".to_owned(), "PROBE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_as_it_always_was() {
        let o = OrgId::from_u128(1);
        let u = UserId::from_u128(2);
        let a = AgentId::from_u128(3);
        let e = ExecutionId::from_u128(4);
        let f = FileId::from_u128(5);
        let k = KnowledgeBaseId::from_u128(6);
        let j = JobId::from_u128(7);
        let v = EventId::from_u128(8);
        let keys = [
            user(u),
            key_secret("abc"),
            org(o),
            member(o, u),
            invitation(o, InvitationId::from_u128(9)),
            api_key(o, ApiKeyId::from_u128(9)),
            agent(o, a),
            agent_version(o, a, 12),
            memory(o, a, MemoryId::from_u128(9)),
            tool(o, ToolId::from_u128(9)),
            tool_name(o, "weather"),
            task(o, TaskId::from_u128(9)),
            file(o, f),
            knowledge_base(o, k),
            document(o, k, f),
            chunk(o, k, f, 31),
            job(o, j),
            execution(o, e),
            effect(o, e, 2, 1),
            stream_entry(o, e, 17),
            event(o, v),
            audit_head(o),
            audit_entry(o, 44),
            audit_seen(o, v),
            agent_stats(o, a),
            stats_seen(o, v),
            idempotency("org/key/op", "d1"),
            probe(),
        ];
        let lines: Vec<String> = keys
            .iter()
            .map(|k| format!("{:?} {} | {}", k.table, k.pk, k.sk))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_collection_and_index_key_is_as_it_always_was() {
        let o = OrgId::from_u128(1);
        let u = UserId::from_u128(2);
        let a = AgentId::from_u128(3);
        let e = ExecutionId::from_u128(4);
        let f = FileId::from_u128(5);
        let k = KnowledgeBaseId::from_u128(6);
        let collections = [
            members(o),
            orgs_of_user(u),
            invitations(o),
            api_keys(o),
            agents(o),
            agent_versions(o, a),
            memories(o, a),
            tools(o),
            tasks(o),
            tasks_of_agent(o, a),
            tasks_with_status(o, "todo"),
            files(o),
            knowledge_bases(o),
            documents(o, k),
            chunks(o, k, f),
            due_jobs(3),
            executions(o),
            executions_of_agent(o, a),
            effects(o, e),
            stream(o, e),
            audit_entries(o),
        ];
        let mut lines: Vec<String> = collections
            .iter()
            .map(|c| format!("{:?} {:?} {} {}", c.table, c.index, c.pk, c.prefix))
            .collect();
        let at = Timestamp::from_millis(1_767_225_600_000);
        for indexes in [
            member_indexes(o, u),
            task_indexes(o, TaskId::from_u128(9), Some(a), "todo"),
            job_indexes(3, Some(at), JobId::from_u128(7)),
            execution_indexes(o, e, a),
        ] {
            lines.extend(
                indexes
                    .attributes()
                    .map(|(name, value)| format!("{name}={value}")),
            );
        }
        insta::assert_snapshot!(lines.join("\n"));
    }
}
