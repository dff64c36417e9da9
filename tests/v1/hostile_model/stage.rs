//! Two orgs: one whose agents are driven by the hostile model, and one that it is after.

use std::collections::BTreeMap;

use domain::tool::Builtin;
use http::Method;
use llm::ChatRequest;
use llm::scripted::Scripted;
use outbound::Policy;
use serde_json::{Value, json};

use super::script::{OF_THE_VICTIM, Script, input};
use super::service::Service;
use crate::support::fixture::Fixture;
use crate::support::stream::whole;
use crate::support::world::prices;
use crate::support::{Api, Setup, World, eventually, text};
use crate::v1::files::bring;

/// Planted in everything of the other org, and spoken by nobody else.
pub const CANARY: &str = "kingfisher-7Q4M-canary";
/// The addresses of tools that lead to where no tool may go.
const INSIDE: [&str; 7] = [
    "127.0.0.1",
    "localhost",
    "0.0.0.0",
    "[::1]",
    "169.254.169.254",
    "10.0.0.1",
    "[fd00::1]",
];

/// How much there is of what calls can bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    pub tasks: usize,
    pub memories: usize,
    pub executions: usize,
    pub approvals: usize,
    /// Requests that the service has seen.
    pub requests: usize,
}

impl std::ops::Sub for Effects {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            tasks: self.tasks - earlier.tasks,
            memories: self.memories - earlier.memories,
            executions: self.executions - earlier.executions,
            approvals: self.approvals - earlier.approvals,
            requests: self.requests - earlier.requests,
        }
    }
}

pub struct Stage {
    pub world: World,
    pub script: Script,
    pub model: Scripted,
    /// The org whose agents the model drives.
    pub admin: Api,
    /// By name.
    pub agents: BTreeMap<&'static str, String>,
    pub own_file: String,
    /// What the agents may call.
    pub service: Service,
    /// What nobody may call.
    pub forbidden: Service,
    pub victim: Fixture,
    /// The name and id of a tool of the victim.
    pub victims_tool: (String, String),
    victims_state: Vec<(String, Value)>,
}

impl Stage {
    pub async fn set() -> Self {
        let forbidden = Service::start(0, Value::Null).await;
        let orders = super::requests::orders(forbidden.port);
        let service = Service::start(forbidden.port, orders).await;
        let script = Script::new(CANARY);
        let model = script.model();
        let world = World::with(Setup {
            model: model.clone(),
            outbound: Policy::public().allow_loopback_ports([service.port]),
            prices: prices(1),
            ..Setup::default()
        })
        .await;
        let victim = Fixture::build(&world, "victim").await;
        let victims_tool = plant(&world, &victim, &service).await;
        let admin = world.founder("mallory").await;
        let budget = json!({ "granted_micro_credits": 1_000_000_000_i64 });
        admin.put("/v1/budgets/org", &budget).await.ok();
        let mut stage = Self {
            script,
            model,
            admin,
            agents: BTreeMap::new(),
            own_file: String::new(),
            service,
            forbidden,
            victim,
            victims_tool,
            victims_state: Vec::new(),
            world,
        };
        stage.hire().await;
        stage.victims_state = stage.settled_victim().await;
        stage
    }

