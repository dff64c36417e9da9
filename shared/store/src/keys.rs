//! Every key string, in one file. A golden test pins each: a changed key is lost data.
//!
//! A partition key begins with the org, so that nothing of two orgs ever shares a partition.

use domain::budget::Account;
use domain::event::Actor;
use kernel::{
    AgentId, ApiKeyId, ApprovalId, ConversationId, Day, EventId, ExecutionId, FileId, InvitationId,
    JobId, KnowledgeBaseId, LedgerEntryId, MemoryId, MessageId, OrgId, SearchId, SourceId, SwarmId,
    TaskId, Timestamp, ToolId, UserId,
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

/// What an execution was told of, until it is counted.
pub(crate) fn memory_recall(org: OrgId, agent: AgentId, execution: ExecutionId) -> Key {
    key(
        Table::Core,
        format!("ORG#{org}#AGENT#{agent}#RECALL"),
        execution,
    )
}

pub(crate) fn memory_recalls(org: OrgId, agent: AgentId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#AGENT#{agent}#RECALL"))
}

/// How far the consolidation of an agent's memories has come.
pub(crate) fn memory_upkeep(org: OrgId, agent: AgentId) -> Key {
    key(
        Table::Core,
        format!("ORG#{org}#AGENT#{agent}#UPKEEP"),
        "UPKEEP",
    )
}

pub(crate) fn tool(org: OrgId, tool: ToolId) -> Key {
    key(Table::Core, format!("ORG#{org}#TOOL"), tool)
}

pub(crate) fn tools(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#TOOL"))
}

pub(crate) fn mcp_listing(org: OrgId, tool: ToolId) -> Key {
    key(Table::Core, format!("ORG#{org}#MCPLISTING"), tool)
}

/// The row that keeps a tool's name unique in its org.
pub(crate) fn tool_name(org: OrgId, name: &str) -> Key {
    key(Table::Core, format!("ORG#{org}#TOOLNAME"), name)
}

pub(crate) fn swarm(org: OrgId, swarm: SwarmId) -> Key {
    key(Table::Core, format!("ORG#{org}#SWARM"), swarm)
}

pub(crate) fn swarms(org: OrgId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#SWARM"))
}

/// What is told in one run of a swarm lies together, in the order of the run's stream.
pub(crate) fn swarm_message(org: OrgId, swarm: SwarmId, root: ExecutionId, sequence: u64) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#SWARM#{swarm}#RUN#{root}"),
        swarm_message_sort_key(sequence),
    )
}

pub(crate) fn swarm_posted(org: OrgId, swarm: SwarmId, root: ExecutionId) -> Key {
    key(Table::Work, format!("ORG#{org}#SWARM#{swarm}#POSTED"), root)
}

pub(crate) fn swarm_message_sort_key(sequence: u64) -> String {
    format!("{sequence:010}")
}

pub(crate) fn swarm_messages_of_run(org: OrgId, swarm: SwarmId, root: ExecutionId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#SWARM#{swarm}#RUN#{root}"))
}

pub(crate) fn swarm_messages(org: OrgId, swarm: SwarmId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#SWARM#{swarm}#MESSAGE"),
        prefix: "",
    }
}

pub(crate) fn swarm_message_indexes(org: OrgId, swarm: SwarmId, message: MessageId) -> IndexKeys {
    IndexKeys {
        gsi1: Some((
            format!("ORG#{org}#SWARM#{swarm}#MESSAGE"),
            message.to_string(),
        )),
        ..IndexKeys::default()
    }
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

/// The most bytes of a name that order a list: a sort key has at most 1,024, and a cursor holds one.
const NAME_KEY_BYTES: usize = 256;

/// Files are listed by name without regard to case.
pub(crate) fn file_name_sort_key(name: &str) -> String {
    let name = name.to_lowercase();
    name[..name.floor_char_boundary(NAME_KEY_BYTES)].to_owned()
}

pub(crate) fn files_by_name(org: OrgId) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#FILE#NAME"),
        prefix: "",
    }
}

pub(crate) fn files_with_status(org: OrgId, status: &str) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi2,
        pk: format!("ORG#{org}#FILE#STATUS#{status}"),
        prefix: "",
    }
}

