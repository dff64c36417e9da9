//! What a caller may find: the kinds of which they may read each thing.

use api::{App, Caller, Problem};
use axum::extract::FromRequestParts;
use domain::permission::Permission;
use http::request::Parts;
use text_index::{ItemKind, Scope};

/// The permission with which things of a kind are read, here as where they are listed.
pub(crate) const fn permission(kind: ItemKind) -> Permission {
    match kind {
        ItemKind::Document | ItemKind::Chunk => Permission::KnowledgeRead,
        ItemKind::Agent => Permission::AgentRead,
        ItemKind::Task => Permission::TaskRead,
        ItemKind::Execution | ItemKind::Message => Permission::ExecutionRead,
    }
}

/// Somebody who may find something of the org.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) caller: Caller,
    /// The kinds that they may find; never none.
    kinds: Vec<ItemKind>,
}

impl FromRequestParts<App> for Finder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let all = ItemKind::ALL.iter().copied();
        let kinds: Vec<ItemKind> = all.filter(|kind| caller.may(permission(*kind))).collect();
        if kinds.is_empty() {
            // Noted as the refusal of one, and said of all.
            let refused = caller.require(Permission::KnowledgeRead, app).await;
            return Err(refused.err().unwrap_or_else(no_kind));
        }
        Ok(Self { caller, kinds })
    }
}

fn no_kind() -> Problem {
    Problem::forbidden("This needs a permission to read what can be found.")
}

impl Finder {
    /// The kinds that are looked for: those that are asked for, or all that the caller may find.
    ///
    /// # Errors
    /// 403 with the permission of the first kind that the caller asks for and may not find.
    pub(crate) async fn kinds(
        &self,
        app: &App,
        asked: &[ItemKind],
    ) -> Result<Vec<ItemKind>, Problem> {
        for kind in asked {
            self.caller.require(permission(*kind), app).await?;
        }
        let mut kinds = if asked.is_empty() {
            self.kinds.clone()
        } else {
            asked.to_vec()
        };
        kinds.sort_unstable();
        kinds.dedup();
        Ok(kinds)
    }

    /// On whose behalf the index is read, which is part of every question to it.
    pub(crate) fn scope(&self) -> Scope {
        Scope::new(self.kinds.iter().copied(), self.caller.viewer())
    }
}
