//! On whose behalf a link answers, and whether they still may.

use api::{App, Problem};
use domain::approval::Answerer;
use domain::event::Actor;
use domain::permission::Permission;
use kernel::UserId;
use store::Tenant;

/// A member of the org as somebody who wants to answer.
pub(crate) async fn member(
    app: &App,
    tenant: Tenant,
    id: UserId,
) -> Result<Option<Answerer>, Problem> {
    let member = app.store().org(tenant).admission(id).await?;
    Ok(member
        .filter(|member| Permission::ExecutionWrite.granted_to_role(member.role))
        .map(|member| Answerer::Person {
            id,
            role: member.role,
        }))
}

/// Whoever a link answers for, as they stand now: a link does not outlive what its holder may do.
pub(crate) async fn holder(
    app: &App,
    tenant: Tenant,
    holder: Actor,
) -> Result<Option<Answerer>, Problem> {
    match holder {
        Actor::User { id } => member(app, tenant, id).await,
        Actor::ApiKey { id } => {
            let (keys, org) = (app.store().api_keys(tenant), app.store().org(tenant));
            let (key, org) = tokio::try_join!(keys.get(id), org.get())?;
            let now = app.store().now();
            let usable = key.filter(|key| {
                org.is_some()
                    && key.revoked_at.is_none()
                    && key.expires_at.is_none_or(|expiry| now < expiry)
                    && key.scopes.contains(&Permission::ExecutionWrite)
            });
            Ok(usable.map(|key| Answerer::machine(&key.scopes, key.agent)))
        }
        Actor::Agent { .. } | Actor::System => Ok(None),
    }
}
