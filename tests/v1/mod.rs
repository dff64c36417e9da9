//! Journeys by the part of the API that they go through.

mod agents;
mod api_keys;
mod approvals;
pub mod audit;
mod budgets;
mod chat;
mod conversations;
mod executions;
mod fairness;
mod files;
mod hostile_model;
mod invitations;
mod knowledge_bases;
mod mcp_tools;
mod memories;
mod orgs;
mod results;
mod search;
mod sources;
mod sub_agents;
mod swarms;
mod tasks;
mod text_index;
mod tool_credentials;
mod tools;
mod users;
