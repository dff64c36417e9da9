//! The tools that an agent was given. A model may invent names and arguments: nothing is called
//! that the agent was not given, nor with arguments that its schema does not allow.

use std::collections::BTreeMap;

use domain::agent::{AgentSpec, ToolRef};
use domain::approval::ApprovalPolicy;
use domain::execution::{Execution, RequestedCall};
use domain::tool::{
    ArgumentSchema, Builtin, MAX_ARGUMENT_BYTES, OnUnknown, Tool, ToolAction, server_tool_name,
};
use kernel::{MicroCredits, ToolId};
use mcp::ToolDescription;
use serde_json::Value;
use store::Tenant;

use crate::AgentRunner;
use crate::reply::Reply;
use crate::servers::{self, Listed};
use crate::stop::Stop;
use crate::swarm::InSwarm;

/// The tools of one run, by the name that the model knows.
#[derive(Default)]
pub(crate) struct Toolbox {
    entries: BTreeMap<String, Entry>,
    /// A tool whose server wants a credential before it says what it offers.
    locked: Option<ToolId>,
}

struct Entry {
    description: String,
    parameters: Value,
    schema: ArgumentSchema,
    admitted: Admitted,
}

/// A tool that may be called, and on what terms.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(crate) kind: Kind,
    /// Who must approve a call, if anybody.
    pub(crate) approval: Option<ApprovalPolicy>,
    /// What a call costs, if anything.
    pub(crate) price: Option<MicroCredits>,
    /// Whether an interrupted call may be made again.
    pub(crate) idempotent: bool,
    pub(crate) on_unknown: OnUnknown,
}

/// How a tool is called.
#[derive(Clone)]
pub(crate) enum Kind {
    Builtin(Builtin),
    Http(Box<Tool>),
    Mcp(Box<ServerTool>),
}

/// One tool of a server.
#[derive(Clone)]
pub(crate) struct ServerTool {
    pub(crate) server: Tool,
    pub(crate) description: ToolDescription,
}

impl Toolbox {
    /// The tools of the product that the agent of a run was given, and the org's own.
    pub(crate) async fn open(
        runner: &AgentRunner,
        tenant: Tenant,
        execution: &Execution,
        spec: &AgentSpec,
        swarm: Option<&InSwarm>,
        registered: Vec<Tool>,
    ) -> Result<Self, Stop> {
        let mut toolbox = Self::default();
        for tool in registered {
            match &tool.spec.action {
                ToolAction::Http(_) => toolbox.add_http(spec, tool),
                ToolAction::Mcp(_) => match servers::list(runner, tenant, &tool).await? {
                    Listed::Tools(tools) => {
                        for description in tools {
                            toolbox.add_of_server(spec, &tool, description);
                        }
                    }
                    Listed::Locked => toolbox.locked = Some(tool.id),
                    Listed::Unreachable => {
                        tracing::warn!(execution = %execution.id, tool = %tool.id, "the tools of a server could not be listed");
                    }
                },
            }
        }
        for tool in &spec.tools {
            if let ToolRef::Builtin(builtin) = tool
                && useful(*builtin, spec)
            {
                toolbox.add_builtin(spec, *builtin);
            }
        }
        // Whoever made the agent part of a swarm lets it work with the others.
        if let Some(swarm) = swarm.filter(|swarm| swarm.swarm.spec.has(execution.agent)) {
            toolbox.add_builtin(spec, Builtin::SendMessage);
            if swarm.colleagues(execution.agent).next().is_some() {
                toolbox.add_builtin(spec, Builtin::CallAgent);
            }
        }
        Ok(toolbox)
    }

    /// A tool whose server wants a credential before it says what it offers, if there is one.
    pub(crate) fn locked(&self) -> Option<ToolId> {
        self.locked
    }

