//! Reads a log from front to back into what its collection holds. The same step function is
//! used here and by the writer, so that a replayed log and a live collection cannot differ.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use rayon::prelude::*;

use crate::types::{CollectionConfig, CollectionName, PointId};

use super::codec::Entry;
use super::frame::{self, Found, Frame, Kind, Mark, Op};
use super::record;
use super::segment::{HEADER, Header, Segment};

/// Segments whose frames are looked for at once: bounds what is held of them.
const WAVE: usize = 16;

/// What a collection holds, by id.
pub type Entries = HashMap<PointId, Entry>;

/// What an op does to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Keep,
    /// The point has this entry now.
    Put(Entry),
    /// There is no such point any more.
    Remove,
}

/// The point that `op` is about and what becomes of it. `at` is the frame's place.
pub fn step(op: &Op, old: Option<Entry>, seq: u64, segment: u32, at: usize, body: &[u8]) -> Option<Effect> {
    let position = |record: &Range<usize>| frame::position(segment, at, body, record);
    Some(match op {
        Op::Put { version, payload, vectors, pictures, .. } => Effect::Put(Entry {
            version: version.unwrap_or(seq),
            vectors: position(vectors)?,
            payload: position(payload)?,
            pictures: pictures.try_map(|_, record| position(record))?,
        }),
        Op::Payload { payload, .. } => match old {
            Some(old) => Effect::Put(Entry { version: seq, payload: position(payload)?, ..old }),
            None => Effect::Keep,
        },
        Op::Delete(_) if old.is_some() => Effect::Remove,
        Op::Delete(_) => Effect::Keep,
    })
}

/// The id that an op is about.
pub fn id_of(op: &Op) -> PointId {
    match op {
        Op::Put { id, .. } | Op::Payload { id, .. } | Op::Delete(id) => *id,
    }
}

/// A log as it was read.
#[derive(Debug, Default)]
pub struct Replay {
    /// Name and configuration, the latest.
    pub head: Option<(CollectionName, CollectionConfig)>,
    /// The points.
    pub entries: Entries,
    /// Last change.
    pub last_seq: u64,
    /// Changes up to here were folded together by compaction.
    pub base_seq: u64,
    /// Changes that should be there and are not.
    pub missing: Vec<RangeInclusive<u64>>,
    /// Changes that are whole and do not decode: something wrote them that knows more.
    pub unreadable: Vec<u64>,
    /// What is wrong, in words, in the order of the log.
    pub damage: Vec<String>,
    /// Bytes at the very end that are no frame: a torn write, unless something says otherwise.
    pub tail: Option<Tail>,
}

impl Replay {
    /// Says that changes up to `evidence` were durable: what of them is not there is missing.
    pub fn expect(&mut self, evidence: u64) {
        if evidence > self.last_seq {
            let first = self.last_seq + 1;
            self.missing.push(first..=evidence);
            self.damage.push(format!("changes {first} to {evidence} are missing at the end"));
        }
    }
}

/// The bad end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The segment, always the last.
    pub segment: u32,
    /// The bytes, up to the segment's end.
    pub bytes: Range<usize>,
}

/// Where a replay starts.
#[derive(Debug, Default)]
pub struct Start {
    /// The points before the first change that is replayed.
    pub entries: Entries,
    /// The last change that they contain; changes up to here are passed over.
    pub seq: u64,
    /// Name and configuration after that change.
    pub head: Option<(CollectionName, CollectionConfig)>,
    /// A change that is known to have been durable: a bad end before it is damage, not torn.
    pub known_seq: u64,
}

/// Which log is read.
#[derive(Debug, Clone, Copy)]
pub struct LogId {
    /// The collection's salt.
    pub salt: u64,
    /// The generation that counts.
    pub generation: u32,
    /// The segment it begins with.
    pub first_segment: u32,
}

struct Reader {
    replay: Replay,
    skip_to: u64,
    known_seq: u64,
    base_frames: u64,
    base_open: bool,
}

