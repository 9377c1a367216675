//! The heads of a collection: versions with their figures, which of them is applied to which
//! queries, and the maps themselves. The list is one note of the volume (`heads`), each version's
//! maps another (`head-N`). Invariants: a note of maps is written before the list names it and
//! removed after; the list in memory is the one on disk; a head is applied only where the model
//! is the one it was fitted for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::adapt::{Comparison, Head, Modality};
use crate::distance;
use crate::error::{Error, Result};
use crate::storage::Volume;
use crate::types::{Distance, VectorName};

use super::Collection;

/// Most versions that are kept; the oldest one that is not applied goes first.
pub const MAX_VERSIONS: usize = 16;
/// The note that lists the versions.
const LIST: &str = "heads";

/// One fit: what it was made of, its figures, and what it may be applied to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadVersion {
    /// From 1 on, never used twice.
    pub version: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// The vector's name.
    pub vector: VectorName,
    /// Path of the payload field that holds the labels.
    pub label: String,
    /// The model's name.
    pub model: String,
    /// The model's fingerprint.
    pub fingerprint: String,
    /// Labels that were used, and labelled points.
    pub labels: usize,
    /// Labelled points that were looked at.
    pub points: usize,
    /// The share that was held out, and the seed of the split.
    pub holdout: f64,
    /// Seed of the split.
    pub seed: u64,
    /// The figures, by kind of query.
    pub comparisons: Vec<Comparison>,
    /// Why a kind of query was not compared.
    pub notes: Vec<String>,
}

/// Which version is applied to a kind of query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The vector's name.
    pub vector: VectorName,
    /// Which queries.
    pub modality: Modality,
    /// The version.
    pub version: u32,
}

/// The versions of a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadList {
    /// The last number that was given out.
    pub last: u32,
    /// Oldest first.
    pub versions: Vec<HeadVersion>,
    /// What is applied.
    pub applied: Vec<Applied>,
}

type Maps = BTreeMap<Modality, Head>;
type Loaded = BTreeMap<(VectorName, Modality), Arc<(String, Head)>>;

/// What a collection keeps in memory of its heads.
#[derive(Default)]
pub(super) struct Heads {
    list: RwLock<Arc<HeadList>>,
    /// The maps that are applied, with the fingerprint of their model.
    loaded: RwLock<Loaded>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Heads {
    /// Reads the heads of a volume. What cannot be read is said in the log and not applied:
    /// searches go on without a head.
    pub(super) fn open(volume: &Volume) -> Self {
        let heads = Self::default();
        let list = volume.note(LIST).and_then(|text| match text {
            None => Ok(HeadList::default()),
            Some(text) => serde_json::from_str(&text).map_err(|error| Error::Corrupted(error.to_string())),
        });
        let mut list = list.unwrap_or_else(|error| {
            tracing::error!("collection `{}`: no head is applied: {error}", volume.name());
            HeadList::default()
        });
        let mut loaded = Loaded::new();
        list.applied.retain(|applied| match load(volume, &list.versions, applied) {
            Ok(head) => loaded.insert((applied.vector.clone(), applied.modality), Arc::new(head)).is_none(),
            Err(error) => {
                tracing::error!(
                    "collection `{}`: head {} is not applied: {error}",
                    volume.name(),
                    applied.version
                );
                false
            }
        });
        *heads.list.write() = Arc::new(list);
        *heads.loaded.write() = loaded;
        heads
    }
}

fn note_of(version: u32) -> String {
    format!("head-{version}")
}

fn load(volume: &Volume, versions: &[HeadVersion], applied: &Applied) -> Result<(String, Head)> {
    let missing = || Error::Corrupted(format!("version {} has no map for it", applied.version));
    let version = versions.iter().find(|v| v.version == applied.version).ok_or_else(missing)?;
    let text = volume.note(&note_of(applied.version))?.ok_or_else(missing)?;
    let mut maps: Maps = serde_json::from_str(&text).map_err(|error| Error::Corrupted(error.to_string()))?;
    let head = maps.remove(&applied.modality).ok_or_else(missing)?;
    let size = volume.config().vectors.get(&applied.vector).map_or(0, |params| params.size);
    if !head.fits(size) {
        return Err(Error::Corrupted(format!("version {} does not fit vectors of {size}", applied.version)));
    }
    Ok((version.fingerprint.clone(), head))
}

impl Collection {
    /// The versions, and which of them are applied.
    pub fn heads(&self) -> Arc<HeadList> {
        Arc::clone(&self.heads.list.read())
    }

