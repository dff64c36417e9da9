//! One row for each operation: how a valid request for it is made. A new operation gets a row
//! here, or the matrix fails.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::fixture::{self, Fixture};
use crate::support::operations::Operation;
use crate::support::{Api, World, text, within};

type Body = fn(&Fixture) -> Value;
type Prepare = for<'a> fn(&'a World, &'a Fixture) -> BoxFuture<'a, ()>;
type Own = for<'a> fn(&'a Api, &'a Fixture) -> BoxFuture<'a, Option<(&'static str, String)>>;

/// How one operation is called.
#[derive(Clone, Copy)]
pub struct Row {
    pub operation: &'static str,
    /// A valid body, with every nested object in it.
    pub body: Option<Body>,
    /// What has to be done before it can succeed.
    prepare: Option<Prepare>,
    /// What is the caller's own and nobody else's: the parameter of the path, and its id.
    own: Option<Own>,
}

impl Row {
    const fn of(operation: &'static str) -> Self {
        Self {
            operation,
            body: None,
            prepare: None,
            own: None,
        }
    }

    const fn body(self, body: Body) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    const fn after(self, prepare: Prepare) -> Self {
        Self {
            prepare: Some(prepare),
            ..self
        }
    }

    const fn of_callers_own(self, own: Own) -> Self {
        Self {
            own: Some(own),
            ..self
        }
    }

    /// The path for this caller: to their own thing, where others have none of it.
    pub async fn path(&self, operation: &Operation, caller: &Api, fixture: &Fixture) -> String {
        let own = match self.own {
            Some(own) => own(caller, fixture).await,
            None => None,
        };
        match own {
            Some((parameter, id)) => fixture.path_with(&operation.path, parameter, &id),
            None => fixture.path(&operation.path),
        }
    }

    /// Makes the operation possible.
    pub async fn prepare(&self, world: &World, fixture: &Fixture) {
        if let Some(prepare) = self.prepare {
            prepare(world, fixture).await;
        }
    }

    /// The request of `caller` at `path`.
    pub fn request(
        &self,
        operation: &Operation,
        caller: &Api,
        path: &str,
        fixture: &Fixture,
    ) -> RequestBuilder {
        let request = caller.request(operation.method.clone(), path);
        match self.body {
            Some(body) => request.json(&body(fixture)),
            None if operation.method == Method::POST => request.json(&json!({})),
            None => request,
        }
    }
}

/// Every row.
pub const ROWS: &[Row] = &[
    Row::of("get_health"),
    Row::of("get_readiness"),
    Row::of("get_openapi"),
    Row::of("get_me"),
    Row::of("update_me").body(|_| {
        json!({ "name": "Ada", "preferences": { "language": "pt-BR", "time_zone": "Europe/Lisbon" } })
    }),
    Row::of("list_orgs"),
    Row::of("create_org").body(|_| json!({ "name": "Bakery" })),
    Row::of("get_org"),
    Row::of("update_org").body(|_| json!({ "name": "Bakery" })),
    Row::of("delete_org"),
    Row::of("list_members"),
    Row::of("update_member").body(|_| json!({ "role": "manager" })),
    Row::of("remove_member"),
    Row::of("list_invitations"),
    Row::of("create_invitation").body(|_| json!({ "email": "a@example.com", "role": "member" })),
    Row::of("revoke_invitation"),
    Row::of("accept_invitation").body(|fixture| json!({ "token": fixture.token })),
    Row::of("list_api_keys"),
    Row::of("create_api_key").body(|_| {
        json!({ "name": "Import", "scopes": ["agents:read"], "expires_at": "2999-01-01T00:00:00Z" })
    }),
    Row::of("get_api_key"),
    Row::of("revoke_api_key"),
    Row::of("rotate_api_key").body(|_| json!({ "overlap_seconds": 60 })),
    Row::of("list_approvals"),
    Row::of("get_approval"),
    Row::of("answer_approval").body(|_| json!({ "decision": "reply", "text": "At most 100." })),
    Row::of("create_approval_link").body(|_| json!({ "expires_in_seconds": 3_600 })),
    Row::of("list_agents"),
    Row::of("create_agent").body(|fixture| {
        let mut agent = fixture::agent("Guide");
        agent["description"] = json!("Knows the oil.");
        agent["model"] = json!("openai::gpt-4.1");
        agent["knowledge_bases"] = json!([fixture.id("knowledge_base_id")]);
        agent
    }),
    Row::of("get_agent"),
    Row::of("update_agent").body(|fixture| {
        json!({
            "name": "Guide",
            "tools": [fixture.id("tool_id")],
            "limits": { "max_steps": 3 },
        })
    }),
    Row::of("delete_agent"),
    Row::of("list_agent_versions"),
    Row::of("get_agent_version"),
    Row::of("rollback_agent").body(|_| json!({ "version": 1 })),
    Row::of("get_agent_stats"),
    Row::of("list_agent_memories"),
    Row::of("create_agent_memory").body(|_| {
        json!({ "text": "Oil is changed every 500 hours.", "kind": "fact", "importance": 7 })
    }),
    Row::of("recall_agent_memories"),
    Row::of("get_agent_memory"),
    Row::of("update_agent_memory").body(|_| json!({ "text": "Every 600 hours." })),
    Row::of("delete_agent_memory"),
    Row::of("share_agent_memory")
        .body(|fixture| json!({ "agent_id": fixture.id("other_agent_id") })),
    Row::of("list_conversations"),
    Row::of("create_conversation").body(|fixture| {
        json!({ "agent_id": fixture.id("agent_id"), "title": "Oil", "on_busy": "reject" })
    }),
    Row::of("get_conversation"),
    Row::of("update_conversation").body(|_| json!({ "title": "Gears", "on_busy": "interrupt" })),
    Row::of("delete_conversation"),
    Row::of("list_conversation_turns"),
    Row::of("stop_conversation"),
    Row::of("chat").body(|fixture| {
        json!({
            "message": "How often?",
            "conversation_id": fixture.id("conversation_id"),
            "edits": 1,
            "on_busy": "enqueue",
            "knowledge": { "knowledge_bases": [], "max_tokens": 500 },
        })
    }),
    Row::of("get_chat_history"),
    Row::of("list_swarms"),
    Row::of("create_swarm").body(|fixture| {
        json!({
            "name": "Desk",
            "description": "Answers technicians.",
            "coordinator": fixture.id("agent_id"),
            "members": [{ "agent": fixture.id("other_agent_id"), "role": "Looks things up." }],
            "limits": {
                "max_depth": 2, "max_steps": 30, "max_seconds": 600, "max_micro_credits": 5_000_000,
            },
        })
    }),
    Row::of("get_swarm"),
    Row::of("update_swarm").body(|fixture| {
        json!({
            "name": "Front desk",
            "members": [{ "agent": fixture.id("agent_id"), "role": "Knows the oil." }],
            "limits": { "max_steps": 20 },
        })
    }),
    Row::of("delete_swarm"),
    Row::of("list_swarm_members"),
    Row::of("set_swarm_member").body(|_| json!({ "role": "Knows the oil best." })),
    Row::of("remove_swarm_member"),
    Row::of("list_swarm_messages"),
    Row::of("post_swarm_message").body(|fixture| {
        json!({
            "execution_id": fixture.id(fixture::SWARMING),
            "to": fixture.id("agent_id"),
            "text": "Make haste.",
        })
    }),
    Row::of("create_swarm_execution").body(|_| json!({ "input": "How often?" })),
    Row::of("list_budgets"),
    Row::of("get_org_budget"),
    Row::of("set_org_budget").body(|_| json!({ "granted_micro_credits": 9_000_000 })),
    Row::of("remove_org_budget"),
    Row::of("list_org_ledger"),
    Row::of("verify_org_ledger"),
    Row::of("get_agent_budget"),
    Row::of("set_agent_budget").body(|_| json!({ "granted_micro_credits": 9_000_000 })),
    Row::of("remove_agent_budget"),
    Row::of("list_agent_ledger"),
    Row::of("get_execution_budget"),
    Row::of("set_execution_budget").body(|_| json!({ "granted_micro_credits": 9_000_000 })),
    Row::of("list_execution_ledger"),
    Row::of("list_tools"),
    Row::of("create_tool").body(|_| fixture::tool("get_invoice")),
    Row::of("get_tool"),
    Row::of("update_tool").body(|_| json!({ "action": fixture::tool("any")["action"] })),
    Row::of("delete_tool"),
    Row::of("get_tool_credential"),
    Row::of("set_tool_credential").body(|_| json!({ "kind": "bearer", "token": "t0ken" })),
    Row::of("remove_tool_credential"),
    Row::of("list_tasks"),
    Row::of("create_task").body(|fixture| {
        json!({
            "title": "Look",
            "description": "Closely.",
            "priority": "high",
            "due_at": "2999-01-01T00:00:00Z",
            "assignee": { "kind": "agent", "id": fixture.id("agent_id") },
            "auto_run": false,
        })
    }),
    Row::of("get_task"),
    Row::of("update_task").body(|_| json!({ "title": "Look again" })),
    Row::of("delete_task"),
    Row::of("assign_task").body(|fixture| json!({ "agent_id": fixture.id("agent_id") })),
    Row::of("execute_task").after(|_, fixture| assign(fixture).boxed()),
    Row::of("set_task_status")
        .body(|_| json!({ "status": "cancelled" }))
        .after(|_, fixture| assign(fixture).boxed()),
    Row::of("list_executions"),
    Row::of("create_execution")
        .body(|fixture| json!({ "agent_id": fixture.id("agent_id"), "input": "How often?" })),
    Row::of("get_execution"),
    Row::of("get_execution_trace"),
    Row::of("stream_execution"),
    Row::of("create_agent_execution").body(|_| json!({ "input": "How often?" })),
    Row::of("get_execution_result"),
    Row::of("pause_execution"),
    Row::of("resume_execution"),
    Row::of("input_to_execution").body(|_| json!({ "text": "Yes." })),
    Row::of("cancel_execution"),
    Row::of("upload_file").body(|_| crate::support::world::announced("a.md", b"# A", None)),
    Row::of("list_files"),
    Row::of("get_file"),
    Row::of("delete_file"),
    Row::of("confirm_file"),
    Row::of("download_file").after(|_, fixture| fixture.confirm_file().boxed()),
    Row::of("get_file_outline").after(|_, fixture| fixture.read_file().boxed()),
    Row::of("get_file_text").after(|_, fixture| fixture.read_file().boxed()),
    Row::of("preview_file").after(|_, fixture| fixture.read_file().boxed()),
    Row::of("restore_file").after(|_, fixture| delete_file(fixture).boxed()),
    Row::of("list_file_versions"),
    Row::of("upload_file_version")
        .body(|_| fixture::new_version(b"# B"))
        .after(|_, fixture| fixture.confirm_file().boxed()),
    Row::of("get_file_version"),
    Row::of("confirm_file_version"),
    Row::of("abort_file_version").after(|_, fixture| fixture.announce_version().boxed()),
    Row::of("upload_file_parts")
        .body(|_| {
            let sha256 = local::client::sha256(b"x");
            json!({ "parts": [{ "number": 1, "sha256": sha256 }] })
        })
        .after(|_, fixture| fixture.announce_parts().boxed()),
    Row::of("download_file_version").after(|_, fixture| fixture.confirm_file().boxed()),
    Row::of("rollback_file")
        .body(|_| json!({ "version": 1 }))
        .after(|_, fixture| fixture.confirm_file().boxed()),
    Row::of("list_file_links"),
    Row::of("link_file").body(|fixture| json!({ "agent_id": fixture.id("agent_id") })),
    Row::of("unlink_file").after(|_, fixture| fixture.link_file("agent_id").boxed()),
    Row::of("list_knowledge_bases"),
    Row::of("create_knowledge_base")
        .body(|_| json!({ "name": "Handbooks", "description": "For technicians." })),
    Row::of("get_knowledge_base"),
    Row::of("update_knowledge_base").body(|_| json!({ "name": "Manuals" })),
    Row::of("delete_knowledge_base").after(|_, fixture| empty(fixture).boxed()),
    Row::of("list_documents"),
    Row::of("add_document")
        .body(|fixture| json!({ "file_id": fixture.id("file_id") }))
        .after(|_, fixture| take_out(fixture).boxed()),
    Row::of("remove_document"),
    Row::of("search").body(|fixture| {
        json!({
            "query": "oil \"gearbox oil\" -rust",
            "mode": "hybrid",
            "kinds": ["document", "chunk", "agent", "task", "execution", "message"],
            "filters": {
                "knowledge_base": [fixture.id("knowledge_base_id")],
                "created_from": "2020-01-01T00:00:00Z",
            },
            "facets": ["kind", "type"],
            "highlight": true,
            "sort": "relevance",
            "matching": "any",
            "typos": true,
            "limit": 5,
        })
    }),
    Row::of("click_search_hit")
        .body(|_| json!({ "kind": "task", "id": "tsk_1", "position": 1 }))
        .of_callers_own(|caller, fixture| own_search(caller, fixture).boxed()),
    Row::of("suggest_searches"),
    Row::of("get_search_analytics"),
    Row::of("list_sources"),
    Row::of("create_source").body(|_| {
        json!({
            "url": "https://new.invalid/sitemap.xml",
            "kind": "sitemap",
            "interval_hours": 24,
            "max_pages": 10,
        })
    }),
    Row::of("get_source"),
    Row::of("update_source")
        .body(|_| json!({ "paused": true, "interval_hours": 48, "max_pages": 20 })),
    Row::of("delete_source"),
    Row::of("list_source_pages"),
    Row::of("refresh_source"),
    Row::of("search_knowledge_base").body(|_| json!({ "query": "oil", "limit": 3 })),
    Row::of("list_audit_entries"),
    Row::of("search_audit_entries").body(|_| {
        json!({
            "type": "agent.created",
            "subject": "agt",
            "actor": "system",
            "from": "2000-01-01T00:00:00Z",
            "to": "2999-01-01T00:00:00Z",
            "limit": 5,
        })
    }),
    Row::of("verify_audit_chain"),
];

/// The row of an operation.
pub fn row(operation: &Operation) -> &'static Row {
    ROWS.iter()
        .find(|row| row.operation == operation.id)
        .unwrap_or_else(|| panic!("`{}` has no row in the matrix", operation.id))
}

