use api::{Caller, Problems};
use axum::Json;
use kernel::OrgId;
use serde::Serialize;
use utoipa::ToSchema;

/// On whose behalf the function is called.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = sample_summary)]
pub(crate) struct Summary {
    /// The organization that the caller acts for.
    org: OrgId,
}

/// On whose behalf the function is called.
#[utoipa::path(
    get, path = "/v1/sample", tag = "sample", operation_id = "show_sample",
    security(("bearer" = [])),
    responses((status = 200, body = Summary), Problems),
)]
pub(crate) async fn show(caller: Caller) -> Json<Summary> {
    Json(Summary {
        org: caller.tenant().org(),
    })
}
