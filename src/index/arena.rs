//! Where the vectors are: append-only chunks of rows. A row is a number that says in which chunk
//! and where in it; a slot is the caller's number for a vector, and slots increase with rows.
//!
//! Full chunks are sealed behind an `Arc` and never change but for their deleted marks, so a
//! search holds a [`Rows`] (one `Arc`) and needs no lock. Growth moves no vector. A chunk that
//! compaction made may hold fewer rows than its share of the numbers; those rows do not exist.
//! A sealed chunk may give up its floats and read them where they are stored (`originals`).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use roaring::RoaringBitmap;

use super::originals::{Originals, Stored};
use super::runs::Runs;
use crate::distance::{self, Pages};

/// Bytes of vectors in a chunk, roughly: the open chunk is scanned under a lock.
const CHUNK_BYTES: usize = 256 * 1024;
const MIN_SHIFT: u32 = 4; // 16 rows, however long a vector is
const MAX_SHIFT: u32 = 12; // 4,096 rows, however short

/// Counts deletions from 1 on: the order in which rows went, and up to which a search saw them go.
pub(super) type Moment = u32;

/// Some rows: their vectors, their slots, and marks on the deleted ones.
pub(super) struct Chunk {
    vectors: Vectors,
    slots: Vec<u32>,
    /// When each row was deleted; 0 where it was not. Shared by the chunks that stand for the same rows.
    deleted: Arc<[AtomicU32]>,
}

/// Where a chunk's vectors are.
enum Vectors {
    /// One after the other.
    Held(Pages<f32>),
    /// In storage, as it was at this turn.
    Stored(Arc<dyn Stored>, u64),
}

impl Chunk {
    /// No rows, with room for so many.
    pub(super) fn with_room(rows: usize) -> Self {
        let deleted = (0..rows).map(|_| AtomicU32::new(0)).collect();
        Self { vectors: Vectors::Held(Pages::default()), slots: Vec::new(), deleted }
    }

    /// The same rows, read where they are stored.
    pub(super) fn stored(&self, vectors: Arc<dyn Stored>, turn: u64) -> Self {
        let deleted = self.deleted.clone();
        Self { vectors: Vectors::Stored(vectors, turn), slots: self.slots.clone(), deleted }
    }

