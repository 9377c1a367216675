//! The audit log of a collection: one line of JSON for each decision, appended and durable before the
//! decision is answered. Lines are chained by hashes: each holds the hash of the one before, so that a
//! line that was changed, removed or put in shows (`check_audit`). Files are numbered and bounded in
//! size; none is ever removed or rewritten here. What was torn off by a crash was never acknowledged,
//! and is cut off when the log is opened.
//!
//! Not shown by the chain: the removal of the newest lines, and of whole files from the front. The
//! first number of the log and its last hash, noted elsewhere, show both.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Volume;
use super::durable::{at, create_dir, names, sync_dir};
use crate::error::{Error, Result};

/// Where the log lies, within the collection's directory.
const DIRECTORY: &str = "audit";
/// A file is full from here on, bytes: small enough to be read whole, to send or to check it.
const FULL: u64 = 16 * 1024 * 1024;
/// Largest line, bytes.
const MAX_LINE: usize = 64 * 1024;
/// What a line begins with: the hash of all that follows the comma.
const PREFIX: &str = "{\"hash\":\"";
const HEX: usize = 64;

/// The audit log of one collection; nothing is on disk before the first line.
pub struct AuditLog {
    directory: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    file: File,
    number: u32,
    bytes: u64,
    sequence: u64,
    hash: String,
    /// Why nothing can be appended any more.
    failed: Option<String>,
}

/// What a check of the chain found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditCheck {
    /// Lines that hold.
    pub lines: u64,
    /// The number of the first line; larger than 1 where files before it were removed.
    pub first: u64,
    /// The hash of the last line.
    pub last_hash: String,
    /// The first line that does not hold, counted from 1, and why.
    pub broken: Option<(u64, String)>,
}

impl AuditLog {
    /// The log of a volume; it is read at the first append.
    pub fn of(volume: &Volume) -> Self {
        Self { directory: volume.place().1.join(DIRECTORY), open: Mutex::new(None) }
    }

    /// Appends a line; durable when this returns. `sequence`, `previous` and `hash` are added.
    ///
    /// # Errors
    /// `StorageFull`, `Unavailable` as of any write; `Io`, after which nothing is appended any more until
    /// the next start; `TooLarge`.
    pub fn append(&self, volume: &Volume, mut entry: Map<String, Value>) -> Result<u64> {
        let mut open = self.open.lock();
        // A volume that another one has taken the place of writes no more: its files are the other's now.
        volume.check_room(MAX_LINE as u64)?;
        if open.is_none() {
            *open = Some(Open::last(&self.directory)?);
        }
        let Some(log) = open.as_mut() else { return Err(Error::Internal("the log is not open".into())) };
        if let Some(why) = &log.failed {
            return Err(Error::Unavailable(format!(
                "the audit log cannot be written: {why}; restart the server"
            )));
        }
        if log.bytes >= FULL {
            *log = Open::create(&self.directory, log.number + 1, log.sequence, log.hash.clone())?;
        }
        let sequence = log.sequence + 1;
        entry.insert("sequence".into(), sequence.into());
        let mut rest = format!("\"previous\":\"{}\",", log.hash);
        let text = serde_json::to_string(&entry).map_err(|error| Error::Internal(error.to_string()))?;
        rest.push_str(text.trim_start_matches('{'));
        let hash = digest(rest.as_bytes());
        let line = format!("{PREFIX}{hash}\",{rest}\n");
        if line.len() > MAX_LINE {
            return Err(Error::TooLarge(format!(
                "the audit line has {} bytes, at most {MAX_LINE}",
                line.len()
            )));
        }
        let written = log.file.write_all(line.as_bytes()).and_then(|()| log.file.sync_data());
        if let Err(error) = written {
            // What is on disk now is unknown: never retried.
            log.failed = Some(error.to_string());
            return Err(at(&self.directory, &error));
        }
        log.bytes += line.len() as u64;
        (log.sequence, log.hash) = (sequence, hash);
        Ok(sequence)
    }

    /// The files' numbers, ascending.
    ///
    /// # Errors
    /// `Io`.
    pub fn files(&self) -> Result<Vec<u32>> {
        files(&self.directory)
    }

    /// One file, whole lines only; `None` where there is none of this number.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self, number: u32) -> Result<Option<Vec<u8>>> {
        let path = path(&self.directory, number);
        match fs::read(&path) {
            Ok(mut bytes) => {
                bytes.truncate(whole(&bytes));
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path, &error)),
        }
    }
}

/// Gives the log of the collection in `old` to the one in `new` as well, by links to the same files. May be
/// repeated, for files that came meanwhile.
pub(super) fn carry_over(old: &Path, new: &Path) -> Result<()> {
    let (from, to) = (old.join(DIRECTORY), new.join(DIRECTORY));
    for number in files(&from)? {
        create_dir(&to)?;
        let (from, to) = (path(&from, number), path(&to, number));
        if !to.exists() {
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(|_| ()))
                .map_err(|error| at(&to, &error))?;
            File::open(&to).and_then(|file| file.sync_all()).map_err(|error| at(&to, &error))?;
        }
    }
    if to.is_dir() { sync_dir(&to) } else { Ok(()) }
}

