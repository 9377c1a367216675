//! Where an index finds the vectors that it does not hold: in the log, by the points that its slots
//! stand for.

use std::sync::{Arc, Weak};

use super::state::{Memory, State};
use crate::index::{Originals, Stored};
use crate::storage::{StoredVectors, Volume};
use crate::types::{PointId, VectorName};

/// The vectors of one name of a collection. Weak: an index does not keep its collection alive.
pub(super) struct InLog {
    pub(super) memory: Weak<Memory>,
    pub(super) volume: Weak<Volume>,
    pub(super) name: VectorName,
}

impl Originals for InLog {
    fn find(&self, slots: &[u32]) -> Option<Arc<dyn Stored>> {
        let (memory, volume) = (self.memory.upgrade()?, self.volume.upgrade()?);
        let ids: Vec<Option<PointId>> = {
            let state = memory.state.read();
            slots.iter().map(|slot| state.ids.get(slot).copied()).collect()
        };
        find(&volume, &ids, &self.name)
    }

    fn turn(&self) -> u64 {
        self.volume.upgrade().map_or(0, |volume| volume.turn())
    }
}

/// The same while the collection is being loaded, from what is loaded of it.
pub(super) struct Loading<'a> {
    pub(super) state: &'a State,
    pub(super) volume: &'a Volume,
    pub(super) name: &'a str,
}

impl Originals for Loading<'_> {
    fn find(&self, slots: &[u32]) -> Option<Arc<dyn Stored>> {
        let ids: Vec<_> = slots.iter().map(|slot| self.state.ids.get(slot).copied()).collect();
        find(self.volume, &ids, self.name)
    }

    fn turn(&self) -> u64 {
        self.volume.turn()
    }
}

fn find(volume: &Volume, ids: &[Option<PointId>], name: &str) -> Option<Arc<dyn Stored>> {
    match volume.find_vectors(ids, name) {
        Ok(vectors) => Some(Arc::new(Found(vectors))),
        Err(error) => {
            tracing::warn!("collection `{}`: vectors stay in memory: {error}", volume.name());
            None
        }
    }
}

struct Found(StoredVectors);

// Under cosine they are normalised in the log already.
impl Stored for Found {
    fn read(&self, i: usize, out: &mut [f32]) -> bool {
        self.0.read(i, out)
    }

    fn bytes(&self, i: usize) -> &[u8] {
        self.0.bytes(i)
    }
}
