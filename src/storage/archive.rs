//! The snapshots of a store: where they lie, and how a collection comes back from one.
//!
//! ```text
//! snapshots/collections/<name>/*.snapshot   of one collection
//! snapshots/store/*.snapshot                of all
//! ```
//!
//! A restored collection is written aside as a new one and renamed into place; its manifest says
//! which collection it takes the place of. That rename is the moment at which it counts: a
//! process that is killed leaves the old one or the new one, whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::types::CollectionName;

use super::compaction::write_base;
use super::manifest::Manifest;
use super::notes;
use super::segment::{Header, Segments};
use super::snapshot::{self, Aside, Content};
use super::store::{RESTORING, Store, directory_name, free_number};
use super::volume::Volume;
use super::{audit, durable, recovery};

/// Most snapshots of one collection, or of the store.
const MAX_SNAPSHOTS: usize = 1000;

/// Whose snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One collection's.
    Collection(CollectionName),
    /// Those of all collections together.
    Store,
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its file's name.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of its file in hexadecimal; `None` where the note of it is gone.
    pub sha256: Option<String>,
}

/// A restored collection, with the one whose place it took; that one is removed when this is
/// dropped, and readers may finish with it until then.
pub struct Restored<'a> {
    /// The new one.
    pub volume: Arc<Volume>,
    store: &'a Store,
    old: Option<Arc<Volume>>,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        let Some(old) = self.old.take() else { return };
        if let Err(error) = self.store.remove_volume(&old) {
            // It is removed when the store is opened next.
            tracing::warn!("the old collection `{}` is not removed yet: {error}", old.name());
        }
    }
}

impl Store {
    fn snapshot_dir(&self, scope: &Scope) -> PathBuf {
        let dir = self.snapshots_dir();
        match scope {
            Scope::Collection(name) => dir.join("collections").join(name.as_str()),
            Scope::Store => dir.join("store"),
        }
    }

    /// The directory below which all snapshots lie.
    pub fn snapshots_dir(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// A path for a file that is about to be restored; it is removed at the next start if it is
    /// left behind.
    pub fn restoring_path(&self) -> PathBuf {
        self.dir.join(format!("{RESTORING}{}", Uuid::new_v4().simple()))
    }

    /// Refuses where less than `bytes` and what must stay free are free on the disk.
    ///
    /// # Errors
    /// `StorageFull`.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        self.check_disk(bytes)
    }

    fn volume(&self, name: &CollectionName) -> Result<Arc<Volume>> {
        let found = self.volumes.lock().get(name).cloned();
        found.ok_or_else(|| Error::NotFound(format!("Collection `{name}` doesn't exist!")))
    }

    /// Makes a snapshot; it is durable when this returns. Reads and writes go on meanwhile. `go_on` is asked
    /// before each segment; its error ends the work, and nothing is left of it.
    ///
    /// # Errors
    /// `NotFound` where there is no such collection; `Corrupted` where its log is damaged;
    /// `StorageFull`; `InvalidInput` where there are 1,000 already; that of `go_on`.
    pub fn create_snapshot(&self, scope: &Scope, go_on: &dyn Fn() -> Result<()>) -> Result<Snapshot> {
        let (volumes, prefix) = match scope {
            Scope::Collection(name) => (vec![self.volume(name)?], name.as_str()),
            Scope::Store => (self.volumes(), "store"),
        };
        self.check_disk(volumes.iter().map(|volume| volume.disk_bytes()).sum())?;
        if self.snapshots(scope)?.len() >= MAX_SNAPSHOTS {
            return Err(Error::InvalidInput(format!(
                "there are {MAX_SNAPSHOTS} snapshots; delete some first"
            )));
        }
        let dir = self.snapshot_dir(scope);
        fs::create_dir_all(&dir).map_err(|error| durable::at(&dir, &error))?;
        let time = jiff::Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S").to_string();
        let unique = Uuid::new_v4().simple().to_string();
        let name = format!("{prefix}-{time}-{}.snapshot", &unique[..8]);
        let frozen = volumes.iter().map(|volume| volume.freeze()).collect::<Result<Vec<_>>>()?;
        let path = dir.join(&name);
        let sha256 = snapshot::write(&frozen, &path, go_on)?;
        durable::write_checked(&path.with_extension("sha256"), &sha256)?;
        describe(&path).ok_or_else(|| Error::Internal(format!("the snapshot {name} is gone")))
    }

    /// All snapshots, by name (that is by age).
    pub fn snapshots(&self, scope: &Scope) -> Result<Vec<Snapshot>> {
        if let Scope::Collection(name) = scope {
            self.volume(name)?;
        }
        let dir = self.snapshot_dir(scope);
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let names = durable::names(&dir)?;
        Ok(names.iter().filter(|name| is_name(name)).filter_map(|name| describe(&dir.join(name))).collect())
    }

