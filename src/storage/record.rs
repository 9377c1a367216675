//! The records within log frames: one point's payload, its vectors, or a picture kept with it. A record carries
//! its own checksum and its id, so that it can be read and verified alone through mmap.
//!
//! `crc32c u32 LE | kind u8 | id | body`; the checksum covers everything behind it. The body of
//! a payload is its JSON; the body of vectors is `count u16`, then for each `name length u8,
//! name, components u32, f32 LE ...`, or where 16 bits hold every component as it is, `components | 1 << 31`
//! and f16 LE; that of a picture the bytes of its file.

use crate::error::{Error, Result};
use crate::types::{NamedVectors, Payload, PictureKind, PointId};

use super::keys;
use crate::distance;

const PAYLOAD: u8 = b'P';
const VECTORS: u8 = b'V';
/// Set in the number of components of a vector in 16 bits.
const HALVES: u32 = 1 << 31;

/// The kind of a picture's record.
fn kind_of(picture: PictureKind) -> u8 {
    match picture {
        PictureKind::Thumbnail => b'T',
        PictureKind::Original => b'O',
    }
}

/// Where a record lies: bytes `offset..offset + length` of a segment, starting with `crc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The segment's number.
    pub segment: u32,
    /// Bytes from the start of the segment.
    pub offset: u32,
    /// Bytes of the record.
    pub length: u32,
    /// The record's checksum.
    pub crc: u32,
}

/// Appends the record of a payload.
pub fn write_payload(out: &mut Vec<u8>, id: PointId, payload: &Payload) -> Result<()> {
    let start = begin(out, PAYLOAD, id);
    serde_json::to_writer(&mut *out, payload).map_err(|error| {
        Error::Internal(format!("payload of point {id} cannot be written as JSON: {error}"))
    })?;
    finish(out, start);
    Ok(())
}

/// Appends the record of a payload whose JSON is there already.
pub fn write_payload_json(out: &mut Vec<u8>, id: PointId, json: &[u8]) {
    let start = begin(out, PAYLOAD, id);
    out.extend_from_slice(json);
    finish(out, start);
}

/// Appends the record of a point's vectors.
pub fn write_vectors(out: &mut Vec<u8>, id: PointId, vectors: &NamedVectors) -> Result<()> {
    let too_large = |what: &str| Error::TooLarge(format!("point {id}: {what}"));
    let start = begin(out, VECTORS, id);
    let count = u16::try_from(vectors.len()).map_err(|_| too_large("more than 65,535 vectors"))?;
    out.extend_from_slice(&count.to_le_bytes());
    for (name, vector) in vectors {
        let length = u8::try_from(name.len()).map_err(|_| too_large("a vector name over 255 bytes"))?;
        let size = u32::try_from(vector.len()).ok().filter(|size| size & HALVES == 0);
        let size = size.ok_or_else(|| too_large("a vector of 2 billion components"))?;
        let halves = distance::are_halves(vector);
        out.push(length);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&if halves { size | HALVES } else { size }.to_le_bytes());
        if halves {
            distance::write_halves(vector, out);
        } else {
            vector.iter().for_each(|component| out.extend_from_slice(&component.to_le_bytes()));
        }
    }
    finish(out, start);
    Ok(())
}

/// Appends the record of a picture.
pub fn write_picture(out: &mut Vec<u8>, id: PointId, kind: PictureKind, bytes: &[u8]) {
    let start = begin(out, kind_of(kind), id);
    out.extend_from_slice(bytes);
    finish(out, start);
}

/// The file in the picture record of `id`; `None` where anything about it is wrong.
pub fn picture(record: &[u8], id: PointId, kind: PictureKind) -> Option<&[u8]> {
    body(record, kind_of(kind), id)
}

fn begin(out: &mut Vec<u8>, kind: u8, id: PointId) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    keys::write_id(out, id);
    start
}