    /// Makes the agents, each of which has been given little.
    async fn hire(&mut self) {
        let api = self.admin.clone();
        let base = json!({ "name": "Own" });
        let base = text(&api.create("/v1/knowledge-bases", &base).await["id"]);
        let document = b"# Lunch\n\nLunch is served at noon.\n";
        let file = bring(&self.world, &api, "lunch.md", document, Some(&base)).await;
        self.own_file = text(&file["id"]);
        let mut shop = Vec::new();
        for (name, method, path) in [
            ("get_order", "GET", "/orders/{order}?v=1"),
            ("post_order", "POST", "/orders/{order}?v=1"),
            ("away", "GET", "/away"),
            ("trap", "GET", "/trap"),
        ] {
            let url = self.service.url(path);
            shop.push(tool(&api, name, method, &url, &Value::Null).await);
        }
        for (number, host) in INSIDE.iter().enumerate() {
            let url = format!("http://{host}:{}/stolen", self.forbidden.port);
            let name = format!("inside_{number}");
            shop.push(tool(&api, &name, "GET", &url, &Value::Null).await);
        }
        let pay = self.service.url("/pay");
        let pay = tool(&api, "pay", "POST", &pay, &json!({ "role": "admin" })).await;
        let friend = self.hire_one("friend", json!({})).await;
        for (name, more) in [
            ("plain", json!({})),
            (
                "searcher",
                json!({
                    "tools": ["search_knowledge", "read_document"], "knowledge_bases": [base],
                }),
            ),
            ("clerk", json!({ "tools": ["remember", "create_task"] })),
            ("shopper", json!({ "tools": shop })),
            (
                "everyone",
                json!({
                    "tools": [
                        "remember", "create_task", "search_knowledge", "read_document",
                        "call_agent",
                    ],
                    "knowledge_bases": [base], "agents": [friend],
                }),
            ),
            (
                "careful",
                json!({
                    "tools": [pay, "ask_human", "remember"],
                    "approvals": { "remember": { "role": "admin" } },
                }),
            ),
            (
                "caller",
                json!({ "tools": ["call_agent"], "agents": [friend] }),
            ),
            (
                "loop",
                json!({
                    "tools": ["search_knowledge", "read_document"], "knowledge_bases": [base],
                    "limits": { "max_steps": 6 },
                }),
            ),
            (
                "spender",
                json!({
                    "tools": ["search_knowledge", "read_document"], "knowledge_bases": [base],
                    "limits": { "max_micro_credits": super::SPENDERS_LIMIT },
                }),
            ),
        ] {
            self.hire_one(name, more).await;
        }
        // Each of the two may call the other and itself, as far as the org has said.
        for (name, agents) in [
            ("friend", ["caller", "friend"]),
            ("caller", ["friend", "caller"]),
        ] {
            let agents = agents.map(|name| self.agents[name].clone());
            let body = json!({ "agents": agents, "tools": ["call_agent"] });
            let path = format!("/v1/agents/{}", self.agents[name]);
            api.patch(&path, &body).await.ok();
        }
    }

    async fn hire_one(&mut self, name: &'static str, more: Value) -> String {
        let mut body = json!({ "name": name, "instructions": "Answer." });
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let id = text(&self.admin.create("/v1/agents", &body).await["id"]);
        self.agents.insert(name, id.clone());
        id
    }

    /// How much there is of everything in the attacker's org.
    pub async fn effects(&self) -> Effects {
        let mut memories = 0;
        for agent in self.agents.values() {
            let path = format!("/v1/agents/{agent}/memory");
            memories += self.admin.list(&path).await.len();
        }
        Effects {
            tasks: self.admin.list("/v1/tasks").await.len(),
            memories,
            executions: self.admin.list("/v1/executions").await.len(),
            approvals: self.admin.list("/v1/approvals").await.len(),
            requests: self.service.received().len(),
        }
    }

    /// The victim's org as its admin sees it, once nothing moves in it any more.
    async fn settled_victim(&self) -> Vec<(String, Value)> {
        let victim = &self.victim.admin;
        eventually("the last that was planted is sealed", async || {
            let sealed = victim.list("/v1/audit").await;
            let is_last = |one: &Value| one["type"] == "tool.updated";
            sealed.iter().any(is_last).then_some(())
        })
        .await;
        let mut last = everything(victim).await;
        eventually("the victim's org is at rest", async || {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let now = everything(victim).await;
            let at_rest = now == last;
            last = now;
            at_rest.then_some(())
        })
        .await;
        last
    }

    /// Asserts that nothing of the victim's org has changed.
    pub async fn assert_victim_untouched(&self) {
        let now = everything(&self.victim.admin).await;
        let paths = |state: &[(String, Value)]| -> Vec<String> {
            state.iter().map(|(path, _)| path.clone()).collect()
        };
        assert_eq!(paths(&self.victims_state), paths(&now));
        for ((path, before), (_, now)) in self.victims_state.iter().zip(&now) {
            assert_eq!(before.to_string(), now.to_string(), "{path}");
        }
        let planted = json!(now.iter().map(|(_, value)| value).collect::<Vec<_>>());
        let found = planted.to_string().matches(CANARY).count();
        assert!(found >= 8, "the canary stands in {found} places only");
    }