    /// The file of a snapshot.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
    pub fn snapshot_path(&self, scope: &Scope, name: &str) -> Result<PathBuf> {
        let path = self.snapshot_dir(scope).join(name);
        let is_there = is_name(name) && path.is_file();
        is_there.then_some(path).ok_or_else(|| Error::NotFound(format!("Snapshot `{name}` doesn't exist!")))
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
    pub fn delete_snapshot(&self, scope: &Scope, name: &str) -> Result<()> {
        let path = self.snapshot_path(scope, name)?;
        durable::remove_file(&path.with_extension("sha256"))?;
        durable::remove_file(&path)
    }

    /// Unpacks and verifies an archive beside the collections and hands what is in it to `then`.
    ///
    /// # Errors
    /// `InvalidInput` that says what is wrong with it, also where its SHA-256 is not `sha256`;
    /// `StorageFull`; `NotFound` where there is no such file.
    pub fn unpack<T>(
        &self,
        archive: &Path,
        sha256: Option<&str>,
        then: impl FnOnce(Vec<Content>) -> Result<T>,
    ) -> Result<T> {
        let bytes =
            fs::metadata(archive).map_err(|_| Error::NotFound(format!("no file {}", archive.display())))?;
        // Once unpacked, once as a new collection.
        self.check_disk(bytes.len().saturating_mul(2))?;
        if let Some(expected) = sha256 {
            let found = snapshot::sha256_of(archive)?;
            if !found.eq_ignore_ascii_case(expected) {
                return Err(Error::InvalidInput(format!(
                    "checksum: the snapshot's SHA-256 is {found}, not {expected}"
                )));
            }
        }
        let aside = Aside(self.restoring_path());
        then(snapshot::unpack(archive, &aside.0)?)
    }

    /// Makes what was unpacked the collection `name`, in place of the one that has the name now.
    ///
    /// # Errors
    /// `Io`, `Corrupted`. The old collection stays where an error comes before the switch.
    pub fn restore(&self, name: &CollectionName, content: &Content) -> Result<Restored<'_>> {
        let parent = self.dir.join("collections");
        let number = free_number(&parent);
        let aside = Aside(parent.join(format!("new-{number:08x}")));
        let log_dir = aside.0.join("log");
        durable::create_dir(&aside.0)?;
        durable::create_dir(&log_dir)?;
        let (_, salt) = Uuid::new_v4().as_u64_pair();
        // A base is never a log's first generation.
        let header = Header { salt, generation: 2, number: 1 };
        let table = Segments::default();
        content.segments.iter().for_each(|segment| table.put_shared(Arc::clone(segment)));
        let mut entries: Vec<_> = content.replay.entries.iter().map(|(id, entry)| (*id, *entry)).collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        let points = entries.into_iter().map(|(id, entry)| Ok((id, entry, None)));
        let head = (name, &content.config, content.replay.last_seq);
        write_base(&log_dir, header, self.options.segment_bytes, head, points, &table)?;
        notes::write_all(&aside.0, &content.notes)?;

        let mut volumes = self.volumes.lock();
        let old = volumes.get(name).cloned();
        let manifest = Manifest {
            name: name.clone(),
            config: content.config.clone(),
            salt,
            generation: header.generation,
            first_segment: header.number,
            replaces: old.as_ref().map(|old| old.place().0),
        };
        manifest.write(&aside.0)?;
        self.view.clear(number)?;
        if let Some(old) = &old {
            // What was decided stays on record, whatever state the collection goes back to.
            audit::carry_over(old.place().1, &aside.0)?;
            old.stop();
            audit::carry_over(old.place().1, &aside.0)?;
        }
        // From here on the new collection is the one of this name.
        let dir = parent.join(directory_name(number));
        fs::rename(&aside.0, &dir).map_err(|error| durable::at(&dir, &error))?;
        durable::sync_dir(&parent)?;
        let recovered = recovery::recover(&dir, number, &self.view, None, &self.options)?;
        let volume = Volume::start(recovered, number, dir, &self.options, &self.view, &self.lock)?;
        volumes.insert(name.clone(), Arc::clone(&volume));
        tracing::info!("collection `{name}` is restored with {} points", volume.len());
        Ok(Restored { volume, store: self, old })
    }
}

/// A name that a snapshot can have: it is no path.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.ends_with(".snapshot") && !name.starts_with('.') && name.len() <= 255 && name.chars().all(is_plain)
}

fn describe(path: &Path) -> Option<Snapshot> {
    let metadata = fs::metadata(path).ok()?;
    let sha256 = match durable::read_checked(&path.with_extension("sha256")).ok()? {
        durable::Checked::Whole(text) => Some(text),
        durable::Checked::Absent | durable::Checked::Damaged => None,
    };
    let name = path.file_name()?.to_string_lossy().into_owned();
    Some(Snapshot { name, created: metadata.modified().ok()?, bytes: metadata.len(), sha256 })
}
