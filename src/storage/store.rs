//! A data directory: one process at a time, its collections, and the view that they share.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs4::fs_std::FileExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::migrations;
use crate::types::{CollectionConfig, CollectionName};

use super::StoreOptions;
use super::durable::{self, Checked};
use super::log::Log;
use super::manifest::Manifest;
use super::recovery;
use super::segment::Header;
use super::view::{self, View};
use super::volume::Volume;

/// An open data directory.
pub struct Store {
    pub(super) dir: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) view: Arc<View>,
    pub(super) lock: Arc<Lock>,
    pub(super) volumes: Mutex<BTreeMap<CollectionName, Arc<Volume>>>,
}

/// How names of what is being unpacked or uploaded begin, in the data directory.
pub(super) const RESTORING: &str = "restoring-";

/// The lock on a data directory, held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// `CLEAN`: the last change of every collection at a clean stop.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Clean {
    last_seq: BTreeMap<u32, u64>,
}

impl Store {
    /// Opens a data directory, creating it if need be: takes its lock, brings an older layout up
    /// to date, reads every collection's log and verifies the view against it.
    ///
    /// # Errors
    /// `Unavailable` where another process has the directory, or where a newer lookalike wrote
    /// it; `Corrupted` where a collection cannot even be named; `Io`.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| durable::at(dir, &error))?;
        let lock = Arc::new(Lock::take(dir)?);
        migrations::migrate(dir)?;
        let clean = read_clean(dir)?;
        durable::remove_file(&dir.join("CLEAN"))?;
        clear_leftovers(dir)?;
        finish_replacements(&dir.join("collections"))?;
        let view_dir = dir.join("view");
        let mut opened = open_volumes(dir, &view_dir, &clean, &options, &lock);
        if let Err(Failed { view_is_to_blame: true, error }) = &opened {
            tracing::warn!("the view is set aside and made again from the logs: {error}");
            view::set_aside(&view_dir)?;
            opened = open_volumes(dir, &view_dir, &clean, &options, &lock);
        } else if let Ok((view, volumes)) = &opened
            && is_bloated(view.disk_bytes(), volumes)
        {
            tracing::info!("the view takes {} MiB and is made again", view.disk_bytes() >> 20);
            drop(opened);
            fs::remove_dir_all(&view_dir).map_err(|error| durable::at(&view_dir, &error))?;
            opened = open_volumes(dir, &view_dir, &clean, &options, &lock);
        }
        let (view, volumes) = opened.map_err(|failed| failed.error)?;
        Ok(Self { dir: dir.to_owned(), options, view, lock, volumes: Mutex::new(volumes) })
    }

    /// All collections, by name.
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.volumes.lock().values().cloned().collect()
    }

    /// Creates a collection; it is durable when this returns.
    ///
    /// # Errors
    /// `AlreadyExists`; `StorageFull` where the disk nearly is; `Io`.
    pub fn create(&self, name: &CollectionName, config: &CollectionConfig) -> Result<Arc<Volume>> {
        let mut volumes = self.volumes.lock();
        if volumes.contains_key(name) {
            return Err(Error::AlreadyExists(format!("Collection `{name}` already exists!")));
        }
        self.check_disk(0)?;
        let parent = self.dir.join("collections");
        let number = free_number(&parent);
        let (aside, dir) = (parent.join(format!("new-{number:08x}")), parent.join(directory_name(number)));
        let (_, salt) = Uuid::new_v4().as_u64_pair();
        let header = Header { salt, generation: 1, number: 1 };
        let log_dir = aside.join("log");
        durable::create_dir(&aside)?;
        durable::create_dir(&log_dir)?;
        drop(Log::begin(log_dir.clone(), header, self.options.segment_bytes, (name, config, 0))?);
        durable::sync_dir(&log_dir)?;
        let manifest = Manifest {
            name: name.clone(),
            config: config.clone(),
            salt,
            generation: 1,
            first_segment: 1,
            replaces: None,
        };
        manifest.write(&aside)?;
        self.view.clear(number)?;
        // From here on the collection is there, whole.
        fs::rename(&aside, &dir).map_err(|error| durable::at(&dir, &error))?;
        durable::sync_dir(&parent)?;
        let recovered = recovery::recover(&dir, number, &self.view, None, &self.options)?;
        let volume = Volume::start(recovered, number, dir, &self.options, &self.view, &self.lock)?;
        volumes.insert(name.clone(), Arc::clone(&volume));
        Ok(volume)
    }

    /// Refuses to write `bytes` more where too little of the disk would stay free.
    pub(super) fn check_disk(&self, bytes: u64) -> Result<()> {
        let least = self.options.min_free_disk_bytes;
        if fs4::available_space(&self.dir)? < least.saturating_add(bytes) {
            let (free, needed) = (least >> 20, bytes >> 20);
            let text =
                format!("{needed} MiB are needed on the disk and {free} MiB must stay free; make room");
            return Err(Error::StorageFull(text));
        }
        Ok(())
    }

    /// Removes a collection with everything in it; false where there is none. It is gone for
    /// good when this returns, even if deleting its files was cut short.
    pub fn remove(&self, name: &CollectionName) -> Result<bool> {
        let mut volumes = self.volumes.lock();
        let Some(volume) = volumes.get(name) else { return Ok(false) };
        self.remove_volume(volume)?;
        volumes.remove(name);
        Ok(true)
    }

    /// Stops a volume and removes it for good.
    pub(super) fn remove_volume(&self, volume: &Volume) -> Result<()> {
        volume.stop();
        let (number, dir) = volume.place();
        let parent = self.dir.join("collections");
        let aside = parent.join(format!("removed-{number:08x}"));
        fs::rename(dir, &aside).map_err(|error| durable::at(dir, &error))?;
        durable::sync_dir(&parent)?;
        // The name is free; what follows only gives room back and is made up for at open.
        let cleared = self
            .view
            .clear(number)
            .and_then(|()| fs::remove_dir_all(&aside).map_err(|error| durable::at(&aside, &error)));
        if let Err(error) = cleared {
            tracing::warn!("collection `{}` is removed, its files not all: {error}", volume.name());
        }
        Ok(())
    }

    /// Bytes that are free on the disk, and those that must stay so.
    ///
    /// # Errors
    /// `Io` where the disk cannot be asked.
    pub fn free_disk(&self) -> Result<(u64, u64)> {
        Ok((fs4::available_space(&self.dir)?, self.options.min_free_disk_bytes))
    }

    /// Bytes of the view's files, which all collections share.
    pub fn view_disk_bytes(&self) -> u64 {
        self.view.disk_bytes()
    }

    /// Takes no more commits, finishes those that wait, makes the view durable and notes that
    /// the stop was clean. Reads go on working.
    pub fn close(&self) -> Result<()> {
        let volumes = self.volumes.lock();
        volumes.values().for_each(|volume| volume.stop());
        self.view.sync()?;
        if self.view.has_failed() {
            return Err(Error::Internal("the view failed and will be made again at the next start".into()));
        }
        let numbered = |volume: &Arc<Volume>| (volume.place().0, volume.last_seq());
        let clean = Clean { last_seq: volumes.values().map(numbered).collect() };
        let text = serde_json::to_string(&clean)
            .map_err(|error| Error::Internal(format!("the clean-stop mark as JSON: {error}")))?;
        durable::write_checked(&self.dir.join("CLEAN"), &text)
    }
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| durable::at(&path, &error))?;
        if file.try_lock_exclusive().map_err(|error| durable::at(&path, &error))? {
            return Ok(Self { _file: file });
        }
        Err(Error::Unavailable(format!(
            "the data directory {} is in use by another lookalike; stop it or choose another directory",
            dir.display()
        )))
    }
}