/// Reads the segments, all of one generation, in order.
pub fn replay(segments: &[Arc<Segment>], log: LogId, start: Start) -> Replay {
    let mark = Mark::new(log.salt, log.generation);
    let mut reader = Reader {
        replay: Replay { entries: start.entries, head: start.head, ..Replay::default() },
        skip_to: start.seq,
        known_seq: start.known_seq,
        base_frames: 0,
        base_open: log.generation > 1,
    };
    let last = segments.last().map(|segment| segment.number);
    let mut expected = log.first_segment;
    for wave in segments.chunks(WAVE) {
        // Checksums on all cores, then what they guard in order.
        let walked: Vec<Vec<Found<'_>>> = wave.par_iter().map(|segment| walk(segment, mark)).collect();
        for (segment, found) in wave.iter().zip(walked) {
            if segment.number != expected {
                reader.damage(format!("segments {expected} to {} are missing", segment.number - 1));
            }
            expected = segment.number + 1;
            reader.segment(segment, mark, found, last == Some(segment.number));
        }
    }
    if segments.is_empty() {
        reader.damage("the log has no segments".to_owned());
    }
    if reader.base_open {
        reader.base_ends(None, reader.replay.last_seq);
    }
    reader.replay
}

fn header_is_good(bytes: &[u8]) -> bool {
    Header::decode(bytes).is_some()
}

fn walk(segment: &Segment, mark: Mark) -> Vec<Found<'_>> {
    let bytes = segment.bytes();
    frame::walk(mark, bytes, if header_is_good(bytes) { HEADER } else { 0 }).collect()
}

impl Reader {
    fn segment(&mut self, segment: &Segment, mark: Mark, found: Vec<Found<'_>>, is_last: bool) {
        let (number, bytes) = (segment.number, segment.bytes());
        let header_is_good = header_is_good(bytes);
        for found in found {
            match found {
                Found::Frame(frame) => self.frame(number, &frame),
                Found::BadEnd(bytes) if is_last && self.replay.last_seq >= self.known_seq => {
                    self.replay.tail = Some(Tail { segment: number, bytes });
                }
                Found::Damage(range) if !header_is_good && range.start == 0 => {
                    self.damage(format!("segment {number}: the header is damaged"));
                    self.damaged_range(number, bytes, mark, HEADER.min(range.end)..range.end);
                }
                Found::Damage(range) | Found::BadEnd(range) => {
                    self.damaged_range(number, bytes, mark, range);
                }
            }
        }
        if bytes.is_empty() && is_last {
            // The file's name became durable and nothing in it did.
            self.replay.tail = Some(Tail { segment: number, bytes: 0..0 });
        } else if bytes.is_empty() {
            self.damage(format!("segment {number} is empty"));
        }
    }

    /// Bytes that hold no whole frame. Where they are a frame but for some bits, its records are
    /// looked at one by one: each has a checksum of its own, and one that fails it is an error to
    /// read, not an older point.
    fn damaged_range(&mut self, segment: u32, bytes: &[u8], mark: Mark, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.damage(format!("segment {segment}: bytes {} to {} are damaged", range.start, range.end));
        let Some(frame) = mark.read_unverified(bytes, range.start) else { return };
        let is_change =
            matches!(Kind::of(frame.body), Some(Kind::Upsert | Kind::Pictured | Kind::SetPayload));
        if !is_change || frame.end() != range.end || frame.seq != self.replay.last_seq + 1 {
            return;
        }
        self.replay.last_seq = frame.seq;
        // Kind and id are checked too: a flipped kind of the frame must not pass for another.
        let payload_holds =
            |record: Range<usize>, id| record::payload_json(&frame.body[record], id).is_some();
        let vectors_hold = |record: Range<usize>, id| record::read_vectors(&frame.body[record], id).is_some();
        let is_whole = frame::ops(frame.body).all(|op| match op {
            Some(Op::Put { id, payload, vectors, pictures, .. }) => {
                let holds = |(kind, record): (_, &Range<usize>)| {
                    record::picture(&frame.body[record.clone()], id, kind).is_some()
                };
                payload_holds(payload, id) && vectors_hold(vectors, id) && pictures.iter().all(holds)
            }
            Some(Op::Payload { id, payload }) => payload_holds(payload, id),
            Some(Op::Delete(_)) | None => false,
        });
        if !is_whole {
            self.replay.missing.push(frame.seq..=frame.seq);
        }
        if frame.seq > self.skip_to {
            self.ops(segment, &frame);
        }
    }

