//! The stage: embedded stores behind proxies, a model and a service, and what executions need to
//! begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::agent::Agent;
use domain::budget::Account;
use domain::event::Actor;
use domain::user::User;
use embedded::{Options, QueueSpec, Services, TableNames};
use kernel::{MicroCredits, OrgId, UserId};
use serde_json::{Value, json};
use store::config::Table;
use store::{Cause, Store, Tenant};
use tempfile::TempDir;
use work::Lane;

use crate::history::History;
use crate::outside;
use crate::party::Party;
use crate::plan::Plan;
use crate::proxy::{self, Queues, Tables};
use crate::script::ScriptedTool;
use crate::worker::Orders;

/// The orgs that executions are spread over.
const ORGS: usize = 4;
const BUCKET: &str = "chaos";
/// Longer than the sweeper leaves a doorbell alone, so that it is the one who rings again.
const VISIBILITY: Duration = Duration::from_secs(90);
/// More than all executions can spend.
const GRANTED: MicroCredits = MicroCredits::new(100_000_000_000);
/// The longest that a tool may take, in seconds.
const TOOL_SECONDS: u32 = 3;

/// Everything that stays up while workers come and go.
pub(crate) struct Stage {
    services: Services,
    _folder: TempDir,
    pub(crate) history: Arc<History>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) agents: Vec<Agent>,
    orders: Orders,
    direct: Orders,
}

impl Stage {
    /// Starts it.
    pub(crate) async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("chaos-").tempdir()?;
        let services = Services::start(Options::folder(folder.path())).await?;
        let history = Arc::new(History::default());
        let tables = TableNames::default();
        let clients = services.clients();
        embedded::create_tables(&clients.dynamodb, &tables).await?;
        embedded::create_bucket(&clients.s3, BUCKET).await?;
        let specs = Lane::ALL.map(|lane| QueueSpec::new(lane.as_str(), VISIBILITY));
        let queues = embedded::create_queues(&clients.sqs, &specs).await?;

        let endpoints = services.endpoints();
        let before_tables = Arc::new(Tables::new(&endpoints.dynamodb, Arc::clone(&history), plan));
        let before_queues = Arc::new(Queues::new(&endpoints.sqs, Arc::clone(&history), plan));
        for queue in &queues {
            tokio::spawn(Arc::clone(&before_queues).pump(queue.url.clone()));
        }
        let dynamo = proxy::serve(Arc::clone(&before_tables)).await?;
        let sqs = proxy::serve(before_queues).await?;
        let model = outside::model(plan.seed, Arc::clone(&history));
        let model = outside::serve(model).await?;
        let tools = outside::tools(plan.seed, Arc::clone(&history));
        let tools = outside::serve(tools).await?;

