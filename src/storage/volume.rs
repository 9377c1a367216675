//! One collection on disk. Reads come straight from the view and the log, on the caller's
//! thread; changes are encoded on the caller's thread and handed to the one writer.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName, NamedVectors, Payload, PointId};

use super::codec::{self, Entry};
use super::frame::{self, Kind};
use super::segment::{Missing, Segment, Segments};
use super::snapshot::Frozen;
use super::store::Lock;
use super::view::View;
use super::visible::Visible;
use super::writer::{Job, Writer};
use super::{Change, StoreOptions, StoredPoint, hint, keys, part, record, recovery};

/// Called on the writer's thread for every change, in order, after it is durable and readable
/// and before it is acknowledged.
pub type Hook = Box<dyn Fn(u64, &Change) + Send + Sync>;

/// Called on the writer's thread when compaction has moved the points; what was found before stays readable.
pub type Moved = Box<dyn Fn() + Send + Sync>;

/// Points that a scan decodes at once, on all cores; bounds what it holds in memory.
const SCANNED_AT_ONCE: usize = 256;

/// How often a read follows a record that compaction moves under its hands.
const MOVES: usize = 16;

/// What a volume and its writer share.
pub struct Shared {
    pub(super) number: u32,
    pub(super) salt: u64,
    pub(super) name: CollectionName,
    pub(super) dir: PathBuf,
    pub(super) options: StoreOptions,
    pub(super) view: Arc<View>,
    pub(super) segments: Segments,
    pub(super) config: RwLock<CollectionConfig>,
    pub(super) read_only: RwLock<Option<String>>,
    /// The points that recovery found lost in part.
    pub(super) lost: HashSet<PointId>,
    pub(super) hook: OnceLock<Hook>,
    pub(super) moved: OnceLock<Moved>,
    /// How often compaction has moved the points.
    pub(super) turn: AtomicU64,
    pub(super) count: AtomicU64,
    pub(super) log_bytes: AtomicU64,
    pub(super) live_bytes: AtomicU64,
    pub(super) last_seq: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
    pub(super) visible: Visible,
    /// Held as long as anything may still write.
    pub(super) _lock: Arc<Lock>,
}