    fn damage(&mut self, what: String) {
        self.replay.damage.push(what);
    }

    fn frame(&mut self, segment: u32, frame: &Frame<'_>) {
        match Kind::of(frame.body) {
            Some(Kind::Head) => {
                // It repeats the configuration as it was after change `seq`.
                let is_news = self.replay.head.is_none() || frame.seq >= self.skip_to;
                if is_news && let Some(head) = frame::decode_config(frame.body) {
                    self.replay.head = Some(head);
                }
            }
            Some(Kind::Base | Kind::PicturedBase) => {
                self.base_frames += 1;
                self.replay.base_seq = frame.seq;
                self.replay.last_seq = frame.seq;
                if frame.seq > self.skip_to {
                    self.ops(segment, frame);
                }
            }
            Some(Kind::BaseEnd) => self.base_ends(frame::decode_base_end(frame.body), frame.seq),
            Some(Kind::Configure | Kind::Upsert | Kind::Pictured | Kind::Delete | Kind::SetPayload) => {
                self.change(segment, frame);
            }
            None => self.unreadable(frame.seq),
        }
    }

    fn base_ends(&mut self, frames: Option<u64>, seq: u64) {
        if frames != Some(self.base_frames) && seq > 0 {
            self.replay.missing.push(1..=seq);
            self.damage("the base that compaction wrote is incomplete".to_owned());
        }
        self.base_open = false;
        self.replay.base_seq = seq;
        self.replay.last_seq = seq;
    }

    fn change(&mut self, segment: u32, frame: &Frame<'_>) {
        if self.base_open {
            self.base_ends(None, frame.seq.saturating_sub(1));
        }
        let expected = self.replay.last_seq + 1;
        if frame.seq < expected {
            let (seq, at) = (frame.seq, frame.at);
            return self.damage(format!("segment {segment}: change {seq} at {at} is out of order"));
        }
        if frame.seq > expected {
            self.replay.missing.push(expected..=frame.seq - 1);
            self.damage(format!("changes {expected} to {} are missing", frame.seq - 1));
        }
        self.replay.last_seq = frame.seq;
        if frame.seq <= self.skip_to {
            return;
        }
        if Kind::of(frame.body) == Some(Kind::Configure) {
            match frame::decode_config(frame.body) {
                Some(head) => self.replay.head = Some(head),
                None => self.unreadable(frame.seq),
            }
        } else {
            self.ops(segment, frame);
        }
    }

    fn ops(&mut self, segment: u32, frame: &Frame<'_>) {
        for op in frame::ops(frame.body) {
            let effect = op.as_ref().and_then(|op| {
                let id = id_of(op);
                let old = self.replay.entries.get(&id).copied();
                step(op, old, frame.seq, segment, frame.at, frame.body).map(|effect| (id, effect))
            });
            match effect {
                Some((id, Effect::Put(entry))) => {
                    self.replay.entries.insert(id, entry);
                }
                Some((id, Effect::Remove)) => {
                    self.replay.entries.remove(&id);
                }
                Some((_, Effect::Keep)) => {}
                None => self.unreadable(frame.seq),
            }
        }
    }

    fn unreadable(&mut self, seq: u64) {
        self.replay.unreadable.push(seq);
        self.damage(format!("change {seq} is whole and does not decode"));
    }
}
