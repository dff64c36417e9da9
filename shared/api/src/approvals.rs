//! Who may answer an approval: those who may change executions, and among them those whom its
//! policy admits.

use domain::approval::{Answerer, Approval};
use domain::event::EventKind;
use domain::org::Role;
use domain::permission::Permission;
use domain::user::PlatformRole;
use serde_json::json;
use store::Commit;

use crate::app::App;
use crate::caller::{Caller, Principal};
use crate::problem::Problem;

impl Caller {
    /// The caller as somebody who wants to answer: a member with their role, a platform admin as an
    /// admin, a machine with the role that its scopes amount to. Nobody else answers.
    #[must_use]
    pub fn answerer(&self) -> Option<Answerer> {
        match self.principal() {
            Principal::Key(secret) => Some(Answerer::machine(&secret.scopes, secret.agent)),
            Principal::User(user) => {
                let is_root = user.platform_role == Some(PlatformRole::SuperAdmin);
                let role = self.role().max(is_root.then_some(Role::Admin));
                role.map(|role| Answerer::Person { id: user.id, role })
            }
        }
    }

    /// Refuses the request unless the policy of an approval lets the caller answer it. The refusal
    /// is an event.
    ///
    /// # Errors
    /// 403 with the reason in words.
    pub async fn require_admission(&self, approval: &Approval, app: &App) -> Result<(), Problem> {
        let reason = match self.answerer().map(|who| approval.policy.admits(who)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(reason)) => reason.to_string(),
            None => "only members of the organization answer approvals".to_owned(),
        };
        let data = json!({ "permission": Permission::ExecutionWrite, "reason": reason });
        let event = app.store().event(
            self.tenant(),
            &self.cause(),
            EventKind::PermissionDenied,
            approval.id,
            data,
        );
        let commit = Commit::new(self.tenant()).event(event);
        if let Err(error) = app.store().commit(commit).await {
            tracing::warn!(%error, approval = %approval.id, "a refused answer could not be noted");
        }
        Err(Problem::forbidden(format!("Not for you: {reason}.")))
    }
}
