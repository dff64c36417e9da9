use axum::Json;
use http::HeaderName;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ready::Status;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Health changes from one moment to the next: no cache may keep it.
pub(crate) const UNCACHED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// That the function runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Liveness {
    /// Always `ok`: whoever is down does not answer.
    status: Status,
    /// The version that runs.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Liveness: the function runs. Asks nothing of anybody else.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "get_health",
    responses((status = 200, body = Liveness)),
)]
pub(crate) async fn live() -> ([(HeaderName, &'static str); 1], Json<Liveness>) {
    (
        UNCACHED,
        Json(Liveness {
            status: Status::Ok,
            version: VERSION,
        }),
    )
}
