//! A new function crate by the pattern. The sources are files here, compiled by the tests of this
//! tool, so that they follow the crates they use.

use anyhow::{Result, bail};

use crate::check::SAMPLE_FOLDER;
use crate::functions::{API_FOLDER, WORKER_FOLDER, logical_id};
use crate::repo::Repo;
use crate::samples;

#[cfg(test)]
#[path = "api/lib.rs"]
mod api_function;
#[cfg(test)]
#[path = "worker/lib.rs"]
mod worker;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A function behind the HTTP API.
    Api,
    /// A function woken by doorbells of jobs.
    Worker,
}

const API_SOURCES: &[(&str, &str)] = &[
    ("src/lib.rs", include_str!("api/lib.rs")),
    ("src/show.rs", include_str!("api/show.rs")),
    ("src/main.rs", include_str!("api/main.rs")),
];
const API_DEPENDENCIES: &[&str] = &[
    "api", "axum", "kernel", "lambda", "serde", "tokio", "utoipa",
];

const WORKER_SOURCES: &[(&str, &str)] = &[
    ("src/lib.rs", include_str!("worker/lib.rs")),
    ("src/main.rs", include_str!("worker/main.rs")),
];
const WORKER_DEPENDENCIES: &[&str] = &[
    "async-trait",
    "lambda",
    "serde",
    "store",
    "tokio",
    "tracing",
    "work",
];

/// Writes the crate and its sample event, and returns what is left to a person.
pub(crate) fn create(repo: &Repo, name: &str, kind: Kind) -> Result<String> {
    if !is_name(name) {
        bail!("`{name}` is no name for a function: use lower-case words with `-` between them");
    }
    for folder in [API_FOLDER, WORKER_FOLDER, "shared", "tools"] {
        if repo.exists(&format!("{folder}/{name}")) {
            bail!("there is a {folder}/{name} already: crates have one name each");
        }
    }
    let (parent, sources, dependencies) = match kind {
        Kind::Api => (API_FOLDER, API_SOURCES, API_DEPENDENCIES),
        Kind::Worker => (WORKER_FOLDER, WORKER_SOURCES, WORKER_DEPENDENCIES),
    };
    let folder = format!("{parent}/{name}");
    let mut written = vec![format!("{folder}/Cargo.toml")];
    repo.write(&written[0], &manifest(name, dependencies))?;
    for (file, text) in sources {
        let path = format!("{folder}/{file}");
        repo.write(&path, &named(text, name))?;
        written.push(path);
    }
    let (case, event) = match kind {
        Kind::Api => (
            "show",
            samples::request("GET", &format!("/v1/{name}"), None, true),
        ),
        Kind::Worker => ("ring", samples::doorbell()),
    };
    let sample = format!("{SAMPLE_FOLDER}/{name}/{case}.json");
    repo.write(&sample, &samples::text(&event)?)?;
    written.push(sample);
    Ok(format!(
        "{}\n\n{}",
        written.join("\n"),
        next_steps(name, kind)
    ))
}

fn is_name(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= 40
        && name != "bootstrap"
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(is_word)
}

/// The sources are written for a function called `sample`.
fn named(text: &str, name: &str) -> String {
    let identifier = name.replace('-', "_");
    let title: String = {
        let mut letters = name.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters).collect()
        })
    };
    text.replace("sample::", &format!("{identifier}::"))
        .replace("sample_", &format!("{identifier}_"))
        .replace("_sample", &format!("_{identifier}"))
        .replace("Sample", &title.replace('-', " "))
        .replace("sample", name)
}

fn manifest(name: &str, dependencies: &[&str]) -> String {
    let dependencies: String = dependencies
        .iter()
        .map(|dependency| format!("{dependency}.workspace = true\n"))
        .collect();
    format!(
        r#"[package]
name = "{name}"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lib]
doctest = false

[[bin]]
name = "{name}"
path = "src/main.rs"
test = false

[lints]
workspace = true

[dependencies]
{dependencies}"#
    )
}

