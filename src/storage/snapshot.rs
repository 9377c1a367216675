//! Snapshots: collections at one moment in a tar archive. Writing one stops nobody: the log is
//! only ever appended to, so its first so many bytes are the collection as it was.
//!
//! ```text
//! collections/<place>/log/NNNNNN.seg     the segments, up to the moment
//! SNAPSHOT.json                          what they are, with the SHA-256 of each, and the notes; comes last
//! ```
//!
//! Invariant: an archive is there under its name whole and synced, or not at all. Reading one
//! trusts nothing: paths are taken apart into numbers and never used as they are, only regular
//! files are taken, hashes are compared before anything is looked into, and then the log must be
//! whole and hold what the archive says it does.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName};

use super::codec::Totals;
use super::durable;
use super::frame::{self, Found, Mark};
use super::notes;
use super::replay::{self, LogId, Replay, Start};
use super::segment::{self, HEADER, Segment};

/// What this program writes and reads.
const FORMAT: u32 = 1;
const INDEX: &str = "SNAPSHOT.json";
/// Most files of an archive.
const MAX_FILES: usize = 1_000_000;
/// Most bytes of the index.
const MAX_INDEX: u64 = 256 * 1024 * 1024;
/// Most bytes of a segment: the largest there are, and a frame that began before their end.
const MAX_SEGMENT: u64 = 2 * 1024 * 1024 * 1024;

/// A collection at one moment.
pub struct Frozen {
    /// Its name.
    pub name: CollectionName,
    /// Its configuration, whole.
    pub config: CollectionConfig,
    /// Its log.
    pub log: LogId,
    /// Its last change.
    pub last_seq: u64,
    /// Sums over its points.
    pub totals: Totals,
    /// The segments with their bytes at that moment.
    pub segments: Vec<(Arc<Segment>, u64)>,
    /// Its notes, by name.
    pub notes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    lookalike: String,
    collections: Vec<Described>,
    files: Vec<Hashed>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Described {
    name: CollectionName,
    config: CollectionConfig,
    salt: u64,
    generation: u32,
    first_segment: u32,
    last_seq: u64,
    points: u64,
    fingerprint: u64,
    #[serde(default)]
    notes: Vec<Noted>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    name: String,
    text: String,
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hashed {
    path: String,
    bytes: u64,
    sha256: String,
}

/// Counts and hashes what is written.
struct Tee<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let read = File::open(path).and_then(|mut file| {
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                read => hash.update(&buffer[..read]),
            }
        }
    });
    read.map_err(|error| durable::at(path, &error))?;
    Ok(hex(hash))
}

fn noted(name: &str, text: &str) -> Noted {
    let hash = Sha256::new_with_prefix(name).chain_update([0]).chain_update(text);
    Noted { name: name.to_owned(), text: text.to_owned(), sha256: hex(hash) }
}

fn member(place: usize, number: u32) -> String {
    format!("collections/{place}/log/{number:06}.seg")
}

/// Takes a name within an archive apart; `None` for any that [`member`] does not make.
fn parse_member(path: &str) -> Option<(usize, u32)> {
    let rest = path.strip_prefix("collections/")?;
    let (place, rest) = rest.split_once("/log/")?;
    let (place, number) = (place.parse().ok()?, rest.strip_suffix(".seg")?.parse().ok()?);
    (member(place, number) == path).then_some((place, number))
}

/// Writes an archive, durably; returns its SHA-256. What is there under this path is replaced. `go_on` is asked
/// before each segment.
///
/// # Errors
/// `Corrupted` where a segment is damaged: a snapshot is whole or is not made. `Io`. That of `go_on`.
pub fn write(collections: &[Frozen], path: &Path, go_on: &dyn Fn() -> Result<()>) -> Result<String> {
    let aside = path.with_extension("part");
    let written = write_aside(collections, &aside, go_on);
    let hash = written.inspect_err(|_| drop(fs::remove_file(&aside)))?;
    fs::rename(&aside, path).map_err(|error| durable::at(path, &error))?;
    path.parent().map_or(Ok(()), durable::sync_dir)?;
    Ok(hash)
}

