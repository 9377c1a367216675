//! Builds the graph with hnsw_rs, the only place that names it. What that library does not
//! survive is kept from it: parameters are clamped (it ends the process above 256 neighbours),
//! vectors were checked when they were inserted, distances cannot be negative or NaN (it
//! asserts), the first rows go in alone (two first rows at once lose each other), nothing reads
//! the points while rows are inserted (its iterator would deadlock), every call is guarded
//! against panics. It works on references to rows, so no vector is copied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hnsw_rs::anndists::dist::distances::Distance as LibraryDistance;
use hnsw_rs::hnsw::{Hnsw, Point};

use super::arena::{Chunk, Rows};
use super::graph::{Graph, Node};
use crate::distance::{Kernel, kernels};
use crate::error::{Error, Result};
use crate::types::{Distance, HnswParams};

/// hnsw_rs allows 16 layers and no more.
const MAX_LAYERS: usize = 16;
/// The first rows are inserted by one thread, until there is a graph to meet in.
const ALONE: usize = 64;
/// Rows that are inserted between two looks at the stop signal.
const BATCH: usize = 2048;

/// A row as the library's data: where its vector is.
#[derive(Clone)]
struct RowRef {
    chunk: Arc<Chunk>,
    place: u32,
    /// Under `Dot`: the extra coordinate that makes all norms equal.
    lift: f32,
}

/// The comparison that the graph is built with; never negative.
struct Compare {
    size: usize,
    distance: Distance,
    kernel: Kernel,
}

impl LibraryDistance<RowRef> for Compare {
    fn eval(&self, a: &[RowRef], b: &[RowRef]) -> f32 {
        let (a, b) = (&a[0], &b[0]);
        let between = (self.kernel)(
            a.chunk.vector(a.place as usize, self.size),
            b.chunk.vector(b.place as usize, self.size),
        );
        match self.distance {
            Distance::Cosine => (1.0 - between).max(0.0), // rounding may take a dot product above 1
            // With one more coordinate all vectors have the same norm, and the nearest by
            // Euclid are the largest by dot product (Bachrach et al. 2014).
            Distance::Dot => between + (a.lift - b.lift) * (a.lift - b.lift),
            Distance::Euclid | Distance::Manhattan => between,
        }
    }
}

/// A graph that is being built. Dropped when it is up to date: its points take about 2 kB each.
pub(super) struct Builder {
    library: Option<Hnsw<'static, RowRef, Compare>>,
    pool: rayon::ThreadPool,
    distance: Distance,
    largest_squared_norm: f32,
    width: usize,
    done: usize,
}

impl Builder {
    /// An empty graph for rows like these.
    ///
    /// # Errors
    /// `Internal` where threads cannot be started or the library panics.
    pub(super) fn new(rows: &Rows, distance: Distance, params: HnswParams) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads((cores / 2).max(1)) // the other half answers requests
            .thread_name(|i| format!("graph-{i}"))
            .build()
            .map_err(|error| Error::Internal(format!("no threads to build the graph with: {error}")))?;
        let kernel = match distance {
            Distance::Cosine => kernels().dot,
            Distance::Dot | Distance::Euclid => kernels().squared_euclid,
            Distance::Manhattan => kernels().manhattan,
        };
        let (m, ef) = (params.m.clamp(4, 64), params.ef_construct.clamp(4, 2_000));
        let compare = Compare { size: rows.size(), distance, kernel };
        let library = guard(|| Hnsw::new(m, rows.end(), MAX_LAYERS, ef, compare))?;
        let largest_squared_norm = match distance {
            Distance::Dot => largest_squared_norm(rows),
            Distance::Cosine | Distance::Euclid | Distance::Manhattan => 0.0,
        };
        Ok(Self { library: Some(library), pool, distance, largest_squared_norm, width: 2 * m, done: 0 })
    }

    /// Inserts the live rows up to `until`; returns early where `stop` is set.
    ///
    /// # Errors
    /// `Internal` where the library panics; the builder is of no use then.
    pub(super) fn extend(&mut self, rows: &Rows, until: usize, stop: &AtomicBool) -> Result<()> {
        while self.done < until && !stop.load(Ordering::Relaxed) {
            let batch = if self.done < ALONE { ALONE } else { BATCH };
            let end = (self.done + batch).min(until);
            let references: Vec<([RowRef; 1], usize)> =
                (self.done..end).filter_map(|row| self.reference(rows, row)).collect();
            let Some(library) = &self.library else { break };
            if self.done < ALONE {
                guard(|| references.iter().for_each(|(row, number)| library.insert_slice((row, *number))))?;
            } else {
                let slices: Vec<(&[RowRef], usize)> =
                    references.iter().map(|(row, number)| (row.as_slice(), *number)).collect();
                guard(|| self.pool.install(|| library.parallel_insert_slice(&slices)))?;
            }
            self.done = end;
        }
        Ok(())
    }

    fn reference(&self, rows: &Rows, row: usize) -> Option<([RowRef; 1], usize)> {
        let (chunk, place) = rows.locate(u32::try_from(row).ok()?);
        if place >= chunk.len() || chunk.is_deleted(place) {
            return None;
        }
        let lift = match self.distance {
            Distance::Dot => {
                let vector = chunk.vector(place, rows.size());
                (self.largest_squared_norm - (kernels().dot)(vector, vector)).max(0.0).sqrt()
            }
            Distance::Cosine | Distance::Euclid | Distance::Manhattan => 0.0,
        };
        Some(([RowRef { chunk: chunk.clone(), place: place as u32, lift }], row))
    }

    /// Rows that were taken in (or skipped as deleted) so far.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// The graph as it is now, in the form that is searched.
    ///
    /// # Errors
    /// `Internal` where the library panics.
    pub(super) fn graph(&self) -> Result<Graph> {
        let Some(library) = &self.library else {
            return Err(Error::Internal("the graph's builder is gone".into()));
        };
        guard(|| {
            let points = library.get_point_indexation();
            let top = library.get_max_level_observed();
            let layers = || (0..=usize::from(top)).flat_map(|layer| points.get_layer_iterator(layer));
            let entry = points.get_layer_iterator(usize::from(top)).next().map_or(0, |point| number(&point));
            Graph::new(self.done, self.width, entry, layers().map(|point| node(&point)))
        })
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        let library = self.library.take();
        if let Err(error) = guard(|| self.pool.install(|| drop(library))) {
            tracing::warn!("{error}");
        }
    }
}

fn number(point: &Point<'_, RowRef>) -> u32 {
    point.get_origin_id() as u32 // it was a u32 when it went in
}

fn node(point: &Point<'_, RowRef>) -> Node {
    let row = number(point);
    let own_layers = usize::from(point.get_point_id().0) + 1;
    let neighbours = point.get_neighborhood_id().into_iter().take(own_layers);
    let layers = neighbours
        .map(|list| list.into_iter().map(|n| n.d_id as u32).filter(|&neighbour| neighbour != row).collect())
        .collect();
    Node { row, layers }
}

fn largest_squared_norm(rows: &Rows) -> f32 {
    let dot = kernels().dot;
    let mut largest = 0.0f32;
    for chunk in rows.chunks() {
        for i in 0..chunk.len() {
            let vector = chunk.vector(i, rows.size());
            largest = largest.max(dot(vector, vector));
        }
    }
    largest
}

/// Runs a call into the library; a panic becomes an error.
fn guard<T>(call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Error::Internal(format!("the graph library panicked: {text}"))
    })
}
