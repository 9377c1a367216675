//! Opens a collection: reads its log, cuts a torn end off, lets `reconcile` decide what counts
//! and make the view show it.
//!
//! A torn end is bytes that are no frame at the very end of the log, where nothing knows of a later
//! change: a write that was never acknowledged. It is kept aside before it is cut off.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, PointId};

use super::codec::{State, Totals};
use super::log::Log;
use super::manifest::Manifest;
use super::reconcile::{Seen, Verdict, config_json, finish_view, judge, show};
use super::replay::{self, LogId, Replay, Start, Tail};
use super::segment::{self, HEADER, Header, Segment, Segments};
use super::view::View;
use super::{StoreOptions, durable, last, parity};

/// Most torn ends that are kept aside per collection; more have never helped anyone.
const MAX_KEPT: usize = 16;

/// A collection ready to be used.
#[derive(Debug)]
pub struct Recovered {
    /// What counts.
    pub manifest: Manifest,
    /// The log's end.
    pub log: Log,
    /// Its segments.
    pub segments: Segments,
    /// The latest configuration.
    pub config: CollectionConfig,
    /// The last change.
    pub last_seq: u64,
    /// Sums over the points.
    pub totals: Totals,
    /// Why nothing can be written.
    pub read_only: Option<String>,
    /// The points of which a part is lost; what is still there of one may be of several changes.
    pub lost: HashSet<PointId>,
    /// The log is damaged and everything is there all the same: write a new one.
    pub heal: bool,
}

/// Opens the collection in `dir`. `clean_seq` is its last change where the last stop was clean.
///
/// # Errors
/// `Io`; `Corrupted` where not even the name can be found; `Internal` where the view fails.
pub fn recover(
    dir: &Path,
    number: u32,
    view: &View,
    clean_seq: Option<u64>,
    options: &StoreOptions,
) -> Result<Recovered> {
    let log_dir = dir.join("log");
    let manifest = match Manifest::read(dir)?.filter(|manifest| is_of_this_log(manifest, &log_dir)) {
        Some(manifest) => manifest,
        None => {
            let manifest = manifest_from_segments(dir, &log_dir)?;
            tracing::warn!(
                "collection `{}`: the manifest was damaged and has been made again",
                manifest.name
            );
            manifest.write(dir)?;
            manifest
        }
    };
    let id =
        LogId { salt: manifest.salt, generation: manifest.generation, first_segment: manifest.first_segment };
    put_back(&log_dir, id)?;
    let mut segments = open_segments(&log_dir, id)?;
    let noted = last::read(dir, manifest.salt).max(clean_seq).unwrap_or(0);
    let read_up_to = |segments: &[Arc<Segment>], known_seq| {
        replay::replay(segments, id, Start { known_seq, ..Start::default() })
    };
    let (seen, mut replay) =
        rayon::join(|| Seen::read(view, number, &manifest), || read_up_to(&segments, noted));
    let seen = seen?;
    let evidence = seen.evidence().max(noted);
    let read = |segments: &[Arc<Segment>]| read_up_to(segments, evidence);
    if replay.tail.is_some() && evidence > replay.last_seq {
        // The view knows more than the note did: what looked torn may be damaged.
        replay = read(&segments);
    }
    let is_whole = |replay: &Replay| replay.damage.is_empty() && replay.tail.is_none();
    if (!is_whole(&replay) || evidence > replay.last_seq) && parity::heal(dir, id, &segments)? > 0 {
        segments = open_segments(&log_dir, id)?;
        replay = read(&segments);
    }
    replay.expect(evidence);
    if let Some(tail) = replay.tail.take() {
        cut_off(dir, &log_dir, &tail)?;
        segments.retain(|segment| segment.number != tail.segment);
        if tail.bytes.start >= HEADER {
            segments.push(Arc::new(Segment::open(&log_dir, tail.segment)?));
        }
    }
    let table = Segments::default();
    segments.iter().for_each(|segment| table.put_shared(Arc::clone(segment)));

    let verdict = judge(replay, &seen, &segments, id, &table);
    if let Verdict { damage: Some(damage), read_only, .. } = &verdict {
        let name = &manifest.name;
        match read_only {
            Some(reason) => tracing::error!("collection `{name}` is read-only: {reason}"),
            None => tracing::warn!("collection `{name}`: {damage}; nothing is lost, writing a new log"),
        }
    }
    let Verdict { replay, read_only, damage, lost } = verdict;
    let config = replay.head.map_or_else(|| manifest.config.clone(), |(_, config)| config);
    let totals = show(view, number, &replay.entries, &seen)?;
    let state = State {
        salt: manifest.salt,
        generation: manifest.generation,
        last_seq: replay.last_seq,
        config_crc: crc32c::crc32c(&config_json(&config)?),
        totals,
    };
    finish_view(view, number, &state, &config, &seen, read_only.is_some())?;

    let last = segments.last().map(|segment| segment.number);
    if damage.is_none() {
        // A damaged log leaves its parity alone: it may know what someone can still bring back.
        parity::set_right(&log_dir, id, &segments)?;
    }
    let header = |number| Header { salt: manifest.salt, generation: manifest.generation, number };
    let log = match last {
        Some(last) => {
            let sealed = segments.iter().filter(|segment| segment.number != last);
            let before = sealed.map(|segment| segment.bytes().len() as u64).sum();
            Log::resume(log_dir, header(last), options.segment_bytes, before)?
        }
        None => {
            let header = header(manifest.first_segment + 1);
            let log =
                Log::begin(log_dir.clone(), header, options.segment_bytes, (&manifest.name, &config, 0))?;
            durable::sync_dir(&log_dir)?;
            log
        }
    };
    let heal = damage.is_some() && read_only.is_none();
    let last_seq = replay.last_seq;
    let lost = lost.into_iter().collect();
    Ok(Recovered { manifest, log, segments: table, config, last_seq, totals, read_only, lost, heal })
}

