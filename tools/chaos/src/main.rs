//! `cargo xtask chaos`: workers are killed, and what they reach is broken, while executions run.
//! Then everything is looked at: what is there, and what servers have seen.
//!
//! This process holds the stores, the model, the service that tools call, the sweeper and the
//! proxies between; workers are processes of this same program, killed with SIGKILL at moments
//! that the seed chooses. The seed decides what is done and how often what goes wrong, not how
//! processes are scheduled: a run is repeated in kind, not step by step.
//!
//! | module | holds |
//! |---|---|
//! | [`checks`] | what must hold after all of it |
//! | [`report`] | what is printed |
//! | [`conduct`] | one run from the first execution to the last |
//! | [`evidence`] | what is judged |
//! | [`stage`], [`fleet`], [`worker`] | what stays up, and what is killed |
//! | [`proxy`] | faults between the product and its stores |
//! | [`outside`] | the scripted model and the service that tools call |
//! | [`person`] | answers what executions ask, pauses and resumes them |
//! | [`treasurer`] | gives credits to the org that never has enough |
//! | [`history`], [`party`] | what happened, and who did it |
//! | [`script`], [`plan`], [`seeds`] | what is to happen |

mod checks;
mod conduct;
mod evidence;
mod fleet;
mod history;
mod outside;
mod party;
mod person;
mod plan;
mod proxy;
mod report;
mod script;
mod seeds;
mod stage;
mod treasurer;
mod worker;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use futures::{StreamExt as _, TryStreamExt as _};
use lambda::telemetry;

use crate::checks::Verdict;
use crate::plan::{Control, Plan};

/// Kills workers and breaks what they reach while executions run; fails if anything is lost.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// What every choice follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many workers to kill.
    #[arg(long)]
    kills: Option<u64>,
    /// How many executions must be acknowledged.
    #[arg(long)]
    executions: Option<u64>,
    /// How many workers run at the same time.
    #[arg(long)]
    workers: Option<u32>,
    /// A run of a minute or two, with its negative controls: for every change.
    #[arg(long)]
    short: bool,
    /// Break a promise on purpose: the checks have to find it, and the exit code says that they
    /// did by being a failure. Only what cannot be for want of time counts as found.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "lost-writes")]
    negative_control: Option<Control>,
    /// A folder that keeps what the workers log.
    #[arg(long)]
    logs: Option<PathBuf>,
}

/// From so many executions on, chance leaves out no fault of any operation.
const COVERING: u64 = 1_000;
/// How many controls run beside the run that has to hold: more take its time from it.
const CONTROLS_AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let is_worker = std::env::args().nth(1).as_deref() == Some(fleet::WORKER);
    let quiet = if is_worker { "warn" } else { "off" };
    telemetry::init_to(std::io::stderr(), telemetry::levels(quiet));
    let outcome = if is_worker {
        worker::run().map(|()| true)
    } else {
        run(&Arguments::parse())
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    if let Some(folder) = &arguments.logs {
        std::fs::create_dir_all(folder).context("the logs have no folder")?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(perform(arguments))
}

async fn perform(arguments: &Arguments) -> anyhow::Result<bool> {
    let logs = arguments.logs.as_deref();
    let plan = match (arguments.short, arguments.negative_control) {
        (_, Some(control)) => Plan::control(arguments.seed, control),
        (true, None) => Plan::short(arguments.seed),
        (false, None) => Plan::long(arguments.seed),
    };
    let plan = Plan {
        kills: arguments.kills.unwrap_or(plan.kills),
        executions: arguments.executions.unwrap_or(plan.executions),
        workers: arguments.workers.unwrap_or(plan.workers),
        ..plan
    };
    // Too few requests do not meet every fault.
    let covers_everything = plan.covers_everything && plan.executions >= COVERING;
    let plan = Plan {
        covers_everything,
        ..plan
    };
    let all: &[Control] = match (arguments.short, plan.control) {
        (true, None) => &Control::ALL,
        _ => &[],
    };
    // Each has a stage of its own, and spends much of its time waiting.
    let controls = futures::stream::iter(all)
        .map(|control| one(Plan::control(arguments.seed, *control), None))
        .buffered(CONTROLS_AT_ONCE)
        .try_collect::<Vec<Judged>>();
    let (nothing_lost, controls) = tokio::try_join!(one(plan, logs), controls)?;
    say(&nothing_lost.text);
    let mut good = match arguments.negative_control {
        None => nothing_lost.holds(),
        Some(control) => !nothing_lost.finds(control),
    };
    for (judged, control) in controls.iter().zip(all) {
        say(&judged.text);
        let found = judged.finds(*control);
        let word = if found { "found" } else { "NOT FOUND" };
        say(&format!("The fault of this control was {word}.\n"));
        good &= found;
    }
    say(if good { "Good." } else { "Something was lost." });
    Ok(good)
}

/// What one run came to.
struct Judged {
    text: String,
    verdicts: Vec<Verdict>,
}

impl Judged {
    fn holds(&self) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.all(|verdict| verdict.violations.is_empty())
    }

    /// Whether something is seen to be wrong that no lack of time excuses, by the rule that is there
    /// for it.
    fn finds(&self, control: Control) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|verdict| {
            let is_meant = control.rule().is_none_or(|rule| verdict.rule == rule);
            is_meant && verdict.always && !verdict.violations.is_empty()
        })
    }
}

async fn one(plan: Plan, logs: Option<&Path>) -> anyhow::Result<Judged> {
    let evidence = conduct::conduct(&plan, logs.map(Path::to_owned)).await?;
    let verdicts = checks::judge(&evidence);
    Ok(Judged {
        text: report::report(&evidence, &verdicts),
        verdicts,
    })
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
