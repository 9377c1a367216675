//! Scores to probabilities: a logistic curve through the genuine and impostor scores.
//!
//! Both kinds count the same in the fit, however many there are of each, so that the curve belongs
//! to even odds; other odds are put in when it is read. Targets are smoothed as Platt did, so that
//! separable scores give a finite slope. Source: Lin, Lin and Weng, "A note on Platt's
//! probabilistic outputs" (2007), Newton with backtracking. Invariant: the slope is never negative.

use super::rates::Comparisons;
use crate::error::{Error, Result};

const MAX_STEPS: usize = 100;
/// Added to the diagonal of the Hessian: it stays invertible where all scores are the same.
const RIDGE: f64 = 1e-12;

/// `probability = 1 / (1 + exp(-(slope * score + offset)))` at even odds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Platt {
    /// Per unit of score, 0 or more.
    pub slope: f64,
    /// At score 0.
    pub offset: f64,
}

impl Platt {
    /// Fit on comparisons of both kinds.
    ///
    /// # Errors
    /// `Internal` if Newton's steps leave the numbers, which finite scores exclude.
    pub fn fit(comparisons: &Comparisons) -> Result<Platt> {
        let (n, m) = (comparisons.genuine() as f64, comparisons.impostors() as f64);
        let (mean, spread) = moments(comparisons);
        // Standardised scores: the Hessian is then well conditioned whatever the unit.
        let rows: Vec<(f64, f64, f64)> = comparisons
            .sorted()
            .iter()
            .map(|c| {
                let (target, weight) =
                    if c.genuine { ((n + 1.0) / (n + 2.0), 0.5 / n) } else { (1.0 / (m + 2.0), 0.5 / m) };
                ((c.score - mean) / spread, target, weight)
            })
            .collect();
        let loss = |slope: f64, offset: f64| -> f64 {
            rows.iter()
                .map(|&(x, target, weight)| {
                    let z = slope * x + offset;
                    // log(1 + exp(z)) - target * z, without overflow
                    weight * (z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z)
                })
                .sum()
        };
        let (mut slope, mut offset) = (0.0, 0.0);
        let mut now = loss(slope, offset);
        for _ in 0..MAX_STEPS {
            let (mut g1, mut g2, mut h11, mut h12, mut h22) = (0.0, 0.0, RIDGE, 0.0, RIDGE);
            for &(x, target, weight) in &rows {
                let p = logistic(slope * x + offset);
                let (error, curvature) = (weight * (p - target), weight * p * (1.0 - p));
                g1 += error * x;
                g2 += error;
                h11 += curvature * x * x;
                h12 += curvature * x;
                h22 += curvature;
            }
            let determinant = h11 * h22 - h12 * h12;
            if g1.abs().max(g2.abs()) < 1e-10 || determinant <= 0.0 {
                break;
            }
            let (d1, d2) = ((h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant);
            let mut step = 1.0;
            let next = loop {
                let next = loss(slope - step * d1, offset - step * d2);
                if next <= now || step < 1e-10 {
                    break next;
                }
                step /= 2.0;
            };
            slope -= step * d1;
            offset -= step * d2;
            if now - next < 1e-14 {
                break;
            }
            now = next;
        }
        // Impostors that score above the owner: no reason to believe a score at all.
        let (slope, offset) = if slope < 0.0 { (0.0, 0.0) } else { (slope, offset) };
        let fitted = Platt { slope: slope / spread, offset: offset - slope * mean / spread };
        if !fitted.slope.is_finite() || !fitted.offset.is_finite() {
            return Err(Error::Internal("the probabilities cannot be fitted to these scores".into()));
        }
        Ok(fitted)
    }

    /// The probability that a probe with this score is genuine, where a share `prior` (above 0,
    /// below 1) of all probes is.
    pub fn probability(&self, score: f64, prior: f64) -> f64 {
        logistic(self.slope * score + self.offset + (prior / (1.0 - prior)).ln())
    }
}

fn logistic(z: f64) -> f64 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

fn moments(comparisons: &Comparisons) -> (f64, f64) {
    let n = comparisons.sorted().len() as f64;
    let mean = comparisons.sorted().iter().map(|c| c.score).sum::<f64>() / n;
    let variance = comparisons.sorted().iter().map(|c| (c.score - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt().max(1e-9))
}

/// The expected calibration error of probabilities: in ten bins of equal width, how far the mean
/// probability is from the share of genuine ones, weighted by the bins. 0 to 1; 0 for no pairs.
pub fn expected_calibration_error(pairs: &[(f64, bool)]) -> f64 {
    const BINS: usize = 10;
    let mut bins = [(0.0, 0.0, 0usize); BINS];
    for &(probability, genuine) in pairs {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 10
        let bin = ((probability.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += probability;
        bins[bin].1 += f64::from(u8::from(genuine));
        bins[bin].2 += 1;
    }
    bins.iter().map(|(said, was, _)| (said - was).abs()).sum::<f64>() / pairs.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::rates::Comparison;
    use super::*;

    /// Genuine scores around 1, impostors around 0, logistic noise: the truth is a logistic curve
    /// with slope 1/s through 0.5.
    fn drawn(genuine: usize, impostors: usize) -> Vec<Comparison> {
        let mut rng = SmallRng::seed_from_u64(5);
        let mut noise = move || {
            // A normal draw by Box and Muller.
            let (u, v): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * 0.5
        };
        let mut all = Vec::new();
        for i in 0..genuine + impostors {
            let own = i < genuine;
            all.push(Comparison { score: f64::from(u8::from(own)) + noise(), subject: 0, genuine: own });
        }
        all
    }

    #[test]
    fn the_curve_of_two_normal_distributions_is_found_whatever_the_shares() {
        // Of N(1, 0.5) and N(0, 0.5) the log odds are 4 score - 2.
        for (genuine, impostors) in [(20_000, 20_000), (2_000, 40_000)] {
            let platt = Platt::fit(&Comparisons::new(drawn(genuine, impostors)).unwrap()).unwrap();
            assert!((platt.slope - 4.0).abs() < 0.3 && (platt.offset + 2.0).abs() < 0.2, "{platt:?}");
        }
    }

    #[test]
    fn said_probabilities_come_true_at_the_share_that_was_named() {
        let fitted = Platt::fit(&Comparisons::new(drawn(5_000, 5_000)).unwrap()).unwrap();
        let pairs = |prior: f64| -> Vec<(f64, bool)> {
            let held_out = drawn(4_000, 16_000);
            held_out.iter().map(|c| (fitted.probability(c.score, prior), c.genuine)).collect()
        };
        assert!(expected_calibration_error(&pairs(0.2)) < 0.02);
        assert!(expected_calibration_error(&pairs(0.7)) > 0.05);
    }

    #[test]
    fn separable_equal_and_inverted_scores_give_finite_curves() {
        let all = |genuine: f64, impostor: f64| {
            let of = |score, genuine| Comparison { score, subject: 0, genuine };
            let all = [vec![of(genuine, true); 20], vec![of(impostor, false); 30]].concat();
            Platt::fit(&Comparisons::new(all).unwrap()).unwrap()
        };
        let separable = all(0.9, 0.1);
        assert!(separable.probability(0.9, 0.5) > 0.9 && separable.probability(0.1, 0.5) < 0.1);
        assert!(separable.slope.is_finite());
        assert!((all(0.4, 0.4).probability(0.4, 0.5) - 0.5).abs() < 0.02);
        assert_eq!(all(0.1, 0.9).slope, 0.0);
    }

    #[test]
    fn the_calibration_error_is_that_of_the_definition() {
        assert_eq!(expected_calibration_error(&[]), 0.0);
        assert_eq!(expected_calibration_error(&[(1.0, true), (0.0, false)]), 0.0);
        assert!((expected_calibration_error(&[(0.95, true), (0.95, false)]) - 0.45).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_higher_score_is_never_less_probable(
            scores in prop::collection::vec((-5.0f64..5.0, any::<bool>()), 2..60), a in -9.0f64..9.0, b in -9.0f64..9.0, prior in 0.01f64..0.99
        ) {
            let all = scores.iter().map(|&(score, genuine)| Comparison { score, subject: 0, genuine }).collect();
            let Ok(all) = Comparisons::new(all) else { return Ok(()) };
            let platt = Platt::fit(&all).unwrap();
            let (low, high) = (platt.probability(a.min(b), prior), platt.probability(a.max(b), prior));
            prop_assert!((0.0..=1.0).contains(&low) && low <= high);
        }
    }
}
