use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::audit::AuditEntry;

/// Audit entries of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "list_audit_entries",
    params(PageQuery),
    security(("bearer" = ["audit:read"])),
    responses((status = 200, body = Listing<AuditEntry>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<AuditEntry, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<AuditEntry>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "audit")?;
    let entries = app.store().audit(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "audit", entries)))
}
