//! The functions of a stack and what wakes them.

use serde_json::Value;

use super::{Resource, Stack, Template};

const FUNCTION: &str = "AWS::Serverless::Function";
const MAPPING: &str = "AWS::Lambda::EventSourceMapping";

/// A function of the main template, with what SAM's globals say for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its logical id.
    pub(crate) id: String,
    /// Where its binary is, as written.
    pub(crate) code_uri: String,
    /// In seconds.
    pub(crate) timeout: Option<u64>,
    /// In megabytes.
    pub(crate) memory: Option<u64>,
    pub(crate) has_log_group: bool,
    pub(crate) has_url: bool,
    pub(crate) is_scheduled: bool,
    pub(crate) routes: Vec<Route>,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// In upper case.
    pub(crate) method: String,
    pub(crate) path: String,
}

/// What feeds a function with batches.
#[derive(Debug)]
pub(crate) struct Mapping<'a> {
    /// The logical id of the mapping; `function.event` for one within its function.
    pub(crate) id: String,
    /// The logical id of the function.
    pub(crate) function: String,
    pub(crate) source: Source<'a>,
    pub(crate) properties: &'a Value,
}

/// Where batches come from.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Queue(Resource<'a>),
    Stream,
    /// Nothing of this stack.
    Unknown,
}

/// What a sample of a worker's event must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventSource {
    Queue,
    Stream,
    Schedule,
}

impl Route {
    /// `GET /v1/agents`, as operations spell it.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.method, self.path.replace("+}", "}"))
    }
}

impl Function {
    /// The name of the binary, if the code is where binaries are put.
    pub(crate) fn binary(&self) -> Option<&str> {
        let name = self.code_uri.strip_prefix("target/lambda/")?;
        let name = name.strip_suffix('/').unwrap_or(name);
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }
}

impl Stack {
    /// The functions, by logical id.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let globals = self.main.function_globals();
        self.main
            .resources()
            .filter(|resource| resource.kind == FUNCTION)
            .map(|resource| function(&resource, globals))
            .collect()
    }

    /// Everything that feeds functions with batches.
    pub(crate) fn mappings(&self) -> Vec<Mapping<'_>> {
        let own = self
            .main
            .resources()
            .filter(|resource| resource.kind == MAPPING)
            .map(|resource| {
                let properties = resource.properties();
                let function = self.resolve(&properties["FunctionName"]);
                Mapping {
                    id: resource.id.to_owned(),
                    function: function.map_or_else(String::new, |function| function.id.to_owned()),
                    source: self.source(&properties["EventSourceArn"]),
                    properties,
                }
            });
        own.chain(
            inline_mappings(&self.main).map(|(function, event, properties, arn)| Mapping {
                id: format!("{function}.{event}"),
                function: function.to_owned(),
                source: self.source(arn),
                properties,
            }),
        )
        .collect()
    }

    /// What wakes a worker, if anything does.
    pub(crate) fn wakers(&self, function: &Function) -> Vec<EventSource> {
        let mappings = self.mappings();
        let feeds = mappings
            .iter()
            .filter(|mapping| mapping.function == function.id);
        let mut wakers: Vec<EventSource> = feeds
            .filter_map(|mapping| match mapping.source {
                Source::Queue(_) => Some(EventSource::Queue),
                Source::Stream => Some(EventSource::Stream),
                Source::Unknown => None,
            })
            .collect();
        if function.is_scheduled {
            wakers.push(EventSource::Schedule);
        }
        wakers
    }

    fn source(&self, arn: &Value) -> Source<'_> {
        match self.resolve(arn) {
            Some(resource) if resource.kind == "AWS::SQS::Queue" => Source::Queue(resource),
            Some(resource) if resource.kind == "AWS::DynamoDB::Table" => Source::Stream,
            _ => Source::Unknown,
        }
    }
}

