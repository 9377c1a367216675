//! The best k of many candidates, best first, ties by the smaller number.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A candidate: its rank (smaller is better) and the row or slot it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    pub(super) rank: f32,
    pub(super) number: u32,
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near {}

/// Keeps the `most` best of what it is offered.
#[derive(Debug)]
pub(super) struct Nearest {
    most: usize,
    heap: BinaryHeap<Near>, // the worst on top
}

impl Nearest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::with_capacity(most.min(1024) + 1) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.heap.len() >= self.most
    }

    /// The worst of those kept.
    pub(super) fn worst(&self) -> Option<Near> {
        self.heap.peek().copied()
    }

    /// True where an offer of this rank may be kept.
    pub(super) fn admits(&self, rank: f32) -> bool {
        !self.is_full() || self.worst().is_some_and(|worst| rank <= worst.rank)
    }

    pub(super) fn offer(&mut self, near: Near) {
        if !self.is_full() {
            self.heap.push(near);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && near < *worst
        {
            *worst = near;
        }
    }

    pub(super) fn merge(mut self, other: Nearest) -> Nearest {
        other.heap.into_iter().for_each(|near| self.offer(near));
        self
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Near> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_k_are_those_of_a_full_sort(ranks in prop::collection::vec(-3i8..3, 0..60), k in 0usize..20) {
            let all = || (0u32..).zip(&ranks).map(|(number, &rank)| Near { rank: f32::from(rank), number });
            let mut nearest = Nearest::new(k);
            all().for_each(|near| nearest.offer(near));
            let mut sorted: Vec<Near> = all().collect();
            sorted.sort();
            sorted.truncate(k);
            prop_assert_eq!(nearest.into_sorted(), sorted);
        }
    }
}