fn write_aside(collections: &[Frozen], path: &Path, go_on: &dyn Fn() -> Result<()>) -> Result<String> {
    let at = |error: std::io::Error| durable::at(path, &error);
    let file = File::create(path).map_err(at)?;
    let tee = Tee { inner: BufWriter::with_capacity(1 << 20, &file), hash: Sha256::new() };
    let mut archive = tar::Builder::new(tee);
    let mut index = Index {
        format: FORMAT,
        lookalike: env!("CARGO_PKG_VERSION").to_owned(),
        collections: Vec::new(),
        files: Vec::new(),
    };
    for (place, frozen) in collections.iter().enumerate() {
        let mark = Mark::new(frozen.log.salt, frozen.log.generation);
        for (segment, length) in &frozen.segments {
            go_on()?;
            let bytes = segment.read(*length).map_err(at)?;
            if frame::walk(mark, &bytes, HEADER).any(|found| !matches!(found, Found::Frame(_))) {
                return Err(Error::Corrupted(format!(
                    "no snapshot of collection `{}`: segment {} of its log is damaged; restart to heal it",
                    frozen.name, segment.number
                )));
            }
            let name = member(place, segment.number);
            append(&mut archive, &name, &bytes).map_err(at)?;
            index.files.push(Hashed {
                path: name,
                bytes: *length,
                sha256: hex(Sha256::new_with_prefix(&bytes)),
            });
        }
        index.collections.push(Described {
            name: frozen.name.clone(),
            config: frozen.config.clone(),
            salt: frozen.log.salt,
            generation: frozen.log.generation,
            first_segment: frozen.log.first_segment,
            last_seq: frozen.last_seq,
            points: frozen.totals.count,
            fingerprint: frozen.totals.fingerprint,
            notes: frozen.notes.iter().map(|(name, text)| noted(name, text)).collect(),
        });
    }
    let text = serde_json::to_vec_pretty(&index)
        .map_err(|error| Error::Internal(format!("the snapshot's index as JSON: {error}")))?;
    append(&mut archive, INDEX, &text).map_err(at)?;
    let mut tee = archive.into_inner().map_err(at)?;
    tee.flush().map_err(at)?;
    let hash = hex(tee.hash);
    drop(tee.inner);
    file.sync_all().map_err(at)?;
    Ok(hash)
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes)
}

/// A collection out of an archive: verified, and not yet anybody's.
pub struct Content {
    /// The name it had.
    pub name: CollectionName,
    /// Its configuration.
    pub config: CollectionConfig,
    /// Its points, whose records lie in `segments`.
    pub replay: Replay,
    /// Its log.
    pub segments: Vec<Arc<Segment>>,
    /// Its notes, by name.
    pub notes: BTreeMap<String, String>,
}

