//! What files are linked to, listed from either side.

use domain::event::EventKind;
use domain::file::{File, FileLink, LinkTarget};
use kernel::FileId;
use kernel::cursor::{Page, PageRequest};
use serde_json::json;

use super::Files;
use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError};

/// The name of a target among the links of its org.
pub(super) fn name(target: LinkTarget) -> String {
    match target {
        LinkTarget::Agent { id } => format!("agent#{id}"),
    }
}

impl Record for FileLink {
    const NOUN: &'static str = "link of a file";

    fn key(&self) -> Key {
        keys::file_link(self.org, self.file, &name(self.target))
    }

    fn indexes(&self) -> IndexKeys {
        keys::file_link_indexes(self.org, self.file, &name(self.target))
    }
}

impl Files<'_> {
    /// What a file is linked to.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn links(
        &self,
        file: FileId,
        page: &PageRequest,
    ) -> Result<Page<FileLink>, ReadError> {
        let list = keys::links_of_file(self.tenant.org(), file);
        self.store.page(&list, page, Order::Ascending).await
    }

    /// A link of a file, if it is there.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn link_to(
        &self,
        file: FileId,
        target: LinkTarget,
    ) -> Result<Option<FileLink>, ReadError> {
        self.store
            .get(&keys::file_link(self.tenant.org(), file, &name(target)))
            .await
    }

    /// Links a file to something that the caller has seen to exist.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Exists` if it is linked to it already, as `Changed` if the file is no
    /// longer at this version: it may have been deleted.
    pub async fn link(
        &self,
        cause: &Cause,
        file: &File,
        target: LinkTarget,
    ) -> Result<FileLink, Error> {
        let link = FileLink {
            org: self.tenant.org(),
            file: file.id,
            target,
            linked_by: cause.actor,
            created_at: self.store.now(),
        };
        let data = json!({ "target": target });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileLinked, file.id, data);
        let commit = Commit::new(self.tenant)
            .create(&link)
            .unless_changed(file, file.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(link)
    }

    /// Takes a link away.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is not there any more.
    pub async fn unlink(&self, cause: &Cause, link: &FileLink) -> Result<(), Error> {
        let data = json!({ "target": link.target });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileUnlinked, link.file, data);
        let commit = Commit::new(self.tenant).delete_existing(link).event(event);
        Ok(self.store.commit(commit).await?)
    }
}