impl Open {
    fn last(directory: &Path) -> Result<Open> {
        let Some(&number) = files(directory)?.last() else {
            create_dir(directory)?;
            return Open::create(directory, 1, 0, "0".repeat(HEX));
        };
        let path = path(directory, number);
        let bytes = fs::read(&path).map_err(|error| at(&path, &error))?;
        let kept = whole(&bytes);
        let file = OpenOptions::new().append(true).open(&path).map_err(|error| at(&path, &error))?;
        if kept < bytes.len() {
            file.set_len(kept as u64).and_then(|()| file.sync_data()).map_err(|error| at(&path, &error))?;
        }
        let last = bytes[..kept].trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let parsed: Option<Value> = serde_json::from_slice(last).ok();
        let field = |name: &str| parsed.as_ref().and_then(|line| line.get(name).cloned());
        let (sequence, hash) = match (field("sequence").and_then(|v| v.as_u64()), field("hash")) {
            (Some(sequence), Some(Value::String(hash))) => (sequence, hash),
            // A new file in which the crash left nothing: the one before it ends the chain.
            _ if kept == 0 && number > 1 => {
                let before = fs::read(self::path(directory, number - 1)).unwrap_or_default();
                end(&before).unwrap_or((0, "0".repeat(HEX)))
            }
            // A last line that is no line of ours: the check will say so, and decisions go on.
            _ => (0, "0".repeat(HEX)),
        };
        Ok(Open { file, number, bytes: kept as u64, sequence, hash, failed: None })
    }

    fn create(directory: &Path, number: u32, sequence: u64, hash: String) -> Result<Open> {
        let path = path(directory, number);
        let file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(|error| at(&path, &error))?;
        sync_dir(directory)?;
        Ok(Open { file, number, bytes: 0, sequence, hash, failed: None })
    }
}

fn end(bytes: &[u8]) -> Option<(u64, String)> {
    let last = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    let line: Value = serde_json::from_slice(last).ok()?;
    Some((line["sequence"].as_u64()?, line["hash"].as_str()?.to_owned()))
}

fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.jsonl"))
}

fn files(directory: &Path) -> Result<Vec<u32>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let number = |name: String| name.strip_suffix(".jsonl")?.parse().ok();
    let mut numbers: Vec<u32> = names(directory)?.into_iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes up to and with the last end of line.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the chain of an exported log.
pub fn check_audit(text: &[u8]) -> AuditCheck {
    let mut found = AuditCheck::default();
    let mut expected: Option<(u64, String)> = None;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match check_line(line, expected.as_ref()) {
            Ok((sequence, hash)) => {
                found.lines += 1;
                if expected.is_none() {
                    found.first = sequence;
                }
                found.last_hash.clone_from(&hash);
                expected = Some((sequence, hash));
            }
            Err(why) => {
                found.broken = Some((found.lines + 1, why));
                break;
            }
        }
    }
    found
}

fn check_line(line: &[u8], before: Option<&(u64, String)>) -> Result<(u64, String), String> {
    let hash = line.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.get(..HEX));
    let rest = line.get(PREFIX.len() + HEX + 2..);
    let (Some(hash), Some(rest)) = (hash, rest) else { return Err("it is no line of an audit log".into()) };
    if digest(rest).as_bytes() != hash {
        return Err("its text was changed: the hash does not hold".into());
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is no JSON: {error}"))?;
    let sequence = value["sequence"].as_u64().ok_or("it has no number")?;
    if let Some((number, hash)) = before
        && (sequence != number + 1 || value["previous"].as_str() != Some(hash))
    {
        return Err(format!("it does not follow line number {number}: lines were removed or put in"));
    }
    if before.is_none() && sequence == 1 && value["previous"].as_str() != Some("0".repeat(HEX).as_str()) {
        return Err("it claims to be the first and is not".into());
    }
    Ok((sequence, value["hash"].as_str().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Store, StoreOptions};
    use crate::types::{CollectionConfig, CollectionName, Distance};
    use serde_json::json;

    #[test]
    fn what_was_changed_removed_or_put_in_shows_and_what_was_torn_off_does_not_hinder() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let name = CollectionName::parse("c").unwrap();
        let volume = store.create(&name, &CollectionConfig::single(2, Distance::Dot)).unwrap();
        let entry = |i: u32| json!({"score": 0.1 + f64::from(i), "subject": format!("s{i}")});
        let append = |log: &AuditLog, i| log.append(&volume, entry(i).as_object().unwrap().clone()).unwrap();
        let log = AuditLog::of(&volume);
        assert_eq!((0..5).map(|i| append(&log, i)).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let file = path(&log.directory, 1);
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"hash\":\"torn").unwrap();
        let log = AuditLog::of(&volume);
        assert_eq!(append(&log, 5), 6);
        let text = String::from_utf8(log.read(1).unwrap().unwrap()).unwrap();
        let whole = check_audit(text.as_bytes());
        assert_eq!((whole.lines, whole.first, &whole.broken), (6, 1, &None));
        let lines: Vec<&str> = text.lines().collect();
        let mut removed = lines.clone();
        removed.remove(2);
        let mut twice = lines.clone();
        twice.insert(3, lines[2]);
        for (changed, at) in [
            (text.replace("s3", "s9"), 4),
            (removed.join("\n"), 3),
            (twice.join("\n"), 4),
            (format!("{}\nx", text.trim()), 7),
        ] {
            let broken = check_audit(changed.as_bytes()).broken.unwrap();
            assert_eq!(broken.0, at, "{broken:?}");
        }
        assert_eq!(check_audit(lines[2..].join("\n").as_bytes()).first, 3);
    }
}
