//! The graph in the form that is searched: the lowest layer's neighbour lists in one array that
//! starts at cache lines, above it `upper.rs`. The idea and the layout are those of hnswlib
//! and of Malkov and Yashunin (2016). `grow.rs` and `hnsw.rs` make it; it is read-only from then on.
//!
//! Invariant of a finished graph: every row it holds is either reachable from the entry on the
//! lowest layer or in `loose`, which a search compares one by one. So no row is lost to a search.

use std::cell::RefCell;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::nearest::{Near, Nearest};
use super::quantised::Quantised;
use super::reach::{Reach, Stop};
use super::upper::{Node, Sampled, Upper};
use crate::distance::{Pages, prefetch};
use crate::types::Quantization;

const NONE: u32 = u32::MAX;
/// Candidates that are looked around from at a time, so that their reads overlap: a little more is looked
/// at in less time. Of few candidates these, of many up to the most.
const AT_A_TIME: usize = 3;
const MOST_AT_A_TIME: usize = 12;
/// One more at a time for so many candidates that are kept. Measured on words: with `hnsw_ef` 256 a query takes 0.7
/// of what it does by threes, with 64 0.93; on clustered vectors nothing changes.
const KEPT_FOR_ONE: usize = 48;

/// How a walk ranks rows.
pub(super) trait Ranker {
    /// Smaller is nearer.
    fn ranks(&self, rows: &[u32], out: &mut [f32]);

    /// Ranks that may be rougher, by less to read: for the way to the neighbourhood. They compare with each
    /// other alone.
    fn rough_ranks(&self, rows: &[u32], out: &mut [f32]) {
        self.ranks(rows, out);
    }

    /// Begins to read what `ranks` will need of a row.
    fn fetch(&self, row: u32);

    /// Begins to read what `sift` and `rough_ranks` will need of a row, or what `ranks` will where nothing is
    /// sifted.
    fn glance(&self, row: u32) {
        self.fetch(row);
    }

    /// May leave out rows whose ranks are hardly below `worst`, and fetches the others.
    fn sift(&self, _rows: &mut Vec<u32>, _worst: f32) {}
}

/// Sixteen links: a cache line, which a list never shares with another row's.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Links([u32; 16]);

impl Links {
    const WIDTH: usize = 16;
}

/// A graph over rows among `0..covered`.
#[derive(Debug)]
pub(super) struct Graph {
    covered: usize,
    present: RoaringBitmap,
    /// Lines of links that a row has on the lowest layer.
    lines_per_row: usize,
    links: Pages<Links>,
    upper: Arc<Upper>,
    loose: Vec<u32>,
    /// What a walk compares, where the distance allows it.
    bytes: Option<Quantised>,
    /// Rows that it covered when its lists were last polished.
    polished: usize,
    /// How far a walk goes, where that is known.
    reach: Option<Reach>,
}

impl Graph {
    /// Most neighbours on the lowest layer of a graph for so many: whole lines of them.
    pub(super) fn width_for(neighbours: usize) -> usize {
        neighbours.max(1).next_multiple_of(Links::WIDTH)
    }

    /// The upper layers, whose rows have on the lowest layer the neighbours that they have among
    /// each other. `width` is the most neighbours there, at least.
    pub(super) fn new(covered: usize, width: usize, sampled: Sampled, bytes: Option<Quantised>) -> Self {
        let lines_per_row = Self::width_for(width) / Links::WIDTH;
        let mut links = Pages::huge(covered * lines_per_row);
        links.resize(covered * lines_per_row, Links([NONE; Links::WIDTH]));
        let mut graph = Self {
            covered,
            present: RoaringBitmap::new(),
            lines_per_row,
            links,
            upper: Arc::new(Upper::new(sampled.entry, covered, Vec::new())),
            loose: Vec::new(),
            bytes,
            polished: 0,
            reach: None,
        };
        graph.put_on(sampled);
        graph
    }

