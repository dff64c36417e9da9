//! Tasks, by title, description and result.

use async_trait::async_trait;
use domain::task::Assignee;
use kernel::cursor::{Cursor, PageRequest};
use store::index_marks::Mark;
use store::tasks::TaskFilter;
use store::{ReadError, Store, Tenant};

use super::{Indexer, Loaded, Marks, PAGE, author, joined, name};
use crate::item::{Item, ItemKind};

pub(crate) struct Tasks;

#[async_trait]
impl Indexer for Tasks {
    fn serves(&self, mark: Mark) -> bool {
        matches!(mark, Mark::Task(_))
    }

    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError> {
        let Mark::Task(id) = mark else {
            return Ok(Loaded::default());
        };
        let Some(task) = store.tasks(tenant).get(id).await? else {
            return Ok(Loaded::default());
        };
        let result = task.result.as_deref().unwrap_or_default();
        Ok(Loaded::from(Item {
            title: task.title.clone(),
            body: joined([task.description.as_str(), result]),
            task: Some(id),
            agent: match task.assignee {
                Some(Assignee::Agent { id }) => Some(id),
                _ => None,
            },
            execution: task.execution,
            author: author(&task.created_by),
            status: Some(task.status.name().to_owned()),
            type_: name(&task.priority),
            updated_at: task.updated_at,
            ..Item::new(ItemKind::Task, id, task.created_at)
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
        let page = store.tasks(tenant).page(TaskFilter::All, &page).await?;
        Ok(Marks {
            marks: page.items.iter().map(|task| Mark::Task(task.id)).collect(),
            next: page.next.map(|cursor| cursor.sort_key().to_owned()),
        })
    }
}
