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
    dir: PathBuf,
    options: StoreOptions,
    view: Arc<View>,
    lock: Arc<Lock>,
    volumes: Mutex<BTreeMap<CollectionName, Arc<Volume>>>,
}

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
        clear_leftovers(&dir.join("collections"))?;
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
        let least = self.options.min_free_disk_bytes;
        if fs4::available_space(&self.dir)? < least {
            let text = format!("less than {} MiB are free on the disk; make room", least >> 20);
            return Err(Error::StorageFull(text));
        }
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
        let manifest =
            Manifest { name: name.clone(), config: config.clone(), salt, generation: 1, first_segment: 1 };
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

    /// Removes a collection with everything in it; false where there is none. It is gone for
    /// good when this returns, even if deleting its files was cut short.
    pub fn remove(&self, name: &CollectionName) -> Result<bool> {
        let mut volumes = self.volumes.lock();
        let Some(volume) = volumes.get(name) else { return Ok(false) };
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
            tracing::warn!("collection `{name}` is removed, its files not all: {error}");
        }
        volumes.remove(name);
        Ok(true)
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
    fn take(dir: &Path) -> Result<Self> {
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
    const FROM: u64 = 64 * 1024 * 1024;
    const BYTES_PER_POINT: u64 = 128;
    let needed = |volume: &Arc<Volume>| volume.live_bytes() + volume.len() * BYTES_PER_POINT;
    view_bytes > FROM.saturating_add(4 * volumes.values().map(needed).sum::<u64>())
}

fn directory_name(number: u32) -> String {
    format!("{number:08x}")
}

fn number_of(directory: &str) -> Option<u32> {
    u32::from_str_radix(directory, 16).ok().filter(|number| directory_name(*number) == directory)
}

/// A number that no collection has had: the view may remember one that is gone.
fn free_number(parent: &Path) -> u32 {
    loop {
        let number = Uuid::new_v4().as_fields().0;
        if number != 0 && number != u32::MAX && !parent.join(directory_name(number)).exists() {
            return number;
        }
    }
}

fn read_clean(dir: &Path) -> Result<Clean> {
    match durable::read_checked(&dir.join("CLEAN"))? {
        Checked::Whole(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        Checked::Absent | Checked::Damaged => Ok(Clean::default()),
    }
}

/// Deletes collections that were being created or removed when the last process ended.
fn clear_leftovers(parent: &Path) -> Result<()> {
    for name in durable::names(parent)? {
        if name.starts_with("new-") || name.starts_with("removed-") {
            let path = parent.join(name);
            fs::remove_dir_all(&path).map_err(|error| durable::at(&path, &error))?;
        }
    }
    Ok(())
}