    /// This with room for the rows `0..covered`, whose bytes are given.
    pub(super) fn widened(&self, covered: usize, bytes: Option<Quantised>) -> Self {
        let mut links = Pages::huge(covered * self.lines_per_row);
        links.extend_from_slice(&self.links);
        links.resize(covered * self.lines_per_row, Links([NONE; Links::WIDTH]));
        Self {
            covered,
            present: self.present.clone(),
            lines_per_row: self.lines_per_row,
            links,
            upper: self.upper.clone(),
            loose: Vec::new(),
            bytes,
            polished: self.polished,
            reach: None,
        }
    }

    /// True where the upper layers were made of less than half the rows.
    pub(super) fn is_flat(&self) -> bool {
        self.upper.covered * 2 < self.covered
    }

    /// Takes these upper layers; a row of them that has no neighbours yet gets theirs.
    pub(super) fn put_on(&mut self, sampled: Sampled) {
        for node in &sampled.nodes {
            if !self.present.contains(node.row) {
                self.add(node.row, node.layers.first().map_or(&[], Vec::as_slice));
            }
        }
        self.upper = Arc::new(Upper::new(sampled.entry, self.covered, sampled.nodes));
    }

    /// Puts a row in with these neighbours on the lowest layer.
    pub(super) fn add(&mut self, row: u32, neighbours: &[u32]) {
        self.present.insert(row);
        self.link(row, neighbours);
    }

    /// Gives a row these neighbours on the lowest layer; those that do not fit are left out.
    pub(super) fn link(&mut self, row: u32, neighbours: &[u32]) {
        let own = &mut self.links[row as usize * self.lines_per_row..][..self.lines_per_row];
        let mut rest = neighbours.iter().copied();
        for line in own {
            line.0 = std::array::from_fn(|_| rest.next().unwrap_or(NONE));
        }
    }

    /// A graph as it was kept: every row with its neighbours from the lowest layer on.
    pub(super) fn kept(
        covered: usize,
        width: usize,
        entry: u32,
        nodes: Vec<Node>,
        bytes: Option<Quantised>,
    ) -> Self {
        let lowest: Vec<(u32, Vec<u32>)> =
            nodes.iter().map(|node| (node.row, node.layers.first().cloned().unwrap_or_default())).collect();
        let above = nodes.into_iter().filter(|node| node.layers.len() > 1);
        let above =
            above.map(|node| Node { row: node.row, layers: node.layers.into_iter().skip(1).collect() });
        let mut graph = Self::new(covered, width, Sampled { entry, nodes: above.collect() }, bytes);
        lowest.iter().for_each(|(row, list)| graph.add(*row, list));
        graph.with_polish()
    }

    /// The finished graph: what cannot be reached is written down, with the `others` of its range
    /// that it does not hold. Bytes are left behind where it is to be walked by bits.
    pub(super) fn finished(mut self, others: &[u32], quantization: Quantization) -> Self {
        if quantization == Quantization::Binary {
            self.bytes = self.bytes.map(Quantised::into_bits);
        }
        self.loose = self.unreachable();
        self.loose.extend_from_slice(others);
        self.reach = self.bytes.as_ref().and_then(|bytes| Reach::of(&self, bytes));
        self
    }

    /// Marks the lists as polished.
    pub(super) fn with_polish(self) -> Self {
        Self { polished: self.covered, ..self }
    }

    /// True where a third or more of the rows came after the last polish.
    pub(super) fn is_rough(&self) -> bool {
        self.polished * 3 < self.covered * 2
    }

    /// The rows as bytes.
    pub(super) fn bytes(&self) -> Option<&Quantised> {
        self.bytes.as_ref()
    }

    /// Most neighbours of a row on the lowest layer.
    pub(super) fn width(&self) -> usize {
        self.lines_per_row * Links::WIDTH
    }

    /// The row that a walk starts from.
    pub(super) fn entry(&self) -> u32 {
        self.upper.entry
    }

    /// The neighbours of a row by layer, the lowest first; empty where it has none.
    pub(super) fn layers(&self, row: u32) -> Vec<Vec<u32>> {
        let mut layers = vec![self.neighbours(row).collect::<Vec<u32>>()];
        layers.extend(self.upper.links(row));
        layers
    }

    /// Rows `0..covered` are in the graph (those that were deleted before it was built are not).
    pub(super) fn covered(&self) -> usize {
        self.covered
    }

