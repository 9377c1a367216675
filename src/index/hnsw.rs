//! The upper layers of the graph, built with hnsw_rs, the only place that names it: an HNSW over
//! every sixteenth row or so (one in `m`) is what the layers above the lowest one are. What that
//! library does not survive is kept from it: parameters are clamped (it ends the process above 256
//! neighbours), vectors were checked when they were inserted, distances cannot be negative or NaN
//! (it asserts), the first rows go in alone (two first rows at once lose each other), nothing reads
//! the points while rows are inserted (its iterator would deadlock), every call is guarded against
//! panics. It works on references to rows, so no vector is copied.
//!
//! It does not build the lowest layer: there it takes 3 to 8 times the CPU time of hnswlib, and 2.6 kB
//! beside each vector.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hnsw_rs::anndists::dist::distances::Distance as LibraryDistance;
use hnsw_rs::hnsw::{Hnsw, Point};

use super::arena::Rows;
use super::measure::Measure;
use super::upper::{Node, Sampled};
use crate::error::{Error, Result};
use crate::types::HnswParams;

/// hnsw_rs allows 16 layers and no more.
const MAX_LAYERS: usize = 16;
/// The first rows are inserted by one thread, until there is a graph to meet in.
const ALONE: usize = 64;
/// Rows that are inserted between two looks at the stop signal.
const BATCH: usize = 2048;

/// A row as the library's data. One in `m` rows is here, so that a copy of its own costs little.
#[derive(Clone)]
struct RowRef {
    vector: Arc<[f32]>,
    lift: f32,
}

/// The comparison that the graph is built with.
struct Compare {
    measure: Measure,
}

impl LibraryDistance<RowRef> for Compare {
    fn eval(&self, a: &[RowRef], b: &[RowRef]) -> f32 {
        let (a, b) = (&a[0], &b[0]);
        self.measure.between((&a.vector, a.lift), (&b.vector, b.lift))
    }
}

/// Builds the graph of `sample`, which is not empty. Early at its end where `stop` is set.
///
/// # Errors
/// `Internal` where the library panics.
pub(super) fn build(
    rows: &Rows,
    sample: &[u32],
    measure: Measure,
    params: HnswParams,
    stop: &AtomicBool,
) -> Result<Sampled> {
    let compare = Compare { measure };
    let library = guard(|| {
        let (m, ef) = (params.m.clamp(4, 64), params.ef_construct.clamp(4, 2_000));
        Hnsw::new(m, sample.len(), MAX_LAYERS, ef, compare)
    })?;
    let mut done = 0;
    while done < sample.len() && !stop.load(Ordering::Relaxed) {
        let end = (done + if done < ALONE { ALONE } else { BATCH }).min(sample.len());
        let references: Vec<([RowRef; 1], usize)> = sample[done..end]
            .iter()
            .map(|&row| {
                let vector: Arc<[f32]> = Arc::from(&*rows.vector(row));
                let lift = measure.lift(&vector);
                ([RowRef { vector, lift }], row as usize)
            })
            .collect();
        if done < ALONE {
            guard(|| references.iter().for_each(|(row, number)| library.insert_slice((row, *number))))?;
        } else {
            let slices: Vec<(&[RowRef], usize)> =
                references.iter().map(|(row, number)| (row.as_slice(), *number)).collect();
            guard(|| library.parallel_insert_slice(&slices))?;
        }
        done = end;
    }
    let sampled = guard(|| {
        let points = library.get_point_indexation();
        let top = library.get_max_level_observed();
        let layers = || (0..=usize::from(top)).flat_map(|layer| points.get_layer_iterator(layer));
        let entry =
            points.get_layer_iterator(usize::from(top)).next().map_or(sample[0], |point| number(&point));
        Sampled { entry, nodes: layers().map(|point| node(&point)).collect() }
    })?;
    guard(|| drop(library))?;
    Ok(sampled)
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
