//! A second chance for every byte of a log: segments stand in groups of sixteen, and each group
//! has one parity file, the XOR of its segments byte by byte (as RAID 4 does with disks). So a
//! segment that is damaged, cut short, missing or another file altogether comes back from the
//! others, at a sixteenth of the log's size.
//!
//! - Bytes are taken in behind every append, after they are durable in the log, and are not
//!   synced themselves: the parity is exact after a killed process, and may be old after a power
//!   cut. Opening compares it with the log and makes it again where it differs.
//! - It proves nothing: what it gives back must be whole frames of this log, checksums and all.
//!   It never takes bytes away: a segment that knows more than its parity stays as it is.
//! - Not covered: two segments of one group damaged at the same offset.
//!
//! File `parity/GGGGGGGG-NNNNNN.par` (generation, group): a table of [`TABLE`] bytes (`"LKPAR\0" |
//! format u16 | salt u64 | generation u32 | group u32 | 16 lengths u32 | crc32c u32`, then
//! zeros), then the parity.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;

use super::durable;
use super::frame::{self, Found, Mark};
use super::replay::LogId;
use super::segment::{self, HEADER, Header, Segment};

/// Segments of a group.
pub const GROUP: u32 = 16;
const MEMBERS: usize = GROUP as usize;
/// Bytes before the parity: a block, so that parity blocks are aligned as the segments' are.
pub const TABLE: usize = 4096;
const TABLE_USED: usize = 24 + 4 * MEMBERS + 4;
const MAGIC: &[u8; 8] = b"LKPAR\0\x01\0";
/// Bytes that are compared or taken in at once.
const PIECE: usize = 256 * 1024;

/// Whose parity it is, and how much of each segment is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Table {
    salt: u64,
    generation: u32,
    group: u32,
    lengths: [u32; MEMBERS],
}

impl Table {
    fn encode(&self) -> [u8; TABLE_USED] {
        let mut bytes = [0; TABLE_USED];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.group.to_le_bytes());
        for (place, length) in bytes[24..].chunks_exact_mut(4).zip(self.lengths) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..TABLE_USED - 4]);
        bytes[TABLE_USED - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<TABLE_USED>()?;
        let (used, crc) = bytes.split_last_chunk::<4>()?;
        if used[..8] != MAGIC[..] || u32::from_le_bytes(*crc) != crc32c::crc32c(used) {
            return None;
        }
        let word = |at: usize| used[at..].first_chunk::<4>().map(|word| u32::from_le_bytes(*word));
        let mut lengths = [0; MEMBERS];
        for (i, length) in lengths.iter_mut().enumerate() {
            *length = word(24 + 4 * i)?;
        }
        let salt = u64::from_le_bytes(*used[8..].first_chunk()?);
        Some(Self { salt, generation: word(16)?, group: word(20)?, lengths })
    }

    fn is_of(&self, log: LogId, group: u32) -> bool {
        (self.salt, self.generation, self.group) == (log.salt, log.generation, group)
    }
}

fn directory(log_dir: &Path) -> PathBuf {
    log_dir.with_file_name("parity")
}

fn file_name(generation: u32, group: u32) -> String {
    format!("{generation:08}-{group:06}.par")
}

fn parse_name(name: &str) -> Option<(u32, u32)> {
    let (generation, group) = name.strip_suffix(".par")?.split_once('-')?;
    Some((generation.parse().ok()?, group.parse().ok()?))
}

/// Generation and group of every parity file of a log, in order.
fn groups(log_dir: &Path) -> Result<Vec<(u32, u32)>> {
    let dir = directory(log_dir);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    Ok(durable::names(&dir)?.iter().filter_map(|name| parse_name(name)).collect())
}

fn member(number: u32) -> usize {
    (number % GROUP) as usize
}

/// The parity of the group that is being written, kept up by the log's appending end.
#[derive(Debug)]
pub struct Parity {
    dir: PathBuf,
    log: LogId,
    open: Option<(File, Table)>,
    /// It could not be written, and is made again when the store is opened next.
    has_failed: bool,
}

impl Parity {
    /// The parity of a generation of a log that begins now.
    pub fn begin(log_dir: &Path, header: Header) -> Self {
        let Header { salt, generation, number } = header;
        let log = LogId { salt, generation, first_segment: number };
        Self { dir: directory(log_dir), log, open: None, has_failed: false }
    }

