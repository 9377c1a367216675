//! The background thread that builds, extends, rebuilds and compacts. One at a time works in the process;
//! searches go on with what there is, and are exact for what the graph does not hold yet.
//!
//! Order of a change: everything is prepared aside, then put in place in one step under the
//! lock, with the deletions that came meanwhile carried over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::Shared;
use super::arena::Rows;
use super::graph::Graph;
use super::grow::Growth;
use super::hnsw;
use super::measure::Measure;
use super::originals;
use super::quantised::Quantised;
use super::state::{State, Tuning, Work};
use crate::allocator;
use crate::error::{Error, Result};

/// Held by the build that is running: graphs of many collections are built one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// A row meets at least so many candidates in two walks, when it comes and when the lists are polished: a
/// small `ef_construct` (100 is the default) is made good by the second.
const POLISH_EF: usize = 300;

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

fn run(shared: &Arc<Shared>) {
    build(shared);
    allocator::give_back();
    // No lock is held, and searches have the graph already.
    if !shared.stopped.load(Ordering::Relaxed)
        && let Some(on_graph) = shared.on_graph.get()
    {
        on_graph();
    }
}

fn build(shared: &Arc<Shared>) {
    loop {
        let (work, rows, tuning) = {
            // `building` is cleared under the same lock that sees there is nothing to do, so an
            // insert either finds it set and its row seen, or starts the next thread.
            let mut state = shared.state.write();
            let work = state.work();
            if work == Work::Nothing || shared.stopped.load(Ordering::Relaxed) {
                state.building = false;
                return;
            }
            (work, state.sealed.clone(), state.tuning)
        };
        let done = match work {
            Work::Compact => compact(shared, &rows, tuning),
            Work::Rebuild => rebuild(shared, &rows, tuning),
            Work::Extend => extend(shared, &rows, tuning),
            Work::Nothing => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!("{error}; searches stay exact for the rows outside the graph");
            fail(&mut shared.state.write());
            return;
        }
    }
}

fn fail(state: &mut State) {
    state.building = false;
    state.failed_at = Some(state.live + state.dead);
}

/// Builds the graph of `rows` anew; the old one is searched until then.
fn rebuild(shared: &Arc<Shared>, rows: &Rows, tuning: Tuning) -> Result<()> {
    let graph = grown(shared, rows, rows.end(), None, tuning)?;
    if !shared.stopped.load(Ordering::Relaxed) {
        shared.state.write().put(graph.map(Arc::new), tuning);
        originals::shed_if_due(shared);
    }
    Ok(())
}

/// Brings the graph up to the end of `rows`, putting it in place each time it has doubled.
fn extend(shared: &Arc<Shared>, rows: &Rows, tuning: Tuning) -> Result<()> {
    let first_stop = tuning.hnsw.full_scan_threshold.max(4_096);
    loop {
        let old = shared.state.read().graph.clone();
        let covered = old.as_ref().map_or(0, |graph| graph.covered());
        if covered >= rows.end() || shared.stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let until = (covered * 2).max(first_stop);
        // Whole chunks: what is behind the graph is scanned by chunks.
        let until = until.next_multiple_of(rows.chunk_rows()).min(rows.end());
        let Some(graph) = grown(shared, rows, until, old.as_deref(), tuning)? else { return Ok(()) };
        tracing::debug!(rows = graph.covered(), loose = graph.loose().len(), "graph in place");
        shared.state.write().put(Some(Arc::new(graph)), tuning);
        originals::shed_if_due(shared);
    }
}

/// How many threads build where so many are asked for: half the cores if nothing is said, since the other half
/// answers.
fn threads(asked: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { (cores / 2).max(1) } else { asked.min(cores) }
}

/// The graph of the live rows `0..until`, from `old` where there is one; `None` where the index is
/// dropped meanwhile.
fn grown(
    shared: &Shared,
    rows: &Rows,
    until: usize,
    old: Option<&Graph>,
    tuning: Tuning,
) -> Result<Option<Graph>> {
    let Tuning { hnsw, quantization } = tuning;
    let work = || {
        let (m, ef) = (tuning.m(), hnsw.ef_construct.clamp(4, 2_000));
        let measure = Measure::new(rows, shared.distance);
        let growth = Growth { rows, measure, m, ef, stop: &shared.stopped };
        let bytes = Quantised::of(rows, until, shared.distance, &measure, quantization);
        let alive = |row: &u32| {
            let (chunk, place) = rows.locate(*row);
            place < chunk.len() && !chunk.is_deleted(place)
        };
        let all = || (0..until as u32).filter(alive); // rows are numbered by u32
        let upper = || {
            let mut sample: Vec<u32> = all().filter(|&row| is_sampled(row, m)).collect();
            if sample.is_empty() {
                sample.extend(all().next());
            }
            hnsw::build(rows, &sample, measure, hnsw, &shared.stopped)
        };
        if all().next().is_none() {
            return Ok(None);
        }
        let mut graph = match old {
            None => Graph::new(until, 2 * m, upper()?, bytes),
            Some(old) => {
                let mut graph = old.widened(until, bytes);
                if graph.is_flat() {
                    graph.put_on(upper()?);
                }
                graph
            }
        };
        let missing: Vec<u32> = match old {
            None => all().filter(|&row| !graph.holds(row)).collect(),
            // A row of the new upper layers has no edge that leads to it yet.
            Some(old) => all().filter(|&row| !old.holds(row)).collect(),
        };
        growth.insert(&mut graph, &missing);
        if until == rows.end() && graph.is_rough() {
            let again = POLISH_EF.saturating_sub(ef).max(ef / 2).max(2 * m);
            graph = growth.polished(graph, again).with_polish();
        }
        Ok((!shared.stopped.load(Ordering::Relaxed)).then(|| graph.finished(&[], quantization)))
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads(hnsw.max_indexing_threads))
        .thread_name(|i| format!("graph-{i}"))
        // Scoped threads are waited for: what they held free is free for all when it is given back.
        .build_scoped(|thread| thread.run(), |pool| pool.install(work))
        .map_err(|error| Error::Internal(format!("no threads to build the graph with: {error}")))?
}

/// One row in `m`, whatever the order in which they came (the finaliser of splitmix64).
fn is_sampled(row: u32, m: usize) -> bool {
    let mut mixed = u64::from(row).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).is_multiple_of(m as u64)
}

/// Copies the live rows of `rows` together and puts them in its place.
fn compact(shared: &Arc<Shared>, rows: &Rows, tuning: Tuning) -> Result<()> {
    let originals = shared.originals.get().map(|originals| &**originals);
    let fewer = rows.compacted(originals);
    let live: usize = fewer.chunks().iter().map(|chunk| chunk.len()).sum();
    let mut graph = None;
    if live > tuning.hnsw.full_scan_threshold {
        match grown(shared, &fewer, fewer.end(), None, tuning)? {
            None => return Ok(()), // stopped
            Some(built) => graph = Some(Arc::new(built)),
        }
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
    state.held = state.sealed.chunks().iter().filter(|chunk| chunk.stored_at().is_none()).count();
    state.held_in_vain = 0;
    state.put(graph, tuning);
    drop(state);
    originals::shed_if_due(shared);
    Ok(())
}