fn read_header(log_dir: &Path, number: u32) -> Result<Option<Header>> {
    Ok(header_of(log_dir, number)?.filter(|header| header.number == number))
}

/// The header within the file of segment `number`, whichever it is.
fn header_of(log_dir: &Path, number: u32) -> Result<Option<Header>> {
    header_in(&segment::path(log_dir, number))
}

/// The header within a file.
pub(super) fn header_in(path: &Path) -> Result<Option<Header>> {
    let mut bytes = Vec::with_capacity(HEADER);
    let read = File::open(path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut bytes));
    read.map_err(|error| durable::at(path, &error))?;
    Ok(Header::decode(&bytes))
}

/// A segment's file.
#[derive(Debug)]
pub(super) struct Standing {
    /// The number that it stands under.
    pub(super) number: u32,
    /// Where it lies.
    pub(super) path: PathBuf,
}

impl Standing {
    /// Whether it was on its way to another number when the power went.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == MOVED)
    }
}

/// A segment on its way from one number to another.
const MOVED: &str = "moved";

/// The files of all segments by the numbers that they stand under. One that is on its way counts as back where it
/// stood, or as at its own number if that place is taken.
pub(super) fn standing(log_dir: &Path, id: LogId) -> Result<Vec<Standing>> {
    let at_place = |number| Standing { number, path: segment::path(log_dir, number) };
    let mut all: Vec<Standing> = segment::numbers(log_dir)?.into_iter().map(at_place).collect();
    let paths = durable::names(log_dir)?.into_iter().map(|name| log_dir.join(name));
    for path in paths {
        let one = Standing { number: 0, path };
        if one.is_on_its_way() {
            let own = header_in(&one.path)?.filter(|header| is_of(header, id)).map(|header| header.number);
            let stood = one.path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let is_free = |number: &u32| all.iter().all(|other| other.number != *number);
            if let Some(number) = [stood, own].into_iter().flatten().find(is_free) {
                all.push(Standing { number, ..one });
            }
        }
    }
    all.sort_by_key(|one| one.number);
    Ok(all)
}

