//! Files beside a log that can be made again, and are only believed whole: SHA-256 over the
//! collection's salt, the name and the bytes, then the bytes.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Result;

use super::durable;

const HASH: usize = 32;

fn hash(salt: u64, name: &str, bytes: &[u8]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    hash.update(salt.to_le_bytes());
    hash.update([0xff]);
    hash.update(name.as_bytes());
    hash.update([0xff]);
    hash.update(bytes);
    hash.finalize().into()
}

/// Replaces the file durably and all at once.
pub fn write(dir: &Path, name: &str, salt: u64, bytes: &[u8]) -> Result<()> {
    let (path, aside) = (dir.join(format!("{name}.hint")), dir.join(format!("{name}.new")));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(&hash(salt, name, bytes))?;
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| durable::at(&aside, &error))?;
    fs::rename(&aside, &path).map_err(|error| durable::at(&path, &error))?;
    durable::sync_dir(dir)
}

/// Reads it back; `None` where it is absent, damaged, or another collection's.
pub fn read(dir: &Path, name: &str, salt: u64) -> Option<Vec<u8>> {
    let mut bytes = fs::read(dir.join(format!("{name}.hint"))).ok()?;
    let is_whole = bytes.split_at_checked(HASH).is_some_and(|(head, rest)| head == hash(salt, name, rest));
    is_whole.then(|| bytes.split_off(HASH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), "a", 1), None);
        write(dir.path(), "a", 1, b"bytes").unwrap();
        assert_eq!(read(dir.path(), "a", 1).unwrap(), b"bytes");
        assert_eq!(read(dir.path(), "a", 2), None);
        let path = dir.path().join("a.hint");
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(dir.path(), "a", 1), None, "bit {bit}");
        }
        fs::write(&path, &whole[..HASH - 1]).unwrap();
        assert_eq!(read(dir.path(), "a", 1), None);
    }
}
