//! Frames: the atoms of the log. One change is one frame; a frame is there whole or not at all.
//!
//! `magic u32 | length u32 | crc32c u32 | seq u64 | ops`, little-endian; `length` counts the
//! bytes of `ops`, the checksum covers length, seq and ops. Magic and checksum are mixed with
//! the collection's salt and the log's generation, so that bytes which a user stores, or which
//! an abandoned compaction left, are never taken for a frame when the log is searched for one.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName, Payload, PictureKind, Pictures, Point, PointId};

use super::keys;
use super::record::{self, Position};

/// Most bytes of a frame: 64 MiB. Bounds what one commit holds in memory and what a search for
/// the next frame has to look at.
pub const MAX_FRAME: usize = 64 * 1024 * 1024;
/// Most bytes of ops that are read back: a base frame adds a few bytes to the point it holds.
const MAX_READ: usize = MAX_FRAME + 4096;
/// Bytes before the ops.
pub const PREFIX: usize = 20;

/// How a log's frames are told from anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    magic: [u8; 4],
    seed: u32,
}

impl Mark {
    /// The mark of a generation of a collection's log.
    pub fn new(salt: u64, generation: u32) -> Self {
        let bytes = [&salt.to_le_bytes()[..], &generation.to_le_bytes()].concat();
        let magic = crc32c::crc32c_append(crc32c::crc32c(b"magic"), &bytes);
        let seed = crc32c::crc32c_append(crc32c::crc32c(b"seed"), &bytes);
        Self { magic: magic.to_le_bytes(), seed }
    }

    /// Appends a frame.
    pub fn write(&self, out: &mut Vec<u8>, seq: u64, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| too_large(body.len()))?.to_le_bytes();
        let seq = seq.to_le_bytes();
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&length);
        out.extend_from_slice(&self.crc(length, seq, body).to_le_bytes());
        out.extend_from_slice(&seq);
        out.extend_from_slice(body);
        Ok(())
    }

    fn crc(&self, length: [u8; 4], seq: [u8; 8], body: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(self.seed, &length), &seq);
        crc32c::crc32c_append(crc, body)
    }

    /// The frame that starts at `at`; `None` where none does, or a damaged one.
    pub fn read<'a>(&self, bytes: &'a [u8], at: usize) -> Option<Frame<'a>> {
        let frame = self.read_unverified(bytes, at)?;
        let length = u32::try_from(frame.body.len()).ok()?.to_le_bytes();
        let crc = u32::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?);
        (crc == self.crc(length, frame.seq.to_le_bytes(), frame.body)).then_some(frame)
    }

    /// What looks like a frame at `at`, whether or not its checksum holds.
    pub fn read_unverified<'a>(&self, bytes: &'a [u8], at: usize) -> Option<Frame<'a>> {
        let prefix = bytes.get(at..)?.first_chunk::<PREFIX>()?;
        let length = u32::from_le_bytes(*prefix[4..].first_chunk()?) as usize;
        let seq = u64::from_le_bytes(*prefix[12..].first_chunk()?);
        if prefix[..4] != self.magic || length == 0 || length > MAX_READ {
            return None;
        }
        let body = bytes.get(at + PREFIX..at + PREFIX + length)?;
        Some(Frame { seq, at, body })
    }

    /// Where the next whole frame starts, searched byte by byte from `from` on.
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        let starts = rest.windows(4).enumerate().filter(|(_, window)| *window == self.magic);
        starts.map(|(i, _)| from + i).find(|at| self.read(bytes, *at).is_some())
    }
}

/// A frame within a segment.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Sequence number of its change.
    pub seq: u64,
    /// Where it starts within the segment.
    pub at: usize,
    /// Its ops.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Where the next frame starts.
    pub fn end(&self) -> usize {
        self.at + PREFIX + self.body.len()
    }
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub enum Found<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// Bytes that are no frame, with a whole frame behind them.
    Damage(Range<usize>),
    /// Bytes that are no frame up to the end of the segment.
    BadEnd(Range<usize>),
}

