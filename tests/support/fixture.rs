//! An org that has one of everything.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::approval::{ApprovalPolicy, ApprovalSubject};
use domain::event::Actor;
use domain::execution::{Effect, EffectOutcome, EffectRequest, StoredResult};
use domain::source::{WebSource, WebSourceKind, WebSourceStatus};
use futures::future::join_all;
use kernel::SourceId;
use kernel::digest::sha256_hex;
use serde_json::{Value, json};
use store::Commit;
use store::executions::OfOrg;
use store::sources::PageRow;

use super::asked::{self, Asked};
use super::client::{Api, text};
use super::world::{World, ended, eventually, tenant, within};

const DOCUMENT: &[u8] = b"# Oil\n\nThe gearbox oil is changed every 500 hours.\n";

/// An org, its people, and the id of one thing of each kind, by the parameter that names it.
pub struct Fixture {
    pub admin: Api,
    pub manager: Api,
    pub member: Api,
    /// Was invited by the invitation of this org, and has not accepted.
    pub invited: Api,
    pub ids: BTreeMap<&'static str, String>,
    /// What accepts the invitation.
    pub token: String,
    /// What answers the approval of this org: the last part of the link's address.
    pub link: String,
}

impl Fixture {
    /// Builds the org of `name`, through the API.
    pub async fn build(world: &World, name: &str) -> Self {
        let admin = world.founder(&format!("{name}-admin")).await;
        let (manager, member) = (format!("{name}-manager"), format!("{name}-member"));
        let manager = world.join(&admin, &manager, "manager").await;
        let member = world.join(&admin, &member, "member").await;
        let invited = format!("{name}-invited");
        let mut fixture = Self {
            invited: world.person(&invited),
            ids: BTreeMap::from([
                ("org_id", admin.org().to_owned()),
                ("version", "1".to_owned()),
                (SECOND_VERSION, "2".to_owned()),
            ]),
            token: String::new(),
            link: String::new(),
            admin,
            manager,
            member,
        };
        fixture.fill(world, &invited).await;
        fixture
    }

    async fn fill(&mut self, world: &World, invited: &str) {
        let api = self.admin.clone();
        let leaver = world
            .join(&api, &format!("{invited}-leaver"), "member")
            .await;
        self.note("user_id", &leaver.get("/v1/users/me").await.ok());
        let path = format!("/v1/orgs/{}/invitations", api.org());
        let body = json!({ "email": format!("{invited}@example.com"), "role": "member" });
        let invitation = api.create(&path, &body).await;
        self.token = text(&invitation["token"]);
        self.note("invitation_id", &invitation);
        let key = json!({ "name": "Import", "scopes": ["agents:read"] });
        self.note("key_id", &api.create("/v1/api-keys", &key).await);
        self.note(
            "tool_id",
            &api.create("/v1/tools", &tool("find_parcel")).await,
        );
        let credential = json!({ "kind": "bearer", "token": "t0ken" });
        let path = self.path("/v1/tools/{tool_id}/credential");
        api.put(&path, &credential).await.ok();
        let base = api
            .create("/v1/knowledge-bases", &json!({ "name": "Handbooks" }))
            .await;
        self.note("knowledge_base_id", &base);
        let base = text(&base["id"]);
        self.note(
            "file_id",
            &world.upload(&api, "oil.md", DOCUMENT, Some(&base)).await,
        );
        self.source(world, "source_id").await;
        self.note(
            "task_id",
            &api.create("/v1/tasks", &json!({ "title": "Look" })).await,
        );
        let agent = api.create("/v1/agents", &agent("Guide")).await;
        self.note("agent_id", &agent);
        let run = json!({ "agent_id": agent["id"], "input": "How often?" });
        let execution = api.create("/v1/executions", &run).await;
        self.note("execution_id", &execution);
        ended(&api, &text(&execution["id"])).await;
        let memories = format!("/v1/agents/{}/memory", self.id("agent_id"));
        let memory = api
            .list(&memories)
            .await
            .pop()
            .expect("the agent remembers");
        self.note("memory_id", &memory);
        let other = api
            .create("/v1/agents", &crate::support::fixture::agent("Other"))
            .await;
        self.note("other_agent_id", &other);
        self.converse().await;
        let asked = self.ask(world).await;
        self.ids.insert("approval_id", asked.only().id.to_string());
        let path = self.path("/v1/approvals/{approval_id}/links");
        let asking = self.ask_question(world).await;
        self.ids.insert(ASKING, asking.execution.id.to_string());
        self.swarm(world).await;
        self.keep_result(world).await;
        let link = text(&api.create(&path, &json!({})).await["path"]);
        self.link = link.rsplit('/').next().unwrap_or_default().to_owned();
        self.set_budgets(5_000_000).await;
        let search = self.path("/v1/orgs/{org_id}/search");
        // By meaning as well, so that the number of its hits is not known.
        let search = api.post(&search, &json!({ "query": "oil" })).await.ok();
        self.ids.insert("search_id", text(&search["search_id"]));
    }

