//! A graph as it can be kept outside the process: by slots, without vectors. Taking one back
//! trusts nothing of it: neighbours that are not there are left out, rows that it does not know
//! are searched one by one, and one that knows too little is not taken. One that was built for another `m` or
//! `ef_construct` than is wanted now answers until it is built anew.

use std::sync::Arc;

use super::graph::Graph;
use super::measure::Measure;
use super::quantised::Quantised;
use super::state::Tuning;
use super::upper::Node;
use super::{Index, build, originals};
use crate::types::HnswParams;

/// Of so many rows in the graph's range at most one may be unknown to it.
const UNKNOWN_PART: usize = 5;
/// Layers that a graph can have.
const MAX_LAYERS: usize = 16;

/// A graph, by slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptGraph {
    /// `m` that it was built for.
    pub m: usize,
    /// `ef_construct` that it was built for.
    pub ef_construct: usize,
    /// Most neighbours on the lowest layer.
    pub width: usize,
    /// Where a walk starts.
    pub entry: u32,
    /// Slots with their neighbours by layer, the lowest first.
    pub nodes: Vec<(u32, Vec<Vec<u32>>)>,
}

impl Index {
    /// Starts no build until [`Index::resume_builds`]; for the time of loading.
    pub fn hold_builds(&self) {
        self.shared.state.write().building = true;
    }

    /// Builds again, at once if there is reason to.
    pub fn resume_builds(&self) {
        let start = {
            let mut state = self.shared.state.write();
            state.building = false;
            self.claim_build(&mut state)
        };
        if start {
            build::start(&self.shared);
        }
        originals::shed_if_due(&self.shared);
    }

    /// Sets what is called on the building thread when a graph is up to date; the first stays.
    pub fn on_graph(&self, call: Box<dyn Fn() + Send + Sync>) {
        if self.shared.on_graph.set(call).is_err() {
            tracing::debug!("a second call for a graph that is up to date is not used");
        }
    }

    /// The graph as it is now, without rows that are deleted; `None` where there is none.
    pub fn keep(&self) -> Option<KeptGraph> {
        let (rows, graph, HnswParams { m, ef_construct, .. }) = {
            let state = self.shared.state.read();
            (state.sealed.clone(), state.graph.clone()?, state.built_by.hnsw)
        };
        let slot = |row: u32| {
            let (chunk, place) = rows.locate(row);
            (place < chunk.len() && !chunk.is_deleted(place)).then(|| chunk.slots()[place])
        };
        let covered = u32::try_from(graph.covered()).ok()?;
        let node = |row| {
            let layers = graph.layers(row).into_iter();
            let layers = layers.map(|layer| layer.into_iter().filter_map(slot).collect::<Vec<u32>>());
            Some((slot(row)?, layers.collect::<Vec<_>>()))
        };
        let nodes: Vec<_> = (0..covered).filter_map(node).collect();
        let highest = nodes.iter().max_by_key(|(_, layers)| layers.len()).map(|(slot, _)| *slot)?;
        let entry = slot(graph.entry()).unwrap_or(highest);
        Some(KeptGraph { m, ef_construct, width: graph.width(), entry, nodes })
    }

    /// Takes a graph over whose slots are this index's; only while builds are held. Returns
    /// whether it was taken.
    pub fn adopt(&self, kept: KeptGraph) -> bool {
        // Chunks are only added while builds are held: what is worked out here stays right.
        let (rows, has_one, tuning) = {
            let state = self.shared.state.read();
            (state.sealed.clone(), state.graph.is_some(), state.tuning)
        };
        let hnsw = HnswParams { m: kept.m, ef_construct: kept.ef_construct, ..tuning.hnsw };
        let built_by = Tuning { hnsw, ..tuning };
        if has_one || kept.width != Graph::width_for(2 * built_by.m()) {
            return false;
        }
        let shift = rows.chunk_rows().ilog2();
        let row_of = |slot: u32| {
            let number = rows.chunks().partition_point(|chunk| chunk.slots()[0] <= slot).checked_sub(1)?;
            let place = rows.chunks()[number].find(slot)?;
            u32::try_from((number << shift) + place).ok()
        };
        let mut nodes: Vec<(u32, Vec<Vec<u32>>)> =
            kept.nodes.into_iter().filter_map(|(slot, layers)| Some((row_of(slot)?, layers))).collect();
        nodes.sort_unstable_by_key(|(row, _)| *row);
        nodes.dedup_by_key(|(row, _)| *row);
        // Whole chunks, so that what is behind the graph is scanned by chunks.
        let behind = nodes.last().map_or(0, |(row, _)| *row as usize + 1);
        let covered = behind & !(rows.chunk_rows() - 1);
        nodes.retain(|(row, _)| (*row as usize) < covered);
        let mut has_node = vec![false; covered];
        nodes.iter().for_each(|(row, _)| has_node[*row as usize] = true);
        let is_node = |row: &u32| has_node.get(*row as usize) == Some(&true);
        let others: Vec<u32> = (0_u32..)
            .zip(&has_node)
            .filter(|(row, has_node)| !**has_node && rows.locate(*row).1 < rows.locate(*row).0.len())
            .map(|(row, _)| row)
            .collect();
        if nodes.is_empty() || others.len() * UNKNOWN_PART > nodes.len() {
            return false;
        }
        let entry = row_of(kept.entry).filter(is_node);
        let highest = nodes.iter().max_by_key(|(_, layers)| layers.len()).map(|(row, _)| *row);
        let Some(entry) = entry.or(highest) else { return false };
        let as_rows = |layer: &Vec<u32>| -> Vec<u32> {
            layer.iter().filter_map(|slot| row_of(*slot)).filter(is_node).take(kept.width).collect()
        };
        let made = nodes.iter().map(|(row, layers)| Node {
            row: *row,
            layers: layers.iter().take(MAX_LAYERS).map(as_rows).collect(),
        });
        let measure = Measure::new(&rows, self.shared.distance);
        let quantization = tuning.quantization;
        let bytes = Quantised::of(&rows, covered, self.shared.distance, &measure, quantization);
        let graph =
            Graph::kept(covered, kept.width, entry, made.collect(), bytes).finished(&others, quantization);
        tracing::debug!(rows = covered, loose = graph.loose().len(), "a kept graph is in place");
        let mut state = self.shared.state.write();
        let is_wanted = state.graph.is_none();
        if is_wanted {
            state.put(Some(Arc::new(graph)), built_by);
        }
        is_wanted
    }
}