/// Deleted files are listed by status alone.
pub(crate) fn file_indexes(
    org: OrgId,
    file: FileId,
    name: Option<&str>,
    status: &str,
) -> IndexKeys {
    IndexKeys {
        gsi1: name.map(|name| {
            (
                format!("ORG#{org}#FILE#NAME"),
                format!("{}#{file}", file_name_sort_key(name)),
            )
        }),
        gsi2: Some((format!("ORG#{org}#FILE#STATUS#{status}"), file.to_string())),
        due: None,
    }
}

pub(crate) fn file_version(org: OrgId, file: FileId, number: u32) -> Key {
    key(
        Table::Core,
        format!("ORG#{org}#FILE#{file}#VERSION"),
        format!("{number:010}"),
    )
}

pub(crate) fn file_versions(org: OrgId, file: FileId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#FILE#{file}#VERSION"))
}

/// That a file has, or had, a content with this checksum.
pub(crate) fn file_checksum(org: OrgId, sha256: &str, file: FileId) -> Key {
    key(Table::Core, format!("ORG#{org}#FILE#SHA256#{sha256}"), file)
}

pub(crate) fn files_with_checksum(org: OrgId, sha256: &str) -> Collection {
    collection(Table::Core, format!("ORG#{org}#FILE#SHA256#{sha256}"))
}

/// `target` is the kind and the id of what a file is linked to.
pub(crate) fn file_link(org: OrgId, file: FileId, target: &str) -> Key {
    key(Table::Core, format!("ORG#{org}#FILE#{file}#LINK"), target)
}

pub(crate) fn links_of_file(org: OrgId, file: FileId) -> Collection {
    collection(Table::Core, format!("ORG#{org}#FILE#{file}#LINK"))
}

pub(crate) fn links_to(org: OrgId, target: &str) -> Collection {
    Collection {
        table: Table::Core,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#FILE#LINK#{target}"),
        prefix: "",
    }
}

pub(crate) fn file_link_indexes(org: OrgId, file: FileId, target: &str) -> IndexKeys {
    IndexKeys {
        gsi1: Some((format!("ORG#{org}#FILE#LINK#{target}"), file.to_string())),
        ..IndexKeys::default()
    }
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

/// The vector of a chunk in one set of its knowledge base's vectors. All of a document lie together,
/// set by set.
pub(crate) fn vector(
    org: OrgId,
    base: KnowledgeBaseId,
    file: FileId,
    set: u32,
    ordinal: u32,
) -> Key {
    key(
        Table::Knowledge,
        vectors(org, base, file),
        vector_sort_key(set, ordinal),
    )
}

pub(crate) fn vectors(org: OrgId, base: KnowledgeBaseId, file: FileId) -> String {
    format!("ORG#{org}#KB#{base}#FILE#{file}#VECTOR")
}

pub(crate) fn vector_sort_key(set: u32, ordinal: u32) -> String {
    format!("{set:010}#{ordinal:06}")
}

/// What a vector index narrows a search by: one set of vectors of one knowledge base.
pub(crate) fn vector_set(base: KnowledgeBaseId, set: u32) -> String {
    match set {
        0 => base.to_string(),
        set => format!("{base}#{set}"),
    }
}

// Sources on the web.

pub(crate) fn web_source(org: OrgId, base: KnowledgeBaseId, source: SourceId) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#SOURCE"),
        source,
    )
}

pub(crate) fn web_sources(org: OrgId, base: KnowledgeBaseId) -> Collection {
    collection(Table::Knowledge, format!("ORG#{org}#KB#{base}#SOURCE"))
}

/// The row that keeps an address from being two sources of one knowledge base.
pub(crate) fn web_source_url(org: OrgId, base: KnowledgeBaseId, digest: &str) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#SOURCEURL"),
        digest,
    )
}

/// How far the latest crawl of a source is, or was.
pub(crate) fn web_crawl(org: OrgId, base: KnowledgeBaseId, source: SourceId) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#SOURCE#{source}#CRAWL"),
        "CRAWL",
    )
}

