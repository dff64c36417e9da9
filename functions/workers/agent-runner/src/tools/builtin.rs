//! The tools that come with the product.

use domain::memory::{Importance, MemoryKind, MemorySource};
use domain::swarm::SwarmMessage;
use domain::task::{Priority, Task, TaskStatus};
use domain::tool::Builtin;
use kernel::{AgentId, FileId, MessageId, TaskId};
use retrieval::SearchError;
use retrieval::memories::embed_memory;
use serde::Deserialize;
use serde_json::{Value, json};
use store::memories::MemoryDraft;
use work::JobError;

use crate::citations::ShownPassages;
use crate::reply::{Change, Reply};
use crate::run::Run;
use crate::stop::Stop;

const DEFAULT_PASSAGES: usize = 6;
/// How many chunks of a document are read at once.
const CHUNKS_READ: u32 = 8;

#[derive(Deserialize)]
struct SearchArguments {
    query: String,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct ReadArguments {
    file_id: String,
    #[serde(default)]
    from_chunk: u32,
}

#[derive(Deserialize)]
struct RememberArguments {
    text: String,
    #[serde(default)]
    kind: MemoryKind,
    #[serde(default)]
    importance: Importance,
}

#[derive(Deserialize)]
struct MessageArguments {
    to: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct TaskArguments {
    title: String,
    #[serde(default)]
    description: String,
}

/// Calls a built-in tool. The arguments satisfy its schema.
pub(crate) async fn call(
    run: &mut Run<'_>,
    builtin: Builtin,
    arguments: &Value,
) -> Result<Reply, Stop> {
    match builtin {
        Builtin::SearchKnowledge => match read(arguments) {
            Ok(arguments) => search_knowledge(run, arguments).await,
            Err(reply) => Ok(reply),
        },
        Builtin::ReadDocument => match read(arguments) {
            Ok(arguments) => read_document(run, arguments).await,
            Err(reply) => Ok(reply),
        },
        Builtin::Remember => match read(arguments) {
            Ok(arguments) => remember(run, arguments).await,
            Err(reply) => Ok(reply),
        },
        Builtin::CreateTask => Ok(read(arguments).map_or_else(|r| r, |a| create_task(run, a))),
        Builtin::SendMessage => {
            Ok(read(arguments).map_or_else(|r| r, |message| send_message(run, message)))
        }
        // Decided by people, and by the agent that is called.
        Builtin::AskHuman | Builtin::CallAgent => Ok(Reply::error("This cannot be called so.")),
    }
}

fn read<T: for<'de> Deserialize<'de>>(arguments: &Value) -> Result<T, Reply> {
    T::deserialize(arguments)
        .map_err(|error| Reply::error(format!("The arguments are not valid: {error}.")))
}

async fn search_knowledge(run: &mut Run<'_>, arguments: SearchArguments) -> Result<Reply, Stop> {
    let limit = arguments.limit.unwrap_or(DEFAULT_PASSAGES);
    let retriever = run.runner.retriever(run.tenant);
    let bases = &run.spec.knowledge_bases;
    match retriever.passages(bases, &arguments.query, limit).await {
        Ok(passages) => shown(&run.sources.show_all(passages)),
        Err(SearchError::Read(error)) => Err(error.into()),
        Err(error) => Ok(Reply::error(error.to_string())),
    }
}

/// Reads on in a document, if it is part of a knowledge base that the agent may search.
async fn read_document(run: &mut Run<'_>, arguments: ReadArguments) -> Result<Reply, Stop> {
    let missing = || Reply::error("There is no such document in your knowledge bases.");
    let Ok(file) = arguments.file_id.parse::<FileId>() else {
        return Ok(missing());
    };
    let store = run.runner.store.clone();
    let knowledge = store.knowledge(run.tenant);
    for base in run.spec.knowledge_bases.clone() {
        if knowledge.document(base, file).await?.is_none() {
            continue;
        }
        let chunks = knowledge
            .chunks(base, file, arguments.from_chunk, CHUNKS_READ)
            .await?;
        let passages = chunks
            .into_iter()
            .map(|chunk| run.sources.show(chunk, None))
            .collect();
        return shown(&ShownPassages { passages });
    }
    Ok(missing())
}

fn shown(passages: &ShownPassages) -> Result<Reply, Stop> {
    serde_json::to_value(passages)
        .map(|value| Reply::json(&value))
        .map_err(|error| Stop::Later(JobError::new("passages", error.to_string()), None))
}

async fn remember(run: &Run<'_>, arguments: RememberArguments) -> Result<Reply, Stop> {
    let draft = MemoryDraft {
        agent: run.execution.agent,
        kind: arguments.kind,
        importance: arguments.importance,
        source: MemorySource::Execution {
            id: run.execution.id,
        },
        embedding: embed_memory(&arguments.text),
        text: arguments.text,
    };
    let memories = run.runner.store.memories(run.tenant);
    let new = memories.prepare(draft).await?;
    let answer = json!({ "remembered": new.memory().id });
    Ok(Reply::json(&answer).with(Change::Remember(Box::new(new))))
}

fn send_message(run: &Run<'_>, arguments: MessageArguments) -> Reply {
    let Some(swarm) = run
        .swarm
        .as_ref()
        .map(|swarm| &swarm.swarm)
        .filter(|swarm| swarm.spec.has(run.execution.agent))
    else {
        return Reply::error("You work in no swarm now: there is nobody to be told.");
    };
    let to = match arguments.to.map(|to| to.parse::<AgentId>()) {
        None => None,
        Some(Ok(agent)) if agent != run.execution.agent && swarm.spec.has(agent) => Some(agent),
        Some(_) => return Reply::error("There is no such agent among those that you work with."),
    };
    let now = run.runner.store.now();
    let message = SwarmMessage {
        id: MessageId::generate(now),
        org: swarm.org,
        swarm: swarm.id,
        execution: run.execution.root(),
        sequence: 0,
        from: run.cause().actor,
        to,
        text: arguments.text,
        at: now,
    };
    Reply::json(&json!({ "message_id": message.id })).with(Change::SendMessage(Box::new(message)))
}

fn create_task(run: &Run<'_>, arguments: TaskArguments) -> Reply {
    let task = new_task(run, arguments.title, arguments.description);
    Reply::json(&json!({ "task_id": task.id, "status": task.status }))
        .with(Change::CreateTask(Box::new(task)))
}

fn new_task(run: &Run<'_>, title: String, description: String) -> Task {
    let now = run.runner.store.now();
    Task {
        id: TaskId::generate(now),
        org: run.execution.org,
        title,
        description,
        status: TaskStatus::Todo,
        priority: Priority::default(),
        assignee: None,
        auto_run: false,
        due_at: None,
        execution: None,
        result: None,
        created_by: run.cause().actor,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}
