use api::{Owned, Problems, Read, Versioned};
use domain::approval::Approval;
use kernel::ApprovalId;

/// An approval as it stands.
#[utoipa::path(
    get, path = "/v1/approvals/{approval_id}", tag = "approvals", operation_id = "get_approval",
    params(("approval_id" = ApprovalId, Path)),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Approval), Problems),
)]
pub(crate) async fn get(approval: Owned<Approval, Read>) -> Versioned<Approval> {
    Versioned::new(approval.version, approval.item)
}