/// Walks the frames of a segment from `at` on; damage does not end the walk.
pub fn walk<'a>(mark: Mark, bytes: &'a [u8], at: usize) -> impl Iterator<Item = Found<'a>> {
    let mut at = at.min(bytes.len());
    std::iter::from_fn(move || {
        if at == bytes.len() {
            return None;
        }
        if let Some(frame) = mark.read(bytes, at) {
            at = frame.end();
            return Some(Found::Frame(frame));
        }
        let start = at;
        at = mark.find(bytes, start + 1).unwrap_or(bytes.len());
        Some(if at == bytes.len() { Found::BadEnd(start..at) } else { Found::Damage(start..at) })
    })
}

/// What a frame is for: the first byte of its ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Name and configuration at the start of a segment; no change.
    Head,
    /// New configuration.
    Configure,
    /// Points written whole.
    Upsert,
    /// Points deleted.
    Delete,
    /// Payloads replaced.
    SetPayload,
    /// Live points as compaction found them, each with its version.
    Base,
    /// Compaction is complete; says how many base frames there are.
    BaseEnd,
    /// Points written whole, with pictures.
    Pictured,
    /// Live points with pictures as compaction found them, each with its version.
    PicturedBase,
}

const KINDS: [Kind; 9] = [
    Kind::Head,
    Kind::Configure,
    Kind::Upsert,
    Kind::Delete,
    Kind::SetPayload,
    Kind::Base,
    Kind::BaseEnd,
    Kind::Pictured,
    Kind::PicturedBase,
];

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Head => 1,
            Kind::Configure => 2,
            Kind::Upsert => 3,
            Kind::Delete => 4,
            Kind::SetPayload => 5,
            Kind::Base => 6,
            Kind::BaseEnd => 7,
            Kind::Pictured => 8,
            Kind::PicturedBase => 9,
        }
    }

    /// The kind of a frame's ops.
    pub fn of(body: &[u8]) -> Option<Self> {
        KINDS.into_iter().find(|kind| body.first() == Some(&kind.byte()))
    }
}

/// One step of a frame. Records are byte ranges of the frame's ops.
#[derive(Debug, Clone)]
pub enum Op {
    /// The point is now this; a version stands only in base frames.
    Put {
        /// Which point.
        id: PointId,
        /// Its version where that is not the frame's seq.
        version: Option<u64>,
        /// Its payload's record.
        payload: Range<usize>,
        /// Its vectors' record.
        vectors: Range<usize>,
        /// Its pictures' records.
        pictures: Pictures<Range<usize>>,
    },
    /// The payload is now this, if there is such a point.
    Payload {
        /// Which point.
        id: PointId,
        /// Its payload's record.
        payload: Range<usize>,
    },
    /// There is no such point any more.
    Delete(PointId),
}

/// Name and configuration as frames of kind Head and Configure hold them.
pub fn encode_config(kind: Kind, name: &CollectionName, config: &CollectionConfig) -> Result<Vec<u8>> {
    let mut body = vec![kind.byte(), u8::try_from(name.as_str().len()).unwrap_or(u8::MAX)];
    body.extend_from_slice(name.as_str().as_bytes());
    serde_json::to_writer(&mut body, config)
        .map_err(|error| Error::Internal(format!("configuration of `{name}` as JSON: {error}")))?;
    within_bound(body)
}

/// Reads the ops of a Head or Configure frame.
pub fn decode_config(body: &[u8]) -> Option<(CollectionName, CollectionConfig)> {
    let (name, json) = body.get(2..)?.split_at_checked((*body.get(1)?).into())?;
    let name = CollectionName::parse(std::str::from_utf8(name).ok()?).ok()?;
    Some((name, serde_json::from_slice(json).ok()?))
}

