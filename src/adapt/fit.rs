//! Heads in closed form. All arithmetic is in f64; a covariance is never inverted without
//! shrinkage, so every factorisation exists.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::Labelled;
use super::head::{Head, Kind, Modality};
use crate::error::{Error, Result};

/// What a head is fitted on.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// Points of the collection.
    pub points: &'a Labelled,
    /// Words of labels; needed for text queries.
    pub words: &'a Labelled,
    /// What the head is for.
    pub modality: Modality,
}

/// The strengths of a kind that are tried: for `centre` the share of the mean that goes, for
/// covariances the shrinkage, for `ridge` lambda.
pub fn strengths(kind: Kind) -> &'static [f64] {
    match kind {
        Kind::None => &[0.0],
        Kind::Centre => &[0.25, 0.5, 1.0],
        Kind::Whiten | Kind::Within => &[0.1, 0.3, 0.6, 0.9, 0.97],
        Kind::Ridge => &[0.01, 0.1, 0.3, 1.0, 3.0, 10.0],
    }
}

/// Fits one head.
///
/// # Errors
/// `Internal` where a factorisation fails, which shrinkage excludes.
pub fn fit(kind: Kind, strength: f64, training: Training<'_>) -> Result<Head> {
    let dimension = training.points.vectors.first().map_or(0, Vec::len);
    let points = matrix(&training.points.vectors, dimension);
    match kind {
        Kind::None => Ok(Head::identity(dimension)),
        Kind::Centre => {
            let mean = mean(&queries(training, dimension));
            Ok(Head { matrix: Vec::new(), offset: floats((mean * -strength).iter()) })
        }
        Kind::Whiten => {
            let centred = centred(&points);
            inverse_covariance(&centred, strength, &mean(&queries(training, dimension)))
        }
        Kind::Within => {
            let residuals = within(&points, &training.points.labels);
            inverse_covariance(&residuals, strength, &mean(&queries(training, dimension)))
        }
        Kind::Ridge => ridge(&points, training, strength),
    }
}

/// The vectors that stand for queries: the points themselves, or the words.
fn queries(training: Training<'_>, dimension: usize) -> DMatrix<f64> {
    match training.modality {
        Modality::Picture => matrix(&training.points.vectors, dimension),
        Modality::Text => matrix(&training.words.vectors, dimension),
    }
}

/// One column a vector.
fn matrix(vectors: &[Vec<f32>], dimension: usize) -> DMatrix<f64> {
    DMatrix::from_iterator(dimension, vectors.len(), vectors.iter().flatten().map(|&x| f64::from(x)))
}

fn mean(columns: &DMatrix<f64>) -> DVector<f64> {
    if columns.ncols() == 0 { DVector::zeros(columns.nrows()) } else { columns.column_mean() }
}

fn centred(columns: &DMatrix<f64>) -> DMatrix<f64> {
    let mean = mean(columns);
    let mut centred = columns.clone();
    centred.column_iter_mut().for_each(|mut column| column -= &mean);
    centred
}

/// Every point less the mean of its label.
fn within(points: &DMatrix<f64>, labels: &[u32]) -> DMatrix<f64> {
    let mut residuals = points.clone();
    for (label, mean) in label_means(points, labels) {
        for (i, mut column) in residuals.column_iter_mut().enumerate() {
            if labels[i] == label {
                column -= &mean;
            }
        }
    }
    residuals
}

fn label_means(points: &DMatrix<f64>, labels: &[u32]) -> Vec<(u32, DVector<f64>)> {
    let mut sums = std::collections::BTreeMap::new();
    for (column, &label) in points.column_iter().zip(labels) {
        let (sum, count) = sums.entry(label).or_insert_with(|| (DVector::zeros(points.nrows()), 0.0));
        *sum += column;
        *count += 1.0;
    }
    sums.into_iter().map(|(label, (sum, count))| (label, sum / count)).collect()
}

/// `q -> S^-1 (q - mean)`, S the covariance of the residuals with `shrinkage` of it replaced by a
/// sphere of the same volume (in the sense of the trace).
fn inverse_covariance(residuals: &DMatrix<f64>, shrinkage: f64, mean: &DVector<f64>) -> Result<Head> {
    let dimension = residuals.nrows();
    let covariance = residuals * residuals.transpose() / residuals.ncols().max(1) as f64;
    let sphere = covariance.trace() / dimension.max(1) as f64;
    // Points that are all the same have no covariance: any sphere will do.
    let sphere = if sphere > 1e-12 { sphere } else { 1.0 };
    // Divided by the sphere: a scale does not matter, and the numbers stay near 1.
    let mut shrunk = covariance * ((1.0 - shrinkage) / sphere);
    for i in 0..dimension {
        shrunk[(i, i)] += shrinkage;
    }
    let inverse = factor(shrunk)?.inverse();
    let offset = -(&inverse * mean);
    Ok(Head { matrix: rows(&inverse), offset: floats(offset.iter()) })
}

