//! What a caller may let a key do: whoever holds the secret of a key can do all that the key can,
//! so nobody gets to see a secret that opens more than their own credentials.

use api::{Caller, Principal, Problem};
use domain::api_key::ApiKey;
use domain::permission::Permission;
use kernel::AgentId;

/// The agent that the caller acts as, if it is a key of one.
pub(crate) fn agent_of(caller: &Caller) -> Option<AgentId> {
    match caller.principal() {
        Principal::Key(secret) => secret.agent,
        Principal::User(_) => None,
    }
}

/// Refuses to hand out the secret of a key that may do more than the caller.
///
/// # Errors
/// 403, saying what the caller lacks.
pub(crate) fn check(caller: &Caller, key: &ApiKey) -> Result<(), Problem> {
    let lacked = key.scopes.iter().find(|scope| !caller.may(**scope));
    if let Some(scope) = lacked {
        return Err(beyond(*scope));
    }
    match agent_of(caller) {
        Some(agent) if key.agent != Some(agent) => Err(Problem::forbidden(
            "This key does not act as the agent that your own key acts as.",
        )),
        _ => Ok(()),
    }
}

fn beyond(scope: Permission) -> Problem {
    Problem::forbidden(format!(
        "This key has the scope `{scope}`, which you lack: its secret is not for you."
    ))
}