/// The ops of an upsert.
///
/// # Errors
/// `TooLarge` where they come to more than 64 MiB.
pub fn encode_upsert(points: &[Point]) -> Result<Vec<u8>> {
    let mut body = vec![Kind::Upsert.byte()];
    for Point { id, vectors, payload } in points {
        with_length(&mut body, |out| record::write_payload(out, *id, payload))?;
        with_length(&mut body, |out| record::write_vectors(out, *id, vectors))?;
        if body.len() > MAX_FRAME {
            return Err(too_large(body.len()));
        }
    }
    within_bound(body)
}

/// The same with what is kept of the picture of each, in the order of the points.
///
/// # Errors
/// As [`encode_upsert`].
pub fn encode_pictured(points: &[Point], pictures: &[Pictures]) -> Result<Vec<u8>> {
    if points.len() != pictures.len() {
        return Err(Error::Internal(format!("{} points, {} pictures", points.len(), pictures.len())));
    }
    let mut body = vec![Kind::Pictured.byte()];
    for (Point { id, vectors, payload }, pictures) in points.iter().zip(pictures) {
        with_length(&mut body, |out| record::write_payload(out, *id, payload))?;
        with_length(&mut body, |out| record::write_vectors(out, *id, vectors))?;
        for kind in PictureKind::ALL {
            with_length(&mut body, |out| {
                if let Some(bytes) = pictures.get(kind) {
                    record::write_picture(out, *id, kind, bytes);
                }
                Ok(())
            })?;
        }
        if body.len() > MAX_FRAME {
            return Err(too_large(body.len()));
        }
    }
    within_bound(body)
}

/// The ops of a deletion.
pub fn encode_delete(ids: &[PointId]) -> Result<Vec<u8>> {
    let mut body = vec![Kind::Delete.byte()];
    ids.iter().for_each(|id| keys::write_id(&mut body, *id));
    within_bound(body)
}

/// The ops of new payloads.
pub fn encode_payloads(payloads: &[(PointId, Payload)]) -> Result<Vec<u8>> {
    let mut body = vec![Kind::SetPayload.byte()];
    for (id, payload) in payloads {
        with_length(&mut body, |out| record::write_payload(out, *id, payload))?;
        if body.len() > MAX_FRAME {
            return Err(too_large(body.len()));
        }
    }
    within_bound(body)
}

/// Ops of a base frame of points with or without pictures, filled point by point with [`push_base`].
pub fn begin_base(pictured: bool) -> Vec<u8> {
    vec![if pictured { Kind::PicturedBase } else { Kind::Base }.byte()]
}

/// A point's records, or where they lie in a frame's ops.
#[derive(Debug, Clone)]
pub struct Records<T> {
    /// Its payload's.
    pub payload: T,
    /// Its vectors'.
    pub vectors: T,
    /// Its pictures'.
    pub pictures: Pictures<T>,
}

/// Appends a live point to a base frame; returns where its records lie in the ops.
pub fn push_base(
    body: &mut Vec<u8>,
    version: u64,
    records: &Records<Vec<u8>>,
) -> Result<Records<Range<usize>>> {
    let pictured = Kind::of(body) == Some(Kind::PicturedBase);
    body.extend_from_slice(&version.to_le_bytes());
    let mut push = |record: &[u8]| {
        with_length(body, |out| {
            out.extend_from_slice(record);
            Ok(())
        })?;
        Ok::<_, Error>(body.len() - record.len()..body.len())
    };
    let (payload, vectors) = (push(&records.payload)?, push(&records.vectors)?);
    let mut pictures = Pictures::default();
    for kind in PictureKind::ALL.into_iter().filter(|_| pictured) {
        let record = records.pictures.get(kind);
        let place = push(record.map(Vec::as_slice).unwrap_or_default())?;
        pictures.put(kind, record.map(|_| place));
    }
    Ok(Records { payload, vectors, pictures })
}

/// The ops of the frame that ends a compaction of so many base frames.
pub fn encode_base_end(frames: u64) -> Vec<u8> {
    [&[Kind::BaseEnd.byte()][..], &frames.to_le_bytes()].concat()
}