fn next_steps(name: &str, kind: Kind) -> String {
    let id = logical_id(name);
    let identifier = name.replace('-', "_");
    match kind {
        Kind::Api => format!(
            r#"Add to Cargo.toml, [workspace.dependencies]:

{name} = {{ path = "{API_FOLDER}/{name}" }}

Add to tools/xtask (Cargo.toml, and the table in src/functions.rs) and mount it in tools/local:

{name}.workspace = true
    function("{name}", {identifier}::routes),

Add to template.yaml, and then to the policy whatever the function comes to do:

  # /v1/{name}: say what it serves.
  {id}:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${{AWS::StackName}}-{name}"
      CodeUri: target/lambda/{name}/
      MemorySize: 256
      Timeout: 15
      Environment:
        Variables:
          OVERGLASS_TABLE_CORE: !GetAtt Data.Outputs.CoreTable
          OVERGLASS_TABLE_LOG: !GetAtt Data.Outputs.LogTable
          OVERGLASS_TABLE_EPHEMERAL: !GetAtt Data.Outputs.EphemeralTable
          OVERGLASS_SECRET: !Sub "{{{{resolve:secretsmanager:${{SigningSecret}}}}}}"
      Policies:
        - !Ref CallerPolicy
      Events:
        Show: {{Type: HttpApi, Properties: {{ApiId: !Ref Api, Method: GET, Path: "/v1/{name}"}}}}

Then run: cargo xtask openapi, cargo xtask routes, cargo xtask check"#
        ),
        Kind::Worker => format!(
            r#"Add to Cargo.toml, [workspace.dependencies], and run it in tools/local:

{name} = {{ path = "{WORKER_FOLDER}/{name}" }}

Give its jobs a lane of their own (shared/work, shared/store) with a queue and its dead letters in
infra/queues.yaml, whose VisibilityTimeout is six times the Timeout below. Then add to template.yaml:

  # Say what it does.
  {id}:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${{AWS::StackName}}-{name}"
      CodeUri: target/lambda/{name}/
      MemorySize: 256
      Timeout: 60
      LoggingConfig: {{LogGroup: !Ref WorkerLogs}}
      Environment:
        Variables:
          OVERGLASS_TABLE_WORK: !GetAtt Data.Outputs.WorkTable
      Policies:
        - Statement:
            - Sid: Work
              Effect: Allow
              Action: [dynamodb:ConditionCheckItem, dynamodb:GetItem, dynamodb:PutItem]
              Resource: [!GetAtt Data.Outputs.WorkTableArn]

and an AWS::Lambda::EventSourceMapping from the queue to {id}, with BatchSize: 1,
FunctionResponseTypes: [ReportBatchItemFailures] and ScalingConfig: {{MaximumConcurrency: 5}}.

Then run: cargo xtask check"#
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kernel::{ManualClock, OrgId, Timestamp};
    use serde_json::{Value, json};
    use work::{Attempt, Handler as _, Lane, NewJob, Outcome};

    use super::*;

    fn made(name: &str, kind: Kind) -> (tempfile::TempDir, Repo, String) {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path().to_owned());
        let told = create(&repo, name, kind).unwrap();
        (folder, repo, told)
    }

    #[test]
    fn an_api_function_is_whole_and_named_throughout() {
        let (_folder, repo, told) = made("price-lists", Kind::Api);
        let library = repo.read("functions/api/price-lists/src/lib.rs").unwrap();
        assert!(library.starts_with("//! Price lists:") && library.contains("`/v1/price-lists`"));
        let main = repo.read("functions/api/price-lists/src/main.rs").unwrap();
        assert!(main.lines().count() <= 4 && main.contains("price_lists::routes()"));
        let show = repo.read("functions/api/price-lists/src/show.rs").unwrap();
        assert!(show.contains("operation_id = \"show_price_lists\"") && !show.contains("ample"));
        let event: Value =
            serde_json::from_str(&repo.read("events/price-lists/show.json").unwrap()).unwrap();
        assert_eq!(event["rawPath"], "/v1/price-lists");
        for part in [
            "  PriceListsFunction:",
            "CodeUri: target/lambda/price-lists/",
            "price_lists::routes",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn a_worker_is_whole_and_named_throughout() {
        let (_folder, repo, told) = made("mailer", Kind::Worker);
        let library = repo.read("functions/workers/mailer/src/lib.rs").unwrap();
        assert!(library.contains("\"mailer.run\"") && !library.contains("ample"));
        assert!(
            repo.read("functions/workers/mailer/src/main.rs")
                .unwrap()
                .contains("mailer::handlers")
        );
        let event = repo.read("events/mailer/ring.json").unwrap();
        assert!(event.contains("aws:sqs") && told.contains("  MailerFunction:"));
    }

    #[test]
    fn a_name_is_plain_and_free() {
        let (_folder, repo, _) = made("mailer", Kind::Worker);
        for name in [
            "",
            "Mailer",
            "a_b",
            "a--b",
            "-a",
            "9a",
            "../x",
            "bootstrap",
            "mailer",
        ] {
            assert!(create(&repo, name, Kind::Api).is_err(), "{name}");
        }
    }

    #[test]
    fn the_first_route_is_served_and_documented() {
        let document =
            serde_json::to_value(api_function::routes::<api::Documentation>().into_openapi())
                .unwrap();
        assert_eq!(
            document["paths"]["/v1/sample"]["get"]["operationId"],
            "show_sample"
        );
    }

    #[tokio::test]
    async fn the_first_job_is_done_or_rejected() {
        let now = Timestamp::from_millis(0);
        let outcome = async |payload: Value| {
            let job =
                NewJob::new(OrgId::from_u128(1), worker::JOB, Lane::Files, payload).build(now);
            let clock = Arc::new(ManualClock::at(now));
            worker::Worker
                .run(Attempt::detached(job, clock, Duration::from_secs(1)))
                .await
        };
        // What a worker's main calls.
        let _: fn(&store::Store) -> Result<_, lambda::Error> = worker::handlers;
        assert_eq!(worker::Worker.kinds(), [worker::JOB]);
        assert_eq!(outcome(json!({ "subject": "x" })).await, Outcome::done());
        assert!(matches!(outcome(json!({})).await, Outcome::Reject { .. }));
    }
}