/// Why the volumes could not be opened.
struct Failed {
    view_is_to_blame: bool,
    error: Error,
}

type Opened = (Arc<View>, BTreeMap<CollectionName, Arc<Volume>>);

fn open_volumes(
    dir: &Path,
    view_dir: &Path,
    clean: &Clean,
    options: &StoreOptions,
    lock: &Arc<Lock>,
) -> Result<Opened, Failed> {
    let view = View::open(view_dir, options.view_cache_bytes)
        .map_err(|error| Failed { view_is_to_blame: true, error })?;
    let view = Arc::new(view);
    let open = || {
        let parent = dir.join("collections");
        let mut volumes = BTreeMap::new();
        let mut numbers = Vec::new();
        for directory in durable::names(&parent)? {
            let Some(number) = number_of(&directory) else { continue };
            numbers.push(number);
            let place = parent.join(&directory);
            let clean_seq = clean.last_seq.get(&number).copied();
            let recovered = recovery::recover(&place, number, &view, clean_seq, options)?;
            let volume = Volume::start(recovered, number, place, options, &view, lock)?;
            if let Some(other) = volumes.insert(volume.name().clone(), volume) {
                let name = other.name();
                return Err(Error::Corrupted(format!(
                    "two directories hold a collection `{name}`; move {} or {directory} away",
                    other.place().1.display()
                )));
            }
        }
        for number in view.collections()? {
            if !numbers.contains(&number) {
                view.clear(number)?;
            }
        }
        Ok(volumes)
    };
    match open() {
        Ok(_) if view.has_failed() => {
            Err(Failed { view_is_to_blame: true, error: Error::Internal("the view failed".to_owned()) })
        }
        Ok(volumes) => Ok((view, volumes)),
        Err(error) => Err(Failed { view_is_to_blame: view.has_failed(), error }),
    }
}

