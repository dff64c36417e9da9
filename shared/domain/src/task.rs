//! Tasks: units of work given to an agent or a person.

use kernel::{AgentId, ExecutionId, OrgId, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

/// The most characters of a task's description.
pub const MAX_DESCRIPTION: usize = 10_000;

/// A unit of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    pub id: TaskId,
    pub org: OrgId,
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub status: TaskStatus,
    pub priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignee: Option<Assignee>,
    /// Whether assigning the task to an agent starts an execution at once.
    pub auto_run: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due_at: Option<Timestamp>,
    /// The newest execution that works on the task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution: Option<ExecutionId>,
    /// What came of it, once completed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<String>,
    pub created_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the task.
    pub version: u64,
}

/// Who is to do a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Assignee {
    Agent { id: AgentId },
    User { id: UserId },
}

/// How urgent a task is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// Where a task stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Nobody has it.
    Todo,
    /// Somebody has it and has not begun.
    Assigned,
    /// Work is under way.
    InProgress,
    /// Work waits for something outside.
    Blocked,
    /// Done.
    Completed,
    /// Given up.
    Cancelled,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[
        Self::Todo,
        Self::Assigned,
        Self::InProgress,
        Self::Blocked,
        Self::Completed,
        Self::Cancelled,
    ];

    /// The stable name of the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Assigned => "assigned",
            Self::InProgress => "in_progress",
            Self::Blocked => "blocked",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a task may go from this status to `next`. Staying is not a transition.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use TaskStatus::{Assigned, Blocked, Cancelled, Completed, InProgress, Todo};
        match self {
            Todo => matches!(next, Assigned | Cancelled),
            Assigned => matches!(next, Todo | InProgress | Blocked | Cancelled),
            InProgress => matches!(next, Assigned | Blocked | Completed | Cancelled),
            Blocked => matches!(next, Assigned | InProgress | Cancelled),
            Completed | Cancelled => false,
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

/// A change of status that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is `{}` cannot become `{}`{}", from.name(), to.name(), self.hint())]
pub struct IllegalTransition {
    pub from: TaskStatus,
    pub to: TaskStatus,
}

impl IllegalTransition {
    /// The one transition that is legal only together with something else.
    const fn hint(self) -> &'static str {
        match (self.from, self.to) {
            (TaskStatus::Todo, TaskStatus::Assigned) => " without somebody to do it: assign it",
            _ => "",
        }
    }
}

impl Task {
    /// Moves the task to `status`. One that goes back to `todo` is nobody's again.
    ///
    /// # Errors
    /// [`IllegalTransition`] leaves the task as it was.
    pub fn transition(&mut self, status: TaskStatus) -> Result<(), IllegalTransition> {
        let nobodys = status == TaskStatus::Assigned && self.assignee.is_none();
        if nobodys || !self.status.may_become(status) {
            return Err(IllegalTransition {
                from: self.status,
                to: status,
            });
        }
        self.status = status;
        if status == TaskStatus::Todo {
            self.assignee = None;
        }
        Ok(())
    }

    /// Gives the task to somebody, whether or not somebody has it. They have not begun.
    ///
    /// # Errors
    /// [`IllegalTransition`] leaves the task as it was.
    pub fn assign(&mut self, assignee: Assignee) -> Result<(), IllegalTransition> {
        let former = self.assignee.replace(assignee);
        if self.status == TaskStatus::Assigned {
            return Ok(());
        }
        self.transition(TaskStatus::Assigned)
            .inspect_err(|_| self.assignee = former)
    }

    /// What an agent is asked that works on the task.
    #[must_use]
    pub fn brief(&self) -> String {
        if self.description.is_empty() {
            return self.title.clone();
        }
        format!("{}\n\n{}", self.title, self.description)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn from_every_open_status_an_end_can_be_reached_and_none_is_left() {
        for start in TaskStatus::ALL {
            let mut reached = BTreeSet::from([*start]);
            loop {
                let next: BTreeSet<_> = reached
                    .iter()
                    .flat_map(|from| TaskStatus::ALL.iter().filter(|to| from.may_become(**to)))
                    .copied()
                    .chain(reached.iter().copied())
                    .collect();
                if next == reached {
                    break;
                }
                reached = next;
            }
            if start.is_terminal() {
                assert_eq!(reached.len(), 1, "{start:?}");
            } else {
                assert!(reached.contains(&TaskStatus::Completed), "{start:?}");
                assert!(reached.contains(&TaskStatus::Cancelled), "{start:?}");
            }
        }
    }

    fn status() -> impl Strategy<Value = TaskStatus> {
        prop::sample::select(TaskStatus::ALL)
    }

    fn task() -> Task {
        Task {
            id: TaskId::from_u128(1),
            org: OrgId::from_u128(2),
            title: "Read the handbook".to_owned(),
            description: String::new(),
            status: TaskStatus::Todo,
            priority: Priority::default(),
            assignee: None,
            auto_run: false,
            due_at: None,
            execution: None,
            result: None,
            created_by: Actor::System,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            version: 1,
        }
    }

    #[test]
    fn a_refused_assignment_leaves_the_task_as_it_was() {
        let mut done = Task {
            status: TaskStatus::Completed,
            ..task()
        };
        let before = done.clone();
        let refused = done.assign(Assignee::User {
            id: UserId::from_u128(7),
        });
        assert_eq!(refused.unwrap_err().to.name(), "assigned");
        assert_eq!(done, before);
    }

    #[test]
    fn nobodys_task_becomes_assigned_by_assigning_it_only() {
        let refused = task().transition(TaskStatus::Assigned).unwrap_err();
        assert!(refused.to_string().ends_with("assign it"), "{refused}");
    }

    #[test]
    fn the_brief_is_the_title_and_what_follows_it() {
        assert_eq!(task().brief(), "Read the handbook");
        let more = Task {
            description: "Chapter 2.".to_owned(),
            ..task()
        };
        assert_eq!(more.brief(), "Read the handbook\n\nChapter 2.");
    }

    proptest! {
        #[test]
        fn no_path_leaves_an_end_and_none_completes_unbegun(path in prop::collection::vec(status(), 1..20)) {
            let mut current = TaskStatus::Todo;
            let mut begun = false;
            for next in path {
                if current.may_become(next) {
                    prop_assert!(!current.is_terminal());
                    prop_assert_ne!(current, next);
                    current = next;
                    begun |= current == TaskStatus::InProgress;
                }
            }
            prop_assert!(current != TaskStatus::Completed || begun);
        }

        #[test]
        fn whatever_is_under_way_is_somebodys(
            path in prop::collection::vec(prop::option::of(status()), 1..20)
        ) {
            let mut task = task();
            for next in path {
                let _ = match next {
                    Some(status) => task.transition(status),
                    None => task.assign(Assignee::User { id: UserId::from_u128(7) }),
                };
                match task.status {
                    TaskStatus::Todo => prop_assert_eq!(task.assignee, None),
                    TaskStatus::Cancelled => {}
                    _ => prop_assert!(task.assignee.is_some(), "{:?}", task.status),
                }
            }
        }
    }
}