/// A page of a source, by the digest of its address: an address may be longer than a sort key.
pub(crate) fn web_page(org: OrgId, base: KnowledgeBaseId, source: SourceId, digest: &str) -> Key {
    key(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#SOURCE#{source}#PAGE"),
        digest,
    )
}

pub(crate) fn web_pages(org: OrgId, base: KnowledgeBaseId, source: SourceId) -> Collection {
    collection(
        Table::Knowledge,
        format!("ORG#{org}#KB#{base}#SOURCE#{source}#PAGE"),
    )
}

// The text index.

/// Which files make up the text index of an org.
pub(crate) fn text_index(org: OrgId) -> Key {
    key(Table::Knowledge, format!("ORG#{org}#INDEX"), "HEAD")
}

/// Something that has to be indexed anew. `item` is its kind and its id.
pub(crate) fn index_mark(org: OrgId, item: &str) -> Key {
    key(Table::Knowledge, format!("ORG#{org}#INDEX#MARK"), item)
}

pub(crate) fn index_marks(org: OrgId) -> Collection {
    collection(Table::Knowledge, format!("ORG#{org}#INDEX#MARK"))
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

pub(crate) fn approval(org: OrgId, approval: ApprovalId) -> Key {
    key(Table::Work, format!("ORG#{org}#APPROVAL"), approval)
}

pub(crate) fn approvals(org: OrgId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#APPROVAL"))
}

pub(crate) fn approvals_in_state(org: OrgId, state: &str) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Gsi1,
        pk: format!("ORG#{org}#APPROVAL#STATE#{state}"),
        prefix: "",
    }
}

pub(crate) fn approvals_of_execution(org: OrgId, execution: ExecutionId) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Gsi2,
        pk: format!("ORG#{org}#APPROVAL#EXECUTION#{execution}"),
        prefix: "",
    }
}

pub(crate) fn approval_indexes(
    org: OrgId,
    approval: ApprovalId,
    execution: ExecutionId,
    state: &str,
) -> IndexKeys {
    IndexKeys {
        gsi1: Some((
            format!("ORG#{org}#APPROVAL#STATE#{state}"),
            approval.to_string(),
        )),
        gsi2: Some((
            format!("ORG#{org}#APPROVAL#EXECUTION#{execution}"),
            approval.to_string(),
        )),
        due: None,
    }
}

/// The row by which the sweeper finds a run whose time is over.
pub(crate) fn deadline(org: OrgId, execution: ExecutionId) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#EXECUTION#{execution}"),
        "DEADLINE",
    )
}

pub(crate) fn deadline_indexes(
    execution: ExecutionId,
    shard: u32,
    expires_at: Timestamp,
) -> IndexKeys {
    IndexKeys {
        due: Some((
            format!("EXPIRY#{shard:02}"),
            format!("{}#{execution}", due_sort_key(expires_at)),
        )),
        ..IndexKeys::default()
    }
}

pub(crate) fn deadlines(shard: u32) -> Collection {
    Collection {
        table: Table::Work,
        index: Index::Due,
        pk: format!("EXPIRY#{shard:02}"),
        prefix: "",
    }
}

/// The row by which runs that wait for credits are found when there are more.
pub(crate) fn over_budget(org: OrgId, execution: ExecutionId) -> Key {
    key(Table::Work, format!("ORG#{org}#OVERBUDGET"), execution)
}

pub(crate) fn all_over_budget(org: OrgId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#OVERBUDGET"))
}

/// The row by which runs that wait for a tool's credential are found when there is one.
pub(crate) fn awaiting_auth(org: OrgId, tool: ToolId, execution: ExecutionId) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#AWAITINGAUTH#{tool}"),
        execution,
    )
}

pub(crate) fn all_awaiting_auth(org: OrgId, tool: ToolId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#AWAITINGAUTH#{tool}"))
}

// Conversations.

pub(crate) fn conversation(org: OrgId, conversation: ConversationId) -> Key {
    key(Table::Work, format!("ORG#{org}#CONVERSATION"), conversation)
}

pub(crate) fn conversations(org: OrgId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#CONVERSATION"))
}

