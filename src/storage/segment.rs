//! The files of a log: `NNNNNN.seg`, each a 32-byte header and then frames. Full segments are
//! read through mmap; what was appended to the last one since it was mapped is read with pread.
//!
//! Header: `"LKSEG\0" | format u16 | salt u64 | generation u32 | number u32 | 0 u32 | crc32c u32`,
//! little-endian. The salt is the collection's own random number.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Error, Result};

use super::durable;
use super::mmap::Map;
use super::record::{self, Position};

/// Bytes of a segment's header.
pub const HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"LKSEG\0\x01\0";

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The collection's salt.
    pub salt: u64,
    /// The generation of the log; compaction begins a new one.
    pub generation: u32,
    /// The segment's number, as in its name.
    pub number: u32,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` where it is damaged or torn.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        let word = |at: usize| bytes[at..].first_chunk::<4>().map(|w| u32::from_le_bytes(*w));
        if bytes[..8] != MAGIC[..] || word(28)? != crc32c::crc32c(&bytes[..28]) {
            return None;
        }
        let salt = u64::from_le_bytes(*bytes[8..].first_chunk()?);
        Some(Self { salt, generation: word(16)?, number: word(20)? })
    }
}

/// The path of a segment.
pub fn path(log_dir: &Path, number: u32) -> PathBuf {
    log_dir.join(format!("{number:06}.seg"))
}

/// The numbers of the segments within a log directory, ascending.
pub fn numbers(log_dir: &Path) -> Result<Vec<u32>> {
    let number = |name: &String| name.strip_suffix(".seg").and_then(|digits| digits.parse().ok());
    let mut numbers: Vec<u32> = durable::names(log_dir)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// One open segment.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    file: File,
    map: Map,
}

impl Segment {
    /// Opens a segment and maps all of it as it stands now.
    pub fn open(log_dir: &Path, number: u32) -> Result<Self> {
        Self::open_at(&path(log_dir, number), number)
    }

    /// The same where the file is not at its place.
    pub fn open_at(path: &Path, number: u32) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
            let map = Map::new(&file, length)?;
            Ok(Self { number, file, map })
        };
        open().map_err(|error| durable::at(path, &error))
    }

    /// The bytes that were there when the segment was opened.
    pub fn bytes(&self) -> &[u8] {
        self.map.bytes()
    }

    /// The first `length` bytes of the file, which must be there.
    pub fn read(&self, length: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The record at `position`, its checksum verified.
    fn record(&self, position: &Position) -> Option<Cow<'_, [u8]>> {
        let (start, length) = (position.offset as usize, position.length as usize);
        let bytes = match self.map.bytes().get(start..start + length) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; length];
                self.file.read_exact_at(&mut bytes, u64::from(position.offset)).ok()?;
                Cow::Owned(bytes)
            }
        };
        let claimed = record::claimed_crc(&bytes);
        (claimed == Some(position.crc) && record::is_intact(&bytes)).then_some(bytes)
    }
}

/// The segments of a log that readers may look into.
#[derive(Debug, Default)]
pub struct Segments(RwLock<BTreeMap<u32, Arc<Segment>>>);

/// Why a record could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The segment is gone: compaction has moved the record, or the position is wrong.
    Segment,
    /// The bytes do not fit their checksum.
    Damaged,
}

impl Segments {
    /// Adds a segment or puts it in the place of the one with its number.
    pub fn put(&self, segment: Segment) {
        self.0.write().insert(segment.number, Arc::new(segment));
    }

    /// Adds a segment that is open already.
    pub fn put_shared(&self, segment: Arc<Segment>) {
        self.0.write().insert(segment.number, segment);
    }

    /// Forgets every segment below `first`; a reader that has one keeps it until it is done.
    pub fn drop_below(&self, first: u32) {
        let mut segments = self.0.write();
        *segments = segments.split_off(&first);
    }

    /// All of them, by number.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().values().cloned().collect()
    }

    /// The segment that holds the record at `position`, mapped so far.
    ///
    /// # Errors
    /// `Io`, where it must be mapped anew and cannot be.
    pub fn mapped(&self, log_dir: &Path, position: &Position) -> Result<Option<Arc<Segment>>> {
        let Some(segment) = self.0.read().get(&position.segment).cloned() else { return Ok(None) };
        if segment.bytes().len() >= position.offset as usize + position.length as usize {
            return Ok(Some(segment));
        }
        let again = Arc::new(Segment::open(log_dir, position.segment)?);
        // Compaction may have come between, or the writer mapped it too: then this is for the caller alone.
        if let Some(own) = self.0.write().get_mut(&position.segment)
            && own.bytes().len() < again.bytes().len()
        {
            *own = Arc::clone(&again);
        }
        Ok(Some(again))
    }

    /// Hands the verified record at `position` to `read`.
    pub fn with<T>(&self, position: &Position, read: impl FnOnce(&[u8]) -> T) -> Result<T, Missing> {
        let segment = self.0.read().get(&position.segment).cloned().ok_or(Missing::Segment)?;
        segment.record(position).map(|bytes| read(&bytes)).ok_or(Missing::Damaged)
    }
}

/// Removes the segments with these numbers, then makes that durable.
pub fn remove(log_dir: &Path, numbers: &[u32]) -> Result<()> {
    for number in numbers {
        let path = path(log_dir, *number);
        fs::remove_file(&path).map_err(|error| durable::at(&path, &error))?;
    }
    if numbers.is_empty() { Ok(()) } else { durable::sync_dir(log_dir) }
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        let what = match missing {
            Missing::Segment => "a record's log segment is missing",
            Missing::Damaged => "a record in the log does not fit its checksum",
        };
        Error::Corrupted(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_every_flipped_bit_is_seen() {
        let header = Header { salt: 0x0123_4567_89ab_cdef, generation: 3, number: 42 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[..31]), None);
    }
}
