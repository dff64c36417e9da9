//! One start of a function, until it asks for its first event.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::build::Binary;
use super::runtime_api::{News, RuntimeApi};
use crate::proc::{self, Memory};

const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a function that says nothing has ended.
const LOOK: Duration = Duration::from_millis(100);
/// Until a function that has asked sleeps, and the scheduler has written its account.
const QUIET: Duration = Duration::from_millis(3);

/// Tables, queues and whatever else a deployed function is told. No function is given all of it;
/// what it does not look for costs it nothing.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("OVERGLASS_ENV", "prod"),
    ("OVERGLASS_TABLE_CORE", "overglass-core"),
    ("OVERGLASS_TABLE_WORK", "overglass-work"),
    ("OVERGLASS_TABLE_LOG", "overglass-log"),
    ("OVERGLASS_TABLE_METRICS", "overglass-metrics"),
    ("OVERGLASS_TABLE_KNOWLEDGE", "overglass-knowledge"),
    ("OVERGLASS_TABLE_AUDIT", "overglass-audit"),
    ("OVERGLASS_TABLE_LEDGER", "overglass-ledger"),
    ("OVERGLASS_TABLE_VAULT", "overglass-vault"),
    ("OVERGLASS_TABLE_EPHEMERAL", "overglass-ephemeral"),
    (
        "OVERGLASS_KEY_VAULT",
        "arn:aws:kms:eu-central-1:123456789012:key/bench",
    ),
    ("OVERGLASS_BUCKET_FILES", "overglass-files"),
    (
        "OVERGLASS_QUEUE_AGENT_INTERACTIVE",
        "https://sqs.eu-central-1.amazonaws.com/1/interactive",
    ),
    (
        "OVERGLASS_QUEUE_AGENT_BULK",
        "https://sqs.eu-central-1.amazonaws.com/1/bulk",
    ),
    (
        "OVERGLASS_QUEUE_FILES",
        "https://sqs.eu-central-1.amazonaws.com/1/files",
    ),
    (
        "OVERGLASS_QUEUE_INDEX",
        "https://sqs.eu-central-1.amazonaws.com/1/index",
    ),
    (
        "OVERGLASS_QUEUE_WEB",
        "https://sqs.eu-central-1.amazonaws.com/1/web",
    ),
    (
        "OVERGLASS_OIDC_ISSUER",
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Bench",
    ),
    ("OVERGLASS_OIDC_AUDIENCE", "bench"),
    (
        "OVERGLASS_OIDC_JWKS_URI",
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Bench/.well-known/jwks.json",
    ),
    ("OVERGLASS_STREAMS_URL", "https://streams.example.com"),
    ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true"),
    // What Lambda itself tells.
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_DEFAULT_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_SESSION_TOKEN", "bench"),
    ("_HANDLER", "bootstrap"),
    ("TZ", ":UTC"),
];

/// What one start took.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From the order to start until the first event was asked for.
    pub wall: Duration,
    /// Processor time of the process, in the kernel as well.
    pub cpu: Duration,
    /// What it held when it asked.
    pub memory: Memory,
}

/// Ends the process when nobody needs it any more, however that comes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Why it has ended, if it has.
    fn end(&mut self) -> Option<String> {
        let status = self.0.try_wait().ok().flatten()?;
        let mut last_words = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            let _ = stderr.read_to_string(&mut last_words);
        }
        Some(format!("{status}: {}", last_words.trim()))
    }
}

/// Starts a function, and ends it once it is ready.
pub fn start(binary: &Binary, api: &RuntimeApi) -> anyhow::Result<Start> {
    api.forget();
    let mut command = Command::new(&binary.path);
    command
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .env("OVERGLASS_SECRET", STANDARD.encode([7; 32]))
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let name = &binary.name;
    let started = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let mut running = Running(child);
    while started.elapsed() < PATIENCE {
        match api.news(LOOK) {
            Some(News::Ready(at)) => {
                std::thread::sleep(QUIET);
                let process = running.0.id();
                return Ok(Start {
                    wall: at - started,
                    cpu: proc::cpu_of(process)?,
                    memory: proc::memory_of(process)?,
                });
            }
            Some(News::Failed(reason)) => bail!("{name} did not start: {reason}"),
            None => {
                if let Some(reason) = running.end() {
                    bail!("{name} did not start: {reason}");
                }
            }
        }
    }
    bail!("{name} did not ask for an event within {PATIENCE:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_before_it_asks_is_no_start() {
        let api = RuntimeApi::serve().unwrap();
        let binary = Binary {
            name: "wrong".to_owned(),
            path: "/bin/false".into(),
        };
        let error = start(&binary, &api).unwrap_err().to_string();
        assert!(error.starts_with("wrong did not start: exit"), "{error}");
    }
}