fn function(resource: &Resource<'_>, globals: &Value) -> Function {
    let properties = resource.properties();
    let own = |name: &str| Some(&properties[name]).filter(|value| !value.is_null());
    let number = |name: &str| own(name).unwrap_or(&globals[name]).as_u64();
    let logs = |place: &Value| !place["LoggingConfig"]["LogGroup"].is_null();
    let events = || {
        properties["Events"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, event)| event)
    };
    let routes = events()
        .filter(|event| event["Type"] == "HttpApi")
        .map(|event| Route {
            method: text(&event["Properties"]["Method"]).to_uppercase(),
            path: text(&event["Properties"]["Path"]),
        })
        .collect();
    let is_schedule =
        |event: &Value| matches!(event["Type"].as_str(), Some("Schedule" | "ScheduleV2"));
    Function {
        id: resource.id.to_owned(),
        code_uri: text(&properties["CodeUri"]),
        timeout: number("Timeout"),
        memory: number("MemorySize"),
        has_log_group: logs(properties) || logs(globals),
        has_url: properties["FunctionUrlConfig"].is_object(),
        is_scheduled: events().any(is_schedule),
        routes,
    }
}

/// Sources that SAM makes mappings of: function, event, its properties and the source's ARN.
fn inline_mappings(main: &Template) -> impl Iterator<Item = (&str, &str, &Value, &Value)> {
    main.resources()
        .filter(|resource| resource.kind == FUNCTION)
        .flat_map(|resource| {
            let events = resource.properties()["Events"].as_object();
            events
                .into_iter()
                .flatten()
                .filter_map(move |(name, event)| {
                    let properties = &event["Properties"];
                    let arn = match event["Type"].as_str()? {
                        "SQS" => &properties["Queue"],
                        "DynamoDB" | "Kinesis" => &properties["Stream"],
                        _ => return None,
                    };
                    Some((resource.id, name.as_str(), properties, arn))
                })
        })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn functions_are_read_with_what_the_globals_add() {
        let functions = testing::stack().functions();
        let agents = functions
            .iter()
            .find(|function| function.id == "AgentsFunction")
            .unwrap();
        assert_eq!(agents.binary(), Some("agents"));
        assert_eq!((agents.timeout, agents.memory), (Some(15), Some(256)));
        assert!(agents.has_log_group && !agents.has_url);
        assert_eq!(agents.routes[1].text(), "GET /v1/agents/{agent_id}");
        let sweeper = functions
            .iter()
            .find(|function| function.id == "SweeperFunction")
            .unwrap();
        assert_eq!(testing::stack().wakers(sweeper), [EventSource::Schedule]);
    }

    #[test]
    fn mappings_are_found_as_resources_and_within_functions() {
        let stack = testing::stack();
        let seen: Vec<String> = stack
            .mappings()
            .iter()
            .map(|mapping| {
                let source = match &mapping.source {
                    Source::Queue(queue) => queue.id,
                    Source::Stream => "stream",
                    Source::Unknown => "unknown",
                };
                format!("{} {} {source}", mapping.id, mapping.function)
            })
            .collect();
        assert_eq!(
            seen,
            [
                "FilesMapping FileProcessorFunction FilesQueue",
                "RouterMapping EventRouterFunction stream",
                "FileProcessorFunction.Bulk FileProcessorFunction BulkQueue",
            ]
        );
    }

    #[test]
    fn a_greedy_path_is_spelt_as_operations_spell_it() {
        let route = Route {
            method: "GET".to_owned(),
            path: "/docs/{path+}".to_owned(),
        };
        assert_eq!(route.text(), "GET /docs/{path}");
    }

    #[test]
    fn code_lies_where_binaries_are_put() {
        let at = |code_uri: &str| {
            let stack = testing::stack_with("target/lambda/agents/", code_uri);
            let functions = stack.functions();
            functions
                .iter()
                .find(|f| f.id == "AgentsFunction")
                .unwrap()
                .binary()
                .map(str::to_owned)
        };
        assert_eq!(at("target/lambda/agents"), Some("agents".to_owned()));
        assert_eq!(at("functions/api/agents/"), None);
        assert_eq!(at("target/lambda/"), None);
    }
}