    /// The turn of storage at which its vectors were found there; `None` where they are held in memory.
    pub(super) fn stored_at(&self) -> Option<u64> {
        match &self.vectors {
            Vectors::Held(_) => None,
            Vectors::Stored(_, turn) => Some(*turn),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// The vector of a row; of one that storage cannot give back, numbers that are none.
    #[inline(always)]
    pub(super) fn vector(&self, i: usize, size: usize) -> Cow<'_, [f32]> {
        match &self.vectors {
            Vectors::Held(vectors) => Cow::Borrowed(&vectors[i * size..(i + 1) * size]),
            Vectors::Stored(stored, _) => read(&**stored, i, size),
        }
    }

    /// Fetches what [`Chunk::vector`] will read.
    #[inline(always)]
    pub(super) fn prefetch(&self, i: usize, size: usize) {
        match &self.vectors {
            Vectors::Held(vectors) => distance::prefetch(&vectors[i * size..(i + 1) * size]),
            Vectors::Stored(stored, _) => distance::prefetch(stored.bytes(i)),
        }
    }

    /// Adds a row to a chunk that holds its vectors and has room.
    pub(super) fn push(&mut self, slot: u32, vector: &[f32]) {
        debug_assert!(self.slots.len() < self.deleted.len());
        if let Vectors::Held(vectors) = &mut self.vectors {
            if vectors.is_empty() {
                vectors.reserve_exact(self.deleted.len() * vector.len());
            }
            vectors.extend_from_slice(vector);
            self.slots.push(slot);
        }
    }

    pub(super) fn is_deleted(&self, i: usize) -> bool {
        self.deleted[i].load(Ordering::Relaxed) != 0
    }

    /// True where a search that began at `moment` may answer the row: it was not deleted before.
    // Relaxed: what was deleted up to `moment` was marked under the lock that gave the moment.
    pub(super) fn is_visible(&self, i: usize, moment: Moment) -> bool {
        let deleted = self.deleted[i].load(Ordering::Relaxed);
        deleted == 0 || deleted > moment
    }

    /// Marks the row as deleted at `moment`; true where it was not before.
    pub(super) fn delete(&self, i: usize, moment: Moment) -> bool {
        self.deleted[i].compare_exchange(0, moment, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Copies the mark of a row of another chunk; true where it has one.
    pub(super) fn delete_as(&self, i: usize, other: &Chunk, other_i: usize) -> bool {
        let moment = other.deleted[other_i].load(Ordering::Relaxed);
        moment != 0 && self.delete(i, moment)
    }

    /// Rows that are not deleted.
    pub(super) fn live(&self) -> usize {
        (0..self.len()).filter(|&i| !self.is_deleted(i)).count()
    }

    /// Where `slot` is, deleted or not.
    pub(super) fn find(&self, slot: u32) -> Option<usize> {
        let (first, last) = (*self.slots.first()?, *self.slots.last()?);
        if !(first..=last).contains(&slot) {
            return None;
        }
        if (last - first) as usize + 1 == self.slots.len() {
            return Some((slot - first) as usize); // no gaps: slots are strictly increasing
        }
        self.slots.binary_search(&slot).ok()
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunk").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

#[inline(never)]
fn read(stored: &dyn Stored, i: usize, size: usize) -> Cow<'_, [f32]> {
    let mut vector = vec![0.0; size];
    if !stored.read(i, &mut vector) {
        vector.fill(f32::NAN);
    }
    Cow::Owned(vector)
}

/// The sealed chunks at one moment; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    size: usize,
    shift: u32,
    chunks: Arc<Vec<Arc<Chunk>>>,
    runs: Arc<Runs>,
}

impl Rows {
    /// No rows of vectors with `size` components.
    pub(super) fn new(size: usize) -> Self {
        let fitting = (CHUNK_BYTES / (4 * size.max(1))).max(1).ilog2();
        Self {
            size,
            shift: fitting.clamp(MIN_SHIFT, MAX_SHIFT),
            chunks: Arc::default(),
            runs: Arc::default(),
        }
    }

    /// Rows of a full chunk.
    pub(super) fn chunk_rows(&self) -> usize {
        1 << self.shift
    }

    /// One past the largest row number.
    pub(super) fn end(&self) -> usize {
        self.chunks.len() << self.shift
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// The chunk of a row and the place in it; the row may be one that does not exist.
    pub(super) fn locate(&self, row: u32) -> (&Arc<Chunk>, usize) {
        let row = row as usize;
        (&self.chunks[row >> self.shift], row & (self.chunk_rows() - 1))
    }

    #[inline(always)]
    pub(super) fn vector(&self, row: u32) -> Cow<'_, [f32]> {
        let (chunk, i) = self.locate(row);
        chunk.vector(i, self.size)
    }

    /// Fetches what [`Rows::vector`] will read.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u32) {
        let (chunk, i) = self.locate(row);
        chunk.prefetch(i, self.size);
    }

    /// The chunk that would hold `slot`.
    pub(super) fn chunk_of(&self, slot: u32) -> Option<&Arc<Chunk>> {
        let after = self.chunks.partition_point(|chunk| chunk.slots[0] <= slot);
        self.chunks.get(after.checked_sub(1)?)
    }

    /// The rows before `covered` whose slots are allowed, deleted or not.
    pub(super) fn among(&self, allow: &RoaringBitmap, covered: usize) -> impl Iterator<Item = u32> {
        self.runs.rows(allow, covered, |row, slot| {
            let (chunk, _) = self.locate(row);
            chunk.find(slot).map(|i| row + i as u32) // rows are numbered by u32
        })
    }

    /// The chunks that hold the rows from `covered` on, which is a multiple of a chunk's rows.
    pub(super) fn behind(&self, covered: usize) -> &[Arc<Chunk>] {
        debug_assert!(covered.is_multiple_of(self.chunk_rows()));
        &self.chunks[covered >> self.shift..]
    }

    /// The chunks that hold the rows before `covered`.
    pub(super) fn before(&self, covered: usize) -> &[Arc<Chunk>] {
        &self.chunks[..covered >> self.shift]
    }

    /// Appends a chunk; it may be short, never empty.
    pub(super) fn seal(&mut self, chunk: Chunk) {
        debug_assert!(!chunk.is_empty() && chunk.len() <= self.chunk_rows());
        let row = self.end() as u32; // rows are numbered by u32
        Arc::make_mut(&mut self.runs).push(row, chunk.slots());
        Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
    }

    /// Puts chunks in the place of those that stand for the same rows.
    pub(super) fn swap(&mut self, chunks: Vec<(usize, Arc<Chunk>, Arc<Chunk>)>) {
        let own = Arc::make_mut(&mut self.chunks);
        for (number, old, new) in chunks {
            // Compaction may have come between.
            if let Some(place) = own.get_mut(number).filter(|place| Arc::ptr_eq(place, &old)) {
                *place = new;
            }
        }
    }

    /// The rows that are alive, copied into full chunks, or found again where all of a chunk's are stored;
    /// only the last may be short.
    pub(super) fn compacted(&self, originals: Option<&dyn Originals>) -> Rows {
        let mut rows = Rows::new(self.size);
        let mut open: Vec<(&Chunk, usize)> = Vec::with_capacity(rows.chunk_rows());
        let alive = self
            .chunks()
            .iter()
            .flat_map(|chunk| (0..chunk.len()).filter(|&i| !chunk.is_deleted(i)).map(|i| (&**chunk, i)));
        for row in alive {
            open.push(row);
            if open.len() == rows.chunk_rows() {
                rows.seal(self.put_together(&open, originals));
                open.clear();
            }
        }
        if !open.is_empty() {
            rows.seal(self.put_together(&open, originals));
        }
        rows
    }

    fn put_together(&self, of: &[(&Chunk, usize)], originals: Option<&dyn Originals>) -> Chunk {
        let mut chunk = Chunk::with_room(self.chunk_rows());
        if let Some(originals) = originals
            && of.iter().all(|(chunk, _)| chunk.stored_at().is_some())
        {
            let slots: Vec<u32> = of.iter().map(|(chunk, i)| chunk.slots[*i]).collect();
            let turn = originals.turn();
            if let Some(stored) = originals.find(&slots) {
                return Chunk { vectors: Vectors::Stored(stored, turn), slots, deleted: chunk.deleted };
            }
        }
        for (from, i) in of {
            chunk.push(from.slots[*i], &from.vector(*i, self.size));
        }
        chunk
    }

    /// This with `later`'s chunks from number `from` on behind it.
    pub(super) fn followed_by(&self, later: &Rows, from: usize) -> Rows {
        let mut rows = self.clone();
        let (chunks, runs) = (Arc::make_mut(&mut rows.chunks), Arc::make_mut(&mut rows.runs));
        for chunk in &later.chunks[from..] {
            runs.push((chunks.len() << self.shift) as u32, chunk.slots()); // rows are numbered by u32
            chunks.push(chunk.clone());
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_keeps_live_slots_and_drops_deleted_ones() {
        let mut rows = Rows::new(100_000 / 4);
        for base in 0..3 {
            let mut chunk = Chunk::with_room(16);
            for i in 0..16 {
                chunk.push(base * 32 + 2 * i, &vec![i as f32; 25_000]);
            }
            rows.seal(chunk);
        }
        for slot in [0, 2, 34, 94] {
            let chunk = rows.chunk_of(slot).unwrap();
            assert!(chunk.delete(chunk.find(slot).unwrap(), 1));
        }
        let less = rows.compacted(None);
        let slots: Vec<u32> = less.chunks().iter().flat_map(|chunk| chunk.slots().to_vec()).collect();
        let expected: Vec<u32> = (0..48).map(|i| 2 * i).filter(|s| ![0, 2, 34, 94].contains(s)).collect();
        assert_eq!(slots, expected);
        let chunk = less.chunk_of(36).unwrap();
        assert_eq!(chunk.vector(chunk.find(36).unwrap(), 25_000)[0], 2.0);
        assert!(less.chunk_of(94).unwrap().find(94).is_none());
        assert!(less.chunk_of(0).is_none());
    }

    #[test]
    fn allowed_rows_are_found_in_chunks_with_and_without_gaps_and_up_to_what_is_covered() {
        let mut rows = Rows::new(100_000 / 4);
        for base in 0..4u32 {
            let mut chunk = Chunk::with_room(16);
            // Every second chunk is full, the others have gaps and fewer rows.
            (0..if base % 2 == 0 { 16 } else { 9 }).for_each(|i| {
                chunk.push(base * 64 + (1 + base % 2) * i, &vec![0.0; 25_000]);
            });
            rows.seal(chunk);
        }
        let find = |slot: u32| {
            rows.chunk_of(slot)
                .and_then(|chunk| Some((chunk.slots()[0] / 64 * 16) + chunk.find(slot)? as u32))
        };
        for covered in [0, 32, 64] {
            for allow in
                [(0..300).collect::<RoaringBitmap>(), [3, 64, 66, 67, 131, 208, 999].into_iter().collect()]
            {
                let found: Vec<u32> = rows.among(&allow, covered).collect();
                let expected: Vec<u32> =
                    allow.iter().filter_map(find).filter(|&row| (row as usize) < covered).collect();
                assert_eq!(found, expected, "{covered}");
                assert_eq!(found.is_empty(), covered == 0);
            }
        }
    }
}
