//! Lists of files: by time, by name, by status, of a knowledge base or of what they are linked to.

use std::collections::HashMap;

use domain::file::{File, FileLink, FileStatus, LinkTarget};
use domain::knowledge::Document;
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{FileId, KnowledgeBaseId, Timestamp};

use super::{Files, links};
use crate::ReadError;
use crate::keys::{self, Collection, Key};
use crate::read::{LOOKED_AT_ONCE, MAX_LOOKED_AT, Order, Verdict};
use crate::record::Record;

/// Which files to list, and in what order. Filters narrow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFilter {
    /// Deleted files, while they can be restored, are listed by their status alone.
    pub status: Option<FileStatus>,
    /// What the content turned out to be: `pdf`, `markdown`, …
    pub format: Option<String>,
    /// How the name begins, whatever the case.
    pub name_prefix: Option<String>,
    pub created_from: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    pub of: Option<FilesOf>,
    pub sort: FileSort,
}

/// What files belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesOf {
    KnowledgeBase(KnowledgeBaseId),
    Linked(LinkTarget),
}

/// The order of a list of files. Files of a knowledge base, or with a link, are ordered by time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileSort {
    #[default]
    NewestFirst,
    OldestFirst,
    NameAscending,
    NameDescending,
}

impl FileSort {
    fn order(self) -> Order {
        match self {
            Self::NewestFirst | Self::NameDescending => Order::Descending,
            Self::OldestFirst | Self::NameAscending => Order::Ascending,
        }
    }

    /// Whether it goes by name.
    #[must_use]
    pub const fn is_by_name(self) -> bool {
        matches!(self, Self::NameAscending | Self::NameDescending)
    }
}

impl FileFilter {
    /// Whether a file belongs to the list, and whether any behind it may.
    fn judge(&self, file: &File, now: Timestamp) -> Verdict {
        let name = keys::file_name_sort_key(&file.name);
        let wrong_name = self
            .name_prefix
            .as_ref()
            .is_some_and(|prefix| !name.starts_with(&keys::file_name_sort_key(prefix)));
        if wrong_name && self.sort.is_by_name() {
            return Verdict::Stop;
        }
        let too_early = self.created_from.is_some_and(|from| file.created_at < from);
        let too_late = self
            .created_before
            .is_some_and(|before| file.created_at >= before);
        match self.sort {
            FileSort::NewestFirst if too_early => return Verdict::Stop,
            FileSort::OldestFirst if too_late => return Verdict::Stop,
            _ => {}
        }
        let status = match self.status {
            None => file.status != FileStatus::Deleted,
            Some(FileStatus::Deleted) => file.may_be_restored(now),
            Some(status) => file.status == status,
        };
        let format = self.format.is_none() || self.format == file.format;
        Verdict::take_if(status && format && !wrong_name && !too_early && !too_late)
    }

    /// Where the list begins, if not at its end: behind names before the prefix.
    fn start(&self) -> Option<Cursor> {
        let prefix = keys::file_name_sort_key(self.name_prefix.as_ref()?);
        match self.sort {
            FileSort::NameAscending => Some(Cursor::after(prefix)),
            FileSort::NameDescending => Some(Cursor::after(format!("{prefix}\u{10ffff}"))),
            _ => None,
        }
    }
}

