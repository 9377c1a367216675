//! The graph in the form that is searched: neighbour lists of row numbers in one array, made
//! once from the builder's points and read-only from then on. The idea and the layout are
//! those of hnswlib and of Malkov and Yashunin (2016); the walk with a filter expands every
//! near row and keeps only the allowed ones.
//!
//! Invariant: every live row it covers is either reachable from the entry on the lowest layer
//! or in `loose`, which a search compares one by one. So no row is ever lost to a search.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::nearest::{Near, Nearest};

const NONE: u32 = u32::MAX;

/// One row's neighbours, as a builder hands them over.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) row: u32,
    /// Neighbours by layer, the lowest first; layers above the row's own are absent.
    pub(super) layers: Vec<Vec<u32>>,
}

/// A graph over the rows `0..covered`.
#[derive(Debug)]
pub(super) struct Graph {
    covered: usize,
    nodes: usize,
    width: usize,
    links: Vec<u32>,
    upper: Vec<HashMap<u32, Box<[u32]>>>,
    entry: u32,
    loose: Vec<u32>,
}

impl Graph {
    /// Takes the nodes over. `width` is the most neighbours on the lowest layer, `entry` the
    /// row on the highest.
    pub(super) fn new(covered: usize, width: usize, entry: u32, nodes: impl Iterator<Item = Node>) -> Self {
        Self::with_others(covered, width, entry, nodes, &[])
    }

    /// The same with rows that have no node: a search compares them one by one.
    pub(super) fn with_others(
        covered: usize,
        width: usize,
        entry: u32,
        nodes: impl Iterator<Item = Node>,
        others: &[u32],
    ) -> Self {
        let mut graph = Self {
            covered,
            nodes: 0,
            width,
            links: vec![NONE; covered * width],
            upper: Vec::new(),
            entry,
            loose: Vec::new(),
        };
        let mut present = vec![false; covered];
        for node in nodes {
            graph.nodes += 1;
            present[node.row as usize] = true;
            let list = &mut graph.links[node.row as usize * width..][..width];
            let mut layers = node.layers.into_iter();
            for (link, neighbour) in list.iter_mut().zip(layers.next().unwrap_or_default()) {
                *link = neighbour;
            }
            for (layer, neighbours) in layers.enumerate() {
                if graph.upper.len() <= layer {
                    graph.upper.push(HashMap::new());
                }
                graph.upper[layer].insert(node.row, neighbours.into());
            }
        }
        others.iter().for_each(|row| present[*row as usize] = true);
        graph.loose = graph.unreachable(present);
        graph
    }

    /// Most neighbours on the lowest layer.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The row that a walk starts from.
    pub(super) fn entry(&self) -> u32 {
        self.entry
    }

    /// The neighbours of a row by layer, the lowest first; empty where it has none.
    pub(super) fn layers(&self, row: u32) -> Vec<Vec<u32>> {
        let mut layers = vec![self.neighbours(row).collect::<Vec<u32>>()];
        let upper = self.upper.iter().map_while(|layer| layer.get(&row));
        layers.extend(upper.map(|neighbours| neighbours.to_vec()));
        layers
    }

    /// Rows `0..covered` are in the graph (those that were deleted before it was built are not).
    pub(super) fn covered(&self) -> usize {
        self.covered
    }

    /// How many rows it holds.
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Rows that the walk cannot reach.
    pub(super) fn loose(&self) -> &[u32] {
        &self.loose
    }

    fn neighbours(&self, row: u32) -> impl Iterator<Item = u32> {
        let start = row as usize * self.width;
        self.links[start..start + self.width].iter().copied().take_while(|&link| link != NONE)
    }

    fn unreachable(&self, mut present: Vec<bool>) -> Vec<u32> {
        let mut stack = vec![self.entry];
        if let Some(entry) = present.get_mut(self.entry as usize) {
            *entry = false;
        }
        while let Some(row) = stack.pop() {
            for neighbour in self.neighbours(row) {
                if std::mem::take(&mut present[neighbour as usize]) {
                    stack.push(neighbour);
                }
            }
        }
        (0..).zip(present).filter(|(_, left)| *left).map(|(row, _)| row).collect()
    }

    /// The nearest rows for which `keep` holds, looking at the `ef` best as it goes.
    pub(super) fn walk(&self, ef: usize, rank: impl Fn(u32) -> f32, keep: impl Fn(u32) -> bool) -> Nearest {
        let mut nearest = Nearest::new(ef);
        if self.nodes == 0 {
            return nearest;
        }
        let start = self.descend(&rank);
        VISITED.with_borrow_mut(|visited| {
            visited.clear();
            visited.resize(self.covered.div_ceil(64), 0);
            let mut fresh = |row: u32| {
                let (word, bit) = (&mut visited[row as usize / 64], 1u64 << (row % 64));
                let fresh = *word & bit == 0;
                *word |= bit;
                fresh
            };
            let mut candidates = BinaryHeap::from([Reverse(start)]);
            fresh(start.number);
            if keep(start.number) {
                nearest.offer(start);
            }
            while let Some(Reverse(candidate)) = candidates.pop() {
                if !nearest.admits(candidate.rank) {
                    break;
                }
                for row in self.neighbours(candidate.number) {
                    if !fresh(row) {
                        continue;
                    }
                    let near = Near { rank: rank(row), number: row };
                    if nearest.admits(near.rank) {
                        candidates.push(Reverse(near));
                        if keep(row) {
                            nearest.offer(near);
                        }
                    }
                }
            }
        });
        nearest
    }

    /// Greedily down the upper layers, to where the lowest one is entered.
    fn descend(&self, rank: &impl Fn(u32) -> f32) -> Near {
        let mut best = Near { rank: rank(self.entry), number: self.entry };
        for layer in self.upper.iter().rev() {
            let mut moved = true;
            while moved {
                moved = false;
                for &row in layer.get(&best.number).into_iter().flatten() {
                    let near = Near { rank: rank(row), number: row };
                    if near.rank < best.rank {
                        (best, moved) = (near, true);
                    }
                }
            }
        }
        best
    }
}

thread_local! {
    /// One bit a row, kept from search to search: clearing it is cheaper than getting it.
    static VISITED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(links: &[(u32, &[u32])]) -> Graph {
        let nodes = links.iter().map(|(row, next)| Node { row: *row, layers: vec![next.to_vec()] });
        Graph::new(6, 4, 0, nodes)
    }

    #[test]
    fn rows_that_no_edge_reaches_are_loose() {
        let graph = chain(&[(0, &[1]), (1, &[0, 2]), (2, &[1]), (3, &[0]), (5, &[3])]);
        assert_eq!(graph.loose(), [3, 5]);
        assert_eq!(graph.nodes(), 5);
    }

    #[test]
    fn a_walk_passes_through_rows_that_are_not_allowed() {
        let graph = chain(&[(0, &[1]), (1, &[0, 2]), (2, &[1, 3]), (3, &[2, 4]), (4, &[3])]);
        let found = graph.walk(2, |row| (4.0 - row as f32).abs(), |row| row % 2 == 0).into_sorted();
        assert_eq!(found.iter().map(|near| near.number).collect::<Vec<_>>(), [4, 2]);
    }
}
