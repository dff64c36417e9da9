//! A search of the caller's own: for everybody else, whatever their role, there is none.

use api::{App, Caller, Problem};
use axum::extract::{FromRequestParts, RawPathParams};
use domain::search::Search;
use http::request::Parts;
use kernel::SearchId;

use crate::access::Finder;

/// A search that the caller has made, by the id in the path.
#[derive(Debug)]
pub(crate) struct OwnSearch {
    pub(crate) search: Search,
    pub(crate) caller: Caller,
}

impl FromRequestParts<App> for OwnSearch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Finder { caller, .. } = Finder::from_request_parts(parts, app).await?;
        let not_found = || Problem::not_found("search");
        let path = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| not_found())?;
        let id: Option<SearchId> = path
            .iter()
            .find(|(name, _)| *name == "search_id")
            .and_then(|(_, id)| id.parse().ok());
        // Its key holds who asked, so that another's id leads nowhere.
        let searches = app.store().searches(caller.tenant());
        let by = caller.cause().actor;
        let search = searches.get(by, id.ok_or_else(not_found)?).await?;
        Ok(Self {
            search: search.ok_or_else(not_found)?,
            caller,
        })
    }
}
