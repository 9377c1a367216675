//! Compaction: the live points go into a new generation of the log, and the old one goes.
//!
//! Order of writes: base segments, synced -> their names, synced -> MANIFEST replaced (from here
//! on the new generation is the truth) -> the view's positions -> the old segments removed. A
//! crash before the manifest leaves segments of a generation that it does not name, a crash
//! behind it leaves segments below its first; opening deletes both. No change is written
//! meanwhile: compaction runs on the writer's thread.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::codec::{self, Entry};
use super::frame::{self, Records};
use super::log::{Head, Log};
use super::manifest::Manifest;
use super::segment::{self, Header, Segment, Segments};
use super::view::Batch;
use super::writer::Writer;
use super::{durable, keys, parity, record};
use crate::error::{Error, Result};
use crate::types::{Pictures, PointId};

/// Most bytes of a base frame, which half a segment may be less than; a single point may be larger.
const BASE_FRAME: usize = 1024 * 1024;
/// Points that go into the view at once.
const VIEW_BATCH: usize = 2048;

/// Writes a generation of a log that begins with these points, as they are after change
/// `head.2`; it is durable when this returns. A point comes with its payload's JSON, or the JSON
/// is read from `table`, as its vectors are.
pub fn write_base(
    log_dir: &Path,
    header: Header,
    segment_bytes: u64,
    head: Head<'_>,
    points: impl Iterator<Item = Result<(PointId, Entry, Option<Vec<u8>>)>>,
    table: &Segments,
) -> Result<Base> {
    let mut base = Base {
        log: Log::begin(log_dir.to_owned(), header, segment_bytes, head)?,
        sealed_bytes: 0,
        frames: 0,
        pictured: false,
        body: frame::begin_base(false),
        filling: Vec::new(),
        written: Vec::new(),
    };
    let frame_bytes = usize::try_from(segment_bytes / 2).unwrap_or(BASE_FRAME).min(BASE_FRAME);
    for point in points {
        let (id, entry, json) = point?;
        let payload = match json {
            Some(json) => {
                let mut record = Vec::with_capacity(json.len() + 22);
                record::write_payload_json(&mut record, id, &json);
                record
            }
            None => table.with(&entry.payload, <[u8]>::to_vec)?,
        };
        let pictured = !entry.pictures.is_empty();
        let bytes = payload.len() as u64 + entry.live_bytes();
        if base.body.len() as u64 + bytes > frame_bytes as u64 || base.pictured != pictured {
            base.write_frame(head)?;
        }
        let mut records = Records { payload, vectors: Vec::new(), pictures: Pictures::default() };
        records.vectors = table.with(&entry.vectors, <[u8]>::to_vec)?;
        for (kind, record) in entry.pictures.iter() {
            records.pictures.put(kind, Some(table.with(record, <[u8]>::to_vec)?));
        }
        base.push(id, entry, &records)?;
    }
    base.write_frame(head)?;
    let mut end = Vec::new();
    base.log.mark().write(&mut end, head.2, &frame::encode_base_end(base.frames))?;
    base.log.append(&end)?;
    base.log.finish();
    durable::sync_dir(log_dir)?;
    Ok(base)
}

/// What a new generation is made of, so far.
pub struct Base {
    log: Log,
    sealed_bytes: u64,
    frames: u64,
    body: Vec<u8>,
    /// The points of the frame that is being filled have pictures, or have not.
    pictured: bool,
    /// These points: where their records lie in its ops.
    filling: Vec<(PointId, Entry, Records<std::ops::Range<usize>>)>,
    /// The points that are written, with their new positions.
    written: Vec<(PointId, Entry)>,
}

impl Writer {
    /// Writes a new generation of the log and drops the old one.
    pub(super) fn compact(&mut self) -> Result<()> {
        self.shared.check_writable()?;
        self.shared.check_disk(self.totals.live_bytes + self.log.length())?;
        let before = self.sealed_bytes + self.log.length();
        let old = self.log.header();
        let header = Header { generation: old.generation + 1, number: old.number + 1, ..old };
        let base = self.write_base(header).inspect_err(|error| {
            // The old log is untouched. What is left of the new one is deleted now or at open.
            self.remove_new(header.number);
            match error {
                Error::Corrupted(_) | Error::Io(_) | Error::Internal(_) => {
                    self.shared.fail(&format!("compaction failed: {error}"));
                }
                _ => {}
            }
        })?;
        self.switch(base, header).inspect_err(|error| {
            self.shared.fail(&format!("compaction could not be finished: {error}"));
        })?;
        self.publish();
        let (name, after) = (&self.shared.name, self.sealed_bytes + self.log.length());
        tracing::info!("collection `{name}` compacted from {before} to {after} bytes");
        Ok(())
    }

