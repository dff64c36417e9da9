//! Workspace, template and routes name the same functions and operations, both ways.

use std::collections::BTreeSet;

use crate::check::Finding;
use crate::check::crates::FunctionCrate;
use crate::functions::{ApiFunction, Front, logical_id};
use crate::operations::Operation;
use crate::template::{MAIN, Stack};

/// Every function crate has its function in the template, and every function its crate.
pub(crate) fn functions(crates: &[FunctionCrate], stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    let deployed = stack.functions();
    for function in crates {
        let name = function.name();
        let id = logical_id(name);
        let Some(found) = deployed.iter().find(|known| known.id == id) else {
            let message = format!(
                "has no {id}, add one with CodeUri target/lambda/{name}/ for {}",
                function.folder
            );
            findings.push(Finding::new(MAIN, message));
            continue;
        };
        if found.binary() != Some(name) {
            findings.push(Finding::new(
                MAIN,
                format!(
                    "{id} takes its code from `{}`, write target/lambda/{name}/",
                    found.code_uri
                ),
            ));
        }
        if function.is_worker && stack.wakers(found).is_empty() {
            findings.push(Finding::new(
                MAIN,
                format!("nothing wakes {id}, add an event source mapping or a schedule"),
            ));
        }
    }
    for function in &deployed {
        if !crates
            .iter()
            .any(|known| logical_id(known.name()) == function.id)
        {
            findings.push(Finding::new(
                MAIN,
                format!(
                    "{} has no crate under functions/, make one or take it out",
                    function.id
                ),
            ));
        }
    }
    findings
}

/// Every operation has its route at its function, and every route its operation.
pub(crate) fn routes(
    table: &[ApiFunction],
    operations: &[Operation],
    stack: &Stack,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let deployed = stack.functions();
    for function in table {
        let id = logical_id(function.name);
        // A function without a place in the template is a finding of its own.
        let Some(found) = deployed.iter().find(|known| known.id == id) else {
            continue;
        };
        let served: BTreeSet<String> = served(function, operations).collect();
        let written: BTreeSet<String> = found.routes.iter().map(|route| route.text()).collect();
        if found.routes.len() != written.len() {
            findings.push(Finding::new(
                MAIN,
                format!("{id} has a route twice, take one out"),
            ));
        }
        if function.front == Front::FunctionUrl {
            if !found.has_url {
                let message =
                    format!("{id} has no FunctionUrlConfig, add one: it is reached by URL");
                findings.push(Finding::new(MAIN, message));
            }
            for route in &written {
                let message =
                    format!("{id} has the route `{route}`, take it out: it is reached by URL");
                findings.push(Finding::new(MAIN, message));
            }
            continue;
        }
        for route in served.difference(&written) {
            let message = format!("{id} lacks the route `{route}`, add an HttpApi event for it");
            findings.push(Finding::new(MAIN, message));
        }
        for route in written.difference(&served) {
            findings.push(Finding::new(
                MAIN,
                format!("{id} has the route `{route}`, which {} does not serve: take it out or serve it", function.name),
            ));
        }
    }
    findings
}

/// Every nested template is deployed, and every stack has its file.
pub(crate) fn nested_stacks(stack: &Stack) -> Vec<Finding> {
    let deployed: BTreeSet<&str> = stack.nested_files().into_values().collect();
    let present: BTreeSet<&str> = stack
        .nested
        .iter()
        .map(|nested| nested.file.as_str())
        .collect();
    let unused = present.difference(&deployed).map(|file| {
        Finding::new(
            *file,
            "is deployed by nothing, add a stack to template.yaml or delete it",
        )
    });
    let missing = deployed.difference(&present).map(|file| {
        Finding::new(
            MAIN,
            format!("deploys {file}, which is not there or no template: write it"),
        )
    });
    unused.chain(missing).collect()
}

