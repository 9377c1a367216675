//! One collection: its points on disk (storage) and its vectors in memory (index), kept in step.
//!
//! A change is checked, committed, and then repeated in memory by the commit hook, on the
//! writer's thread, in the order of commits and before it is acknowledged: who was told that a
//! point is written finds it. Memory is rebuilt from storage when the collection is opened.
//!
//! - `state` is what is in memory, `write` changes it, `read` and `search` answer from it.
//! - `filter` says what a filter means; `verdict` and `payload_index` what is known of it
//!   without reading payloads.
//! - `mmr` spreads hits out, `examples` scores by several vectors, `order` puts points in the order of a payload
//!   field.
//! - `sample` is what queries are compared with to know their background; `duplicates` groups points that are
//!   nearly the same, with `neighbours` and `copies`.
//! - `signatures` holds, for a collection of signatures, whitened references in memory, the whitening and
//!   calibrations beside the log, and the audit log.
//! - `heads` are the maps that queries go through, `labelled` the points they are fitted on.

mod copies;
mod duplicates;
mod examples;
mod facet;
mod filter;
mod graphs;
mod heads;
mod labelled;
mod map;
mod mmr;
mod neighbours;
mod order;
mod originals;
mod payload_index;
mod pictures;
mod read;
mod sample;
mod search;
mod signatures;
mod state;
mod verdict;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Result};
use crate::index::Index;
use crate::storage::Volume;
use crate::types::{
    CollectionConfig, CollectionName, Distance, JsonPath, PayloadIndexParams, PayloadSelector, PointId,
    VectorName, VectorParams,
};
use payload_index::{Filling, PayloadIndex};
use state::{Memory, State};

pub use duplicates::{
    DuplicateGroup, DuplicateSearch, Duplicates, MAX_DUPLICATE_GROUPS, MAX_DUPLICATE_POINTS, MAX_DUPLICATES,
};
pub use examples::{Examples, MAX_EXAMPLES};
pub use facet::MAX_FACETS;
pub use heads::{Applied, HeadList, HeadVersion, MAX_VERSIONS};
pub use labelled::LabelledPoints;
pub use map::{MAX_MAPPED, Map, MapPoint, MapRequest, Projected};
pub use mmr::{MAX_MMR_CANDIDATES, Mmr};
pub use order::{Direction, OrderBy, OrderValue, Ordered, StartFrom};
pub use pictures::Kept;
pub use read::{MAX_SCROLL, Scroll};
pub use search::{MAX_EXCLUDED, MAX_LIMIT, MAX_OFFSET, Query, Relevance};
pub use signatures::{
    Calibrated, CalibrationVersion, CohortWhitening, Enrolled, Gallery, IdentificationRates,
    MAX_CALIBRATIONS, MAX_REFERENCES, MAX_SIGNATURES, Origin, Reference, SignatureBook, Skilled,
    SubjectCount,
};
pub use write::{PayloadEdit, Target};

/// Points after which loading looks whether too much is held in memory.
const LOADED_AT_ONCE: u32 = 1024;

/// Which parts of a point a reader wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// Of its payload.
    pub payload: PayloadSelector,
    /// Of its vectors.
    pub vectors: VectorSelector,
}

impl Fields {
    /// Ids alone.
    pub const NONE: Fields = Fields { payload: PayloadSelector::None, vectors: VectorSelector::None };
}

/// Which vectors a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VectorSelector {
    /// None: the answer holds no vectors.
    None,
    /// Every vector that the point has.
    All,
    /// Those of these names that the point has.
    Names(Vec<VectorName>),
}

