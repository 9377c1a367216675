//! When a walk has gone far enough. The number of candidates alone (`ef`) spends as much on a query whose
//! neighbours stand apart as on one whose neighbours are many; so a walk ends where the next candidate is
//! farther than the last hit wanted by as much as the `ef`-th is in a typical query, and looks at up to
//! three times as many where more are as near (the rule is that of adaptive beam search, Al-Jazzazi et al. 2025).
//!
//! The factor between the two distances counts, not their difference: a query unlike the rows is far from all
//! of them, and a difference that is much for a row is nothing for it.
//!
//! With a filter the last hit wanted is the last that the filter lets through, and the factor is that of a search
//! without one. So in a cluster that the filter thins out a walk ends with the cluster, and one that the filter sends
//! far away knows by the same factor that it did not get far enough.

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

/// The factor of a filtered walk is that of so many hits at least: the distance of the first few says little where there
/// are copies.
const FEW: usize = 8;
/// A filtered walk gives up where the last hit wanted is not among so many times the candidates that it is to be
/// expected among.
const IN_VAIN: usize = 4;

/// Of the way from the last hit wanted to the bound (in logarithms) a filtered walk that ends before it must get so far.
pub(super) const HALF_WAY: f32 = 0.5;

/// How distances grow with their place in a graph's typical query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Mean logarithms of the distances at the places.
    logs: [f32; PLACES],
    /// What is added to a rank to make it a distance from 0 on.
    origin: f32,
}

/// Where a walk ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stop {
    /// Candidates that are looked at whatever they are.
    pub(super) least: usize,
    /// Candidates that are kept.
    pub(super) most: usize,
    /// Hits that are wanted.
    pub(super) hits: usize,
    /// So many times the distance of the last hit is far enough.
    factor: f32,
    /// After so many candidates [`HALF_WAY`] there is.
    enough: usize,
    /// Where so many candidates hold fewer hits than are wanted, the search for more is in vain.
    in_vain: usize,
    origin: f32,
}

impl Stop {
    /// At `ef` candidates.
    pub(super) fn at(ef: usize) -> Self {
        Self { least: ef, most: ef, hits: ef, factor: 1.0, enough: ef, in_vain: ef, origin: 0.0 }
    }

    /// Between `least` and `most` candidates, where the next is farther than `factor` times the last of `hits`.
    #[cfg(test)]
    pub(super) fn within(least: usize, most: usize, hits: usize, factor: f32) -> Self {
        Self { least, most, hits, factor, enough: most, in_vain: most, origin: 0.0 }
    }

    /// True where distances count, and not the number of candidates alone.
    pub(super) fn is_bounded(&self) -> bool {
        self.least < self.most
    }

    /// The rank from which on nothing is looked at, given that of the last hit wanted, if there are so many, and those of
    /// the candidates by their place.
    pub(super) fn bound(&self, last: Option<f32>, rank_of: impl FnOnce(usize) -> Option<f32>) -> f32 {
        if !self.is_bounded() {
            return f32::INFINITY;
        }
        let Some(last) = last else { return rank_of(self.in_vain).unwrap_or(f32::INFINITY) };
        let beyond = |factor: f32| self.distance(last) * factor - self.origin;
        match rank_of(self.enough) {
            Some(rank) => beyond(self.factor).min(rank.max(beyond(self.factor.powf(HALF_WAY)))),
            None => beyond(self.factor),
        }
    }

    /// Whether a walk that met `walked`, best first, got so far beyond the last hit wanted that hardly a nearer one was
    /// left out: to its bound, or where it kept all it may, half the way there.
    pub(super) fn has_reached(&self, last: f32, walked: &[Near]) -> bool {
        let far_enough = self.distance(last) * self.factor.powf(HALF_WAY);
        walked.len() < self.most || walked.last().is_some_and(|end| self.distance(end.rank) >= far_enough)
    }