/// What a function answers to: its operations, and its pages.
pub(crate) fn served<'a>(
    function: &'a ApiFunction,
    operations: &'a [Operation],
) -> impl Iterator<Item = String> + 'a {
    let own = operations
        .iter()
        .filter(|operation| operation.function == function.name);
    own.map(Operation::route)
        .chain(function.pages.iter().map(|route| (*route).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_one, operation, stack, stack_with};

    fn crate_at(folder: &str) -> FunctionCrate {
        let name = folder.rsplit('/').next().unwrap().to_owned();
        FunctionCrate {
            folder: folder.to_owned(),
            package: name.clone(),
            binaries: vec![name],
            is_worker: folder.contains("workers"),
            main: None,
        }
    }

    fn crates() -> Vec<FunctionCrate> {
        [
            "functions/api/agents",
            "functions/api/streams",
            "functions/workers/file-processor",
            "functions/workers/event-router",
            "functions/workers/sweeper",
        ]
        .map(crate_at)
        .to_vec()
    }

    fn table(pages: &'static [&'static str]) -> Vec<ApiFunction> {
        let routes = api::Documentation::default;
        vec![
            ApiFunction {
                name: "agents",
                front: Front::HttpApi,
                routes,
                pages,
            },
            ApiFunction {
                name: "streams",
                front: Front::FunctionUrl,
                routes,
                pages: &[],
            },
        ]
    }

    fn operations() -> Vec<Operation> {
        vec![
            operation("POST", "/v1/agents", "agents"),
            operation("GET", "/v1/agents/{agent_id}", "agents"),
            operation("GET", "/v1/executions/{execution_id}/stream", "streams"),
        ]
    }

    #[test]
    fn what_fits_passes() {
        assert_eq!(functions(&crates(), &stack()), []);
        assert_eq!(routes(&table(&[]), &operations(), &stack()), []);
        assert_eq!(nested_stacks(&stack()), []);
    }

    #[test]
    fn a_crate_without_a_function_and_a_function_without_a_crate_are_found() {
        let mut more = crates();
        more.push(crate_at("functions/api/api-keys"));
        assert_one(
            &functions(&more, &stack()),
            "has no ApiKeysFunction, add one with CodeUri target/lambda/api-keys/",
        );
        assert_one(
            &functions(&crates()[1..], &stack()),
            "AgentsFunction has no crate",
        );
    }

    #[test]
    fn code_from_another_place_and_a_worker_that_nothing_wakes_are_found() {
        let moved = stack_with("target/lambda/agents/", "target/lambda/agent/");
        assert_one(&functions(&crates(), &moved), "write target/lambda/agents/");
        let asleep = stack_with("Type: ScheduleV2", "Type: HttpApi");
        assert_one(
            &functions(&crates(), &asleep),
            "nothing wakes SweeperFunction",
        );
    }

    #[test]
    fn a_route_that_one_side_lacks_is_found() {
        let mut more = operations();
        more.push(operation("DELETE", "/v1/agents/{agent_id}", "agents"));
        assert_one(
            &routes(&table(&[]), &more, &stack()),
            "lacks the route `DELETE /v1/agents/{agent_id}`",
        );
        assert_one(
            &routes(&table(&[]), &operations()[1..], &stack()),
            "which agents does not serve",
        );
        assert_one(
            &routes(&table(&["GET /docs"]), &operations(), &stack()),
            "lacks the route `GET /docs`",
        );
        let renamed = stack_with("{agent_id}", "{id}");
        assert_eq!(routes(&table(&[]), &operations(), &renamed).len(), 2);
        let twice = stack_with(
            "Method: GET, Path: \"/v1/agents/{agent_id}\"",
            "Method: POST, Path: /v1/agents",
        );
        assert!(
            routes(&table(&[]), &operations(), &twice)
                .iter()
                .any(|f| f.to_string().contains("twice"))
        );
    }

    #[test]
    fn a_function_behind_a_url_has_one_and_no_routes() {
        let without = stack_with(
            "FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}",
            "Role: x",
        );
        assert_one(
            &routes(&table(&[]), &operations(), &without),
            "has no FunctionUrlConfig",
        );
        let with = stack_with(
            "FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}",
            "FunctionUrlConfig: {}\n      Events: {S: {Type: HttpApi, Properties: {Method: GET, Path: /x}}}",
        );
        assert_one(
            &routes(&table(&[]), &operations(), &with),
            "take it out: it is reached by URL",
        );
    }

    #[test]
    fn a_nested_file_that_is_missing_or_unused_is_found() {
        let missing = stack_with(
            "TemplateURL: infra/queues.yaml",
            "TemplateURL: infra/queue.yaml",
        );
        let texts: Vec<String> = nested_stacks(&missing)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            texts[0].contains("deployed by nothing") && texts[1].contains("infra/queue.yaml"),
            "{texts:?}"
        );
    }
}