/// The conversations that somebody has begun.
pub(crate) fn conversations_of(org: OrgId, actor: Actor) -> Collection {
    Collection {
        index: Index::Gsi1,
        ..collection(
            Table::Work,
            format!("ORG#{org}#CONVERSATION#{}", name(actor)),
        )
    }
}

/// Those of them that are with one agent.
pub(crate) fn conversations_with(org: OrgId, actor: Actor, agent: AgentId) -> Collection {
    let pk = format!("ORG#{org}#CONVERSATION#{}#AGENT#{agent}", name(actor));
    Collection {
        index: Index::Gsi2,
        ..collection(Table::Work, pk)
    }
}

pub(crate) fn conversation_indexes(
    org: OrgId,
    conversation: ConversationId,
    actor: Actor,
    agent: AgentId,
) -> IndexKeys {
    let sk = conversation.to_string();
    IndexKeys {
        gsi1: Some((conversations_of(org, actor).pk, sk.clone())),
        gsi2: Some((conversations_with(org, actor, agent).pk, sk)),
        due: None,
    }
}

fn name(actor: Actor) -> String {
    match actor {
        Actor::User { id } => format!("BY#{id}"),
        Actor::ApiKey { id } => format!("BY#{id}"),
        Actor::Agent { id, .. } => format!("BY#{id}"),
        Actor::System => "BY#SYSTEM".to_owned(),
    }
}

pub(crate) fn turn(org: OrgId, conversation: ConversationId, turn: u32) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#CONVERSATION#{conversation}#TURN"),
        turn_sort_key(turn),
    )
}

pub(crate) fn turn_sort_key(turn: u32) -> String {
    format!("{turn:010}")
}

pub(crate) fn turns(org: OrgId, conversation: ConversationId) -> Collection {
    collection(
        Table::Work,
        format!("ORG#{org}#CONVERSATION#{conversation}#TURN"),
    )
}

// Admission: which runs of an org may run now. The org has a partition, and each agent whose runs
// are limited: places first, then the runs that wait for one, oldest first.

pub(crate) fn admission(org: OrgId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#ADMISSION"))
}

pub(crate) fn agent_admission(org: OrgId, agent: AgentId) -> Collection {
    collection(Table::Work, format!("ORG#{org}#ADMISSION#{agent}"))
}

pub(crate) fn agent_place(org: OrgId, agent: AgentId, number: u32) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#ADMISSION#{agent}"),
        format!("PLACE#{number:04}"),
    )
}

pub(crate) fn org_place(org: OrgId, number: u32) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#ADMISSION"),
        format!("PLACE#{number:04}"),
    )
}

pub(crate) fn run_waiting_for_agent(org: OrgId, agent: AgentId, execution: ExecutionId) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#ADMISSION#{agent}"),
        format!("WAITING#{execution}"),
    )
}

