//! Bundles: several files of an index in one object, and the copies of them that this process has.
//!
//! A commit of the writer makes about eight files, some of a few bytes. As one object they cost one
//! request to write and one to read.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use kernel::OrgId;
use store::objects::ObjectError;
use store::text_index::{FilePlace, Manifest};
use store::{Store, Tenant};
use tantivy::directory::{FileHandle as _, OwnedBytes};
use tempfile::{NamedTempFile, SpooledTempFile};

use crate::files::{Content, Files, SMALL, Slice};

/// How many objects are read at the same time.
const READS_AT_ONCE: usize = 8;
/// How much of the copies may be in memory.
const MOST_IN_MEMORY: u64 = 64 * 1024 * 1024;
/// How many copies there may be: each that is not in memory is an open file.
const MOST_COPIES: usize = 400;

/// A bundle in the making.
pub(crate) struct NewBundle {
    pub name: String,
    pub content: NewContent,
    pub places: BTreeMap<String, FilePlace>,
}

/// What a bundle holds, before it is an object.
pub(crate) enum NewContent {
    Memory(OwnedBytes),
    File(NamedTempFile),
}

impl NewBundle {
    /// Puts files one after the other.
    pub(crate) fn of(name: String, files: &[(String, Slice)]) -> io::Result<Self> {
        let mut places = BTreeMap::new();
        let mut offset = 0;
        for (path, slice) in files {
            let place = FilePlace {
                bundle: name.clone(),
                offset,
                length: slice.length as u64,
            };
            places.insert(path.clone(), place);
            offset += slice.length as u64;
        }
        let copy = |sink: &mut dyn Write| -> io::Result<()> {
            for (_, slice) in files {
                for from in (0..slice.length).step_by(SMALL) {
                    let to = slice.length.min(from + SMALL);
                    sink.write_all(&slice.read_bytes(from..to)?)?;
                }
            }
            sink.flush()
        };
        let content = if offset <= SMALL as u64 {
            let mut bytes = Vec::new();
            copy(&mut bytes)?;
            NewContent::Memory(OwnedBytes::new(bytes))
        } else {
            let mut file = NamedTempFile::new()?;
            copy(&mut file)?;
            NewContent::File(file)
        };
        Ok(Self {
            name,
            content,
            places,
        })
    }

    /// Makes it an object.
    pub(crate) async fn put(&self, store: &Store, tenant: Tenant) -> Result<(), ObjectError> {
        let index = store.text_index(tenant);
        match &self.content {
            NewContent::Memory(bytes) => index.put_bundle(&self.name, bytes.to_vec()).await,
            NewContent::File(file) => index.put_bundle_file(&self.name, file.path()).await,
        }
    }
}

/// The bundles of which this process has a copy. Those that were not used for the longest time make
/// room for others; what is in use lives on until it is let go.
#[derive(Clone)]
pub(crate) struct Bundles {
    held: Arc<Mutex<Held>>,
    most_bytes: u64,
}

#[derive(Default)]
struct Held {
    copies: HashMap<(OrgId, String), Kept>,
    bytes: u64,
    in_memory: u64,
    clock: u64,
}

impl Held {
    fn insert(&mut self, key: (OrgId, String), copy: Fetched) {
        self.clock += 1;
        self.remove(&key);
        self.bytes += copy.bytes();
        self.in_memory += copy.bytes_in_memory();
        let used = self.clock;
        self.copies.insert(key, Kept { copy, used });
    }

    fn remove(&mut self, key: &(OrgId, String)) {
        if let Some(old) = self.copies.remove(key) {
            self.bytes -= old.copy.bytes();
            self.in_memory -= old.copy.bytes_in_memory();
        }
    }

    fn is_full(&self, most_bytes: u64) -> bool {
        self.bytes > most_bytes
            || self.in_memory > MOST_IN_MEMORY
            || self.copies.len() > MOST_COPIES
    }
}

#[derive(Clone)]
struct Kept {
    copy: Fetched,
    used: u64,
}

/// A part of a bundle.
#[derive(Clone)]
struct Fetched {
    content: Content,
    part: Range<u64>,
}

impl Fetched {
    fn bytes(&self) -> u64 {
        self.part.end - self.part.start
    }

    fn bytes_in_memory(&self) -> u64 {
        match self.content {
            Content::Memory(_) => self.bytes(),
            Content::File(_) => 0,
        }
    }
}

impl Bundles {
    pub(crate) fn new(most_bytes: u64) -> Self {
        Self {
            held: Arc::default(),
            most_bytes,
        }
    }

