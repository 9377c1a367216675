//! The one thread that changes a volume. It takes what waits in the queue together: one write,
//! one fdatasync, then the view, then the hook, then every answer, in that order.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use crate::error::{Error, Result};
use crate::types::PointId;

use super::codec::{self, Entry, State, Totals};
use super::frame::{self, MAX_FRAME, PREFIX};
use super::last::Last;
use super::log::Log;
use super::manifest::Manifest;
use super::replay::{self, Effect, LogId};
use super::segment::Segment;
use super::snapshot::Frozen;
use super::view::{Batch, panic_text};
use super::volume::Shared;
use super::{Change, keys, reconcile};

/// Most commits of one group.
const GROUP_COMMITS: usize = 1024;
/// Bytes from which on a group takes no further commit. Keeps a group's answers waiting for at
/// most one write of this size and one more frame.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// What the writer is asked to do.
pub enum Job {
    /// Apply a change.
    Commit {
        /// The change, for the hook.
        change: Change,
        /// Its ops.
        body: Vec<u8>,
        /// Where its sequence number goes.
        reply: SyncSender<Result<u64>>,
    },
    /// Take the collection as it is now.
    Freeze {
        /// Where it goes.
        reply: SyncSender<Frozen>,
    },
    /// Write a new log.
    Compact {
        /// Where the outcome goes.
        reply: SyncSender<Result<()>>,
    },
}

/// A commit that waits for its group.
struct Pending {
    change: Change,
    body: Vec<u8>,
    reply: SyncSender<Result<u64>>,
}

impl Pending {
    /// True where a reader could see half of it.
    fn is_of_several(&self) -> bool {
        match &self.change {
            Change::Upsert(points) | Change::Pictured(points, _) => points.len() > 1,
            Change::Delete(ids) => ids.len() > 1,
            Change::SetPayload(payloads) => payloads.len() > 1,
            Change::Configure(_) => false,
        }
    }
}

