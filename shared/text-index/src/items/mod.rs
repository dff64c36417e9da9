//! What stands in the tables, as items of the index. Each kind has one implementation of
//! [`Indexer`]; a new kind joins by another, in the list of [`indexers`].

mod agents;
pub(crate) mod documents;
mod executions;
mod swarm_messages;
mod tasks;

use async_trait::async_trait;
use domain::event::Actor;
use store::index_marks::Mark;
use store::{ReadError, Store, Tenant};

use crate::item::Item;

/// How many things a rebuild looks at between two writes, where they are small.
const PAGE: u32 = 200;

/// How things of one kind become items.
#[async_trait]
pub(crate) trait Indexer: Send + Sync {
    /// Whether this is the one for a mark.
    fn serves(&self, mark: Mark) -> bool;

    /// What the index should hold of a mark, by what stands now.
    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError>;

    /// Marks of all that there is, a page after `after`.
    async fn all(
        &self,
        store: &Store,
        tenant: Tenant,
        after: Option<&str>,
    ) -> Result<Marks, ReadError>;
}

/// What the index should hold of a mark.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In the place of all items of this mark.
    pub items: Vec<Entry>,
    /// Marks to serve besides.
    pub also: Vec<Mark>,
    /// Items that were part of this are to go.
    pub without: Option<String>,
}

/// An item on its way into the index.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub item: Item,
    /// What it is removed with, beside its mark.
    pub part_of: Option<String>,
}

impl Entry {
    pub(crate) fn bytes(&self) -> usize {
        self.item.title.len() + self.item.body.len()
    }
}

impl From<Item> for Entry {
    fn from(item: Item) -> Self {
        Self {
            item,
            part_of: None,
        }
    }
}

impl From<Item> for Loaded {
    fn from(item: Item) -> Self {
        Self {
            items: vec![item.into()],
            ..Self::default()
        }
    }
}

/// A page of what there is.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub marks: Vec<Mark>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// One for each kind.
pub(crate) fn indexers() -> Vec<Box<dyn Indexer>> {
    vec![
        Box::new(agents::Agents),
        Box::new(tasks::Tasks),
        Box::new(executions::Executions),
        Box::new(documents::Documents),
        Box::new(swarm_messages::SwarmMessages),
    ]
}

/// The id of who did something.
pub(crate) fn author(actor: &Actor) -> Option<String> {
    match actor {
        Actor::User { id } => Some(id.to_string()),
        Actor::ApiKey { id } => Some(id.to_string()),
        Actor::Agent { id, .. } => Some(id.to_string()),
        Actor::System => None,
    }
}

/// The beginning of a text, for a title.
fn first_line(text: &str) -> String {
    const MOST: usize = 120;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

/// A name of a value as it is stored, such as a status.
fn name<T: serde::Serialize>(value: &T) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_that_says_something() {
        assert_eq!(first_line("\n  Hello  \nworld"), "Hello");
        assert_eq!(first_line(""), "");
        let long = first_line(&"ä".repeat(200));
        assert_eq!(long.chars().count(), 121);
    }
}
