//! `search`: what is found by words, by meaning, or by both.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use self::hits::Page;
use super::{output, serve};
use crate::client::Client;
use crate::journey::find;
use crate::session::{HostArguments, Session};
use crate::terminal::Terminal;

mod hits;

/// Find documents and passages in them, agents, tasks, executions and messages.
///
/// "A phrase" in quotes is found as it stands, word* finds what begins so, -word leaves out what
/// holds it.
#[derive(Debug, clap::Args)]
pub(super) struct Search {
    query: String,
    /// By words, by meaning, or by both.
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// Only what is of this kind; several are given one by one.
    #[arg(long = "kind", value_enum)]
    kinds: Vec<Kind>,
    /// Only what is part of this knowledge base.
    #[arg(long, value_name = "NAME")]
    knowledge_base: Option<String>,
    /// The most hits.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    /// Print the answer of the API, as one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Text,
    Semantic,
    Hybrid,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Document,
    Chunk,
    Agent,
    Task,
    Execution,
    Message,
}

impl Search {
    pub(super) async fn run(self, arguments: &HostArguments) -> anyhow::Result<ExitCode> {
        let session = Session::open(arguments, 0, Terminal::quiet()).await?;
        let searched = async {
            let found = self.search(session.client()).await?;
            let terminal = output(self.json);
            if self.json {
                terminal.result(&found);
                return Ok(ExitCode::SUCCESS);
            }
            let bold = console::colors_enabled();
            for line in (Page { bold }).lines(&found) {
                terminal.marked_line(line);
            }
            Ok(ExitCode::SUCCESS)
        };
        let ended = serve::until_interrupted(Terminal::quiet(), searched).await;
        session.close().await;
        ended
    }

    async fn search(&self, client: &Client) -> anyhow::Result<Value> {
        let mut body = json!({
            "query": self.query,
            "mode": name(self.mode),
            "limit": self.limit,
        });
        if !self.kinds.is_empty() {
            let kinds = self.kinds.iter().map(|kind| name(*kind));
            body["kinds"] = kinds.collect();
        }
        if let Some(base) = &self.knowledge_base {
            let Some(id) = find(client, "/v1/knowledge-bases", base).await? else {
                anyhow::bail!("there is no knowledge base \u{201c}{base}\u{201d}");
            };
            body["filters"] = json!({ "knowledge_base": [id] });
        }
        let path = format!("/v1/orgs/{}/search", client.org()?);
        client.post(&path, &body).await
    }
}

/// The name of a value, at the command line as in the API.
fn name(value: impl ValueEnum) -> String {
    let known = value.to_possible_value();
    known
        .map(|known| known.get_name().to_owned())
        .unwrap_or_default()
}
