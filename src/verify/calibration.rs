//! From genuine and impostor scores to what an operator needs: thresholds for chosen FARs, with
//! intervals, probabilities and p-values.
//!
//! Invariant: nothing is promised that the number of comparisons cannot support: a target FAR needs
//! [`MIN_ERRORS`] expected false accepts, and a calibration needs [`MIN_SUBJECTS`] subjects. The
//! whitening must have been fitted on other subjects than those that are calibrated on: with the
//! same ones the thresholds are worthless. Intervals are drawn over subjects, since the probes
//! of one subject are not independent.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::platt::Platt;
use super::rates::{Comparisons, RatePoint};
use crate::error::{Error, Result};
use crate::measure::{Figure, Interval, Resampling};

/// False accepts that must be expected among the impostors at a target: with 10 errors the true
/// rate is within about 1.6 times of the observed one at 90 %; with 30 (Doddington's rule) within 30 %.
pub const MIN_ERRORS: f64 = 10.0;
/// Subjects with genuine comparisons, and with impostors, under which no interval means anything.
pub const MIN_SUBJECTS: usize = 10;
/// Genuine comparisons: the p-values have steps of 1 / (n + 1).
pub const MIN_GENUINE: usize = 30;
/// Targets in one calibration: a table on one page.
pub const MAX_TARGETS: usize = 20;
/// Corners of the DET curve that are kept for plots.
const DET_POINTS: usize = 200;
/// Impostor scores that a calibration keeps.
pub const IMPOSTOR_SCORES: usize = 2_000;

/// A figure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On the comparisons as they are.
    pub value: f64,
    /// Over subjects drawn again.
    pub interval: Interval,
}

/// A threshold for a chosen FAR.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The chosen FAR, 0 to 1.
    pub target_far: f64,
    /// Scores at or above it are accepted.
    pub threshold: f64,
    /// Where the threshold would have been with other subjects.
    pub threshold_interval: Interval,
    /// At the threshold.
    pub far: Estimate,
    /// At the threshold.
    pub frr: Estimate,
    /// Whether fewer than 30 false accepts are expected: the true FAR may be off by more than 30 %.
    pub coarse: bool,
}

/// What is asked of a calibration.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// FARs to find thresholds for, each above 0 and below 1; 1 to [`MAX_TARGETS`].
    pub target_fars: Vec<f64>,
    /// How intervals are drawn.
    pub resampling: Resampling,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            target_fars: vec![0.01, 0.05],
            resampling: Resampling { resamples: 500, seed: 1, level: 0.95 },
        }
    }
}

/// A calibration, to be stored with the collection it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// 16 hex digits of all that follows from the scores.
    pub id: String,
    /// The equal error rate.
    pub eer: Estimate,
    /// The threshold at the EER.
    pub eer_threshold: f64,
    /// One for each target, in their order.
    pub points: Vec<OperatingPoint>,
    /// The curve for a plot, thresholds ascending.
    pub det: Vec<RatePoint>,
    /// Scores to probabilities.
    pub platt: Platt,
    /// All genuine scores, ascending: the reference of the p-values.
    pub genuine_scores: Vec<f64>,
    /// Impostor scores, ascending: all, or [`IMPOSTOR_SCORES`] at even steps of their order.
    pub impostor_scores: Vec<f64>,
    /// How many impostor comparisons it rests on.
    pub impostors: usize,
    /// Subjects with genuine comparisons.
    pub subjects: usize,
}