pub(crate) fn waiting_run(org: OrgId, execution: ExecutionId) -> Key {
    key(
        Table::Work,
        format!("ORG#{org}#ADMISSION"),
        format!("WAITING#{execution}"),
    )
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

// Searches. Each lies with who asked, so that nobody comes by another's.

pub(crate) fn search(org: OrgId, by: Actor, search: SearchId) -> Key {
    key(
        Table::Ephemeral,
        format!("ORG#{org}#SEARCH#{}", name(by)),
        search,
    )
}

pub(crate) fn searches_of(org: OrgId, by: Actor) -> Collection {
    collection(Table::Ephemeral, format!("ORG#{org}#SEARCH#{}", name(by)))
}

/// What was counted of a day's searches, in one of several parts: searches at the same moment would
/// wait for each other at a single row.
pub(crate) fn search_counts(org: OrgId, part: u32, day: Day) -> Key {
    key(Table::Metrics, format!("ORG#{org}#SEARCHES#{part:02}"), day)
}

/// What was counted of one query on a day, by the digest of the query.
pub(crate) fn searched_query(org: OrgId, day: Day, digest: &str) -> Key {
    key(
        Table::Ephemeral,
        format!("ORG#{org}#SEARCHED#{day}"),
        digest,
    )
}

// Budgets and their ledgers.

/// Agents sort before the org, and the org before executions, of which there are many.
fn account(account: &Account) -> String {
    match account {
        Account::Agent { id } => format!("AGENT#{id}"),
        Account::Org => "ORG".to_owned(),
        Account::Execution { id } => format!("RUN#{id}"),
    }
}

pub(crate) fn budget(org: OrgId, of: &Account) -> Key {
    key(Table::Ledger, format!("ORG#{org}#BUDGET"), account(of))
}

pub(crate) fn budgets(org: OrgId) -> Collection {
    collection(Table::Ledger, format!("ORG#{org}#BUDGET"))
}

pub(crate) fn ledger_entry(org: OrgId, of: &Account, entry: LedgerEntryId) -> Key {
    key(
        Table::Ledger,
        format!("ORG#{org}#LEDGER#{}", account(of)),
        entry,
    )
}

pub(crate) fn ledger(org: OrgId, of: &Account) -> Collection {
    collection(Table::Ledger, format!("ORG#{org}#LEDGER#{}", account(of)))
}

// Vault.

/// A data key of an org; each version is a row of its own.
pub(crate) fn data_key(org: OrgId, version: u32) -> Key {
    key(
        Table::Vault,
        format!("ORG#{org}#DATAKEY"),
        format!("{version:010}"),
    )
}

pub(crate) fn data_keys(org: OrgId) -> Collection {
    collection(Table::Vault, format!("ORG#{org}#DATAKEY"))
}

/// The credential of a tool.
pub(crate) fn tool_credential(org: OrgId, tool: ToolId) -> Key {
    key(Table::Vault, format!("ORG#{org}#TOOLCREDENTIAL"), tool)
}

// Ephemeral.

/// `caller` names the caller and the operation: two of them may use the same key.
pub(crate) fn idempotency(scope: &str, digest: &str) -> Key {
    key(Table::Ephemeral, format!("IDEMPOTENCY#{scope}"), digest)
}

/// A vector that a model gave to a text of an org, by the digest of the text. Spread over 256
/// partitions for each model.
pub(crate) fn embedded_text(org: OrgId, model: &str, digest: &str) -> Key {
    let part = digest.get(..2).unwrap_or_default();
    key(
        Table::Ephemeral,
        format!("ORG#{org}#EMBEDDED#{model}#{part}"),
        digest,
    )
}

/// A link that answers an approval, by the digest of what only the link holds.
pub(crate) fn approval_link(org: OrgId, approval: ApprovalId, digest: &str) -> Key {
    key(
        Table::Ephemeral,
        format!("ORG#{org}#APPROVAL#{approval}#LINK"),
        digest,
    )
}

/// When an org may next ask something of a host.
pub(crate) fn host_pace(org: OrgId, host: &str) -> Key {
    key(Table::Ephemeral, format!("ORG#{org}#HOST"), host)
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
            memory_recall(o, a, e),
            memory_upkeep(o, a),
            tool(o, ToolId::from_u128(9)),
            tool_name(o, "weather"),
            mcp_listing(o, ToolId::from_u128(9)),
            task(o, TaskId::from_u128(9)),
            file(o, f),
            file_version(o, f, 12),
            file_checksum(o, "AA==", f),
            file_link(o, f, "agent#x"),
            knowledge_base(o, k),
            document(o, k, f),
            chunk(o, k, f, 31),
            vector(o, k, f, 2, 31),
            web_source(o, k, SourceId::from_u128(9)),
            web_source_url(o, k, "00ff"),
            web_crawl(o, k, SourceId::from_u128(9)),
            web_page(o, k, SourceId::from_u128(9), "00ff"),
            text_index(o),
            index_mark(o, "agent/x"),
            job(o, j),
            execution(o, e),
            effect(o, e, 2, 1),
            stream_entry(o, e, 17),
            deadline(o, e),
            over_budget(o, e),
            awaiting_auth(o, ToolId::from_u128(9), e),
            conversation(o, ConversationId::from_u128(9)),
            turn(o, ConversationId::from_u128(9), 3),
            agent_place(o, a, 2),
            org_place(o, 2),
            waiting_run(o, e),
            run_waiting_for_agent(o, a, e),
            event(o, v),
            audit_head(o),
            audit_entry(o, 44),
            audit_seen(o, v),
            agent_stats(o, a),
            stats_seen(o, v),
            search(o, Actor::User { id: u }, SearchId::from_u128(9)),
            search_counts(o, 3, Day::of(Timestamp::from_millis(1_767_225_600_000))),
            searched_query(
                o,
                Day::of(Timestamp::from_millis(1_767_225_600_000)),
                "abcdef",
            ),
            budget(o, &Account::Org),
            budget(o, &Account::Agent { id: a }),
            budget(o, &Account::Execution { id: e }),
            ledger_entry(o, &Account::Org, LedgerEntryId::from_u128(9)),
            ledger_entry(o, &Account::Agent { id: a }, LedgerEntryId::from_u128(9)),
            ledger_entry(
                o,
                &Account::Execution { id: e },
                LedgerEntryId::from_u128(9),
            ),
            data_key(o, 12),
            tool_credential(o, ToolId::from_u128(9)),
            idempotency("org/key/op", "d1"),
            embedded_text(o, "static-en-256@1", "abcdef"),
            approval(o, ApprovalId::from_u128(9)),
            approval_link(o, ApprovalId::from_u128(9), "d2"),
            swarm(o, SwarmId::from_u128(9)),
            swarm_message(o, SwarmId::from_u128(9), e, 17),
            swarm_posted(o, SwarmId::from_u128(9), e),
            host_pace(o, "example.com:443"),
            probe(),
        ];
        let lines: Vec<String> = keys
            .iter()
            .map(|k| format!("{:?} {} | {}", k.table, k.pk, k.sk))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn sets_of_vectors_are_searched_under_names_of_their_own() {
        let k = KnowledgeBaseId::from_u128(6);
        assert_eq!(vector_set(k, 0), "kb_00000000000000000000000006");
        assert_eq!(vector_set(k, 12), "kb_00000000000000000000000006#12");
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
            memory_recalls(o, a),
            tools(o),
            tasks(o),
            tasks_of_agent(o, a),
            tasks_with_status(o, "todo"),
            files(o),
            files_by_name(o),
            files_with_status(o, "ready"),
            file_versions(o, f),
            files_with_checksum(o, "AA=="),
            links_of_file(o, f),
            links_to(o, "agent#x"),
            knowledge_bases(o),
            documents(o, k),
            chunks(o, k, f),
            web_sources(o, k),
            web_pages(o, k, SourceId::from_u128(9)),
            index_marks(o),
            due_jobs(3),
            executions(o),
            executions_of_agent(o, a),
            effects(o, e),
            stream(o, e),
            conversations_of(o, Actor::User { id: u }),
            conversations_with(o, Actor::User { id: u }, a),
            approvals(o),
            approvals_in_state(o, "pending"),
            approvals_of_execution(o, e),
            audit_entries(o),
            searches_of(o, Actor::User { id: u }),
            budgets(o),
            ledger(o, &Account::Agent { id: a }),
            data_keys(o),
            swarms(o),
            swarm_messages_of_run(o, SwarmId::from_u128(9), e),
            swarm_messages(o, SwarmId::from_u128(9)),
        ];
        let mut lines: Vec<String> = collections
            .iter()
            .map(|c| format!("{:?} {:?} {} {}", c.table, c.index, c.pk, c.prefix))
            .collect();
        let at = Timestamp::from_millis(1_767_225_600_000);
        for indexes in [
            member_indexes(o, u),
            task_indexes(o, TaskId::from_u128(9), Some(a), "todo"),
            file_indexes(o, f, Some("Été.md"), "ready"),
            file_link_indexes(o, f, "agent#x"),
            job_indexes(3, Some(at), JobId::from_u128(7)),
            execution_indexes(o, e, a),
            conversation_indexes(o, ConversationId::from_u128(9), Actor::User { id: u }, a),
            approval_indexes(o, ApprovalId::from_u128(9), e, "pending"),
            swarm_message_indexes(o, SwarmId::from_u128(9), MessageId::from_u128(10)),
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