/// Unpacks an archive into the new directory `into` and verifies all of it.
///
/// # Errors
/// `InvalidInput` that says what is wrong with the archive; `Io`.
pub fn unpack(archive: &Path, into: &Path) -> Result<Vec<Content>> {
    let wrong = |what: String| Error::InvalidInput(format!("the snapshot cannot be used: {what}"));
    let file = File::open(archive).map_err(|error| durable::at(archive, &error))?;
    durable::create_dir(into)?;
    let mut reader = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut found = BTreeMap::<(usize, u32), (u64, String)>::new();
    let mut index = None;
    let entries = reader.entries().map_err(|error| wrong(format!("it is no tar archive ({error})")))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| wrong(format!("it is no whole tar archive ({error})")))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        if index.is_some() {
            return Err(wrong(format!("there is `{path}` behind its index")));
        }
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(wrong(format!("`{path}` is no regular file")));
        }
        if path == INDEX {
            if size > MAX_INDEX {
                return Err(wrong("its index is too large".to_owned()));
            }
            let read: Index =
                serde_json::from_reader(&mut entry).map_err(|error| wrong(format!("{INDEX}: {error}")))?;
            index = Some(read);
            continue;
        }
        let Some((place, number)) = parse_member(&path) else {
            return Err(wrong(format!("`{path}` does not belong in it")));
        };
        if found.len() >= MAX_FILES || size > MAX_SEGMENT {
            return Err(wrong(format!("`{path}` is one file too many, or too large")));
        }
        let log_dir = into.join(place.to_string());
        fs::create_dir_all(&log_dir).map_err(|error| durable::at(&log_dir, &error))?;
        let target = segment::path(&log_dir, number);
        let file = File::create_new(&target).map_err(|error| durable::at(&target, &error))?;
        let mut tee = Tee { inner: file, hash: Sha256::new() };
        let copied = std::io::copy(&mut entry, &mut tee).map_err(|error| durable::at(&target, &error))?;
        found.insert((place, number), (copied, hex(tee.hash)));
    }
    let index = index.ok_or_else(|| wrong(format!("it has no {INDEX}; it may have been cut short")))?;
    if index.format != FORMAT {
        return Err(wrong(format!("its format is {}, this lookalike reads {FORMAT}", index.format)));
    }
    // Hashes first: nothing is looked into before all of it is what was written.
    for Hashed { path, bytes, sha256 } in &index.files {
        let there = parse_member(path).and_then(|member| found.remove(&member));
        if there.is_none_or(|(length, hash)| length != *bytes || hash != *sha256) {
            return Err(wrong(format!("`{path}` does not fit its hash")));
        }
    }
    if let Some(((place, number), _)) = found.first_key_value() {
        return Err(wrong(format!("`{}` is not in its index", member(*place, *number))));
    }
    let names: HashSet<_> = index.collections.iter().map(|described| &described.name).collect();
    if names.len() < index.collections.len() {
        return Err(wrong("two collections have the same name".to_owned()));
    }
    let contents = index.collections.into_iter().enumerate();
    contents
        .map(|(place, described)| {
            let name = described.name.clone();
            content(&into.join(place.to_string()), described)
                .map_err(|what| wrong(format!("collection `{name}`: {what}")))
        })
        .collect()
}

fn content(log_dir: &Path, described: Described) -> Result<Content, String> {
    let Described { name, config, salt, generation, first_segment, last_seq, points, fingerprint, notes } =
        described;
    if let Some(wrong) = notes.iter().find(|note| noted(&note.name, &note.text).sha256 != note.sha256) {
        return Err(format!("its note `{}` does not fit its hash", wrong.name));
    }
    if let Some(wrong) = notes.iter().find(|note| !notes::is_name(&note.name)) {
        return Err(format!("`{}` is no name of a note", wrong.name));
    }
    config.validate().map_err(|error| error.to_string())?;
    let numbers = segment::numbers(log_dir).map_err(|error| error.to_string())?;
    let opened = numbers.into_iter().map(|number| Segment::open(log_dir, number).map(Arc::new));
    let segments = opened.collect::<Result<Vec<_>>>().map_err(|error| error.to_string())?;
    let log = LogId { salt, generation, first_segment };
    let replay = replay::replay(&segments, log, Start { known_seq: last_seq, ..Start::default() });
    if !replay.damage.is_empty() || replay.tail.is_some() || replay.last_seq != last_seq {
        return Err(format!("its log is damaged ({})", replay.damage.join("; ")));
    }
    let mut totals = Totals::default();
    replay.entries.iter().for_each(|(id, entry)| totals.add(*id, entry));
    if (totals.count, totals.fingerprint) != (points, fingerprint) {
        return Err(format!("it holds {} points that are not the {points} it should", totals.count));
    }
    let notes = notes.into_iter().map(|note| (note.name, note.text)).collect();
    Ok(Content { name, config, replay, segments, notes })
}

/// A directory that is removed when this is dropped.
pub struct Aside(pub PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && self.0.exists()
        {
            tracing::warn!("{}: not removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_names_that_we_write_are_taken_apart(place in 0..9_999_usize, number in 0..9_999_999_u32, junk in ".{0,30}") {
            prop_assert_eq!(parse_member(&member(place, number)), Some((place, number)));
            for wrong in [junk.clone(), format!("collections/../{junk}"), format!("/{}", member(place, number)), format!("{}/{junk}x", member(place, number))] {
                prop_assert_eq!(parse_member(&wrong), None);
            }
        }
    }
}