    /// Asserts that nothing that the attacker's org or its model was shown holds the canary, or an
    /// id that only the victim knows where the model had not written it itself.
    pub async fn assert_nothing_leaked(&self) {
        let mine = everything(&self.admin).await;
        for (path, value) in &mine {
            assert!(!value.to_string().contains(CANARY), "{path}: {value}");
        }
        let told: Vec<ChatRequest> = self.model.requests();
        let told = told.iter().filter(|one| input(one) != OF_THE_VICTIM);
        for request in told {
            assert!(!format!("{request:?}").contains(CANARY), "{request:?}");
        }
        for service in [&self.service, &self.forbidden] {
            let seen = format!("{:?}", service.received());
            assert!(!seen.contains(CANARY), "{seen}");
        }
    }
}

/// Plants the canary in everything that an org can hold. Gives the name and id of a tool.
async fn plant(world: &World, victim: &Fixture, service: &Service) -> (String, String) {
    let api = &victim.admin;
    let secret = format!("The recipe is {CANARY}.");
    let base = victim.id("knowledge_base_id");
    bring(world, api, "recipe.md", secret.as_bytes(), Some(base)).await;
    let task = json!({ "title": secret, "description": secret });
    api.create("/v1/tasks", &task).await;
    let agent = json!({ "name": "Cook", "description": secret, "instructions": secret });
    api.create("/v1/agents", &agent).await;
    let memory = json!({ "text": secret });
    let path = victim.path("/v1/agents/{agent_id}/memory");
    api.create(&path, &memory).await;
    let url = service.url("/of-the-victim");
    let id = tool(api, "get_recipe", "GET", &url, &Value::Null).await;
    let path = format!("/v1/tools/{id}");
    api.patch(&path, &json!({ "description": secret }))
        .await
        .ok();
    ("get_recipe".to_owned(), id)
}

async fn tool(api: &Api, name: &str, method: &str, url: &str, approval: &Value) -> String {
    let path_argument = url.contains("{order}");
    let mut body = json!({
        "name": name,
        "description": "Asks the shop.",
        "parameters": {
            "type": "object",
            "properties": { "order": { "type": "string" }, "note": { "type": "string" } },
            "required": if path_argument { vec!["order"] } else { Vec::new() },
        },
        "action": { "kind": "http", "method": method, "url": url, "timeout_seconds": 5 },
    });
    if !approval.is_null() {
        body["approval"] = approval.clone();
    }
    text(&api.create("/v1/tools", &body).await["id"])
}

/// The names of all built-in tools.
pub fn builtins() -> Vec<String> {
    Builtin::ALL
        .iter()
        .map(|builtin| builtin.name().to_owned())
        .collect()
}

/// All that an admin can read of their org, by its path.
async fn everything(api: &Api) -> Vec<(String, Value)> {
    let org = format!("/v1/orgs/{}", api.org());
    let mut all = Vec::new();
    for path in [
        "/v1/agents",
        "/v1/api-keys",
        "/v1/approvals",
        "/v1/audit",
        "/v1/budgets",
        "/v1/executions",
        "/v1/files",
        "/v1/knowledge-bases",
        "/v1/tasks",
        "/v1/tools",
        &format!("{org}/members"),
        &format!("{org}/invitations"),
    ] {
        let items = api.list(path).await;
        for item in &items {
            all.extend(within(api, path, item).await);
        }
        all.push((path.to_owned(), Value::Array(items)));
    }
    for path in ["/v1/audit/verify", "/v1/budgets/org/verify", &org] {
        let answer = api.request(Method::GET, path);
        let answer = crate::support::send(answer).await;
        all.push((path.to_owned(), answer.json()));
    }
    all
}

/// What hangs on one item of a list.
async fn within(api: &Api, path: &str, item: &Value) -> Vec<(String, Value)> {
    let of_item = |rest: &str| format!("{path}/{}{rest}", text(&item["id"]));
    let mut all = Vec::new();
    let lists: &[&str] = match path {
        "/v1/agents" => &["/memory", "/versions"],
        "/v1/executions" => &["/trace"],
        "/v1/knowledge-bases" => &["/documents"],
        _ => &[],
    };
    for rest in lists {
        let items = api.list(&of_item(rest)).await;
        all.push((of_item(rest), Value::Array(items)));
    }
    let is_over = ["completed", "failed", "cancelled", "expired"]
        .iter()
        .any(|state| item["state"] == *state);
    if path == "/v1/executions" && is_over {
        let events = whole(api, &text(&item["id"])).await;
        let events = events.into_iter().map(|event| event.data).collect();
        all.push((of_item("/stream"), Value::Array(events)));
    }
    all
}
