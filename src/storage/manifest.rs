//! `MANIFEST` of a collection: which generation of the log counts and with which segment it
//! begins. Replacing it is the moment at which a compaction takes effect. Everything in it also
//! stands in the segments, so that a damaged one can be made again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::types::{CollectionConfig, CollectionName};

use super::durable::{self, Checked};

/// Which log counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The collection's name.
    pub name: CollectionName,
    /// Its configuration when this manifest was written; the log knows the latest.
    pub config: CollectionConfig,
    /// The collection's own random number.
    pub salt: u64,
    /// The generation of the log that counts.
    pub generation: u32,
    /// The first segment of that generation.
    pub first_segment: u32,
    /// The number of a collection that this one has taken the place of, until that one is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u32>,
}

impl Manifest {
    /// Writes the manifest durably and all at once.
    pub fn write(&self, collection_dir: &Path) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::Internal(format!("manifest of `{}` as JSON: {error}", self.name)))?;
        durable::write_checked(&collection_dir.join("MANIFEST"), &text)
    }

    /// Reads the manifest; `None` where it is absent or damaged.
    pub fn read(collection_dir: &Path) -> Result<Option<Self>> {
        match durable::read_checked(&collection_dir.join("MANIFEST"))? {
            Checked::Whole(text) => Ok(serde_json::from_str(&text).ok()),
            Checked::Absent | Checked::Damaged => Ok(None),
        }
    }
}
