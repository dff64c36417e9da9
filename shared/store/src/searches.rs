//! Searches: each one as its own person's, and what all of them of an org tell by the day.
//!
//! | module | holds |
//! |---|---|
//! | [`counts`] | what is counted of them, in the transaction that writes them |

pub mod counts;

use domain::event::Actor;
use domain::search::{Asked, Click, ClickRefused, Search};
use kernel::SearchId;
use kernel::cursor::PageRequest;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Commit, CommitError, Error, ReadError, Store, Tenant};

/// How often a click is tried again that met another of the same search.
const CLICK_TRIES: u32 = 8;

impl Record for Search {
    const NOUN: &'static str = "search";

    fn key(&self) -> Key {
        keys::search(self.org, self.by, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// Why a click was not noted.
#[derive(Debug, thiserror::Error)]
pub enum ClickError {
    /// There can be no such click.
    #[error(transparent)]
    Refused(#[from] ClickRefused),
    #[error(transparent)]
    Store(#[from] Error),
}

/// The searches of one org.
#[derive(Debug, Clone, Copy)]
pub struct Searches<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The searches of an org.
    #[must_use]
    pub fn searches(&self, tenant: Tenant) -> Searches<'_> {
        Searches {
            store: self,
            tenant,
        }
    }
}

impl Searches<'_> {
    /// Notes a search that was answered: its row and what is counted of it, in one transaction.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn note(&self, by: Actor, asked: Asked) -> Result<Search, Error> {
        let now = self.store.now();
        let id = SearchId::generate(now);
        let mut search = Search::new(id, self.tenant.org(), by, asked, now);
        let counted = counts::weigh(self.store, &search).await?;
        search.tracked = counted.is_by_text();
        let commit = Commit::new(self.tenant).create(&search);
        let commit = counted.add_search(commit, &search);
        self.store.commit(commit).await?;
        Ok(search)
    }

    /// A search that `by` has made, unless its time is over.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, by: Actor, id: SearchId) -> Result<Option<Search>, ReadError> {
        let key = keys::search(self.tenant.org(), by, id);
        let found: Option<Search> = self.store.get(&key).await?;
        let now = self.store.now();
        Ok(found.filter(|search| !search.is_expired(now)))
    }

    /// The newest searches that `by` has made, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn newest(&self, by: Actor, most: u32) -> Result<Vec<Search>, ReadError> {
        let list = keys::searches_of(self.tenant.org(), by);
        let page = PageRequest::first(most);
        let found = self.store.page::<Search>(&list, &page, Order::Descending);
        let mut items = found.await?.items;
        let now = self.store.now();
        items.retain(|search| !search.is_expired(now));
        Ok(items)
    }

    /// Notes that a hit of a search was followed, and counts it for the day of the search. A hit that
    /// was clicked before changes nothing.
    ///
    /// # Errors
    /// [`ClickError`] if there can be no such click, or the store does not answer.
    pub async fn click(&self, search: &Search, click: &Click) -> Result<Search, ClickError> {
        let mut current = search.clone();
        let mut tries = 0;
        loop {
            let Some(next) = current.clicked(click.clone())? else {
                return Ok(current);
            };
            let commit = Commit::new(self.tenant).replace(&next, current.version);
            let commit = counts::add_click(commit, &current, click);
            match self.store.commit(commit).await {
                Ok(()) => return Ok(next),
                // Another hit of the search was clicked meanwhile, or the row's time is over.
                Err(CommitError::Changed { .. }) if tries < CLICK_TRIES => tries += 1,
                Err(error) => return Err(Error::from(error).into()),
            }
            match self.get(search.by, search.id).await.map_err(Error::from)? {
                Some(again) => current = again,
                None => return Ok(current),
            }
        }
    }
}
