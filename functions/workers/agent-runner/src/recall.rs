//! What an agent remembers of earlier executions that bears on this one.

use embedding::{StaticModel, cosine, is_zero};
use kernel::AgentId;
use kernel::cursor::PageRequest;
use store::{ReadError, Store, Tenant};

/// How many memories an agent is told of.
const MEMORIES_TOLD: usize = 8;
/// Among how many of the newest memories those are chosen.
const MEMORIES_WEIGHED: u32 = 100;

/// What of an agent's memories bears most on `input`, best first.
pub(crate) async fn recall(
    store: &Store,
    tenant: Tenant,
    agent: AgentId,
    input: &str,
) -> Result<Vec<String>, ReadError> {
    let page = PageRequest::first(MEMORIES_WEIGHED);
    let memories = store.memories(tenant).page(agent, &page).await?.items;
    if memories.is_empty() {
        return Ok(Vec::new());
    }
    let model = StaticModel;
    let wanted = model.embed_text(input);
    let mut weighed: Vec<(f32, String)> = memories
        .into_iter()
        .map(|memory| {
            let vector = model.embed_text(&memory.text);
            let near = if is_zero(&vector) {
                0.0
            } else {
                cosine(&wanted, &vector).unwrap_or(0.0)
            };
            (near, memory.text)
        })
        .collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(weighed
        .into_iter()
        .take(MEMORIES_TOLD)
        .map(|(_, text)| text)
        .collect())
}
