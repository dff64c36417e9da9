use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use store::health::{Probe, Probes};
use utoipa::ToSchema;

use crate::live::{UNCACHED, VERSION};

/// How well something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HealthStatus)]
pub(crate) enum Status {
    /// It answers.
    Ok,
    /// Some of it does not answer; what does not need that goes on.
    Degraded,
    /// It does not answer.
    Down,
}

/// Whether what the product stands on answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    status: Status,
    /// The version that runs.
    #[schema(example = "0.1.0")]
    version: &'static str,
    dependencies: Dependencies,
}

/// What the product stands on, each asked at the same time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DependenciesHealth)]
pub(crate) struct Dependencies {
    /// Everything is kept here: without it nothing goes.
    database: Dependency,
    /// Contents of files: without it files can be neither given nor read.
    files: Dependency,
    /// What wakes workers: without it work is taken and done late.
    queues: Dependency,
}

/// How one of them did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DependencyHealth)]
pub(crate) struct Dependency {
    status: Status,
    /// Milliseconds until it answered, failed, or was given up after 2,000.
    #[schema(example = 4)]
    latency_ms: u64,
}

impl From<Probe> for Dependency {
    fn from(probe: Probe) -> Self {
        Self {
            status: if probe.answered {
                Status::Ok
            } else {
                Status::Down
            },
            latency_ms: u64::try_from(probe.latency.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Readiness: asks the database, the file store and the queues, and says how each does.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "get_readiness",
    responses(
        (status = 200, description = "All or most of it works.", body = Readiness),
        (status = 503, description = "Nothing works.", body = Readiness),
    ),
)]
pub(crate) async fn ready(State(app): State<api::App>) -> Response {
    let probes = app.store().probe().await;
    let status = overall(&probes);
    let code = match status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    let readiness = Readiness {
        status,
        version: VERSION,
        dependencies: Dependencies {
            database: probes.tables.into(),
            files: probes.objects.into(),
            queues: probes.queues.into(),
        },
    };
    (code, UNCACHED, Json(readiness)).into_response()
}

fn overall(probes: &Probes) -> Status {
    if !probes.tables.answered {
        Status::Down
    } else if probes.objects.answered && probes.queues.answered {
        Status::Ok
    } else {
        Status::Degraded
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_tables_it_is_down_and_without_the_others_degraded() {
        let of = |tables, objects, queues| {
            let probe = |answered| Probe {
                answered,
                latency: Duration::from_millis(3),
            };
            overall(&Probes {
                tables: probe(tables),
                objects: probe(objects),
                queues: probe(queues),
            })
        };
        assert_eq!(of(true, true, true), Status::Ok);
        assert_eq!(of(true, false, true), Status::Degraded);
        assert_eq!(of(true, true, false), Status::Degraded);
        assert_eq!(of(true, false, false), Status::Degraded);
        assert_eq!(of(false, true, true), Status::Down);
    }
}
