//! What the store is pointed at: names from the environment.

use kernel::env::{ConfigError, EnvReader};
use work::Lane;

use crate::executions::MAX_PLACES;

/// How many executions of one org may run at the same time, unless it is configured. Less than
/// what the workers can run at once, so that no org has all of them.
pub const DEFAULT_RUNS_PER_ORG: u32 = 20;

/// How many executions of one org may run at the same time, by the environment.
///
/// # Errors
/// Says what the variable must be, if it is something else.
pub fn runs_per_org(source: &dyn Fn(&str) -> Option<String>) -> Result<u32, ConfigError> {
    let mut env = EnvReader::new(source);
    let runs = read_runs_per_org(&mut env);
    env.finish(runs)
}

fn read_runs_per_org(env: &mut EnvReader<'_>) -> u32 {
    let name = "OVERGLASS_RUNS_PER_ORG";
    let Some(text) = env.optional(name) else {
        return DEFAULT_RUNS_PER_ORG;
    };
    let runs = text.parse().ok();
    let allowed = runs.filter(|runs| (1..=MAX_PLACES).contains(runs));
    allowed.unwrap_or_else(|| {
        env.reject(name, format!("must be a number from 1 to {MAX_PLACES}"));
        DEFAULT_RUNS_PER_ORG
    })
}

/// A table: a boundary of trust, retention and backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Definitions: orgs, members, users, keys, agents, tools, tasks, files, knowledge bases.
    Core,
    /// Jobs and executions with their journals and streams.
    Work,
    /// Domain events; its stream feeds the event router.
    Log,
    /// Read models that follow the events.
    Metrics,
    /// Documents and chunks with their vectors.
    Knowledge,
    /// The audit chains.
    Audit,
    /// Budgets and their ledgers.
    Ledger,
    /// Encrypted credentials, and the wrapped keys that encrypt them.
    Vault,
    /// What expires: idempotency records, caches.
    Ephemeral,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Core,
        Self::Work,
        Self::Log,
        Self::Metrics,
        Self::Knowledge,
        Self::Audit,
        Self::Ledger,
        Self::Vault,
        Self::Ephemeral,
    ];

    /// The environment variable with the table's name.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Core => "OVERGLASS_TABLE_CORE",
            Self::Work => "OVERGLASS_TABLE_WORK",
            Self::Log => "OVERGLASS_TABLE_LOG",
            Self::Metrics => "OVERGLASS_TABLE_METRICS",
            Self::Knowledge => "OVERGLASS_TABLE_KNOWLEDGE",
            Self::Audit => "OVERGLASS_TABLE_AUDIT",
            Self::Ledger => "OVERGLASS_TABLE_LEDGER",
            Self::Vault => "OVERGLASS_TABLE_VAULT",
            Self::Ephemeral => "OVERGLASS_TABLE_EPHEMERAL",
        }
    }
}

/// Names of tables, queues and bucket. A function is given only those that it may touch; the name
/// of any other is empty, and its use fails at DynamoDB as it would by policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreConfig {
    pub core: String,
    pub work: String,
    pub log: String,
    pub metrics: String,
    pub knowledge: String,
    pub audit: String,
    pub ledger: String,
    pub vault: String,
    pub ephemeral: String,
    /// The bucket of uploaded files and what was extracted from them.
    pub files_bucket: String,
    /// URLs of the queues, one for each lane.
    pub agent_interactive_queue: String,
    pub agent_bulk_queue: String,
    pub files_queue: String,
    pub index_queue: String,
    pub web_queue: String,
    /// How many executions of one org may run at the same time.
    pub runs_per_org: u32,
}

impl StoreConfig {
    /// Reads the names that are set.
    ///
    /// # Errors
    /// Names each variable of `needed` that is missing, all in one error.
    pub fn from_env(
        source: &dyn Fn(&str) -> Option<String>,
        needed: &[&str],
    ) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(source);
        for name in needed {
            env.required(name);
        }
        let runs_per_org = read_runs_per_org(&mut env);
        let mut read = |name: &str| env.optional(name).unwrap_or_default();
        let config = Self {
            core: read(Table::Core.variable()),
            work: read(Table::Work.variable()),
            log: read(Table::Log.variable()),
            metrics: read(Table::Metrics.variable()),
            knowledge: read(Table::Knowledge.variable()),
            audit: read(Table::Audit.variable()),
            ledger: read(Table::Ledger.variable()),
            vault: read(Table::Vault.variable()),
            ephemeral: read(Table::Ephemeral.variable()),
            files_bucket: read("OVERGLASS_BUCKET_FILES"),
            agent_interactive_queue: read("OVERGLASS_QUEUE_AGENT_INTERACTIVE"),
            agent_bulk_queue: read("OVERGLASS_QUEUE_AGENT_BULK"),
            files_queue: read("OVERGLASS_QUEUE_FILES"),
            index_queue: read("OVERGLASS_QUEUE_INDEX"),
            web_queue: read("OVERGLASS_QUEUE_WEB"),
            runs_per_org,
        };
        env.finish(config)
    }

    /// The name of a table.
    #[must_use]
    pub fn table(&self, table: Table) -> &str {
        match table {
            Table::Core => &self.core,
            Table::Work => &self.work,
            Table::Log => &self.log,
            Table::Metrics => &self.metrics,
            Table::Knowledge => &self.knowledge,
            Table::Audit => &self.audit,
            Table::Ledger => &self.ledger,
            Table::Vault => &self.vault,
            Table::Ephemeral => &self.ephemeral,
        }
    }

    /// The URL of a lane's queue.
    #[must_use]
    pub fn queue(&self, lane: Lane) -> &str {
        match lane {
            Lane::AgentInteractive => &self.agent_interactive_queue,
            Lane::AgentBulk => &self.agent_bulk_queue,
            Lane::Files => &self.files_queue,
            Lane::Index => &self.index_queue,
            Lane::Web => &self.web_queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_and_missing_is_named_together() {
        let source = |name: &str| (name == "OVERGLASS_TABLE_CORE").then(|| "core".to_owned());
        let error = StoreConfig::from_env(
            &source,
            &[
                "OVERGLASS_TABLE_CORE",
                "OVERGLASS_TABLE_WORK",
                "OVERGLASS_QUEUE_FILES",
            ],
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("OVERGLASS_TABLE_WORK") && error.contains("OVERGLASS_QUEUE_FILES"));
        assert!(!error.contains("OVERGLASS_TABLE_CORE is not set"));
    }
}
