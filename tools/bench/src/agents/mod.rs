//! Agent servers side by side: the local host, LangGraph's `langgraph dev` and agno's AgentOS, each
//! with the same scripted model, one after the other.
//!
//! | module | holds |
//! |---|---|
//! | [`model`] | the model server that all of them ask |
//! | [`server`] | what a server has to offer to be measured, and one that runs |
//! | [`overglass`], [`langgraph`], [`agno`] | the servers |
//! | [`environment`], [`child`] | the peers' virtual environment; servers as processes |
//! | [`measures`] | what is measured of each server |
//! | [`stored`] | bytes in files and in databases |
//! | [`tables`] | the figures as they are shown, and what differs |

mod agno;
mod child;
mod environment;
mod langgraph;
mod measures;
mod model;
mod overglass;
mod server;
mod stored;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::Effort;
use crate::functions::build;
use agno::Agno;
use langgraph::LangGraph;
use measures::{Bench, Case};
use model::ModelServer;
use overglass::{Overglass, Waiting};
use server::Server as _;
use tables::Each;

/// How much is measured of agent servers.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// How long each load lasts.
    pub window: Duration,
    /// How many runs wait for a person.
    pub pauses: usize,
    /// After how many turns of a conversation it is looked what is stored.
    pub turns: [u32; 2],
    /// How long after the model call has begun servers are killed.
    pub kills: &'static [Duration],
    /// How long a run may take after a kill before it is given up.
    pub patience: Duration,
}

const CASES: [Case; 4] = [case(0, 1), case(0, 16), case(50, 1), case(50, 16)];
const fn case(millis: u64, parallel: usize) -> Case {
    Case {
        latency: Duration::from_millis(millis),
        parallel,
    }
}

/// Measures the servers; `program` is the local host, which is built if none is named.
pub async fn measure(
    root: &Path,
    effort: &Effort,
    program: Option<&Path>,
) -> anyhow::Result<String> {
    let target = root.join("target");
    std::fs::create_dir_all(&target)?;
    let program: PathBuf = match program {
        Some(program) => program
            .canonicalize()
            .with_context(|| format!("there is no {}", program.display()))?,
        None => build::program(root, "local", "overglass")?.path,
    };
    let environment = environment::open(&target)?;
    let overglass = Overglass {
        program,
        waiting: Waiting::Outside,
    };
    let waiting = Overglass {
        waiting: Waiting::InRequest,
        ..overglass.clone()
    };
    let langgraph = LangGraph {
        environment: environment.clone(),
    };
    let agno = Agno { environment };
    let bench = Bench {
        target,
        model: ModelServer::serve().await?,
        effort: effort.clone(),
    };
    // The product is the first, which the others are compared with.
    macro_rules! each {
        ($measure:path $(, $argument:expr)*) => {
            vec![
                (overglass.name(), $measure(&bench, &overglass $(, $argument)*).await),
                (langgraph.name(), $measure(&bench, &langgraph $(, $argument)*).await),
                (agno.name(), $measure(&bench, &agno $(, $argument)*).await),
            ]
        };
    }
    let mut loaded: Each<_> = each!(measures::load, &CASES);
    let in_request = measures::load(&bench, &waiting, &CASES).await;
    loaded.insert(1, (waiting.name(), in_request));
    let pauses: Each<_> = each!(measures::pause);
    let stored: Each<_> = each!(measures::store);
    let mut recoveries = Vec::new();
    for &after in effort.agents.kills {
        let recovered: Each<_> = each!(measures::recover, after);
        recoveries.push((after, recovered));
    }
    Ok([
        tables::loads(&loaded, &CASES),
        tables::pauses(&pauses),
        tables::stored(&stored, effort.agents.turns),
        tables::memory(&loaded),
        tables::recoveries(&recoveries, effort.agents.patience),
        tables::differences(),
    ]
    .join("\n"))
}