    fn add_http(&mut self, spec: &AgentSpec, tool: Tool) {
        let entry = Admitted {
            approval: approval(spec, &tool.spec.name, tool.spec.approval.as_ref()),
            price: tool.spec.micro_credits_per_call,
            idempotent: tool.spec.idempotent,
            on_unknown: tool.spec.on_unknown,
            kind: Kind::Http(Box::new(tool.clone())),
        };
        let name = tool.spec.name;
        self.add(name, tool.spec.description, tool.spec.parameters, entry);
    }

    /// A server's claims about its tools are hints: that a call may be repeated is believed only
    /// where the org says so of the whole server.
    fn add_of_server(&mut self, spec: &AgentSpec, server: &Tool, description: ToolDescription) {
        let name = server_tool_name(&server.spec.name, &description.name);
        if self.entries.contains_key(&name) {
            tracing::warn!(tool = %server.id, name, "two tools of a server have one name");
            return;
        }
        let entry = Admitted {
            approval: approval(spec, &name, server.spec.approval.as_ref()),
            price: server.spec.micro_credits_per_call,
            idempotent: server.spec.idempotent,
            on_unknown: server.spec.on_unknown,
            kind: Kind::Mcp(Box::new(ServerTool {
                server: server.clone(),
                description: description.clone(),
            })),
        };
        let parameters = description.input_schema;
        self.add(name, description.description, parameters, entry);
    }

    fn add_builtin(&mut self, spec: &AgentSpec, builtin: Builtin) {
        let entry = Admitted {
            approval: approval(spec, builtin.name(), None),
            price: None,
            idempotent: true,
            on_unknown: OnUnknown::Automatic,
            kind: Kind::Builtin(builtin),
        };
        let name = builtin.name().to_owned();
        let description = builtin.description().to_owned();
        self.add(name, description, builtin.parameters(), entry);
    }

    fn add(&mut self, name: String, description: String, parameters: Value, admitted: Admitted) {
        match ArgumentSchema::compile(&parameters) {
            Ok(schema) => {
                let entry = Entry {
                    description,
                    parameters,
                    schema,
                    admitted,
                };
                self.entries.insert(name, entry);
            }
            Err(error) => tracing::warn!(name, %error, "a tool is unusable"),
        }
    }

    /// Name, description and parameters of each tool, as a model is told.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.description.as_str(), &entry.parameters))
    }

    /// The tool to call, if the call is one that the agent may make.
    pub(crate) fn admit(&self, call: &RequestedCall) -> Result<Admitted, Reply> {
        let Some(entry) = self.entries.get(&call.name) else {
            let known: Vec<&str> = self.entries.keys().map(String::as_str).collect();
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
        self.check(&call.name, &call.arguments)?;
        Ok(entry.admitted.clone())
    }

    /// Whether a tool may be called with these arguments.
    pub(crate) fn check(&self, name: &str, arguments: &Value) -> Result<(), Reply> {
        if arguments.to_string().len() > MAX_ARGUMENT_BYTES {
            return Err(Reply::error(format!(
                "The arguments are larger than {MAX_ARGUMENT_BYTES} bytes."
            )));
        }
        let Some(entry) = self.entries.get(name) else {
            return Ok(());
        };
        entry
            .schema
            .check(arguments)
            .map_err(|error| Reply::error(format!("The arguments are not valid: {error}.")))
    }
}

/// Whether a built-in tool has anything to work on.
fn useful(builtin: Builtin, spec: &AgentSpec) -> bool {
    match builtin {
        Builtin::SearchKnowledge | Builtin::ReadDocument => !spec.knowledge_bases.is_empty(),
        Builtin::CallAgent => !spec.agents.is_empty(),
        Builtin::Remember | Builtin::CreateTask | Builtin::AskHuman => true,
        // Comes with the swarm of a run.
        Builtin::SendMessage => false,
    }
}

/// Who must approve a call: what the tool itself asks for stands above what the agent asks for.
fn approval(
    spec: &AgentSpec,
    name: &str,
    of_tool: Option<&ApprovalPolicy>,
) -> Option<ApprovalPolicy> {
    of_tool.or_else(|| spec.approvals.get(name)).cloned()
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