/// Segments that stand under another's number, each with its own; and those that nobody can tell the number of and that
/// stand in the way, each with the number that becomes free.
pub(super) fn misplaced(standing: &[Standing], id: LogId) -> Result<Vec<(u32, u32)>> {
    let headers = standing.iter().map(|one| Ok((one.number, header_in(&one.path)?)));
    let headers: Vec<(u32, Option<Header>)> = headers.collect::<Result<_>>()?;
    let at = |place: u32| headers.iter().find(|(number, _)| *number == place);
    let mut moves: Vec<(u32, u32)> = Vec::new();
    for (number, header) in &headers {
        let Some(header) = header.as_ref().filter(|h| is_of(h, id) && h.number != *number) else { continue };
        let there = at(header.number).and_then(|(_, there)| there.as_ref());
        let is_first = moves.iter().all(|(_, to)| *to != header.number);
        if is_first && there.is_none_or(|there| there.number == *number) {
            moves.push((*number, header.number));
        }
    }
    let in_the_way: Vec<u32> = moves
        .iter()
        .map(|(_, to)| *to)
        .filter(|to| at(*to).is_some() && !moves.iter().any(|(from, _)| from == to))
        .collect();
    for number in in_the_way {
        let mut free = number;
        while let Some((from, _)) = moves.iter().find(|(_, to)| *to == free) {
            free = *from;
        }
        // First, so that no file is ever written over.
        moves.insert(0, (number, free));
    }
    Ok(moves)
}

fn is_of(header: &Header, id: LogId) -> bool {
    (header.salt, header.generation) == (id.salt, id.generation)
}

/// Renames segments that stand under each other's numbers.
fn put_back(log_dir: &Path, id: LogId) -> Result<()> {
    let standing = standing(log_dir, id)?;
    let moves = misplaced(&standing, id)?;
    let rename = |from: &Path, to: &Path| fs::rename(from, to).map_err(|error| durable::at(from, &error));
    for one in standing.iter().filter(|one| one.is_on_its_way()) {
        rename(&one.path, &segment::path(log_dir, one.number))?;
    }
    let moves: Vec<_> = moves
        .into_iter()
        .map(|(from, to)| (segment::path(log_dir, from), segment::path(log_dir, to)))
        .collect();
    for (from, _) in &moves {
        rename(from, &from.with_extension(MOVED))?;
    }
    for (from, to) in &moves {
        tracing::warn!("{} is put back as {}", from.display(), to.display());
        rename(&from.with_extension(MOVED), to)?;
    }
    if moves.is_empty() { Ok(()) } else { durable::sync_dir(log_dir) }
}

/// False where the log is another one than the manifest says: the manifest of another collection
/// or of another time. Segments that cannot be read do not speak against it.
pub(super) fn is_of_this_log(manifest: &Manifest, log_dir: &Path) -> bool {
    let Manifest { salt, generation, first_segment, .. } = *manifest;
    let headers = segment::numbers(log_dir).unwrap_or_default();
    let headers: Vec<Header> =
        headers.into_iter().filter_map(|number| header_of(log_dir, number).ok().flatten()).collect();
    let is_ours = |h: &Header| (h.salt, h.generation) == (salt, generation) && h.number >= first_segment;
    // One segment of another collection does not make this that collection's log.
    let of_salt = headers.iter().filter(|header| header.salt == salt).count();
    headers.is_empty()
        || headers.iter().any(is_ours) && of_salt * 2 >= headers.len()
        || parity::vouches_for(log_dir, LogId { salt, generation, first_segment })
}

