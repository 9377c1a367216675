//! Opens a collection: reads its log, compares the view with it, and decides what counts.
//!
//! - The log is whole: it is the truth, and the view is made to show it.
//! - The log ends in bytes that are no frame, and nothing knows of a later change: a torn write
//!   that was never acknowledged. It is kept aside and cut off.
//! - The log is damaged and the view is proven whole (its fingerprint holds) and every record it
//!   points to verifies: the view counts, and a compaction writes a new log from it.
//! - Otherwise the collection opens read-only with what can still be read, and says what is lost.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName, PointId};

use super::codec::{self, Entry, State, Totals};
use super::durable;
use super::log::Log;
use super::manifest::Manifest;
use super::replay::{self, Entries, LogId, Replay, Start, Tail};
use super::segment::{self, HEADER, Header, Segment, Segments};
use super::view::{Batch, View};
use super::{StoreOptions, keys, record};

/// Most torn ends that are kept aside per collection; more have never helped anyone.
const MAX_KEPT: usize = 16;
/// Points that go into the view at once.
const VIEW_BATCH: usize = 2048;

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
    let mut replay = replay::replay(&segments, id, Start::default());
    let evidence = seen.evidence().max(clean_seq.unwrap_or(0));
    if evidence > replay.last_seq {
        let first = replay.last_seq + 1;
        replay.missing.push(first..=evidence);
        replay.damage.push(format!("changes {first} to {evidence} are missing at the end"));
        replay.tail = None;
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

/// The configuration as the view holds it.
pub fn config_json(config: &CollectionConfig) -> Result<Vec<u8>> {
    serde_json::to_vec(config).map_err(|error| Error::Internal(format!("configuration as JSON: {error}")))
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

/// The view's part of a collection, as it was found.
struct Seen {
    entries: Entries,
    /// Keys whose values are damaged or that are no keys.
    bad_keys: Vec<Vec<u8>>,
    /// The state, where it is this collection's.
    state: Option<State>,
    /// Name and configuration, where they are what the state says.
    head: Option<(CollectionName, CollectionConfig)>,
    totals: Totals,
}

impl Seen {
    fn read(view: &View, number: u32, manifest: &Manifest) -> Result<Self> {
        let mut seen = Self {
            entries: Entries::new(),
            bad_keys: Vec::new(),
            state: None,
            head: None,
            totals: Totals::default(),
        };
        let (state_key, config_key) = (keys::state(number), keys::config(number));
        let mut config = None;
        for item in view.range(number, keys::collection(number).to_vec()) {
            let (key, value) = item?;
            if key == state_key {
                seen.state = codec::decode_state(&key, &value).filter(|state| state.salt == manifest.salt);
            } else if key == config_key {
                config = codec::open(&key, &value).map(<[u8]>::to_vec);
            } else if let Some(id) = keys::point_id(&key)
                && let Some((entry, json)) = codec::decode_entry(&key, &value)
                && json.is_none_or(|json| record::payload_crc(id, json) == entry.payload.crc)
            {
                seen.totals.add(id, &entry);
                seen.entries.insert(id, entry);
            } else {
                seen.bad_keys.push(key.to_vec());
            }
        }
        let config = config.filter(|json| seen.state.is_some_and(|s| s.config_crc == crc32c::crc32c(json)));
        let config = config.and_then(|json| serde_json::from_slice(&json).ok());
        seen.head = config.map(|config| (manifest.name.clone(), config));
        Ok(seen)
    }

    /// The state where the view is exactly what it says: its sums hold, no value is damaged.
    fn proof(&self) -> Option<State> {
        let proven = |state: &State| state.totals == self.totals && self.bad_keys.is_empty();
        self.state.filter(|state| proven(state) && self.head.is_some())
    }

    /// The last change that the view knows of; it was durable in the log before.
    fn evidence(&self) -> u64 {
        let versions = self.entries.values().map(|entry| entry.version).max().unwrap_or(0);
        versions.max(self.state.map_or(0, |state| state.last_seq))
    }
}

/// What counts, and why it may not be written to.
struct Verdict {
    replay: Replay,
    damage: Option<String>,
    read_only: Option<String>,
}

fn judge(replay: Replay, seen: &Seen, segments: &[Arc<Segment>], id: LogId, table: &Segments) -> Verdict {
    if replay.damage.is_empty() {
        return Verdict { replay, damage: None, read_only: None };
    }
    let damage = format!("the log is damaged ({})", replay.damage.join("; "));
    let usable = |state: &State| state.generation == id.generation && state.last_seq >= replay.base_seq;
    let (mut replay, mut lost_changes) = match seen.proof().filter(usable) {
        Some(state) => {
            let start = Start { entries: seen.entries.clone(), seq: state.last_seq, head: seen.head.clone() };
            let mut again = replay::replay(segments, id, start);
            again.last_seq = again.last_seq.max(state.last_seq);
            let lost = replay.missing.into_iter().filter(|range| *range.end() > state.last_seq).collect();
            (again, lost)
        }
        None => {
            let missing = replay.missing.clone();
            let mut replay = replay;
            overlay(&mut replay, seen, table);
            (replay, missing)
        }
    };
    lost_changes.extend(replay.unreadable.iter().map(|seq| *seq..=*seq));
    let is_lost = |entry: &Entry, id: &PointId| {
        let inline = seen.entries.get(id).is_some_and(|seen| seen.payload == entry.payload);
        table.with(&entry.vectors, |_| ()).is_err() || !inline && table.with(&entry.payload, |_| ()).is_err()
    };
    let mut lost: Vec<PointId> =
        replay.entries.iter().filter(|(id, entry)| is_lost(entry, id)).map(|(id, _)| *id).collect();
    lost.sort_unstable();
    if let Some(end) = lost_changes.iter().map(|range| *range.end()).max() {
        replay.last_seq = replay.last_seq.max(end);
    }
    if lost.is_empty() && lost_changes.is_empty() {
        return Verdict { replay, damage: Some(damage), read_only: None };
    }
    let mut reason = damage.clone();
    if !lost_changes.is_empty() {
        let ranges: Vec<String> =
            lost_changes.iter().map(|range| format!("{} to {}", range.start(), range.end())).collect();
        reason.push_str(&format!("; changes {} are lost", ranges.join(", ")));
    }
    if !lost.is_empty() {
        let ids: Vec<String> = lost.iter().take(100).map(ToString::to_string).collect();
        reason.push_str(&format!("; {} points are lost: {}", lost.len(), ids.join(", ")));
    }
    Verdict { replay, damage: Some(damage), read_only: Some(reason) }
}

/// Takes over from the view what changes missing from the log wrote, where it verifies.
fn overlay(replay: &mut Replay, seen: &Seen, table: &Segments) {
    for (id, entry) in &seen.entries {
        let is_missing = replay.missing.iter().any(|range| range.contains(&entry.version));
        let is_newer = replay.entries.get(id).is_none_or(|there| there.version < entry.version);
        if is_missing && is_newer && table.with(&entry.vectors, |_| ()).is_ok() {
            replay.entries.insert(*id, *entry);
        }
    }
}

/// Makes the view show exactly `entries`; returns their sums.
fn show(view: &View, number: u32, table: &Segments, entries: &Entries, seen: &Seen) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut batch = Batch::default();
    let mut filled = 0;
    let mut changed = 0_usize;
    let flush = |batch: &mut Batch, at_least: usize, filled: &mut usize| {
        if *filled < at_least {
            return Ok(());
        }
        *filled = 0;
        view.apply(std::mem::take(batch))
    };
    for key in &seen.bad_keys {
        batch.remove(key.as_slice());
        filled += 1;
    }
    for id in seen.entries.keys().filter(|id| !entries.contains_key(id)) {
        batch.remove(keys::point(number, *id));
        filled += 1;
        changed += 1;
        flush(&mut batch, VIEW_BATCH, &mut filled)?;
    }
    for (id, entry) in entries {
        totals.add(*id, entry);
        if seen.entries.get(id) == Some(entry) {
            continue;
        }
        let key = keys::point(number, *id);
        let value = table.with(&entry.payload, |record| {
            let json = record::payload_json(record, *id).unwrap_or_default();
            codec::encode_entry(&key, entry, json)
        });
        // A payload that cannot be read is named among the lost; reading it is an error.
        let value = value.unwrap_or_else(|_| codec::encode_entry(&key, entry, &[]));
        batch.insert(key, value);
        filled += 1;
        changed += 1;
        flush(&mut batch, VIEW_BATCH, &mut filled)?;
    }
    flush(&mut batch, 1, &mut filled)?;
    if changed > 0 {
        tracing::info!("the view differed from the log in {changed} points and has been set right");
    }
    Ok(totals)
}

/// Writes state and configuration, and reads the view back where it was changed. A collection
/// that lost something gets no state: its view must never count as a proof.
fn finish_view(
    view: &View,
    number: u32,
    state: &State,
    config: &CollectionConfig,
    seen: &Seen,
    is_lossy: bool,
) -> Result<()> {
    let (state_key, config_key) = (keys::state(number), keys::config(number));
    if !is_lossy && seen.state == Some(*state) && seen.proof().is_some() {
        return Ok(());
    }
    let mut batch = Batch::default();
    if is_lossy {
        batch.remove(state_key);
    } else {
        batch.insert(config_key.as_slice(), codec::seal(&config_key, &config_json(config)?));
        batch.insert(state_key.as_slice(), codec::encode_state(&state_key, state));
    }
    view.apply(batch)?;
    let mut totals = Totals::default();
    for item in view.range(number, keys::first_point(number)) {
        let (key, value) = item?;
        if let Some(id) = keys::point_id(&key)
            && let Some((entry, _)) = codec::decode_entry(&key, &value)
        {
            totals.add(id, &entry);
        }
    }
    if totals == state.totals {
        return Ok(());
    }
    view.fail();
    Err(Error::Internal("the view does not hold what was written to it".to_owned()))
}
