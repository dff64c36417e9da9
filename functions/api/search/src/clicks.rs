use api::{Json, Problem, Problems};
use axum::extract::State;
use domain::search::{Click, ClickRefused, MAX_POSITION};
use garde::Validate;
use http::StatusCode;
use kernel::{OrgId, SearchId, Timestamp};
use serde::{Deserialize, Serialize};
use store::searches::ClickError;
use text_index::ItemKind;
use utoipa::ToSchema;

use crate::own::OwnSearch;
use crate::request::Kind;

/// The most characters of a hit's id.
const MAX_HIT_ID: usize = 200;

/// Which hit was followed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchClick)]
pub(crate) struct ClickBody {
    /// The kind of the hit.
    #[garde(skip)]
    kind: Kind,
    /// The id of the hit, as the search gave it.
    #[garde(length(chars, min = 1, max = MAX_HIT_ID))]
    #[schema(min_length = 1, max_length = 200)]
    id: String,
    /// Its place among the hits of all pages, from 1.
    #[garde(range(min = 1, max = MAX_POSITION))]
    #[schema(minimum = 1, maximum = 10_000)]
    position: u32,
}

/// A click, as it is known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotedClick {
    search_id: SearchId,
    kind: Kind,
    id: String,
    /// Where the hit stood when it was clicked for the first time.
    position: u32,
    /// When it was clicked for the first time.
    clicked_at: Timestamp,
}

/// Note that a hit of a search was followed. Only for who has searched; the same hit counts once,
/// however often this is said.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/search/{search_id}/clicks", tag = "search",
    operation_id = "click_search_hit",
    params(("org_id" = OrgId, Path), ("search_id" = SearchId, Path)),
    request_body = ClickBody,
    security(
        ("bearer" = ["knowledge:read"]),
        ("bearer" = ["agents:read"]),
        ("bearer" = ["tasks:read"]),
        ("bearer" = ["executions:read"]),
    ),
    responses((status = 200, body = NotedClick), Problems),
)]
pub(crate) async fn click(
    State(app): State<api::App>,
    own: OwnSearch,
    Json(body): Json<ClickBody>,
) -> Result<axum::Json<NotedClick>, Problem> {
    let click = Click {
        kind: ItemKind::from(body.kind).to_string(),
        id: body.id.clone(),
        position: body.position,
        at: app.store().now(),
    };
    let searches = app.store().searches(own.caller.tenant());
    let known = searches.click(&own.search, &click).await;
    let noted = known.map_err(refused)?.click_of(&click).unwrap_or(click);
    Ok(axum::Json(NotedClick {
        search_id: own.search.id,
        kind: body.kind,
        id: body.id,
        position: noted.position,
        clicked_at: noted.at,
    }))
}

fn refused(error: ClickError) -> Problem {
    match error {
        ClickError::Refused(refused @ ClickRefused::BeyondHits) => {
            Problem::invalid_field("/position", refused.to_string())
        }
        ClickError::Refused(refused @ ClickRefused::TooMany) => Problem::new(
            StatusCode::CONFLICT,
            "too_many_clicks",
            format!("{refused}."),
        ),
        ClickError::Store(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_that_cannot_be_is_a_problem_that_says_why() {
        let beyond = refused(ClickRefused::BeyondHits.into());
        assert_eq!(
            (beyond.status().as_u16(), beyond.code()),
            (422, "invalid_request")
        );
        let many = refused(ClickRefused::TooMany.into());
        assert_eq!(
            (many.status().as_u16(), many.code()),
            (409, "too_many_clicks")
        );
    }
}
