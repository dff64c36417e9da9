use kernel::{ApiKeyId, UserId};
use serde_json::json;

use super::*;
use crate::org::Role;
use crate::permission::Permission;

const ADA: UserId = UserId::from_u128(1);
const BOB: UserId = UserId::from_u128(2);
const NOW: Timestamp = Timestamp::from_millis(5_000);

fn policy(role: Role, approvers: &[UserId]) -> ApprovalPolicy {
    ApprovalPolicy {
        role,
        approvers: approvers.to_vec(),
        ..ApprovalPolicy::default()
    }
}

fn subjects() -> [ApprovalSubject; 3] {
    let tool = "refund".to_owned();
    let arguments = json!({ "order": 7 });
    [
        ApprovalSubject::ToolCall {
            tool: tool.clone(),
            arguments: arguments.clone(),
        },
        ApprovalSubject::Question {
            question: "How much?".to_owned(),
        },
        ApprovalSubject::UnknownOutcome {
            tool,
            arguments,
            idempotency_key: "exe-1-1".to_owned(),
        },
    ]
}

fn approval(subject: ApprovalSubject, on_expiry: OnExpiry) -> Approval {
    Approval {
        id: ApprovalId::from_u128(1),
        org: OrgId::from_u128(1),
        execution: ExecutionId::from_u128(1),
        agent: AgentId::from_u128(1),
        step: 1,
        call: 1,
        subject,
        policy: ApprovalPolicy {
            on_expiry,
            ..ApprovalPolicy::default()
        },
        state: ApprovalState::Pending,
        answer: None,
        created_at: Timestamp::from_millis(0),
        expires_at: NOW,
        updated_at: Timestamp::from_millis(0),
        version: 3,
    }
}

#[test]
fn a_person_needs_the_role_and_where_people_are_named_the_name() {
    let person = |id, role| Answerer::Person { id, role };
    for (needed, named, who, expected) in [
        (Role::Member, &[][..], person(ADA, Role::Member), Ok(())),
        (
            Role::Manager,
            &[],
            person(ADA, Role::Member),
            Err(NotAdmitted::Role(Role::Manager)),
        ),
        (Role::Manager, &[], person(ADA, Role::Admin), Ok(())),
        (Role::Member, &[ADA], person(ADA, Role::Member), Ok(())),
        (
            Role::Member,
            &[ADA],
            person(BOB, Role::Admin),
            Err(NotAdmitted::Unnamed),
        ),
        (
            Role::Admin,
            &[ADA, BOB],
            person(BOB, Role::Manager),
            Err(NotAdmitted::Role(Role::Admin)),
        ),
    ] {
        assert_eq!(policy(needed, named).admits(who), expected, "{who:?}");
    }
}

#[test]
fn a_machine_answers_where_nobody_is_named_and_never_as_an_agent() {
    let agent = Some(AgentId::from_u128(1));
    let machine = |role, agent| Answerer::Machine { role, agent };
    assert_eq!(
        policy(Role::Member, &[]).admits(machine(Role::Member, None)),
        Ok(())
    );
    assert_eq!(
        policy(Role::Manager, &[]).admits(machine(Role::Member, None)),
        Err(NotAdmitted::Role(Role::Manager))
    );
    assert_eq!(
        policy(Role::Member, &[ADA]).admits(machine(Role::Admin, None)),
        Err(NotAdmitted::Unnamed)
    );
    for named in [&[][..], &[ADA]] {
        assert_eq!(
            policy(Role::Member, named).admits(machine(Role::Admin, agent)),
            Err(NotAdmitted::Agent)
        );
    }
}

#[test]
fn scopes_amount_to_a_role_only_if_they_are_all_of_it() {
    let role = |scopes: &[Permission]| {
        let scopes = scopes.iter().copied().collect();
        match Answerer::machine(&scopes, None) {
            Answerer::Machine { role, .. } => role,
            Answerer::Person { .. } => panic!("a machine is no person"),
        }
    };
    let of = |role: Role| -> Vec<Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(|one| one.granted_to_role(role)).collect()
    };
    assert_eq!(role(&[Permission::ExecutionWrite]), Role::Member);
    assert_eq!(role(&of(Role::Manager)), Role::Manager);
    assert_eq!(role(Permission::ALL), Role::Admin);
    for whole in [Role::Manager, Role::Admin] {
        for missing in 0..of(whole).len() {
            let mut scopes = of(whole);
            scopes.remove(missing);
            assert!(role(&scopes) < whole, "without {missing}");
        }
    }
}