    /// How many rows it holds.
    pub(super) fn nodes(&self) -> usize {
        self.present.len() as usize // rows are numbered by u32
    }

    /// Of the rows that it holds, in increasing order, the one at this place.
    pub(super) fn nth(&self, place: u32) -> Option<u32> {
        self.present.select(place)
    }

    /// How distances grow with their place, where that is known.
    pub(super) fn reach(&self) -> Option<Reach> {
        self.reach
    }

    /// The rows that it holds.
    pub(super) fn rows(&self) -> Vec<u32> {
        self.present.iter().collect()
    }

    /// Whether it holds a row.
    pub(super) fn holds(&self, row: u32) -> bool {
        self.present.contains(row)
    }

    /// Rows that the walk cannot reach.
    pub(super) fn loose(&self) -> &[u32] {
        &self.loose
    }

    /// A row's neighbours on the lowest layer.
    pub(super) fn neighbours(&self, row: u32) -> impl Iterator<Item = u32> {
        self.lines_of(row).iter().flat_map(|line| line.0).take_while(|&link| link != NONE)
    }

    #[inline(always)]
    fn lines_of(&self, row: u32) -> &[Links] {
        &self.links[row as usize * self.lines_per_row..][..self.lines_per_row]
    }

    fn unreachable(&self) -> Vec<u32> {
        let mut left = self.present.clone();
        let mut stack = vec![self.upper.entry];
        left.remove(self.upper.entry);
        while let Some(row) = stack.pop() {
            stack.extend(self.neighbours(row).filter(|&neighbour| left.remove(neighbour)));
        }
        left.into_iter().collect()
    }

    /// The `ef` nearest rows that a walk meets, best first.
    pub(super) fn walk(&self, ef: usize, ranker: &impl Ranker) -> Vec<Near> {
        self.walk_to(Stop::at(ef), ranker)
    }

    /// The nearest rows that a walk meets until it has gone far enough, best first.
    pub(super) fn walk_to(&self, stop: Stop, ranker: &impl Ranker) -> Vec<Near> {
        self.walk_among(stop, ranker, None)
    }