/// The writer's own state.
pub struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) manifest: Manifest,
    pub(super) log: Log,
    last: Last,
    pub(super) seq: u64,
    pub(super) totals: Totals,
    /// Bytes of the segments before the last.
    pub(super) sealed_bytes: u64,
    /// crc32c of the configuration's JSON.
    config_crc: u32,
    /// After a compaction that failed: bytes of the log from which on it is tried again.
    compact_again_at: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, manifest: Manifest, log: Log, totals: Totals) -> Result<Self> {
        let current = log.header().number;
        let config_json = reconcile::config_json(&shared.config.read())?;
        let sealed = shared.segments.all().into_iter().filter(|segment| segment.number != current);
        let writer = Self {
            sealed_bytes: sealed.map(|segment| segment.bytes().len() as u64).sum(),
            seq: shared.last_seq.load(Ordering::Acquire),
            config_crc: crc32c::crc32c(&config_json),
            last: Last::open(&shared.dir, manifest.salt)?,
            shared,
            manifest,
            log,
            totals,
            compact_again_at: 0,
        };
        writer.publish();
        Ok(writer)
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut next = jobs.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Compact { reply } => {
                    let _ = reply.send(self.compact());
                }
                Job::Freeze { reply } => {
                    let _ = reply.send(self.freeze());
                }
                Job::Commit { change, body, reply } => {
                    let mut bytes = body.len();
                    let mut group = vec![Pending { change, body, reply }];
                    while group.len() < GROUP_COMMITS && bytes < GROUP_BYTES {
                        match jobs.try_recv() {
                            Ok(Job::Commit { change, body, reply }) => {
                                bytes += body.len();
                                group.push(Pending { change, body, reply });
                            }
                            Ok(job) => {
                                next = Some(job);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.group(group);
                    self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    self.compact_if_due();
                }
            }
            next = next.or_else(|| jobs.recv().ok());
        }
        self.log.finish();
    }

    /// The collection between two changes. The segments stay readable, whatever is compacted.
    fn freeze(&self) -> Frozen {
        let current = self.log.header();
        let length = |segment: &Arc<Segment>| {
            if segment.number == current.number { self.log.length() } else { segment.bytes().len() as u64 }
        };
        let segments = self.shared.segments.all();
        Frozen {
            name: self.shared.name.clone(),
            config: self.shared.config.read().clone(),
            log: LogId {
                salt: current.salt,
                generation: current.generation,
                first_segment: self.manifest.first_segment,
            },
            last_seq: self.seq,
            totals: self.totals,
            segments: segments.into_iter().map(|segment| (Arc::clone(&segment), length(&segment))).collect(),
            notes: BTreeMap::new(), // not the writer's
        }
    }

    fn group(&mut self, group: Vec<Pending>) {
        match self.write(&group) {
            Ok(outcomes) => {
                for (pending, outcome) in group.into_iter().zip(outcomes) {
                    // The caller may have gone; the change is there all the same.
                    let _ = pending.reply.send(outcome);
                }
            }
            Err(error) => {
                for pending in group {
                    let _ = pending.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Log, then view, then hook. Returns what to answer each.
    fn write(&mut self, group: &[Pending]) -> Result<Vec<Result<u64>>> {
        self.shared.check_writable()?;
        let unavailable = |shared: &Shared, reason: String| {
            shared.fail(&reason);
            Error::Unavailable(format!("collection `{}` is read-only: {reason}", shared.name))
        };
        let first_seq = self.seq + 1;
        let place = self.append(group, first_seq);
        let place = place.map_err(|error| unavailable(&self.shared, format!("writing failed: {error}")))?;
        // The group is durable; only now may anyone see it.
        self.seq += group.len() as u64;
        self.last.note(self.seq);
        let shared = Arc::clone(&self.shared);
        let _at_once = group.iter().any(Pending::is_of_several).then(|| shared.visible.change());
        let applied = self.apply(group, first_seq, place);
        applied.map_err(|error| unavailable(&self.shared, format!("the view cannot be changed: {error}")))?;
        self.publish();
        let changes = (first_seq..).zip(group);
        Ok(changes.map(|(seq, pending)| self.call_hook(seq, &pending.change).map(|()| seq)).collect())
    }

    /// Writes the group's frames and syncs them; returns segment and offset of the first.
    fn append(&mut self, group: &[Pending], first_seq: u64) -> Result<(u32, usize)> {
        let bytes: usize = group.iter().map(|pending| pending.body.len() + PREFIX).sum();
        if self.log.is_full_for(bytes) {
            self.roll()?;
        }
        let at = usize::try_from(self.log.length()).map_err(|_| Error::Internal("segment size".into()))?;
        let mut frames = Vec::with_capacity(bytes);
        for (seq, pending) in (first_seq..).zip(group) {
            self.log.mark().write(&mut frames, seq, &pending.body)?;
        }
        self.log.append(&frames)?;
        Ok((self.log.header().number, at))
    }

    fn roll(&mut self) -> Result<()> {
        let config = self.shared.config.read().clone();
        let full = self.log.header().number;
        self.sealed_bytes += self.log.length();
        self.log.roll((&self.shared.name, &config, self.seq))?;
        let log_dir = self.shared.dir.join("log");
        for number in [full, self.log.header().number] {
            self.shared.segments.put(Segment::open(&log_dir, number)?);
        }
        Ok(())
    }

    fn apply(&mut self, group: &[Pending], first_seq: u64, place: (u32, usize)) -> Result<()> {
        let (segment, mut at) = place;
        let number = self.shared.number;
        // The latest of each point that the group touches.
        let mut touched: HashMap<PointId, Option<Entry>> = HashMap::new();
        let mut configured = None;
        for (seq, Pending { change, body, .. }) in (first_seq..).zip(group) {
            if let Change::Configure(config) = change {
                configured = Some(config);
            }
            for op in frame::ops(body) {
                let op = op.ok_or_else(|| Error::Internal("a frame just written does not decode".into()))?;
                let id = replay::id_of(&op);
                let old = match touched.get(&id) {
                    Some(entry) => *entry,
                    None => self.entry(id)?,
                };
                let new = match replay::step(&op, old, seq, segment, at, body) {
                    Some(Effect::Put(entry)) => Some(entry),
                    Some(Effect::Remove) => None,
                    Some(Effect::Keep) => continue,
                    None => return Err(Error::Internal("a frame just written does not decode".into())),
                };
                if let Some(old) = old {
                    self.totals.remove(id, &old);
                }
                if let Some(new) = new {
                    self.totals.add(id, &new);
                }
                touched.insert(id, new);
            }
            at += body.len() + PREFIX;
        }
        let mut batch = Batch::default();
        for (id, entry) in touched {
            let key = keys::point(number, id);
            match entry {
                Some(entry) => {
                    let value = codec::encode_entry(&key, &entry);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        if let Some(config) = configured {
            let key = keys::config(number);
            let json = reconcile::config_json(config)?;
            self.config_crc = crc32c::crc32c(&json);
            let value = codec::seal(&key, &json);
            batch.insert(key, value);
            *self.shared.config.write() = config.clone();
        }
        self.put_state(&mut batch);
        self.shared.view.apply(batch)
    }

    /// Adds the state after the last change to a batch.
    pub(super) fn put_state(&self, batch: &mut Batch) {
        let state = State {
            salt: self.manifest.salt,
            generation: self.manifest.generation,
            last_seq: self.seq,
            config_crc: self.config_crc,
            totals: self.totals,
        };
        let key = keys::state(self.shared.number);
        let value = codec::encode_state(&key, &state);
        batch.insert(key, value);
    }

    fn entry(&self, id: PointId) -> Result<Option<Entry>> {
        let key = keys::point(self.shared.number, id);
        let Some(value) = self.shared.view.get(&key)? else { return Ok(None) };
        let damaged = || Error::Corrupted(format!("point {id} fails its checksum in the view"));
        codec::decode_entry(&key, &value).map(|(entry, _)| Some(entry)).ok_or_else(damaged)
    }

    fn call_hook(&self, seq: u64, change: &Change) -> Result<()> {
        let Some(hook) = self.shared.hook.get() else { return Ok(()) };
        // A hook that has panicked once has lost its place and is not called again.
        self.shared.check_writable()?;
        catch_unwind(AssertUnwindSafe(|| hook(seq, change))).map_err(|panic| {
            let reason = format!(
                "change {seq} is durable, but following it up failed ({}); restart to rebuild",
                panic_text(&*panic)
            );
            self.shared.fail(&reason);
            Error::Unavailable(format!("collection `{}` is read-only: {reason}", self.shared.name))
        })
    }

    /// Shows readers the sums after the last group.
    pub(super) fn publish(&self) {
        self.shared.count.store(self.totals.count, Ordering::Release);
        self.shared.live_bytes.store(self.totals.live_bytes, Ordering::Relaxed);
        self.shared.last_seq.store(self.seq, Ordering::Release);
        self.shared.log_bytes.store(self.sealed_bytes + self.log.length(), Ordering::Relaxed);
    }

    fn compact_if_due(&mut self) {
        let bytes = self.sealed_bytes + self.log.length();
        let dead = bytes.saturating_sub(self.totals.live_bytes);
        let least = self.shared.options.compact_from_bytes;
        if dead <= self.totals.live_bytes.max(least) || bytes < self.compact_again_at {
            return;
        }
        if let Err(error) = self.compact() {
            tracing::warn!("collection `{}` was not compacted: {error}", self.shared.name);
            self.compact_again_at = bytes.saturating_add(least);
        }
    }
}

// A frame's offset and length must fit the 32 bits of a position.
const _: () = assert!(MAX_FRAME + GROUP_BYTES < u32::MAX as usize / 4);