/// How a collection stands.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionInfo {
    /// Its configuration.
    pub config: CollectionConfig,
    /// Points.
    pub points: usize,
    /// Vectors, of all names.
    pub vectors: usize,
    /// Vectors in a graph; the others are searched exactly.
    pub indexed_vectors: usize,
    /// A graph is being built or waits for its turn.
    pub building: bool,
    /// Bytes of its log.
    pub disk_bytes: u64,
    /// Why nothing can be written; `None` where everything can.
    pub read_only: Option<String>,
    /// Payload indexes.
    pub payload_indexes: Vec<PayloadIndexInfo>,
}

/// How a payload index stands.
#[derive(Debug, Clone, PartialEq)]
pub struct PayloadIndexInfo {
    /// The field.
    pub path: String,
    /// What it holds and how.
    pub params: PayloadIndexParams,
    /// Points that have a value in it.
    pub points: usize,
}

/// One collection. All calls block; share it between threads.
pub struct Collection {
    volume: Arc<Volume>,
    memory: Arc<Memory>,
    /// Shared by writers that need not know what is stored (upsert, delete); taken alone by
    /// those that read first and write what follows from it, so that no change is lost between.
    gate: RwLock<()>,
    heads: heads::Heads,
    signatures: Arc<signatures::Signatures>,
    /// Fields that the log named as worth an index.
    hinted: Mutex<BTreeSet<String>>,
    /// Samples as they were when a query last needed them.
    gathered: Mutex<sample::AllGathered>,
}

