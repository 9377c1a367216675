//! Choosing the best of several candidates and saying how good that choice is. The figure of a
//! candidate that was chosen on the same pictures is too good; the honest one comes from
//! choosing on one half and measuring on the other, both ways, over several splits.

use super::bootstrap::{Figure, Interval, Paired, Resampling, ones};
use super::split::stratified;

/// Splits that the honest figure is averaged over.
const SPLITS: u64 = 10;

/// What was chosen and what it is worth.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The candidate with the best figure.
    pub best: usize,
    /// Every candidate's interval.
    pub intervals: Vec<Option<Interval>>,
    /// The best candidate's figure, measured on the pictures that chose it.
    pub apparent: f64,
    /// The figure of choosing on one half and measuring on the other.
    pub honest: Option<f64>,
    /// Its interval, with the choices as they were made.
    pub honest_interval: Option<Interval>,
    /// The second best candidate and the lead over it; `None` where there is only one.
    pub runner_up: Option<(usize, Paired)>,
    /// The share of draws in which the best candidate comes first (alone or with others).
    pub first: f64,
}

/// Chooses among `figures`, of which each is one candidate's; larger is better, ties go to the
/// earlier one. `labels` and `clusters` (one a picture) keep the halves alike and apart.
/// `None` where no candidate has a figure.
pub fn choose(figures: &[Figure<'_>], labels: &[u32], clusters: &[u32], how: &Resampling) -> Option<Choice> {
    let pictures = labels.len();
    let all = ones(pictures);
    let values: Vec<Option<f64>> = figures.iter().map(|figure| figure(&all)).collect();
    let best = best_of(&values)?;
    let apparent = values[best]?;
    let folds: Vec<Fold> =
        (0..SPLITS).flat_map(|i| Fold::pair(figures, labels, clusters, how.seed + i)).collect();
    let honest = |weights: &[u32]| {
        let measured: Vec<f64> =
            folds.iter().filter_map(|fold| figures[fold.chosen](&fold.masked(weights))).collect();
        (!measured.is_empty()).then(|| measured.iter().sum::<f64>() / measured.len() as f64)
    };
    let honest_value = honest(&all);
    let mut columns: Vec<Figure<'_>> =
        figures.iter().map(|figure| -> Figure<'_> { Box::new(figure) }).collect();
    columns.push(Box::new(honest));
    let draws = how.draw(pictures, &columns);
    let column = |i: usize| how.interval(draws.iter().map(|row| row[i]));
    let others: Vec<Option<f64>> =
        values.iter().enumerate().map(|(i, value)| value.filter(|_| i != best)).collect();
    let runner_up = best_of(&others).and_then(|second| {
        let lead = apparent - values[second]?;
        Some((second, how.paired(lead, &draws, best, second)?))
    });
    let comes_first =
        |row: &&Vec<f64>| row[..figures.len()].iter().all(|&other| other.is_nan() || row[best] >= other);
    Some(Choice {
        best,
        intervals: (0..figures.len()).map(column).collect(),
        apparent,
        honest: honest_value,
        honest_interval: column(figures.len()),
        runner_up,
        first: draws.iter().filter(comes_first).count() as f64 / draws.len().max(1) as f64,
    })
}

/// One half that a candidate is measured on, chosen on the other.
struct Fold {
    measured_on: Vec<bool>,
    chosen: usize,
}

impl Fold {
    fn pair(figures: &[Figure<'_>], labels: &[u32], clusters: &[u32], seed: u64) -> Vec<Fold> {
        let half = stratified(labels, clusters, 0.5, seed);
        [half.clone(), half.into_iter().map(|side| !side).collect()]
            .into_iter()
            .filter_map(|measured_on: Vec<bool>| {
                let chosen_on: Vec<u32> = measured_on.iter().map(|&side| u32::from(!side)).collect();
                let values: Vec<Option<f64>> = figures.iter().map(|figure| figure(&chosen_on)).collect();
                Some(Fold { chosen: best_of(&values)?, measured_on })
            })
            .collect()
    }

    fn masked(&self, weights: &[u32]) -> Vec<u32> {
        weights.iter().zip(&self.measured_on).map(|(&w, &on)| if on { w } else { 0 }).collect()
    }
}

/// The index of the largest value; of equal ones the first.
fn best_of(values: &[Option<f64>]) -> Option<usize> {
    let some = values.iter().enumerate().filter_map(|(i, value)| Some((i, (*value)?)));
    some.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::mean_over;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    const HOW: Resampling = Resampling { resamples: 300, seed: 3, level: 0.95 };

    fn figures(candidates: &[Vec<Option<f64>>]) -> Vec<Figure<'_>> {
        candidates
            .iter()
            .map(|values| -> Figure<'_> { Box::new(|weights| mean_over(values, weights)) })
            .collect()
    }

    fn coins(rng: &mut SmallRng, n: usize, p: f64) -> Vec<Option<f64>> {
        (0..n).map(|_| Some(if rng.random_bool(p) { 1.0 } else { 0.0 })).collect()
    }

    #[test]
    fn the_honest_figure_is_not_fooled_by_many_candidates_that_are_all_coins() {
        let mut rng = SmallRng::seed_from_u64(2);
        let (mut apparent, mut honest) = (0.0, 0.0);
        for _ in 0..20 {
            let candidates: Vec<_> = (0..30).map(|_| coins(&mut rng, 60, 0.5)).collect();
            let numbers: Vec<u32> = (0..60).collect();
            let choice = choose(&figures(&candidates), &[0; 60], &numbers, &HOW).unwrap();
            apparent += choice.apparent / 20.0;
            honest += choice.honest.unwrap() / 20.0;
        }
        assert!(apparent > 0.58, "the best of 30 coins seems better than a coin: {apparent}");
        // Halves of one sample: what is above its mean in one is below it in the other, if anything.
        assert!((0.40..=0.56).contains(&honest), "honestly it is a coin: {honest}");
    }

    #[test]
    fn a_candidate_that_is_really_better_is_chosen_with_confidence() {
        let mut rng = SmallRng::seed_from_u64(4);
        let candidates = [coins(&mut rng, 300, 0.4), coins(&mut rng, 300, 0.8), coins(&mut rng, 300, 0.5)];
        let numbers: Vec<u32> = (0..300).collect();
        let choice = choose(&figures(&candidates), &[0; 300], &numbers, &HOW).unwrap();
        let (second, lead) = choice.runner_up.unwrap();
        assert_eq!((choice.best, second), (1, 2));
        assert!(lead.interval.low > 0.0 && choice.first > 0.99);
        assert!((choice.honest.unwrap() - choice.apparent).abs() < 0.02);
    }

    #[test]
    fn one_candidate_has_no_runner_up_and_none_has_no_choice() {
        let candidates = [vec![Some(1.0); 10]];
        let numbers: Vec<u32> = (0..10).collect();
        let choice = choose(&figures(&candidates), &[0; 10], &numbers, &HOW).unwrap();
        assert!(choice.runner_up.is_none() && choice.honest == Some(1.0));
        assert!(choose(&figures(&[vec![None; 10]]), &[0; 10], &numbers, &HOW).is_none());
    }
}