    /// The files of a manifest, fetched where they are not here yet.
    pub(crate) async fn open(
        &self,
        store: &Store,
        tenant: Tenant,
        manifest: &Manifest,
    ) -> Result<Files, ObjectError> {
        let mut parts: BTreeMap<String, Range<u64>> = BTreeMap::new();
        for place in manifest.files.values() {
            let end = place.offset + place.length;
            let part = parts
                .entry(place.bundle.clone())
                .or_insert(place.offset..end);
            part.start = part.start.min(place.offset);
            part.end = part.end.max(end);
        }
        let copies: HashMap<String, Fetched> = futures::stream::iter(parts)
            .map(|(bundle, part)| async move {
                let copy = self.copy(store, tenant, &bundle, part).await?;
                Ok::<_, ObjectError>((bundle, copy))
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let mut files = HashMap::new();
        for (path, place) in &manifest.files {
            let Some(copy) = copies.get(place.bundle.as_str()) else {
                continue;
            };
            let slice = Slice {
                content: copy.content.clone(),
                offset: place.offset - copy.part.start,
                length: usize::try_from(place.length).unwrap_or(usize::MAX),
            };
            files.insert(PathBuf::from(path), slice);
        }
        Ok(Files::new(files, &manifest.meta))
    }

    async fn copy(
        &self,
        store: &Store,
        tenant: Tenant,
        bundle: &str,
        part: Range<u64>,
    ) -> Result<Fetched, ObjectError> {
        if let Some(copy) = self.held(tenant.org(), bundle, &part) {
            return Ok(copy);
        }
        let mut file = SpooledTempFile::new(SMALL);
        let index = store.text_index(tenant);
        index.read_bundle(bundle, part.clone(), &mut file).await?;
        let copy = Fetched {
            content: file.into(),
            part,
        };
        self.hold(tenant.org(), bundle, copy.clone());
        Ok(copy)
    }

    /// Keeps a bundle that was written here, so that it need not be fetched.
    pub(crate) fn keep(&self, org: OrgId, bundle: &NewBundle) -> io::Result<()> {
        let (content, bytes) = match &bundle.content {
            NewContent::Memory(bytes) => (Content::Memory(bytes.clone()), bytes.len() as u64),
            NewContent::File(file) => {
                let file = file.reopen()?;
                let bytes = file.metadata()?.len();
                (Content::File(Arc::new(file)), bytes)
            }
        };
        let part = 0..bytes;
        let copy = Fetched { content, part };
        self.hold(org, &bundle.name, copy);
        Ok(())
    }

    fn held(&self, org: OrgId, bundle: &str, part: &Range<u64>) -> Option<Fetched> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let now = held.clock;
        let found = held.copies.get_mut(&(org, bundle.to_owned()))?;
        found.used = now;
        let covers = found.copy.part.start <= part.start && found.copy.part.end >= part.end;
        covers.then(|| found.copy.clone())
    }

    fn hold(&self, org: OrgId, bundle: &str, copy: Fetched) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (org, bundle.to_owned());
        held.insert(key.clone(), copy);
        while held.is_full(self.most_bytes) {
            let others = held.copies.iter().filter(|(other, _)| **other != key);
            let oldest = others.min_by_key(|(_, copy)| copy.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            held.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(bytes: &[u8]) -> Slice {
        Slice {
            content: Content::Memory(OwnedBytes::new(bytes.to_vec())),
            offset: 0,
            length: bytes.len(),
        }
    }

    fn bundle(name: &str, bytes: usize) -> NewBundle {
        let file = slice(&vec![7; bytes]);
        NewBundle::of(name.to_owned(), &[("a.idx".to_owned(), file)]).unwrap()
    }

    #[test]
    fn what_was_not_used_for_long_makes_room() {
        let bundles = Bundles::new(25);
        let org = OrgId::from_u128(1);
        for name in ["one", "two"] {
            bundles.keep(org, &bundle(name, 10)).unwrap();
        }
        assert!(bundles.held(org, "one", &(0..10)).is_some());
        assert!(
            bundles.held(org, "one", &(0..11)).is_none(),
            "not all of it"
        );
        bundles.keep(org, &bundle("three", 10)).unwrap();
        assert!(bundles.held(org, "two", &(0..10)).is_none());
        assert!(bundles.held(org, "one", &(0..10)).is_some());
        assert!(bundles.held(OrgId::from_u128(2), "one", &(0..10)).is_none());
        bundles.keep(org, &bundle("huge", 99)).unwrap();
        assert!(
            bundles.held(org, "huge", &(0..99)).is_some(),
            "the last stays"
        );
        assert!(bundles.held(org, "one", &(0..10)).is_none());
    }

    #[test]
    fn files_lie_one_after_the_other_in_memory_or_on_disk() {
        for bytes in [6, SMALL] {
            let second: Vec<u8> = (0..bytes).map(|number| (number % 251) as u8).collect();
            let files = [
                ("a".to_owned(), slice(b"first")),
                ("b".to_owned(), slice(&second)),
            ];
            let bundle = NewBundle::of("1/x".to_owned(), &files).unwrap();
            let all = match &bundle.content {
                NewContent::Memory(all) if bytes < SMALL => all.to_vec(),
                NewContent::File(file) if bytes == SMALL => std::fs::read(file.path()).unwrap(),
                _ => panic!("{bytes} bytes are at the wrong place"),
            };
            assert_eq!(all, [b"first", second.as_slice()].concat());
            let place = &bundle.places["b"];
            assert_eq!((place.offset, place.length), (5, bytes as u64));
        }
    }
}
