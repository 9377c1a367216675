//! What a collection keeps in memory beside its vectors: which slot a point has, which points
//! are alive, which vectors they have, and the payload indexes. Changed only by the commit hook
//! (and, while nothing can be committed, when a payload index comes or goes).
//!
//! A slot stands for one writing of a point: written again, the point gets a new slot and the
//! old one is forgotten everywhere; a change of its payload alone keeps it. Invariant: `slots`
//! and `ids` are each other's inverse, and `live` is the set of those slots.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::filter::Texts;
use super::payload_index::PayloadIndex;
use super::sample::Sample;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::storage::Change;
use crate::types::{NamedVectors, Payload, PointId, VectorName};

/// The slots above this are kept for commits that were on their way when the check was made.
const LAST_SLOT: u32 = u32::MAX - (1 << 28);

#[derive(Debug, Default)]
pub(super) struct State {
    next_slot: u32,
    pub(super) slots: BTreeMap<PointId, u32>,
    pub(super) ids: BTreeMap<u32, PointId>,
    pub(super) live: RoaringBitmap,
    pub(super) with_vector: BTreeMap<VectorName, RoaringBitmap>,
    pub(super) samples: BTreeMap<VectorName, Sample>,
    /// By path.
    pub(super) payload_indexes: BTreeMap<String, PayloadIndex>,
}

/// What the hook and the collection share.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) state: parking_lot::RwLock<State>,
    /// By vector name; the names never change.
    pub(super) indexes: BTreeMap<VectorName, Index>,
}

impl Memory {
    /// Takes a point in, in place of an older one of the same id. Returns its slot.
    ///
    /// # Errors
    /// Where a vector does not fit its index. The collection checks before it commits, so this
    /// is a stored point that does not fit its configuration.
    pub(super) fn put(
        &self,
        state: &mut State,
        id: PointId,
        payload: &Payload,
        vectors: &NamedVectors,
    ) -> Result<u32> {
        let slot = state.next_slot;
        state.next_slot = slot
            .checked_add(1)
            .ok_or_else(|| Error::Internal("no slots are left; restart the server".into()))?;
        let old = state.slots.get(&id).copied();
        for (name, vector) in vectors {
            let index = self
                .indexes
                .get(name)
                .ok_or_else(|| Error::Corrupted(format!("point {id} has an unknown vector `{name}`")))?;
            // In place of the old one, so that a search at any moment finds one of them.
            match old {
                Some(old) => index.replace(old, slot, vector)?,
                None => index.insert(slot, vector)?,
            }
            state.with_vector.entry(name.clone()).or_default().insert(slot);
            state.samples.entry(name.clone()).or_default().put(id, slot);
        }
        for index in state.payload_indexes.values_mut() {
            index.insert(slot, payload);
        }
        state.live.insert(slot);
        state.ids.insert(slot, id);
        state.slots.insert(id, slot);
        if let Some(old) = old {
            self.forget(state, old);
        }
        Ok(slot)
    }

    /// Leaves a point out.
    fn delete(&self, state: &mut State, id: PointId) {
        if let Some(slot) = state.slots.remove(&id) {
            self.forget(state, slot);
        }
    }

    fn forget(&self, state: &mut State, slot: u32) {
        for (name, with_vector) in &mut state.with_vector {
            if with_vector.remove(slot)
                && let Some(index) = self.indexes.get(name)
            {
                index.remove(slot);
            }
        }
        for index in state.payload_indexes.values_mut() {
            index.remove(slot);
        }
        state.live.remove(slot);
        if let Some(id) = state.ids.remove(&slot) {
            state.samples.values_mut().for_each(|sample| sample.forget(id, slot));
        }
    }

    /// The commit hook: repeats in memory what is durable by now, under one lock, so that filters,
    /// counts and scrolls see all or nothing of it. A change is at most 64 MiB.
    pub(super) fn apply(&self, change: &Change) {
        match change {
            Change::Upsert(points) | Change::Pictured(points, _) => {
                let mut state = self.state.write();
                for point in points {
                    if let Err(error) = self.put(&mut state, point.id, &point.payload, &point.vectors) {
                        // It was checked before the commit; the point is found again by id.
                        tracing::error!("point {} is stored but cannot be searched: {error}", point.id);
                    }
                }
            }
            Change::Delete(ids) => {
                let mut state = self.state.write();
                ids.iter().for_each(|&id| self.delete(&mut state, id));
            }
            Change::SetPayload(payloads) => {
                let mut state = self.state.write();
                let State { slots, payload_indexes, .. } = &mut *state;
                for (id, payload) in payloads {
                    let Some(&slot) = slots.get(id) else { continue };
                    for index in payload_indexes.values_mut() {
                        index.remove(slot);
                        index.insert(slot, payload);
                    }
                }
            }
            Change::Configure(_) => {} // the collection changes its indexes itself, see `write`
        }
    }
}

impl State {
    /// # Errors
    /// `Unavailable` where so many points were written since the start that slots run out.
    pub(super) fn check_slots(&self) -> Result<()> {
        if self.next_slot < LAST_SLOT {
            return Ok(());
        }
        Err(Error::Unavailable(
            "4 billion points were written since the start; restart the server to go on".into(),
        ))
    }

    /// How texts are read where there is a text index.
    pub(super) fn texts(&self) -> Texts {
        let of = |(path, index): (&String, &PayloadIndex)| Some((path.clone(), index.text()?));
        self.payload_indexes.iter().filter_map(of).collect()
    }

    /// Names of the vectors that a slot has.
    pub(super) fn vector_names(&self, slot: u32) -> Vec<&str> {
        self.with_vector
            .iter()
            .filter(|(_, slots)| slots.contains(slot))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}
