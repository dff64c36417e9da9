//! The stored form of every entity, as it always was. Each text below was written by an earlier
//! version of the product: it must still be read, and be written again as it stands. A renamed or
//! removed field fails here before it loses data.

use domain::agent::Agent;
use domain::api_key::KeySecret;
use domain::approval::Approval;
use domain::audit::AuditEntry;
use domain::budget::{Budget, LedgerEntry};
use domain::conversation::{Conversation, ConversationTurn};
use domain::event::Event;
use domain::execution::{Effect, Execution, StreamEntry};
use domain::file::{File, FileLink, FileVersion};
use domain::knowledge::{Chunk, Document, KnowledgeBase};
use domain::org::{Invitation, Member, Org};
use domain::search::Search;
use domain::source::WebSource;
use domain::swarm::{Swarm, SwarmMessage};
use domain::task::Task;
use domain::tool::Tool;
use domain::user::User;
use serde_json::{Value, json};
use work::Job;

use crate::approvals::LinkRow;
use crate::credentials::StoredCredential;
use crate::data_keys::DataKey;
use crate::embedded_texts::EmbeddedText;
use crate::executions::OfOrg;
use crate::hosts::HostPace;
use crate::memories::MemoryRow;
use crate::memories::recalls::RecallRow;
use crate::memories::upkeep::Upkeep;
use crate::record::{Record, from_item, to_item};
use crate::sources::{CrawlRow, PageRow};
use crate::swarms::Posted;
use crate::vectors::VectorRow;

const ORG: &str = "org_00000000000000000000000001";
const USER: &str = "usr_00000000000000000000000002";
const AGENT: &str = "agt_00000000000000000000000003";
const EXECUTION: &str = "exe_00000000000000000000000004";
const FILE: &str = "fil_00000000000000000000000005";
const BASE: &str = "kb_00000000000000000000000006";
const JOB: &str = "job_00000000000000000000000007";
const EVENT: &str = "evt_00000000000000000000000008";
const TASK: &str = "tsk_00000000000000000000000009";
const TOOL: &str = "tol_0000000000000000000000000a";
const APPROVAL: &str = "apr_0000000000000000000000000e";
const CONVERSATION: &str = "cnv_0000000000000000000000000c";
const KEY: &str = "key_0000000000000000000000000b";
const AT: &str = "2026-01-01T00:00:00.005Z";

/// Reads the stored text as an item of a table and writes it again.
#[track_caller]
fn unchanged<R: Record>(stored: &Value) {
    let entity: R = serde_json::from_value(stored.clone()).unwrap();
    let item = to_item(&entity).unwrap();
    let read: R = from_item(item).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        *stored,
        "a stored {}",
        R::NOUN
    );
}

fn by_user() -> Value {
    json!({ "kind": "user", "id": USER })
}

