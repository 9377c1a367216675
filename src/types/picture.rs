//! What is kept of the picture that a point was made from: a small copy of it, and the file itself.

use serde::{Deserialize, Serialize};

/// Which pictures are kept. A server and a collection have one each: a picture is kept if neither says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicturePolicy {
    /// See [`Pictures::thumbnail`].
    pub thumbnails: bool,
    /// See [`Pictures::original`].
    pub originals: bool,
}

impl PicturePolicy {
    /// Says no to nothing: what a collection has unless it was asked for less.
    pub const ALL: PicturePolicy = PicturePolicy { thumbnails: true, originals: true };

    /// What both keep.
    pub fn and(self, other: PicturePolicy) -> PicturePolicy {
        PicturePolicy {
            thumbnails: self.thumbnails && other.thumbnails,
            originals: self.originals && other.originals,
        }
    }

    /// True where it says no to nothing.
    pub fn is_all(&self) -> bool {
        *self == PicturePolicy::ALL
    }
}

impl Default for PicturePolicy {
    fn default() -> Self {
        PicturePolicy::ALL
    }
}

/// Something about each picture that may be kept with a point; in storage, by turns the bytes, a record and
/// its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures<T = Vec<u8>> {
    /// A re-encoded JPEG of at most [`THUMBNAIL_SIDE`] pixels a side, without metadata.
    pub thumbnail: Option<T>,
    /// The file as it was sent.
    pub original: Option<T>,
}

/// The longer side of a thumbnail, pixels: sharp in a grid on a screen of two pixels a point.
pub const THUMBNAIL_SIDE: u32 = 256;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureKind {
    /// [`Pictures::thumbnail`].
    Thumbnail,
    /// [`Pictures::original`].
    Original,
}

impl PictureKind {
    /// Both, in the order in which they are stored.
    pub const ALL: [PictureKind; 2] = [PictureKind::Thumbnail, PictureKind::Original];
}

impl std::fmt::Display for PictureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PictureKind::Thumbnail => "thumbnail",
            PictureKind::Original => "original",
        })
    }
}

impl<T> Default for Pictures<T> {
    fn default() -> Self {
        Self { thumbnail: None, original: None }
    }
}

impl<T> Pictures<T> {
    /// What is there of this kind.
    pub fn get(&self, kind: PictureKind) -> Option<&T> {
        match kind {
            PictureKind::Thumbnail => self.thumbnail.as_ref(),
            PictureKind::Original => self.original.as_ref(),
        }
    }

    /// Puts something there.
    pub fn put(&mut self, kind: PictureKind, value: Option<T>) {
        match kind {
            PictureKind::Thumbnail => self.thumbnail = value,
            PictureKind::Original => self.original = value,
        }
    }

    /// True where nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.thumbnail.is_none() && self.original.is_none()
    }

    /// What is there, thumbnail first.
    pub fn iter(&self) -> impl Iterator<Item = (PictureKind, &T)> {
        PictureKind::ALL.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    /// The same of something else; `None` where `map` has none of one that is there.
    pub fn try_map<U>(&self, mut map: impl FnMut(PictureKind, &T) -> Option<U>) -> Option<Pictures<U>> {
        let mut mapped = Pictures::default();
        for (kind, value) in self.iter() {
            mapped.put(kind, Some(map(kind, value)?));
        }
        Some(mapped)
    }
}
