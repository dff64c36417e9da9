//! What the agents of a swarm, and people, told each other in its runs.

use async_trait::async_trait;
use kernel::SwarmId;
use kernel::cursor::{Cursor, PageRequest};
use store::index_marks::Mark;
use store::{ReadError, Store, Tenant};

use super::{Entry, Indexer, Loaded, Marks, PAGE, author, first_line};
use crate::item::{Item, ItemKind};

pub(crate) struct SwarmMessages;

#[async_trait]
impl Indexer for SwarmMessages {
    fn serves(&self, mark: Mark) -> bool {
        matches!(mark, Mark::SwarmMessage { .. } | Mark::Swarm(_))
    }

    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError> {
        let swarms = store.swarms(tenant);
        let (swarm, root, sequence) = match mark {
            Mark::SwarmMessage {
                swarm,
                root,
                sequence,
            } => (swarm, root, sequence),
            Mark::Swarm(swarm) => {
                let is_there = swarms.get(swarm).await?.is_some();
                return Ok(Loaded {
                    without: (!is_there).then(|| mark.to_string()),
                    ..Loaded::default()
                });
            }
            _ => return Ok(Loaded::default()),
        };
        let executions = store.executions(tenant);
        let (of, message, run) = tokio::try_join!(
            swarms.get(swarm),
            swarms.message(swarm, root, sequence),
            executions.get(root),
        )?;
        let (Some(_), Some(message), Some(run)) = (of, message, run) else {
            return Ok(Loaded::default());
        };
        let item = Item {
            title: first_line(&message.text),
            agent: message.to,
            author: author(&message.from),
            execution: Some(root),
            swarm: Some(swarm),
            private_to: run.private_to,
            type_: Some("swarm".to_owned()),
            body: message.text,
            ..Item::new(ItemKind::Message, message.id, message.at)
        };
        let entry = Entry {
            item,
            part_of: Some(Mark::Swarm(swarm).to_string()),
        };
        Ok(Loaded {
            items: vec![entry],
            ..Loaded::default()
        })
    }

    async fn all(
        &self,
        store: &Store,
        tenant: Tenant,
        after: Option<&str>,
    ) -> Result<Marks, ReadError> {
        let (swarm, after) = match after.map(|position| position.split_once('/')) {
            Some(Some((swarm, ""))) => (swarm_after(store, tenant, Some(swarm)).await?, None),
            Some(Some((swarm, message))) => (swarm.parse().ok(), Some(Cursor::after(message))),
            _ => (swarm_after(store, tenant, None).await?, None),
        };
        let Some(swarm) = swarm else {
            return Ok(Marks::default());
        };
        let page = PageRequest { limit: PAGE, after };
        let page = store.swarms(tenant).messages(swarm, None, &page).await?;
        let next = page.next.as_ref().map_or("", Cursor::sort_key);
        Ok(Marks {
            marks: page
                .items
                .iter()
                .map(|message| Mark::SwarmMessage {
                    swarm,
                    root: message.execution,
                    sequence: message.sequence,
                })
                .collect(),
            next: Some(format!("{swarm}/{next}")),
        })
    }
}

async fn swarm_after(
    store: &Store,
    tenant: Tenant,
    after: Option<&str>,
) -> Result<Option<SwarmId>, ReadError> {
    let page = PageRequest {
        limit: 1,
        after: after.map(Cursor::after),
    };
    let page = store.swarms(tenant).page(&page).await?;
    Ok(page.items.first().map(|swarm| swarm.id))
}
