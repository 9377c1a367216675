//! A data directory examined offline. Examining changes nothing in it (but for the lock file):
//! the view is opened in a copy, since sled writes when it opens. Repairing is opening the store,
//! which heals whatever can be healed and never takes away what cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::migrations;
use crate::types::PointId;

use super::manifest::Manifest;
use super::reconcile::{Seen, judge};
use super::replay::{self, LogId, Start};
use super::segment::{self, Segment, Segments};
use super::snapshot::Aside;
use super::store::{Lock, clean_seqs, number_of};
use super::view::View;
use super::{StoreOptions, durable, last, parity, recovery};

/// How a data directory stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The schema version, or why it cannot be read.
    pub schema: Result<u32, String>,
    /// Why the view cannot be opened at all; it would be made again.
    pub view: Option<String>,
    /// Every collection's directory.
    pub collections: Vec<Examined>,
}

/// How a collection stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Its directory.
    pub dir: PathBuf,
    /// Its name, where anything knows it.
    pub name: Option<String>,
    /// Segments of its log.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Points that the log holds.
    pub points: usize,
    /// Everything that is wrong, one sentence each.
    pub findings: Vec<String>,
    /// Points of the view that differ from the log.
    pub stale_in_view: usize,
    /// What cannot be had back.
    pub lost: Vec<PointId>,
    /// What a repair comes to.
    pub outlook: Outlook,
}

/// What a repair comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing is wrong.
    Whole,
    /// Something is wrong and nothing is lost.
    Heals,
    /// Something is lost: the collection will be read-only, with all else readable.
    Loses,
}

impl Diagnosis {
    /// True where nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.schema.is_ok()
            && self.view.is_none()
            && self.collections.iter().all(|examined| examined.outlook == Outlook::Whole)
    }
}

/// Examines the data directory and changes nothing.
///
/// # Errors
/// `Unavailable` where a server has the directory; `NotFound` where there is none; `Io`.
pub fn examine(dir: &Path) -> Result<Diagnosis> {
    if !dir.join("collections").is_dir() {
        return Err(Error::NotFound(format!("{} is no data directory", dir.display())));
    }
    let _lock = Lock::take(dir)?;
    let schema = migrations::found(dir).map_err(|error| error.to_string());
    // In the directory for temporary files: the data directory may be full, or on a failing disk.
    let copy =
        Aside(std::env::temp_dir().join(format!("lookalike-doctor-{}", uuid::Uuid::new_v4().simple())));
    copy_files(&dir.join("view"), &copy.0)?;
    let opened = View::open(&copy.0, StoreOptions::default().view_cache_bytes);
    let clean = clean_seqs(dir)?;
    let mut collections = Vec::new();
    let parent = dir.join("collections");
    for name in durable::names(&parent)? {
        if let Some(number) = number_of(&name) {
            let seq = clean.get(&number).copied();
            let aside = copy.0.with_extension(&name);
            let _gone = Aside(aside.clone());
            collections.push(examine_one(&parent.join(&name), number, opened.as_ref().ok(), seq, &aside)?);
        }
    }
    let failed = opened.as_ref().is_ok_and(View::has_failed).then(|| "it fails while it is read".to_owned());
    let view = opened.err().map(|error| error.to_string()).or(failed);
    Ok(Diagnosis { schema, view, collections })
}

/// Heals what can be healed: opens the store and closes it again.
///
/// # Errors
/// Those of `Store::open`.
pub fn repair(dir: &Path, options: StoreOptions) -> Result<()> {
    if !dir.join("collections").is_dir() {
        return Err(Error::NotFound(format!("{} is no data directory", dir.display())));
    }
    super::Store::open(dir, options)?.close()
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| durable::at(to, &error))?;
    if !from.is_dir() {
        return Ok(());
    }
    for name in durable::names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_files(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(|error| durable::at(&from, &error))?;
        }
    }
    Ok(())
}

