//! Sample events: `events/<function>/<case>.json`, at least one for each operation and each worker,
//! and none for what does not exist.

use serde_json::Value;

use crate::check::Finding;
use crate::check::crates::FunctionCrate;
use crate::check::parity::served;
use crate::functions::{ApiFunction, logical_id};
use crate::operations::Operation;
use crate::repo::Repo;
use crate::template::{EventSource, Stack};

/// Where sample events are.
pub(crate) const FOLDER: &str = "events";

/// A file under `events/`.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// From the root.
    pub(crate) file: String,
    /// What is in it, or why it cannot be read.
    pub(crate) event: Result<Value, String>,
}

impl Sample {
    /// The function whose folder it is in.
    fn function(&self) -> &str {
        self.file.split('/').nth(1).unwrap_or_default()
    }

    /// Whether it is a sample for this function.
    pub(crate) fn is_of(&self, function: &str) -> bool {
        self.function() == function
    }

    /// Whether it is a request for this route.
    pub(crate) fn requests(&self, route: &str) -> bool {
        self.request()
            .is_some_and(|request| matches(route, &request))
    }

    /// Method and path of the HTTP request that it is.
    fn request(&self) -> Option<String> {
        let event = self.event.as_ref().ok()?;
        let method = event["requestContext"]["http"]["method"].as_str()?;
        Some(format!("{method} {}", event["rawPath"].as_str()?))
    }
}

/// Reads every sample of the repository.
pub(crate) fn read(repo: &Repo, files: &[String]) -> Vec<Sample> {
    files
        .iter()
        .filter(|file| file.starts_with("events/") && file.ends_with(".json"))
        .map(|file| Sample {
            file: file.clone(),
            event: repo
                .read(file)
                .map_err(|error| format!("{error:#}"))
                .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())),
        })
        .collect()
}

/// Compares samples with what they are samples of, both ways.
pub(crate) fn check(
    samples: &[Sample],
    table: &[ApiFunction],
    operations: &[Operation],
    crates: &[FunctionCrate],
    stack: &Stack,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for sample in samples {
        if let Err(error) = &sample.event {
            findings.push(Finding::new(
                &sample.file,
                format!("is not JSON ({error}), mend it"),
            ));
        }
        if !crates
            .iter()
            .any(|function| function.name() == sample.function())
        {
            let message = format!(
                "there is no function {}, move or delete it",
                sample.function()
            );
            findings.push(Finding::new(&sample.file, message));
        }
    }
    for function in table {
        let routes: Vec<String> = served(function, operations).collect();
        let own = || samples.iter().filter(|sample| sample.is_of(function.name));
        for sample in own().filter(|sample| sample.event.is_ok()) {
            if !routes.iter().any(|route| sample.requests(route)) {
                let asked = sample
                    .request()
                    .unwrap_or_else(|| "no HTTP request".to_owned());
                let message = format!(
                    "is {asked}, which {} does not serve: mend or delete it",
                    function.name
                );
                findings.push(Finding::new(&sample.file, message));
            }
        }
        for route in routes
            .iter()
            .filter(|route| !own().any(|sample| sample.requests(route)))
        {
            findings.push(Finding::new(
                format!("{FOLDER}/{}", function.name),
                format!("no sample requests `{route}`, run `cargo xtask samples` and fill it in"),
            ));
        }
    }
    for function in crates.iter().filter(|function| function.is_worker) {
        findings.extend(worker(function, samples, stack));
    }
    findings
}

fn worker(function: &FunctionCrate, samples: &[Sample], stack: &Stack) -> Vec<Finding> {
    let name = function.name();
    let own: Vec<&Sample> = samples.iter().filter(|sample| sample.is_of(name)).collect();
    if own.is_empty() {
        let message =
            format!("has no sample, add {FOLDER}/{name}/<case>.json with an event that wakes it");
        return vec![Finding::new(format!("{FOLDER}/{name}"), message)];
    }
    let id = logical_id(name);
    let functions = stack.functions();
    // A worker without a place in the template is a finding of its own.
    let Some(deployed) = functions.iter().find(|known| known.id == id) else {
        return Vec::new();
    };
    let wakers = stack.wakers(deployed);
    own.into_iter()
        .filter(|sample| {
            let Ok(event) = &sample.event else {
                return false;
            };
            !wakers.iter().any(|waker| is_from(event, *waker)) && !is_command(sample, event)
        })
        .map(|sample| {
            let message =
                format!("is no event that wakes {id}, which takes {wakers:?}: mend or delete it");
            Finding::new(&sample.file, message)
        })
        .collect()
}

/// Whether a sample is what an operator invokes a worker with: `command-<case>.json`, an object that
/// is no batch.
fn is_command(sample: &Sample, event: &Value) -> bool {
    let name = sample.file.rsplit('/').next().unwrap_or_default();
    name.starts_with("command-") && event.is_object() && event["Records"].is_null()
}

