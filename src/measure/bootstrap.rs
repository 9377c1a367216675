//! Bootstrap over pictures: the data are drawn again from themselves, with replacement, and the
//! figures computed anew. All figures see the same draws, so that differences are paired.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

/// A figure as a function of how often each picture counts; `None` where it has no value.
pub type Figure<'a> = Box<dyn Fn(&[u32]) -> Option<f64> + Send + Sync + 'a>;

/// Every picture once.
pub fn ones(pictures: usize) -> Vec<u32> {
    vec![1; pictures]
}

/// How often and with which seed pictures are drawn again.
#[derive(Debug, Clone, Copy)]
pub struct Resampling {
    /// Draws, 100 to 100,000.
    pub resamples: usize,
    /// The same seed gives the same draws.
    pub seed: u64,
    /// The share of draws inside an interval, as 0.95.
    pub level: f64,
}

/// From `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A difference of two figures on the same draws.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Paired {
    /// The first less the second, on the data as they are.
    pub difference: f64,
    /// Where it lies.
    pub interval: Interval,
    /// The share of draws in which the first is ahead; a tie counts half.
    pub ahead: f64,
}

impl Resampling {
    /// The figures of every draw: one row a draw, one column a figure, NaN where it has none.
    pub fn draw(&self, pictures: usize, figures: &[Figure<'_>]) -> Vec<Vec<f64>> {
        let one = |draw: usize| {
            // A generator for each draw: the draws do not depend on the threads.
            let mut rng =
                SmallRng::seed_from_u64(self.seed ^ (draw as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut weights = vec![0_u32; pictures];
            for _ in 0..pictures {
                weights[rng.random_range(0..pictures)] += 1;
            }
            figures.iter().map(|figure| figure(&weights).unwrap_or(f64::NAN)).collect()
        };
        (0..self.resamples).into_par_iter().map(one).collect()
    }

    /// The interval of one figure by the percentiles of its draws; `None` where it never had a
    /// value.
    pub fn interval(&self, draws: impl Iterator<Item = f64>) -> Option<Interval> {
        let mut sorted: Vec<f64> = draws.filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let tail = (1.0 - self.level) / 2.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = |share: f64| sorted[((share * last as f64).round() as usize).min(last)];
        Some(Interval { low: at(tail), high: at(1.0 - tail) })
    }

    /// The difference of two columns of the draws; `difference` is that of the data themselves.
    pub fn paired(&self, difference: f64, draws: &[Vec<f64>], first: usize, second: usize) -> Option<Paired> {
        let differences: Vec<f64> =
            draws.iter().map(|row| row[first] - row[second]).filter(|d| !d.is_nan()).collect();
        let interval = self.interval(differences.iter().copied())?;
        let ahead = |d: &f64| {
            if *d > 0.0 {
                1.0
            } else if *d < 0.0 {
                0.0
            } else {
                0.5
            }
        };
        let ahead = differences.iter().map(ahead).sum::<f64>() / differences.len() as f64;
        Some(Paired { difference, interval, ahead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::mean_over;
    use proptest::prelude::*;
    use rand::Rng;

    const RESAMPLING: Resampling = Resampling { resamples: 400, seed: 7, level: 0.95 };

    fn mean(values: &[Option<f64>]) -> Figure<'_> {
        Box::new(|weights| mean_over(values, weights))
    }

    #[test]
    fn an_interval_holds_the_truth_about_as_often_as_it_says() {
        let mut rng = SmallRng::seed_from_u64(1);
        let (rounds, truth) = (400, 0.3);
        let mut held = 0;
        for round in 0..rounds {
            let values: Vec<Option<f64>> =
                (0..80).map(|_| Some(if rng.random_bool(truth) { 1.0 } else { 0.0 })).collect();
            let resampling = Resampling { seed: round, ..RESAMPLING };
            let draws = resampling.draw(values.len(), &[mean(&values)]);
            let interval = resampling.interval(draws.iter().map(|row| row[0])).unwrap();
            held += u32::from((interval.low..=interval.high).contains(&truth));
        }
        let share = f64::from(held) / 400.0;
        assert!((0.90..=0.98).contains(&share), "the intervals of 95 % held the truth in {share}");
    }

    #[test]
    fn a_paired_difference_is_narrower_than_the_figures_themselves() {
        let first: Vec<Option<f64>> = (0..200).map(|i| Some(f64::from(i % 10))).collect();
        let second: Vec<Option<f64>> = first
            .iter()
            .enumerate()
            .map(|(i, v)| v.map(|v| v - if i % 2 == 0 { 0.2 } else { 0.0 }))
            .collect();
        let draws = RESAMPLING.draw(200, &[mean(&first), mean(&second)]);
        let alone = RESAMPLING.interval(draws.iter().map(|row| row[0])).unwrap();
        let paired = RESAMPLING.paired(0.1, &draws, 0, 1).unwrap();
        assert!(paired.interval.low > 0.0 && paired.ahead == 1.0, "{paired:?}");
        assert!(paired.interval.high - paired.interval.low < (alone.high - alone.low) / 5.0);
    }

    #[test]
    fn the_draws_do_not_depend_on_the_number_of_threads() {
        let values: Vec<Option<f64>> = (0..50).map(|i| Some(f64::from(i))).collect();
        let draw = || RESAMPLING.draw(50, &[mean(&values)]);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(draw);
        assert_eq!(one, draw());
    }

    proptest! {
        #[test]
        fn an_interval_lies_within_the_values_and_around_most_draws(
            values in prop::collection::vec(0.0_f64..1.0, 1..40), seed in any::<u64>()
        ) {
            let some: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            let resampling = Resampling { resamples: 200, seed, level: 0.9 };
            let draws = resampling.draw(values.len(), &[mean(&some)]);
            let interval = resampling.interval(draws.iter().map(|row| row[0])).unwrap();
            let inside = draws.iter().filter(|row| (interval.low..=interval.high).contains(&row[0])).count();
            prop_assert!(interval.low <= interval.high && inside >= 180, "{interval:?} holds {inside}");
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(interval.low >= low - 1e-9 && interval.high <= high + 1e-9);
        }
    }
}
