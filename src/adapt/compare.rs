//! All candidates on one collection: chosen strengths by cross-validation inside the training
//! part, figures on the held-out part, and the verdict. The winner must beat no head by more
//! than chance would (an interval that allows for the number of candidates), and for texts it
//! must not lose on words whose label it was not fitted on.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Labelled;
use super::figures::Figures;
use super::fit::{Training, fit, strengths};
use super::head::{Head, Kind, Modality};
use crate::error::{Error, Result};
use crate::measure::{Figure, Interval, Resampling, clusters, stratified};

/// Most components of the vectors: a head is that squared, its fit that cubed.
pub const MAX_DIMENSION: usize = 1024;
/// Most points that a head is fitted and measured on.
pub const MAX_POINTS: usize = 2000;
/// Fewest labels with enough points.
pub const MIN_LABELS: usize = 3;
/// Fewest different points of a label; a label with fewer is left out.
pub const MIN_POINTS_PER_LABEL: usize = 4;
/// Parts of the training data that the strength is chosen on.
const FOLDS: u64 = 3;
/// Up to so many labels are left out one by one for the test on unseen words, more in groups.
const LABEL_FOLDS: u32 = 5;
/// Draws of the bootstrap.
const RESAMPLES: usize = 1000;

/// What is compared and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The candidates; `none` always takes part.
    pub candidates: Vec<Kind>,
    /// The share of points that is held out, 0.1 to 0.5.
    pub holdout: f64,
    /// The same seed gives the same split.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { candidates: Kind::ALL.to_vec(), holdout: 0.3, seed: 1 }
    }
}

/// A difference to no head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// In mean average precision.
    pub map: f64,
    /// Where it lies.
    pub interval: Interval,
    /// The share of draws inside the interval.
    pub level: f64,
    /// For texts: the gain on words of labels that the head was not fitted on.
    pub unseen_words: Option<f64>,
}

/// One candidate's held-out figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// How it is made.
    pub kind: Kind,
    /// The strength that cross-validation chose.
    pub strength: f64,
    /// Mean average precision: by label, of the other pictures (picture) or of words (text).
    pub map: f64,
    /// Pictures: R@1 by label. Texts: zero-shot accuracy.
    pub first: f64,
    /// Over no head; `None` for no head itself.
    pub gain: Option<Gain>,
}

/// The comparison for one kind of queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Which queries.
    pub modality: Modality,
    /// Points that heads were fitted on for the figures, and points they were measured on.
    pub fitted_on: usize,
    /// Held out.
    pub held_out: usize,
    /// No head first.
    pub candidates: Vec<Candidate>,
    /// The best head.
    pub best: Kind,
    /// True where it beats no head.
    pub wins: bool,
}

/// A comparison and its best head, fitted on all points.
pub struct Outcome {
    /// The figures.
    pub comparison: Comparison,
    /// The best head; `None` where only no head took part.
    pub head: Option<Head>,
}

/// Leaves out the labels with too few different points.
///
/// # Errors
/// `InvalidInput` where too few labels are left, saying how many there are.
fn enough(points: &Labelled) -> Result<Labelled> {
    let copies = clusters(points.vectors.iter().map(Vec::as_slice));
    let different: BTreeSet<(u32, u32)> = points.labels.iter().copied().zip(copies).collect();
    let count = |label: u32| different.range((label, 0)..=(label, u32::MAX)).count();
    let all: BTreeSet<u32> = points.labels.iter().copied().collect();
    let kept: BTreeSet<u32> =
        all.iter().copied().filter(|&label| count(label) >= MIN_POINTS_PER_LABEL).collect();
    if kept.len() < MIN_LABELS {
        return Err(Error::InvalidInput(format!(
            "label: {} of {} labels have {MIN_POINTS_PER_LABEL} different points or more, at least {MIN_LABELS} are needed; label more points",
            kept.len(),
            all.len()
        )));
    }
    Ok(points.only(|i| kept.contains(&points.labels[i])))
}

