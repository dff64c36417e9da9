//! Journeys by the part of the API that they go through.

mod agents;
mod api_keys;
pub mod audit;
mod executions;
mod files;
mod invitations;
mod knowledge_bases;
mod orgs;
mod tasks;
mod tools;
mod users;
