//! What is noted of a search once it is answered: a row of its own, and what is counted of it.

use std::time::Duration;

use api::{App, Caller};
use domain::search::Asked;
use kernel::SearchId;
use text_index::ItemKind;

use crate::request::SearchBody;

/// An answer is held up for no longer than this by what is noted of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A search that was answered.
pub(crate) struct Searched<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) body: &'a SearchBody,
    /// What was looked for.
    pub(crate) kinds: &'a [ItemKind],
    /// How many hits there are in all, where that is known.
    pub(crate) total: Option<u64>,
    /// How many the first page shows.
    pub(crate) shown: usize,
    pub(crate) took: Duration,
}

/// Notes the first page of a search. It is answered all the same if it cannot be noted, without an id
/// by which its hits could be clicked.
pub(crate) async fn note(app: &App, searched: &Searched<'_>) -> Option<SearchId> {
    let caller = searched.caller;
    let searches = app.store().searches(caller.tenant());
    let noting = searches.note(caller.cause().actor, searched.asked());
    match tokio::time::timeout(PATIENCE, noting).await {
        Ok(Ok(search)) => Some(search.id),
        Ok(Err(error)) => {
            let error = store::explain(&error);
            tracing::warn!(%error, "a search was answered and could not be noted");
            None
        }
        Err(_) => {
            tracing::warn!("a search was answered and not noted in time");
            None
        }
    }
}

impl Searched<'_> {
    fn asked(&self) -> Asked {
        let filters = self.body.filters.names();
        Asked {
            mode: self.body.mode,
            text: self.body.query.clone(),
            kinds: self.kinds.iter().map(ToString::to_string).collect(),
            filters: filters.map(str::to_owned).collect(),
            total: self.total,
            shown: u32::try_from(self.shown).unwrap_or(u32::MAX),
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
