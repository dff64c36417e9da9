//! Approval policies as clients write them.

use domain::approval::{ApprovalPolicy, MAX_APPROVERS, OnExpiry};
use domain::org::Role;
use garde::Validate;
use kernel::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

/// Who may answer, until when, and what follows if nobody does.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApprovalPolicy)]
pub struct ApprovalPolicyBody {
    /// The least role of who answers.
    #[garde(skip)]
    #[serde(default)]
    role: Option<Role>,
    /// Only these people may answer, if any are named; they need the role as well.
    #[garde(length(max = MAX_APPROVERS))]
    #[schema(max_items = 16)]
    #[serde(default)]
    approvers: Vec<UserId>,
    /// Seconds until the approval expires.
    #[garde(range(min = 1, max = ApprovalPolicy::MAX_SECONDS))]
    #[schema(minimum = 1, maximum = 2_592_000, default = 86_400)]
    expires_in_seconds: Option<u32>,
    /// What follows when it expires.
    #[garde(skip)]
    #[serde(default)]
    on_expiry: OnExpiry,
    /// Whether the arguments may be edited by who approves; they may if this is absent.
    #[garde(skip)]
    may_edit: Option<bool>,
}

impl From<ApprovalPolicyBody> for ApprovalPolicy {
    fn from(body: ApprovalPolicyBody) -> Self {
        let usual = Self::default();
        Self {
            role: body.role.unwrap_or(usual.role),
            approvers: body.approvers,
            expires_in_seconds: body.expires_in_seconds.unwrap_or(usual.expires_in_seconds),
            on_expiry: body.on_expiry,
            may_edit: body.may_edit.unwrap_or(usual.may_edit),
        }
    }
}