impl Collection {
    /// Builds what is kept in memory from the volume. Searches are exact when this returns;
    /// graphs are taken from disk or built in the background. Once per volume: the commit hook is set here.
    ///
    /// # Errors
    /// `Corrupted` where a stored point does not fit the configuration; those of storage.
    pub fn open(volume: Arc<Volume>) -> Result<Self> {
        let config = volume.config();
        let index = |(name, params): (&VectorName, &VectorParams)| {
            (name.clone(), Index::new(&config.resolved(params), config.hnsw))
        };
        let mut state = State::default();
        let mut indexes = BTreeMap::new();
        for (path, params) in &config.payload_indexes {
            let index = PayloadIndex::new(JsonPath::parse(path).map_err(Error::Corrupted)?, params.clone());
            indexes.insert(path.clone(), index);
        }
        let mut filling = Filling::new(indexes);
        let memory = Memory {
            state: RwLock::new(State::default()),
            indexes: config.vectors.iter().map(index).collect(),
        };
        // Graphs come from disk where they can, and are built where they cannot.
        memory.indexes.values().for_each(Index::hold_builds);
        let mut kept = graphs::read(&volume).map(graphs::Loaded::new);
        let first = kept.as_ref().map(graphs::Loaded::ids).unwrap_or_default();
        volume.scan_from(&first, |place, id, crc, point| {
            let slot = memory.put(&mut state, id, &point.payload, &point.vectors).map_err(|error| {
                Error::Corrupted(format!("point {id} of collection `{}`: {error}", volume.name()))
            })?;
            filling.add(slot, point.payload);
            if slot % LOADED_AT_ONCE == 0 {
                shed_while_loading(&memory, &state, &volume, &config);
            }
            if let (Some(kept), Some(place)) = (&mut kept, place) {
                kept.loaded(place, crc, Some(slot));
            }
            Ok(())
        })?;
        state.payload_indexes = filling.finish();
        *memory.state.write() = state;
        let memory = Arc::new(memory);
        for (name, _) in config.vectors.iter().filter(|(_, params)| leaves_memory(params)) {
            if let Some(index) = memory.indexes.get(name) {
                index.store_originals(Box::new(originals::InLog {
                    memory: Arc::downgrade(&memory),
                    volume: Arc::downgrade(&volume),
                    name: name.clone(),
                }));
            }
        }
        let moving = Arc::downgrade(&memory);
        volume.on_moved(Box::new(move || {
            if let Some(memory) = moving.upgrade() {
                memory.indexes.values().for_each(Index::find_again);
            }
        }));
        for index in memory.indexes.values() {
            let (memory, volume) = (Arc::downgrade(&memory), Arc::downgrade(&volume));
            index.on_graph(Box::new(move || {
                if let (Some(memory), Some(volume)) = (memory.upgrade(), volume.upgrade()) {
                    keep_graphs(&memory, &volume);
                }
            }));
        }
        let loading = Arc::downgrade(&memory);
        let load = move || {
            let Some(memory) = loading.upgrade() else { return };
            if let Some(kept) = kept {
                kept.adopt(&memory);
            }
            memory.indexes.values().for_each(Index::resume_builds);
        };
        std::thread::Builder::new()
            .name("graph-load".into())
            .spawn(load)
            .map_err(|error| Error::Internal(format!("no thread to load graphs with: {error}")))?;
        // Weak: a collection that is dropped stops its builds though the volume lives on.
        let hook = Arc::downgrade(&memory);
        let signatures = Arc::new(signatures::Signatures::open(&volume));
        let hooked = Arc::downgrade(&signatures);
        volume.on_commit(Box::new(move |_, change| {
            if let Some(memory) = hook.upgrade() {
                memory.apply(change);
            }
            if let Some(signatures) = hooked.upgrade() {
                signatures.apply(change);
            }
        }));
        let heads = heads::Heads::open(&volume);
        Ok(Self {
            volume,
            memory,
            gate: RwLock::new(()),
            heads,
            signatures,
            hinted: Mutex::default(),
            gathered: Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &CollectionName {
        self.volume.name()
    }

    /// Its configuration.
    pub fn config(&self) -> CollectionConfig {
        self.volume.config()
    }

    /// How it stands.
    pub fn info(&self) -> CollectionInfo {
        let (points, payload_indexes) = {
            let state = self.memory.state.read();
            let info = |(path, index): (&String, &PayloadIndex)| PayloadIndexInfo {
                path: path.clone(),
                params: index.params().clone(),
                points: index.filled().len() as usize,
            };
            (state.slots.len(), state.payload_indexes.iter().map(info).collect())
        };
        let indexes: Vec<_> = self.memory.indexes.values().map(Index::state).collect();
        CollectionInfo {
            config: self.config(),
            points,
            vectors: indexes.iter().map(|index| index.vectors).sum(),
            indexed_vectors: indexes.iter().map(|index| index.indexed_vectors).sum(),
            building: indexes.iter().any(|index| index.building),
            disk_bytes: self.volume.disk_bytes(),
            read_only: self.volume.read_only_reason(),
            payload_indexes,
        }
    }

    /// Writes the graphs down, so that the next start need not build them.
    pub fn keep_graphs(&self) {
        keep_graphs(&self.memory, &self.volume);
    }

    /// The index and the parameters of a vector name.
    fn index(&self, name: &str) -> Result<&Index> {
        self.memory
            .indexes
            .get(name)
            .ok_or_else(|| Error::InvalidInput(format!("Not existing vector name error: {name}")))
    }

    fn slot_of(&self, id: PointId) -> Option<u32> {
        self.memory.state.read().slots.get(&id).copied()
    }
}

/// True where the floats of what a graph covers are read from the log: not where the client wants them in
/// memory, nor where the graph is walked by floats.
fn leaves_memory(params: &VectorParams) -> bool {
    params.on_disk != Some(false) && params.distance != Distance::Manhattan
}

fn shed_while_loading(memory: &Memory, state: &State, volume: &Volume, config: &CollectionConfig) {
    for (name, _) in config.vectors.iter().filter(|(_, params)| leaves_memory(params)) {
        if let Some(index) = memory.indexes.get(name) {
            index.shed_by(&originals::Loading { state, volume, name });
        }
    }
}

fn keep_graphs(memory: &Memory, volume: &Volume) {
    if let Err(error) = graphs::keep(memory, volume) {
        tracing::warn!("collection `{}`: its graphs are not kept: {error}", volume.name());
    }
}

#[cfg(test)]
mod tests;
