//! The lowest layer of the graph, where nearly all of its edges are. Rows are put in by batches:
//! each looks for its nearest in the graph as it stands (by bytes, which is what makes this fast),
//! chooses a list so that no neighbour is nearer to another one than to the row (Malkov and
//! Yashunin 2016, algorithm 4), and its neighbours take it into theirs, choosing anew where a list
//! is full. All rows of a batch see the same graph, so the result does not depend on threads.
//!
//! At the end every row may look once more (`polished`): early ones met a small graph.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::arena::Rows;
use super::graph::Graph;
use super::measure::Measure;
use super::nearest::Near;
use crate::distance;

/// A batch is this share of the rows that are in already: what its rows cannot see of each other.
const BATCH_SHARE: usize = 8;
const MAX_BATCH: usize = 8_192;

/// What a graph grows by.
pub(super) struct Growth<'a> {
    pub(super) rows: &'a Rows,
    pub(super) measure: Measure,
    /// Neighbours that a new row chooses; lists hold twice as many.
    pub(super) m: usize,
    /// Candidates of a new row.
    pub(super) ef: usize,
    pub(super) stop: &'a AtomicBool,
}

impl Growth<'_> {
    /// Puts `rows` in; what `stop` leaves out is not in the graph.
    pub(super) fn insert(&self, graph: &mut Graph, rows: &[u32]) {
        let mut left = rows;
        while !left.is_empty() && !self.stop.load(Ordering::Relaxed) {
            let size = (graph.nodes() / BATCH_SHARE).clamp(1, MAX_BATCH).min(left.len());
            let (batch, rest) = left.split_at(size);
            left = rest;
            let lists: Vec<Vec<u32>> =
                batch.par_iter().map(|&row| self.nearest(graph, row, &[], self.ef, self.m)).collect();
            let mut back: Vec<(u32, u32)> = Vec::new();
            for (&row, list) in batch.iter().zip(&lists) {
                back.extend(list.iter().map(|&to| (to, row)));
                graph.add(row, list);
            }
            back.sort_unstable();
            self.link_back(graph, &back);
        }
    }

    /// Adds edges, sorted by the row that they leave.
    fn link_back(&self, graph: &mut Graph, edges: &[(u32, u32)]) {
        let groups: Vec<&[(u32, u32)]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
        let lists: Vec<(u32, Vec<u32>)> = groups
            .par_iter()
            .filter_map(|group| {
                let row = group.first()?.0;
                let all = graph.neighbours(row).chain(group.iter().map(|edge| edge.1)).collect();
                Some((row, self.cut(graph.width(), row, all)))
            })
            .collect();
        lists.iter().for_each(|(row, list)| graph.link(*row, list));
    }

    /// The graph after every row has looked for its nearest again, with lists as full as they may be.
    pub(super) fn polished(&self, graph: Graph, ef: usize) -> Graph {
        let (rows, width) = (graph.rows(), graph.width());
        let again = |&row: &u32| {
            let old: Vec<u32> = graph.neighbours(row).collect();
            if self.stop.load(Ordering::Relaxed) { old } else { self.nearest(&graph, row, &old, ef, width) }
        };
        let lists: Vec<Vec<u32>> = rows.par_iter().map(again).collect();
        let mut edges: Vec<(u32, u32)> = Vec::new();
        let mut graph = graph;
        for (&row, list) in rows.iter().zip(&lists) {
            edges.extend(list.iter().map(|&to| (to, row)));
            graph.link(row, list);
        }
        edges.par_sort_unstable();
        self.link_back(&mut graph, &edges);
        graph
    }

    /// A row's list of at most `most`, from a walk and from what it has.
    fn nearest(&self, graph: &Graph, row: u32, old: &[u32], ef: usize, most: usize) -> Vec<u32> {
        let met = match graph.bytes() {
            Some(bytes) => {
                let query = bytes.query_of(row);
                graph.walk(ef, |row| query.rank(row), |row| query.prefetch(row))
            }
            None => {
                let vector = self.lifted(row);
                let fetch = |row| distance::prefetch(self.rows.vector(row));
                graph.walk(ef, |row| self.measure.between(vector, self.lifted(row)), fetch)
            }
        };
        self.chosen(most, row, met.into_iter().map(|near| near.number).chain(old.iter().copied()))
    }

    fn cut(&self, most: usize, row: u32, mut list: Vec<u32>) -> Vec<u32> {
        list.sort_unstable();
        list.dedup();
        if list.len() <= most { list } else { self.chosen(most, row, list.into_iter()) }
    }

    /// At most `most` of the candidates: near ones that lie in different directions, and if there is
    /// room up to half a list of the nearest of the others.
    fn chosen(&self, most: usize, row: u32, candidates: impl Iterator<Item = u32>) -> Vec<u32> {
        let own = self.lifted(row);
        let mut near: Vec<Near> = candidates
            .filter(|&other| other != row)
            .map(|other| Near { rank: self.measure.between(own, self.lifted(other)), number: other })
            .collect();
        near.sort_unstable();
        near.dedup_by_key(|near| near.number);
        let mut list: Vec<u32> = Vec::with_capacity(most);
        let mut passed_over = Vec::new();
        for candidate in near {
            if list.len() == most {
                break;
            }
            let vector = self.lifted(candidate.number);
            let apart = |&taken: &u32| self.measure.between(vector, self.lifted(taken)) > candidate.rank;
            if list.iter().all(apart) {
                list.push(candidate.number);
            } else if passed_over.len() < self.m {
                passed_over.push(candidate.number);
            }
        }
        let room = self.m.min(most).saturating_sub(list.len());
        list.extend(passed_over.into_iter().take(room));
        list
    }

    fn lifted(&self, row: u32) -> (&[f32], f32) {
        let vector = self.rows.vector(row);
        (vector, self.measure.lift(vector))
    }
}
