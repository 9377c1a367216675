//! One thing to import: what it is, what is known of it, and the id it gets. Ids follow from the
//! picture, so that whatever is imported again, in whole or in part, is the same point: the id of
//! a picture's bytes is also the one that the server gives to an upload without an id.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use uuid::Uuid;

use crate::types::{Payload, PointId};

/// Largest file that is read as a picture, bytes; the server's own bound (20 MiB by default) is its own to say.
pub const MAX_PICTURE: u64 = 256 * 1024 * 1024;

/// What a picture's id is made from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ids {
    /// Its bytes: moved, renamed and copied pictures are one point, also with other clients
    Content,
    /// Its absolute path: a changed picture replaces its point, and importing again reads no file twice
    Path,
}

/// What there is to embed.
pub enum Content {
    /// A picture file that is read when its turn comes.
    File(PathBuf),
    /// The bytes of a picture file.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
}

/// One thing to import.
pub struct Item {
    /// What reports call it.
    pub name: String,
    /// The id that the source gives it.
    pub id: Option<PointId>,
    /// What the source says of it.
    pub payload: Payload,
    /// What there is to embed.
    pub content: Content,
    /// Its share of the progress, bytes of the source.
    pub weight: u64,
}

/// What a source gives.
pub enum Entry {
    /// An item.
    Good(Item),
    /// Something that is none.
    Bad {
        /// What reports call it.
        name: String,
        /// Why.
        error: String,
        /// Its share of the progress.
        weight: u64,
    },
}

impl Item {
    /// The id, where it is known without reading the picture.
    pub fn known_id(&self, ids: Ids) -> Option<PointId> {
        match (&self.content, self.id) {
            (_, Some(id)) => Some(id),
            (Content::File(path), None) if ids == Ids::Path => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let path = path.as_os_str().as_encoded_bytes();
                Some(PointId::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, path)))
            }
            _ => None,
        }
    }
}

/// The id of a picture's bytes, or of a text.
pub fn content_id(bytes: &[u8]) -> PointId {
    PointId::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes))
}

/// A picture file's bytes.
pub fn read_picture(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).context("cannot be opened")?;
    file.take(MAX_PICTURE + 1).read_to_end(&mut bytes).context("cannot be read")?;
    if bytes.len() as u64 > MAX_PICTURE {
        bail!("larger than {} MiB", MAX_PICTURE / (1024 * 1024));
    }
    Ok(bytes)
}

/// Whether a file's name is that of a picture.
pub fn is_picture(path: &Path) -> bool {
    let endings = ["jpg", "jpeg", "png", "webp", "gif"];
    path.extension().is_some_and(|e| endings.iter().any(|ending| e.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content: Content, id: Option<PointId>) -> Item {
        Item { name: String::new(), id, payload: Payload::new(), content, weight: 0 }
    }

    #[test]
    fn an_id_of_a_path_is_the_same_from_every_directory_and_an_id_of_its_own_wins() {
        let here = std::env::current_dir().unwrap();
        let relative = item(Content::File("a/b.jpg".into()), None).known_id(Ids::Path);
        assert_eq!(relative, item(Content::File(here.join("a/b.jpg")), None).known_id(Ids::Path));
        assert!(relative.is_some());
        assert_eq!(item(Content::File("a/b.jpg".into()), None).known_id(Ids::Content), None);
        let own = Some(PointId::Num(3));
        assert_eq!(item(Content::File("a/b.jpg".into()), own).known_id(Ids::Path), own);
    }

    #[test]
    fn a_picture_is_known_by_the_ending_of_its_name() {
        for (name, is) in [("a.JPG", true), ("a.webp", true), ("a", false), ("jpg", false), ("a.tar", false)]
        {
            assert_eq!(is_picture(Path::new(name)), is, "{name}");
        }
    }
}
