//! Exact search: every live row, or every row whose slot is allowed, is compared. Long scans
//! run on all cores.

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::arena::{Chunk, Moment};
use super::nearest::{Near, Nearest};
use crate::distance::Kernel;
use crate::types::Distance;

/// From so many floats on (about a millisecond) a scan is worth several threads.
const PARALLEL_FLOATS: usize = 4_000_000;

/// A query that is ready to be compared: checked, and normalised under cosine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'a> {
    pub(super) vector: &'a [f32],
    pub(super) kernel: Kernel,
    pub(super) distance: Distance,
    /// What was deleted later is still answered, so that a search sees one moment.
    pub(super) moment: Moment,
}

impl Probe<'_> {
    /// Smaller is better. Adding 0 makes -0 and 0 the same, so that ties are ties.
    pub(super) fn rank(&self, vector: &[f32]) -> f32 {
        self.distance.rank((self.kernel)(self.vector, vector)) + 0.0
    }

    /// The rank turned back into the score.
    pub(super) fn score(&self, rank: f32) -> f32 {
        self.distance.rank(rank) + 0.0
    }
}

/// How rows are ranked by a scan.
pub(super) trait Rank: Copy + Sync {
    /// Smaller is better.
    fn rank(&self, vector: &[f32]) -> f32;
    /// Components of a vector.
    fn size(&self) -> usize;
    /// What was deleted later is still answered.
    fn moment(&self) -> Moment;
}

impl Rank for Probe<'_> {
    fn rank(&self, vector: &[f32]) -> f32 {
        Probe::rank(self, vector)
    }

    fn size(&self) -> usize {
        self.vector.len()
    }

    fn moment(&self) -> Moment {
        self.moment
    }
}

/// Ranks by a score of the caller's, of which larger is better.
pub(super) struct Scored<'a, S> {
    pub(super) score: &'a S,
    pub(super) size: usize,
    pub(super) moment: Moment,
}

impl<S> Clone for Scored<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Scored<'_, S> {}

impl<S: Fn(&[f32]) -> f32 + Sync> Rank for Scored<'_, S> {
    fn rank(&self, vector: &[f32]) -> f32 {
        -(self.score)(vector) + 0.0
    }

    fn size(&self) -> usize {
        self.size
    }

    fn moment(&self) -> Moment {
        self.moment
    }
}

/// Offers the live rows of one chunk by slot.
pub(super) fn scan_chunk(
    probe: impl Rank,
    chunk: &Chunk,
    allow: Option<&RoaringBitmap>,
    nearest: &mut Nearest,
) {
    let size = probe.size();
    let mut offer = |i: usize, slot: u32| {
        if chunk.is_visible(i, probe.moment()) {
            let rank = probe.rank(&chunk.vector(i, size));
            if nearest.admits(rank) {
                nearest.offer(Near { rank, number: slot });
            }
        }
    };
    match allow {
        None => (0..).zip(chunk.slots()).for_each(|(i, &slot)| offer(i, slot)),
        Some(allow) => {
            let (Some(&first), Some(&last)) = (chunk.slots().first(), chunk.slots().last()) else { return };
            for slot in allow.range(first..=last) {
                if let Some(i) = chunk.find(slot) {
                    offer(i, slot);
                }
            }
        }
    }
}

/// The best `limit` of the chunks by slot; `expected` rows will be compared.
pub(super) fn scan_chunks(
    probe: impl Rank,
    chunks: &[Arc<Chunk>],
    allow: Option<&RoaringBitmap>,
    limit: usize,
    expected: usize,
) -> Nearest {
    let fold = |mut nearest: Nearest, chunk: &Arc<Chunk>| {
        scan_chunk(probe, chunk, allow, &mut nearest);
        nearest
    };
    fold_chunks(chunks, limit, expected.saturating_mul(probe.size()), fold)
}

/// True where a scan of so many floats is worth several threads.
pub(super) fn is_worth_threads(floats: usize) -> bool {
    floats >= PARALLEL_FLOATS
}

/// The best `limit` that `fold` finds in the chunks, on all cores where it is worth it.
pub(super) fn fold_chunks<T: Sync>(
    chunks: &[T],
    limit: usize,
    floats: usize,
    fold: impl Fn(Nearest, &T) -> Nearest + Sync,
) -> Nearest {
    if !is_worth_threads(floats) {
        return chunks.iter().fold(Nearest::new(limit), fold);
    }
    chunks.par_iter().fold(|| Nearest::new(limit), &fold).reduce(|| Nearest::new(limit), Nearest::merge)
}

/// The rows of a chunk, of which `first` is the first, that a search may answer.
pub(super) fn visible(chunk: &Chunk, moment: Moment, first: u32) -> Vec<u32> {
    let row = |i: usize| chunk.is_visible(i, moment).then_some(first + i as u32); // rows are numbered by u32
    (0..chunk.len()).filter_map(row).collect()
}
