use api::{Owned, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::file::File;
use garde::Validate;
use kernel::FileId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::outline::{check_read, extracted};

/// The most characters of one answer.
const MAX_CHARACTERS: u32 = 100_000;

/// Which part of the text to give.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TextQuery {
    /// The first character, from 0.
    #[garde(skip)]
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    start: u32,
    /// How many characters, fewer at the end of the text.
    #[garde(range(min = 1, max = MAX_CHARACTERS))]
    #[serde(default = "default_length")]
    #[param(minimum = 1, maximum = 100_000, default = 10_000)]
    length: u32,
}

const fn default_length() -> u32 {
    10_000
}

/// A part of the text that was read from a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileText {
    /// Its first character, from 0.
    start: u32,
    /// One past its last character.
    end: u32,
    /// The length of the whole text, in characters (Unicode scalar values).
    characters: u64,
    text: String,
}

/// A part of the text that was read from a file: the one that `start` and `end` of passages and
/// headings count the characters of.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/text", tag = "files", operation_id = "get_file_text",
    params(("file_id" = FileId, Path), TextQuery),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = FileText), Problems),
)]
pub(crate) async fn text(
    State(app): State<api::App>,
    file: Owned<File, Read>,
    Query(query): Query<TextQuery>,
) -> Result<Json<FileText>, Problem> {
    check_read(&file)?;
    let characters = file.characters.unwrap_or(0);
    let TextQuery { start, length } = query;
    let text = if u64::from(start) < characters {
        let end = start.saturating_add(length);
        extracted(&app, &file).text(start, end).await
    } else {
        Ok(String::new())
    };
    let text = text.map_err(crate::outline::lost)?;
    let given = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    Ok(Json(FileText {
        start,
        end: start.saturating_add(given),
        characters,
        text,
    }))
}