#[test]
fn each_subject_has_its_own_decisions() {
    let names: Vec<Vec<&str>> = subjects()
        .iter()
        .map(|subject| subject.decisions().iter().map(|one| one.name()).collect())
        .collect();
    assert_eq!(
        names,
        [
            vec!["approve", "reject"],
            vec!["reject", "reply"],
            vec!["reject", "retry", "succeeded"]
        ]
    );
}

#[test]
fn names_are_those_of_the_serialised_form_and_read_back() {
    for decision in Decision::ALL {
        assert_eq!(serde_json::to_value(decision).unwrap(), decision.name());
        assert_eq!(Decision::named(decision.name()), Some(*decision));
    }
    for state in ApprovalState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        assert_eq!(ApprovalState::named(state.name()), Some(*state));
    }
    for subject in subjects() {
        let stored = serde_json::to_value(&subject).unwrap();
        assert_eq!(stored["kind"], subject.kind());
    }
    assert_eq!(Decision::named("Approve"), None);
    assert_eq!(ApprovalState::named(""), None);
}

#[test]
fn expiry_makes_a_waiting_call_at_most_and_never_one_that_may_have_happened() {
    for on_expiry in [OnExpiry::Reject, OnExpiry::Approve, OnExpiry::Expire] {
        for subject in subjects() {
            let is_call = subject.kind() == "tool_call";
            let ended = approval(subject, on_expiry).expired(NOW);
            assert_eq!((ended.state, ended.version), (ApprovalState::Expired, 4));
            let decision = ended.answer.as_ref().map(|answer| {
                assert_eq!(
                    (answer.by, answer.via),
                    (Actor::System, AnsweredVia::Expiry)
                );
                answer.decision
            });
            let expected = match on_expiry {
                OnExpiry::Expire => None,
                OnExpiry::Approve if is_call => Some(Decision::Approve),
                _ => Some(Decision::Reject),
            };
            assert_eq!(decision, expected, "{on_expiry:?} {}", ended.subject.kind());
            assert!(decision.is_none_or(|decision| ended.subject.allows(decision)));
        }
    }
}

#[test]
fn time_is_over_at_the_expiry_and_not_before() {
    let [subject, ..] = subjects();
    let approval = approval(subject, OnExpiry::Reject);
    assert!(!approval.is_over(Timestamp::from_millis(4_999)));
    assert!(approval.is_over(NOW));
}

#[test]
fn an_answer_repeats_another_by_who_and_what_and_not_by_when_and_how() {
    let answer = ApprovalAnswer {
        decision: Decision::Approve,
        by: Actor::User { id: ADA },
        via: AnsweredVia::Api,
        reason: Some("Fine.".to_owned()),
        arguments: Some(json!({ "order": 8 })),
        text: None,
        at: NOW,
    };
    let again = ApprovalAnswer {
        via: AnsweredVia::Link,
        at: Timestamp::from_millis(9_000),
        ..answer.clone()
    };
    assert!(again.repeats(&answer));
    let others = [
        ApprovalAnswer {
            by: Actor::User { id: BOB },
            ..answer.clone()
        },
        ApprovalAnswer {
            by: Actor::ApiKey {
                id: ApiKeyId::from_u128(1),
            },
            ..answer.clone()
        },
        ApprovalAnswer {
            decision: Decision::Reject,
            ..answer.clone()
        },
        ApprovalAnswer {
            reason: None,
            ..answer.clone()
        },
        ApprovalAnswer {
            arguments: None,
            ..answer.clone()
        },
        ApprovalAnswer {
            text: Some("More.".to_owned()),
            ..answer.clone()
        },
    ];
    for other in others {
        assert!(!other.repeats(&answer), "{other:?}");
    }
}
