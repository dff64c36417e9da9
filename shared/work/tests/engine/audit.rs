//! What must hold for every row and every change of a row, written down a second time and without
//! the help of the protocol.

use std::time::Duration;

use kernel::Timestamp;
use work::{Job, JobState};

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

/// What must hold for a row at any time.
pub fn row(job: &Job) -> Result<(), String> {
    let leased = job.state == JobState::Leased;
    let waiting = matches!(job.state, JobState::Ready | JobState::Parked);
    let dead = job.state == JobState::Dead;
    rule(
        job.lease_until.is_some() == leased && job.lease_token.is_some() == leased,
        "a lease exists exactly while leased",
    )?;
    rule(
        job.ring_at.is_some() == (leased || waiting),
        "a job is in the due index until it ends",
    )?;
    rule(
        !leased || job.ring_at == job.lease_until,
        "a leased job is looked at when its lease ends",
    )?;
    rule(
        !waiting || job.ring_at >= Some(job.due_at),
        "a waiting job is looked at once it is due",
    )?;
    rule(job.attempts <= job.max_attempts, "attempts are bounded")?;
    rule(
        dead || job.attempts < job.max_attempts || job.state == JobState::Cancelled,
        "a job without attempts left has ended",
    )?;
    rule(
        job.dead_reason.is_some() == dead,
        "the dead say why they are dead",
    )?;
    rule(!dead || job.error.is_some(), "the dead have an error")?;
    rule(
        job.result.is_none() || job.state == JobState::Done,
        "only the done have a result",
    )?;
    rule(
        leased || !(job.cancel_requested || job.wake_requested),
        "requests are for an attempt that runs",
    )
}

/// What must hold when `new` replaces `old`. `now` is the true time, and clocks are off by at most
/// `skew`.
pub fn change(old: &Job, new: &Job, now: Timestamp, skew: Duration) -> Result<(), String> {
    row(new)?;
    rule(
        (new.org, new.id, &new.kind, &new.payload, new.lane)
            == (old.org, old.id, &old.kind, &old.payload, old.lane),
        "identity and payload never change",
    )?;
    rule(new.version == old.version + 1, "versions count up by one")?;
    rule(new.fence >= old.fence, "the fence never falls")?;
    rule(
        !matches!(old.state, JobState::Done | JobState::Cancelled),
        "done and cancelled are final",
    )?;
    rule(
        old.state != JobState::Dead || new.state == JobState::Ready,
        "only a redrive leads out of death",
    )?;
    rule(
        new.attempts <= old.attempts + 1,
        "one attempt fails at a time",
    )?;

    let was_leased = old.state == JobState::Leased;
    let is_leased = new.state == JobState::Leased;
    let same_attempt = old.fence == new.fence;
    let lease_over = old.lease_until.is_none_or(|end| end <= now.plus(skew));
    if is_leased && !(was_leased && same_attempt) {
        rule(new.fence > old.fence, "every claim has a fence of its own")?;
        rule(old.due_at <= now.plus(skew), "nothing is claimed early")?;
        rule(!was_leased || lease_over, "no live lease is taken")?;
    }
    if was_leased && is_leased && same_attempt {
        rule(
            new.lease_until >= old.lease_until,
            "a heartbeat never shortens a lease",
        )?;
        rule(
            new.lease_token == old.lease_token,
            "a lease keeps its holder",
        )?;
    }
    if was_leased && !is_leased && !same_attempt {
        rule(lease_over, "no live lease is reclaimed")?;
    }
    if !was_leased && !is_leased {
        rule(
            new.state != JobState::Done && new.state != JobState::Dead,
            "jobs end in an attempt, or are cancelled",
        )?;
    }
    Ok(())
}