pub async fn delete_file(fixture: &Fixture) {
    fixture.confirm_file().await;
    let path = fixture.path("/v1/files/{file_id}");
    fixture.admin.delete(&path).await.gone();
}

async fn assign(fixture: &Fixture) {
    let path = fixture.path("/v1/tasks/{task_id}/assign");
    let body = json!({ "agent_id": fixture.id("agent_id") });
    fixture.admin.post(&path, &body).await.ok();
}

/// A search of the caller's with hits, if they may search: by meaning as well, or else by nothing, which
/// finds all that they may see.
async fn own_search(caller: &Api, fixture: &Fixture) -> Option<(&'static str, String)> {
    let path = fixture.path("/v1/orgs/{org_id}/search");
    let mut id = None;
    for body in [json!({ "mode": "text" }), json!({ "query": "oil" })] {
        let answer = caller.post(&path, &body).await;
        if !answer.status.is_success() {
            return None;
        }
        let answer = answer.json();
        id = Some(("search_id", text(&answer["search_id"])));
        if answer["total"] != 0 {
            break;
        }
    }
    id
}

/// Takes all that it holds out of the knowledge base.
async fn empty(fixture: &Fixture) {
    take_out(fixture).await;
    let path = fixture.path("/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}");
    fixture.admin.delete(&path).await.gone();
    within("the source is gone", async {
        while fixture.admin.get(&path).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
}

async fn take_out(fixture: &Fixture) {
    let path = fixture.path("/v1/knowledge-bases/{knowledge_base_id}/documents/{file_id}");
    fixture.admin.delete(&path).await.gone();
}