impl Files<'_> {
    /// Files, without those that were deleted unless they are asked for. A page of a filtered list
    /// may hold fewer files than its limit, and have more behind it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        filter: &FileFilter,
        page: &PageRequest,
    ) -> Result<Page<File>, ReadError> {
        let org = self.tenant.org();
        let order = filter.sort.order();
        match filter.of {
            Some(FilesOf::KnowledgeBase(base)) => {
                let list = keys::documents(org, base);
                let file = |row: &Document| row.file;
                self.page_of(filter, &list, page, order, file).await
            }
            Some(FilesOf::Linked(target)) => {
                let list = keys::links_to(org, &links::name(target));
                let file = |row: &FileLink| row.file;
                self.page_of(filter, &list, page, order, file).await
            }
            None => {
                let list = match filter.status {
                    _ if filter.sort.is_by_name() => keys::files_by_name(org),
                    Some(status) => keys::files_with_status(org, status.name()),
                    None => keys::files(org),
                };
                let page = PageRequest {
                    after: page.after.clone().or_else(|| filter.start()),
                    ..page.clone()
                };
                let now = self.store.now();
                let judge = |file: &File| filter.judge(file, now);
                self.store.page_where(&list, &page, order, judge).await
            }
        }
    }

    /// Files by rows that name them, in whose list each stands by its id.
    async fn page_of<R: Record>(
        &self,
        filter: &FileFilter,
        list: &Collection,
        page: &PageRequest,
        order: Order,
        file: impl Fn(&R) -> FileId,
    ) -> Result<Page<File>, ReadError> {
        let limit = page.limit.max(1) as usize;
        let now = self.store.now();
        let mut items: Vec<File> = Vec::new();
        let mut request = page.clone();
        let mut looked_at = 0;
        loop {
            let rows: Page<R> = self.store.page(list, &request, order).await?;
            let ids: Vec<FileId> = rows.items.iter().map(&file).collect();
            let found: HashMap<FileId, File> = self
                .all_of(&ids)
                .await?
                .into_iter()
                .map(|file| (file.id, file))
                .collect();
            for (row, id) in ids.iter().enumerate() {
                match found.get(id).map(|file| (filter.judge(file, now), file)) {
                    Some((Verdict::Take, file)) => items.push(file.clone()),
                    Some((Verdict::Stop, _)) => return Ok(Page { items, next: None }),
                    Some((Verdict::Pass, _)) | None => {}
                }
                looked_at += 1;
                if items.len() == limit || looked_at == MAX_LOOKED_AT {
                    let more = row + 1 < ids.len() || rows.next.is_some();
                    let next = more.then(|| Cursor::after(id.to_string()));
                    return Ok(Page { items, next });
                }
            }
            if rows.next.is_none() {
                return Ok(Page { items, next: None });
            }
            request.after = rows.next;
            request.limit = request.limit.max(LOOKED_AT_ONCE);
        }
    }

    /// Those of these files that exist, deleted ones too, in no certain order.
    pub(super) async fn all_of(&self, ids: &[FileId]) -> Result<Vec<File>, ReadError> {
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::file(self.tenant.org(), *id))
            .collect();
        self.store.get_batch(&keys).await
    }
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use kernel::OrgId;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000)
    }

    fn file(name: &str, created: i64, status: FileStatus) -> File {
        File {
            id: FileId::from_u128(2),
            org: OrgId::from_u128(1),
            name: name.to_owned(),
            url: None,
            content_type: "text/markdown".to_owned(),
            size_bytes: 12,
            sha256: String::new(),
            status,
            content_version: 1,
            last_content_version: 1,
            uploaded_as: 1,
            format: Some("markdown".to_owned()),
            title: None,
            language: None,
            programming_language: None,
            characters: None,
            job: None,
            pages: None,
            chunks: None,
            failure: None,
            deletion: None,
            knowledge_bases: Vec::new(),
            uploaded_by: Actor::System,
            created_at: at(created),
            updated_at: at(created),
            version: 1,
        }
    }

    #[test]
    fn filters_narrow_each_other_and_bounds_of_the_order_end_the_list() {
        let filter = FileFilter {
            format: Some("markdown".to_owned()),
            name_prefix: Some("ROTA".to_owned()),
            created_from: Some(at(10)),
            created_before: Some(at(20)),
            ..FileFilter::default()
        };
        let judge = |filter: &FileFilter, file: File| filter.judge(&file, at(0));
        let ready = FileStatus::Ready;
        assert_eq!(judge(&filter, file("Rota.md", 10, ready)), Verdict::Take);
        assert_eq!(judge(&filter, file("Rota.md", 20, ready)), Verdict::Pass);
        assert_eq!(judge(&filter, file("Rota.md", 9, ready)), Verdict::Stop);
        assert_eq!(judge(&filter, file("A rota.md", 15, ready)), Verdict::Pass);
        assert_eq!(
            judge(&filter, file("Rota.md", 15, FileStatus::Deleted)),
            Verdict::Pass
        );
        let mut other = file("Rota.md", 15, ready);
        other.format = Some("pdf".to_owned());
        assert_eq!(judge(&filter, other), Verdict::Pass);
        let by_name = FileFilter {
            sort: FileSort::NameAscending,
            ..filter
        };
        assert_eq!(judge(&by_name, file("Sota.md", 15, ready)), Verdict::Stop);
        assert_eq!(judge(&by_name, file("Rota.md", 9, ready)), Verdict::Pass);
    }
}