/// `aside` is where healed segments are tried out.
fn examine_one(
    dir: &Path,
    number: u32,
    view: Option<&View>,
    clean_seq: Option<u64>,
    aside: &Path,
) -> Result<Examined> {
    let log_dir = dir.join("log");
    let mut findings = Vec::new();
    let numbers = if log_dir.is_dir() { segment::numbers(&log_dir)? } else { Vec::new() };
    let mut examined = Examined {
        dir: dir.to_owned(),
        name: None,
        segments: numbers.len(),
        bytes: 0,
        points: 0,
        findings: Vec::new(),
        stale_in_view: 0,
        lost: Vec::new(),
        outlook: Outlook::Whole,
    };
    let on_disk = Manifest::read(dir)?.filter(|manifest| recovery::is_of_this_log(manifest, &log_dir));
    let manifest = match on_disk {
        Some(manifest) => manifest,
        None => match recovery::manifest_from_segments(dir, &log_dir) {
            Ok(manifest) => {
                findings.push(
                    "the manifest is damaged, missing or another log's; the segments say it again".to_owned(),
                );
                manifest
            }
            Err(error) => {
                findings.push(error.to_string());
                return Ok(Examined { findings, outlook: Outlook::Loses, ..examined });
            }
        },
    };
    examined.name = Some(manifest.name.to_string());
    let id =
        LogId { salt: manifest.salt, generation: manifest.generation, first_segment: manifest.first_segment };
    let standing = recovery::standing(&log_dir, id)?;
    let moves = recovery::misplaced(&standing, id)?;
    examined.segments = standing.len();
    let mut segments = Vec::new();
    for one in standing {
        let number = one.number;
        if one.is_on_its_way() {
            findings.push(format!("segment {number} was being renamed when the process ended"));
        }
        // Where a repair would put it.
        let place = moves.iter().find(|(from, _)| *from == number).map_or(number, |(_, to)| *to);
        if place != number {
            findings.push(format!("segment {number} is segment {place} of the log"));
        }
        let header = recovery::header_in(&one.path)?;
        let is_newer = header.is_some_and(|h| h.salt == id.salt && h.generation > id.generation);
        if place < id.first_segment || is_newer {
            findings.push(format!("segment {number} is left over from a compaction"));
        } else {
            segments.push(Arc::new(Segment::open_at(&one.path, place)?));
        }
    }
    segments.sort_by_key(|segment| segment.number);
    examined.bytes = segments.iter().map(|segment| segment.bytes().len() as u64).sum();
    let seen = match view {
        Some(view) => Seen::read(view, number, &manifest).ok(),
        None => None,
    };
    let evidence = seen.as_ref().map_or(0, Seen::evidence);
    let evidence = last::read(dir, manifest.salt).max(clean_seq).unwrap_or(0).max(evidence);
    let read = |segments: &[Arc<Segment>]| {
        let mut replay = replay::replay(segments, id, Start { known_seq: evidence, ..Start::default() });
        replay.expect(evidence);
        replay
    };
    let mut replay = read(&segments);
    findings.extend(replay.damage.iter().cloned());
    if let Some(tail) = &replay.tail {
        findings.push(format!(
            "segment {} ends with {} bytes of a torn write",
            tail.segment,
            tail.bytes.len()
        ));
    }
    if !replay.damage.is_empty() || replay.tail.is_some() {
        for healed in parity::healable(&log_dir, id, &segments)? {
            let number = healed.number;
            findings.push(format!("segment {number} comes back from the parity ({} bytes)", healed.wrong));
            fs::create_dir_all(aside).map_err(|error| durable::at(aside, &error))?;
            let path = segment::path(aside, number);
            fs::write(&path, &healed.bytes).map_err(|error| durable::at(&path, &error))?;
            segments.retain(|segment| segment.number != number);
            segments.push(Arc::new(Segment::open_at(&path, number)?));
            segments.sort_by_key(|segment| segment.number);
        }
        replay = read(&segments);
    }
    examined.points = replay.entries.len();
    let seen = seen.unwrap_or_default();
    if view.is_some() {
        examined.stale_in_view = seen.differences(&replay.entries);
        if examined.stale_in_view > 0 {
            findings.push(format!("the view differs from the log in {} points", examined.stale_in_view));
        }
    }
    if !replay.damage.is_empty() {
        let table = Segments::default();
        segments.iter().for_each(|segment| table.put_shared(Arc::clone(segment)));
        let verdict = judge(replay, &seen, &segments, id, &table);
        examined.lost = verdict.lost;
        if let Some(reason) = verdict.read_only {
            findings.push(reason);
            examined.outlook = Outlook::Loses;
        }
    }
    if examined.outlook == Outlook::Whole && !findings.is_empty() {
        examined.outlook = Outlook::Heals;
    }
    Ok(Examined { findings, ..examined })
}
