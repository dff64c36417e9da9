use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::swarm::Swarm;
use http::StatusCode;
use kernel::SwarmId;

/// Delete a swarm. Its agents stay; runs of it that are under way fail at their next step.
#[utoipa::path(
    delete, path = "/v1/swarms/{swarm_id}", tag = "swarms", operation_id = "delete_swarm",
    params(
        ("swarm_id" = SwarmId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on."),
    ),
    security(("bearer" = ["agents:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    swarm: Owned<Swarm, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(swarm.version, "swarm")?;
    let swarms = app.store().swarms(swarm.caller.tenant());
    swarms.delete(&swarm.caller.cause(), &swarm.item).await?;
    Ok(StatusCode::NO_CONTENT)
}