    /// Gives the knowledge base a source with a page, that waits to be crawled: nothing is asked of the
    /// web.
    async fn source(&mut self, world: &World, name: &'static str) {
        let (store, now) = (world.store(), world.store().now());
        let id = SourceId::generate(now);
        let source = WebSource {
            id,
            org: tenant(&self.admin).org(),
            knowledge_base: self.id("knowledge_base_id").parse().expect("an id"),
            kind: WebSourceKind::Sitemap,
            url: format!("https://{id}.invalid/sitemap.xml"),
            status: WebSourceStatus::Waiting,
            interval_hours: None,
            max_pages: 10,
            job: None,
            next_crawl_at: None,
            created_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let page = PageRow::found(&source, format!("https://{id}.invalid/a"), 1, now);
        let commit = Commit::new(tenant(&self.admin)).put(&source).put(&page);
        store.commit(commit).await.expect("is written");
        self.ids.insert(name, id.to_string());
    }

    /// Gives the knowledge base a second source, and the first a second page.
    async fn double_source(&self, world: &World) {
        let (store, tenant) = (world.store(), tenant(&self.admin));
        let id = |name: &str| self.id(name).to_owned();
        let base = id("knowledge_base_id").parse().expect("an id");
        let first = id("source_id").parse().expect("an id");
        let first = store.sources(tenant).get(base, first).await;
        let first = first.expect("an answer").expect("is there");
        let now = store.now();
        let second = WebSource {
            id: SourceId::generate(now),
            ..first.clone()
        };
        let page = PageRow::found(&first, format!("{}/b", first.url), 1, now);
        let commit = Commit::new(tenant).put(&second).put(&page);
        store.commit(commit).await.expect("is written");
    }

    /// Makes a swarm of the two agents, with a run that waits for people and was told something.
    async fn swarm(&mut self, world: &World) {
        let swarm = json!({
            "name": "Desk",
            "coordinator": self.id("other_agent_id"),
            "members": [{ "agent": self.id("agent_id"), "role": "Knows the oil." }],
        });
        self.note("swarm_id", &self.admin.create("/v1/swarms", &swarm).await);
        let mut waiting = self.ask_question(world).await.execution;
        waiting.swarm = Some(self.id("swarm_id").parse().expect("a swarm's id"));
        let commit = Commit::new(tenant(&self.admin)).put(&waiting);
        world.store().commit(commit).await.expect("is written");
        self.ids.insert(SWARMING, waiting.id.to_string());
        self.tell_swarm().await;
    }

    /// Tells the agents of the swarm's run something.
    async fn tell_swarm(&self) {
        let path = self.path("/v1/swarms/{swarm_id}/messages");
        let body = json!({ "execution_id": self.id(SWARMING), "text": "Make haste." });
        self.admin.create(&path, &body).await;
    }

    /// Has a conversation with the agent, of one turn.
    async fn converse(&mut self) {
        // Another member's would be none of theirs.
        let api = self.member.clone();
        let body = json!({ "agent_id": self.id("agent_id"), "title": "Oil" });
        let conversation = api.create("/v1/conversations", &body).await;
        self.note("conversation_id", &conversation);
        self.take_turn().await;
    }

    /// Has a turn in the conversation, to its end.
    async fn take_turn(&self) {
        self.take_turn_in(self.id("conversation_id")).await;
    }

    async fn take_turn_in(&self, conversation: &str) {
        let run = json!({
            "agent_id": self.id("agent_id"), "input": "How often?", "conversation_id": conversation,
        });
        let turn = self.admin.create("/v1/executions", &run).await;
        ended(&self.admin, &text(&turn["id"])).await;
    }

    /// Gives the org, the agent and its execution a budget.
    async fn set_budgets(&self, granted: i64) {
        for template in [
            "/v1/budgets/org",
            "/v1/budgets/agents/{agent_id}",
            "/v1/budgets/executions/{execution_id}",
        ] {
            let body = json!({ "granted_micro_credits": granted });
            self.admin.put(&self.path(template), &body).await.ok();
        }
    }

    /// Has an execution of the agent ask a question.
    pub async fn ask(&self, world: &World) -> Asked {
        let agent = self.id("agent_id").parse().expect("an agent's id");
        let policy = ApprovalPolicy::default();
        let subjects = vec![asked::question()];
        asked::ask(world.store(), tenant(&self.admin), agent, &policy, subjects).await
    }

    /// Has an execution of the agent wait for the answer to a question.
    async fn ask_question(&self, world: &World) -> Asked {
        let agent = self.id("agent_id").parse().expect("an agent's id");
        let policy = ApprovalPolicy::default();
        let subjects = vec![ApprovalSubject::Question {
            question: "May I?".to_owned(),
        }];
        asked::ask(world.store(), tenant(&self.admin), agent, &policy, subjects).await
    }

    /// Gives the execution a tool call whose result was too large for its journal.
    async fn keep_result(&mut self, world: &World) {
        let (store, tenant) = (world.store(), tenant(&self.admin));
        let sha256 = sha256_hex(LARGE_RESULT);
        let objects = store.objects(tenant);
        objects
            .keep_result(&sha256, LARGE_RESULT.to_vec())
            .await
            .expect("is kept");
        let execution = self.id("execution_id").parse().expect("an execution's id");
        let now = store.now();
        let effect = Effect {
            execution,
            step: 90,
            call: 1,
            request: EffectRequest::Tool {
                call_id: "large".to_owned(),
                name: "get_parcel".to_owned(),
                arguments: json!({}),
                edited_arguments: None,
            },
            outcome: Some(EffectOutcome::Tool {
                content: "cut".to_owned(),
                is_error: false,
                whole: Some(StoredResult {
                    bytes: LARGE_RESULT.len() as u64,
                    sha256: sha256.clone(),
                }),
            }),
            started_at: now,
            settled_at: Some(now),
            attempts: 1,
            unknown: false,
            approval: None,
            child: None,
        };
        let org = tenant.org();
        let commit = Commit::new(tenant).put(&OfOrg { org, row: effect });
        store.commit(commit).await.expect("is written");
        self.ids.insert("sha256", sha256);
    }

    /// Adds a second of everything that is listed, so that every list has two pages of one item.
    pub async fn double(&self, world: &World) {
        let api = &self.admin;
        let base = self.id("knowledge_base_id");
        let path = format!("/v1/orgs/{}/invitations", api.org());
        let run = json!({ "agent_id": self.id("agent_id"), "input": "Again?" });
        let bodies = [
            (
                path.as_str(),
                json!({ "email": "second@example.com", "role": "member" }),
            ),
            (
                "/v1/api-keys",
                json!({ "name": "Second", "scopes": ["agents:read"] }),
            ),
            ("/v1/tools", tool("get_parcel")),
            ("/v1/knowledge-bases", json!({ "name": "Second" })),
            ("/v1/tasks", json!({ "title": "Second" })),
            ("/v1/agents", agent("Second")),
            ("/v1/executions", run),
            ("/v1/orgs", json!({ "name": "Second" })),
            (
                "/v1/conversations",
                json!({ "agent_id": self.id("agent_id"), "title": "Second" }),
            ),
        ];
        let created = join_all(bodies.iter().map(|(path, body)| api.create(path, body))).await;
        let execution = &created[6];
        ended(api, &text(&execution["id"])).await;
        self.take_turn().await;
        for _ in 0..2 {
            self.take_turn_in(&text(&created[8]["id"])).await;
        }
        world.upload(api, "second.md", DOCUMENT, Some(base)).await;
        self.double_source(world).await;
        self.set_budgets(6_000_000).await;
        self.read_file().await;
        self.announce_version().await;
        self.link_file("agent_id").await;
        self.link_file("other_agent_id").await;
        let swarm = json!({ "name": "Second", "coordinator": self.id("agent_id") });
        api.create("/v1/swarms", &swarm).await;
        self.tell_swarm().await;
        self.ask(world).await;
        let path = format!("/v1/agents/{}", self.id("agent_id"));
        api.patch(&path, &json!({ "description": "Knows the oil." }))
            .await
            .ok();
        eventually("the log is sealed", async || {
            (api.list("/v1/audit").await.len() > 2).then_some(())
        })
        .await;
    }

    /// Confirms the file, whether it was confirmed before or not.
    pub async fn confirm_file(&self) {
        let confirm = self.path("/v1/files/{file_id}/confirm");
        self.admin.post(&confirm, &json!({})).await.ok();
    }

    /// Has the file read, and its document indexed.
    pub async fn read_file(&self) {
        self.confirm_file().await;
        within("the file is read", async {
            while !self.is_read().await {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        })
        .await;
    }

    async fn is_read(&self) -> bool {
        let documents = self.path("/v1/knowledge-bases/{knowledge_base_id}/documents");
        let file = self.id("file_id");
        let documents = self.admin.list(&documents).await;
        let is_indexed = documents
            .iter()
            .any(|one| one["file"] == file && one["status"] == "ready");
        // A newer content may be on its way while the one before is found.
        let path = self.path("/v1/files/{file_id}");
        is_indexed && self.admin.get(&path).await.ok()["status"] == "ready"
    }

    /// Confirms the file, and announces a second content.
    pub async fn announce_version(&self) {
        self.confirm_file().await;
        let path = self.path("/v1/files/{file_id}/versions");
        self.admin.create(&path, &new_version(b"# B")).await;
    }

    /// Confirms the file, and announces a second content that is too large for one request.
    pub async fn announce_parts(&self) {
        self.confirm_file().await;
        let path = self.path("/v1/files/{file_id}/versions");
        let mut body = new_version(b"# B");
        body["size_bytes"] = json!(domain::file::MAX_REQUEST_BYTES + 1);
        self.admin.create(&path, &body).await;
    }

    /// Links the file to an agent.
    pub async fn link_file(&self, agent: &str) {
        let path = self.path("/v1/files/{file_id}/links");
        let body = json!({ "agent_id": self.id(agent) });
        self.admin.create(&path, &body).await;
    }

    /// The id that a path parameter stands for.
    pub fn id(&self, parameter: &str) -> &str {
        self.ids
            .get(parameter)
            .unwrap_or_else(|| panic!("nothing is known as {parameter}"))
    }

    /// The ids that stand in a request to this path.
    pub fn ids_for(&self, template: &str) -> impl Iterator<Item = &str> {
        let asks = meant(template, "execution_id");
        self.ids
            .iter()
            .filter(move |(name, _)| match **name {
                "execution_id" | ASKING | SWARMING => **name == asks,
                _ => true,
            })
            .map(|(_, id)| id.as_str())
    }

    /// A path with this org's ids in it.
    pub fn path(&self, template: &str) -> String {
        fill(template, |parameter| {
            self.id(meant(template, parameter)).to_owned()
        })
    }

    /// The same, with another id for one parameter.
    pub fn path_with(&self, template: &str, other: &str, id: &str) -> String {
        fill(template, |parameter| match parameter {
            parameter if parameter == other => id.to_owned(),
            parameter => self.id(meant(template, parameter)).to_owned(),
        })
    }

    /// The same path to things that do not exist anywhere. The org stays.
    pub fn path_to_nothing(&self, template: &str) -> String {
        fill(template, |parameter| match parameter {
            "org_id" => self.id(parameter).to_owned(),
            "version" => self.id(meant(template, parameter)).to_owned(),
            "sha256" => "0".repeat(64),
            _ => nobodys(self.id(parameter)),
        })
    }

    fn note(&mut self, parameter: &'static str, created: &Value) {
        self.ids.insert(parameter, text(&created["id"]));
    }
}

/// The content of the file that is being uploaded, among the ids.
const SECOND_VERSION: &str = "second_version";
/// The execution that waits for an answer, among the ids.
const ASKING: &str = "asking_execution_id";
/// The execution of the swarm, among the ids.
pub const SWARMING: &str = "swarm_execution_id";
const LARGE_RESULT: &[u8] = b"the whole of it";

/// What a path parameter stands for: an answer is for an execution that asks, a message for one of
/// a swarm.
fn meant<'a>(template: &str, parameter: &'a str) -> &'a str {
    match parameter {
        "version" if template.ends_with("/abort") || template.ends_with("/parts") => SECOND_VERSION,
        "execution_id" if template.ends_with("/input") => ASKING,
        "execution_id" if template.starts_with("/v1/swarms/") => SWARMING,
        _ => parameter,
    }
}

