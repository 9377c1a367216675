//! Small files that are whole or absent: written aside, synced, renamed, and the directory
//! synced. The last line holds a crc32c of what stands before it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes the names within a directory durable.
///
/// # Errors
/// `Io` that names the directory.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| at(dir, &error))
}

/// Creates a directory and makes its name durable; one that is there is left as it is.
pub fn create_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => return Ok(()),
        Err(error) => return Err(at(dir, &error)),
    }
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Replaces the file at `path` with `text` and its checksum, durably and all at once.
pub fn write_checked(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    let crc = crc32c::crc32c(text.as_bytes());
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(format!("{text}\ncrc32c {crc:08x}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| at(&aside, &error))?;
    fs::rename(&aside, path).map_err(|error| at(path, &error))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// What a checked file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// There is no such file.
    Absent,
    /// There is one, and its checksum does not hold.
    Damaged,
    /// The text as it was written.
    Whole(String),
}

/// Reads a file that [`write_checked`] wrote.
///
/// # Errors
/// `Io` where the file is there and cannot be read.
pub fn read_checked(path: &Path) -> Result<Checked> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Checked::Absent),
        Err(error) => return Err(at(path, &error)),
    };
    Ok(verified(&bytes).map_or(Checked::Damaged, |text| Checked::Whole(text.to_owned())))
}

fn verified(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (text, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let crc = u32::from_str_radix(last.strip_prefix("crc32c ")?, 16).ok()?;
    (crc == crc32c::crc32c(text.as_bytes())).then_some(text)
}

/// Removes a file durably; one that is absent is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(path, &error)),
    }
}

/// The names within a directory, sorted.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for item in fs::read_dir(dir).map_err(|error| at(dir, &error))? {
        let item = item.map_err(|error| at(dir, &error))?;
        names.extend(item.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The error of an I/O operation with the path in front.
pub fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checked_file_comes_back_whole_or_is_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("FILE");
        assert_eq!(read_checked(&path).unwrap(), Checked::Absent);
        write_checked(&path, "two\nlines").unwrap();
        assert_eq!(read_checked(&path).unwrap(), Checked::Whole("two\nlines".to_owned()));
        let bytes = fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            // The case of a hex digit of the checksum is the only bit that does not count.
            let read = read_checked(&path).unwrap();
            assert!(
                read == Checked::Damaged || read == Checked::Whole("two\nlines".to_owned()),
                "bit {bit}: {read:?}"
            );
        }
    }
}