impl Calibration {
    /// Fit on comparisons.
    ///
    /// # Errors
    /// `InvalidInput` naming what is out of range, too few, or a target that the number of
    /// comparisons cannot support, with the lowest that it can.
    pub fn fit(comparisons: &Comparisons, wanted: &Wanted) -> Result<Calibration> {
        check(comparisons, wanted)?;
        let resampling = wanted.resampling;
        let mut thresholds = Vec::new();
        for &far in &wanted.target_fars {
            thresholds.push(comparisons.threshold_for_far(far).ok_or_else(|| unsupported(comparisons, far))?);
        }
        let mut figures: Vec<Figure<'_>> = vec![Box::new(|weights| comparisons.weighted_eer(weights))];
        for (&far, &threshold) in wanted.target_fars.iter().zip(&thresholds) {
            figures.push(Box::new(move |w| comparisons.weighted(threshold, w).map(|p| p.far)));
            figures.push(Box::new(move |w| comparisons.weighted(threshold, w).map(|p| p.frr)));
            figures.push(Box::new(move |w| weighted_threshold(comparisons, w, far)));
        }
        let draws = resampling.draw(comparisons.subjects(), &figures);
        let interval = |column: usize, value: f64| {
            let drawn = resampling.interval(draws.iter().map(|row| row[column]));
            drawn.unwrap_or(Interval { low: value, high: value })
        };
        let eer = comparisons.eer();
        let points =
            wanted.target_fars.iter().zip(&thresholds).enumerate().map(|(i, (&target_far, &threshold))| {
                let at = comparisons.at(threshold);
                let (impostors, genuine) = (comparisons.impostors() as f64, comparisons.genuine() as f64);
                let estimate = |column: usize, value: f64, count: f64| Estimate {
                    value,
                    interval: widen(interval(column, value), value, count, resampling.level),
                };
                OperatingPoint {
                    target_far,
                    threshold,
                    threshold_interval: interval(3 + 3 * i, threshold),
                    far: estimate(1 + 3 * i, at.far, impostors),
                    frr: estimate(2 + 3 * i, at.frr, genuine),
                    coarse: target_far * impostors < 30.0,
                }
            });
        let mut calibration = Calibration {
            id: String::new(),
            eer: Estimate { value: eer.far, interval: interval(0, eer.far) },
            eer_threshold: eer.threshold,
            points: points.collect(),
            det: comparisons.det(DET_POINTS),
            platt: Platt::fit(comparisons)?,
            genuine_scores: comparisons.scores(true),
            impostor_scores: thinned(comparisons.scores(false)),
            impostors: comparisons.impostors(),
            subjects: comparisons.subjects_with(true),
        };
        calibration.id = calibration.hash();
        Ok(calibration)
    }

    /// The share of genuine probes of the calibration that score no higher: with a new genuine
    /// probe of a new subject it is at most p with probability p (conformal; on average over
    /// subjects, not for each: one subject's probes may all be low).
    pub fn p_value(&self, score: f64) -> f64 {
        let lower = self.genuine_scores.partition_point(|&s| s <= score);
        (lower as f64 + 1.0) / (self.genuine_scores.len() as f64 + 1.0)
    }

    /// The rates at any threshold: the FRR of all genuine scores, the FAR of the kept impostor scores
    /// (exact to one part in [`IMPOSTOR_SCORES`]).
    pub fn at(&self, threshold: f64) -> RatePoint {
        let below = |scores: &[f64]| {
            scores.partition_point(|score| *score < threshold) as f64 / scores.len().max(1) as f64
        };
        let (far, frr) = (1.0 - below(&self.impostor_scores), below(&self.genuine_scores));
        RatePoint { threshold, far, frr }
    }

    /// FAR and FRR at any threshold with intervals at 95 %. Those of a calibrated threshold are its own, drawn
    /// over subjects; elsewhere they are Wilson's, which take comparisons as independent and are narrower.
    pub fn estimates_at(&self, threshold: f64) -> (Estimate, Estimate) {
        if let Some(point) = self.points.iter().find(|point| point.threshold == threshold) {
            return (point.far, point.frr);
        }
        let at = self.at(threshold);
        let estimate = |value: f64, count: usize| Estimate {
            value,
            interval: widen(Interval { low: value, high: value }, value, count.max(1) as f64, 0.95),
        };
        (estimate(at.far, self.impostors), estimate(at.frr, self.genuine_scores.len()))
    }

