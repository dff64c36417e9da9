//! The tools that an agent was given. A model may invent names and arguments: nothing is called
//! that the agent was not given, nor with arguments that its schema does not allow.

use std::collections::BTreeMap;

use domain::agent::{AgentSpec, ToolRef};
use domain::execution::RequestedCall;
use domain::tool::{ArgumentSchema, Builtin, MAX_ARGUMENT_BYTES, Tool};
use serde_json::Value;
use store::{ReadError, Store, Tenant};

use crate::reply::Reply;

/// The tools of one run, by the name that the model knows.
pub(crate) struct Toolbox(BTreeMap<String, Entry>);

struct Entry {
    description: String,
    parameters: Value,
    schema: ArgumentSchema,
    kind: Kind,
}

/// How a tool is called.
#[derive(Clone)]
pub(crate) enum Kind {
    Builtin(Builtin),
    Registered(Box<Tool>),
}

impl Toolbox {
    /// The tools that the agent was given and that still exist.
    pub(crate) async fn open(
        store: &Store,
        tenant: Tenant,
        spec: &AgentSpec,
    ) -> Result<Self, ReadError> {
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
    pub(crate) fn admit(&self, call: &RequestedCall) -> Result<Kind, Reply> {
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

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
