use api::{Granted, Listing, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::file::{File, FileStatus, LinkTarget};
use domain::permission::Permission;
use garde::Validate;
use kernel::digest::sha256_hex;
use kernel::{AgentId, KnowledgeBaseId, Timestamp};
use serde::{Deserialize, Serialize};
use store::files::list::{FileFilter, FileSort, FilesOf};
use utoipa::{IntoParams, ToSchema};

const MAX_PREFIX_CHARS: usize = 64;

/// Which files to list, and in what order. Filters narrow each other.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileQuery {
    /// Only files that stand so. `deleted` lists those that can be restored.
    #[garde(skip)]
    status: Option<FileStatus>,
    /// Only files whose content turned out to be of this format, as `pdf` or `markdown`.
    #[garde(length(chars, min = 1, max = 32))]
    format: Option<String>,
    /// Only files whose name begins so, whatever the case.
    #[garde(length(chars, min = 1, max = MAX_PREFIX_CHARS))]
    name_prefix: Option<String>,
    /// Only files of this knowledge base. Needs `knowledge:read` as well.
    #[garde(skip)]
    knowledge_base_id: Option<KnowledgeBaseId>,
    /// Only files that are linked to this agent. Not together with `knowledge_base_id`.
    #[garde(skip)]
    agent_id: Option<AgentId>,
    /// Only files that were announced then or later.
    #[garde(skip)]
    created_from: Option<Timestamp>,
    /// Only files that were announced before.
    #[garde(skip)]
    created_before: Option<Timestamp>,
    /// The order; newest first if absent. By name not together with `knowledge_base_id`,
    /// `agent_id` or the status `deleted`.
    #[garde(skip)]
    #[param(inline)]
    sort: Option<Sort>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// The order of a list of files; a minus turns it around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Sort {
    #[serde(rename = "-created_at")]
    NewestFirst,
    #[serde(rename = "created_at")]
    OldestFirst,
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDescending,
}

impl From<Sort> for FileSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::NewestFirst => Self::NewestFirst,
            Sort::OldestFirst => Self::OldestFirst,
            Sort::Name => Self::NameAscending,
            Sort::NameDescending => Self::NameDescending,
        }
    }
}

/// Files of the organization. A page of a filtered list may hold fewer files than its limit, and have
/// more behind it. Lists by status, name or agent may lag behind by moments.
#[utoipa::path(
    get, path = "/v1/files", tag = "files", operation_id = "list_files",
    params(FileQuery),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Listing<File>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<File, Read>,
    Query(query): Query<FileQuery>,
) -> Result<Json<Listing<File>>, Problem> {
    if query.knowledge_base_id.is_some() {
        caller.require(Permission::KnowledgeRead, &app).await?;
    }
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let paging = Paging::new(limit, query.cursor.clone());
    let filter = filter(query)?;
    let list = list_name(&filter);
    let page = paging.request(&app, &caller, &list)?;
    let files = app.store().files(caller.tenant());
    let files = files.page(&filter, &page).await?;
    Ok(Json(Listing::new(&app, &caller, &list, files)))
}

fn filter(query: FileQuery) -> Result<FileFilter, Problem> {
    let of = match (query.knowledge_base_id, query.agent_id) {
        (None, None) => None,
        (Some(base), None) => Some(FilesOf::KnowledgeBase(base)),
        (None, Some(id)) => Some(FilesOf::Linked(LinkTarget::Agent { id })),
        (Some(_), Some(_)) => {
            let message = "cannot be given together with `knowledge_base_id`";
            return Err(Problem::invalid_field("agent_id", message));
        }
    };
    let filter = FileFilter {
        status: query.status,
        format: query.format,
        name_prefix: query.name_prefix,
        created_from: query.created_from,
        created_before: query.created_before,
        of,
        sort: query.sort.map(FileSort::from).unwrap_or_default(),
    };
    let by_name = filter.sort.is_by_name();
    if by_name && (of.is_some() || filter.status == Some(FileStatus::Deleted)) {
        let message = "by name, cannot be given together with `knowledge_base_id`, `agent_id` or \
                       the status `deleted`";
        return Err(Problem::invalid_field("sort", message));
    }
    Ok(filter)
}

/// A cursor of one list is none of another.
fn list_name(filter: &FileFilter) -> String {
    if *filter == FileFilter::default() {
        return "files".to_owned();
    }
    format!("files/{}", sha256_hex(format!("{filter:?}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> FileQuery {
        FileQuery {
            status: None,
            format: None,
            name_prefix: None,
            knowledge_base_id: None,
            agent_id: None,
            created_from: None,
            created_before: None,
            sort: None,
            limit: None,
            cursor: None,
        }
    }

    #[test]
    fn each_filter_makes_a_list_of_its_own() {
        let mut names = vec![list_name(&filter(query()).unwrap())];
        for query in [
            FileQuery {
                status: Some(FileStatus::Ready),
                ..query()
            },
            FileQuery {
                status: Some(FileStatus::Deleted),
                ..query()
            },
            FileQuery {
                format: Some("pdf".to_owned()),
                ..query()
            },
            FileQuery {
                name_prefix: Some("pdf".to_owned()),
                ..query()
            },
            FileQuery {
                agent_id: Some(AgentId::from_u128(1)),
                ..query()
            },
            FileQuery {
                agent_id: Some(AgentId::from_u128(2)),
                ..query()
            },
            FileQuery {
                knowledge_base_id: Some(KnowledgeBaseId::from_u128(1)),
                ..query()
            },
            FileQuery {
                sort: Some(Sort::Name),
                ..query()
            },
            FileQuery {
                created_from: Some(Timestamp::from_millis(1)),
                ..query()
            },
            FileQuery {
                created_before: Some(Timestamp::from_millis(1)),
                ..query()
            },
        ] {
            names.push(list_name(&filter(query).unwrap()));
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        let newest = FileQuery {
            sort: Some(Sort::NewestFirst),
            ..query()
        };
        assert_eq!(list_name(&filter(newest).unwrap()), "files");
    }

    #[test]
    fn what_no_list_holds_together_is_refused() {
        let base = Some(KnowledgeBaseId::from_u128(1));
        let agent = Some(AgentId::from_u128(1));
        for (query, field) in [
            (
                FileQuery {
                    knowledge_base_id: base,
                    agent_id: agent,
                    ..query()
                },
                "agent_id",
            ),
            (
                FileQuery {
                    knowledge_base_id: base,
                    sort: Some(Sort::Name),
                    ..query()
                },
                "sort",
            ),
            (
                FileQuery {
                    agent_id: agent,
                    sort: Some(Sort::NameDescending),
                    ..query()
                },
                "sort",
            ),
        ] {
            let problem = format!("{:?}", filter(query).unwrap_err());
            assert!(
                problem.contains(&format!("field: \"{field}\"")),
                "{problem}"
            );
        }
    }
}
