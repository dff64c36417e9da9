//! Documentation: the OpenAPI document and pages to read and try it.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/openapi.json` | none | `openapi.rs` |
//! | GET | `/docs` | none | `pages.rs` |
//! | GET | `/docs/{path}` | none | `pages.rs` |
//!
//! The pages are Swagger UI, which is part of the binary. They are for people, so the OpenAPI
//! document leaves them out.

use api::{Table, routes};

mod openapi;
mod pages;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(openapi::openapi))
        .pages(pages::router())
}
