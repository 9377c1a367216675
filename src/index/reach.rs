//! When a walk has gone far enough. The number of candidates alone (`ef`) spends as much on a query whose
//! neighbours stand apart as on one whose neighbours are many; so a walk ends where the next candidate is
//! farther than the last hit wanted by as much as the `ef`-th is in a typical query, and looks at up to
//! three times as many where more are as near (the rule is that of adaptive beam search, Al-Jazzazi et al. 2025).
//!
//! The factor between the two distances counts, not their difference: a query unlike the rows is far from all
//! of them, and a difference that is much for a row is nothing for it.

use super::graph::Graph;
use super::nearest::Near;
use super::quantised::Quantised;

/// Rows that are taken as typical queries.
const SAMPLE: usize = 64;
/// Places at which distances are known: the first, second, fourth and so on.
const PLACES: usize = 10;
/// Candidates of a typical query.
const EF: usize = 1 << (PLACES - 1);
/// Distances below this are those of copies.
const LEAST: f32 = 1e-6;
/// A walk looks at no fewer than `ef` by this, whatever it finds.
const AT_LEAST: usize = 4;
/// And at no more than so many times `ef`. Measured on word vectors: with 3 recall 0.99 takes less time than with 2
/// or 4, on texts that are unlike the rows all three are much alike.
const AT_MOST: usize = 3;

/// How distances grow with their place in a graph's typical query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Mean logarithms of the distances at the places.
    logs: [f32; PLACES],
    /// What is added to a rank to make it a distance from 0 on.
    origin: f32,
}

/// Where a walk ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// Candidates that are looked at whatever they are.
    pub(super) least: usize,
    /// Candidates that are kept.
    pub(super) most: usize,
    /// Hits that are wanted.
    hits: usize,
    /// So many times the distance of the last hit is far enough.
    factor: f32,
    origin: f32,
}

impl Stop {
    /// At `ef` candidates.
    pub(super) fn at(ef: usize) -> Self {
        Self { least: ef, most: ef, hits: ef, factor: 1.0, origin: 0.0 }
    }

    /// Between `least` and `most` candidates, where the next is farther than `factor` times the last of `hits`.
    #[cfg(test)]
    pub(super) fn within(least: usize, most: usize, hits: usize, factor: f32) -> Self {
        Self { least, most, hits, factor, origin: 0.0 }
    }

    /// The rank from which on nothing is looked at, given what was found, best first.
    pub(super) fn bound(&self, rank_of: impl FnOnce(usize) -> Option<f32>) -> f32 {
        if self.least >= self.most {
            return f32::INFINITY;
        }
        rank_of(self.hits - 1)
            .map_or(f32::INFINITY, |last| (last + self.origin).max(LEAST) * self.factor - self.origin)
    }
}

impl Reach {
    /// Measured by walks of some rows; `None` where ranks are no distances (`Dot`), or all rows are alike.
    pub(super) fn of(graph: &Graph, bytes: &Quantised) -> Option<Self> {
        let origin = bytes.origin()?;
        let rows = graph.nodes();
        if rows <= 2 * EF || bytes.is_bits_alone() {
            return None;
        }
        let sample = (0..SAMPLE).filter_map(|at| graph.nth((at * rows / SAMPLE) as u32)); // rows are numbered by u32
        let (mut logs, mut count) = ([0.0; PLACES], 0.0f32);
        for row in sample {
            let near = graph.walk(EF + 1, &bytes.query_of(row));
            let others: Vec<&Near> = near.iter().filter(|near| near.number != row).collect();
            let Some(last) = others.get(EF - 1) else { continue };
            if last.rank + origin <= LEAST {
                continue; // copies
            }
            for (place, log) in logs.iter_mut().enumerate() {
                *log += (others[(1 << place) - 1].rank + origin).max(LEAST).ln();
            }
            count += 1.0;
        }
        (count > 0.0).then(|| Self { logs: logs.map(|log| log / count), origin })
    }

    /// For so many hits, with the effort of `ef` in a typical query.
    pub(super) fn stop(&self, hits: usize, ef: usize) -> Stop {
        let hits = hits.clamp(1, ef.max(1));
        let factor = (self.log(ef) - self.log(hits)).max(0.0).exp();
        let least = (ef / AT_LEAST).max(2 * hits).max(16).min(ef);
        Stop { least, most: ef.saturating_mul(AT_MOST), hits, factor, origin: self.origin }
    }

    /// The mean logarithm of the distance at a place, from 1 on; beyond the last it goes on as before.
    fn log(&self, place: usize) -> f32 {
        let at = (place.max(1) as f32).log2();
        let below = (at as usize).min(PLACES - 2);
        self.logs[below] + (at - below as f32) * (self.logs[below + 1] - self.logs[below])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances that double from place to place: 1/1024 at the first.
    fn doubling() -> Reach {
        let log = |place: usize| (2f32.powi(place as i32) / 1024.0).ln();
        Reach { logs: std::array::from_fn(log), origin: 1.0 }
    }

    #[test]
    fn the_bound_is_as_far_from_the_last_hit_as_ef_is_in_a_typical_query() {
        let stop = doubling().stop(8, 64);
        assert_eq!((stop.least, stop.most), (16, 192));
        // The last hit has distance 0.1, so the 64th place is at 0.8.
        let bound = stop.bound(|place| (place == 7).then_some(-0.9));
        assert!((bound - -0.2).abs() < 1e-5, "{bound}");
        assert_eq!(stop.bound(|_| None), f32::INFINITY);
        // Between and beyond the places that are known it grows as there.
        let far = doubling().stop(1, 2048);
        assert!((far.factor - 2048.0).abs() < 1.0, "{far:?}");
    }

    #[test]
    fn a_walk_for_all_that_it_keeps_has_no_bound_nearer_than_the_last() {
        for (hits, ef) in [(10, 10), (30, 10), (1, 1), (100, 128)] {
            let stop = doubling().stop(hits, ef);
            assert!(stop.least <= ef && stop.most >= ef, "{stop:?}");
            let bound = stop.bound(|_| Some(-0.5));
            assert!(bound >= -0.5, "{stop:?} {bound}");
        }
        assert_eq!(Stop::at(40).bound(|_| Some(0.0)), f32::INFINITY);
    }
}
