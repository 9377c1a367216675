//! Every value of the view is encoded here and nowhere else. A value starts with a crc32c over
//! its key and the rest of it, so that neither a flipped bit nor a value under the wrong key is
//! ever taken for the truth.

use crate::types::{PictureKind, Pictures, PointId};

use super::record::Position;

/// What the view knows of a point: who wrote it last, and where its records lie in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Sequence number of the change that last wrote the point.
    pub version: u64,
    /// The record of its vectors.
    pub vectors: Position,
    /// The record of its payload.
    pub payload: Position,
    /// The records of its pictures.
    pub pictures: Pictures<Position>,
}

impl Entry {
    /// Bytes of the log that the point needs.
    pub fn live_bytes(&self) -> u64 {
        let records = [&self.vectors, &self.payload].into_iter();
        records.chain(self.pictures.iter().map(|(_, record)| record)).map(|r| u64::from(r.length)).sum()
    }

    /// 64 bits that stand for id, version and both checksums, whatever the position.
    fn fingerprint(&self, id: PointId) -> u64 {
        let id = match id {
            PointId::Num(number) => mix(number),
            PointId::Uuid(uuid) => {
                let (high, low) = uuid.as_u64_pair();
                mix(mix(high) ^ low)
            }
        };
        let sums = u64::from(self.vectors.crc) << 32 | u64::from(self.payload.crc);
        let picture = |sums: u64, (kind, record): (PictureKind, &Position)| {
            mix(sums ^ (u64::from(flag(kind)) << 32 | u64::from(record.crc)))
        };
        self.pictures.iter().fold(mix(mix(id ^ self.version) ^ sums), picture)
    }
}

/// The bit of a picture in a point's value.
fn flag(kind: PictureKind) -> u8 {
    match kind {
        PictureKind::Thumbnail => 1,
        PictureKind::Original => 2,
    }
}

/// splitmix64's finaliser.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Sums over all points of a collection, kept up with every change. The fingerprint proves a
/// whole view: it is the sum of the points' own, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Points.
    pub count: u64,
    /// Bytes of the log that they need.
    pub live_bytes: u64,
    /// Wrapping sum of the points' fingerprints.
    pub fingerprint: u64,
}

impl Totals {
    /// Counts a point in.
    pub fn add(&mut self, id: PointId, entry: &Entry) {
        self.count += 1;
        self.live_bytes += entry.live_bytes();
        self.fingerprint = self.fingerprint.wrapping_add(entry.fingerprint(id));
    }

    /// Counts a point out.
    pub fn remove(&mut self, id: PointId, entry: &Entry) {
        self.count = self.count.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(entry.live_bytes());
        self.fingerprint = self.fingerprint.wrapping_sub(entry.fingerprint(id));
    }
}

/// What the view claims to show of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The collection's salt: tells it from another one that had the same number.
    pub salt: u64,
    /// Generation of the log that the positions point into.
    pub generation: u32,
    /// Last change that is in the view.
    pub last_seq: u64,
    /// crc32c of the configuration's JSON.
    pub config_crc: u32,
    /// Sums over the points.
    pub totals: Totals,
}

/// The value of a point: its entry alone, with a byte of flags and the positions where it has pictures. Its payload stays in the log, where the parity guards
/// it: so the view stays small, and a rewritten payload costs it nothing.
pub fn encode_entry(key: &[u8], entry: &Entry) -> Vec<u8> {
    let mut rest = Vec::with_capacity(40);
    rest.extend_from_slice(&entry.version.to_le_bytes());
    push_position(&mut rest, &entry.vectors);
    push_position(&mut rest, &entry.payload);
    if !entry.pictures.is_empty() {
        rest.push(entry.pictures.iter().map(|(kind, _)| flag(kind)).sum());
        entry.pictures.iter().for_each(|(_, position)| push_position(&mut rest, position));
    }
    seal(key, &rest)
}

/// Reads a point's value: the entry, and the payload's JSON in values of the time when small ones
/// stood here too. `None` where the value is damaged or another key's.
pub fn decode_entry<'a>(key: &[u8], value: &'a [u8]) -> Option<(Entry, Option<&'a [u8]>)> {
    let rest = open(key, value)?;
    let (fields, mut rest) = rest.split_at_checked(40)?;
    let mut pictures = Pictures::default();
    // JSON begins with a brace, which is no set of flags.
    if let Some((&flags @ 1..=3, after)) = rest.split_first() {
        rest = after;
        for kind in PictureKind::ALL.into_iter().filter(|kind| flags & flag(*kind) != 0) {
            let (position, after) = rest.split_at_checked(16)?;
            pictures.put(kind, Some(decode_position(position)?));
            rest = after;
        }
    }
    let entry = Entry {
        version: u64::from_le_bytes(*fields.first_chunk()?),
        vectors: decode_position(&fields[8..24])?,
        payload: decode_position(&fields[24..40])?,
        pictures,
    };
    Some((entry, (!rest.is_empty()).then_some(rest)))
}