        let names = [
            (Table::Core, tables.core),
            (Table::Work, tables.work),
            (Table::Log, tables.log),
            (Table::Metrics, tables.metrics),
            (Table::Knowledge, tables.knowledge),
            (Table::Audit, tables.audit),
            (Table::Ledger, tables.ledger),
            (Table::Vault, tables.vault),
            (Table::Ephemeral, tables.ephemeral),
        ];
        let mut environment: BTreeMap<String, String> = names
            .into_iter()
            .map(|(table, name)| (table.variable().to_owned(), name))
            .collect();
        for queue in &queues {
            let lane = queue.name.replace('-', "_").to_uppercase();
            environment.insert(format!("OVERGLASS_QUEUE_{lane}"), queue.url.clone());
        }
        for (name, value) in [
            ("OVERGLASS_BUCKET_FILES", BUCKET.to_owned()),
            ("OVERGLASS_MODEL_PROVIDER", "openai".to_owned()),
            ("OVERGLASS_MODEL", outside::MODEL.to_owned()),
            ("OPENAI_BASE_URL", format!("http://{model}/v1")),
            (domain::price::VARIABLE, prices()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        let orders = Orders {
            dynamo: format!("http://{dynamo}"),
            sqs: format!("http://{sqs}"),
            s3: endpoints.s3.clone(),
            region: endpoints.region.clone(),
            name: Party::Starter.to_string(),
            environment,
            tool_port: tools.port(),
            lease_ms: u64::try_from(plan.lease.as_millis())?,
            slots: plan.slots,
        };
        let direct = Orders {
            dynamo: endpoints.dynamodb.clone(),
            sqs: endpoints.sqs.clone(),
            ..orders.clone()
        };
        let mut stage = Self {
            services,
            _folder: folder,
            history,
            tables: before_tables,
            agents: Vec::new(),
            orders,
            direct,
        };
        stage.furnish(tools.port()).await?;
        Ok(stage)
    }

    /// What a worker is told.
    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// A store behind the proxies.
    pub(crate) fn store_of(&self, who: Party) -> anyhow::Result<Store> {
        let orders = Orders {
            name: who.to_string(),
            ..self.orders.clone()
        };
        orders.store()
    }

    /// A store before the proxies, which nothing disturbs.
    pub(crate) fn undisturbed(&self) -> anyhow::Result<Store> {
        self.direct.store()
    }

    /// Ends the embedded services.
    pub(crate) async fn end(self) {
        self.services.shutdown().await;
    }

    /// Makes the orgs, their tools and agents.
    async fn furnish(&mut self, tool_port: u16) -> anyhow::Result<()> {
        let store = self.undisturbed()?;
        let now = store.now();
        let founder: User = serde_json::from_value(json!({
            "id": UserId::generate(now), "email_verified": false, "preferences": {},
            "version": 1, "created_at": now, "updated_at": now,
        }))?;
        for number in 0..ORGS {
            let org = store
                .create_org(&cause(), format!("Chaos {number}"), &founder)
                .await?;
            let agent = furnish_org(&store, org.id, tool_port).await?;
            // One org has no budget, one has one itself, one its agent, one both.
            let budgets = store.budgets(Tenant::authorised(org.id));
            let accounts = [Account::Org, Account::Agent { id: agent.id }];
            for (bit, account) in accounts.into_iter().enumerate() {
                if number >> bit & 1 == 1 {
                    budgets.set(&cause(), account, GRANTED).await?;
                }
            }
            self.agents.push(agent);
        }
        Ok(())
    }
}

async fn furnish_org(store: &Store, org: OrgId, tool_port: u16) -> anyhow::Result<Agent> {
    let tenant = Tenant::authorised(org);
    let mut tools = vec![json!(ScriptedTool::CreateTask.name())];
    for (tool, idempotent) in [(ScriptedTool::LookUp, true), (ScriptedTool::Charge, false)] {
        let spec = http_tool(tool, idempotent, tool_port);
        let spec = serde_json::from_value(spec)?;
        let tool = store.tools(tenant).create(&cause(), spec).await?;
        tools.push(json!(tool.id));
    }
    let spec = serde_json::from_value(json!({
        "name": "Agent of chaos",
        "instructions": "Follow the script.",
        "tools": tools,
        "knowledge_bases": [],
        "limits": { "max_steps": 10, "max_seconds": 3_600 },
    }))?;
    Ok(store.agents(tenant).create(&cause(), spec).await?)
}

/// What the model costs: credits are counted only where there is a price.
fn prices() -> String {
    let model = format!("openai::{}", outside::MODEL);
    let price = json!({ "from": "2025-01-01", "input": 100_000_000, "output": 400_000_000 });
    json!({ "models": { model: [price] } }).to_string()
}

fn http_tool(tool: ScriptedTool, idempotent: bool, port: u16) -> Value {
    json!({
        "name": tool.name(),
        "description": "Does something outside.",
        "parameters": {
            "type": "object",
            "properties": { "item": { "type": "string" } },
            "required": ["item"],
        },
        "idempotent": idempotent,
        "action": {
            "kind": "http",
            "method": "POST",
            "url": format!("http://127.0.0.1:{port}/{}", tool.name()),
            "timeout_seconds": TOOL_SECONDS,
        },
    })
}

/// Who asks for all of it.
pub(crate) fn cause() -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: "chaos".to_owned(),
    }
}
