//! What an agent may call. A model may invent names and arguments: nothing is called that the
//! agent was not given, nor with arguments that its schema does not allow.

mod builtin;
mod http;

use std::collections::BTreeMap;

use domain::agent::{AgentSpec, ToolRef};
use domain::event::EventKind;
use domain::execution::{EffectRequest, RequestedCall};
use domain::memory::Memory;
use domain::task::Task;
use domain::tool::{ArgumentSchema, Builtin, MAX_ARGUMENT_BYTES, Tool};
use serde_json::{Value, json};
use store::{Commit, Store, Tenant};

use crate::run::{Run, Stop};

/// The most bytes of a tool's answer that a model is shown.
pub(crate) const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// The tools of one run, by the name that the model knows.
pub(crate) struct Toolbox(BTreeMap<String, Entry>);

struct Entry {
    description: String,
    parameters: Value,
    schema: ArgumentSchema,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Builtin(Builtin),
    Registered(Box<Tool>),
}

impl Toolbox {
    /// The tools that the agent was given and that still exist.
    pub(crate) async fn open(
        store: &Store,
        tenant: Tenant,
        spec: &AgentSpec,
    ) -> Result<Self, Stop> {
        let registered: Vec<_> = spec
            .tools
            .iter()
            .filter_map(|tool| match tool {
                ToolRef::Registered(id) => Some(*id),
                ToolRef::Builtin(_) => None,
            })
            .collect();
        let mut entries = BTreeMap::new();
        for tool in store.tools(tenant).get_many(&registered).await? {
            let parameters = tool.spec.parameters.clone();
            match ArgumentSchema::compile(&parameters) {
                Ok(schema) => {
                    let name = tool.spec.name.clone();
                    let description = tool.spec.description.clone();
                    let kind = Kind::Registered(Box::new(tool));
                    entries.insert(
                        name,
                        Entry {
                            description,
                            parameters,
                            schema,
                            kind,
                        },
                    );
                }
                Err(error) => {
                    tracing::error!(tool = %tool.id, %error, "a stored tool is unusable");
                }
            }
        }
        let searches = !spec.knowledge_bases.is_empty();
        for builtin in spec.tools.iter().filter_map(|tool| match tool {
            ToolRef::Builtin(builtin) => Some(*builtin),
            ToolRef::Registered(_) => None,
        }) {
            let needs_knowledge =
                matches!(builtin, Builtin::SearchKnowledge | Builtin::ReadDocument);
            if needs_knowledge && !searches {
                continue;
            }
            let parameters = builtin.parameters();
            let Ok(schema) = ArgumentSchema::compile(&parameters) else {
                continue;
            };
            let entry = Entry {
                description: builtin.description().to_owned(),
                parameters,
                schema,
                kind: Kind::Builtin(builtin),
            };
            entries.insert(builtin.name().to_owned(), entry);
        }
        Ok(Self(entries))
    }

    /// Name, description and parameters of each tool, as a model is told.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.description.as_str(), &entry.parameters))
    }

    /// The tool to call, if the call is one that the agent may make.
    fn admit(&self, call: &RequestedCall) -> Result<Kind, Reply> {
        let Some(entry) = self.0.get(&call.name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            return Err(Reply::error(format!(
                "There is no tool `{}`. You may call: {}.",
                shortened(&call.name, 80),
                known.join(", ")
            )));
        };
        if let Value::String(text) = &call.arguments {
            return Err(Reply::error(format!(
                "The arguments must be a JSON object, not: {}",
                shortened(text, 200)
            )));
        }
        if call.arguments.to_string().len() > MAX_ARGUMENT_BYTES {
            return Err(Reply::error(format!(
                "The arguments are larger than {MAX_ARGUMENT_BYTES} bytes."
            )));
        }
        entry
            .schema
            .check(&call.arguments)
            .map_err(|error| Reply::error(format!("The arguments are not valid: {error}.")))?;
        Ok(entry.kind.clone())
    }
}

/// What a tool answers, and what it changes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) is_error: bool,
    pub(crate) change: Change,
}

impl Reply {
    pub(crate) fn error(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            is_error: true,
            change: Change::None,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self {
            content: value.to_string(),
            is_error: false,
            change: Change::None,
        }
    }

    fn with(self, change: Change) -> Self {
        Self { change, ..self }
    }
}

/// What a tool changes. It is committed in one transaction with the settled effect, so it happens
/// exactly once.
#[derive(Debug)]
pub(crate) enum Change {
    None,
    Remember(Box<Memory>),
    CreateTask(Box<Task>),
}

impl Change {
    pub(crate) fn add_to(self, run: &Run<'_>, commit: Commit) -> Commit {
        let store = &run.runner.store;
        let cause = run.cause();
        match self {
            Self::None => commit,
            Self::Remember(memory) => {
                let data = json!({ "agent": memory.agent, "kind": memory.kind });
                let kind = EventKind::MemoryCreated;
                let event = store.event(run.tenant, &cause, kind, memory.id, data);
                commit.create(&*memory).event(event)
            }
            Self::CreateTask(task) => {
                let data = json!({ "title": task.title, "status": task.status });
                let kind = EventKind::TaskCreated;
                let event = store.event(run.tenant, &cause, kind, task.id, data);
                commit.create(&*task).event(event)
            }
        }
    }
}

/// Makes one tool call of a step and settles it.
pub(crate) async fn call(
    run: &mut Run<'_>,
    step: u32,
    number: u32,
    call: &RequestedCall,
) -> Result<(), Stop> {
    let reply = match run.toolbox.admit(call) {
        Err(refusal) => refusal,
        Ok(Kind::Builtin(builtin)) => builtin::call(run, builtin, &call.arguments).await?,
        Ok(Kind::Registered(tool)) => call_registered(run, step, number, call, &tool).await?,
    };
    let reply = Reply {
        content: capped(reply.content),
        ..reply
    };
    run.settle_tool(step, number, call, reply).await
}

/// Calls a tool whose effects are outside: it is noted before it is made. Where a worker died
/// during the call, only a tool that declares itself idempotent is called again.
async fn call_registered(
    run: &mut Run<'_>,
    step: u32,
    number: u32,
    call: &RequestedCall,
    tool: &Tool,
) -> Result<Reply, Stop> {
    if run.journal.begun(step, number) && !tool.spec.idempotent {
        return Ok(Reply::error(
            "The outcome of this call is unknown: it was interrupted and may or may not have \
             happened. It was not repeated.",
        ));
    }
    let request = EffectRequest::Tool {
        call_id: call.call_id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    };
    run.begin_effect(step, number, request, None).await?;
    http::call(run, step, number, tool, &call.arguments).await
}

/// `content`, cut to what a model is shown, with a note where it was cut.
fn capped(content: String) -> String {
    if content.len() <= MAX_CONTENT_BYTES {
        return content;
    }
    let note = format!("\n… cut: the answer has {} bytes.", content.len());
    let mut end = MAX_CONTENT_BYTES - note.len();
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{note}", &content[..end])
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_at_a_character_and_says_so() {
        let short = capped("ü".repeat(10));
        assert_eq!(short, "ü".repeat(10));
        let long = capped("ü".repeat(MAX_CONTENT_BYTES));
        assert!(long.len() <= MAX_CONTENT_BYTES);
        assert!(long.ends_with("bytes."));
    }
}