/// `W` that minimises `sum |W t - m|^2 + strength |W - I|^2` over the words `t` and the means `m`
/// of their labels' points: `W = I + R (T'T + strength I)^-1 T'` with the residuals `R = M - T`.
fn ridge(points: &DMatrix<f64>, training: Training<'_>, strength: f64) -> Result<Head> {
    let dimension = points.nrows();
    let means: std::collections::BTreeMap<u32, DVector<f64>> =
        label_means(points, &training.points.labels).into_iter().collect();
    let known = training.words.only(|i| means.contains_key(&training.words.labels[i]));
    if known.vectors.is_empty() {
        return Ok(Head::identity(dimension));
    }
    let texts = matrix(&known.vectors, dimension);
    let mut residuals = -texts.clone();
    for (mut column, label) in residuals.column_iter_mut().zip(&known.labels) {
        if let Some(mean) = means.get(label) {
            column += mean;
        }
    }
    let mut gram = texts.transpose() * &texts;
    for i in 0..gram.nrows() {
        gram[(i, i)] += strength;
    }
    let mut map = residuals * factor(gram)?.solve(&texts.transpose());
    for i in 0..dimension {
        map[(i, i)] += 1.0;
    }
    Ok(Head { matrix: rows(&map), offset: vec![0.0; dimension] })
}

fn factor(matrix: DMatrix<f64>) -> Result<Cholesky<f64, nalgebra::Dyn>> {
    Cholesky::new(matrix).ok_or_else(|| Error::Internal("a shrunk covariance has no Cholesky factor".into()))
}

/// Row after row.
fn rows(matrix: &DMatrix<f64>) -> Vec<f32> {
    floats(matrix.transpose().iter())
}

#[allow(clippy::cast_possible_truncation)]
fn floats<'a>(numbers: impl Iterator<Item = &'a f64>) -> Vec<f32> {
    numbers.map(|&x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    fn random(seed: u64, n: usize, labels: u32) -> Labelled {
        let mut rng = SmallRng::seed_from_u64(seed);
        let vector = |rng: &mut SmallRng| (0..5).map(|_| rng.random_range(-1.0_f32..1.0)).collect();
        Labelled {
            vectors: (0..n).map(|_| vector(&mut rng)).collect(),
            labels: (0..n).map(|i| i as u32 % labels).collect(),
        }
    }

    /// What `ridge` minimises.
    fn loss(w: &DMatrix<f64>, words: &Labelled, points: &Labelled, strength: f64) -> f64 {
        let means: std::collections::BTreeMap<_, _> =
            label_means(&matrix(&points.vectors, 5), &points.labels).into_iter().collect();
        let texts = matrix(&words.vectors, 5);
        let fit: f64 = texts
            .column_iter()
            .zip(&words.labels)
            .map(|(t, label)| (w * t - &means[label]).norm_squared())
            .sum();
        fit + strength * (w - DMatrix::identity(5, 5)).norm_squared()
    }

    fn full(head: &Head) -> DMatrix<f64> {
        DMatrix::from_row_iterator(5, 5, head.matrix.iter().map(|&x| f64::from(x)))
    }

    proptest! {
        #[test]
        fn no_small_change_of_the_ridge_map_has_a_smaller_loss(
            seed in any::<u64>(), strength in 0.05_f64..5.0, row in 0_usize..5, column in 0_usize..5
        ) {
            let (points, words) = (random(seed, 24, 4), random(seed ^ 1, 4, 4));
            let training = Training { points: &points, words: &words, modality: Modality::Text };
            let w = full(&fit(Kind::Ridge, strength, training).unwrap());
            let best = loss(&w, &words, &points, strength);
            for step in [-1e-2, 1e-2] {
                let mut other = w.clone();
                other[(row, column)] += step;
                prop_assert!(loss(&other, &words, &points, strength) > best - 1e-9);
            }
        }

        #[test]
        fn whitening_without_much_shrinkage_makes_the_covariance_round(seed in any::<u64>()) {
            let points = random(seed, 400, 4);
            let training = Training { points: &points, words: &Labelled::default(), modality: Modality::Picture };
            let m = full(&fit(Kind::Whiten, 1e-6, training).unwrap());
            let centred = centred(&matrix(&points.vectors, 5));
            let covariance = &centred * centred.transpose() / 400.0;
            let product = &m * &covariance;
            let scale = product.trace() / 5.0;
            prop_assert!((product / scale - DMatrix::identity(5, 5)).norm() < 1e-3);
        }

        #[test]
        fn full_shrinkage_is_no_more_than_centring(seed in any::<u64>()) {
            let points = random(seed, 40, 4);
            let training = Training { points: &points, words: &Labelled::default(), modality: Modality::Picture };
            let round = fit(Kind::Within, 1.0, training).unwrap();
            let centre = fit(Kind::Centre, 1.0, training).unwrap();
            for query in &points.vectors {
                for (a, b) in round.apply(query).iter().zip(centre.apply(query)) {
                    prop_assert!((a - b).abs() < 1e-4, "{a} for {b}");
                }
            }
        }
    }

    #[test]
    fn a_ridge_of_endless_strength_is_the_identity() {
        let (points, words) = (random(1, 24, 4), random(2, 4, 4));
        let training = Training { points: &points, words: &words, modality: Modality::Text };
        let w = full(&fit(Kind::Ridge, 1e12, training).unwrap());
        assert!((w - DMatrix::identity(5, 5)).norm() < 1e-6);
    }

    #[test]
    fn points_that_are_all_the_same_are_no_reason_to_fail() {
        let points = Labelled { vectors: vec![vec![1.0, 0.0, 0.0]; 8], labels: vec![0, 0, 0, 0, 1, 1, 1, 1] };
        let words = Labelled { vectors: vec![vec![0.0, 1.0, 0.0]; 2], labels: vec![0, 1] };
        for modality in [Modality::Picture, Modality::Text] {
            for kind in Kind::ALL {
                let training = Training { points: &points, words: &words, modality };
                let head = fit(kind, strengths(kind)[0], training).unwrap();
                assert!(head.apply(&[0.6, 0.8, 0.0]).iter().all(|x| x.is_finite()), "{kind:?}");
            }
        }
    }
}
