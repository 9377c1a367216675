//! Opens a collection: reads its log, cuts a torn end off, lets `reconcile` decide what counts
//! and make the view show it.
//!
//! A torn end is bytes that are no frame at the very end of the log, where nothing knows of a later
//! change: a write that was never acknowledged. It is kept aside before it is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::types::CollectionConfig;

use super::codec::{State, Totals};
use super::log::Log;
use super::manifest::Manifest;
use super::reconcile::{Seen, Verdict, config_json, finish_view, judge, show};
use super::replay::{self, LogId, Start, Tail};
use super::segment::{self, HEADER, Header, Segment, Segments};
use super::view::View;
use super::{StoreOptions, durable, last};

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
    let manifest = match Manifest::read(dir)? {
        Some(manifest) => manifest,
        None => remake_manifest(dir, &log_dir)?,
    };
    let id =
        LogId { salt: manifest.salt, generation: manifest.generation, first_segment: manifest.first_segment };
    let mut segments = open_segments(&log_dir, id)?;
    let seen = Seen::read(view, number, &manifest)?;
    let noted = last::read(dir, manifest.salt).max(clean_seq).unwrap_or(0);
    let evidence = seen.evidence().max(noted);
    let start = Start { known_seq: evidence, ..Start::default() };
    let mut replay = replay::replay(&segments, id, start);
    if evidence > replay.last_seq {
        let first = replay.last_seq + 1;
        replay.missing.push(first..=evidence);
        replay.damage.push(format!("changes {first} to {evidence} are missing at the end"));
    }
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
    let Verdict { replay, read_only, damage, .. } = verdict;
    let config = replay.head.map_or_else(|| manifest.config.clone(), |(_, config)| config);
    let totals = show(view, number, &table, &replay.entries, &seen)?;
    let state = State {
        salt: manifest.salt,
        generation: manifest.generation,
        last_seq: replay.last_seq,
        config_crc: crc32c::crc32c(&config_json(&config)?),
        totals,
    };
    finish_view(view, number, &state, &config, &seen, read_only.is_some())?;

    let last = segments.last().map(|segment| segment.number);
    let header = |number| Header { salt: manifest.salt, generation: manifest.generation, number };
    let log = match last {
        Some(last) => Log::resume(log_dir, header(last), options.segment_bytes)?,
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
    Ok(Recovered { manifest, log, segments: table, config, last_seq, totals, read_only, heal })
}

fn read_header(log_dir: &Path, number: u32) -> Result<Option<Header>> {
    let path = segment::path(log_dir, number);
    let mut bytes = Vec::with_capacity(HEADER);
    let read = File::open(&path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut bytes));
    read.map_err(|error| durable::at(&path, &error))?;
    Ok(Header::decode(&bytes).filter(|header| header.number == number))
}

/// Opens the segments that count and deletes what a compaction left: what is older than the
/// manifest says, and what is of a generation that it does not name.
fn open_segments(log_dir: &Path, id: LogId) -> Result<Vec<Arc<Segment>>> {
    let mut leftovers = Vec::new();
    let mut segments = Vec::new();
    for number in segment::numbers(log_dir)? {
        let header = read_header(log_dir, number)?;
        let is_foreign = header.is_some_and(|h| h.salt == id.salt && h.generation != id.generation);
        if number < id.first_segment || is_foreign {
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
fn remake_manifest(dir: &Path, log_dir: &Path) -> Result<Manifest> {
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
    candidates.sort_by_key(|((_, generation), _)| std::cmp::Reverse(*generation));
    let mut best = None;
    for ((salt, generation), numbers) in candidates {
        let first_segment = if generation == 1 { 1 } else { numbers.first().copied().unwrap_or(1) };
        let opened = numbers.iter().map(|number| Segment::open(log_dir, *number).map(Arc::new));
        let segments = opened.collect::<Result<Vec<_>>>()?;
        let id = LogId { salt, generation, first_segment };
        let replay = replay::replay(&segments, id, Start::default());
        let is_complete = generation == 1 || !replay.missing.iter().any(|range| *range.start() == 1);
        let Some((name, config)) = replay.head else { continue };
        let manifest = Manifest { name, config, salt, generation, first_segment };
        if is_complete {
            best = Some(manifest);
            break;
        }
        best = best.or(Some(manifest));
    }
    let manifest = best.ok_or_else(|| lost("neither the manifest nor any segment can be read"))?;
    tracing::warn!("collection `{}`: the manifest was damaged and has been made again", manifest.name);
    manifest.write(dir)?;
    Ok(manifest)
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
