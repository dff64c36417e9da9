//! Runs, by what was asked and answered; and what was said in conversations, whose turns are runs.

use async_trait::async_trait;
use domain::conversation::Conversation;
use domain::execution::Execution;
use domain::viewer::Viewer;
use kernel::cursor::{Cursor, PageRequest};
use store::index_marks::Mark;
use store::{ReadError, Store, Tenant};

use super::{Entry, Indexer, Loaded, Marks, PAGE, author, first_line, joined};
use crate::item::{Item, ItemKind};

pub(crate) struct Executions;

#[async_trait]
impl Indexer for Executions {
    fn serves(&self, mark: Mark) -> bool {
        matches!(mark, Mark::Execution(_) | Mark::Conversation(_))
    }

    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError> {
        match mark {
            Mark::Execution(id) => {
                let Some(execution) = store.executions(tenant).get(id).await? else {
                    return Ok(Loaded::default());
                };
                let conversation = match execution.conversation {
                    Some(turn) => store.conversations(tenant).get(turn.id).await?,
                    None => None,
                };
                Ok(Loaded {
                    items: entries(&execution, conversation.as_ref()),
                    ..Loaded::default()
                })
            }
            Mark::Conversation(id) => {
                if store.conversations(tenant).get(id).await?.is_none() {
                    return Ok(Loaded {
                        without: Some(mark.to_string()),
                        ..Loaded::default()
                    });
                }
                let mut also = Vec::new();
                let mut page = PageRequest::first(100);
                loop {
                    let turns = store.conversations(tenant).turns(id, &page).await?;
                    also.extend(turns.items.iter().map(|(_, run)| Mark::Execution(run.id)));
                    page.after = turns.next;
                    if page.after.is_none() {
                        break;
                    }
                }
                Ok(Loaded {
                    also,
                    ..Loaded::default()
                })
            }
            _ => Ok(Loaded::default()),
        }
    }

    /// Runs bring the messages of their conversations.
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
        let page = store
            .executions(tenant)
            .page(Viewer::Everything, None, None, &page)
            .await?;
        Ok(Marks {
            marks: page
                .items
                .iter()
                .map(|execution| Mark::Execution(execution.id))
                .collect(),
            next: page.next.map(|cursor| cursor.sort_key().to_owned()),
        })
    }
}

fn entries(execution: &Execution, conversation: Option<&Conversation>) -> Vec<Entry> {
    let answer = execution.answer.as_deref().unwrap_or_default();
    let run = Item {
        title: first_line(&execution.input),
        body: joined([execution.input.as_str(), answer]),
        status: Some(execution.state.name().to_owned()),
        author: author(&execution.requested_by),
        ..of(execution, ItemKind::Execution, execution.id.to_string())
    };
    let mut entries = vec![Entry::from(run)];
    let Some(conversation) = conversation else {
        return entries;
    };
    let part_of = Some(Mark::Conversation(conversation.id).to_string());
    let said = |what: &str, body: &str, author: Option<String>| Entry {
        item: Item {
            title: conversation.title.clone(),
            body: body.to_owned(),
            type_: Some(what.to_owned()),
            author,
            ..of(
                execution,
                ItemKind::Message,
                format!("{}/{what}", execution.id),
            )
        },
        part_of: part_of.clone(),
    };
    let asked_by = author(&execution.requested_by);
    entries.push(said("input", &execution.input, asked_by));
    if !answer.is_empty() {
        entries.push(said("answer", answer, Some(execution.agent.to_string())));
    }
    entries
}

fn of(execution: &Execution, kind: ItemKind, id: String) -> Item {
    Item {
        agent: Some(execution.agent),
        task: execution.task,
        execution: Some(execution.id),
        conversation: execution.conversation.map(|turn| turn.id),
        swarm: execution.swarm,
        private_to: execution.private_to,
        updated_at: execution.updated_at,
        ..Item::new(kind, id, execution.created_at)
    }
}
