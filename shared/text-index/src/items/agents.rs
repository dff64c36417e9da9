//! Agents, by name, description and instructions.

use async_trait::async_trait;
use kernel::cursor::{Cursor, PageRequest};
use store::index_marks::Mark;
use store::{ReadError, Store, Tenant};

use super::{Indexer, Loaded, Marks, PAGE, joined};
use crate::item::{Item, ItemKind};

pub(crate) struct Agents;

#[async_trait]
impl Indexer for Agents {
    fn serves(&self, mark: Mark) -> bool {
        matches!(mark, Mark::Agent(_))
    }

    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError> {
        let Mark::Agent(id) = mark else {
            return Ok(Loaded::default());
        };
        let Some(agent) = store.agents(tenant).get(id).await? else {
            return Ok(Loaded::default());
        };
        let spec = agent.spec;
        Ok(Loaded::from(Item {
            title: spec.name,
            body: joined([spec.description.as_str(), &spec.instructions]),
            agent: Some(id),
            updated_at: agent.updated_at,
            ..Item::new(ItemKind::Agent, id, agent.created_at)
        }))
    }

    async fn all(
        &self,
        store: &Store,
        tenant: Tenant,
        after: Option<&str>,
    ) -> Result<Marks, ReadError> {
        let page = PageRequest {
            limit: PAGE,
            after: after.map(Cursor::after),
        };
        let page = store.agents(tenant).page(&page).await?;
        Ok(Marks {
            marks: page
                .items
                .iter()
                .map(|agent| Mark::Agent(agent.id))
                .collect(),
            next: page.next.map(|cursor| cursor.sort_key().to_owned()),
        })
    }
}
