//! `verify-audit`: recomputes a chain from its first entry, as an auditor who trusts nothing but
//! arithmetic.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use domain::audit::{AuditEntry, ChainVerifier};

use crate::terminal::Terminal;

pub(super) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let mut entries: Vec<AuditEntry> =
        serde_json::from_str(&text).context("the file is no array of audit entries")?;
    entries.sort_by_key(|entry| entry.sequence);
    let first = entries.first().context("the file holds no entries")?;
    let mut verifier = ChainVerifier::new(first.org);
    for entry in &entries {
        verifier.check(entry)?;
    }
    let head = verifier.head();
    Terminal::talkative().line(format!(
        "{} entries, whole; head {}",
        head.sequence, head.hash
    ));
    Ok(ExitCode::SUCCESS)
}
