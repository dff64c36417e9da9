//! What is kept of a search that was answered. Its words are in no log.

use text_index::ItemKind;

use crate::answer::Answer;

/// A search that was answered.
pub(crate) struct Searched<'a> {
    /// The kinds that were looked for.
    pub(crate) kinds: &'a [ItemKind],
    pub(crate) answer: &'a Answer,
    /// Whether it is a search of its own, and not a further page of one.
    pub(crate) is_first_page: bool,
}

/// Notes a search.
pub(crate) fn note(searched: &Searched<'_>) {
    let Searched { answer, .. } = searched;
    tracing::info!(
        mode = ?answer.mode,
        rankings = ?answer.rankings,
        kinds = ?searched.kinds,
        hits = answer.hits.len(),
        total = answer.total,
        took_ms = answer.took_ms,
        first_page = searched.is_first_page,
        "searched"
    );
}
