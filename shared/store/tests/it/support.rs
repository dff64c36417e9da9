//! A store of its own for each test.

use std::sync::Arc;
use std::time::Duration;

use domain::budget::{Account, Budget, LedgerCall, Reservation};
use domain::event::Actor;
use embedded::{Options, QueueSpec, Services, TableNames, create_queues, create_tables};
use kernel::{AgentId, ExecutionId, MicroCredits, OrgId, SystemClock};
use store::clients::LocalEndpoints;
use store::{Cause, Clients, Commit, CommitError, Store, StoreConfig, Tenant};

/// How many executions of an org may run at once.
pub const PLACES: u32 = 4;

/// A store, and one org in it.
pub struct Stage {
    services: Services,
    config: StoreConfig,
    pub store: Store,
    pub tenant: Tenant,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with_places(PLACES).await
    }

    pub async fn with_places(runs_per_org: u32) -> Self {
        let services = Services::start(Options::memory())
            .await
            .expect("services start");
        let tables = TableNames::default();
        let clients = services.clients();
        create_tables(&clients.dynamodb, &tables)
            .await
            .expect("tables");
        let lanes = work::Lane::ALL;
        let specs = lanes.map(|lane| QueueSpec::new(lane.as_str(), Duration::from_secs(60)));
        let queues = create_queues(&clients.sqs, &specs).await.expect("queues");
        let url = |lane: work::Lane| {
            let queue = queues.iter().find(|queue| queue.name == lane.as_str());
            queue.expect("a queue").url.clone()
        };
        let config = StoreConfig {
            core: tables.core,
            work: tables.work,
            log: tables.log,
            ledger: tables.ledger,
            agent_interactive_queue: url(work::Lane::AgentInteractive),
            agent_bulk_queue: url(work::Lane::AgentBulk),
            files_queue: url(work::Lane::Files),
            index_queue: url(work::Lane::Index),
            web_queue: url(work::Lane::Web),
            runs_per_org,
            ..StoreConfig::default()
        };
        let store = store_at(&services, &config, &services.endpoints().dynamodb);
        Self {
            services,
            config,
            store,
            tenant: tenant(),
        }
    }

    /// Where the DynamoDB is.
    pub fn dynamodb(&self) -> &str {
        &self.services.endpoints().dynamodb
    }

    /// The same store, whose DynamoDB is reached at another address.
    pub fn through(&self, dynamodb: &str) -> Store {
        store_at(&self.services, &self.config, dynamodb)
    }

    pub async fn set(&self, account: Account, micros: i64) -> Budget {
        let budgets = self.store.budgets(self.tenant);
        budgets
            .set(&cause(), account, MicroCredits::new(micros))
            .await
            .expect("set")
    }

    pub async fn get(&self, account: Account) -> Option<Budget> {
        let budgets = self.store.budgets(self.tenant);
        budgets.get(account).await.expect("an answer")
    }

    /// Asserts that the ledger adds up, and returns how many entries it has.
    pub async fn assert_sums(&self, account: Account) -> u64 {
        let budgets = self.store.budgets(self.tenant);
        let found = budgets.verify(account).await.expect("an answer");
        assert_eq!(found.sum, found.balance, "{account:?}: {found:?}");
        found.entries
    }

    /// Deletes a row behind the store's back.
    pub async fn tear_out(&self, account: Account) {
        let owner = match account {
            Account::Org => "ORG".to_owned(),
            Account::Agent { id } => format!("AGENT#{id}"),
            Account::Execution { id } => format!("RUN#{id}"),
        };
        let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
        self.store
            .clients()
            .dynamo
            .delete_item()
            .table_name(&self.config.ledger)
            .key("pk", text(format!("ORG#{}#BUDGET", self.tenant.org())))
            .key("sk", text(owner))
            .send()
            .await
            .expect("deleted");
    }
}

fn store_at(services: &Services, config: &StoreConfig, dynamodb: &str) -> Store {
    let endpoints = services.endpoints();
    let clients = Clients::local(&LocalEndpoints {
        dynamo: dynamodb.to_owned(),
        s3: endpoints.s3.clone(),
        sqs: endpoints.sqs.clone(),
        region: endpoints.region.clone(),
        access_key_id: endpoints.access_key_id.clone(),
        secret_access_key: endpoints.secret_access_key.clone(),
    });
    Store::new(clients, config.clone(), Arc::new(SystemClock))
}

/// Another org.
pub fn tenant() -> Tenant {
    Tenant::authorised(OrgId::generate(kernel::Clock::now(&SystemClock)))
}

pub fn cause() -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: "test".to_owned(),
    }
}

pub const AGENT: Account = Account::Agent {
    id: AgentId::from_u128(3),
};
pub const RUN: Account = Account::Execution {
    id: ExecutionId::from_u128(4),
};

/// The call of a step of a run.
pub fn call(step: u32, call: u32) -> LedgerCall {
    LedgerCall {
        execution: ExecutionId::from_u128(4),
        step,
        call,
        payee: "openai::gpt".to_owned(),
    }
}

/// What a run would note of a call.
pub fn reservation(micros: i64, accounts: &[Account]) -> Reservation {
    Reservation {
        step: 1,
        call: 0,
        amount: MicroCredits::new(micros),
        accounts: accounts.to_vec(),
    }
}

/// Sets credits aside from every account that has a budget.
pub async fn reserve(
    store: &Store,
    tenant: Tenant,
    accounts: &[Account],
    micros: i64,
) -> Result<Vec<Account>, CommitError> {
    let budgets = store.budgets(tenant).of(accounts).await.expect("an answer");
    let amount = MicroCredits::new(micros);
    let commit = Commit::new(tenant).reserve(&budgets, &call(1, 0), amount, store.now());
    store.commit(commit).await?;
    Ok(budgets.iter().map(|budget| budget.account).collect())
}