/// A path template with its parameters filled in.
pub fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (parameter, after) = after.split_once('}').expect("a parameter ends");
        path.push_str(before);
        path.push_str(&value(parameter));
        rest = after;
    }
    path + rest
}

/// An id of the same kind that names nothing.
pub fn nobodys(id: &str) -> String {
    let (prefix, digits) = id.split_once('_').expect("an id has a prefix");
    let digits: String = digits
        .chars()
        .enumerate()
        .map(|(place, digit)| match digit {
            _ if place < 12 => digit,
            '0' => '1',
            _ => '0',
        })
        .collect();
    format!("{prefix}_{digits}")
}

/// The announcement of a further content of a file.
pub fn new_version(content: &[u8]) -> Value {
    json!({
        "content_type": "text/markdown",
        "size_bytes": content.len(),
        "sha256": local::client::sha256(content),
    })
}

/// A tool that asks a service elsewhere.
pub fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": "Look up an order by its number.",
        "parameters": {
            "type": "object",
            "properties": { "order_id": { "type": "string" } },
            "required": ["order_id"],
        },
        "action": {
            "kind": "http",
            "method": "GET",
            "url": "https://orders.example.com/{order_id}",
            "headers": { "accept": "application/json" },
        },
    })
}

/// An agent that may take notes.
pub fn agent(name: &str) -> Value {
    json!({
        "name": name,
        "instructions": "Answer questions of technicians.",
        "tools": ["remember"],
        "limits": { "max_steps": 5, "max_seconds": 60 },
    })
}