fn finish(out: &mut [u8], start: usize) {
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum that a record claims.
pub fn claimed_crc(record: &[u8]) -> Option<u32> {
    record.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The id that a record claims; says nothing on whether its checksum holds.
pub fn claimed_id(record: &[u8]) -> Option<PointId> {
    keys::read_id(record.get(5..)?).map(|(id, _)| id)
}

/// True where the record's checksum holds.
pub fn is_intact(record: &[u8]) -> bool {
    claimed_crc(record).is_some_and(|crc| crc == crc32c::crc32c(&record[4..]))
}

fn body(record: &[u8], kind: u8, id: PointId) -> Option<&[u8]> {
    if !is_intact(record) || *record.get(4)? != kind {
        return None;
    }
    let (found, length) = keys::read_id(record.get(5..)?)?;
    (found == id).then(|| &record[5 + length..])
}

/// The JSON of the payload record of `id`; `None` where anything about it is wrong.
pub fn payload_json(record: &[u8], id: PointId) -> Option<&[u8]> {
    body(record, PAYLOAD, id)
}

/// Checksum that the payload record of `id` with this JSON has.
pub fn payload_crc(id: PointId, json: &[u8]) -> u32 {
    let mut head = vec![PAYLOAD];
    keys::write_id(&mut head, id);
    crc32c::crc32c_append(crc32c::crc32c(&head), json)
}

/// The vectors of `id` from their record; `None` where anything about it is wrong.
pub fn read_vectors(record: &[u8], id: PointId) -> Option<NamedVectors> {
    let mut vectors = NamedVectors::new();
    each_vector(record, id, |name, bytes, width| {
        let mut vector = vec![0.0; bytes.len() / width.bytes()];
        width.read(bytes, &mut vector);
        vectors.insert(name.to_owned(), vector);
    })?;
    Some(vectors)
}

/// What a component takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Width {
    /// 32 bits.
    #[default]
    Whole,
    /// 16 bits.
    Half,
}

impl Width {
    /// Bytes of a component.
    pub fn bytes(self) -> usize {
        match self {
            Self::Whole => 4,
            Self::Half => 2,
        }
    }

    /// Reads as many components as `out` has; false where there are fewer.
    pub fn read(self, bytes: &[u8], out: &mut [f32]) -> bool {
        match self {
            Self::Whole => {
                let (components, _) = bytes.as_chunks::<4>();
                out.iter_mut().zip(components).for_each(|(out, bytes)| *out = f32::from_le_bytes(*bytes));
                components.len() >= out.len()
            }
            Self::Half => distance::read_halves(bytes, out),
        }
    }
}

/// Which bytes of the record of `id` are the vector of this name, and what a component takes; `None` where there is none or anything
/// about the record is wrong.
pub fn find_vector(record: &[u8], id: PointId, wanted: &str) -> Option<(std::ops::Range<usize>, Width)> {
    let mut found = None;
    each_vector(record, id, |name, bytes, width| {
        if name == wanted {
            let start = bytes.as_ptr().addr() - record.as_ptr().addr();
            found = Some((start..start + bytes.len(), width));
        }
    })?;
    found
}

/// Hands out the vectors of a record with their names, each as its bytes.
fn each_vector<'a>(
    record: &'a [u8],
    id: PointId,
    mut each: impl FnMut(&'a str, &'a [u8], Width),
) -> Option<()> {
    let mut rest = body(record, VECTORS, id)?;
    let count = u16::from_le_bytes(*take(&mut rest)?);
    for _ in 0..count {
        let [length] = *take::<1>(&mut rest)?;
        let (name, after) = rest.split_at_checked(length.into())?;
        rest = after;
        let size = u32::from_le_bytes(*take(&mut rest)?);
        let width = if size & HALVES == 0 { Width::Whole } else { Width::Half };
        let size = usize::try_from(size & !HALVES).ok()?;
        let (bytes, after) = rest.split_at_checked(size.checked_mul(width.bytes())?)?;
        rest = after;
        each(std::str::from_utf8(name).ok()?, bytes, width);
    }
    rest.is_empty().then_some(())
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vectors_survive_their_record_and_no_flipped_bit_goes_unseen(
            number in any::<u64>(),
            vectors in btree_map("[a-z]{0,8}", vec(prop_oneof![-1e9_f32..1e9, Just(0.5), Just(-0.0)], 0..4), 0..4),
            flip in any::<prop::sample::Index>(),
        ) {
            let id = PointId::Num(number);
            let mut bytes = Vec::new();
            write_vectors(&mut bytes, id, &vectors).unwrap();
            let read = read_vectors(&bytes, id);
            prop_assert_eq!(read.as_ref(), Some(&vectors));
            prop_assert_eq!(read_vectors(&bytes, PointId::Num(number ^ 1)), None);
            for (name, vector) in &vectors {
                let (place, width) = find_vector(&bytes, id, name).unwrap();
                let mut read = vec![f32::NAN; vector.len()];
                prop_assert_eq!(width == Width::Half, distance::are_halves(vector));
                prop_assert_eq!(place.len(), width.bytes() * vector.len());
                prop_assert!(width.read(&bytes[place], &mut read));
                prop_assert_eq!(&read, vector);
            }
            prop_assert_eq!(find_vector(&bytes, id, "no such name"), None);
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read_vectors(&bytes, id), None);
        }

        #[test]
        fn a_payload_survives_its_record(number in any::<u64>(), text in ".{0,40}") {
            let id = PointId::Num(number);
            let payload = Payload::from_iter([("text".to_owned(), text.into())]);
            let mut bytes = Vec::new();
            write_payload(&mut bytes, id, &payload).unwrap();
            let json = payload_json(&bytes, id).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Payload>(json).unwrap(), payload);
            prop_assert_eq!(claimed_crc(&bytes), Some(payload_crc(id, json)));
            let mut again = Vec::new();
            write_payload_json(&mut again, id, json);
            prop_assert_eq!(&again, &bytes);
            prop_assert_eq!(read_vectors(&bytes, id), None);
        }
    }
}