    /// Maps a query by the head that is applied to its kind, where there is one of this model.
    pub fn adapted(&self, using: &str, modality: Modality, fingerprint: &str, query: Vec<f32>) -> Vec<f32> {
        let head = self.heads.loaded.read().get(&(using.to_owned(), modality)).cloned();
        let Some(head) = head.filter(|head| head.0 == fingerprint) else { return query };
        let mut query = query;
        if self.config().vectors.get(using).is_some_and(|params| params.distance == Distance::Cosine) {
            distance::normalise(&mut query);
        }
        head.1.apply(&query)
    }

    /// Keeps a new version (its number is given here) and applies it to `apply`. Durable when
    /// this returns.
    ///
    /// # Errors
    /// Those of storage; nothing changes then.
    pub fn add_heads(&self, mut version: HeadVersion, maps: &Maps, apply: &[Modality]) -> Result<u32> {
        let _one = self.heads.changing.lock();
        let mut list = HeadList::clone(&self.heads());
        list.last += 1;
        version.version = list.last;
        let number = list.last;
        let vector = version.vector.clone();
        let text = serde_json::to_string(maps).map_err(|error| Error::Internal(error.to_string()))?;
        self.volume.set_note(&note_of(number), &text)?;
        list.versions.push(version);
        for &modality in apply {
            set_applied(&mut list, Applied { vector: vector.clone(), modality, version: number });
        }
        let mut gone = Vec::new();
        while list.versions.len() > MAX_VERSIONS {
            let unused =
                list.versions.iter().position(|v| list.applied.iter().all(|a| a.version != v.version));
            // As many are applied as there are vectors and kinds of query at most.
            let Some(unused) = unused else { break };
            gone.push(list.versions.remove(unused).version);
        }
        self.write_heads(list)?;
        gone.into_iter().for_each(|version| self.drop_maps(version));
        Ok(number)
    }

    /// Applies a version to these kinds of query.
    ///
    /// # Errors
    /// `NotFound` where there is no such version; `InvalidInput` where it has no map for a kind.
    pub fn apply_head(&self, number: u32, modalities: &[Modality]) -> Result<()> {
        let _one = self.heads.changing.lock();
        let mut list = HeadList::clone(&self.heads());
        let vector = find(&list, number)?.vector.clone();
        for &modality in modalities {
            let applied = Applied { vector: vector.clone(), modality, version: number };
            load(&self.volume, &list.versions, &applied).map_err(|error| match error {
                Error::Corrupted(why) => Error::InvalidInput(format!("version: {why}")),
                other => other,
            })?;
            set_applied(&mut list, applied);
        }
        self.write_heads(list)
    }

    /// Applies no head any more to these kinds of query of a vector.
    ///
    /// # Errors
    /// Those of storage.
    pub fn unapply_heads(&self, vector: &str, modalities: &[Modality]) -> Result<()> {
        let _one = self.heads.changing.lock();
        let mut list = HeadList::clone(&self.heads());
        list.applied.retain(|applied| applied.vector != vector || !modalities.contains(&applied.modality));
        self.write_heads(list)
    }

    /// Removes a version; one that is applied is no longer.
    ///
    /// # Errors
    /// `NotFound` where there is no such version; those of storage.
    pub fn remove_head(&self, number: u32) -> Result<()> {
        let _one = self.heads.changing.lock();
        let mut list = HeadList::clone(&self.heads());
        find(&list, number)?;
        list.versions.retain(|version| version.version != number);
        list.applied.retain(|applied| applied.version != number);
        self.write_heads(list)?;
        self.drop_maps(number);
        Ok(())
    }

    /// On disk, then in memory.
    fn write_heads(&self, list: HeadList) -> Result<()> {
        let mut loaded = Loaded::new();
        for applied in &list.applied {
            let head = load(&self.volume, &list.versions, applied)?;
            loaded.insert((applied.vector.clone(), applied.modality), Arc::new(head));
        }
        let text = serde_json::to_string(&list).map_err(|error| Error::Internal(error.to_string()))?;
        self.volume.set_note(LIST, &text)?;
        *self.heads.list.write() = Arc::new(list);
        *self.heads.loaded.write() = loaded;
        Ok(())
    }

    /// The list no longer names it: where this fails only room is lost.
    fn drop_maps(&self, version: u32) {
        if let Err(error) = self.volume.remove_note(&note_of(version)) {
            tracing::warn!("collection `{}`: the maps of head {version} stay on disk: {error}", self.name());
        }
    }
}

fn find(list: &HeadList, number: u32) -> Result<&HeadVersion> {
    let known = list.versions.iter().find(|version| version.version == number);
    known.ok_or_else(|| Error::NotFound(format!("no version {number} of a head; GET adapt lists them")))
}

fn set_applied(list: &mut HeadList, new: Applied) {
    list.applied.retain(|old| old.vector != new.vector || old.modality != new.modality);
    list.applied.push(new);
}