#[test]
fn people_orgs_and_keys() {
    unchanged::<Org>(&json!({
        "id": ORG, "name": "Acme", "admins": 2, "version": 3, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<Member>(&json!({
        "org": ORG, "user": USER, "role": "manager", "email": "a@example.com", "name": "Ada",
        "joined_at": AT, "version": 1,
    }));
    unchanged::<Invitation>(&json!({
        "id": "inv_0000000000000000000000000c", "org": ORG, "email": "b@example.com",
        "role": "member", "invited_by": by_user(), "created_at": AT, "expires_at": AT,
    }));
    unchanged::<User>(&json!({
        "id": USER, "email": "a@example.com", "email_verified": true, "name": "Ada",
        "platform_role": "support",
        "preferences": { "language": "en", "time_zone": "Europe/Lisbon" },
        "version": 1, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<KeySecret>(&json!({
        "hash": "00ff", "org": ORG, "key": KEY, "scopes": ["agents:read", "files:write"],
        "agent": AGENT, "expires_at": AT, "revoked_at": AT,
    }));
}

#[test]
fn agents_tools_tasks_and_memories() {
    unchanged::<Agent>(&json!({
        "id": AGENT, "org": ORG, "name": "Guide", "description": "", "instructions": "Answer.",
        "model": "openai::gpt", "tools": ["search_knowledge", TOOL], "knowledge_bases": [BASE],
        "limits": { "max_steps": 25, "max_seconds": 3600 },
        "version": 2, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<Tool>(&json!({
        "id": TOOL, "org": ORG, "name": "order", "description": "Look an order up.",
        "parameters": { "type": "object", "properties": { "id": { "type": "string" } } },
        "idempotent": true,
        "action": {
            "kind": "http", "method": "GET", "url": "https://api.example.com/orders/{id}",
            "headers": { "accept": "application/json" }, "timeout_seconds": 20,
        },
        "version": 1, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<Task>(&json!({
        "id": TASK, "org": ORG, "title": "Look", "description": "", "status": "in_progress",
        "priority": "normal", "assignee": { "kind": "agent", "id": AGENT }, "auto_run": true,
        "due_at": AT, "execution": EXECUTION, "result": "Done.", "created_by": by_user(),
        "created_at": AT, "updated_at": AT, "version": 4,
    }));
    unchanged::<MemoryRow>(&json!({
        "id": "mem_0000000000000000000000000d", "org": ORG, "agent": AGENT, "kind": "tool_note",
        "text": "Oil.", "importance": 7, "source": { "kind": "execution", "id": EXECUTION },
        "recalls": 3, "last_recalled_at": AT,
        "replaced": [
            { "id": "mem_0000000000000000000000000e", "text": "Oi", "created_at": AT },
        ],
        "created_at": AT, "updated_at": AT, "version": 2,
        "embedding": { "model": "static-en-256@1", "vector": [127, 0, 129] },
    }));
    for source in [
        json!({ "kind": "person", "by": by_user() }),
        json!({
            "kind": "shared", "agent": AGENT, "memory": "mem_0000000000000000000000000e",
            "by": { "kind": "api_key", "id": KEY },
        }),
    ] {
        unchanged::<MemoryRow>(&json!({
            "id": "mem_0000000000000000000000000d", "org": ORG, "agent": AGENT, "kind": "fact",
            "text": "Oil.", "importance": 5, "source": source, "recalls": 0, "created_at": AT,
            "updated_at": AT, "version": 1,
        }));
    }
    unchanged::<RecallRow>(&json!({
        "org": ORG, "agent": AGENT, "execution": EXECUTION,
        "memories": ["mem_0000000000000000000000000d"], "at": AT,
    }));
    unchanged::<Upkeep>(&json!({
        "org": ORG, "agent": AGENT, "created": 30, "consolidated": 25, "job": JOB,
    }));
}

#[test]
fn executions_and_jobs() {
    unchanged::<Execution>(&json!({
        "id": EXECUTION, "org": ORG, "agent": AGENT, "agent_version": 2, "task": TASK,
        "input": "When?", "state": "failed", "steps": 1,
        "limits": { "max_steps": 25, "max_seconds": 3600 }, "answer": "Now. [1]",
        "citations": [{
            "marker": 1, "file": FILE, "knowledge_base": BASE, "document": "a.pdf", "page": 2,
            "heading": "1 Oil", "chunk": 3,
        }],
        "failure": { "code": "step_limit", "message": "No answer." },
        "usage": {
            "model_calls": 1, "tool_calls": 1, "input_tokens": 10, "cached_input_tokens": 0,
            "cache_write_tokens": 0, "output_tokens": 5, "reasoning_tokens": 0,
        },
        "job": JOB, "requested_by": { "kind": "api_key", "id": KEY }, "correlation_id": "req_1",
        "last_sequence": 12, "created_at": AT, "started_at": AT, "finished_at": AT,
        "updated_at": AT, "version": 9,
    }));
    unchanged::<OfOrg<Effect>>(&json!({
        "org": ORG, "execution": EXECUTION, "step": 1, "call": 0,
        "request": { "kind": "model", "model": "offline::extractive" },
        "outcome": {
            "kind": "model", "text": "", "stop_reason": "tool_calls",
            "tool_calls": [{ "call_id": "c1", "name": "order", "arguments": { "id": "7" } }],
            "opaque": [{ "provider": "anthropic", "data": { "signature": "x" } }],
            "input_tokens": 10, "cached_input_tokens": 1, "cache_write_tokens": 2,
            "output_tokens": 5, "reasoning_tokens": 3,
        },
        "started_at": AT, "settled_at": AT, "attempts": 2,
    }));
    unchanged::<OfOrg<Effect>>(&json!({
        "org": ORG, "execution": EXECUTION, "step": 1, "call": 1,
        "request": {
            "kind": "tool", "call_id": "c1", "name": "order", "arguments": { "id": "7" },
        },
        "outcome": { "kind": "tool", "content": "{}", "is_error": false },
        "started_at": AT, "settled_at": AT, "attempts": 1,
    }));
    unchanged::<OfOrg<StreamEntry>>(&json!({
        "org": ORG, "execution": EXECUTION, "sequence": 3, "type": "TOOL_CALL_RESULT", "at": AT,
        "data": { "content": "{}" },
    }));
    unchanged::<Job>(&json!({
        "org": ORG, "id": JOB, "kind": "execution.run", "lane": "agent-interactive",
        "payload": { "execution": EXECUTION }, "state": "leased", "attempts": 1,
        "max_attempts": 10, "yields": 0, "fence": 3, "lease_token": 7, "lease_until": AT,
        "due_at": AT, "ring_at": AT, "rings": 1, "cancel_requested": false,
        "wake_requested": false, "progress": { "completed": 1, "total": 2 },
        "error": { "code": "x", "message": "y" }, "correlation_id": "req_1", "created_at": AT,
        "updated_at": AT, "version": 5,
    }));
}

#[test]
fn conversations_and_what_their_turns_are_shown() {
    unchanged::<Conversation>(&json!({
        "id": CONVERSATION, "org": ORG, "agent": AGENT, "begun_by": by_user(), "title": "Oil",
        "on_busy": "interrupt", "active": EXECUTION, "waiting": [EXECUTION], "leaf": 3, "depth": 2,
        "first": [1, 3], "history": [EXECUTION], "turns": 4, "created_at": AT, "updated_at": AT,
        "version": 7,
    }));
    unchanged::<ConversationTurn>(&json!({
        "org": ORG, "conversation": CONVERSATION, "turn": 3, "execution": EXECUTION,
        "rolled_back": true, "revises": 1, "next": [4],
        "place": { "after": 2, "depth": 3, "told": [EXECUTION] }, "created_at": AT,
    }));
    unchanged::<ConversationTurn>(&json!({
        "org": ORG, "conversation": CONVERSATION, "turn": 3, "execution": EXECUTION,
        "rolled_back": false, "created_at": AT,
    }));
    unchanged::<OfOrg<Effect>>(&json!({
        "org": ORG, "execution": EXECUTION, "step": 0, "call": 0,
        "request": { "kind": "retrieval", "query": "When?", "knowledge_bases": [BASE] },
        "outcome": {
            "kind": "retrieval", "note": "Nothing.",
            "passages": [{
                "marker": 1, "file": FILE, "knowledge_base": BASE, "document": "a.pdf", "page": 2,
                "heading": "1 Oil", "chunk": 3, "start": 40, "end": 44, "text": "Now.",
            }],
        },
        "started_at": AT, "settled_at": AT, "attempts": 0,
    }));
}

#[test]
fn budgets_and_ledgers() {
    unchanged::<Budget>(&json!({
        "org": ORG, "account": { "kind": "org" }, "granted": 9_000_000, "spent": 1_500_000,
        "reserved": 250_000, "available": 7_250_000, "created_at": AT, "updated_at": AT,
        "version": 12,
    }));
    unchanged::<Budget>(&json!({
        "org": ORG, "account": { "kind": "execution", "id": EXECUTION }, "granted": 0,
        "spent": 5, "reserved": 0, "available": -5, "credits_unlimited": true, "steps_left": 3,
        "created_at": AT, "updated_at": AT, "version": 2,
    }));
    unchanged::<LedgerEntry>(&json!({
        "id": "led_0000000000000000000000000e", "org": ORG,
        "account": { "kind": "agent", "id": AGENT }, "kind": "settle", "amount": 40, "spent": 60,
        "call": { "execution": EXECUTION, "step": 2, "call": 0, "payee": "openai::gpt" },
        "at": AT,
    }));
    for kind in ["grant", "reserve", "release", "charge", "close"] {
        unchanged::<LedgerEntry>(&json!({
            "id": "led_0000000000000000000000000e", "org": ORG, "account": { "kind": "org" },
            "kind": kind, "amount": -1, "spent": 0, "at": AT,
        }));
    }
}

#[test]
fn approvals_and_their_links() {
    let subjects = [
        json!({ "kind": "tool_call", "tool": "order", "arguments": { "id": "7" } }),
        json!({ "kind": "question", "question": "How much?" }),
        json!({
            "kind": "unknown_outcome", "tool": "order", "arguments": { "id": "7" },
            "idempotency_key": format!("{EXECUTION}-1-2"),
        }),
    ];
    for subject in subjects {
        unchanged::<Approval>(&json!({
            "id": APPROVAL, "org": ORG, "execution": EXECUTION, "agent": AGENT, "step": 1,
            "call": 2, "subject": subject,
            "policy": {
                "role": "manager", "approvers": [USER], "expires_in_seconds": 600,
                "on_expiry": "expire", "may_edit": false,
            },
            "state": "answered",
            "answer": {
                "decision": "approve", "by": by_user(), "via": "link", "reason": "As agreed.",
                "arguments": { "id": "8" }, "text": "Done.", "at": AT,
            },
            "created_at": AT, "expires_at": AT, "updated_at": AT, "version": 2,
        }));
    }
    unchanged::<LinkRow>(&json!({
        "org": ORG, "approval": APPROVAL, "digest": "00ff", "holder": by_user(),
        "made_by": { "kind": "api_key", "id": KEY }, "created_at": AT,
        "expires_at": 1_767_225_600,
    }));
}

#[test]
fn files_and_knowledge() {
    unchanged::<File>(&json!({
        "id": FILE, "org": ORG, "name": "a.pdf", "content_type": "application/pdf",
        "url": "https://example.com/a.pdf", "size_bytes": 10, "sha256": "AA==",
        "status": "ready", "content_version": 3,
        "last_content_version": 4, "uploaded_as": 2, "format": "pdf", "title": "A",
        "pages": 2, "chunks": 3, "job": JOB, "failure": { "code": "empty", "message": "No text." },
        "deletion": { "deleted_at": AT, "purge_at": AT, "was": "ready", "purging": false },
        "knowledge_bases": [BASE], "uploaded_by": by_user(), "created_at": AT, "updated_at": AT,
        "version": 2,
    }));
    unchanged::<FileVersion>(&json!({
        "org": ORG, "file": FILE, "number": 3, "status": "uploaded",
        "content_type": "application/pdf", "size_bytes": 10, "sha256": "AA==", "uploaded_as": 2,
        "parts": { "upload_id": "u", "count": 2, "part_bytes": 8, "last_part_bytes": 2 },
        "upload_expires_at": AT, "uploaded_by": by_user(), "created_at": AT, "updated_at": AT,
        "version": 2,
    }));
    unchanged::<FileLink>(&json!({
        "org": ORG, "file": FILE, "target": { "kind": "agent", "id": AGENT },
        "linked_by": by_user(), "created_at": AT,
    }));
    unchanged::<KnowledgeBase>(&json!({
        "id": BASE, "org": ORG, "name": "Handbooks", "description": "",
        "embedding_model": "static-en-256@1", "version": 1, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<Document>(&json!({
        "org": ORG, "knowledge_base": BASE, "file": FILE, "name": "a.pdf",
        "url": "https://example.com/a.pdf", "status": "ready", "content_version": 3, "chunks": 3,
        "created_at": AT, "updated_at": AT, "version": 2,
    }));
    unchanged::<KnowledgeBase>(&json!({
        "id": BASE, "org": ORG, "name": "Handbooks", "description": "",
        "embedding_model": "static-en-256@1", "vectors": { "current": 1, "latest": 3 },
        "reembedding": {
            "model": "openai::text-embedding-3-small@256", "vector_set": 3, "job": JOB,
            "started_at": AT, "failure": { "code": "refused", "message": "No." },
        },
        "version": 1, "created_at": AT, "updated_at": AT,
    }));
    unchanged::<Document>(&json!({
        "org": ORG, "knowledge_base": BASE, "file": FILE, "name": "a.pdf", "status": "ready",
        "content_version": 3, "chunks": 3, "vector_sets": [1],
        "joining": { "vector_set": 3, "failure": { "code": "refused", "message": "No." } },
        "created_at": AT, "updated_at": AT, "version": 2,
    }));
    unchanged::<VectorRow>(&json!({
        "org": ORG, "base": BASE, "set": 3, "knowledge_base": format!("{BASE}#3"), "file": FILE,
        "content_version": 2, "ordinal": 1,
    }));
    unchanged::<EmbeddedText>(&json!({
        "org": ORG, "model": "openai::text-embedding-3-small@256", "digest": "ab12",
        "vector": "AAAAAA==", "expires_at": 1_767_225_600,
    }));
    unchanged::<Chunk>(&json!({
        "org": ORG, "knowledge_base": BASE, "file": FILE, "document": "a.pdf",
        "url": "https://example.com/a.pdf", "content_version": 3,
        "ordinal": 1, "text": "Oil.", "page": 2, "heading_path": ["1 Oil"], "start": 40, "end": 44,
    }));
}

#[test]
fn sources_and_their_pages() {
    let source = "src_0000000000000000000000000c";
    unchanged::<WebSource>(&json!({
        "id": source, "org": ORG, "knowledge_base": BASE, "kind": "sitemap",
        "url": "https://example.com/sitemap.xml", "status": "waiting", "interval_hours": 24,
        "max_pages": 500, "job": JOB, "next_crawl_at": AT, "created_by": by_user(),
        "created_at": AT, "updated_at": AT, "version": 3,
    }));
    unchanged::<CrawlRow>(&json!({
        "org": ORG, "knowledge_base": BASE, "source": source,
        "crawl": {
            "number": 2, "stage": "ended", "listed": 9, "ignored": 1, "added": 1, "changed": 1,
            "unchanged": 3, "failed": 1, "refused": 1, "missing": 2, "removed": 1,
            "failure": { "code": "sitemap_invalid", "message": "No." },
            "started_at": AT, "ended_at": AT,
        },
        "sitemaps": [{ "url": "https://example.com/sitemap.xml", "depth": 0 }],
        "sitemaps_read": 1, "cursor": "00ff", "version": 12,
    }));
    unchanged::<PageRow>(&json!({
        "org": ORG, "knowledge_base": BASE, "source": source, "digest": "00ff",
        "page": {
            "url": "https://example.com/a", "status": "failed",
            "reason": { "code": "http_status", "message": "It answered 500." }, "file": FILE,
            "absences": 1, "fetched_at": AT, "changed_at": AT, "created_at": AT,
        },
        "file": FILE, "etag": "\"x\"", "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        "sha256": "AA==", "listed_in": 2, "version": 4,
    }));
    unchanged::<HostPace>(&json!({
        "org": ORG, "host": "example.com:443", "next_at": AT, "expires_at": 1_767_225_600,
        "version": 7,
    }));
}

#[test]
fn credentials_and_their_keys() {
    unchanged::<StoredCredential>(&json!({
        "org": ORG, "tool": TOOL, "kind": "header", "header": "x-api-key",
        "origin": "https://api.example.com", "version": 3, "updated_at": AT,
        "updated_by": by_user(), "sealed": "AQAAAAE=",
    }));
    unchanged::<DataKey>(&json!({
        "org": ORG, "version": 2, "wrapped_by": "kms", "wrapped": "AQ==", "created_at": AT,
    }));
}

#[test]
fn swarms_and_their_messages() {
    let swarm = "swm_0000000000000000000000000f";
    unchanged::<Swarm>(&json!({
        "id": swarm, "org": ORG, "name": "Desk", "description": "Answers.", "coordinator": AGENT,
        "members": [{ "agent": "agt_0000000000000000000000000g", "role": "Looks." }],
        "limits": {
            "max_depth": 3, "max_steps": 100, "max_seconds": 3600, "max_micro_credits": 5_000_000,
        },
        "version": 2, "created_at": AT, "updated_at": AT,
    }));
    for (from, to) in [
        (
            json!({ "kind": "agent", "id": AGENT, "execution": EXECUTION }),
            None,
        ),
        (by_user(), Some(AGENT)),
    ] {
        let mut message = json!({
            "id": "msg_0000000000000000000000000h", "org": ORG, "swarm": swarm,
            "execution": EXECUTION, "sequence": 17, "from": from, "text": "Found.", "at": AT,
        });
        if let Some(to) = to {
            message["to"] = json!(to);
        }
        unchanged::<SwarmMessage>(&message);
    }
    unchanged::<Posted>(&json!({
        "org": ORG, "swarm": swarm, "execution": EXECUTION, "version": 3,
    }));
    unchanged::<OfOrg<Effect>>(&json!({
        "org": ORG, "execution": EXECUTION, "step": 2, "call": 0,
        "request": { "kind": "model", "model": "openai::gpt", "messages_through": 17 },
        "started_at": AT, "attempts": 1,
    }));
}

#[test]
fn searches() {
    unchanged::<Search>(&json!({
        "id": "sea_0000000000000000000000000j", "org": ORG, "by": by_user(), "mode": "hybrid",
        "text": "Gearbox  oil", "kinds": ["chunk", "task"], "filters": ["status"], "total": 12,
        "shown": 10, "took_ms": 31,
        "clicks": [{ "kind": "task", "id": TASK, "position": 2, "at": AT }],
        "tracked": true, "at": AT, "expires_at": 1_775_001_600, "version": 2,
    }));
    unchanged::<Search>(&json!({
        "id": "sea_0000000000000000000000000j", "org": ORG, "by": { "kind": "api_key", "id": KEY },
        "mode": "semantic", "text": "", "kinds": [], "filters": [], "shown": 0, "took_ms": 0,
        "clicks": [], "tracked": false, "at": AT, "expires_at": 1_775_001_600, "version": 1,
    }));
}

#[test]
fn events_and_audit() {
    let actor = json!({ "kind": "agent", "id": AGENT, "execution": EXECUTION });
    unchanged::<Event>(&json!({
        "id": EVENT, "org": ORG, "type": "agent.created", "subject": AGENT, "actor": actor,
        "occurred_at": AT, "correlation_id": "req_1", "data": { "name": "Guide", "n": null },
    }));
    unchanged::<AuditEntry>(&json!({
        "org": ORG, "sequence": 1, "event": EVENT, "type": "agent.created", "subject": AGENT,
        "actor": { "kind": "system" }, "occurred_at": AT, "correlation_id": "req_1",
        "data": { "a": [1, 2.5, true] }, "previous_hash": "00", "hash": "ff",
    }));
}
