//! Notes: small texts that belong to a collection and stand beside its log, each in a file of
//! its own under `notes/`. A note is whole or absent, durable when it is written, verified by a
//! checksum when it is read, and gone with its collection. The log knows nothing of it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

use super::Volume;
use super::durable::{self, Checked};

/// Where the notes of a collection lie, within its directory.
pub(super) const DIRECTORY: &str = "notes";
/// Largest note, bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

impl Volume {
    /// The note's text; `None` where there is none.
    ///
    /// # Errors
    /// `Corrupted` where its checksum does not hold; `Io`.
    pub fn note(&self, name: &str) -> Result<Option<String>> {
        match durable::read_checked(&self.note_path(name)?)? {
            Checked::Absent => Ok(None),
            Checked::Whole(text) => Ok(Some(text)),
            Checked::Damaged => Err(Error::Corrupted(format!(
                "note `{name}` of collection `{}` fails its checksum",
                self.name()
            ))),
        }
    }

    /// Writes a note, in place of an older one, all at once; it is durable when this returns.
    ///
    /// # Errors
    /// `Unavailable` where the volume is read-only; `StorageFull`; `TooLarge`; `Io`.
    pub fn set_note(&self, name: &str, text: &str) -> Result<()> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLarge(format!(
                "note `{name}` has {} bytes, at most {MAX_BYTES}",
                text.len()
            )));
        }
        let path = self.note_path(name)?;
        self.check_room(text.len() as u64)?;
        durable::create_dir(&self.place().1.join(DIRECTORY))?;
        durable::write_checked(&path, text)
    }

    /// Removes a note; one that is absent is no error.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_note(&self, name: &str) -> Result<()> {
        durable::remove_file(&self.note_path(name)?)
    }

    fn note_path(&self, name: &str) -> Result<std::path::PathBuf> {
        if is_name(name) {
            return Ok(self.place().1.join(DIRECTORY).join(name));
        }
        Err(Error::Internal(format!("`{name}` is no name of a note")))
    }
}

/// Whether a note can have this name, which is then no path.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// All notes of the collection in `dir`, by name.
///
/// # Errors
/// `Corrupted` where one fails its checksum; `Io`.
pub(super) fn read_all(dir: &Path) -> Result<BTreeMap<String, String>> {
    let dir = dir.join(DIRECTORY);
    let mut notes = BTreeMap::new();
    if !dir.is_dir() {
        return Ok(notes);
    }
    for name in durable::names(&dir)?.into_iter().filter(|name| is_name(name)) {
        match durable::read_checked(&dir.join(&name))? {
            Checked::Whole(text) => drop(notes.insert(name, text)),
            Checked::Absent => {} // removed meanwhile
            Checked::Damaged => {
                return Err(Error::Corrupted(format!("note `{name}` fails its checksum")));
            }
        }
    }
    Ok(notes)
}

/// Writes notes into the directory of a collection that is not open.
///
/// # Errors
/// `Io`.
pub(super) fn write_all(dir: &Path, notes: &BTreeMap<String, String>) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    durable::create_dir(&dir.join(DIRECTORY))?;
    notes.iter().try_for_each(|(name, text)| durable::write_checked(&dir.join(DIRECTORY).join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Store, StoreOptions};
    use crate::types::{CollectionConfig, CollectionName, Distance};

    #[test]
    fn a_note_survives_is_replaced_whole_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let name = CollectionName::parse("c").unwrap();
        let open = || Store::open(dir.path(), StoreOptions::default()).unwrap();
        let store = open();
        let volume = store.create(&name, &CollectionConfig::single(2, Distance::Dot)).unwrap();
        assert_eq!(volume.note("heads").unwrap(), None);
        volume.set_note("heads", "one").unwrap();
        volume.set_note("heads", "two").unwrap();
        assert!(volume.set_note("../x", "").is_err() && volume.note("A").is_err());
        drop((volume, store)); // no clean stop
        let store = open();
        let volume = store.volumes().remove(0);
        assert_eq!(volume.note("heads").unwrap().as_deref(), Some("two"));
        let path = volume.note_path("heads").unwrap();
        std::fs::write(&path, "twp\ncrc32c 00000000\n").unwrap();
        assert!(matches!(volume.note("heads"), Err(Error::Corrupted(_))));
        volume.remove_note("heads").unwrap();
        volume.remove_note("heads").unwrap();
        assert_eq!(volume.note("heads").unwrap(), None);
        volume.set_note("heads", "three").unwrap();
        let directory = volume.place().1.clone();
        drop(volume);
        store.remove(&name).unwrap();
        assert!(!directory.exists());
    }
}