/// Opens the segments that count and deletes what a compaction left: what is older than the
/// manifest says, and what is of a generation that it does not name yet.
fn open_segments(log_dir: &Path, id: LogId) -> Result<Vec<Arc<Segment>>> {
    let mut leftovers = Vec::new();
    let mut segments = Vec::new();
    for number in segment::numbers(log_dir)? {
        let header = read_header(log_dir, number)?;
        let is_newer = header.is_some_and(|h| h.salt == id.salt && h.generation > id.generation);
        if number < id.first_segment || is_newer {
            leftovers.push(number);
        } else {
            segments.push(Arc::new(Segment::open(log_dir, number)?));
        }
    }
    segment::remove(log_dir, &leftovers)?;
    Ok(segments)
}

/// Finds out from the segments what the manifest said: the newest generation whose base is
/// complete counts, since nothing is written to it before it is.
pub(super) fn manifest_from_segments(dir: &Path, log_dir: &Path) -> Result<Manifest> {
    let lost = |what: &str| {
        Error::Corrupted(format!(
            "{}: {what}; move the directory away to start without this collection",
            dir.display()
        ))
    };
    let mut generations: HashMap<(u64, u32), Vec<u32>> = HashMap::new();
    for number in segment::numbers(log_dir)? {
        if let Some(header) = read_header(log_dir, number)? {
            generations.entry((header.salt, header.generation)).or_default().push(number);
        }
    }
    let mut candidates: Vec<_> = generations.into_iter().collect();
    // What has a parity is ours; of that the newest, and of two alike the larger.
    candidates.sort_by_key(|((salt, generation), numbers)| {
        let log = LogId { salt: *salt, generation: *generation, first_segment: 0 };
        std::cmp::Reverse((parity::vouches_for(log_dir, log), *generation, numbers.len()))
    });
    let mut best = None;
    for ((salt, generation), numbers) in candidates {
        let known = parity::first_segment(log_dir, salt, generation);
        let first = numbers.iter().copied().chain(known).min();
        let first_segment = if generation == 1 { 1 } else { first.unwrap_or(1) };
        let opened = numbers.iter().map(|number| Segment::open(log_dir, *number).map(Arc::new));
        let segments = opened.collect::<Result<Vec<_>>>()?;
        let id = LogId { salt, generation, first_segment };
        let replay = replay::replay(&segments, id, Start::default());
        let is_complete = generation == 1 || !replay.missing.iter().any(|range| *range.start() == 1);
        let Some((name, config)) = replay.head else { continue };
        let manifest = Manifest { name, config, salt, generation, first_segment, replaces: None };
        if is_complete {
            best = Some(manifest);
            break;
        }
        best = best.or(Some(manifest));
    }
    best.ok_or_else(|| lost("neither the manifest nor any segment can be read"))
}

/// Keeps the torn end of the log aside and cuts it off; a segment without a whole header goes.
fn cut_off(dir: &Path, log_dir: &Path, tail: &Tail) -> Result<()> {
    let path = segment::path(log_dir, tail.segment);
    let Tail { segment: number, bytes } = tail;
    tracing::warn!(
        "{}: {} bytes of a torn write are cut off at {}",
        path.display(),
        bytes.len(),
        bytes.start
    );
    let segment = Segment::open(log_dir, *number)?;
    let torn = segment.bytes().get(bytes.clone()).unwrap_or_default();
    if torn.iter().any(|byte| *byte != 0) {
        let kept = dir.join("kept");
        durable::create_dir(&kept)?;
        let names = durable::names(&kept)?;
        for name in names.iter().take((names.len() + 1).saturating_sub(MAX_KEPT)) {
            durable::remove_file(&kept.join(name))?;
        }
        let aside = kept.join(format!("{number:06}-{:010}.torn", bytes.start));
        let written = fs::write(&aside, torn).and_then(|()| File::open(&aside)?.sync_all());
        written.map_err(|error| durable::at(&aside, &error))?;
        durable::sync_dir(&kept)?;
    }
    drop(segment);
    if bytes.start < HEADER {
        return durable::remove_file(&path);
    }
    let cut = || {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(bytes.start as u64)?;
        file.sync_all()
    };
    cut().map_err(|error| durable::at(&path, &error))
}