    /// The parity of a log that goes on with segment `header.number`; [`set_right`] was called.
    pub fn resume(log_dir: &Path, header: Header) -> Self {
        let mut parity = Self::begin(log_dir, header);
        let group = header.number / GROUP;
        let path = parity.dir.join(file_name(header.generation, group));
        let opened = OpenOptions::new().read(true).write(true).open(&path).and_then(|file| {
            let mut bytes = [0; TABLE_USED];
            file.read_exact_at(&mut bytes, 0)?;
            Ok((file, Table::decode(&bytes).filter(|table| table.is_of(parity.log, group))))
        });
        match opened {
            Ok((file, Some(table))) => parity.open = Some((file, table)),
            Ok((_, None)) | Err(_) => parity.has_failed = true,
        }
        parity
    }

    /// Takes in bytes that were appended to a segment at `at` and are durable there.
    pub fn take(&mut self, number: u32, at: u64, bytes: &[u8]) {
        if !self.has_failed
            && let Err(error) = self.try_take(number, at, bytes)
        {
            tracing::warn!(
                "{}: the parity cannot be written, damage may not heal: {error}",
                self.dir.display()
            );
            self.has_failed = true;
        }
    }

    fn try_take(&mut self, number: u32, at: u64, bytes: &[u8]) -> io::Result<()> {
        let group = number / GROUP;
        if self.open.as_ref().is_none_or(|(_, table)| table.group != group) {
            self.sync()?;
            fs::create_dir_all(&self.dir)?;
            let path = self.dir.join(file_name(self.log.generation, group));
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
            let LogId { salt, generation, .. } = self.log;
            self.open = Some((file, Table { salt, generation, group, lengths: [0; MEMBERS] }));
        }
        let Some((file, table)) = &mut self.open else { return Ok(()) };
        let mut place = TABLE as u64 + at;
        for piece in bytes.chunks(PIECE) {
            let mut parity = read_padded(file, place, piece.len())?;
            xor(&mut parity, piece);
            file.write_all_at(&parity, place)?;
            place += piece.len() as u64;
        }
        table.lengths[member(number)] = u32::try_from(place - TABLE as u64).map_err(io::Error::other)?;
        file.write_all_at(&table.encode(), 0)
    }

    /// Makes durable what was taken in.
    pub fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())
    }
}

/// Bytes of a file from `at` on, zeros behind its end.
fn read_padded(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], at + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(bytes)
}