/// The number of base frames that a BaseEnd frame states.
pub fn decode_base_end(body: &[u8]) -> Option<u64> {
    body.get(1..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn with_length(body: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let at = body.len();
    body.extend_from_slice(&[0; 4]);
    write(body)?;
    let length = body.len() - at - 4;
    let length = u32::try_from(length).map_err(|_| too_large(length))?;
    body[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn within_bound(body: Vec<u8>) -> Result<Vec<u8>> {
    if body.len() + PREFIX > MAX_FRAME { Err(too_large(body.len())) } else { Ok(body) }
}

fn too_large(bytes: usize) -> Error {
    let (mib, most) = (bytes.div_ceil(1 << 20), MAX_FRAME >> 20);
    Error::TooLarge(format!(
        "the batch comes to {mib} MiB or more, at most {most} MiB can be written at once; send smaller batches"
    ))
}

/// The ops of a frame in order. `None` stands for ops that do not decode, and ends the walk.
pub fn ops(body: &[u8]) -> impl Iterator<Item = Option<Op>> {
    let kind = Kind::of(body);
    let mut at = 1;
    std::iter::from_fn(move || {
        if at >= body.len() || matches!(kind, Some(Kind::Head | Kind::Configure | Kind::BaseEnd)) {
            return None;
        }
        let op = kind.and_then(|kind| read_op(kind, body, &mut at));
        if op.is_none() {
            at = body.len();
        }
        Some(op)
    })
}

fn read_op(kind: Kind, body: &[u8], at: &mut usize) -> Option<Op> {
    match kind {
        Kind::Upsert | Kind::Base | Kind::Pictured | Kind::PicturedBase => {
            let version = match kind {
                Kind::Base | Kind::PicturedBase => {
                    let version = u64::from_le_bytes(*body.get(*at..)?.first_chunk()?);
                    *at += 8;
                    Some(version)
                }
                _ => None,
            };
            let payload = read_record(body, at)?;
            let vectors = read_record(body, at)?;
            let mut pictures = Pictures::default();
            if matches!(kind, Kind::Pictured | Kind::PicturedBase) {
                for kind in PictureKind::ALL {
                    let record = read_record(body, at)?; // empty where there is none
                    pictures.put(kind, (!record.is_empty()).then_some(record));
                }
            }
            let id = record::claimed_id(&body[payload.clone()])?;
            Some(Op::Put { id, version, payload, vectors, pictures })
        }
        Kind::SetPayload => {
            let payload = read_record(body, at)?;
            Some(Op::Payload { id: record::claimed_id(&body[payload.clone()])?, payload })
        }
        Kind::Delete => {
            let (id, length) = keys::read_id(body.get(*at..)?)?;
            *at += length;
            Some(Op::Delete(id))
        }
        Kind::Head | Kind::Configure | Kind::BaseEnd => None,
    }
}

fn read_record(body: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let length = u32::from_le_bytes(*body.get(*at..)?.first_chunk()?) as usize;
    let record = *at + 4..(*at + 4).checked_add(length)?;
    body.get(record.clone())?;
    *at = record.end;
    Some(record)
}

/// The position of a record within the ops of a frame at `frame_at` of segment `segment`.
pub fn position(segment: u32, frame_at: usize, body: &[u8], record: &Range<usize>) -> Option<Position> {
    Some(Position {
        segment,
        offset: u32::try_from(frame_at + PREFIX + record.start).ok()?,
        length: u32::try_from(record.len()).ok()?,
        crc: record::claimed_crc(body.get(record.clone())?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NamedVectors;
    use proptest::prelude::*;

    fn one_vector(components: &[f32]) -> NamedVectors {
        NamedVectors::from([(String::new(), components.to_vec())])
    }

    fn point(id: u64) -> Point {
        Point { id: PointId::Num(id), vectors: one_vector(&[1.0, 2.0]), payload: Payload::new() }
    }

    proptest! {
        #[test]
        fn a_walk_finds_every_frame_that_is_whole_whatever_is_damaged(
            sizes in prop::collection::vec(1..60_usize, 1..8),
            hit in any::<prop::sample::Index>(),
        ) {
            let mark = Mark::new(99, 1);
            let mut bytes = Vec::new();
            let mut starts = Vec::new();
            for (seq, size) in (1..).zip(&sizes) {
                starts.push(bytes.len());
                mark.write(&mut bytes, seq, &vec![7; *size]).unwrap();
            }
            let hit = hit.index(bytes.len());
            bytes[hit] ^= 0x10;
            let damaged = starts.iter().rposition(|start| *start <= hit).unwrap();
            let mut seqs = Vec::new();
            let mut gaps = 0;
            for found in walk(mark, &bytes, 0) {
                match found {
                    Found::Frame(frame) => seqs.push(frame.seq),
                    Found::Damage(range) | Found::BadEnd(range) => {
                        prop_assert!(range.contains(&hit));
                        gaps += 1;
                    }
                }
            }
            let expected: Vec<u64> = (1..).zip(&sizes).map(|(seq, _)| seq).filter(|s| *s != damaged as u64 + 1).collect();
            prop_assert_eq!(seqs, expected);
            prop_assert_eq!(gaps, 1);
        }
    }

    #[test]
    fn a_frame_of_another_collection_or_generation_is_no_frame() {
        let mut bytes = Vec::new();
        Mark::new(1, 1).write(&mut bytes, 1, &[3]).unwrap();
        assert!(Mark::new(1, 1).read(&bytes, 0).is_some());
        assert!(Mark::new(2, 1).read(&bytes, 0).is_none());
        assert!(Mark::new(1, 2).read(&bytes, 0).is_none());
    }

    #[test]
    fn ops_come_back_with_their_records() {
        let body = encode_upsert(&[point(1), point(2)]).unwrap();
        let ids: Vec<PointId> = ops(&body)
            .map(|op| match op {
                Some(Op::Put { id, version: None, payload, vectors, pictures }) => {
                    assert!(pictures.is_empty());
                    assert_eq!(record::payload_json(&body[payload], id), Some(&b"{}"[..]));
                    assert!(record::read_vectors(&body[vectors], id).is_some());
                    id
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, [PointId::Num(1), PointId::Num(2)]);
        let body = encode_delete(&ids).unwrap();
        assert_eq!(ops(&body).filter(|op| matches!(op, Some(Op::Delete(_)))).count(), 2);
        assert!(ops(&body[..body.len() - 1]).any(|op| op.is_none()), "ops cut short must be noticed");
    }

    #[test]
    fn pictures_come_back_with_the_points_that_have_them() {
        let both = Pictures { thumbnail: Some(vec![1, 2]), original: Some(vec![3]) };
        let pictures = [Pictures::default(), both.clone(), Pictures { original: None, ..both }];
        let body = encode_pictured(&[point(1), point(2), point(3)], &pictures).unwrap();
        let mut found = Vec::new();
        for op in ops(&body) {
            let Some(Op::Put { id, pictures, .. }) = op else { panic!("{op:?}") };
            let read =
                |kind, record: &Range<usize>| record::picture(&body[record.clone()], id, kind).map(Vec::from);
            found.push(pictures.try_map(read).unwrap());
        }
        assert_eq!(found, pictures);
        assert!(encode_pictured(&[point(1)], &[]).is_err());
    }

    #[test]
    fn a_batch_over_the_bound_is_refused_with_what_to_do() {
        let vectors = one_vector(&vec![0.1; 65_536]);
        let points: Vec<Point> = (0..260).map(|id| Point { vectors: vectors.clone(), ..point(id) }).collect();
        let error = encode_upsert(&points).unwrap_err();
        assert_eq!(error.code(), 413);
        assert!(error.to_string().contains("smaller batches"), "{error}");
    }
}
