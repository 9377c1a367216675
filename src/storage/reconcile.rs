//! Log and view of a collection, brought together.
//!
//! - The log is whole: it is the truth, and the view is made to show it.
//! - The log is damaged and the view is proven whole up to some change (its fingerprint holds):
//!   the view counts up to there and the log from there on. If every record then verifies and no
//!   change is missing, nothing is lost and a compaction writes a new log.
//! - Otherwise the collection is read-only with what can still be read, and says what is lost.
//!   Its view gets no state, so that it can never count as a proof.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName, PointId};

use super::codec::{self, Entry, State, Totals};
use super::manifest::Manifest;
use super::replay::{self, Entries, LogId, Replay, Start};
use super::segment::{Segment, Segments};
use super::view::{Batch, View};
use super::{keys, record};

/// Points that go into the view at once.
const VIEW_BATCH: usize = 2048;

/// The configuration as the view holds it.
pub fn config_json(config: &CollectionConfig) -> Result<Vec<u8>> {
    serde_json::to_vec(config).map_err(|error| Error::Internal(format!("configuration as JSON: {error}")))
}

/// The view's part of a collection, as it was found.
#[derive(Default)]
pub struct Seen {
    entries: Entries,
    /// Points whose payload stands here too.
    with_payload: HashSet<PointId>,
    /// Keys whose values are damaged or that are no keys.
    bad_keys: Vec<Vec<u8>>,
    /// The state, where it is this collection's.
    state: Option<State>,
    /// Name and configuration, where they are what the state says.
    head: Option<(CollectionName, CollectionConfig)>,
    totals: Totals,
}

impl Seen {
    /// Reads the view's part of collection `number`.
    pub fn read(view: &View, number: u32, manifest: &Manifest) -> Result<Self> {
        let mut seen = Self::default();
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
                if json.is_some() {
                    seen.with_payload.insert(id);
                }
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

    /// Points that are not the same in the log, or only in one of them, and damaged values.
    pub fn differences(&self, entries: &Entries) -> usize {
        let not_there = self.entries.keys().filter(|id| !entries.contains_key(id)).count();
        let differ = entries.iter().filter(|(id, entry)| self.entries.get(id) != Some(entry)).count();
        not_there + differ + self.bad_keys.len()
    }

    /// The last change that the view knows of; it was durable in the log before.
    pub fn evidence(&self) -> u64 {
        let versions = self.entries.values().map(|entry| entry.version).max().unwrap_or(0);
        versions.max(self.state.map_or(0, |state| state.last_seq))
    }
}

/// What counts, and why it may not be written to.
pub struct Verdict {
    /// The collection.
    pub replay: Replay,
    /// What is wrong with the log.
    pub damage: Option<String>,
    /// What is lost.
    pub read_only: Option<String>,
    /// The points among it.
    pub lost: Vec<PointId>,
}

/// Decides what counts.
pub fn judge(replay: Replay, seen: &Seen, segments: &[Arc<Segment>], id: LogId, table: &Segments) -> Verdict {
    if replay.damage.is_empty() {
        return Verdict { replay, damage: None, read_only: None, lost: Vec::new() };
    }
    let damage = format!("the log is damaged ({})", replay.damage.join("; "));
    let usable = |state: &State| state.generation == id.generation && state.last_seq >= replay.base_seq;
    let (mut replay, mut lost_changes) = match seen.proof().filter(usable) {
        Some(state) => {
            let start = Start {
                entries: seen.entries.clone(),
                seq: state.last_seq,
                head: seen.head.clone(),
                known_seq: state.last_seq,
            };
            let mut again = replay::replay(segments, id, start);
            again.last_seq = again.last_seq.max(state.last_seq);
            let lost = replay.missing.into_iter().filter(|range| *range.end() > state.last_seq).collect();
            (again, lost)
        }
        None => {
            let missing = replay.missing.clone();
            let mut replay = replay;
            overlay(&mut replay, seen);
            (replay, missing)
        }
    };
    lost_changes.extend(replay.unreadable.iter().map(|seq| *seq..=*seq));
    let is_lost = |entry: &Entry, id: &PointId| {
        let inline = seen.with_payload.contains(id)
            && seen.entries.get(id).is_some_and(|seen| seen.payload == entry.payload);
        let fails = |record| table.with(record, |_| ()).is_err();
        fails(&entry.vectors)
            || !inline && fails(&entry.payload)
            || entry.pictures.iter().any(|(_, record)| fails(record))
    };
    let mut lost: Vec<PointId> =
        replay.entries.iter().filter(|(id, entry)| is_lost(entry, id)).map(|(id, _)| *id).collect();
    lost.sort_unstable();
    if let Some(end) = lost_changes.iter().map(|range| *range.end()).max() {
        replay.last_seq = replay.last_seq.max(end);
    }
    if lost.is_empty() && lost_changes.is_empty() {
        return Verdict { replay, damage: Some(damage), read_only: None, lost };
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
    Verdict { replay, damage: Some(damage), read_only: Some(reason), lost }
}

/// Takes over from the view what changes missing from the log wrote.
fn overlay(replay: &mut Replay, seen: &Seen) {
    for (id, entry) in &seen.entries {
        let is_missing = replay.missing.iter().any(|range| range.contains(&entry.version));
        let is_newer = replay.entries.get(id).is_none_or(|there| there.version < entry.version);
        if is_missing && is_newer {
            replay.entries.insert(*id, *entry);
        }
    }
}

/// Makes the view show exactly `entries`; returns their sums.
pub fn show(view: &View, number: u32, entries: &Entries, seen: &Seen) -> Result<Totals> {
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
        let value = codec::encode_entry(&key, entry);
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
pub fn finish_view(
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