fn xor(into: &mut [u8], other: &[u8]) {
    into.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// The tables of a generation's parity files that can be read.
fn tables(log_dir: &Path, salt: u64, generation: u32) -> Vec<Table> {
    let dir = directory(log_dir);
    let read = |(of, group): (u32, u32)| {
        let bytes =
            File::open(dir.join(file_name(of, group))).and_then(|file| read_padded(&file, 0, TABLE_USED));
        let log = LogId { salt, generation, first_segment: 0 };
        Table::decode(&bytes.ok()?).filter(|table| table.is_of(log, group))
    };
    groups(log_dir).unwrap_or_default().into_iter().filter_map(read).collect()
}

/// True where a parity file vouches for this generation of the log.
pub fn vouches_for(log_dir: &Path, log: LogId) -> bool {
    !tables(log_dir, log.salt, log.generation).is_empty()
}

/// The first segment of a generation that the parity knows of.
pub fn first_segment(log_dir: &Path, salt: u64, generation: u32) -> Option<u32> {
    let first = |table: &Table| {
        let place = table.lengths.iter().position(|length| *length > 0)?;
        Some(table.group * GROUP + u32::try_from(place).ok()?)
    };
    tables(log_dir, salt, generation).iter().filter_map(first).min()
}

/// Compares the parity with a log that is whole, makes again what differs, and removes what is
/// of other generations. Bounded memory: pieces of 256 KiB.
pub fn set_right(log_dir: &Path, log: LogId, segments: &[Arc<Segment>]) -> Result<()> {
    let dir = directory(log_dir);
    durable::create_dir(&dir)?;
    let mut members = BTreeMap::<u32, Vec<&Segment>>::new();
    for segment in segments {
        members.entry(segment.number / GROUP).or_default().push(segment);
    }
    for name in durable::names(&dir)? {
        let is_used = parse_name(&name)
            .is_some_and(|(generation, group)| generation == log.generation && members.contains_key(&group));
        if !is_used {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(|error| durable::at(&path, &error))?;
        }
    }
    members.into_par_iter().try_for_each(|(group, members)| {
        let path = dir.join(file_name(log.generation, group));
        if !is_exact(&path, log, group, &members) {
            tracing::debug!("{} is made again", path.display());
            make(&path, log, group, &members).map_err(|error| durable::at(&path, &error))?;
        }
        Ok(())
    })
}

/// Removes the parity of generations that are gone.
pub fn remove_before(log_dir: &Path, generation: u32) -> Result<()> {
    let dir = directory(log_dir);
    for (of, group) in groups(log_dir)?.into_iter().filter(|(of, _)| *of < generation) {
        let path = dir.join(file_name(of, group));
        fs::remove_file(&path).map_err(|error| durable::at(&path, &error))?;
    }
    Ok(())
}

fn table_of(log: LogId, group: u32, members: &[&Segment]) -> Option<Table> {
    let mut lengths = [0; MEMBERS];
    for segment in members {
        lengths[member(segment.number)] = u32::try_from(segment.bytes().len()).ok()?;
    }
    Some(Table { salt: log.salt, generation: log.generation, group, lengths })
}

fn is_exact(path: &Path, log: LogId, group: u32, members: &[&Segment]) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let longest = members.iter().map(|segment| segment.bytes().len()).max().unwrap_or(0);
    let table = read_padded(&file, 0, TABLE_USED).ok().and_then(|bytes| Table::decode(&bytes));
    if table.is_none()
        || table != table_of(log, group, members)
        || file.metadata().map_or(0, |m| m.len()) != (TABLE + longest) as u64
    {
        return false;
    }
    (0..longest).step_by(PIECE).all(|at| {
        let piece = PIECE.min(longest - at);
        let Ok(mut left) = read_padded(&file, (TABLE + at) as u64, piece) else { return false };
        members.iter().for_each(|segment| xor(&mut left, part(segment.bytes(), at..at + piece)));
        left.iter().all(|byte| *byte == 0)
    })
}