/// Compares the candidates for one kind of queries. `words` may be empty for pictures.
///
/// # Errors
/// `InvalidInput` where there are too few labels or points.
pub fn compare(modality: Modality, points: &Labelled, words: &Labelled, plan: &Plan) -> Result<Outcome> {
    let points = enough(points)?;
    let labels: BTreeSet<u32> = points.labels.iter().copied().collect();
    let words = words.only(|i| labels.contains(&words.labels[i]));
    let copies = clusters(points.vectors.iter().map(Vec::as_slice));
    let held_out = stratified(&points.labels, &copies, plan.holdout, plan.seed);
    let (training, test) = (points.only(|i| !held_out[i]), points.only(|i| held_out[i]));
    let trained = Training { points: &training, words: &words, modality };
    let wanted =
        |kind: &Kind| plan.candidates.contains(kind) && (*kind != Kind::Ridge || modality == Modality::Text);
    let mut kinds = vec![Kind::None];
    kinds.extend(Kind::ALL.into_iter().filter(|kind| *kind != Kind::None).filter(wanted));
    let chosen: Vec<(Kind, f64)> = kinds
        .iter()
        .map(|&kind| Ok((kind, choose_strength(kind, trained, plan.seed)?)))
        .collect::<Result<_>>()?;
    let figures: Vec<Figures> = chosen
        .iter()
        .map(|&(kind, strength)| Ok(Figures::new(&fit(kind, strength, trained)?, modality, &test, &words)))
        .collect::<Result<_>>()?;
    let unseen: Vec<Option<f64>> = match modality {
        Modality::Picture => vec![None; chosen.len()],
        Modality::Text => {
            let of = |&(kind, strength): &(Kind, f64)| unseen_words(kind, strength, trained, &test);
            chosen.iter().map(of).collect::<Result<_>>()?
        }
    };
    let heads = chosen.len() - 1;
    let level = 1.0 - 0.05 / heads.max(1) as f64;
    let how = Resampling { resamples: RESAMPLES, seed: plan.seed, level };
    let columns: Vec<Figure<'_>> = figures.iter().map(Figures::map_figure).collect();
    let draws = how.draw(test.labels.len(), &columns);
    let base = figures[0].map().unwrap_or_default();
    let candidates: Vec<Candidate> = (0..chosen.len())
        .map(|i| {
            let map = figures[i].map().unwrap_or_default();
            let paired = (i > 0).then(|| how.paired(map - base, &draws, i, 0)).flatten();
            Candidate {
                kind: chosen[i].0,
                strength: chosen[i].1,
                map,
                first: figures[i].first().unwrap_or_default(),
                gain: paired.map(|paired| Gain {
                    map: paired.difference,
                    interval: paired.interval,
                    level,
                    unseen_words: unseen[i].zip(unseen[0]).map(|(with, without)| with - without),
                }),
            }
        })
        .collect();
    let (best, wins) = verdict(&candidates);
    let strength = candidates.iter().find(|c| c.kind == best).map_or(0.0, |c| c.strength);
    let everything = Training { points: &points, words: &words, modality };
    let head = if best == Kind::None { None } else { Some(fit(best, strength, everything)?) };
    let (fitted_on, held_out) = (training.labels.len(), test.labels.len());
    Ok(Outcome { comparison: Comparison { modality, fitted_on, held_out, candidates, best, wins }, head })
}

/// True where the candidate may be applied.
fn is_better(gain: &Gain) -> bool {
    gain.interval.low > 0.0 && gain.unseen_words.is_none_or(|unseen| unseen >= 0.0)
}

/// The best head: of those that are better than none the one with the largest gain; where none
/// is, that with the largest gain, which does not win.
fn verdict(candidates: &[Candidate]) -> (Kind, bool) {
    let key = |gain: &Gain| (is_better(gain), gain.map);
    let best = candidates
        .iter()
        .filter_map(|candidate| Some((candidate.kind, key(candidate.gain.as_ref()?))))
        .max_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    best.map_or((Kind::None, false), |(kind, (wins, _))| (kind, wins))
}

/// The strength with the best mean average precision over folds of the training data; of equal
/// ones the later, which for covariances and the ridge is the gentler.
fn choose_strength(kind: Kind, training: Training<'_>, seed: u64) -> Result<f64> {
    let all = strengths(kind);
    let [first, _, ..] = all else { return Ok(all.first().copied().unwrap_or_default()) };
    let points = training.points;
    let copies = clusters(points.vectors.iter().map(Vec::as_slice));
    let folds: Vec<(Labelled, Labelled)> = (0..FOLDS)
        .map(|fold| {
            let out = stratified(&points.labels, &copies, 1.0 / FOLDS as f64, seed ^ (fold + 1));
            (points.only(|i| !out[i]), points.only(|i| out[i]))
        })
        .collect();
    let score = |&strength: &f64| -> Result<(f64, f64)> {
        let mut sum = 0.0;
        for (inner, outer) in &folds {
            let head = fit(kind, strength, Training { points: inner, ..training })?;
            sum += Figures::new(&head, training.modality, outer, training.words).map().unwrap_or_default();
        }
        Ok((strength, sum))
    };
    let scored: Vec<(f64, f64)> = all.par_iter().map(score).collect::<Result<_>>()?;
    Ok(scored.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(*first, |(strength, _)| strength))
}

