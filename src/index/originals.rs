//! Vectors outside the process's own memory. What a graph covers is walked by bytes; the floats are
//! needed for the few that are compared exactly, and lie in storage anyway. So a sealed chunk gives
//! its floats up and reads them there, through the operating system's page cache.
//!
//! A chunk is shed when the graph covers it, and all are when those held pass a bound, so that a
//! collection may be larger than memory also before its graph is built. It is found again when
//! storage has moved (a compaction of the log); what was mapped stays readable until then.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arena::Chunk;
use super::state::State;
use super::{Index, Shared};
use crate::allocator;

/// Sealed chunks outside the graph may hold so much.
const MOST_HELD: usize = 256 * 1024 * 1024;
/// Chunks that are put in place under one lock.
const AT_ONCE: usize = 64;

/// Where the vectors are stored, by slot.
pub trait Originals: Send + Sync {
    /// The vectors of these slots, in order; `None` where that cannot be said now. A slot that is gone
    /// has none.
    fn find(&self, slots: &[u32]) -> Option<Arc<dyn Stored>>;

    /// Counts how often storage has moved.
    fn turn(&self) -> u64;
}

/// Some vectors that are stored: they stay readable and the same.
pub trait Stored: Send + Sync {
    /// Reads the `i`-th; false where it is not there or damaged.
    fn read(&self, i: usize, out: &mut [f32]) -> bool;

    /// Where its bytes are; empty where it is not there.
    fn bytes(&self, i: usize) -> &[u8];
}

impl Index {
    /// Says where the vectors are stored, so that they need not be held; the first stays.
    pub fn store_originals(&self, originals: Box<dyn Originals>) {
        if self.shared.originals.set(originals).is_err() {
            tracing::debug!("a second place of the originals is not used");
        }
    }

    /// Gives up the vectors of sealed chunks, found by `find`; for the time of loading.
    pub fn shed_by(&self, originals: &dyn Originals) {
        if self.shared.state.read().holds_too_much(self.shared.size) {
            shed(&self.shared, originals);
        }
    }

    /// Storage has moved: vectors are looked for again.
    pub fn find_again(&self) {
        self.shared.state.write().may_shed = true;
        shed_if_due(&self.shared);
    }
}

/// Starts the thread that sheds if there is something for it.
pub(super) fn shed_if_due(shared: &Arc<Shared>) {
    let start = shared.claim_shed(&mut shared.state.write());
    if start {
        start_shedding(shared);
    }
}

/// Starts the thread that sheds. The caller has set `shedding` under the lock.
pub(super) fn start_shedding(shared: &Arc<Shared>) {
    let job = shared.clone();
    let started = std::thread::Builder::new().name("originals".into()).spawn(move || {
        if let Some(originals) = job.originals.get() {
            while job.wants_shedding() {
                shed(&job, &**originals);
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!("no thread to give vectors up with: {error}; they stay in memory");
        shared.state.write().shedding = false;
    }
}

impl Shared {
    /// True where a thread is to be started that gives vectors up, which is then marked as started.
    pub(super) fn claim_shed(&self, state: &mut State) -> bool {
        let due = state.may_shed || state.holds_too_much(self.size);
        let wanted = due && !state.shedding && self.originals.get().is_some();
        state.shedding |= wanted;
        wanted
    }

    /// Marks the end where there is nothing to do; nothing can come between.
    fn wants_shedding(&self) -> bool {
        let mut state = self.state.write();
        let wants =
            (state.may_shed || state.holds_too_much(self.size)) && !self.stopped.load(Ordering::Relaxed);
        state.may_shed = false;
        state.shedding = wants;
        wants
    }
}

/// Gives up what is held and covered, or all if that is too much, and finds again what has moved.
fn shed(shared: &Shared, originals: &dyn Originals) {
    let (rows, covered) = {
        let state = shared.state.read();
        let covered =
            state.graph.as_ref().filter(|graph| graph.bytes().is_some()).map_or(0, |graph| graph.covered());
        (state.sealed.clone(), if state.holds_too_much(shared.size) { state.sealed.end() } else { covered })
    };
    let turn = originals.turn();
    let due = |(number, chunk): &(usize, &Arc<Chunk>)| match chunk.stored_at() {
        None => number * rows.chunk_rows() < covered,
        Some(found) => found != turn,
    };
    let due: Vec<(usize, &Arc<Chunk>)> = rows.chunks().iter().enumerate().filter(due).collect();
    for part in due.chunks(AT_ONCE) {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let found = part.iter().filter_map(|&(number, chunk)| {
            let stored = originals.find(chunk.slots())?;
            Some((number, chunk.clone(), Arc::new(chunk.stored(stored, turn))))
        });
        let found = found.collect();
        let mut state = shared.state.write();
        state.sealed.swap(found);
        state.held = state.sealed.chunks().iter().filter(|chunk| chunk.stored_at().is_none()).count();
    }
    let any = !due.is_empty();
    drop(due);
    drop(rows); // the last to hold what was given up
    if any {
        allocator::give_back();
    }
    let mut state = shared.state.write();
    // What could not be found is tried again when there is more of it.
    state.held_in_vain = state.held;
}

impl State {
    /// True where sealed chunks hold more than they may.
    pub(super) fn holds_too_much(&self, size: usize) -> bool {
        let chunk = self.sealed.chunk_rows() * size * size_of::<f32>();
        let new = self.held.saturating_sub(self.held_in_vain);
        new > 0 && self.held * chunk > MOST_HELD && new * chunk > MOST_HELD / 16
    }
}
