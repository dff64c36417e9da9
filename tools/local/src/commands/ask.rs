//! `ask`: a question about a file, or about what was imported.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::misunderstood;
use super::serve::{self, Then};
use crate::journey::{IMPORTED, Job};
use crate::session::HostArguments;

/// Ask a question about a file of your own and keep serving, or about what was imported and exit.
#[derive(Debug, clap::Args)]
#[command(override_usage = "overglass ask [OPTIONS] [FILE] <QUESTION>")]
pub(super) struct Ask {
    /// The file that the question is about. Without one, it is about what was imported.
    #[arg(value_name = "FILE")]
    first: OsString,
    /// The question.
    #[arg(value_name = "QUESTION")]
    second: Option<String>,
    /// Exit with the answer.
    #[arg(long)]
    once: bool,
    /// The knowledge base that the files were imported into. [default: Imported]
    #[arg(long, value_name = "NAME")]
    knowledge_base: Option<String>,
}

impl Ask {
    pub(super) async fn run(self, arguments: &HostArguments) -> anyhow::Result<ExitCode> {
        let end = Then::End { json: false };
        let (job, then) = match self.second {
            Some(_) if self.knowledge_base.is_some() => {
                misunderstood("a question is about a file or about a knowledge base, not both")
            }
            Some(question) => {
                let job = Job::about(Path::new(&self.first), question)?;
                (job, if self.once { end } else { Then::Serve })
            }
            None => {
                let base = self.knowledge_base.as_deref().unwrap_or(IMPORTED);
                (Job::over(base, question(self.first)), end)
            }
        };
        serve::job(arguments, &job, then).await
    }
}

/// The question, where nothing else was given.
fn question(given: OsString) -> String {
    if Path::new(&given).is_file() {
        misunderstood(format!(
            "what is asked about {} is missing",
            given.display()
        ));
    }
    given
        .into_string()
        .unwrap_or_else(|_| misunderstood("the question is no text in UTF-8"))
}
