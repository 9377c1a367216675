//! `LAST` of a collection: the last change that was durable, written in place behind every group
//! and never synced. After a killed process it is exact, after a power cut it may be old or
//! absent, and it is never ahead of the log: what ends before it is damaged, not torn.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Result;

use super::durable;

/// The file, open for writing.
#[derive(Debug)]
pub struct Last {
    file: File,
    salt: u64,
}

impl Last {
    /// Opens the file of the collection in `dir`, creating it if need be.
    pub fn open(dir: &Path, salt: u64) -> Result<Self> {
        let path = dir.join("LAST");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        Ok(Self { file: file.map_err(|error| durable::at(&path, &error))?, salt })
    }

    /// Notes that change `seq` is durable. Failing is no harm: the note is only a hint.
    pub fn note(&self, seq: u64) {
        if let Err(error) = self.file.write_all_at(&encode(self.salt, seq), 0) {
            tracing::debug!("LAST was not written: {error}");
        }
    }
}

/// The last change that was noted; `None` where there is no whole note of this collection.
pub fn read(dir: &Path, salt: u64) -> Option<u64> {
    let bytes = fs::read(dir.join("LAST")).ok()?;
    let seq = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes == encode(salt, seq)).then_some(seq)
}

fn encode(salt: u64, seq: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &seq.to_le_bytes());
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_damaged_or_foreign_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), 5), None);
        let last = Last::open(dir.path(), 5).unwrap();
        last.note(7);
        last.note(300);
        assert_eq!(read(dir.path(), 5), Some(300));
        assert_eq!(read(dir.path(), 6), None);
        fs::write(dir.path().join("LAST"), &encode(5, 300)[..11]).unwrap();
        assert_eq!(read(dir.path(), 5), None);
    }
}
