//! The vectors of one name in one collection, and the search for the nearest. A vector is known
//! by its slot, a number that the collection gives out in increasing order.
//!
//! Vectors lie in an append-only arena; a graph built in the background covers a prefix of it,
//! the rest is searched exactly; deleted rows are marked, skipped, and left behind when they
//! become many. Invariants: an inserted vector is found by the next search, a removed one never
//! again; a search sees one moment, takes no lock for longer than one chunk's scan and never waits
//! for a build.

mod arena;
mod bits;
mod build;
mod graph;
mod grow;
mod hnsw;
mod kept;
mod measure;
mod nearest;
mod originals;
mod plan;
mod quantised;
mod reach;
mod runs;
mod scan;
mod scan_bytes;
mod state;
mod upper;
mod visit;
mod walk;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::distance::{self, Kernel};
use crate::error::{Error, Result};
use crate::types::{Datatype, Distance, HnswParams, VectorParams, check_vector};
pub use kept::KeptGraph;
use nearest::{Near, Nearest};
pub use originals::{Originals, Stored};
use plan::{Plan, Stats, plan};
use quantised::Quantised;
use scan::{Probe, Scored, scan_chunk, scan_chunks};
use scan_bytes::scan_bytes;
use state::{State, Tuning, Work};
use walk::{Walk, walk};

/// Most hits of one search (a page of 10,000 behind an offset of as many, and some to leave
/// out): what is kept while searching is held in memory.
pub const MAX_LIMIT: usize = 32_768;
/// Most candidates that a walk may be asked to look at.
pub const MAX_EF: usize = 10_000;

/// Whether a search may use the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The planner decides.
    #[default]
    Auto,
    /// Every row is compared.
    Exact,
}

/// How far a search by bytes is compared exactly. Scores are exact in any case.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Rescore {
    /// Whatever rounding may have put in the wrong order.
    #[default]
    InDoubt,
    /// So many times the limit, at least 1.
    Times(f32),
    /// Everything: bytes are not used.
    All,
}

/// What is searched for besides the vector.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Hits, at most [`MAX_LIMIT`].
    pub limit: usize,
    /// Candidates of the walk, at most [`MAX_EF`]; more are nearer to exact and slower.
    pub ef: Option<usize>,
    /// Whether the graph may be used.
    pub mode: Mode,
    /// How far it is compared exactly.
    pub rescore: Rescore,
    /// Only these slots are answered.
    pub allow: Option<&'a RoaringBitmap>,
}

impl Search<'_> {
    /// The best `limit` of all.
    pub fn new(limit: usize) -> Self {
        Self { limit, ef: None, mode: Mode::Auto, rescore: Rescore::InDoubt, allow: None }
    }
}

/// A vector that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its slot.
    pub slot: u32,
    /// Similarity or distance, as the collection's `Distance` says.
    pub score: f32,
}

/// How an index stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexState {
    /// Vectors that can be found.
    pub vectors: usize,
    /// Of these, vectors in the graph; the others are searched exactly.
    pub indexed_vectors: usize,
    /// Vectors whose floats are held in memory; those of the others are read where they are stored.
    pub vectors_in_memory: usize,
    /// A graph is being built or waits for its turn.
    pub building: bool,
}

/// The vectors of one name in one collection. Shared between threads.
pub struct Index {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("state", &self.state()).finish_non_exhaustive()
    }
}

struct Shared {
    size: usize,
    distance: Distance,
    datatype: Datatype,
    kernel: Kernel,
    state: RwLock<State>,
    /// Set when the index is dropped: the background thread ends at its next batch.
    stopped: AtomicBool,
    /// Called by the background thread when a graph is up to date.
    on_graph: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Where the vectors are that need not be held.
    originals: OnceLock<Box<dyn Originals>>,
}