/// True where making the view again gives much room back: sled keeps what it once took.
fn is_bloated(view_bytes: u64, volumes: &BTreeMap<CollectionName, Arc<Volume>>) -> bool {
    const FROM: u64 = 16 * 1024 * 1024;
    const BYTES_PER_POINT: u64 = 128;
    let points: u64 = volumes.values().map(|volume| volume.len()).sum();
    view_bytes > FROM.saturating_add(4 * BYTES_PER_POINT * points)
}

pub(super) fn directory_name(number: u32) -> String {
    format!("{number:08x}")
}

pub(super) fn number_of(directory: &str) -> Option<u32> {
    u32::from_str_radix(directory, 16).ok().filter(|number| directory_name(*number) == directory)
}

/// A number that no collection has had: the view may remember one that is gone.
pub(super) fn free_number(parent: &Path) -> u32 {
    loop {
        let number = Uuid::new_v4().as_fields().0;
        if number != 0 && number != u32::MAX && !parent.join(directory_name(number)).exists() {
            return number;
        }
    }
}

/// The last change of every collection, by number, where the last stop was clean.
pub(super) fn clean_seqs(dir: &Path) -> Result<BTreeMap<u32, u64>> {
    Ok(read_clean(dir)?.last_seq)
}

fn read_clean(dir: &Path) -> Result<Clean> {
    match durable::read_checked(&dir.join("CLEAN"))? {
        Checked::Whole(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        Checked::Absent | Checked::Damaged => Ok(Clean::default()),
    }
}

/// Deletes what was being created, removed or restored when the last process ended.
fn clear_leftovers(dir: &Path) -> Result<()> {
    let parent = dir.join("collections");
    let is_leftover = |name: &String| name.starts_with("new-") || name.starts_with("removed-");
    for name in durable::names(&parent)?.into_iter().filter(is_leftover) {
        let path = parent.join(name);
        fs::remove_dir_all(&path).map_err(|error| durable::at(&path, &error))?;
    }
    for name in durable::names(dir)?.into_iter().filter(|name| name.starts_with(RESTORING)) {
        let path = dir.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| durable::at(&path, &error))?;
    }
    Ok(())
}

/// Removes collections whose place another one has taken, see `Manifest::replaces`.
fn finish_replacements(parent: &Path) -> Result<()> {
    for name in durable::names(parent)? {
        let dir = parent.join(&name);
        if number_of(&name).is_some()
            && let Some(manifest) = Manifest::read(&dir)?
            && let Some(old) = manifest.replaces
        {
            let old = parent.join(directory_name(old));
            if old.exists() {
                let aside = old.with_file_name(format!("removed-{name}"));
                fs::rename(&old, &aside).map_err(|error| durable::at(&old, &error))?;
                durable::sync_dir(parent)?;
                fs::remove_dir_all(&aside).map_err(|error| durable::at(&aside, &error))?;
            }
            Manifest { replaces: None, ..manifest }.write(&dir)?;
        }
    }
    Ok(())
}
