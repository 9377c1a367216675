//! Which pictures are kept of what comes in, and how they are had back.

use super::draft::{Content, Draft, VectorSource};
use super::{Engine, Result};
use crate::embed::Thumbnails;
use crate::types::{CollectionName, PicturePolicy};

impl Engine {
    /// What is kept of the pictures of a collection.
    ///
    /// # Errors
    /// `NotFound` where there is no such collection.
    pub fn picture_policy(&self, name: &CollectionName) -> Result<PicturePolicy> {
        Ok(self.shared.pictures.and(self.collection(name)?.config().pictures))
    }

    /// What the server keeps of pictures where a collection does not say no.
    pub fn pictures_kept(&self) -> PicturePolicy {
        self.shared.pictures
    }
}

impl From<PicturePolicy> for Thumbnails {
    fn from(policy: PicturePolicy) -> Self {
        if policy.thumbnails { Thumbnails::Make } else { Thumbnails::Skip }
    }
}

/// The vector of a draft whose picture is kept, the first by name that is made of one picture alone; and
/// the picture.
pub(super) fn pictured(draft: &Draft) -> Option<(&str, &Vec<u8>)> {
    draft.vectors.iter().find_map(|(name, source)| match source {
        VectorSource::Inference(inference) => match &inference.content {
            Content::Image(bytes) => Some((name.as_str(), bytes)),
            Content::Text(_) | Content::Mix(_) => None,
        },
        VectorSource::Dense(_) => None,
    })
}
