//! What was extracted from a file, in S3 beside its content: its text, its chunks and its outline.
//!
//! Text and chunks are kept in parts of the same number of characters or chunks, so that a place in
//! them is found without a directory, and neither is ever held whole.

use domain::file::Content;

use crate::objects::ObjectError;
use crate::{Store, Tenant};

/// The characters (Unicode scalar values) of each part of a text but the last.
pub const TEXT_PART_CHARACTERS: u32 = 1024 * 1024;
/// The chunks of each part but the last.
pub const CHUNKS_PER_PART: u32 = 1_000;

/// A character of UTF-8 has at most four bytes.
const MAX_TEXT_PART_BYTES: u64 = 4 * TEXT_PART_CHARACTERS as u64;
/// A chunk has a few kilobytes, which JSON makes at most six times longer.
const MAX_CHUNK_PART_BYTES: u64 = 64 * 1024 * 1024;
const MAX_OUTLINE_BYTES: u64 = 4 * 1024 * 1024;

/// What was extracted from one content of a file.
#[derive(Debug, Clone, Copy)]
pub struct Extracted<'a> {
    store: &'a Store,
    tenant: Tenant,
    content: Content,
}

impl Store {
    /// What was extracted from a content of a file of an org.
    #[must_use]
    pub fn extracted(&self, tenant: Tenant, content: Content) -> Extracted<'_> {
        Extracted {
            store: self,
            tenant,
            content,
        }
    }
}

impl Extracted<'_> {
    fn key(&self, name: &str) -> String {
        self.store.objects(self.tenant).key(self.content, name)
    }

    fn text_key(&self, part: u32) -> String {
        self.key(&format!("text/{part:06}"))
    }

    fn chunks_key(&self, part: u32) -> String {
        self.key(&format!("chunks/{part:06}.json"))
    }

    fn outline_key(&self) -> String {
        self.key("outline.json")
    }

    /// Keeps a part of the text. The same number again takes its place.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_text(&self, part: u32, text: String) -> Result<(), ObjectError> {
        let objects = self.store.objects(self.tenant);
        let kind = "text/plain; charset=utf-8";
        objects
            .put(self.text_key(part), kind, text.into_bytes())
            .await
    }

    /// Keeps a part of the chunks, as JSON. The same number again takes its place.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_chunks(&self, part: u32, json: Vec<u8>) -> Result<(), ObjectError> {
        let objects = self.store.objects(self.tenant);
        objects
            .put(self.chunks_key(part), "application/json", json)
            .await
    }

    /// Keeps the outline, as JSON.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_outline(&self, json: Vec<u8>) -> Result<(), ObjectError> {
        let objects = self.store.objects(self.tenant);
        objects
            .put(self.outline_key(), "application/json", json)
            .await
    }

    /// A part of the chunks, as it was kept.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::TooLarge`] or [`ObjectError::Unavailable`].
    pub async fn chunks(&self, part: u32) -> Result<Vec<u8>, ObjectError> {
        let objects = self.store.objects(self.tenant);
        objects
            .read(self.chunks_key(part), MAX_CHUNK_PART_BYTES)
            .await
    }

    /// The outline, as it was kept.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::TooLarge`] or [`ObjectError::Unavailable`].
    pub async fn outline(&self) -> Result<Vec<u8>, ObjectError> {
        let objects = self.store.objects(self.tenant);
        objects.read(self.outline_key(), MAX_OUTLINE_BYTES).await
    }

    /// The characters of the text from `start` to before `end`, fewer where it ends before. Reads
    /// whole parts: ask for a passage, not for the text.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] if nothing was kept there, or [`ObjectError::Unavailable`].
    pub async fn text(&self, start: u32, end: u32) -> Result<String, ObjectError> {
        let objects = self.store.objects(self.tenant);
        let mut text = String::new();
        for part in start / TEXT_PART_CHARACTERS..=end.saturating_sub(1) / TEXT_PART_CHARACTERS {
            let bytes = match objects.read(self.text_key(part), MAX_TEXT_PART_BYTES).await {
                Ok(bytes) => bytes,
                Err(ObjectError::Missing) if !text.is_empty() => break,
                Err(error) => return Err(error),
            };
            let part_text = String::from_utf8_lossy(&bytes);
            let before = part * TEXT_PART_CHARACTERS;
            let skipped = start.saturating_sub(before) as usize;
            let taken = (end.saturating_sub(before) as usize).saturating_sub(skipped);
            text.extend(part_text.chars().skip(skipped).take(taken));
        }
        Ok(text)
    }
}
