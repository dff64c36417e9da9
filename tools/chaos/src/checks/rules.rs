//! The rules that a control names.

/// Broken where a control lets workers overlook that somebody has paused a run.
pub(crate) const PAUSES_HOLD: &str = "nothing is begun while a run is paused";
/// Broken where a control lets nobody wake the caller of a run that has ended.
pub(crate) const CALLERS_ARE_TOLD: &str = "the end of a called run reaches its caller, as it was";
/// Broken where a control keeps from accounts what calls have cost.
pub(crate) const LEDGERS_ADD_UP: &str =
    "every ledger sums to its balance: granted less spent and set aside";