    /// The same where only some rows are hits; the others lead on, and are among those that are returned.
    ///
    /// Candidates stand in one sorted pool; the best that were not looked around from come next, a few
    /// at a time.
    pub(super) fn walk_among(
        &self,
        stop: Stop,
        ranker: &impl Ranker,
        is_hit: Option<&dyn Fn(u32) -> bool>,
    ) -> Vec<Near> {
        let ef = stop.most;
        let is_hit = is_hit.filter(|_| stop.is_bounded()); // otherwise it makes no difference
        let mut hits = Nearest::new(if is_hit.is_some() { stop.hits } else { 0 });
        if self.present.is_empty() || ef == 0 {
            return Vec::new();
        }
        SCRATCH.with_borrow_mut(|Scratch { visited, pool, coming, fresh, ranked }| {
            let start = self.upper.descend(ranker, ranked);
            visited.clear();
            visited.resize(self.covered.div_ceil(64), 0);
            pool.clear();
            pool.push(Candidate { rank: start.rank, row: start.number, expanded: false });
            visited[start.number as usize / 64] |= 1 << (start.number % 64);
            if is_hit.is_some_and(|is_hit| is_hit(start.number)) {
                hits.offer(start);
            }
            let at_a_time = (ef / KEPT_FOR_ONE).clamp(AT_A_TIME, MOST_AT_A_TIME);
            let mut at = 0;
            let mut bound = f32::INFINITY;
            loop {
                while pool.get(at).is_some_and(|candidate| candidate.expanded) {
                    at += 1;
                }
                let mut taken = [NONE; MOST_AT_A_TIME];
                let mut next = at;
                for taken in &mut taken[..at_a_time] {
                    while pool.get(next).is_some_and(|candidate| candidate.expanded) {
                        next += 1;
                    }
                    if let Some(candidate) = pool.get_mut(next)
                        && (next < stop.least || candidate.rank <= bound)
                    {
                        candidate.expanded = true;
                        *taken = candidate.row;
                    }
                }
                if taken[0] == NONE {
                    break;
                }
                // Whether a row was met before cannot be foretold, so nothing branches on it.
                fresh.resize(at_a_time * self.width(), NONE);
                let mut count = 0;
                for taken in taken.into_iter().take_while(|&taken| taken != NONE) {
                    for &row in self.lines_of(taken).iter().flat_map(|line| &line.0) {
                        if row == NONE {
                            break;
                        }
                        let (word, bit) = (&mut visited[row as usize / 64], 1u64 << (row % 64));
                        fresh[count] = row;
                        count += usize::from(*word & bit == 0);
                        *word |= bit;
                    }
                }
                fresh.truncate(count);
                fresh.iter().for_each(|&row| ranker.glance(row));
                // What is beyond the bound is kept only among the least, and would not be looked around from.
                let worst = if pool.len() < ef { f32::INFINITY } else { pool[ef - 1].rank };
                let worst = if pool.len() < stop.least {
                    worst
                } else {
                    worst.min(bound.max(pool[stop.least - 1].rank))
                };
                ranker.sift(fresh, worst);
                ranked.resize(fresh.len(), 0.0);
                ranker.ranks(fresh, ranked);
                coming.resize(fresh.len(), Candidate::default());
                let mut count = 0;
                for (&row, &rank) in fresh.iter().zip(ranked.iter()) {
                    coming[count] = Candidate { rank, row, expanded: false };
                    count += usize::from(rank < worst);
                }
                coming.truncate(count);
                coming.sort_unstable_by(|a, b| a.rank.total_cmp(&b.rank));
                // Asked for before they are put in, which takes as long as the memory's answer.
                for next in coming.iter().take(at_a_time) {
                    prefetch(self.lines_of(next.row));
                }
                at = merge(pool, coming, ef).min(at + 1);
                let rank_of = |place: usize| pool.get(place).map(|candidate| candidate.rank);
                let last = match is_hit {
                    None => rank_of(stop.hits - 1),
                    Some(is_hit) => {
                        for coming in coming.iter() {
                            if !hits.admits(coming.rank) {
                                break;
                            }
                            if is_hit(coming.row) {
                                hits.offer(Near { rank: coming.rank, number: coming.row });
                            }
                        }
                        hits.worst().filter(|_| hits.is_full()).map(|last| last.rank)
                    }
                };
                bound = stop.bound(last, rank_of);
                for next in pool[at..].iter().filter(|candidate| !candidate.expanded).take(at_a_time) {
                    prefetch(self.lines_of(next.row));
                }
            }
            pool.iter().map(|candidate| Near { rank: candidate.rank, number: candidate.row }).collect()
        })
    }
}

/// Puts what comes among the candidates of a pool, the best `ef` of which stay, in order; returns where the
/// first of them stands.
fn merge(pool: &mut Vec<Candidate>, coming: &[Candidate], ef: usize) -> usize {
    let Some(first) = coming.first() else { return pool.len() };
    let first = pool.partition_point(|candidate| candidate.rank < first.rank);
    let (mut old, mut new) = (pool.len(), coming.len());
    pool.resize(old + new, Candidate::default());
    // From the end on, so that no one of the old is overwritten before it is moved.
    while new > 0 {
        let is_old = old > first && pool[old - 1].rank >= coming[new - 1].rank;
        pool[old + new - 1] = if is_old { pool[old - 1] } else { coming[new - 1] };
        old -= usize::from(is_old);
        new -= usize::from(!is_old);
    }
    pool.truncate(ef);
    first
}

/// A row that a walk has met.
#[derive(Debug, Clone, Copy, Default)]
struct Candidate {
    rank: f32,
    row: u32,
    /// Its neighbours were met as well.
    expanded: bool,
}

/// What a walk needs, kept from search to search: clearing it is cheaper than getting it.
#[derive(Default)]
struct Scratch {
    /// One bit a row.
    visited: Vec<u64>,
    /// Candidates, best first.
    pool: Vec<Candidate>,
    /// Those that are about to be put in.
    coming: Vec<Candidate>,
    /// Neighbours of one row that were not met before.
    fresh: Vec<u32>,
    /// Their ranks.
    ranked: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as numbers on a line, by their distance from this one.
    struct From(f32);

