//! Lists: pages by signed, opaque cursors that only the same caller's same list accepts.

use garde::Validate;
use kernel::cursor::{Cursor, Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 25;
/// The longest cursor that is looked at.
pub const MAX_CURSOR_CHARS: usize = 1_000;

/// The query parameters of a list that has no others.
#[derive(Debug, Clone, Default, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The most items of a page, 1 to 100.
    #[garde(custom(limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = MAX_CURSOR_CHARS))]
    pub cursor: Option<String>,
}

/// Whether a page's limit is one; for garde's `custom`.
///
/// # Errors
/// Says what it must be.
pub fn limit_in_range(limit: &Option<String>, (): &()) -> garde::Result {
    match limit.as_deref().map(str::parse::<u32>) {
        None | Some(Ok(1..=100)) => Ok(()),
        Some(_) => Err(garde::Error::new("must be a whole number from 1 to 100")),
    }
}

/// A list's page parameters, wherever they were read.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl From<PageQuery> for Paging {
    fn from(query: PageQuery) -> Self {
        Self::new(
            query.limit.as_deref().and_then(|limit| limit.parse().ok()),
            query.cursor,
        )
    }
}

impl Paging {
    /// Page parameters that were read beside others.
    #[must_use]
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// What to read of `list`, which names the list and its filters.
    ///
    /// # Errors
    /// A problem if the cursor is not one that this list gave this org.
    pub fn request(&self, app: &App, caller: &Caller, list: &str) -> Result<PageRequest, Problem> {
        self.request_of(app, &scope(caller, list))
    }

    /// As [`request`](Self::request), for a list that belongs to whatever `scope` names.
    ///
    /// # Errors
    /// A problem if the cursor is not one of this scope.
    pub fn request_of(&self, app: &App, scope: &str) -> Result<PageRequest, Problem> {
        let after = self
            .cursor
            .as_deref()
            .map(|text| Cursor::open(app.signing(), scope, text))
            .transpose()
            .map_err(|_| Problem::invalid_field("cursor", "is not a cursor of this list"))?;
        Ok(PageRequest {
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            after,
        })
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// Give this as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// The page of `list` as it is answered.
    #[must_use]
    pub fn new(app: &App, caller: &Caller, list: &str, page: Page<T>) -> Self {
        Self::of(app, &scope(caller, list), page)
    }

    /// As [`new`](Self::new), for a list that belongs to whatever `scope` names.
    #[must_use]
    pub fn of(app: &App, scope: &str, page: Page<T>) -> Self {
        let next_cursor = page.next.map(|cursor| cursor.seal(app.signing(), scope));
        Self {
            items: page.items,
            next_cursor,
        }
    }
}

fn scope(caller: &Caller, list: &str) -> String {
    format!("{}/{list}", caller.tenant().org())
}
