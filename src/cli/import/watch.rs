//! `import --watch`: what comes into a folder, or changes there, is imported as it comes. A file counts
//! as whole when it has not changed for a moment; a picture that was changed takes the place of what
//! it was. What is removed from the folder stays in the collection, or goes with `--delete`; never where
//! the whole folder is gone: it may only be away, as a disk is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use notify::{Event, RecursiveMode, Watcher};
use parking_lot::Mutex;
use serde_json::json;

use super::item::{Entry, Ids, is_picture};
use super::send::{SendOptions, Sending};
use super::source;
use super::tally::Tally;
use crate::cli::client::Client;
use crate::cli::patience::patiently;
use crate::types::PointId;

/// A file that has not changed for so long is whole.
const QUIET: Duration = Duration::from_millis(700);
/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);

/// What is watched, and what is known of it.
pub struct Watch<'a> {
    /// The folders.
    pub folders: Vec<PathBuf>,
    /// Files and the points they are.
    pub points: HashMap<PathBuf, PointId>,
    /// What is removed goes from the collection too.
    pub deletes: bool,
    pub client: &'a Client,
    pub options: &'a SendOptions,
    pub tally: &'a Tally,
    pub stop: &'a std::sync::atomic::AtomicBool,
}

impl Watch<'_> {
    /// Imports what comes until it is stopped. `ready` is called once nothing that comes can be missed.
    pub fn run(&mut self, ready: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (events, arriving) = channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // The receiver is gone only when the watch is over.
            let _ = events.send(event);
        })?;
        for folder in &self.folders {
            let watched = watcher.watch(folder, RecursiveMode::Recursive);
            watched.with_context(|| format!("{} cannot be watched", folder.display()))?;
        }
        ready(self)?;
        let mut changed: BTreeMap<PathBuf, Instant> = BTreeMap::new();
        while !self.stop.load(Relaxed) {
            match arriving.recv_timeout(TICK) {
                Ok(Ok(event)) if matches!(event.kind, notify::EventKind::Access(_)) => {}
                Ok(Ok(event)) => {
                    for path in event.paths {
                        self.note(&path, &mut changed);
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "a change may have been missed"),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let whole: Vec<_> = changed
                .iter()
                .filter(|(_, at)| at.elapsed() >= QUIET)
                .map(|(path, _)| path.clone())
                .collect();
            if !whole.is_empty() {
                whole.iter().for_each(|path| {
                    changed.remove(path);
                });
                self.import(&whole)?;
            }
        }
        Ok(())
    }

    /// A folder that was moved in or out brings its files in one event.
    fn note(&self, path: &Path, changed: &mut BTreeMap<PathBuf, Instant>) {
        if path.is_dir() {
            let files = walkdir::WalkDir::new(path).into_iter().flatten();
            let pictures = files.filter(|entry| entry.file_type().is_file() && is_picture(entry.path()));
            changed.extend(pictures.map(|entry| (entry.into_path(), Instant::now())));
        } else if self.deletes && !path.exists() {
            let gone = self.points.keys().filter(|known| known.starts_with(path));
            changed.extend(gone.map(|known| (known.clone(), Instant::now())));
        } else if is_picture(path) {
            changed.insert(path.to_owned(), Instant::now());
        }
    }

    fn import(&mut self, paths: &[PathBuf]) -> anyhow::Result<()> {
        let root = |path: &Path| self.folders.iter().find(|folder| path.starts_with(folder));
        let files: Vec<_> = paths
            .iter()
            .filter(|path| path.is_file())
            .filter_map(|path| source::found(path, root(path)?).ok())
            .collect();
        self.tally.extend(files.iter().map(|file| file.size).sum());
        let placed = Mutex::default();
        // With ids of paths a changed file is the same point, which must be written again.
        let is_changed =
            self.options.ids == Ids::Path && paths.iter().any(|path| self.points.contains_key(path));
        let options = SendOptions { overwrite: self.options.overwrite || is_changed, ..self.options.clone() };
        let mut sending = Sending::new(self.client, &options, self.tally, self.stop);
        sending.placed = Some(&placed);
        sending.run(|then| files.into_iter().try_for_each(|file| then(Entry::Good(file.into()))))?;
        let gone = self.gone(paths);
        self.replace(placed.into_inner(), gone)
    }

    /// The points of files that are no more, where their folder is.
    fn gone(&mut self, paths: &[PathBuf]) -> BTreeSet<PointId> {
        let is_watched =
            |path: &PathBuf| self.folders.iter().any(|folder| path.starts_with(folder) && folder.is_dir());
        let gone: Vec<_> =
            paths.iter().filter(|path| self.deletes && !path.exists() && is_watched(path)).collect();
        gone.into_iter().filter_map(|path| self.points.remove(path)).collect()
    }

    /// Takes out what the files were before, where no other file is that.
    fn replace(&mut self, placed: Vec<(PathBuf, PointId)>, gone: BTreeSet<PointId>) -> anyhow::Result<()> {
        let mut old = gone;
        for (path, id) in placed {
            old.extend(self.points.insert(path, id).filter(|before| *before != id));
        }
        old.retain(|id| !self.points.values().any(|other| other == id));
        if old.is_empty() {
            return Ok(());
        }
        // The new ones are there: a search in between finds both, never none.
        let path = format!("{}/points/delete", self.options.collection);
        patiently(self.stop, || self.client.call("POST", &path, Some(&json!({"points": old}))))?;
        Ok(())
    }
}