fn is_from(event: &Value, source: EventSource) -> bool {
    let records = event["Records"].as_array();
    let all_from = |name: &str| {
        records.is_some_and(|records| {
            !records.is_empty() && records.iter().all(|record| record["eventSource"] == name)
        })
    };
    match source {
        EventSource::Queue => all_from("aws:sqs"),
        EventSource::Stream => all_from("aws:dynamodb"),
        EventSource::Schedule => event.is_object() && records.is_none(),
    }
}

/// Whether `GET /v1/agents/agt_1` is a request for `GET /v1/agents/{agent_id}`. A fixed segment goes
/// before a parameter, as it does in the router: `/v1/users/me` is nobody's id.
fn matches(route: &str, request: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (route.split('/').collect(), request.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(expected, actual)| {
            let is_parameter = expected.starts_with('{') && expected.ends_with('}');
            (is_parameter && !actual.is_empty()) || expected == actual
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::functions::Front;
    use crate::testing::{assert_one, operation, stack};

    fn request(name: &str, method: &str, path: &str) -> Sample {
        let event = json!({ "rawPath": path, "requestContext": { "http": { "method": method } } });
        Sample {
            file: format!("events/agents/{name}.json"),
            event: Ok(event),
        }
    }

    fn event(file: &str, event: Value) -> Sample {
        Sample {
            file: format!("events/{file}.json"),
            event: Ok(event),
        }
    }

    fn samples() -> Vec<Sample> {
        vec![
            request("create", "POST", "/v1/agents"),
            request("get", "GET", "/v1/agents/agt_01jbst9de6fp79y0938nkrkayd"),
            event(
                "file-processor/ring",
                json!({ "Records": [{ "eventSource": "aws:sqs" }] }),
            ),
            event(
                "event-router/batch",
                json!({ "Records": [{ "eventSource": "aws:dynamodb" }] }),
            ),
            event("sweeper/minute", json!({})),
        ]
    }

    fn findings(samples: &[Sample]) -> Vec<Finding> {
        let table = [ApiFunction {
            name: "agents",
            front: Front::HttpApi,
            routes: api::Documentation::default,
            pages: &[],
        }];
        let operations = [
            operation("POST", "/v1/agents", "agents"),
            operation("GET", "/v1/agents/{agent_id}", "agents"),
        ];
        let folders = [
            "functions/api/agents",
            "functions/workers/file-processor",
            "functions/workers/event-router",
            "functions/workers/sweeper",
        ];
        let crates = folders.map(|folder| FunctionCrate {
            folder: folder.to_owned(),
            package: String::new(),
            binaries: Vec::new(),
            is_worker: folder.contains("workers"),
            main: None,
        });
        check(samples, &table, &operations, &crates, &stack())
    }

    #[test]
    fn a_sample_for_everything_passes() {
        assert_eq!(findings(&samples()), []);
    }

    #[test]
    fn an_operator_may_invoke_a_worker_with_what_is_no_batch() {
        let mut all = samples();
        all.push(event("file-processor/command-mend", json!({ "mend": 1 })));
        assert_eq!(findings(&all), []);
        all.push(event("file-processor/command-x", json!({ "Records": [] })));
        assert_one(&findings(&all), "is no event that wakes");
    }

    #[test]
    fn what_has_no_sample_is_found() {
        assert_one(
            &findings(&samples()[1..]),
            "no sample requests `POST /v1/agents`",
        );
        assert_one(&findings(&samples()[..4]), "events/sweeper: has no sample");
    }

    #[test]
    fn a_sample_of_nothing_is_found() {
        for (sample, expected) in [
            (
                request("x", "PUT", "/v1/agents"),
                "is PUT /v1/agents, which agents does not serve",
            ),
            (request("x", "GET", "/v1/agents/a/b"), "does not serve"),
            (request("x", "GET", "/v1/agents/"), "does not serve"),
            (event("agents/x", json!({})), "is no HTTP request"),
            (event("robots/x", json!({})), "there is no function robots"),
            (
                event("file-processor/x", json!({ "Records": [] })),
                "is no event that wakes FileProcessorFunction",
            ),
            (
                event(
                    "event-router/x",
                    json!({ "Records": [{ "eventSource": "aws:sqs" }] }),
                ),
                "[Stream]",
            ),
            (event("sweeper/x", json!([])), "[Schedule]"),
        ] {
            let mut all = samples();
            all.push(sample);
            assert_one(&findings(&all), expected);
        }
        let mut all = samples();
        all.push(Sample {
            file: "events/agents/x.json".to_owned(),
            event: Err("bad".to_owned()),
        });
        assert_one(&findings(&all), "is not JSON (bad)");
    }
}