    impl Ranker for From {
        fn ranks(&self, rows: &[u32], out: &mut [f32]) {
            rows.iter().zip(out).for_each(|(&row, out)| *out = (self.0 - row as f32).abs());
        }

        fn fetch(&self, _: u32) {}
    }

    fn chain(links: &[(u32, &[u32])]) -> Graph {
        let nodes = links.iter().map(|(row, next)| Node { row: *row, layers: vec![next.to_vec()] });
        let sampled = Sampled { entry: 0, nodes: nodes.take(1).collect() };
        let mut graph = Graph::new(6, 4, sampled, None);
        links.iter().for_each(|(row, next)| graph.add(*row, next));
        graph.finished(&[], Quantization::Scalar)
    }

    #[test]
    fn rows_that_no_edge_reaches_are_loose() {
        let graph = chain(&[(0, &[1]), (1, &[0, 2]), (2, &[1]), (3, &[0]), (5, &[3])]);
        assert_eq!(graph.loose(), [3, 5]);
        assert_eq!(graph.nodes(), 5);
    }

    #[test]
    fn a_walk_goes_on_until_nothing_nearer_is_met() {
        let graph = chain(&[(0, &[1]), (1, &[0, 2]), (2, &[1, 3]), (3, &[2, 4]), (4, &[3])]);
        for ef in 1..4 {
            let found = graph.walk(ef, &From(4.0));
            let found: Vec<u32> = found.iter().map(|near| near.number).collect();
            assert_eq!(found, [4, 3, 2][..ef]);
        }
    }

    #[test]
    fn a_walk_ends_where_the_next_is_far_behind_the_hits() {
        /// Counts what is ranked.
        struct Counting(std::cell::Cell<usize>);

        impl Ranker for Counting {
            fn ranks(&self, rows: &[u32], out: &mut [f32]) {
                self.0.set(self.0.get() + rows.len());
                rows.iter().zip(out).for_each(|(&row, out)| *out = (row as f32 - 3.0).abs());
            }

            fn fetch(&self, _: u32) {}
        }

        // A line of 400 rows; the query lies at the fourth.
        let links: Vec<(u32, Vec<u32>)> =
            (0..400).map(|row: u32| (row, vec![row.saturating_sub(1), (row + 1).min(399)])).collect();
        let sampled = Sampled { entry: 0, nodes: vec![Node { row: 0, layers: vec![vec![1]] }] };
        let mut graph = Graph::new(400, 4, sampled, None);
        links.iter().for_each(|(row, next)| graph.add(*row, next));
        let graph = graph.finished(&[], Quantization::Scalar);
        let walked = |stop: Stop| {
            let counting = Counting(std::cell::Cell::new(0));
            let found: Vec<u32> = graph.walk_to(stop, &counting).iter().map(|near| near.number).collect();
            (found, counting.0.get())
        };
        let (all, fixed) = walked(Stop::at(100));
        let (some, fewer) = walked(Stop::within(16, 300, 5, 4.0));
        assert_eq!(some[..5], all[..5]);
        assert!(fewer * 3 < fixed, "{fewer} and {fixed}");
        // Where what is near is many, it goes on to the most.
        let (many, more) = walked(Stop::within(16, 300, 5, 1000.0));
        assert_eq!((many[..5].to_vec(), many.len()), (all[..5].to_vec(), 300));
        assert!(more > fixed);
    }

    #[test]
    fn a_widened_graph_has_the_old_lists_and_room_for_new_rows() {
        let graph = chain(&[(0, &[1]), (1, &[0])]);
        let mut graph = graph.widened(40, None);
        assert!(graph.is_flat() && graph.is_rough());
        graph.add(39, &[1]);
        graph.link(1, &[0, 39]);
        let graph = graph.finished(&[], Quantization::Scalar);
        assert_eq!(graph.neighbours(0).collect::<Vec<_>>(), [1]);
        assert_eq!(graph.rows(), [0, 1, 39]);
        assert_eq!(graph.loose(), [] as [u32; 0]);
    }
}
