//! The figures of agent servers as they are shown.

use std::time::Duration;

use super::environment::version;
use super::measures::{Case, End, Loaded, Pauses, Recovery};
use super::server::Stored;
use crate::figures::{amount, median, millis, percentile, ratio};
use crate::report::{Goal, Table};

/// A figure of each server, the product first; why there is none, where there is none.
pub type Each<T> = Vec<(&'static str, anyhow::Result<T>)>;

/// How the names of the product's rows begin.
const OVERGLASS: &str = "Overglass";
const GOAL_PARALLEL: usize = 16;
const GOAL_RATIO: f64 = 10.0;
/// What a turn of a long conversation may take, of what one of a short one takes.
const LINEAR: f64 = 1.25;

/// Runs in a second and how long each took.
pub fn loads(loaded: &Each<Loaded>, cases: &[Case]) -> String {
    let mut table = Table::new(&[
        "server",
        "model takes ms",
        "in parallel",
        "runs",
        "runs/s",
        "p50 ms",
        "p95 ms",
        "CPU each ms",
        "model calls each",
        "Overglass has",
    ]);
    let mut goal =
        Goal::new("ten times the runs/s of each, 16 in parallel, a model that answers at once");
    let ours = loaded.first().and_then(|(_, ours)| ours.as_ref().ok());
    for (number, case) in cases.iter().enumerate() {
        for (name, loaded) in loaded {
            let Ok(loaded) = loaded else { continue };
            let load = &loaded.loads[number];
            let times = ours.map(|ours| ours.loads[number].rate / load.rate);
            if let Some(times) = times
                && !name.starts_with(OVERGLASS)
                && case.parallel == GOAL_PARALLEL
                && case.latency.is_zero()
            {
                goal.judge(name, times >= GOAL_RATIO, ratio(times));
            }
            table.row([
                (*name).to_owned(),
                case.latency.as_millis().to_string(),
                case.parallel.to_string(),
                load.latencies.len().to_string(),
                amount(load.rate),
                millis(median(&load.latencies)),
                millis(percentile(&load.latencies, 0.95).unwrap_or_default()),
                millis(load.cpu),
                amount(load.model_calls),
                times.map_or_else(unmeasured, ratio),
            ]);
        }
    }
    format!(
        "One message, one tool call, one answer; from the request to the answer, which is stored:\n\n\
         {table}\n{goal}{}",
        failures(loaded)
    )
}

/// How long people's answers take.
pub fn pauses(pauses: &Each<Pauses>) -> String {
    let mut table = Table::new(&[
        "server",
        "runs",
        "until it waits p50 ms",
        "p95 ms",
        "answer to end p50 ms",
        "p95 ms",
    ]);
    for (name, pauses) in pauses {
        let Ok(pauses) = pauses else { continue };
        let of = |times: &[Duration]| {
            let late = percentile(times, 0.95).unwrap_or_default();
            [millis(median(times)), millis(late)]
        };
        let runs = [(*name).to_owned(), pauses.until_paused.len().to_string()];
        let times = [of(&pauses.until_paused), of(&pauses.until_completed)];
        table.row(runs.into_iter().chain(times.into_iter().flatten()));
    }
    format!(
        "The same with a tool that a person has to allow, one run after the other:\n\n{table}{}",
        failures(pauses)
    )
}

/// What a turn of a conversation takes.
pub fn stored(stored: &Each<Vec<Stored>>, [few, many]: [u32; 2]) -> String {
    let mut table = Table::new(&[
        "server",
        "turns",
        "data, bytes a turn",
        "on disk, bytes a turn",
    ]);
    let mut goal = Goal::new(&format!(
        "the data of a turn grows by less than a quarter from {few} turns to {many}"
    ));
    for (name, stored) in stored {
        let Ok([short, long]) = stored.as_deref() else {
            continue;
        };
        for (turns, stored) in [(few, short), (many, long)] {
            table.row([
                (*name).to_owned(),
                turns.to_string(),
                (stored.content / u64::from(turns)).to_string(),
                (stored.disk / u64::from(turns)).to_string(),
            ]);
        }
        let growth = of_turn(long.content, many) / of_turn(short.content, few);
        goal.judge(name, growth < LINEAR, ratio(growth));
    }
    format!(
        "Turns of one conversation, each with a tool call and an answer:\n\n{table}\n{goal}{}",
        failures(stored)
    )
}

fn of_turn(bytes: u64, turns: u32) -> f64 {
    bytes as f64 / f64::from(turns)
}

/// How soon servers are there, and what they hold in memory.
pub fn memory(loaded: &Each<Loaded>) -> String {
    let mut table = Table::new(&["server", "start s", "idle MiB", "after the loads MiB"]);
    for (name, loaded) in loaded {
        let Ok(loaded) = loaded else { continue };
        table.row([
            (*name).to_owned(),
            seconds(loaded.started_in),
            mebibytes(loaded.idle),
            mebibytes(loaded.afterwards),
        ]);
    }
    format!("Until the first answer, and resident memory of all processes:\n\n{table}")
}

/// What becomes of runs whose server is killed.
pub fn recoveries(recoveries: &[(Duration, Each<Recovery>)], patience: Duration) -> String {
    let mut table = Table::new(&[
        "server",
        "killed after s",
        "answers again after s",
        "run completed after s",
        "given turn asked again",
        "interrupted turn asked again",
    ]);
    let mut failed = String::new();
    for (after, recovered) in recoveries {
        failed.push_str(&failures(recovered));
        for (name, recovery) in recovered {
            let Ok(recovery) = recovery else { continue };
            table.row([
                (*name).to_owned(),
                after.as_secs().to_string(),
                seconds(recovery.answers_in),
                end(&recovery.end, patience),
                recovery.settled_again.to_string(),
                recovery.interrupted_again.to_string(),
            ]);
        }
    }
    format!(
        "`kill -9` during the second model call of a run, so long after that call began, and the \
         same server started again at once:\n\n{table}{failed}"
    )
}

fn end(end: &End, patience: Duration) -> String {
    match end {
        End::Completed(time) => seconds(*time),
        End::Failed(how) => format!("never: {how}"),
        End::Open(how) => format!("never: {how} after {} s", patience.as_secs()),
        End::Forgotten => "never: the run is unknown".to_owned(),
    }
}

/// What has to be known to read the figures.
pub fn differences() -> String {
    format!(
        "\
What differs:

- Overglass is the local host over a folder: every step of a run is a transaction in the embedded \
DynamoDB, which is SQLite on disk, and is followed by the audit chain and the statistics. Its tool \
is `create_task`, which stores a task: it has no tool that does nothing. A client looks for the end \
of a run every 2 ms once the model has answered for the last time; with `?wait` it waits in the \
request that starts the run, as those of the others do.
- LangGraph {langgraph} (langgraph-api {api}) is `langgraph dev`, with 16 workers: queue and \
checkpoints are in memory, and written to files every ten seconds. An idle worker looks for runs \
every 500 ms. Its tool does nothing. A client waits in the request that starts the run. Its data \
are the bytes that it says its checkpoints take.
- agno {agno} is AgentOS on one uvicorn process with SqliteDb: it stores a run when it ends. Its \
tool does nothing. A client waits in the request that starts the run, except where the server is \
killed: that run is one in the background. Its durable queue needs PostgreSQL or Redis.
- None of the clients continues by hand a run whose server was killed.
",
        langgraph = version("langgraph-cli"),
        api = version("langgraph-api"),
        agno = version("agno"),
    )
}

/// Why servers have no figures, below the table that they are missing in.
fn failures<T>(each: &Each<T>) -> String {
    each.iter()
        .filter_map(|(name, figure)| Some((name, figure.as_ref().err()?)))
        .map(|(name, error)| format!("\n{name} could not be measured: {error:#}\n"))
        .collect()
}

fn unmeasured() -> String {
    "–".to_owned()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::agents::measures::Load;

    fn loaded(rate: f64) -> anyhow::Result<Loaded> {
        Ok(Loaded {
            started_in: Duration::from_millis(1_240),
            idle: 50 << 20,
            afterwards: 60 << 20,
            loads: vec![Load {
                rate,
                latencies: vec![Duration::from_millis(5)],
                cpu: Duration::from_millis(2),
                model_calls: 2.0,
            }],
        })
    }

    #[test]
    fn peers_are_judged_by_what_we_have_of_theirs() {
        let case = Case {
            latency: Duration::ZERO,
            parallel: 16,
        };
        let all = vec![
            (OVERGLASS, loaded(100.0)),
            ("B", loaded(10.0)),
            ("C", loaded(50.0)),
        ];
        let text = loads(&all, &[case]);
        assert!(
            text.contains("kept by 1 of 2. Missed by C (2.00×)."),
            "{text}"
        );
        assert!(
            text.contains("| B | 0 | 16 | 1 | 10.0 | 5.00 | 5.00 | 2.00 | 2.00 | 10.00× |"),
            "{text}"
        );
    }

    #[test]
    fn who_fails_is_named_and_keeps_the_others() {
        let all = vec![
            (OVERGLASS, Err(anyhow!("no port"))),
            ("B", loaded(10.0)),
            ("C", loaded(50.0)),
        ];
        let case = Case {
            latency: Duration::ZERO,
            parallel: 16,
        };
        let text = loads(&all, &[case]);
        assert!(
            text.contains("Overglass could not be measured: no port"),
            "{text}"
        );
        assert!(
            text.contains("| B |") && text.contains("kept by 0 of 0"),
            "{text}"
        );
    }

    #[test]
    fn storage_is_judged_by_its_growth() {
        let bytes = |short, long| {
            let stored = |content| Stored {
                content,
                disk: 2 * content,
            };
            Ok(vec![stored(short), stored(long)])
        };
        let all = vec![
            ("A", bytes(1_000, 10_000)),
            ("B", bytes(1_000, 55_000)),
            ("C", bytes(1_000, 12_400)),
        ];
        let text = stored(&all, [10, 100]);
        assert!(
            text.contains("kept by 2 of 3. Missed by B (5.50×)."),
            "{text}"
        );
        assert!(text.contains("| B | 100 | 550 | 1100 |"), "{text}");
    }
}
