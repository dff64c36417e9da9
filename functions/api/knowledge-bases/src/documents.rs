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
pub(crate) const TRIES: u32 = 5;

/// A file that becomes part of a knowledge base, or a text that becomes a file of it: either
/// `file_id`, or `name` and `text`.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDocument {
    /// The file. Its chunks are embedded once it is processed.
    #[garde(skip)]
    file_id: Option<FileId>,
    /// The name of the file that the text becomes. Its extension tells Markdown, CSV and source code
    /// from plain text.
    #[garde(inner(custom(crate::texts::name)))]
    #[schema(min_length = 1, max_length = 255, example = "on-call.md")]
    name: Option<String>,
    /// The text. One that is longer is uploaded.
    #[garde(inner(custom(crate::texts::text)))]
    #[schema(
        min_length = 1,
        max_length = 300_000,
        example = "# On call\n\nAnswer within 12 minutes."
    )]
    text: Option<String>,
}

/// What a document is made of.
enum MadeOf {
    File(FileId),
    Text { name: String, text: String },
}

impl NewDocument {
    fn made_of(self) -> Result<MadeOf, Problem> {
        let clash = |field: &str, message: &str| Err(Problem::invalid_field(field, message));
        match (self.file_id, self.name, self.text) {
            (Some(file), None, None) => Ok(MadeOf::File(file)),
            (None, Some(name), Some(text)) => Ok(MadeOf::Text { name, text }),
            (None, None, None) => clash("/file_id", "is missing: give it, or `name` and `text`"),
            (None, Some(_), None) => clash("/text", "is missing: it goes with `name`"),
            (None, None, Some(_)) => clash("/name", "is missing: it goes with `text`"),
            (Some(_), _, _) => clash("/file_id", "cannot be given together with `name` or `text`"),
        }
    }
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

/// Make a file part of a knowledge base, or a text a file of it. A file needs `files:read` as well, a
/// text `files:write`.
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
    let location = format!("/v1/knowledge-bases/{}/documents", base.id);
    let document = match body.made_of()? {
        MadeOf::File(file) => add_file(&app, base, file).await?,
        MadeOf::Text { name, text } => crate::texts::add(&app, base, name, text).await?,
    };
    let location = format!("{location}/{}", document.file);
    Ok(created(
        &location,
        Versioned::new(document.version, document),
    ))
}

async fn add_file(
    app: &api::App,
    base: Owned<KnowledgeBase, Write>,
    file: FileId,
) -> Result<Document, Problem> {
    base.caller.require(Permission::FileRead, app).await?;
    let tenant = base.caller.tenant();
    let knowledge = app.store().knowledge(tenant);
    let cause = base.caller.cause();
    let mut current = base.item;
    for _ in 0..TRIES {
        let file = app.store().files(tenant).get(file).await?;
        let file = addable(file, &current)?;
        match knowledge.add(&cause, &current, &file).await {
            Err(store::Error::Commit(CommitError::Exists { .. })) => return Err(in_it_already()),
            // The worker that reads the file came first, or somebody renamed the knowledge base.
            Err(error) if error.is_changed() => {
                let base = knowledge.base(current.id).await?;
                current = base.ok_or_else(|| Problem::not_found("knowledge base"))?;
            }
            result => return Ok(result?),
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
            url: None,
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
    fn a_document_is_made_of_a_file_or_of_a_text_and_not_of_both() {
        let file = Some(FileId::from_u128(2));
        let some = || Some("x".to_owned());
        for (file_id, name, text, field) in [
            (None, None, None, "/file_id"),
            (None, some(), None, "/text"),
            (None, None, some(), "/name"),
            (file, some(), some(), "/file_id"),
            (file, some(), None, "/file_id"),
        ] {
            let new = NewDocument {
                file_id,
                name,
                text,
            };
            let problem = new.made_of().err().expect(field);
            assert!(problem.detail().starts_with(field), "{problem:?}");
        }
        let text = NewDocument {
            name: some(),
            text: some(),
            ..NewDocument::default()
        };
        assert!(matches!(text.made_of(), Ok(MadeOf::Text { .. })));
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