    /// Whether so many subjects as there are now are half as many again as at the fit: time to
    /// calibrate anew.
    pub fn outgrown(&self, subjects_now: usize) -> bool {
        2 * subjects_now >= 3 * self.subjects
    }

    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |values: &[f64]| values.iter().for_each(|v| hash.update(v.to_le_bytes()));
        add(&self.genuine_scores);
        add(&self.impostor_scores);
        add(&[self.eer.value, self.eer_threshold, self.platt.slope, self.platt.offset]);
        for point in &self.points {
            add(&[point.target_far, point.threshold, point.far.value, point.frr.value]);
        }
        for point in &self.det {
            add(&[point.threshold, point.far, point.frr]);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// At most [`IMPOSTOR_SCORES`] of ascending scores, at even steps, each in the middle of those that it stands for.
fn thinned(scores: Vec<f64>) -> Vec<f64> {
    if scores.len() <= IMPOSTOR_SCORES {
        return scores;
    }
    (0..IMPOSTOR_SCORES).map(|i| scores[(2 * i + 1) * scores.len() / (2 * IMPOSTOR_SCORES)]).collect()
}

fn check(comparisons: &Comparisons, wanted: &Wanted) -> Result<()> {
    let refuse = |text: String| Err(Error::InvalidInput(text));
    if wanted.target_fars.is_empty() || wanted.target_fars.len() > MAX_TARGETS {
        return refuse(format!("{} target FARs; expected 1 to {MAX_TARGETS}", wanted.target_fars.len()));
    }
    if let Some(far) = wanted.target_fars.iter().find(|far| !(**far > 0.0 && **far < 1.0)) {
        return refuse(format!("the target FAR {far} is out of range; expected above 0 and below 1"));
    }
    if !(100..=100_000).contains(&wanted.resampling.resamples)
        || !(0.5..1.0).contains(&wanted.resampling.level)
    {
        return refuse("resamples are 100 to 100,000, the level 0.5 to below 1".into());
    }
    for (genuine, kind) in [(true, "genuine"), (false, "impostor")] {
        let subjects = comparisons.subjects_with(genuine);
        if subjects < MIN_SUBJECTS {
            return refuse(format!(
                "{subjects} subjects have {kind} comparisons; a calibration needs at least {MIN_SUBJECTS}"
            ));
        }
    }
    if comparisons.genuine() < MIN_GENUINE {
        return refuse(format!(
            "{} genuine comparisons; a calibration needs at least {MIN_GENUINE}",
            comparisons.genuine()
        ));
    }
    match wanted.target_fars.iter().find(|far| **far * (comparisons.impostors() as f64) < MIN_ERRORS) {
        Some(far) => Err(unsupported(comparisons, *far)),
        None => Ok(()),
    }
}

fn unsupported(comparisons: &Comparisons, far: f64) -> Error {
    let impostors = comparisons.impostors();
    Error::InvalidInput(format!(
        "a FAR of {far} cannot be told from {impostors} impostor comparisons: {:.0} are needed; the lowest FAR \
         that these support is {:.2e}",
        (MIN_ERRORS / far).ceil(),
        MIN_ERRORS / impostors as f64
    ))
}

/// The threshold of the drawn impostors for a FAR: the score below which a share `1 - far` of them lies.
fn weighted_threshold(comparisons: &Comparisons, weights: &[u32], far: f64) -> Option<f64> {
    let weight = |subject: u32| u64::from(weights[subject as usize]);
    let impostors = || comparisons.sorted().iter().rev().filter(|c| !c.genuine);
    let total: u64 = impostors().map(|c| weight(c.subject)).sum();
    let mut above = 0;
    impostors()
        .find(|c| {
            above += weight(c.subject);
            above as f64 > far * total as f64
        })
        .map(|c| c.score.next_up())
}

/// An interval that is at least as wide as Wilson's for independent comparisons: where no error was
/// seen every draw shows none, and yet the rate is not 0.
fn widen(drawn: Interval, rate: f64, count: f64, level: f64) -> Interval {
    let z = normal_quantile(f64::midpoint(level, 1.0));
    let centre = (rate + z * z / (2.0 * count)) / (1.0 + z * z / count);
    let half =
        z / (1.0 + z * z / count) * (rate * (1.0 - rate) / count + z * z / (4.0 * count * count)).sqrt();
    Interval { low: drawn.low.min((centre - half).max(0.0)), high: drawn.high.max((centre + half).min(1.0)) }
}

/// The p-quantile of the normal distribution, 0.5 <= p < 1. Source: Abramowitz and Stegun 26.2.23,
/// within 4.5e-4.
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    t - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
        / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::rates::Comparison;
    use super::*;

    /// `subjects` with 20 genuine and 40 impostor scores each, at levels that differ by subject.
    fn drawn(subjects: u32, seed: u64) -> Comparisons {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut all = Vec::new();
        for subject in 0..subjects {
            let level = rng.random_range(-0.1..0.1);
            for i in 0..60 {
                let genuine = i < 20;
                let score = if genuine { 0.6 } else { 0.2 } + level + rng.random_range(-0.3..0.3);
                all.push(Comparison { score, subject, genuine });
            }
        }
        Comparisons::new(all).unwrap()
    }

    fn wanted(target_fars: &[f64]) -> Wanted {
        Wanted { target_fars: target_fars.to_vec(), ..Wanted::default() }
    }

    #[test]
    fn a_stated_far_comes_true_on_other_subjects() {
        let calibration = Calibration::fit(&drawn(80, 1), &wanted(&[0.01, 0.05, 0.1])).unwrap();
        let others = drawn(400, 2);
        for point in &calibration.points {
            let far = others.at(point.threshold).far;
            assert!((1.0 / 1.5..1.5).contains(&(far / point.target_far)), "{far} for {}", point.target_far);
            assert!((point.far.interval.low..=point.far.interval.high).contains(&far), "{far}: {point:?}");
            let threshold = others.threshold_for_far(point.target_far).unwrap();
            let interval = point.threshold_interval;
            assert!((interval.low..=interval.high).contains(&threshold), "{threshold}: {point:?}");
        }
        let eer = others.eer().far;
        assert!((calibration.eer.interval.low..=calibration.eer.interval.high).contains(&eer), "{eer}");
        assert!(calibration.points[0].coarse == (0.01 * 3200.0 < 30.0));
    }

    #[test]
    fn a_p_value_is_as_rare_as_it_says() {
        let calibration = Calibration::fit(&drawn(200, 3), &wanted(&[0.05])).unwrap();
        let others = drawn(400, 4).scores(true);
        for p in [0.01, 0.05, 0.2, 0.5] {
            let share =
                others.iter().filter(|s| calibration.p_value(**s) <= p).count() as f64 / others.len() as f64;
            assert!((share - p).abs() < 0.05 * p + 0.015, "{share} for {p}");
        }
        assert!(calibration.p_value(f64::MIN) > 0.0 && calibration.p_value(f64::MAX) == 1.0);
    }

    #[test]
    fn what_the_comparisons_cannot_support_is_refused_by_name() {
        let few = drawn(20, 1);
        for (all, targets, words) in [
            (
                &few,
                vec![0.001],
                "FAR of 0.001 cannot be told from 800 impostor comparisons: 10000 are needed",
            ),
            (&few, vec![], "0 target FARs"),
            (&few, vec![0.0], "target FAR 0 is out of range"),
            (&few, vec![f64::NAN], "target FAR NaN"),
            (&few, vec![1.0], "target FAR 1 "),
            (&drawn(9, 1), vec![0.1], "9 subjects have genuine comparisons"),
        ] {
            let error = Calibration::fit(all, &wanted(&targets)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(Calibration::fit(&few, &wanted(&[0.0125])).is_ok());
    }

    #[test]
    fn no_error_seen_is_not_said_to_be_no_error() {
        let mut all = Vec::new();
        for subject in 0..20 {
            for i in 0..40 {
                all.push(Comparison { score: f64::from(i % 2), subject, genuine: i % 2 == 1 });
            }
        }
        let all = Comparisons::new(all).unwrap();
        let calibration = Calibration::fit(&all, &wanted(&[0.05])).unwrap();
        let point = &calibration.points[0];
        assert_eq!((calibration.eer.value, point.far.value, point.frr.value), (0.0, 0.0, 0.0));
        // The rule of three says 3 / 400.
        assert!((0.005..0.02).contains(&point.frr.interval.high), "{point:?}");
    }

    #[test]
    fn ids_follow_the_scores_and_survive_a_round_trip() {
        let (one, two) = (drawn(30, 1), drawn(30, 2));
        let fit = |all| Calibration::fit(all, &wanted(&[0.05])).unwrap();
        assert_eq!(fit(&one).id, fit(&one).id);
        assert_ne!(fit(&one).id, fit(&two).id);
        let text = serde_json::to_string(&fit(&one)).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), fit(&one));
        assert!(!fit(&one).outgrown(44) && fit(&one).outgrown(45));
    }

    #[test]
    fn the_normal_quantiles_are_the_known_ones() {
        for (p, z) in [(0.975, 1.959_964), (0.95, 1.644_854), (0.995, 2.575_829)] {
            assert!((normal_quantile(p) - z).abs() < 1e-3, "{p}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn rates_read_from_the_kept_scores_are_those_of_the_comparisons(seed in 0u64..1000, threshold in -0.5f64..1.2) {
            let all = drawn(80, seed);
            let calibration = Calibration::fit(&all, &wanted(&[0.1])).unwrap();
            let (kept, exact) = (calibration.at(threshold), all.at(threshold));
            prop_assert!((kept.far - exact.far).abs() < 0.001 && kept.frr == exact.frr, "{kept:?} {exact:?}");
        }
    }
}
