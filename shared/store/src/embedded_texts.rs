//! Vectors that models gave to texts, kept for a while so that the same text is not embedded twice.
//!
//! They are found by the digest of the text, and only by the org whose text it was: whether another
//! org has the same text must not show, not even in the time that an answer takes.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::OrgId;
use serde::{Deserialize, Serialize};

use crate::config::Table;
use crate::keys::{self, Key};
use crate::record::{Record, to_item};
use crate::{ReadError, Store, Tenant};

/// How long a vector is kept after it was made.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// A vector that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EmbeddedText {
    org: OrgId,
    model: String,
    /// Of the text, in hexadecimal digits.
    digest: String,
    /// The numbers as 32-bit floats, little-endian, in base64.
    vector: String,
    /// Seconds since 1970; the table's TTL attribute.
    expires_at: i64,
}

impl Record for EmbeddedText {
    const NOUN: &'static str = "embedded text";

    fn key(&self) -> Key {
        keys::embedded_text(self.org, &self.model, &self.digest)
    }
}

/// The vectors that were kept for one org.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedTexts<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The vectors that were kept for an org.
    #[must_use]
    pub fn embedded_texts(&self, tenant: Tenant) -> EmbeddedTexts<'_> {
        EmbeddedTexts {
            store: self,
            tenant,
        }
    }
}

impl EmbeddedTexts<'_> {
    /// The vectors that `model` gave to the texts with these digests, as far as they were kept.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn find(
        &self,
        model: &str,
        digests: &[String],
    ) -> Result<HashMap<String, Vec<f32>>, ReadError> {
        let mut digests = digests.to_vec();
        digests.sort_unstable();
        digests.dedup();
        let keys: Vec<Key> = digests
            .iter()
            .map(|digest| keys::embedded_text(self.tenant.org(), model, digest))
            .collect();
        let now = self.store.now().as_seconds();
        let kept: Vec<EmbeddedText> = self.store.get_batch(&keys).await?;
        Ok(kept
            .into_iter()
            .filter(|kept| kept.expires_at > now)
            .filter_map(|kept| Some((kept.digest, read(&kept.vector)?)))
            .collect())
    }

    /// Keeps vectors that `model` gave to the texts with these digests.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not take them all; those taken stay.
    pub async fn keep(&self, model: &str, vectors: &[(String, &[f32])]) -> Result<(), ReadError> {
        let expires_at = self.store.now().plus(LIFETIME).as_seconds();
        let mut items = Vec::with_capacity(vectors.len());
        for (digest, vector) in vectors {
            items.push(to_item(&EmbeddedText {
                org: self.tenant.org(),
                model: model.to_owned(),
                digest: digest.clone(),
                vector: written(vector),
                expires_at,
            })?);
        }
        self.store.put_all(Table::Ephemeral, items).await
    }
}

fn written(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

/// What cannot be read was not kept: the text is embedded again.
fn read(vector: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(vector).ok()?;
    let (numbers, rest) = bytes.as_chunks();
    let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
    rest.is_empty().then(|| numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_reads_back_to_the_bit() {
        let vector = [0.0, -1.5, f32::MIN_POSITIVE, 0.1];
        assert_eq!(read(&written(&vector)).expect("whole"), vector);
        assert_eq!(read("AAAA"), None, "three bytes are no number");
        assert_eq!(read("no base64!"), None);
    }
}
