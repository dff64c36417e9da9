//! The data folder: its layout, and the lock that keeps a second host out.
//!
//! ```text
//! <folder>/host.lock           locked while a process serves the folder
//! <folder>/dynamodb.sqlite     every table, with its streams
//! <folder>/objects/<bucket>/   the objects, as files
//! <folder>/checkpoints/        how far each stream consumer has come
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::StartError;
use crate::services::Storage;

/// An opened data folder. Dropping it releases the lock, and deletes the
/// folder if it was temporary.
#[derive(Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
    in_memory: bool,
    _lock: File,
    _temporary: Option<TempDir>,
}

impl DataFolder {
    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn open(storage: &Storage) -> Result<Self, StartError> {
        let (root, temporary) = match storage {
            Storage::Folder(path) => (path.clone(), None),
            Storage::Memory => {
                let temporary = tempfile::Builder::new()
                    .prefix("overglass-")
                    .tempdir()
                    .map_err(|cause| StartError::Folder {
                        path: std::env::temp_dir(),
                        cause,
                    })?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        let failed = |cause| StartError::Folder {
            path: root.clone(),
            cause,
        };
        for part in ["objects", "checkpoints"] {
            std::fs::create_dir_all(root.join(part)).map_err(failed)?;
        }
        let lock = lock(&root)?;
        Ok(Self {
            root,
            in_memory: temporary.is_some(),
            _lock: lock,
            _temporary: temporary,
        })
    }

    /// The SQLite file of DynamoDB; nothing when the tables are in memory.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        (!self.in_memory).then(|| self.root.join("dynamodb.sqlite"))
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }
}

/// Takes the folder's lock. The kernel releases it when the process ends,
/// however it ends, so a killed host leaves nothing to clean up.
fn lock(root: &Path) -> Result<File, StartError> {
    let path = root.join("host.lock");
    let failed = |cause: io::Error| StartError::Folder {
        path: path.clone(),
        cause,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StartError::Locked {
                path: root.to_path_buf(),
                holder: named(&mut file),
            });
        }
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    write!(file, "{}", std::process::id()).map_err(failed)?;
    file.flush().map_err(failed)?;
    Ok(file)
}

/// The id of the process that holds a data folder; of the last one that did, if none does. `None` where
/// it cannot be read.
#[must_use]
pub fn holder(root: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(root.join("host.lock")).ok()?;
    text.trim().parse().ok()
}

/// Names the process that wrote its id into the lock file.
fn named(file: &mut File) -> String {
    let mut text = String::new();
    // A platform with mandatory locks refuses the read; the refusal still
    // stands, only without a number.
    match file.read_to_string(&mut text) {
        Ok(_) => match text.trim().parse::<u32>() {
            Ok(id) if id == std::process::id() => format!("this process ({id})"),
            Ok(id) => format!("process {id}"),
            Err(_) => "another process".to_owned(),
        },
        Err(_) => "another process".to_owned(),
    }
}