fn make(path: &Path, log: LogId, group: u32, members: &[&Segment]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let file = File::create(&aside)?;
    let table = table_of(log, group, members).ok_or_else(|| io::Error::other("a segment over 4 GiB"))?;
    file.write_all_at(&table.encode(), 0)?;
    let longest = members.iter().map(|segment| segment.bytes().len()).max().unwrap_or(0);
    for at in (0..longest).step_by(PIECE) {
        let mut parity = vec![0; PIECE.min(longest - at)];
        let range = at..at + parity.len();
        members.iter().for_each(|segment| xor(&mut parity, part(segment.bytes(), range.clone())));
        file.write_all_at(&parity, (TABLE + at) as u64)?;
    }
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// What of `range` lies within `bytes`.
fn part(bytes: &[u8], range: Range<usize>) -> &[u8] {
    &bytes[range.start.min(bytes.len())..range.end.min(bytes.len())]
}

/// A segment that comes back.
#[derive(Debug)]
pub struct Healed {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub bytes: Vec<u8>,
    /// How many of them were wrong.
    pub wrong: usize,
}

/// The damaged segments of a log that the parity gives back whole. Changes nothing.
pub fn healable(log_dir: &Path, log: LogId, segments: &[Arc<Segment>]) -> Result<Vec<Healed>> {
    let mut healed = Vec::new();
    for (generation, group) in groups(log_dir)? {
        let path = directory(log_dir).join(file_name(generation, group));
        if generation != log.generation {
            continue;
        }
        let file = fs::read(&path).map_err(|error| durable::at(&path, &error))?;
        let Some(table) = Table::decode(&file).filter(|table| table.is_of(log, group)) else { continue };
        let parity = file.get(TABLE..).unwrap_or_default();
        let mut members: BTreeMap<u32, Cow<'_, [u8]>> =
            segments.iter().map(|s| (s.number, Cow::Borrowed(s.bytes()))).collect();
        members.retain(|number, _| number / GROUP == group);
        let numbers = group * GROUP..(group + 1) * GROUP;
        // What is healed may be what another one lacks.
        while let Some(one) =
            numbers.clone().find_map(|number| heal_one(log, &table, parity, &members, number))
        {
            members.insert(one.number, Cow::Owned(one.bytes.clone()));
            healed.push(one);
        }
    }
    Ok(healed)
}

/// A segment with its damaged bytes taken from the parity, where it is damaged and that is right.
fn heal_one(
    log: LogId,
    table: &Table,
    parity: &[u8],
    members: &BTreeMap<u32, Cow<'_, [u8]>>,
    number: u32,
) -> Option<Healed> {
    let mark = Mark::new(log.salt, log.generation);
    let header = Header { salt: log.salt, generation: log.generation, number };
    let known = |number: u32| table.lengths[member(number)] as usize;
    let own = members.get(&number).map(|bytes| &**bytes).unwrap_or_default();
    let bad = bad_ranges(mark, header, own, known(number))?;
    let mut bytes = part(own, 0..known(number)).to_vec();
    bytes.resize(known(number), 0);
    let mut wrong = own.len().abs_diff(bytes.len());
    for range in bad {
        let mut right = vec![0; range.len()];
        xor(&mut right, part(parity, range.clone()));
        for (other, theirs) in members.iter().filter(|(other, _)| **other != number) {
            // What the parity has not taken in is not in it.
            xor(&mut right, part(part(theirs, 0..known(*other)), range.clone()));
        }
        wrong += right.iter().zip(&bytes[range.clone()]).filter(|(a, b)| a != b).count();
        bytes[range].copy_from_slice(&right);
    }
    bad_ranges(mark, header, &bytes, bytes.len()).is_none().then_some(Healed { number, bytes, wrong })
}

/// What of the first `known` bytes of a segment is not what was written; `None` where nothing is
/// wrong with them, or where the segment has whole frames behind them.
fn bad_ranges(mark: Mark, header: Header, bytes: &[u8], known: usize) -> Option<Vec<Range<usize>>> {
    if known < HEADER {
        return None;
    }
    let mut bad = Vec::new();
    match Header::decode(bytes) {
        Some(own) if own == header => {}
        // Another file altogether, whatever frames are in it.
        Some(_) => return Some(std::iter::once(0..known).collect()),
        None => bad.push(0..HEADER),
    }
    let mut good_end = HEADER;
    for found in frame::walk(mark, bytes, HEADER) {
        match found {
            Found::Frame(frame) => good_end = frame.end(),
            Found::Damage(range) => bad.push(range),
            Found::BadEnd(range) => bad.push(range.start..range.end.max(known)),
        }
    }
    if good_end > known {
        return None;
    }
    if bytes.len() < known && bad.last().is_none_or(|range| range.end < known) {
        bad.push(bytes.len().max(HEADER)..known);
    }
    bad.iter_mut().for_each(|range| range.end = range.end.min(known));
    bad.retain(|range| !range.is_empty());
    (!bad.is_empty()).then_some(bad)
}

/// Gives damaged segments their bytes back, as far as the parity can; the damaged file is kept
/// aside. Returns how many there were.
pub fn heal(collection_dir: &Path, log: LogId, segments: &[Arc<Segment>]) -> Result<usize> {
    let log_dir = collection_dir.join("log");
    let healed = healable(&log_dir, log, segments)?;
    for Healed { number, bytes, wrong } in &healed {
        let path = segment::path(&log_dir, *number);
        let aside = path.with_extension("healed");
        let replace = || {
            fs::write(&aside, bytes)?;
            File::open(&aside)?.sync_all()?;
            if path.exists() {
                let kept = collection_dir.join("kept");
                fs::create_dir_all(&kept)?;
                fs::rename(&path, kept.join(format!("{number:06}.damaged")))?;
            }
            fs::rename(&aside, &path)
        };
        replace().map_err(|error| durable::at(&path, &error))?;
        tracing::warn!("{}: {wrong} damaged bytes are healed from the parity", path.display());
    }
    if !healed.is_empty() {
        durable::sync_dir(&log_dir)?;
    }
    Ok(healed.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_table_survives_and_no_flipped_bit_goes_unseen(
            salt in any::<u64>(), words in any::<[u32; 2]>(), lengths in any::<[u32; MEMBERS]>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let table = Table { salt, generation: words[0], group: words[1], lengths };
            let mut bytes = table.encode();
            prop_assert_eq!(Table::decode(&bytes), Some(table));
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Table::decode(&bytes), None);
        }
    }
}