/// One collection's points on disk. All calls block; share it between threads.
pub struct Volume {
    pub(super) shared: Arc<Shared>,
    queue: RwLock<Option<SyncSender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Volume {
    /// Starts the writer of a recovered collection, and writes a new log where the old one is
    /// damaged and nothing is lost.
    pub(super) fn start(
        recovered: recovery::Recovered,
        number: u32,
        dir: PathBuf,
        options: &StoreOptions,
        view: &Arc<View>,
        lock: &Arc<Lock>,
    ) -> Result<Arc<Self>> {
        let recovery::Recovered { manifest, log, segments, config, last_seq, totals, read_only, lost, heal } =
            recovered;
        let shared = Arc::new(Shared {
            number,
            salt: manifest.salt,
            name: manifest.name.clone(),
            dir,
            options: options.clone(),
            view: Arc::clone(view),
            segments,
            config: RwLock::new(config),
            read_only: RwLock::new(read_only),
            lost,
            hook: OnceLock::new(),
            moved: OnceLock::new(),
            turn: AtomicU64::new(0),
            count: AtomicU64::new(totals.count),
            log_bytes: AtomicU64::new(0),
            live_bytes: AtomicU64::new(totals.live_bytes),
            last_seq: AtomicU64::new(last_seq),
            queued_bytes: AtomicUsize::new(0),
            visible: Visible::default(),
            _lock: Arc::clone(lock),
        });
        let (sender, jobs) = sync_channel(options.queue_length.max(1));
        let writer = Writer::new(Arc::clone(&shared), manifest, log, totals)?;
        let thread = std::thread::Builder::new()
            .name(format!("log-{}", shared.name))
            .spawn(move || writer.run(&jobs))
            .map_err(|error| Error::Internal(format!("the writer's thread cannot start: {error}")))?;
        let volume =
            Arc::new(Self { shared, queue: RwLock::new(Some(sender)), writer: Mutex::new(Some(thread)) });
        if heal && let Err(error) = volume.compact() {
            volume.shared.fail(&format!("the damaged log could not be replaced: {error}"));
        }
        Ok(volume)
    }

    /// The collection's name.
    pub fn name(&self) -> &CollectionName {
        &self.shared.name
    }

    /// The latest configuration.
    pub fn config(&self) -> CollectionConfig {
        self.shared.config.read().clone()
    }

    /// Sets the hook; the first one stays. A change that is being committed meanwhile may or may
    /// not reach it. Several changes may be readable before the hook of the first is called; a
    /// hook that panics makes the volume read-only.
    pub fn on_commit(&self, hook: Hook) {
        if self.shared.hook.set(hook).is_err() {
            tracing::warn!("collection `{}` has a hook already; the second one is not used", self.name());
        }
    }

    /// Sets what is called when compaction has moved the points; the first one stays.
    pub fn on_moved(&self, call: Moved) {
        if self.shared.moved.set(call).is_err() {
            tracing::warn!("collection `{}`: a second call for moved points is not used", self.name());
        }
    }

    /// How often compaction has moved the points since the start.
    pub fn turn(&self) -> u64 {
        self.shared.turn.load(Ordering::Acquire)
    }

    /// Applies a change, whole or not at all; returns its sequence number once it is durable and
    /// readable.
    ///
    /// # Errors
    /// `TooLarge` over 64 MiB; `Overloaded` where the queue is full; `StorageFull` where the disk
    /// nearly is (deletes are taken); `Unavailable` where the volume is read-only or closed. After
    /// `Unavailable` the change may or may not be there once the store is opened again.
    pub fn commit(&self, change: Change) -> Result<u64> {
        let shared = &self.shared;
        shared.check_writable()?;
        if self.queue.read().is_none() {
            return Err(self.stopped());
        }
        let body = match &change {
            Change::Upsert(points) => frame::encode_upsert(points)?,
            Change::Pictured(points, pictures) => frame::encode_pictured(points, pictures)?,
            Change::Delete(ids) => frame::encode_delete(ids)?,
            Change::SetPayload(payloads) => frame::encode_payloads(payloads)?,
            Change::Configure(config) => frame::encode_config(Kind::Configure, &shared.name, config)?,
        };
        if !matches!(change, Change::Delete(_)) {
            shared.check_disk(body.len() as u64)?;
        }
        let bytes = body.len();
        let before = shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (reply, answer) = sync_channel(1);
        let queued = if before > 0 && before + bytes > shared.options.queue_bytes {
            Err(self.overloaded())
        } else {
            self.send(Job::Commit { change, body, reply })
        };
        if let Err(error) = queued {
            shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(error);
        }
        answer.recv().unwrap_or_else(|_| Err(self.stopped()))
    }

    /// Writes the live points into a new log and drops the old one. Waits until that is done;
    /// commits wait too, reads do not.
    ///
    /// # Errors
    /// `Unavailable` where the volume is read-only; `StorageFull` where there is no room for two
    /// logs; `Corrupted` where a record fails its checksum, which makes the volume read-only.
    pub fn compact(&self) -> Result<()> {
        self.shared.check_writable()?;
        let (reply, answer) = sync_channel(1);
        self.send(Job::Compact { reply })?;
        answer.recv().unwrap_or_else(|_| Err(self.stopped()))
    }

    /// The collection as it is between two changes; commits wait for microseconds.
    ///
    /// # Errors
    /// `Unavailable` where the volume is closed; `Overloaded` where its queue is full.
    pub(super) fn freeze(&self) -> Result<Frozen> {
        let (reply, answer) = sync_channel(1);
        self.send(Job::Freeze { reply })?;
        let frozen = answer.recv().map_err(|_| self.stopped())?;
        Ok(Frozen { notes: super::notes::read_all(self.place().1)?, ..frozen })
    }

    fn send(&self, job: Job) -> Result<()> {
        let queue = self.queue.read();
        let queue = queue.as_ref().ok_or_else(|| self.stopped())?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => self.overloaded(),
            TrySendError::Disconnected(_) => self.stopped(),
        })
    }

    fn overloaded(&self) -> Error {
        let what = format!("the write queue of collection `{}` is full", self.name());
        Error::Overloaded { what, retry_after_secs: 1 }
    }

    fn stopped(&self) -> Error {
        let reason = self.read_only_reason().unwrap_or_else(|| "it is closed".to_owned());
        Error::Unavailable(format!("collection `{}`: {reason}", self.name()))
    }

    /// Takes no more commits, finishes those that wait, and ends the writer.
    pub(super) fn stop(&self) {
        drop(self.queue.write().take());
        // A hook may hold the last reference: the writer cannot wait for itself, and ends anyway.
        if let Some(thread) = self.writer.lock().take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            self.shared.fail("its writer panicked");
        }
    }

    /// The collection's number and directory.
    pub(super) fn place(&self) -> (u32, &PathBuf) {
        (self.shared.number, &self.shared.dir)
    }

    /// Refuses to write `bytes` beside the log where the volume is read-only or the disk nearly full.
    pub(super) fn check_room(&self, bytes: u64) -> Result<()> {
        if self.queue.read().is_none() {
            return Err(self.stopped());
        }
        self.shared.check_writable()?;
        self.shared.check_disk(bytes)
    }

    /// The last change; final only once the writer has ended.
    pub(super) fn last_seq(&self) -> u64 {
        self.shared.last_seq.load(Ordering::Acquire)
    }

    /// Sequence number of the change that last wrote the point; `None` where there is no point.
    pub fn version(&self, id: PointId) -> Result<Option<u64>> {
        self.shared.read(id, |_, entry, _| Ok(entry.version))
    }

    /// The point's payload; `None` where there is no point.
    ///
    /// # Errors
    /// `Corrupted` where what is stored fails its checksum. So with all reads.
    pub fn payload(&self, id: PointId) -> Result<Option<Payload>> {
        self.shared.read(id, |shared, entry, json| shared.payload(id, entry, json))
    }

    /// The fields of these names of the point's payload, as far as they are there; `None` where
    /// there is no point. Cheaper than the whole payload.
    ///
    /// # Errors
    /// As [`Volume::payload`].
    pub fn payload_fields(&self, id: PointId, names: &[String]) -> Result<Option<Payload>> {
        self.shared.read(id, |shared, entry, json| {
            shared.payload_by(id, entry, json, |json| part::fields(json, names))
        })
    }

    /// The point's vectors; `None` where there is no point.
    pub fn vectors(&self, id: PointId) -> Result<Option<NamedVectors>> {
        self.shared.read(id, |shared, entry, _| shared.vectors(id, entry))
    }

    /// Where the record of a point's vectors lies, with the segment mapped so far.
    pub(super) fn vectors_segment(&self, id: PointId) -> Result<Option<(record::Position, Arc<Segment>)>> {
        let log_dir = self.shared.dir.join("log");
        let found = self.shared.read(id, |shared, entry, _| {
            match shared.segments.mapped(&log_dir, &entry.vectors) {
                Ok(Some(segment)) => Ok(Ok((entry.vectors, segment))),
                Ok(None) => Err(Failure::Moved),
                Err(error) => Ok(Err(error)),
            }
        })?;
        found.transpose()
    }

    /// The whole point; `None` where there is none.
    pub fn point(&self, id: PointId) -> Result<Option<StoredPoint>> {
        self.shared.read(id, |shared, entry, json| shared.stored_point(id, entry, json))
    }

    /// The ids from `from` on (inclusive), or all, in their order. Not a snapshot: an id that is
    /// written or deleted meanwhile may or may not come.
    pub fn ids(&self, from: Option<PointId>) -> Ids<'_> {
        let number = self.shared.number;
        let from = from.map_or_else(|| keys::first_point(number), |id| keys::point(number, id));
        Ids(self.shared.view.range(number, from))
    }

    /// Hands every point to `each`, in the order of ids; not a snapshot. A point that fails its
    /// checksum is passed over and named in [`Volume::read_only_reason`] from then on.
    ///
    /// # Errors
    /// The first that `each` returns, which ends the scan; `Internal` where the view fails.
    pub fn scan(&self, mut each: impl FnMut(PointId, StoredPoint) -> Result<()>) -> Result<()> {
        self.scan_from(&[], |_, id, _, point| each(id, point))
    }

    /// The same with the points of `first`, as far as they are there, before all others: `each`
    /// also gets a point's place in `first` and the checksum of its vectors.
    pub fn scan_from(
        &self,
        first: &[PointId],
        mut each: impl FnMut(Option<usize>, PointId, u32, StoredPoint) -> Result<()>,
    ) -> Result<()> {
        let shared = &self.shared;
        let mut lost = Vec::new();
        for (part, ids) in first.chunks(SCANNED_AT_ONCE).enumerate() {
            let points: Vec<_> = ids.par_iter().map(|id| self.scanned(*id)).collect();
            for (i, (id, point)) in ids.iter().zip(points).enumerate() {
                match point {
                    Ok(Some((crc, point))) => each(Some(part * SCANNED_AT_ONCE + i), *id, crc, point)?,
                    Ok(None) => {}
                    Err(_) => lost.push(id.to_string()),
                }
            }
        }
        let first: HashSet<&PointId> = first.iter().collect();
        let mut items = shared.view.range(shared.number, keys::first_point(shared.number));
        loop {
            let mut some = Vec::with_capacity(SCANNED_AT_ONCE);
            for item in items.by_ref() {
                let (key, value) = item?;
                match keys::point_id(&key) {
                    Some(id) if first.contains(&id) => {}
                    Some(id) => some.push((id, key, value)),
                    None => lost.push(format!("a key that is no point's: {key:?}")),
                }
                if some.len() == SCANNED_AT_ONCE {
                    break;
                }
            }
            if some.is_empty() {
                break;
            }
            let read = |id: PointId, key: &[u8], value: &[u8]| {
                let read =
                    codec::decode_entry(key, value).ok_or(Failure::Damaged).and_then(|(entry, json)| {
                        Ok((entry.vectors.crc, shared.stored_point(id, &entry, json)?))
                    });
                // Moved by a compaction, or damaged: the point alone says which.
                read.map(Some).or_else(|_| self.scanned(id))
            };
            let points: Vec<_> = some.par_iter().map(|(id, key, value)| read(*id, key, value)).collect();
            for ((id, ..), point) in some.into_iter().zip(points) {
                match point {
                    Ok(Some((crc, point))) => each(None, id, crc, point)?,
                    Ok(None) => {}
                    Err(_) => lost.push(id.to_string()),
                }
            }
        }
        if !lost.is_empty() {
            let shown: Vec<&str> = lost.iter().take(100).map(String::as_str).collect();
            shared.fail(&format!("{} points cannot be read: {}", lost.len(), shown.join(", ")));
        }
        Ok(())
    }

    /// A point with the checksum of its vectors.
    fn scanned(&self, id: PointId) -> Result<Option<(u32, StoredPoint)>> {
        self.shared
            .read(id, |shared, entry, json| Ok((entry.vectors.crc, shared.stored_point(id, entry, json)?)))
    }

    /// The checksum of a point's vectors; `None` where there is no point.
    pub fn vectors_crc(&self, id: PointId) -> Result<Option<u32>> {
        self.shared.read(id, |_, entry, _| Ok(entry.vectors.crc))
    }

    /// Keeps a file beside the log that can be made again: a hint, whole or absent.
    ///
    /// # Errors
    /// `Io`; `StorageFull` where the disk nearly is.
    pub fn keep_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.shared.check_disk(bytes.len() as u64)?;
        hint::write(&self.shared.dir, name, self.shared.salt, bytes)
    }

    /// A file that was kept; `None` where there is none that is whole and this collection's.
    pub fn kept_file(&self, name: &str) -> Option<Vec<u8>> {
        hint::read(&self.shared.dir, name, self.shared.salt)
    }

    /// Runs a read of several points so that it sees all or nothing of every change. `read` may
    /// be called more than once.
    pub fn read_whole<T>(&self, read: impl FnMut() -> T) -> T {
        self.shared.visible.read(read)
    }

    /// Points.
    pub fn len(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// True where there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the collection's log. The view's are the store's.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }

    /// Why nothing can be written; `None` where everything can.
    pub fn read_only_reason(&self) -> Option<String> {
        self.shared.read_only.read().clone()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ids of a volume, in their order.
pub struct Ids<'a>(super::view::Range<'a>);

impl Iterator for Ids<'_> {
    type Item = Result<PointId>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.0.next()?;
        Some(item.and_then(|(key, _)| {
            keys::point_id(&key)
                .ok_or_else(|| Error::Corrupted(format!("a key in the view is no point's: {key:?}")))
        }))
    }
}

