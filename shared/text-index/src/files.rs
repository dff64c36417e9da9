//! The search library's view of an index: the files of one manifest, to be read, and those that a
//! writer adds to them.
//!
//! Small files are kept in memory, larger ones in temporary files, which the system removes with the
//! last handle, whatever becomes of the process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, TerminatingWrite,
    WatchCallback, WatchHandle, WritePtr,
};
use tempfile::{SpooledData, SpooledTempFile};

/// The file that names the segments of an index.
pub(crate) const META: &str = "meta.json";

/// Up to this size, in bytes, a file is kept in memory: most are small, and a process may open so
/// many at once only.
pub(crate) const SMALL: usize = 512 * 1024;

/// Bytes that do not change.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(OwnedBytes),
    File(Arc<File>),
}

impl From<SpooledTempFile> for Content {
    fn from(file: SpooledTempFile) -> Self {
        match file.into_inner() {
            SpooledData::InMemory(bytes) => Self::Memory(OwnedBytes::new(bytes.into_inner())),
            SpooledData::OnDisk(file) => Self::File(Arc::new(file)),
        }
    }
}

/// A part of such bytes.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub content: Content,
    pub offset: u64,
    pub length: usize,
}

impl HasLen for Slice {
    fn len(&self) -> usize {
        self.length
    }
}

impl FileHandle for Slice {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        match &self.content {
            Content::Memory(bytes) => {
                let offset = usize::try_from(self.offset).map_err(io::Error::other)?;
                Ok(bytes.slice(offset + range.start..offset + range.end))
            }
            Content::File(file) => {
                let mut bytes = vec![0; range.len()];
                file.read_exact_at(&mut bytes, self.offset + range.start as u64)?;
                Ok(OwnedBytes::new(bytes))
            }
        }
    }
}

/// The files of an index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    base: Arc<HashMap<PathBuf, Slice>>,
    added: Arc<Mutex<Added>>,
}

#[derive(Debug, Default)]
struct Added {
    slices: HashMap<PathBuf, Slice>,
    /// Small files that are replaced as a whole.
    whole: HashMap<PathBuf, Vec<u8>>,
}

impl Files {
    /// The files of a manifest, whose meta is `meta`.
    pub(crate) fn new(base: HashMap<PathBuf, Slice>, meta: &str) -> Self {
        // Without segments there is no such file yet.
        let meta = (!meta.is_empty()).then(|| (PathBuf::from(META), meta.as_bytes().to_vec()));
        let whole = HashMap::from_iter(meta);
        Self {
            base: Arc::new(base),
            added: Arc::new(Mutex::new(Added {
                slices: HashMap::new(),
                whole,
            })),
        }
    }

    /// What names the segments now.
    pub(crate) fn meta(&self) -> Option<String> {
        let meta = self.added().whole.get(Path::new(META)).cloned();
        meta.and_then(|bytes| String::from_utf8(bytes).ok())
    }

    /// A file that was added.
    pub(crate) fn added_file(&self, path: &Path) -> Option<Slice> {
        self.added().slices.get(path).cloned()
    }

    fn added(&self) -> std::sync::MutexGuard<'_, Added> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slice(&self, path: &Path) -> Option<Slice> {
        let added = self.added_file(path);
        added.or_else(|| self.base.get(path).cloned())
    }
}

impl Directory for Files {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        match self.slice(path) {
            Some(slice) => Ok(Arc::new(slice)),
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    /// Only what was added is ever given up; the objects of a manifest are collected elsewhere.
    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let mut added = self.added();
        added.slices.remove(path);
        added.whole.remove(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.slice(path).is_some() || self.added().whole.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        if self.slice(path).is_some() {
            return Err(OpenWriteError::FileAlreadyExists(path.to_owned()));
        }
        Ok(BufWriter::new(Box::new(NewFile {
            path: path.to_owned(),
            file: Some(SpooledTempFile::new(SMALL)),
            length: 0,
            files: self.clone(),
        })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let whole = self.added().whole.get(path).cloned();
        whole.ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.added().whole.insert(path.to_owned(), data.to_vec());
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// Nobody else sees these files: who may write is decided by the fence.
    fn acquire_lock(&self, _: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

/// A file that is being written, there for others once it is whole.
struct NewFile {
    path: PathBuf,
    file: Option<SpooledTempFile>,
    length: usize,
    files: Files,
}

impl NewFile {
    fn file(&mut self) -> io::Result<&mut SpooledTempFile> {
        let ended = || io::Error::other("the file was ended");
        self.file.as_mut().ok_or_else(ended)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file()?.write(bytes)?;
        self.length += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl TerminatingWrite for NewFile {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.file()?.flush()?;
        if let Some(file) = self.file.take() {
            let slice = Slice {
                content: file.into(),
                offset: 0,
                length: self.length,
            };
            let path = std::mem::take(&mut self.path);
            self.files.added().slices.insert(path, slice);
        }
        Ok(())
    }
}
