use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn state() -> impl Strategy<Value = ExecutionState> {
    prop::sample::select(ExecutionState::ALL)
}

fn queued(max_seconds: u32) -> Execution {
    serde_json::from_value(json!({
        "id": "exe_00000000000000000000000004", "org": "org_00000000000000000000000001",
        "agent": "agt_00000000000000000000000003", "agent_version": 1, "input": "?",
        "state": "queued", "steps": 0, "limits": { "max_seconds": max_seconds },
        "citations": [], "usage": { "model_calls": 0, "tool_calls": 0, "input_tokens": 0,
        "output_tokens": 0 }, "job": "job_00000000000000000000000007",
        "requested_by": { "kind": "system" }, "correlation_id": "c", "last_sequence": 0,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "version": 1,
    }))
    .unwrap()
}

proptest! {
    #[test]
    fn no_path_leaves_an_end_and_none_completes_without_running(
        path in prop::collection::vec(state(), 1..20)
    ) {
        let mut current = ExecutionState::Queued;
        let mut ran = false;
        for next in path {
            if current.may_become(next) {
                prop_assert!(!current.is_terminal());
                prop_assert_ne!(current, next);
                current = next;
                ran |= current == ExecutionState::Running;
            }
        }
        prop_assert!(current != ExecutionState::Completed || ran);
    }

    #[test]
    fn every_open_state_has_a_deadline_and_the_running_time_is_what_was_given(
        path in prop::collection::vec((state(), 0u64..100_000), 1..40)
    ) {
        let mut execution = queued(120);
        let mut now = execution.created_at;
        let mut running = Duration::ZERO;
        let mut left = Duration::from_secs(120);
        for (next, pause) in path {
            let pause = Duration::from_millis(pause);
            if execution.state == ExecutionState::Running {
                // A worker notices the deadline: nobody runs beyond it.
                let pause = pause.min(execution.deadline().since(now));
                running += pause;
                left -= pause;
                now = now.plus(pause);
            } else {
                now = now.plus(pause);
            }
            if execution.transition(next, now).is_ok() {
                prop_assert_eq!(execution.state, next);
            }
            match execution.state {
                state if state.is_terminal() => {
                    prop_assert_eq!(execution.expires_at, None);
                    prop_assert!(execution.finished_at.is_some());
                    prop_assert!(execution.waiting.is_none());
                }
                ExecutionState::Running => prop_assert_eq!(execution.deadline().since(now), left),
                ExecutionState::Queued => prop_assert!(execution.deadline().since(now) <= MAX_QUEUED),
                _ => prop_assert!(execution.deadline().since(now) <= MAX_WAIT),
            }
        }
        prop_assert!(running <= Duration::from_secs(120));
    }
}

#[test]
fn the_table_of_transitions_is_as_decided() {
    let table: Vec<String> = ExecutionState::ALL
        .iter()
        .map(|from| {
            let next: Vec<&str> = ExecutionState::ALL
                .iter()
                .filter(|to| from.may_become(**to))
                .map(|to| to.name())
                .collect();
            format!("{} -> {}", from.name(), next.join(" "))
        })
        .collect();
    let expected = "\
queued -> running paused failed cancelled expired
running -> paused awaiting_input awaiting_auth over_budget completed failed cancelled expired
paused -> queued failed cancelled expired
awaiting_input -> queued paused failed cancelled expired
awaiting_auth -> queued paused failed cancelled expired
over_budget -> queued paused failed cancelled expired
completed -> \nfailed -> \ncancelled -> \nexpired -> ";
    assert_eq!(table.join("\n"), expected);
}

#[test]
fn every_open_state_can_be_cancelled_can_fail_and_can_expire() {
    for state in ExecutionState::ALL {
        for end in [
            ExecutionState::Cancelled,
            ExecutionState::Failed,
            ExecutionState::Expired,
        ] {
            assert_eq!(state.may_become(end), !state.is_terminal(), "{state:?}");
        }
        assert_eq!(ExecutionState::named(state.name()), Some(*state));
    }
}