fn push_position(out: &mut Vec<u8>, position: &Position) {
    for field in [position.segment, position.offset, position.length, position.crc] {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (words, _) = bytes.as_chunks::<4>();
    let [segment, offset, length, crc] = *words.first_chunk::<4>()?;
    let [segment, offset, length, crc] = [segment, offset, length, crc].map(u32::from_le_bytes);
    Some(Position { segment, offset, length, crc })
}

/// The value of a collection's state.
pub fn encode_state(key: &[u8], state: &State) -> Vec<u8> {
    let mut rest = Vec::with_capacity(48);
    rest.extend_from_slice(&state.salt.to_le_bytes());
    rest.extend_from_slice(&state.last_seq.to_le_bytes());
    rest.extend_from_slice(&state.totals.count.to_le_bytes());
    rest.extend_from_slice(&state.totals.live_bytes.to_le_bytes());
    rest.extend_from_slice(&state.totals.fingerprint.to_le_bytes());
    rest.extend_from_slice(&(u64::from(state.generation) << 32 | u64::from(state.config_crc)).to_le_bytes());
    seal(key, &rest)
}

/// Reads a collection's state; `None` where it is damaged.
pub fn decode_state(key: &[u8], value: &[u8]) -> Option<State> {
    let (words, after) = open(key, value)?.as_chunks::<8>();
    let words: [[u8; 8]; 6] = words.try_into().ok()?;
    if !after.is_empty() {
        return None;
    }
    let [salt, last_seq, count, live_bytes, fingerprint, last] = words.map(u64::from_le_bytes);
    let generation = u32::try_from(last >> 32).ok()?;
    let config_crc = u32::try_from(last & 0xffff_ffff).ok()?;
    let totals = Totals { count, live_bytes, fingerprint };
    Some(State { salt, generation, last_seq, config_crc, totals })
}

/// Any bytes as a value.
pub fn seal(key: &[u8], rest: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), rest);
    [&crc.to_le_bytes()[..], rest].concat()
}

/// The bytes of a value; `None` where its checksum does not hold.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, rest) = value.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c_append(crc32c::crc32c(key), rest)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entry() -> impl Strategy<Value = Entry> {
        let position = || {
            any::<[u32; 4]>().prop_map(|[segment, offset, length, crc]| Position {
                segment,
                offset,
                length,
                crc,
            })
        };
        let picture = || prop::option::of(position());
        (any::<u64>(), position(), position(), picture(), picture()).prop_map(
            |(version, vectors, payload, thumbnail, original)| Entry {
                version,
                vectors,
                payload,
                pictures: Pictures { thumbnail, original },
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_survives_and_no_flipped_bit_goes_unseen(
            entry in any_entry(), flip in any::<prop::sample::Index>()
        ) {
            let mut value = encode_entry(b"key", &entry);
            prop_assert_eq!(decode_entry(b"key", &value), Some((entry, None)));
            let with_json = seal(b"key", &[&value[4..], b"{}"].concat());
            prop_assert_eq!(decode_entry(b"key", &with_json), Some((entry, Some(&b"{}"[..]))));
            prop_assert_eq!(decode_entry(b"kez", &value), None);
            let bit = flip.index(value.len() * 8);
            value[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode_entry(b"key", &value), None);
        }

        #[test]
        fn a_state_survives(words in any::<[u64; 5]>(), generation in any::<u32>(), config_crc in any::<u32>()) {
            let [salt, last_seq, count, live_bytes, fingerprint] = words;
            let totals = Totals { count, live_bytes, fingerprint };
            let state = State { salt, generation, last_seq, config_crc, totals };
            prop_assert_eq!(decode_state(b"k", &encode_state(b"k", &state)), Some(state));
        }

        #[test]
        fn totals_do_not_depend_on_the_order_and_go_back(entries in prop::collection::vec(any_entry(), 0..8)) {
            let numbered = || entries.iter().zip(0_u64..).map(|(entry, n)| (PointId::Num(n), entry));
            let mut forward = Totals { live_bytes: 0, ..Totals::default() };
            numbered().for_each(|(id, entry)| forward.add(id, entry));
            let mut backward = Totals::default();
            numbered().collect::<Vec<_>>().into_iter().rev().for_each(|(id, entry)| backward.add(id, entry));
            prop_assert_eq!(forward, backward);
            numbered().for_each(|(id, entry)| forward.remove(id, entry));
            prop_assert_eq!(forward, Totals::default());
        }
    }
}
