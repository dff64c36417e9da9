use api::{Owned, Problems, Read, Versioned};
use domain::swarm::Swarm;
use kernel::SwarmId;

/// A swarm as it stands.
#[utoipa::path(
    get, path = "/v1/swarms/{swarm_id}", tag = "swarms", operation_id = "get_swarm",
    params(("swarm_id" = SwarmId, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Swarm), Problems),
)]
pub(crate) async fn get(swarm: Owned<Swarm, Read>) -> Versioned<Swarm> {
    Versioned::new(swarm.version, swarm.item)
}
