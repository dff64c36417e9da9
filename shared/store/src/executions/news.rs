//! News of executions within one process: whoever waits for one is woken by whoever changes it, if
//! that is the same process. What others change is found by looking.

use domain::execution::ExecutionState;
use kernel::ExecutionId;
use tokio::sync::broadcast;

use super::Executions;

/// How many changes somebody may be behind before they look for themselves.
const KEPT: usize = 1_024;

/// A change of state that was committed.
pub(crate) type Changed = (ExecutionId, ExecutionState);

/// Tells of changes of state.
#[derive(Debug, Clone)]
pub(crate) struct Newsroom(broadcast::Sender<Changed>);

impl Newsroom {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    pub(crate) fn tell(&self, changed: Changed) {
        // Nobody may be waiting.
        let _ = self.0.send(changed);
    }
}

/// What this process changes in one execution from now on.
#[derive(Debug)]
pub struct News {
    execution: ExecutionId,
    changes: broadcast::Receiver<Changed>,
}

impl News {
    /// Returns once the execution has come into a state that is wanted, or when that cannot be told.
    /// Waits for ever if this process does not bring it there.
    pub async fn reached(&mut self, wanted: impl Fn(ExecutionState) -> bool) {
        loop {
            match self.changes.recv().await {
                Ok((execution, state)) if execution == self.execution && wanted(state) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Executions<'_> {
    /// What this process changes in an execution from now on.
    #[must_use]
    pub fn news_of(&self, execution: ExecutionId) -> News {
        News {
            execution,
            changes: self.store.newsroom.0.subscribe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_their_own_execution_and_by_the_states_they_want() {
        let newsroom = Newsroom::new();
        let own = ExecutionId::from_u128(1);
        let mut news = News {
            execution: own,
            changes: newsroom.0.subscribe(),
        };
        newsroom.tell((ExecutionId::from_u128(2), ExecutionState::Completed));
        newsroom.tell((own, ExecutionState::Running));
        let completed = |state| state == ExecutionState::Completed;
        let mut reached = std::pin::pin!(news.reached(completed));
        assert!(futures::poll!(reached.as_mut()).is_pending());
        newsroom.tell((own, ExecutionState::Completed));
        assert!(futures::poll!(reached.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn who_has_missed_something_looks_for_themselves() {
        let newsroom = Newsroom::new();
        let own = ExecutionId::from_u128(1);
        let mut news = News {
            execution: own,
            changes: newsroom.0.subscribe(),
        };
        for _ in 0..=KEPT {
            newsroom.tell((ExecutionId::from_u128(2), ExecutionState::Running));
        }
        let reached = std::pin::pin!(news.reached(|_| false));
        assert!(futures::poll!(reached).is_ready());
    }
}