/// Mean average precision on the held-out points of words whose label (with its points) was left
/// out of the fit.
fn unseen_words(kind: Kind, strength: f64, training: Training<'_>, test: &Labelled) -> Result<Option<f64>> {
    let labels: Vec<u32> =
        training.words.labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let groups = (labels.len() as u32).min(LABEL_FOLDS);
    let group = |label: u32| labels.binary_search(&label).map_or(0, |i| i as u32 % groups.max(1));
    let of_group = |left_out: u32| -> Result<Vec<Option<f64>>> {
        let points = training.points.only(|i| group(training.points.labels[i]) != left_out);
        let words = training.words.only(|i| group(training.words.labels[i]) != left_out);
        let asked = training.words.only(|i| group(training.words.labels[i]) == left_out);
        let head = fit(kind, strength, Training { points: &points, words: &words, ..training })?;
        Ok(Figures::new(&head, training.modality, test, &asked).each())
    };
    let each: Vec<f64> = (0..groups)
        .into_par_iter()
        .map(of_group)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    Ok((!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    const PLAN: Plan = Plan { candidates: Vec::new(), holdout: 0.3, seed: 1 };

    fn all() -> Plan {
        Plan { candidates: Kind::ALL.to_vec(), ..PLAN }
    }

    fn unit(mut vector: Vec<f32>) -> Vec<f32> {
        crate::distance::normalise(&mut vector);
        vector
    }

    /// Labels differ in the first 4 of 16 components; the others are loud and mean nothing.
    fn noisy(n: usize, labels: u32, noise: f32) -> Labelled {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut draw = |scale: f32| rng.random_range(-scale..scale);
        let centres: Vec<Vec<f32>> = (0..labels).map(|_| (0..4).map(|_| draw(1.0)).collect()).collect();
        let vector = |label: u32, draw: &mut dyn FnMut(f32) -> f32| {
            let centre = &centres[label as usize];
            unit((0..16).map(|i| if i < 4 { centre[i] + draw(0.3) } else { draw(noise) }).collect())
        };
        let labels: Vec<u32> = (0..n as u32).map(|i| i % labels).collect();
        Labelled { vectors: labels.iter().map(|&label| vector(label, &mut draw)).collect(), labels }
    }

    #[test]
    fn loud_directions_that_mean_nothing_are_turned_down_and_the_head_wins() {
        let points = noisy(300, 6, 1.5);
        let outcome = compare(Modality::Picture, &points, &Labelled::default(), &all()).unwrap();
        let comparison = outcome.comparison;
        assert!(comparison.wins, "{comparison:?}");
        assert!([Kind::Within, Kind::Whiten].contains(&comparison.best), "{comparison:?}");
        assert!(outcome.head.is_some_and(|head| head.fits(16)));
        assert_eq!(comparison.fitted_on + comparison.held_out, 300);
    }

    #[test]
    fn labels_that_mean_nothing_are_no_reason_to_apply_a_head() {
        let mut points = noisy(240, 6, 1.0);
        let mut rng = SmallRng::seed_from_u64(8);
        let mut wins = 0;
        for _ in 0..8 {
            points.labels.iter_mut().for_each(|label| *label = rng.random_range(0..6));
            wins += u32::from(
                compare(Modality::Picture, &points, &Labelled::default(), &all()).unwrap().comparison.wins,
            );
        }
        assert!(wins <= 1, "a head won {wins} of 8 times on labels drawn at random");
    }

    #[test]
    fn words_that_lie_beside_their_points_are_mapped_onto_them() {
        let points = noisy(300, 6, 0.2);
        // The words' space is turned against the points': components are swapped in pairs.
        let means: Vec<Vec<f32>> = (0..6)
            .map(|label| {
                let own = points.only(|i| points.labels[i] == label);
                unit((0..16).map(|c| own.vectors.iter().map(|v| v[c ^ 1]).sum()).collect())
            })
            .collect();
        let words = Labelled { vectors: means, labels: (0..6).collect() };
        let plan = Plan { candidates: vec![Kind::Ridge], ..PLAN };
        let comparison = compare(Modality::Text, &points, &words, &plan).unwrap().comparison;
        let gain = comparison.candidates[1].gain.unwrap();
        assert!(gain.interval.low > 0.1, "{comparison:?}");
        assert_eq!(comparison.wins, gain.unseen_words.unwrap() >= 0.0, "{comparison:?}");
    }

    #[test]
    fn copies_of_a_point_cannot_be_counted_as_points() {
        let vectors: Vec<Vec<f32>> = (0..40).map(|i| vec![(i % 4) as f32, 1.0, 0.0]).collect();
        let points = Labelled { vectors, labels: (0..40).map(|i| i % 4).collect() };
        let error = compare(Modality::Picture, &points, &Labelled::default(), &all()).err().unwrap();
        assert!(error.to_string().contains("0 of 4 labels have 4 different points"), "{error}");
    }

    #[test]
    fn too_few_labels_are_refused_with_the_numbers() {
        let points = noisy(40, 2, 0.5);
        let error = compare(Modality::Picture, &points, &Labelled::default(), &all()).err().unwrap();
        assert_eq!(error.code(), 400);
        assert!(
            error.to_string().contains("2 of 2 labels") && error.to_string().contains("at least 3"),
            "{error}"
        );
    }
}
