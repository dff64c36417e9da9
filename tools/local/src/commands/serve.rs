//! Jobs, and a host that keeps serving after them.

use std::process::ExitCode;

use super::{interrupted, output};
use crate::client::Client;
use crate::journey::{Job, next_steps};
use crate::session::{HostArguments, PERSON, Session};
use crate::terminal::Terminal;

const DEFAULT_PORT: u16 = 8700;

/// The demonstration, by a host that keeps serving.
pub(super) async fn run(arguments: &HostArguments) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::talkative();
    let host = arguments.start(DEFAULT_PORT, terminal).await?;
    host.announce()?;
    let served = async {
        let client = Client::sign_in(&host.url(), PERSON).await?;
        Job::demonstration().run(&client, terminal).await?;
        terminal.line(next_steps(&host.url()));
        std::future::pending().await
    };
    let ended = until_interrupted(terminal, served).await;
    host.shutdown().await;
    ended
}

/// The demonstration once, by whichever host there is.
pub(super) async fn once(arguments: &HostArguments, json: bool) -> anyhow::Result<ExitCode> {
    job(arguments, &Job::demonstration(), Then::End { json }).await
}

/// What follows a job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    /// To keep serving, if no other process does.
    Serve,
    End {
        json: bool,
    },
}

/// Does a job, by whichever host there is.
pub(super) async fn job(
    arguments: &HostArguments,
    job: &Job,
    then: Then,
) -> anyhow::Result<ExitCode> {
    let (port, terminal) = match then {
        Then::Serve => (DEFAULT_PORT, Terminal::talkative()),
        Then::End { json } => (0, output(json)),
    };
    let session = Session::open(arguments, port, terminal).await?;
    if matches!(then, Then::Serve) {
        session.announce()?;
    }
    let done = async {
        let outcome = job.run(session.client(), terminal).await?;
        match then {
            Then::End { json: true } => terminal.result(&outcome),
            Then::Serve if session.is_own() => {
                terminal.line(next_steps(session.url()));
                std::future::pending::<()>().await;
            }
            Then::Serve | Then::End { json: false } => {}
        }
        Ok(ExitCode::SUCCESS)
    };
    let ended = until_interrupted(terminal, done).await;
    session.close().await;
    ended
}

pub(super) async fn until_interrupted(
    terminal: Terminal,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = work => ended,
        () = interrupted() => {
            terminal.line("\nEnding. What is stored stays.");
            Ok(ExitCode::SUCCESS)
        }
    }
}
