//! The lowest layer of the graph, where nearly all of its edges are. Rows are put in by batches:
//! each looks for its nearest in the graph as it stands (by bytes, which is what makes this fast),
//! chooses a list so that no neighbour is nearer to another one than to the row (Malkov and
//! Yashunin 2016, algorithm 4), and its neighbours take it into theirs, choosing anew where a list
//! is full. All rows of a batch see the same graph, so the result does not depend on threads.
//!
//! At the end every row may look once more (`polished`): early ones met a small graph.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::arena::Rows;
use super::graph::{Graph, Ranker};
use super::measure::Measure;
use super::nearest::Near;
use super::quantised::Query;

/// A batch is this share of the rows that are in already: what its rows cannot see of each other.
const BATCH_SHARE: usize = 8;
const MAX_BATCH: usize = 8_192;
/// A candidate for a list is compared with so many of those taken before the next look whether one is nearer.
const COMPARED_AT_ONCE: usize = 8;

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
                Some((row, self.cut(graph, row, all)))
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
        let from = self.from(graph, row);
        let mut near = graph.walk(ef, &from);
        let known: HashSet<u32> = near.iter().map(|near| near.number).collect();
        near.extend(from.near(old.iter().copied().filter(|old| !known.contains(old)).collect()));
        self.chosen(graph, most, row, near)
    }

    fn cut(&self, graph: &Graph, row: u32, mut list: Vec<u32>) -> Vec<u32> {
        list.sort_unstable();
        list.dedup();
        if list.len() <= graph.width() {
            return list;
        }
        let near = self.from(graph, row).near(list);
        self.chosen(graph, graph.width(), row, near)
    }

    /// At most `most` of the candidates: near ones that lie in different directions, and if there is
    /// room up to half a list of the nearest of the others.
    fn chosen(&self, graph: &Graph, most: usize, row: u32, mut near: Vec<Near>) -> Vec<u32> {
        near.retain(|near| near.number != row);
        near.sort_unstable();
        let mut list: Vec<u32> = Vec::with_capacity(most);
        let mut passed_over = Vec::new();
        let mut from = self.from(graph, row);
        let mut ranked = [0.0; COMPARED_AT_ONCE];
        for candidate in near {
            if list.len() == most {
                break;
            }
            from.turn_to(candidate.number);
            let is_apart = list.chunks(COMPARED_AT_ONCE).all(|taken| {
                let ranked = &mut ranked[..taken.len()];
                from.ranks(taken, ranked);
                ranked.iter().all(|&rank| rank > candidate.rank)
            });
            if is_apart {
                list.push(candidate.number);
            } else if passed_over.len() < self.m {
                passed_over.push(candidate.number);
            }
        }
        let room = self.m.min(most).saturating_sub(list.len());
        list.extend(passed_over.into_iter().take(room));
        list
    }

    fn from<'a>(&'a self, graph: &'a Graph, row: u32) -> From<'a> {
        match graph.bytes() {
            Some(bytes) => From::Bytes(bytes.query_of(row)),
            None => From::Exact(self, row),
        }
    }

    fn between(&self, a: u32, b: u32) -> f32 {
        let (a, b) = (self.rows.vector(a), self.rows.vector(b));
        self.measure.between((&a, self.measure.lift(&a)), (&b, self.measure.lift(&b)))
    }
}

/// A row that others are compared with: by bytes where there are any.
enum From<'a> {
    Bytes(Query<'a>),
    Exact(&'a Growth<'a>, u32),
}

impl Ranker for From<'_> {
    fn ranks(&self, rows: &[u32], out: &mut [f32]) {
        match self {
            From::Bytes(query) => query.ranks(rows, out),
            From::Exact(growth, own) => {
                rows.iter().zip(out).for_each(|(&row, out)| *out = growth.between(*own, row));
            }
        }
    }

    fn fetch(&self, row: u32) {
        match self {
            From::Bytes(query) => query.fetch(row),
            From::Exact(growth, _) => growth.rows.prefetch(row),
        }
    }
}

impl From<'_> {
    fn near(&self, rows: Vec<u32>) -> Vec<Near> {
        rows.iter().for_each(|&row| self.fetch(row));
        let mut ranks = vec![0.0; rows.len()];
        self.ranks(&rows, &mut ranks);
        rows.into_iter().zip(ranks).map(|(number, rank)| Near { rank, number }).collect()
    }

    fn turn_to(&mut self, row: u32) {
        match self {
            From::Bytes(query) => query.turn_to(row),
            From::Exact(_, own) => *own = row,
        }
    }
}
