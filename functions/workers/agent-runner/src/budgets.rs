//! `budget.raised`: runs that waited for an account's credits go on.
//!
//! Only those that waited before the budget was raised are concerned: whoever parks later has seen
//! the new balance. So a run is resumed once for each raise, however often this job is repeated,
//! and one that finds the credits gone again waits for the next raise.

use std::time::Duration;

use domain::budget::{Account, Budget};
use domain::event::Actor;
use domain::execution::{Execution, ExecutionState};
use kernel::cursor::PageRequest;
use kernel::{MicroCredits, Timestamp};
use serde_json::json;
use store::budgets::RaisedPayload;
use store::{Cause, ReadError, Store, Tenant};
use work::{Attempt, Outcome};

const PAGE: u32 = 50;
/// How far the clocks of those who raise and those who park may be apart.
const SKEW: Duration = Duration::from_secs(10);

/// Resumes what waited for the account that the job names, as long as it has credits.
pub(crate) async fn raised(store: &Store, attempt: &Attempt) -> Outcome {
    let account = match attempt.payload::<RaisedPayload>() {
        Ok(payload) => payload.account,
        Err(outcome) => return outcome,
    };
    let tenant = Tenant::authorised(attempt.job.org);
    let cause = Cause {
        actor: Actor::System,
        correlation_id: attempt.job.correlation_id.clone(),
    };
    let raised_at = attempt.job.created_at;
    let executions = store.executions(tenant);
    let mut resumed = 0u64;
    let mut after = None;
    loop {
        match store.budgets(tenant).get(account).await {
            Ok(budget) if is_exhausted(budget.as_ref()) => break,
            Ok(_) => {}
            Err(error) => return later(&error),
        }
        let page = match executions
            .over_budget(&PageRequest { limit: PAGE, after })
            .await
        {
            Ok(page) => page,
            Err(error) => return later(&error),
        };
        for run in page.items {
            if !waited_for(&run, account, raised_at) {
                continue;
            }
            if attempt.cancel.is_cancelled() {
                return Outcome::Cancelled;
            }
            if attempt.budget.should_yield() {
                return Outcome::Yield;
            }
            let state = ExecutionState::OverBudget;
            match executions.release(&cause, &run, state).await {
                Ok(_) => resumed += 1,
                // Somebody else moves it at this moment; it finds the credits by itself.
                Err(error) if error.is_changed() => {}
                Err(error) => return Outcome::retry("store_unavailable", store::explain(&error)),
            }
        }
        attempt.progress.report(resumed, None, "");
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Outcome::done_with(json!({ "resumed": resumed }))
}

/// Whether nobody can be helped by what the account has. One without a budget has enough.
fn is_exhausted(budget: Option<&Budget>) -> bool {
    budget.is_some_and(|budget| !budget.credits_unlimited && budget.available <= MicroCredits::ZERO)
}

/// Whether a run has waited for this account since before its budget was raised.
fn waited_for(run: &Execution, account: Account, raised_at: Timestamp) -> bool {
    let waits_for = run.waiting.as_ref().and_then(|waiting| waiting.account);
    waits_for.is_none_or(|other| other == account) && run.updated_at <= raised_at.plus(SKEW)
}

fn later(error: &ReadError) -> Outcome {
    Outcome::retry("store_unavailable", error.to_string())
}

#[cfg(test)]
mod tests {
    use kernel::{AgentId, OrgId};

    use super::*;

    fn parked(account: Option<Account>, at: &str) -> Execution {
        serde_json::from_value(json!({
            "id": "exe_00000000000000000000000004", "org": "org_00000000000000000000000001",
            "agent": "agt_00000000000000000000000003", "agent_version": 1, "input": "?",
            "state": "over_budget", "steps": 0, "limits": {}, "citations": [],
            "usage": { "model_calls": 0, "tool_calls": 0, "input_tokens": 0, "output_tokens": 0 },
            "job": "job_00000000000000000000000007", "requested_by": { "kind": "system" },
            "correlation_id": "c", "last_sequence": 0, "created_at": "2026-01-01T00:00:00Z",
            "waiting": { "reason": "No credits.", "account": account },
            "updated_at": at, "version": 1,
        }))
        .expect("a run")
    }

    #[test]
    fn who_waited_for_this_account_before_the_raise_is_concerned() {
        let raised_at: Timestamp = "2026-01-01T01:00:00Z".parse().expect("a moment");
        let agent = Account::Agent {
            id: AgentId::from_u128(3),
        };
        for (account, at, expected) in [
            (Some(Account::Org), "2026-01-01T00:30:00Z", true),
            (Some(Account::Org), "2026-01-01T01:00:09Z", true),
            (Some(Account::Org), "2026-01-01T01:00:11Z", false),
            (Some(agent), "2026-01-01T00:30:00Z", false),
            (None, "2026-01-01T00:30:00Z", true),
        ] {
            let run = parked(account, at);
            assert_eq!(
                waited_for(&run, Account::Org, raised_at),
                expected,
                "{account:?} {at}"
            );
        }
    }

    #[test]
    fn an_account_without_a_budget_or_without_a_limit_is_never_exhausted() {
        let now = Timestamp::from_millis(0);
        let org = OrgId::from_u128(1);
        let budget = |granted| Budget::new(org, Account::Org, granted, Some(1), now);
        assert!(!is_exhausted(None));
        assert!(!is_exhausted(Some(&budget(None))));
        assert!(!is_exhausted(Some(&budget(Some(MicroCredits::new(1))))));
        assert!(is_exhausted(Some(&budget(Some(MicroCredits::ZERO)))));
    }
}
