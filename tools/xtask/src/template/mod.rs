//! `template.yaml` and its nested stacks, as far as rules need them.

mod functions;
mod yaml;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::repo::Repo;

pub(crate) use functions::{EventSource, Mapping, Source};

/// The file that the stack is deployed from.
pub(crate) const MAIN: &str = "template.yaml";
/// Where nested stacks are.
pub(crate) const NESTED_FOLDER: &str = "infra/";

/// One template file. Short forms of intrinsic functions (`!Ref x`) are written out
/// (`{"Ref": "x"}`).
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// From the root.
    pub(crate) file: String,
    body: Value,
}

/// A resource of a template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resource<'a> {
    pub(crate) file: &'a str,
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a Value,
}

impl<'a> Resource<'a> {
    pub(crate) fn properties(&self) -> &'a Value {
        &self.body["Properties"]
    }
}

impl Template {
    /// Reads the text of a template.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self> {
        let body = yaml::parse(text).with_context(|| format!("{file} is not a template"))?;
        Ok(Self {
            file: file.to_owned(),
            body,
        })
    }

    /// Its resources, by id.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        let resources = self.body["Resources"].as_object();
        resources
            .into_iter()
            .flatten()
            .map(|(id, body)| self.resource_of(id, body))
    }

    pub(crate) fn resource(&self, id: &str) -> Option<Resource<'_>> {
        let (id, body) = self.body["Resources"].as_object()?.get_key_value(id)?;
        Some(self.resource_of(id, body))
    }

    fn resource_of<'a>(&'a self, id: &'a str, body: &'a Value) -> Resource<'a> {
        Resource {
            file: &self.file,
            id,
            kind: body["Type"].as_str().unwrap_or_default(),
            body,
        }
    }

    fn output(&self, name: &str) -> &Value {
        &self.body["Outputs"][name]["Value"]
    }

    /// A number that is written out, or the default of the parameter that it is taken from.
    pub(crate) fn number(&self, value: &Value) -> Option<u64> {
        let default = || self.body["Parameters"][value["Ref"].as_str()?]["Default"].as_u64();
        value.as_u64().or_else(default)
    }

    /// What SAM applies to every function.
    pub(crate) fn function_globals(&self) -> &Value {
        &self.body["Globals"]["Function"]
    }
}

/// The main template and every file of `infra/` that is a template.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) main: Template,
    pub(crate) nested: Vec<Template>,
}

impl Stack {
    /// Reads the templates of the repository.
    pub(crate) fn load(repo: &Repo, files: &[String]) -> Result<Self> {
        let main = Template::parse(MAIN, &repo.read(MAIN)?)?;
        let mut nested = Vec::new();
        for file in files.iter().filter(|file| is_nested(file)) {
            let template = Template::parse(file, &repo.read(file)?)?;
            if template.body.get("Resources").is_some() {
                nested.push(template);
            }
        }
        Ok(Self { main, nested })
    }

    /// All templates, the main one first.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.main).chain(&self.nested)
    }

    /// The resources of all templates.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.templates().flat_map(Template::resources)
    }

    /// The files that the main template deploys as nested stacks, by logical id.
    pub(crate) fn nested_files(&self) -> BTreeMap<&str, &str> {
        self.main
            .resources()
            .filter(|resource| resource.kind == "AWS::CloudFormation::Stack")
            .filter_map(|stack| Some((stack.id, stack.properties()["TemplateURL"].as_str()?)))
            .collect()
    }

    /// The resource that a value of the main template stands for: a reference to one of its own, or
    /// to the output of a nested stack that is one.
    pub(crate) fn resolve(&self, value: &Value) -> Option<Resource<'_>> {
        let reference = reference(value)?;
        if let Some((stack, output)) = reference.split_once(".Outputs.") {
            let file = *self.nested_files().get(stack)?;
            let nested = self.nested.iter().find(|template| template.file == file)?;
            return nested.resource(resource_id(self::reference(nested.output(output))?));
        }
        self.main.resource(resource_id(reference))
    }
}

fn is_nested(file: &str) -> bool {
    file.starts_with(NESTED_FOLDER) && (file.ends_with(".yaml") || file.ends_with(".yml"))
}

/// What `!Ref x` or `!GetAtt x.y` names.
fn reference(value: &Value) -> Option<&str> {
    value["Ref"]
        .as_str()
        .or_else(|| value["Fn::GetAtt"].as_str())
}

fn resource_id(reference: &str) -> &str {
    reference.split('.').next().unwrap_or(reference)
}

/// Calls `visit` for every object in `value`, outermost first.
pub(crate) fn each_object<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|field| each_object(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn an_output_of_a_nested_stack_leads_to_its_resource() {
        let stack = testing::stack();
        let queue = serde_json::json!({ "Fn::GetAtt": "Queues.Outputs.FilesArn" });
        let found = stack.resolve(&queue).unwrap();
        assert_eq!(
            (found.file, found.id, found.kind),
            ("infra/queues.yaml", "FilesQueue", "AWS::SQS::Queue")
        );
        for nothing in [
            "Queues.Outputs.Missing",
            "Missing.Outputs.FilesArn",
            "Missing.Arn",
        ] {
            assert!(
                stack
                    .resolve(&serde_json::json!({ "Fn::GetAtt": nothing }))
                    .is_none()
            );
        }
        assert!(stack.resolve(&serde_json::json!("arn:aws:sqs:x")).is_none());
        let function = serde_json::json!({ "Ref": "AgentsFunction" });
        assert_eq!(
            stack.resolve(&function).unwrap().kind,
            "AWS::Serverless::Function"
        );
    }
}