impl Index {
    /// An empty index. `hnsw` applies where `params` has none of its own.
    pub fn new(params: &VectorParams, hnsw: HnswParams) -> Self {
        let shared = Shared {
            size: params.size,
            distance: params.distance,
            datatype: params.datatype,
            kernel: distance::kernel(params.distance),
            state: RwLock::new(State::new(params.size, Tuning::of(params, hnsw))),
            stopped: AtomicBool::new(false),
            on_graph: OnceLock::new(),
            originals: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Other parameters for the graph and its bytes, as in [`Index::new`]. Where they make another graph, it is
    /// built in the background; searches go on with the one that there is.
    pub fn retune(&self, params: &VectorParams, hnsw: HnswParams) {
        let start = {
            let mut state = self.shared.state.write();
            state.retune(Tuning::of(params, hnsw));
            self.claim_build(&mut state)
        };
        if start {
            build::start(&self.shared);
        }
    }

    /// How vectors are compared.
    pub fn distance(&self) -> Distance {
        self.shared.distance
    }

    /// Components of a vector.
    pub fn size(&self) -> usize {
        self.shared.size
    }

    /// Adds a vector (normalised here under cosine). Slots are strictly increasing.
    ///
    /// # Errors
    /// `InvalidInput` where the vector cannot be compared; `Internal` where the slot is not
    /// larger than all before it.
    pub fn insert(&self, slot: u32, vector: &[f32]) -> Result<()> {
        self.put(slot, vector, None)
    }

    /// Adds a vector in place of another, if that is still there: every search finds one of the
    /// two. Otherwise as [`Index::insert`].
    ///
    /// # Errors
    /// As [`Index::insert`]; the old vector stays then.
    pub fn replace(&self, old: u32, slot: u32, vector: &[f32]) -> Result<()> {
        self.put(slot, vector, Some(old))
    }

    fn put(&self, slot: u32, vector: &[f32], old: Option<u32>) -> Result<()> {
        let vector = self.shared.prepared(vector, self.shared.datatype)?;
        let (start, shed) = {
            let mut state = self.shared.state.write();
            if state.last_slot.is_some_and(|last| last >= slot) {
                return Err(Error::Internal(format!("slot {slot} was inserted out of order")));
            }
            state.open.push(slot, &vector);
            state.last_slot = Some(slot);
            state.live += 1;
            if let Some(old) = old {
                state.delete(old);
            }
            if state.open.len() == state.sealed.chunk_rows() {
                state.seal();
            }
            (self.claim_build(&mut state), self.shared.claim_shed(&mut state))
        };
        if start {
            build::start(&self.shared);
        }
        if shed {
            originals::start_shedding(&self.shared);
        }
        Ok(())
    }

    /// Removes a vector. Returns whether it was there.
    pub fn remove(&self, slot: u32) -> bool {
        let (removed, start) = {
            let mut state = self.shared.state.write();
            let removed = state.delete(slot);
            (removed, removed && self.claim_build(&mut state))
        };
        if start {
            build::start(&self.shared);
        }
        removed
    }

    /// True where a background thread is to be started, which is then marked as started.
    fn claim_build(&self, state: &mut State) -> bool {
        let wanted = !state.building && state.work() != Work::Nothing;
        state.building |= wanted;
        wanted
    }

    /// The nearest vectors, best first, ties by slot.
    ///
    /// # Errors
    /// `InvalidInput` where the query cannot be compared or a bound is passed; names it.
    pub fn search(&self, query: &[f32], search: &Search<'_>) -> Result<Vec<Hit>> {
        let bound = |what: &str, value: usize, most: usize| {
            if value <= most {
                return Ok(());
            }
            Err(Error::InvalidInput(format!("{what} is {value}, at most {most} is allowed")))
        };
        bound("limit (with offset and excluded points)", search.limit, MAX_LIMIT)?;
        bound("hnsw_ef", search.ef.unwrap_or(0), MAX_EF)?;
        let query = self.shared.prepared(query, Datatype::Float32)?;
        if search.limit == 0 {
            return Ok(Vec::new());
        }
        let allowed = search.allow.map(|allow| allow.len() as usize);

        // One moment's view: the open chunk is scanned under the lock (at most 256 kB of
        // vectors), the sealed chunks and the graph are shared.
        let mut nearest = Nearest::new(search.limit);
        let (probe, rows, graph, stats) = {
            let state = self.shared.state.read();
            let Shared { kernel, distance, .. } = *self.shared;
            let probe = Probe { vector: &query, kernel, distance, moment: state.moment };
            scan_chunk(probe, &state.open, search.allow, &mut nearest);
            // Among those that are deleted or not allowed the last hit wanted stands farther behind.
            let answerable = allowed.unwrap_or(state.live).clamp(1, state.live.max(1));
            let stats = Stats {
                live: state.live,
                among: search.limit.saturating_mul(state.live + state.dead) / answerable,
                in_graph: state.graph.as_ref().map_or(0, |graph| graph.nodes()),
                allowed,
                by_bits: state
                    .graph
                    .as_ref()
                    .and_then(|graph| graph.bytes())
                    .is_some_and(Quantised::is_bits_alone),
                reach: state.graph.as_ref().and_then(|graph| graph.reach()),
                full_scan_threshold: state.tuning.hnsw.full_scan_threshold,
            };
            (probe, state.sealed.clone(), state.graph.clone(), stats)
        };
        let expected = allowed.unwrap_or(stats.live).min(stats.live);
        let scan_all = |nearest: Nearest| match graph.as_ref().and_then(|graph| Some((graph, graph.bytes()?)))
        {
            Some((graph, bytes)) if search.mode == Mode::Auto && search.rescore != Rescore::All => {
                let behind = scan_chunks(probe, rows.behind(graph.covered()), search.allow, search.limit, 0);
                let best = scan_bytes(probe, &rows, rows.before(graph.covered()), bytes, search, expected);
                best.into_iter().fold(nearest.merge(behind), |mut nearest, near| {
                    nearest.offer(near);
                    nearest
                })
            }
            _ => nearest.merge(scan_chunks(probe, rows.chunks(), search.allow, search.limit, expected)),
        };
        let nearest = match (plan(search, &stats), &graph) {
            (Plan::Walk(stop), Some(graph)) => {
                let effort = Walk { stop, expected, among: stats.among };
                match walk(probe, &rows, graph, search, effort) {
                    Some(found) => {
                        found.into_iter().for_each(|near| nearest.offer(near));
                        nearest
                    }
                    None => scan_all(nearest),
                }
            }
            _ => scan_all(nearest),
        };
        // A rank that is no number is of a vector that storage could not give back.
        let found = nearest.into_sorted().into_iter().filter(|near| !near.rank.is_nan());
        Ok(found.map(|near| Hit { slot: near.number, score: probe.score(near.rank) }).collect())
    }

    /// The vectors of the best scores, best first, ties by slot. The score is the caller's, larger is
    /// better; every vector (as it is compared) is given to it.
    ///
    /// # Errors
    /// `InvalidInput` where the limit is larger than [`MAX_LIMIT`].
    pub fn search_by(
        &self,
        score: impl Fn(&[f32]) -> f32 + Sync,
        limit: usize,
        allow: Option<&RoaringBitmap>,
    ) -> Result<Vec<Hit>> {
        if limit > MAX_LIMIT {
            return Err(Error::InvalidInput(format!("limit is {limit}, at most {MAX_LIMIT} is allowed")));
        }
        let mut nearest = Nearest::new(limit);
        let (scored, rows, live) = {
            let state = self.shared.state.read();
            let scored = Scored { score: &score, size: self.shared.size, moment: state.moment };
            scan_chunk(scored, &state.open, allow, &mut nearest);
            (scored, state.sealed.clone(), state.live)
        };
        let expected = allow.map_or(live, |allow| allow.len() as usize).min(live);
        let nearest = nearest.merge(scan_chunks(scored, rows.chunks(), allow, limit, expected));
        let hit = |near: Near| Hit { slot: near.number, score: -near.rank + 0.0 };
        Ok(nearest.into_sorted().into_iter().map(hit).collect())
    }

    /// The vector as it is compared (normalised under cosine).
    pub fn vector(&self, slot: u32) -> Option<Vec<f32>> {
        let state = self.shared.state.read();
        let chunk = state.chunk_of(slot)?;
        let i = chunk.find(slot)?;
        let found = !chunk.is_deleted(i);
        found.then(|| chunk.vector(i, self.shared.size).into_owned()).filter(|vector| !vector[0].is_nan())
    }

    /// How it stands.
    pub fn state(&self) -> IndexState {
        let state = self.shared.state.read();
        let covered = state.graph.as_ref().map_or(0, |graph| graph.covered());
        IndexState {
            vectors: state.live,
            indexed_vectors: state.sealed.before(covered).iter().map(|chunk| chunk.live()).sum(),
            vectors_in_memory: {
                let held = state.sealed.chunks().iter().filter(|chunk| chunk.stored_at().is_none());
                held.map(|chunk| chunk.live()).sum::<usize>() + state.open.live()
            },
            building: state.building,
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// A checked copy, normalised under cosine, rounded to what holds it.
    fn prepared(&self, vector: &[f32], datatype: Datatype) -> Result<Vec<f32>> {
        check_vector(vector, self.size, self.distance)?;
        let mut vector = vector.to_vec();
        distance::prepare(&mut vector, self.distance, datatype)?;
        Ok(vector)
    }
}

/// So many of the best by bytes are compared exactly: those that rounding may have put behind the
/// last one wanted, and at least twice as many as are wanted; or as many as the search says.
fn rescored(best: &[Near], search: &Search<'_>, doubtful: f32) -> usize {
    let least = least_rescored(search);
    match (search.rescore, best.get(search.limit - 1)) {
        (Rescore::Times(_), _) => least,
        (_, None) => best.len(),
        (_, Some(last)) => best.partition_point(|near| near.rank <= last.rank + doubtful).max(least),
    }
}

/// So many are compared exactly whatever their ranks are, where there are so many.
fn least_rescored(search: &Search<'_>) -> usize {
    match search.rescore {
        Rescore::Times(times) => ((search.limit as f32 * times.max(1.0)).ceil() as usize).max(search.limit),
        Rescore::InDoubt | Rescore::All => (2 * search.limit).max(20),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_stored;
