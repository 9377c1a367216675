//! The view: one sled database for the whole store, with one tree. Holds nothing that the logs
//! do not hold, apart from proofs. The only place that calls sled; an error or a panic of sled
//! becomes an [`Error`] here and marks the view as failed.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sled::IVec;

use crate::error::{Error, Result};

use super::{durable, keys};

/// Changes that are applied together.
pub type Batch = sled::Batch;

/// The open view.
#[derive(Debug)]
pub struct View {
    /// `None` only while the view is dropped.
    open: Option<Open>,
    dir: PathBuf,
    failed: AtomicBool,
}

#[derive(Debug)]
struct Open {
    db: sled::Db,
    tree: sled::Tree,
}

impl View {
    /// Opens the view in `dir`, creating it if need be.
    ///
    /// # Errors
    /// `Internal` where sled refuses or panics.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let failed = AtomicBool::new(false);
        let open = || {
            let config = sled::Config::new().path(dir).cache_capacity(cache_bytes);
            let db = config.mode(sled::Mode::HighThroughput).open()?;
            let tree = db.open_tree("points")?;
            Ok(Open { db, tree })
        };
        let open = guard(&failed, open)?;
        Ok(Self { open: Some(open), dir: dir.to_owned(), failed })
    }

    fn open_parts(&self) -> sled::Result<&Open> {
        self.open.as_ref().ok_or_else(|| sled::Error::Unsupported("the view is closed".to_owned()))
    }

    fn tree(&self) -> sled::Result<&sled::Tree> {
        self.open_parts().map(|open| &open.tree)
    }

    /// True once sled has returned an error or panicked.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Says that the view cannot be believed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// The value under a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        guard(&self.failed, || self.tree()?.get(key))
    }

    /// Applies a batch, all of it at once.
    pub fn apply(&self, batch: Batch) -> Result<()> {
        guard(&self.failed, || self.tree()?.apply_batch(batch))
    }

    /// Keys and values from `from` on that belong to collection `number`, in order.
    pub fn range(&self, number: u32, from: Vec<u8>) -> Range<'_> {
        let iter = self.tree().map(|tree| match keys::end(number) {
            Some(end) => tree.range(from..end.to_vec()),
            None => tree.range(from..),
        });
        Range { iter, failed: &self.failed }
    }

    /// Removes everything of collection `number`.
    pub fn clear(&self, number: u32) -> Result<()> {
        let mut batch = Batch::default();
        let mut filled = 0;
        for item in self.range(number, keys::collection(number).to_vec()) {
            batch.remove(item?.0);
            filled += 1;
            if filled == 4096 {
                self.apply(std::mem::take(&mut batch))?;
                filled = 0;
            }
        }
        self.apply(batch)
    }

    /// The numbers of all collections that have a key in the view.
    pub fn collections(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        let mut from = vec![];
        while let Some((key, _)) = guard(&self.failed, || self.tree()?.range(from..).next().transpose())? {
            let number = keys::number_of(&key).unwrap_or(u32::MAX);
            found.push(number);
            let Some(end) = keys::end(number) else { break };
            from = end.to_vec();
        }
        Ok(found)
    }

    /// Makes the view durable: sled's own flush does not wait for the disk, so that its files
    /// are synced here.
    pub fn sync(&self) -> Result<()> {
        guard(&self.failed, || self.open_parts()?.db.flush())?;
        for name in durable::names(&self.dir)? {
            let path = self.dir.join(name);
            if path.is_file() {
                File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(|error| durable::at(&path, &error))?;
            }
        }
        durable::sync_dir(&self.dir)
    }

    /// Bytes of the view's files.
    pub fn disk_bytes(&self) -> u64 {
        guard(&self.failed, || self.open_parts()?.db.size_on_disk()).unwrap_or(0)
    }
}

impl Drop for View {
    /// sled syncs once more when it is dropped and panics where that fails: a view that cannot be
    /// synced is left as it is. The next start compares it with the logs in any case.
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            tracing::warn!("the view is left open, it cannot be synced: {error}");
            std::mem::forget(self.open.take());
        } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(self.open.take()))) {
            tracing::warn!("the view panicked when it was closed: {}", panic_text(&*panic));
        }
    }
}

/// Sets the view in `dir` aside, in place of any that was set aside before.
pub fn set_aside(dir: &Path) -> Result<()> {
    let aside = dir.with_extension("damaged");
    let moved = || {
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        if dir.exists() { fs::rename(dir, &aside) } else { Ok(()) }
    };
    moved().map_err(|error| durable::at(dir, &error))?;
    dir.parent().map_or(Ok(()), durable::sync_dir)
}

/// Keys and values of one collection, in key order.
pub struct Range<'a> {
    iter: sled::Result<sled::Iter>,
    failed: &'a AtomicBool,
}

impl Iterator for Range<'_> {
    type Item = Result<(IVec, IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = || match &mut self.iter {
            Ok(iter) => iter.next().transpose(),
            Err(error) => Err(error.clone()),
        };
        guard(self.failed, next).transpose()
    }
}

fn guard<T>(failed: &AtomicBool, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    let cause = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_text(&*panic),
    };
    failed.store(true, Ordering::Relaxed);
    tracing::error!("the view failed: {cause}");
    Err(Error::Internal(format!("the view failed: {cause}")))
}

/// The text of a panic.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
