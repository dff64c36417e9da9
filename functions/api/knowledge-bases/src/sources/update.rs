use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::source::{MAX_PAGES, WebSource, WebSourceKind};
use garde::Validate;
use kernel::{KnowledgeBaseId, SourceId};
use serde::Deserialize;
use store::sources::SourceChanges;
use utoipa::ToSchema;

use super::{interval, refuse_deleting};

/// Changes to a source. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebSourceChanges {
    /// Whether it is crawled no more until it is resumed. Its documents stay.
    #[garde(skip)]
    paused: Option<bool>,
    /// How many hours after a crawl the next one begins; null for only when it is asked for.
    #[garde(inner(custom(interval)))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 8_760)]
    interval_hours: Option<Option<u32>>,
    /// The most pages that are read of a sitemap, from the next crawl on.
    #[garde(inner(range(min = 1, max = MAX_PAGES)))]
    #[schema(minimum = 1, maximum = 10_000)]
    max_pages: Option<u32>,
}

/// Pause or resume a source, or change how it is crawled. A crawl that a pause interrupted goes on
/// when it is resumed.
#[utoipa::path(
    patch, path = "/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}",
    tag = "knowledge-bases", operation_id = "update_source",
    params(
        ("knowledge_base_id" = KnowledgeBaseId, Path),
        ("source_id" = SourceId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = WebSourceChanges,
    security(("bearer" = ["knowledge:write"])),
    responses((status = 200, body = WebSource), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    source: Owned<WebSource, Write>,
    if_match: IfMatch,
    Json(body): Json<WebSourceChanges>,
) -> Result<Versioned<WebSource>, Problem> {
    if_match.check(source.item.version, "source")?;
    refuse_deleting(&source.item)?;
    let is_page = source.item.kind == WebSourceKind::Page;
    let changes = SourceChanges {
        paused: body.paused,
        interval_hours: body.interval_hours,
        max_pages: body.max_pages.filter(|_| !is_page),
    };
    let sources = app.store().sources(source.caller.tenant());
    let cause = source.caller.cause();
    let updated = sources.update(&cause, &source.item, changes).await?;
    Ok(Versioned::new(updated.version, updated))
}
