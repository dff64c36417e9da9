use api::{
    Json, Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read, Versioned, Write,
    created,
};
use axum::extract::State;
use axum::response::Response;
use domain::file::{File, FileStatus, MAX_KNOWLEDGE_BASES};
use domain::knowledge::{Document, KnowledgeBase};
use domain::permission::Permission;
use garde::Validate;
use http::StatusCode;
use kernel::{FileId, KnowledgeBaseId};
use serde::Deserialize;
use store::CommitError;
use utoipa::ToSchema;

/// How often a change that meets one by a worker is tried.
const TRIES: u32 = 5;

/// A file that becomes part of a knowledge base.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDocument {
    /// The file. Its chunks are embedded once it is processed.
    #[garde(skip)]
    file_id: FileId,
}

/// Documents of a knowledge base, newest file first.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}/documents", tag = "knowledge-bases",
    operation_id = "list_documents",
    params(("knowledge_base_id" = KnowledgeBaseId, Path), PageQuery),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = Listing<Document>), Problems),
)]
pub(crate) async fn list_documents(
    State(app): State<api::App>,
    base: Owned<KnowledgeBase, Read>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Listing<Document>>, Problem> {
    let list = format!("knowledge-bases/{}/documents", base.id);
    let page = Paging::from(query).request(&app, &base.caller, &list)?;
    let documents = app
        .store()
        .knowledge(base.caller.tenant())
        .documents(base.id, &page)
        .await?;
    Ok(axum::Json(Listing::new(
        &app,
        &base.caller,
        &list,
        documents,
    )))
}

/// Make a file part of a knowledge base.
#[utoipa::path(
    post, path = "/v1/knowledge-bases/{knowledge_base_id}/documents", tag = "knowledge-bases",
    operation_id = "add_document",
    params(("knowledge_base_id" = KnowledgeBaseId, Path)),
    request_body = NewDocument,
    security(("bearer" = ["knowledge:write", "files:read"])),
    responses((status = 201, body = Document), Problems),
)]
pub(crate) async fn add_document(
    State(app): State<api::App>,
    base: Owned<KnowledgeBase, Write>,
    Json(body): Json<NewDocument>,
) -> Result<Response, Problem> {
    base.caller.require(Permission::FileRead, &app).await?;
    let tenant = base.caller.tenant();
    let knowledge = app.store().knowledge(tenant);
    let cause = base.caller.cause();
    let mut current = base.item;
    for _ in 0..TRIES {
        let file = app.store().files(tenant).get(body.file_id).await?;
        let file = addable(file, &current)?;
        match knowledge.add(&cause, &current, &file).await {
            Err(store::Error::Commit(CommitError::Exists { .. })) => return Err(in_it_already()),
            // The worker that reads the file came first, or somebody renamed the knowledge base.
            Err(error) if error.is_changed() => {
                let base = knowledge.base(current.id).await?;
                current = base.ok_or_else(|| Problem::not_found("knowledge base"))?;
            }
            result => {
                let document = result?;
                let location = format!("/v1/knowledge-bases/{}/documents/{}", current.id, file.id);
                return Ok(created(
                    &location,
                    Versioned::new(document.version, document),
                ));
            }
        }
    }
    Err(Problem::changed("file"))
}

fn addable(file: Option<File>, base: &KnowledgeBase) -> Result<File, Problem> {
    let file = file
        .ok_or_else(|| Problem::invalid_field("/file_id", "is not a file of this organization"))?;
    if file.knowledge_bases.contains(&base.id) {
        return Err(in_it_already());
    }
    if file.status == FileStatus::Failed {
        let why = file
            .failure
            .as_ref()
            .map_or("", |failure| failure.message.as_str());
        return Err(Problem::conflict(
            "file_failed",
            format!("This file could not be read, so it cannot be searched. {why}"),
        ));
    }
    if file.knowledge_bases.len() >= MAX_KNOWLEDGE_BASES {
        return Err(Problem::conflict(
            "too_many_knowledge_bases",
            format!("A file can be part of at most {MAX_KNOWLEDGE_BASES} knowledge bases."),
        ));
    }
    Ok(file)
}

fn in_it_already() -> Problem {
    Problem::conflict(
        "already_exists",
        "This file is part of the knowledge base already.",
    )
}

/// Take a file out of a knowledge base. It is found no more; the file itself stays.
#[utoipa::path(
    delete, path = "/v1/knowledge-bases/{knowledge_base_id}/documents/{file_id}",
    tag = "knowledge-bases", operation_id = "remove_document",
    params(("knowledge_base_id" = KnowledgeBaseId, Path), ("file_id" = FileId, Path)),
    security(("bearer" = ["knowledge:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove_document(
    State(app): State<api::App>,
    document: Owned<Document, Write>,
) -> Result<StatusCode, Problem> {
    let knowledge = app.store().knowledge(document.caller.tenant());
    let cause = document.caller.cause();
    if knowledge
        .remove(&cause, document.knowledge_base, document.file)
        .await?
    {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("document"))
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use domain::execution::Failure;
    use domain::knowledge::VectorSets;
    use kernel::{OrgId, Timestamp};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn base() -> KnowledgeBase {
        KnowledgeBase {
            id: KnowledgeBaseId::from_u128(3),
            org: OrgId::from_u128(1),
            name: "Handbooks".to_owned(),
            description: String::new(),
            embedding_model: "static-en-256@1".to_owned(),
            vectors: VectorSets::default(),
            reembedding: None,
            version: 1,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn file(status: FileStatus, knowledge_bases: Vec<KnowledgeBaseId>) -> File {
        File {
            id: FileId::from_u128(2),
            org: OrgId::from_u128(1),
            name: "a.pdf".to_owned(),
            content_type: "application/pdf".to_owned(),
            size_bytes: 12,
            sha256: String::new(),
            status,
            content_version: 1,
            last_content_version: 1,
            uploaded_as: 1,
            format: None,
            title: None,
            language: None,
            programming_language: None,
            characters: None,
            job: None,
            pages: None,
            chunks: None,
            failure: Some(Failure::new("encrypted", "It has a password.")),
            deletion: None,
            knowledge_bases,
            uploaded_by: Actor::System,
            created_at: NOW,
            updated_at: NOW,
            version: 1,
        }
    }

    #[test]
    fn a_file_can_be_added_before_and_after_it_was_read() {
        for status in [
            FileStatus::Pending,
            FileStatus::Processing,
            FileStatus::Ready,
        ] {
            assert!(
                addable(Some(file(status, Vec::new())), &base()).is_ok(),
                "{status:?}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_searched_or_is_in_already_is_refused() {
        let others = |count: usize| (10..).take(count).map(KnowledgeBaseId::from_u128).collect();
        let full = file(FileStatus::Ready, others(MAX_KNOWLEDGE_BASES));
        let cases = [
            (None, 422, "invalid_request"),
            (
                Some(file(FileStatus::Failed, Vec::new())),
                409,
                "file_failed",
            ),
            (
                Some(file(FileStatus::Ready, vec![base().id])),
                409,
                "already_exists",
            ),
            (Some(full), 409, "too_many_knowledge_bases"),
        ];
        for (file, status, code) in cases {
            let problem = addable(file, &base()).expect_err(code);
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        }
        let almost = file(FileStatus::Ready, others(MAX_KNOWLEDGE_BASES - 1));
        assert!(addable(Some(almost), &base()).is_ok());
    }
}
