//! Snapshots of collections and of the store, and collections brought back from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Cancel, Engine, MAX_COLLECTIONS};
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::storage::{Content, Scope, Snapshot};
use crate::types::CollectionName;

impl Engine {
    /// Makes a snapshot; it is durable when this returns. Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// As `Store::create_snapshot`; `Conflict` where it is cancelled, and nothing is left of it then.
    pub async fn create_snapshot(&self, scope: Scope, cancel: Cancel) -> Result<Snapshot> {
        let engine = self.clone();
        self.call(move || engine.shared.store.create_snapshot(&scope, &|| cancel.check())).await
    }

    /// The snapshots that there are.
    ///
    /// # Errors
    /// `NotFound` where there is no such collection.
    pub async fn snapshots(&self, scope: Scope) -> Result<Vec<Snapshot>> {
        let engine = self.clone();
        self.call(move || engine.shared.store.snapshots(&scope)).await
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
    pub async fn delete_snapshot(&self, scope: Scope, name: String) -> Result<()> {
        let engine = self.clone();
        self.call(move || engine.shared.store.delete_snapshot(&scope, &name)).await
    }

    /// The file of a snapshot.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
    pub fn snapshot_path(&self, scope: &Scope, name: &str) -> Result<PathBuf> {
        self.shared.store.snapshot_path(scope, name)
    }

    /// The directory below which all snapshots lie.
    pub fn snapshots_dir(&self) -> PathBuf {
        self.shared.store.snapshots_dir()
    }

    /// A path in the data directory for an archive on its way in; see `Store::restoring_path`.
    pub fn restoring_path(&self) -> PathBuf {
        self.shared.store.restoring_path()
    }

    /// Refuses where there is no room for `bytes` more.
    ///
    /// # Errors
    /// `StorageFull`.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        self.shared.store.check_room(bytes)
    }

    /// Brings collection `name` back from an archive, in place of the one of this name: searches
    /// see the old one until the new one is whole. The archive's SHA-256 is checked if given.
    ///
    /// # Errors
    /// `InvalidInput` that says what is wrong with the archive; `Conflict` where it is cancelled; nothing is
    /// changed then.
    pub async fn restore(
        &self,
        name: CollectionName,
        archive: PathBuf,
        sha256: Option<String>,
        cancel: Cancel,
    ) -> Result<()> {
        let engine = self.clone();
        self.call(move || engine.restore_now(&name, &archive, sha256.as_deref(), &cancel)).await
    }

    fn restore_now(
        &self,
        name: &CollectionName,
        archive: &Path,
        sha256: Option<&str>,
        cancel: &Cancel,
    ) -> Result<()> {
        let store = &self.shared.store;
        cancel.check()?;
        store.unpack(archive, sha256, |contents| {
            let content = one_of(&contents, name)?;
            // From here on the collection changes.
            cancel.check()?;
            let _one = self.shared.changing.lock();
            let count = self.shared.collections.read().len();
            if count >= MAX_COLLECTIONS && !self.exists(name) {
                return Err(Error::InvalidInput(format!(
                    "there are {MAX_COLLECTIONS} collections, the most a server holds"
                )));
            }
            let restored = store.restore(name, content)?;
            let collection = Arc::new(Collection::open(Arc::clone(&restored.volume))?);
            self.shared.collections.write().insert(name.clone(), collection);
            Ok(())
        })
    }
}

/// The only collection of an archive, or the one of this name among several.
fn one_of<'a>(contents: &'a [Content], name: &CollectionName) -> Result<&'a Content> {
    match contents {
        [content] => Ok(content),
        contents => contents.iter().find(|content| content.name == *name).ok_or_else(|| {
            let names: Vec<_> = contents.iter().map(|content| content.name.as_str()).collect();
            Error::InvalidInput(format!(
                "the snapshot holds no collection `{name}`; it has: {}",
                names.join(", ")
            ))
        }),
    }
}
