//! What is judged in the end: the rows as they stand, beside what was seen from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::budget::{Account, Budget};
use domain::execution::{Effect, Execution, StreamEntry};
use domain::task::Task;
use futures::{StreamExt as _, TryStreamExt as _};
use kernel::SwarmId;
use kernel::cursor::PageRequest;
use store::budgets::Verification;
use store::tasks::TaskFilter;
use store::{Store, Tenant};
use work::{Job, JobStore as _};

use crate::history::{Facts, History, RunFacts};
use crate::plan::Plan;
use crate::script::Script;
use crate::stage::Office;

/// How many executions are read at the same time.
const READERS: usize = 8;
const STREAM_PAGE: u32 = 200;
const TASK_PAGE: u32 = 100;

/// One run, as it ended.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) plan: Plan,
    pub(crate) facts: Facts,
    pub(crate) runs: Vec<RunEvidence>,
    /// How often each title stands among the tasks, and each text among the messages of swarms.
    pub(crate) titles: BTreeMap<String, u64>,
    pub(crate) accounts: Vec<AccountEvidence>,
    pub(crate) took: Duration,
    /// When it was looked at.
    pub(crate) at: Instant,
}

/// A budget, as it ended.
#[derive(Debug)]
pub(crate) struct AccountEvidence {
    pub(crate) budget: Budget,
    pub(crate) ledger: Verification,
}

/// An execution, as it ended.
#[derive(Debug)]
pub(crate) struct RunEvidence {
    pub(crate) facts: RunFacts,
    pub(crate) script: Script,
    pub(crate) execution: Option<Execution>,
    pub(crate) journal: Vec<Effect>,
    pub(crate) stream: Vec<StreamEntry>,
    pub(crate) job: Option<Job>,
    pub(crate) task: Option<Task>,
}

/// Reads everything.
///
/// # Errors
/// Rows that cannot be read.
pub(crate) async fn gather(
    plan: Plan,
    store: &Store,
    offices: &[Office],
    history: &History,
    took: Duration,
) -> anyhow::Result<Evidence> {
    let (facts, at) = (history.so_far(), Instant::now());
    let runs = futures::stream::iter(facts.runs.values().cloned())
        .map(|run| read_run(store, plan.seed, run))
        .buffered(READERS)
        .try_collect()
        .await?;
    let (mut titles, mut accounts) = (BTreeMap::new(), Vec::new());
    for office in offices {
        let tenant = Tenant::authorised(office.agent.org);
        read_titles(store, tenant, &mut titles).await?;
        read_messages(store, tenant, office.swarm.id, &mut titles).await?;
        let budgets = store.budgets(tenant);
        let id = office.agent.id;
        for account in [Account::Org, Account::Agent { id }] {
            if let Some(budget) = budgets.get(account).await? {
                let ledger = budgets.verify(account).await?;
                accounts.push(AccountEvidence { budget, ledger });
            }
        }
    }
    Ok(Evidence {
        plan,
        facts,
        runs,
        titles,
        accounts,
        took,
        at,
    })
}

async fn read_run(store: &Store, seed: u64, facts: RunFacts) -> anyhow::Result<RunEvidence> {
    let tenant = Tenant::authorised(facts.org);
    let executions = store.executions(tenant);
    let task = match facts.task {
        Some(id) => store.tasks(tenant).get(id).await?,
        None => None,
    };
    let job = store.load(facts.org, facts.job).await;
    Ok(RunEvidence {
        script: Script::of(seed, facts.number),
        execution: executions.get(facts.execution).await?,
        journal: executions.journal(facts.execution).await?,
        stream: read_stream(store, &facts).await?,
        job: job.context("a job cannot be read")?,
        task,
        facts,
    })
}

async fn read_stream(store: &Store, run: &RunFacts) -> anyhow::Result<Vec<StreamEntry>> {
    let executions = store.executions(Tenant::authorised(run.org));
    let mut entries: Vec<StreamEntry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.sequence);
        let page = executions
            .stream_after(run.execution, after, STREAM_PAGE)
            .await?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

async fn read_messages(
    store: &Store,
    tenant: Tenant,
    swarm: SwarmId,
    texts: &mut BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    let mut request = PageRequest::first(TASK_PAGE);
    loop {
        let page = store.swarms(tenant).messages(swarm, None, &request).await?;
        for message in page.items {
            *texts.entry(message.text).or_default() += 1;
        }
        let Some(next) = page.next else {
            return Ok(());
        };
        request.after = Some(next);
    }
}

async fn read_titles(
    store: &Store,
    tenant: Tenant,
    titles: &mut BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    let mut request = PageRequest::first(TASK_PAGE);
    loop {
        let page = store.tasks(tenant).page(TaskFilter::All, &request).await?;
        for task in page.items {
            *titles.entry(task.title).or_default() += 1;
        }
        let Some(next) = page.next else {
            return Ok(());
        };
        request.after = Some(next);
    }
}
