//! The stage: embedded stores behind proxies, a model and a service, and what executions need to
//! begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::agent::Agent;
use domain::budget::Account;
use domain::event::Actor;
use domain::swarm::{Swarm, SwarmLimits};
use domain::user::User;
use embedded::{Options, QueueSpec, Services, TableNames};
use kernel::{AgentId, MicroCredits, OrgId, UserId};
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
use crate::script::{Script, ScriptedTool};
use crate::worker::Orders;

/// The orgs that executions are spread over, without the one that never has enough credits.
const ORGS: usize = 4;
const BUCKET: &str = "chaos";
/// Longer than the sweeper leaves a doorbell alone, so that it is the one who rings again.
const VISIBILITY: Duration = Duration::from_secs(90);
/// More than all executions can spend.
const GRANTED: MicroCredits = MicroCredits::new(100_000_000_000);
/// What no call can be made for.
const FOR_NO_CALL: MicroCredits = MicroCredits::new(1);
/// What the most expensive call sets aside, and a little.
pub(crate) const FOR_ONE_CALL: MicroCredits = MicroCredits::new(4_500_000);
/// The longest that a tool may take, in seconds.
const TOOL_SECONDS: u32 = 3;

/// One org and its agents.
#[derive(Debug)]
pub(crate) struct Office {
    /// Who is asked.
    pub(crate) agent: Agent,
    /// What it may call, and works with in the swarm.
    pub(crate) colleague: Agent,
    pub(crate) swarm: Swarm,
}

/// Everything that stays up while workers come and go.
pub(crate) struct Stage {
    services: Services,
    _folder: TempDir,
    pub(crate) history: Arc<History>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) offices: Vec<Office>,
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
        let before_tables = Arc::new(Tables::new(
            &endpoints.dynamodb,
            Arc::clone(&history),
            plan,
            &tables.ledger,
        ));
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
            offices: Vec::new(),
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

    /// Where the execution with this script is to run.
    pub(crate) fn office_of(&self, number: u64, script: &Script) -> anyhow::Result<&Office> {
        let index = usize::try_from(number)? % ORGS;
        let index = if script.is_poor { ORGS } else { index };
        self.offices.get(index).context("there is no such office")
    }

    /// The org that never has enough credits.
    pub(crate) fn poor(&self) -> Option<OrgId> {
        self.offices.get(ORGS).map(|office| office.agent.org)
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
        for number in 0..=ORGS {
            let org = store
                .create_org(&cause(), format!("Chaos {number}"), &founder)
                .await?;
            let office = furnish_org(&store, org.id, tool_port, number).await?;
            self.history.colleague(org.id, office.colleague.id);
            // One org has no budget, one has one itself, one its agent, one both; the last has one
            // that is filled bit by bit.
            let budgets = store.budgets(Tenant::authorised(org.id));
            let id = office.agent.id;
            let accounts = [Account::Org, Account::Agent { id }];
            for (bit, account) in accounts.into_iter().enumerate() {
                if number < ORGS && number >> bit & 1 == 1 {
                    budgets.set(&cause(), account, GRANTED).await?;
                }
            }
            if number == ORGS {
                budgets.set(&cause(), Account::Org, FOR_NO_CALL).await?;
            }
            self.offices.push(office);
        }
        Ok(())
    }
}

async fn furnish_org(
    store: &Store,
    org: OrgId,
    tool_port: u16,
    number: usize,
) -> anyhow::Result<Office> {
    let tenant = Tenant::authorised(org);
    let mut tools = vec![json!(ScriptedTool::CreateTask.name())];
    let mut specs = vec![
        http_tool(ScriptedTool::LookUp, true, tool_port),
        http_tool(ScriptedTool::Charge, false, tool_port),
    ];
    if number < ORGS && number.is_multiple_of(2) {
        specs.push(server(tool_port));
    }
    for spec in specs {
        let spec = serde_json::from_value(spec)?;
        let tool = store.tools(tenant).create(&cause(), spec).await?;
        tools.push(json!(tool.id));
    }
    let agents = store.agents(tenant);
    let spec = |name: &str, tools: &[Value], called: &[AgentId]| {
        serde_json::from_value(json!({
            "name": name,
            "instructions": "Follow the script.",
            "tools": tools,
            "knowledge_bases": [],
            "agents": called,
            "limits": { "max_steps": 10, "max_seconds": 3_600 },
        }))
    };
    let colleague = spec("Colleague of chaos", &tools, &[])?;
    let colleague = agents.create(&cause(), colleague).await?;
    tools.push(json!(ScriptedTool::CallAgent.name()));
    let agent = spec("Agent of chaos", &tools, &[colleague.id])?;
    let agent = agents.create(&cause(), agent).await?;
    let swarm = serde_json::from_value(json!({
        "name": "Swarm of chaos",
        "description": "Follows the script.",
        "coordinator": agent.id,
        "members": [{ "agent": colleague.id, "role": "Helps." }],
        "limits": SwarmLimits::default(),
    }))?;
    let swarm = store.swarms(tenant).create(&cause(), swarm).await?;
    Ok(Office {
        agent,
        colleague,
        swarm,
    })
}

/// The server whose tool is [`ScriptedTool::Remote`].
fn server(port: u16) -> Value {
    json!({
        "name": "remote",
        "description": "Does something outside.",
        "parameters": { "type": "object" },
        "idempotent": false,
        "action": {
            "kind": "mcp",
            "url": format!("http://127.0.0.1:{port}/mcp"),
            "timeout_seconds": TOOL_SECONDS,
        },
    })
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