    fn remove_new(&self, first: u32) {
        let log_dir = self.shared.dir.join("log");
        let numbers = segment::numbers(&log_dir).unwrap_or_default();
        let new: Vec<u32> = numbers.into_iter().filter(|number| *number >= first).collect();
        if let Err(error) = segment::remove(&log_dir, &new) {
            tracing::warn!("an abandoned compaction is left behind: {error}");
        }
    }

    fn write_base(&self, header: Header) -> Result<Base> {
        let shared = &self.shared;
        let config = shared.config.read().clone();
        let head = (&shared.name, &config, self.seq);
        let points = shared.view.range(shared.number, keys::first_point(shared.number)).map(|item| {
            let (key, value) = item?;
            let damaged = || Error::Corrupted(format!("the point under key {key:?} fails its checksum"));
            let id = keys::point_id(&key).ok_or_else(damaged)?;
            let (entry, json) = codec::decode_entry(&key, &value).ok_or_else(damaged)?;
            Ok((id, entry, json.map(<[u8]>::to_vec)))
        });
        write_base(
            &shared.dir.join("log"),
            header,
            shared.options.segment_bytes,
            head,
            points,
            &shared.segments,
        )
    }

    /// The moment of truth, then the view, then the old segments.
    fn switch(&mut self, base: Base, header: Header) -> Result<()> {
        let log_dir = self.shared.dir.join("log");
        let manifest = Manifest {
            config: self.shared.config.read().clone(),
            generation: header.generation,
            first_segment: header.number,
            ..self.manifest.clone()
        };
        manifest.write(&self.shared.dir)?;
        self.manifest = manifest;
        self.sealed_bytes = base.sealed_bytes;
        self.log = base.log;
        for number in header.number..=self.log.header().number {
            self.shared.segments.put(Segment::open(&log_dir, number)?);
        }
        let number = self.shared.number;
        let mut totals = codec::Totals::default();
        for points in base.written.chunks(VIEW_BATCH) {
            let mut batch = Batch::default();
            for (id, entry) in points {
                totals.add(*id, entry);
                let key = keys::point(number, *id);
                let value = codec::encode_entry(&key, entry);
                batch.insert(key, value);
            }
            self.shared.view.apply(batch)?;
        }
        if totals.count != self.totals.count || totals.fingerprint != self.totals.fingerprint {
            return Err(Error::Corrupted("the new log does not hold what the old one held".to_owned()));
        }
        self.totals = totals;
        let mut batch = Batch::default();
        self.put_state(&mut batch);
        self.shared.view.apply(batch)?;
        self.shared.segments.drop_below(header.number);
        self.shared.turn.fetch_add(1, Ordering::AcqRel);
        if let Some(moved) = self.shared.moved.get() {
            moved();
        }
        let old: Vec<u32> =
            segment::numbers(&log_dir)?.into_iter().filter(|number| *number < header.number).collect();
        segment::remove(&log_dir, &old)?;
        parity::remove_before(&log_dir, header.generation)
    }
}

impl Base {
    fn push(&mut self, id: PointId, entry: Entry, records: &Records<Vec<u8>>) -> Result<()> {
        if self.filling.is_empty() {
            self.pictured = !records.pictures.is_empty();
            self.body = frame::begin_base(self.pictured);
        }
        let places = frame::push_base(&mut self.body, entry.version, records)?;
        self.filling.push((id, entry, places));
        Ok(())
    }

    fn write_frame(&mut self, head: Head<'_>) -> Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(&mut self.body); // begun anew with the next point
        if self.log.is_full_for(body.len() + frame::PREFIX) {
            self.sealed_bytes += self.log.length();
            self.log.roll(head)?;
        }
        let segment = self.log.header().number;
        let at = usize::try_from(self.log.length()).map_err(|_| Error::Internal("segment size".into()))?;
        let mut bytes = Vec::with_capacity(body.len() + frame::PREFIX);
        self.log.mark().write(&mut bytes, head.2, &body)?;
        self.log.append(&bytes)?;
        self.frames += 1;
        for (id, entry, Records { payload, vectors, pictures }) in self.filling.drain(..) {
            let position = |record: &std::ops::Range<usize>| frame::position(segment, at, &body, record);
            let moved = || {
                let pictures = pictures.try_map(|_, record| position(record))?;
                Some(Entry { payload: position(&payload)?, vectors: position(&vectors)?, pictures, ..entry })
            };
            let moved = moved().ok_or_else(|| Error::Internal("a position that does not fit".to_owned()))?;
            self.written.push((id, moved));
        }
        Ok(())
    }
}
