//! A sample of a collection's vectors that queries are compared with to know their background. It is the points of
//! the smallest hashes of their ids: which points it holds follows from which points there are, and
//! from nothing else, so that it is the same after a restart and grows with the collection.
//!
//! Kept up with every write under the lock of the collection's state; more than needed is kept, so that
//! what is deleted is seldom missed. The vectors themselves are copied together when a query first needs
//! them after a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::distance::kernel;
use crate::error::Result;
use crate::index::Index;
use crate::measure::Background;
use crate::types::{PointId, VectorName};

use super::Collection;

/// Points of a sample.
pub(super) const SAMPLE: usize = Background::SAMPLE;
/// Numbers of all vectors of a gathered sample, 16 MiB of them: of very long vectors there are fewer.
const MAX_NUMBERS: usize = 4 << 20;
/// So many are kept after there were twice as many.
const KEPT: usize = 2 * SAMPLE;

/// Mixes 64 bits well (the finaliser of splitmix64).
pub(super) fn mixed(bits: u64) -> u64 {
    let mut mixed = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub(super) fn hash(id: PointId) -> u64 {
    match id {
        PointId::Num(number) => mixed(number),
        PointId::Uuid(uuid) => {
            let (high, low) = uuid.as_u64_pair();
            mixed(mixed(high) ^ low)
        }
    }
}

/// The points of one vector name that have the smallest hashes, with their slots.
#[derive(Debug, Default)]
pub(super) struct Sample {
    points: BTreeMap<(u64, PointId), u32>,
    /// Points of this hash and more are not held; `None` where all are.
    until: Option<u64>,
    /// Grows with every change of what is held.
    changes: u64,
}

impl Sample {
    /// A point has this vector in this slot from now on.
    pub(super) fn put(&mut self, id: PointId, slot: u32) {
        let hash = hash(id);
        if self.until.is_some_and(|until| hash >= until) {
            return;
        }
        self.points.insert((hash, id), slot);
        self.changes += 1;
        if self.points.len() > 2 * KEPT
            && let Some((&(from, _), _)) = self.points.iter().nth(KEPT)
        {
            self.points.retain(|(hash, _), _| *hash < from);
            self.until = Some(from);
        }
    }

    /// A slot has gone; where its point has another since, it stays.
    pub(super) fn forget(&mut self, id: PointId, slot: u32) {
        let key = (hash(id), id);
        if self.points.get(&key) == Some(&slot) {
            self.points.remove(&key);
            self.changes += 1;
        }
    }

    /// True where so many were deleted that others belong to it now.
    fn is_short(&self) -> bool {
        self.until.is_some() && self.points.len() < SAMPLE
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.points.len()
    }

    /// The points of the sample for vectors of `size` components, by hash, with their slots.
    fn first(&self, size: usize) -> impl Iterator<Item = (PointId, u32)> {
        let most = (MAX_NUMBERS / size.max(1)).clamp(Background::FEWEST, SAMPLE);
        self.points.iter().take(most).map(|((_, id), slot)| (*id, *slot))
    }
}

/// The vectors of a sample, one after another.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    changes: u64,
    ids: Vec<PointId>,
    vectors: Vec<f32>,
}

/// The gathered samples by vector name.
pub(super) type AllGathered = BTreeMap<VectorName, Arc<Gathered>>;

impl Collection {
    /// The background of a query against the vectors named `using`, without the points in `except`; `score`
    /// is larger for nearer vectors.
    pub(super) fn background(
        &self,
        using: &str,
        except: &[PointId],
        similarity: impl Fn(&[f32]) -> f32,
    ) -> Result<Option<Background>> {
        let index = self.index(using)?;
        let sample = self.gathered(using, index);
        let vectors = sample.ids.iter().zip(sample.vectors.chunks_exact(index.size()));
        let counted = vectors.filter(|(id, _)| !except.contains(id));
        Ok(Background::of(counted.map(|(_, vector)| similarity(vector))))
    }

    /// Half of the points of a sample are further apart than this; 0 where there are fewer than two.
    pub(super) fn typical_distance(&self, using: &str) -> Result<f32> {
        let index = self.index(using)?;
        let sample = self.gathered(using, index);
        let kernel = kernel(index.distance());
        let vectors: Vec<&[f32]> = sample.vectors.chunks_exact(index.size()).collect();
        let mut distances: Vec<f32> = vectors.windows(2).map(|pair| kernel(pair[0], pair[1])).collect();
        distances.sort_unstable_by(f32::total_cmp);
        Ok(distances.get(distances.len() / 2).copied().unwrap_or(0.0))
    }

    fn gathered(&self, using: &str, index: &Index) -> Arc<Gathered> {
        let (changes, first) = {
            let state = self.memory.state.read();
            let Some(sample) = state.samples.get(using).filter(|sample| !sample.is_short()) else {
                drop(state);
                return self.refilled(using, index);
            };
            let known =
                self.gathered.lock().get(using).filter(|known| known.changes == sample.changes).cloned();
            if let Some(known) = known {
                return known;
            }
            (sample.changes, sample.first(index.size()).collect::<Vec<_>>())
        };
        let mut gathered = Gathered { changes, ..Gathered::default() };
        for (id, slot) in first {
            // Gone meanwhile: the next query gathers again.
            if let Some(vector) = index.vector(slot) {
                gathered.ids.push(id);
                gathered.vectors.extend(vector);
            }
        }
        let gathered = Arc::new(gathered);
        self.gathered.lock().insert(using.to_owned(), gathered.clone());
        gathered
    }

    /// The sample made anew of all points, where so many of it were deleted that others belong to it.
    fn refilled(&self, using: &str, index: &Index) -> Arc<Gathered> {
        {
            let mut state = self.memory.state.write();
            let state = &mut *state;
            let Some(old) = state.samples.get(using) else { return Arc::default() };
            if old.is_short() {
                let mut sample = Sample { changes: old.changes + 1, ..Sample::default() };
                let with_vector = state.with_vector.get(using);
                for (&slot, &id) in &state.ids {
                    if with_vector.is_some_and(|slots| slots.contains(slot)) {
                        sample.put(id, slot);
                    }
                }
                state.samples.insert(using.to_owned(), sample);
            }
        }
        self.gathered(using, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a sample is: the smallest hashes of all.
    fn expected(points: &BTreeMap<PointId, u32>) -> Vec<(PointId, u32)> {
        let mut all: Vec<_> = points.iter().map(|(&id, &slot)| (hash(id), id, slot)).collect();
        all.sort_unstable();
        all.into_iter().take(SAMPLE).map(|(_, id, slot)| (id, slot)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_holds_the_same_points_whatever_was_written_and_deleted_before(
            changes in prop::collection::vec((any::<bool>(), 0u64..6000), 0..12_000), first in 0u64..6000,
        ) {
            let mut sample = Sample::default();
            let mut points = BTreeMap::new();
            let mut slot = 0;
            let writes = (0..first).map(|id| (true, id)).chain(changes);
            for (is_write, id) in writes {
                let id = PointId::Num(id);
                slot += 1;
                if is_write {
                    sample.put(id, slot);
                    if let Some(old) = points.insert(id, slot) {
                        sample.forget(id, old);
                    }
                } else if let Some(old) = points.remove(&id) {
                    sample.forget(id, old);
                }
            }
            if !sample.is_short() {
                prop_assert_eq!(sample.first(8).collect::<Vec<_>>(), expected(&points));
                prop_assert_eq!(sample.first(65_536).count(), points.len().min(Background::FEWEST));
            }
        }
    }
}
