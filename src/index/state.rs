//! What an index holds at one moment, and what its background work should do next. Everything
//! here is behind one lock that is held for microseconds; a search takes a copy of the `Arc`s.

use std::sync::Arc;

use super::arena::{Chunk, Moment, Rows};
use super::graph::Graph;
use crate::types::{HnswParams, Quantization, QuantizationConfig, VectorParams};

/// Rows outside the graph that are never worth a build: a scan of them takes a fraction of a millisecond.
const MAX_TAIL: usize = 4_096;

/// How a graph is built, and when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuning {
    pub(super) hnsw: HnswParams,
    pub(super) quantization: Quantization,
}

impl Tuning {
    /// `hnsw` applies where `params` has none of its own.
    pub(super) fn of(params: &VectorParams, hnsw: HnswParams) -> Self {
        Self {
            hnsw: params.hnsw.unwrap_or(hnsw),
            quantization: params.quantization.as_ref().map(QuantizationConfig::kind).unwrap_or_default(),
        }
    }

    /// Neighbours of a row on a layer; twice as many on the lowest.
    pub(super) fn m(&self) -> usize {
        self.hnsw.m.clamp(4, 64)
    }

    /// True where it makes the graph that `other` makes.
    fn builds_as(&self, other: &Self) -> bool {
        let of = |tuning: &Self| (tuning.hnsw.m, tuning.hnsw.ef_construct, tuning.quantization);
        of(self) == of(other)
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// As it is wanted now.
    pub(super) tuning: Tuning,
    /// As it was when the graph was begun.
    pub(super) built_by: Tuning,
    /// Full chunks.
    pub(super) sealed: Rows,
    /// The chunk that grows.
    pub(super) open: Chunk,
    /// Covers a prefix of the sealed rows.
    pub(super) graph: Option<Arc<Graph>>,
    /// Rows that are alive.
    pub(super) live: usize,
    /// Rows that are deleted and still take space.
    pub(super) dead: usize,
    /// Deletions so far.
    pub(super) moment: Moment,
    /// The largest slot so far.
    pub(super) last_slot: Option<u32>,
    /// A background thread is at work or waits for its turn.
    pub(super) building: bool,
    /// Sealed chunks whose vectors are held in memory.
    pub(super) held: usize,
    /// Of these, so many were still held when all had been looked for in storage.
    pub(super) held_in_vain: usize,
    /// There is more to give up or to find again than was seen.
    pub(super) may_shed: bool,
    /// A background thread gives vectors up.
    pub(super) shedding: bool,
    /// A build failed when there were so many rows; it is tried again at twice as many.
    pub(super) failed_at: Option<usize>,
}

/// What the background thread should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Nothing,
    /// Leave the deleted rows behind; build the graph anew if there was one.
    Compact,
    /// Build the graph anew, as it is wanted now.
    Rebuild,
    /// Bring the graph up to the sealed rows.
    Extend,
}

impl State {
    pub(super) fn new(size: usize, tuning: Tuning) -> Self {
        Self {
            tuning,
            built_by: tuning,
            sealed: Rows::new(size),
            open: Chunk::with_room(Rows::new(size).chunk_rows()),
            graph: None,
            live: 0,
            dead: 0,
            moment: 0,
            last_slot: None,
            building: false,
            held: 0,
            held_in_vain: 0,
            may_shed: false,
            shedding: false,
            failed_at: None,
        }
    }

    /// Puts a graph in place that was built as `tuning` says: what it covers need not be held.
    pub(super) fn put(&mut self, graph: Option<Arc<Graph>>, tuning: Tuning) {
        self.graph = graph;
        self.built_by = tuning;
        self.may_shed = true;
    }

    /// From now on graphs are built like this; the one that there is stays until then.
    pub(super) fn retune(&mut self, tuning: Tuning) {
        if self.tuning != tuning {
            self.tuning = tuning;
            self.failed_at = None;
        }
    }

    /// Seals the open chunk.
    pub(super) fn seal(&mut self) {
        let room = Chunk::with_room(self.sealed.chunk_rows());
        self.sealed.seal(std::mem::replace(&mut self.open, room));
        self.held += 1;
    }

    /// The chunk that would hold `slot`.
    pub(super) fn chunk_of(&self, slot: u32) -> Option<&Chunk> {
        if self.open.slots().first().is_some_and(|&first| first <= slot) {
            return Some(&self.open);
        }
        self.sealed.chunk_of(slot).map(|chunk| &**chunk)
    }

    /// Marks the row of `slot` as deleted; false where there is none. Slots are numbers of 32
    /// bits and each is deleted once, so moments do not run out.
    pub(super) fn delete(&mut self, slot: u32) -> bool {
        let moment = self.moment + 1;
        let deleted = self
            .chunk_of(slot)
            .is_some_and(|chunk| chunk.find(slot).is_some_and(|i| chunk.delete(i, moment)));
        if deleted {
            self.moment = moment;
            self.live -= 1;
            self.dead += 1;
        }
        deleted
    }

    /// What to do next. Deleted rows may be 30 %; the rows outside the graph may be as many as
    /// are scanned anyway, within reason, or 5 %.
    pub(super) fn work(&self) -> Work {
        let threshold = self.tuning.hnsw.full_scan_threshold;
        let rows = self.live + self.dead;
        if self.failed_at.is_some_and(|failed_at| rows < failed_at.saturating_mul(2)) {
            return Work::Nothing;
        }
        if self.dead >= self.sealed.chunk_rows() && self.dead * 10 > rows * 3 && self.sealed.end() > 0 {
            return Work::Compact;
        }
        if self.live <= threshold {
            return Work::Nothing;
        }
        if self.graph.is_some() && !self.built_by.builds_as(&self.tuning) {
            return Work::Rebuild;
        }
        let covered = self.graph.as_ref().map_or(0, |graph| graph.covered());
        let tail = self.sealed.end().saturating_sub(covered);
        let allowed = if covered == 0 { 0 } else { (self.sealed.end() / 20).max(threshold.min(MAX_TAIL)) };
        if tail > allowed { Work::Extend } else { Work::Nothing }
    }
}
