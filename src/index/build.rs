//! The background thread that builds, extends and compacts. One at a time works in the process;
//! searches go on with what there is, and are exact for what the graph does not hold yet.
//!
//! Order of a change: everything is prepared aside, then put in place in one step under the
//! lock, with the deletions that came meanwhile carried over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::Shared;
use super::arena::Rows;
use super::hnsw::Builder;
use super::state::{BuilderIs, State, Work};
use crate::error::{Error, Result};

/// Held by the build that is running: graphs of many collections are built one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// Starts the background thread. The caller has set `building` under the lock.
pub(super) fn start(shared: &Arc<Shared>) {
    let job = shared.clone();
    let started = std::thread::Builder::new().name("graph-build".into()).spawn(move || {
        let _turn = TURN.lock();
        run(&job);
    });
    if let Err(error) = started {
        tracing::warn!("no thread to build the graph with: {error}; searches stay exact");
        fail(&mut shared.state.write());
    }
}

fn run(shared: &Shared) {
    build(shared);
    // No lock is held, and searches have the graph already.
    if !shared.stopped.load(Ordering::Relaxed)
        && let Some(on_graph) = shared.on_graph.get()
    {
        on_graph();
    }
}

fn build(shared: &Shared) {
    let mut builder: Option<Builder> = None;
    loop {
        let (work, rows) = {
            // `building` is cleared under the same lock that sees there is nothing to do, so an
            // insert either finds it set and its row seen, or starts the next thread.
            let mut state = shared.state.write();
            let at_hand = if builder.is_some() { BuilderIs::AtHand } else { BuilderIs::Gone };
            let work = state.work(shared.hnsw.full_scan_threshold, at_hand);
            if work == Work::Nothing || shared.stopped.load(Ordering::Relaxed) {
                state.building = false;
                return;
            }
            (work, state.sealed.clone())
        };
        let done = match work {
            Work::Compact => {
                builder = None;
                compact(shared, &rows).map(|new| builder = new)
            }
            Work::Extend => extend(shared, &rows, &mut builder),
            Work::Nothing => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!("{error}; searches stay exact for the rows outside the graph");
            drop(builder);
            fail(&mut shared.state.write());
            return;
        }
    }
}

fn fail(state: &mut State) {
    state.building = false;
    state.failed_at = Some(state.live + state.dead);
}

/// Brings the graph up to the end of `rows`, putting it in place each time it has doubled.
fn extend(shared: &Shared, rows: &Rows, builder: &mut Option<Builder>) -> Result<()> {
    let mut building = match builder.take() {
        Some(building) => building,
        None => Builder::new(rows, shared.distance, shared.hnsw)?,
    };
    let covered = shared.state.read().graph.as_ref().map_or(0, |graph| graph.covered());
    let first_stop = shared.hnsw.full_scan_threshold.max(4_096);
    while building.done() < rows.end() && !shared.stopped.load(Ordering::Relaxed) {
        let until = (building.done() * 2).max(first_stop).max(covered + 1);
        // Whole chunks: what is behind the graph is scanned by chunks.
        let until = until.next_multiple_of(rows.chunk_rows()).min(rows.end());
        building.extend(rows, until, &shared.stopped)?;
        let graph = Arc::new(building.graph()?);
        tracing::debug!(rows = graph.covered(), loose = graph.loose().len(), "graph in place");
        shared.state.write().graph = Some(graph);
    }
    *builder = Some(building);
    Ok(())
}

/// Copies the live rows of `rows` together and puts them in its place.
fn compact(shared: &Shared, rows: &Rows) -> Result<Option<Builder>> {
    let fewer = rows.compacted();
    let live: usize = fewer.chunks().iter().map(|chunk| chunk.len()).sum();
    let mut builder = None;
    let mut graph = None;
    if live > shared.hnsw.full_scan_threshold {
        let mut building = Builder::new(&fewer, shared.distance, shared.hnsw)?;
        building.extend(&fewer, fewer.end(), &shared.stopped)?;
        if building.done() < fewer.end() {
            return Ok(None); // stopped
        }
        graph = Some(Arc::new(building.graph()?));
        builder = Some(building);
    }
    let mut state = shared.state.write();
    let mut removed = 0;
    let mut carried = 0;
    for chunk in rows.chunks() {
        removed += chunk.len();
        for (i, &slot) in (0..).zip(chunk.slots()) {
            if chunk.is_deleted(i)
                && let Some(new) = fewer.chunk_of(slot)
                && let Some(place) = new.find(slot)
                && new.delete_as(place, chunk, i)
            {
                carried += 1;
            }
        }
    }
    state.dead = (state.dead + live)
        .checked_sub(removed)
        .ok_or_else(|| Error::Internal("more rows were compacted than there are".into()))?;
    debug_assert!(carried <= state.dead);
    state.sealed = fewer.followed_by(&state.sealed, rows.chunks().len());
    state.graph = graph;
    Ok(builder)
}