    fn distance(&self, rank: f32) -> f32 {
        (rank + self.origin).max(LEAST)
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

    /// With these logarithms of the distances at the first, second, fourth place and so on.
    #[cfg(test)]
    pub(super) fn with(log: impl Fn(usize) -> f32) -> Self {
        Self { logs: std::array::from_fn(log), origin: 1.0 }
    }

    /// For so many hits, with the effort of `ef` in a typical query.
    pub(super) fn stop(&self, hits: usize, ef: usize) -> Stop {
        let hits = hits.clamp(1, ef.max(1));
        let factor = (self.log(ef) - self.log(hits)).max(0.0).exp();
        let least = (ef / AT_LEAST).max(2 * hits).max(16).min(ef);
        let most = ef.saturating_mul(AT_MOST);
        Stop { least, most, hits, factor, enough: most, in_vain: most, origin: self.origin }
    }

    /// For hits that a filter lets through, the last of which is to be expected among `among` rows, with the effort of
    /// `ef` in a typical query without one, which with the filter takes `enough` candidates; and with at most `most`, no
    /// fewer than `ef`.
    pub(super) fn stop_filtered(
        &self,
        hits: usize,
        ef: usize,
        among: usize,
        enough: usize,
        most: usize,
    ) -> Stop {
        let most = enough.saturating_mul(AT_MOST).min(most);
        let in_vain = among.saturating_mul(IN_VAIN).max(ef);
        Stop { hits, enough, most, in_vain, ..self.stop(hits.max(FEW), ef) }
    }

    /// Places within so much of the bound of [`Reach::stop_filtered`] (1.0 is all of it) in a typical query whose last
    /// hit wanted is at the place `among`.
    pub(super) fn places(&self, hits: usize, ef: usize, among: usize, part: f32) -> usize {
        let wanted = self.log(among) + part * (self.log(ef) - self.log(hits.max(FEW))).max(0.0);
        let known = self.logs.partition_point(|log| *log < wanted).clamp(1, PLACES - 1);
        let (from, to) = (self.logs[known - 1], self.logs[known]);
        let at = (known - 1) as f32 + (wanted - from) / (to - from).max(f32::MIN_POSITIVE);
        (at.exp2() as usize).max(among) // saturates
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
        Reach::with(|place| (2f32.powi(place as i32) / 1024.0).ln())
    }

    #[test]
    fn the_bound_is_as_far_from_the_last_hit_as_ef_is_in_a_typical_query() {
        let stop = doubling().stop(8, 64);
        assert_eq!((stop.least, stop.most), (16, 192));
        // The last hit has distance 0.1, so the 64th place is at 0.8.
        let bound = stop.bound(Some(-0.9), |_| None);
        assert!((bound - -0.2).abs() < 1e-5, "{bound}");
        assert_eq!(stop.bound(None, |_| None), f32::INFINITY);
        // Between and beyond the places that are known it grows as there.
        let far = doubling().stop(1, 2048);
        assert!((far.factor - 2048.0).abs() < 1.0, "{far:?}");
    }

    #[test]
    fn a_walk_for_all_that_it_keeps_has_no_bound_nearer_than_the_last() {
        for (hits, ef) in [(10, 10), (30, 10), (1, 1), (100, 128)] {
            let stop = doubling().stop(hits, ef);
            assert!(stop.least <= ef && stop.most >= ef, "{stop:?}");
            let bound = stop.bound(Some(-0.5), |_| None);
            assert!(bound >= -0.5, "{stop:?} {bound}");
        }
        assert_eq!(Stop::at(40).bound(Some(0.0), |_| None), f32::INFINITY);
    }

    #[test]
    fn a_filtered_walk_needs_as_many_places_as_distances_say() {
        // Distances are as the places, so eight times as far is eight times as many.
        let reach = doubling();
        assert!((639..=641).contains(&reach.places(8, 64, 80, 1.0)));
        assert!((319..=321).contains(&reach.places(16, 64, 160, 0.5)));
        assert_eq!(reach.places(64, 64, 100, 1.0), 100);
        // Clusters of 64: within one all is near, the others are ten times as far and all alike.
        let log =
            |place: usize| if place <= 6 { 0.001 * place as f32 } else { 10f32.ln() + 0.0001 * place as f32 };
        let clusters = Reach::with(log);
        let within = clusters.places(10, 60, 40, 1.0);
        assert!((40..=128).contains(&within), "{within}");
        assert!(clusters.places(10, 128, 100, 1.0) > 1_000_000, "no walk gets there");
    }

    #[test]
    fn a_walk_got_far_enough_at_its_bound_or_half_the_way() {
        let stop = doubling().stop_filtered(8, 32, 8, 2, 3); // four times as far, among three candidates
        let walked =
            |ranks: &[f32]| -> Vec<Near> { ranks.iter().map(|&rank| Near { rank, number: 0 }).collect() };
        assert!(stop.has_reached(-0.9, &walked(&[-0.9, -0.85])), "nothing else was within the bound");
        assert!(stop.has_reached(-0.9, &walked(&[-0.95, -0.9, -0.79])));
        assert!(!stop.has_reached(-0.9, &walked(&[-0.95, -0.9, -0.81])));
    }

    #[test]
    fn a_filtered_walk_gives_up_without_hits_and_is_content_with_less_after_enough() {
        let stop = doubling().stop_filtered(8, 32, 8, 40, 120); // four times as far
        // Where the hits are not among the first 32, it is given up.
        assert_eq!(stop.bound(None, |place| (place == 32).then_some(-0.7)), -0.7);
        assert_eq!(stop.bound(None, |_| None), f32::INFINITY);
        // After 40 candidates the way there is shorter, down to a half.
        for (rank, expected) in [(None, -0.6), (Some(-0.5), -0.6), (Some(-0.7), -0.7), (Some(-0.85), -0.8)] {
            let bound = stop.bound(Some(-0.9), |place| rank.filter(|_| place == 40));
            assert!((bound - expected).abs() < 1e-5, "{rank:?} {bound}");
        }
    }
}