/// Why a point's data could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its segment is gone; the entry may be an old one.
    Moved,
    /// A checksum does not hold, or what it guards does not decode.
    Damaged,
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Segment => Failure::Moved,
            Missing::Damaged => Failure::Damaged,
        }
    }
}

impl Shared {
    /// Makes the volume read-only; the first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        tracing::error!("collection `{}` is read-only: {reason}", self.name);
        self.read_only.write().get_or_insert_with(|| reason.to_owned());
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        match &*self.read_only.read() {
            None => Ok(()),
            Some(reason) => {
                Err(Error::Unavailable(format!("collection `{}` is read-only: {reason}", self.name)))
            }
        }
    }

    /// Refuses to write `bytes` more where too little of the disk would stay free.
    pub(super) fn check_disk(&self, bytes: u64) -> Result<()> {
        let least = self.options.min_free_disk_bytes;
        let free = match fs4::available_space(&self.dir) {
            // The collection is being removed, and the change will be refused where it would be queued.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            free => free.map_err(|error| super::durable::at(&self.dir, &error))?,
        };
        if free >= least.saturating_add(bytes) {
            return Ok(());
        }
        Err(Error::StorageFull(format!(
            "{} MiB are free on the disk and {} MiB must stay free; delete points or make room",
            free >> 20,
            least >> 20
        )))
    }

    pub(super) fn damaged(&self, id: PointId) -> Error {
        Error::Corrupted(format!(
            "point {id} of collection `{}` is damaged: what is stored of it fails its checksum or is lost; `lookalike \
             doctor` says more",
            self.name
        ))
    }

    pub(super) fn read<T>(
        &self,
        id: PointId,
        read: impl Fn(&Self, &Entry, Option<&[u8]>) -> Result<T, Failure>,
    ) -> Result<Option<T>> {
        let key = keys::point(self.number, id);
        let damaged = || self.damaged(id);
        for _ in 0..MOVES {
            let Some(value) = self.view.get(&key)? else { return Ok(None) };
            let (entry, json) = codec::decode_entry(&key, &value).ok_or_else(damaged)?;
            match read(self, &entry, json) {
                Ok(value) => return Ok(Some(value)),
                Err(Failure::Moved) => {}
                Err(Failure::Damaged) => return Err(damaged()),
            }
        }
        Err(damaged())
    }

    fn payload(&self, id: PointId, entry: &Entry, json: Option<&[u8]>) -> Result<Payload, Failure> {
        self.payload_by(id, entry, json, |json| serde_json::from_slice(json))
    }

    fn payload_by(
        &self,
        id: PointId,
        entry: &Entry,
        json: Option<&[u8]>,
        parse: impl Fn(&[u8]) -> serde_json::Result<Payload>,
    ) -> Result<Payload, Failure> {
        let parse = |json: &[u8]| parse(json).map_err(|_| Failure::Damaged);
        match json {
            Some(json) => parse(json),
            None => self.segments.with(&entry.payload, |record| {
                record::payload_json(record, id).ok_or(Failure::Damaged).and_then(parse)
            })?,
        }
    }

    fn vectors(&self, id: PointId, entry: &Entry) -> Result<NamedVectors, Failure> {
        let vectors = self.segments.with(&entry.vectors, |record| record::read_vectors(record, id))?;
        vectors.ok_or(Failure::Damaged)
    }

    fn stored_point(&self, id: PointId, entry: &Entry, json: Option<&[u8]>) -> Result<StoredPoint, Failure> {
        Ok(StoredPoint {
            version: entry.version,
            payload: self.payload(id, entry, json)?,
            vectors: self.vectors(id, entry)?,
        })
    }
}
