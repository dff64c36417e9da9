//! Approvals: what people are asked during executions, and their answers, which let these go on.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/approvals` | `executions:read` | `list.rs` |
//! | GET | `/v1/approvals/{approval_id}` | `executions:read` | `get.rs` |
//! | POST | `/v1/approvals/{approval_id}/answer` | `executions:write` | `answer.rs` |
//! | POST | `/v1/approvals/{approval_id}/links` | `executions:write` | `links.rs` |
//! | GET | `/v1/approval-links/{token}` | none | `pages.rs` |
//! | POST | `/v1/approval-links/{token}` | none | `pages.rs` |
//!
//! To answer needs more than the permission: the policy of the approval must admit the caller. The
//! pages are for people who hold a link, which is all that they need; the OpenAPI document leaves
//! them out.

use api::{Table, routes};

mod answer;
mod checks;
mod get;
mod holders;
mod html;
mod links;
mod list;
mod pages;
mod token;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(answer::answer))
        .routes(routes!(links::create))
        .pages(pages::router())
}
