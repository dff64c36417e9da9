//! Budgets: who may spend how much, what is set aside, and the ledger that adds up to it.

use kernel::{AgentId, ExecutionId, LedgerEntryId, MicroCredits, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::execution::Execution;

/// The most that can be granted to an account, and the most that one call can cost, in
/// micro-credits: a thousand million credits. Sums of it stay far within 64 bits, and each within
/// what JavaScript counts exactly.
pub const MAX_AMOUNT: MicroCredits = MicroCredits::new(1_000_000_000_000_000);

/// What a budget belongs to. A call is paid from every account above it that has a budget.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Account {
    /// The whole org.
    Org,
    /// One agent, in all its runs.
    Agent { id: AgentId },
    /// One run and every run that it calls.
    Execution { id: ExecutionId },
}

impl Account {
    /// The accounts that a call of this run is paid from, where they have a budget.
    #[must_use]
    pub fn of_run(execution: &Execution) -> [Self; 3] {
        [
            Self::Org,
            Self::Agent {
                id: execution.agent,
            },
            Self::Execution {
                id: execution.root(),
            },
        ]
    }

    /// The id of what the account belongs to, in this org.
    #[must_use]
    pub fn owner(&self, org: OrgId) -> String {
        match self {
            Self::Org => org.to_string(),
            Self::Agent { id } => id.to_string(),
            Self::Execution { id } => id.to_string(),
        }
    }

    /// What the account belongs to, in one word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Org => "organization",
            Self::Agent { .. } => "agent",
            Self::Execution { .. } => "execution",
        }
    }
}

/// What an account may spend. Always: `available = granted - spent - reserved`, which is also the
/// sum of the amounts in its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    pub org: OrgId,
    pub account: Account,
    /// What was given to it in all, in micro-credits.
    pub granted: MicroCredits,
    /// What was spent.
    pub spent: MicroCredits,
    /// What is set aside for calls that are under way.
    pub reserved: MicroCredits,
    /// What can still be set aside. Below zero where calls cost more than was set aside for them,
    /// or where the budget was lowered below what was spent.
    pub available: MicroCredits,
    /// Whether credits are counted and not limited: only steps are.
    #[serde(skip_serializing_if = "is_false", default)]
    pub credits_unlimited: bool,
    /// Model calls that may still be made, where their number is limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub steps_left: Option<u64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Budget {
    /// A budget of which nothing was spent. Without `granted`, credits are counted and not limited.
    #[must_use]
    pub fn new(
        org: OrgId,
        account: Account,
        granted: Option<MicroCredits>,
        steps: Option<u64>,
        now: Timestamp,
    ) -> Self {
        let credits = granted.unwrap_or(MicroCredits::ZERO);
        Self {
            org,
            account,
            granted: credits,
            spent: MicroCredits::ZERO,
            reserved: MicroCredits::ZERO,
            available: credits,
            credits_unlimited: granted.is_none(),
            steps_left: steps,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}

/// Credits that are set aside for one call, from the accounts that had a budget when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reservation {
    pub step: u32,
    pub call: u32,
    pub amount: MicroCredits,
    pub accounts: Vec<Account>,
}

/// One change of what an account has available. Never changed, never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerEntry {
    pub id: LedgerEntryId,
    pub org: OrgId,
    pub account: Account,
    pub kind: LedgerEntryKind,
    /// What `available` changed by, in micro-credits.
    pub amount: MicroCredits,
    /// What was spent by this entry; zero but for `settle` and `charge`.
    #[serde(default)]
    pub spent: MicroCredits,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call: Option<LedgerCall>,
    pub at: Timestamp,
}

/// The call that a ledger entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerCall {
    pub execution: ExecutionId,
    pub step: u32,
    pub call: u32,
    /// The model or tool that is paid.
    pub payee: String,
}

/// Why what is available changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerEntryKind {
    /// The budget was set, raised or lowered.
    Grant,
    /// Credits were set aside before a call.
    Reserve,
    /// A call ended: what was set aside came back, what it cost went.
    Settle,
    /// What was set aside came back: the call was never made, or nobody can tell what it cost.
    Release,
    /// A call ended after its reservation was gone.
    Charge,
    /// The budget was removed, and what it had left with it.
    Close,
}
