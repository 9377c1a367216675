//! Whitening of features, fitted on genuine signatures of other people: what varies a lot between any
//! two signatures counts less, what is rare counts more (PCA; halves the error); then what varies between
//! signatures of one hand counts less (within-class covariance).
//!
//! Invariant: the id follows from every number, so that scores of one whitening are never compared with
//! thresholds of another. The people it was fitted on must not be those that thresholds are fitted on.

use std::collections::BTreeMap;

use half::f16;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::score::self_similarity;
use crate::error::{Error, Result};

/// Components that are kept.
const COMPONENTS: usize = 500;
/// How far the variances are drawn to their mean.
const SHRINKAGE: f64 = 0.05;
/// Fewer people say too little of what differs between people.
pub const MIN_COHORT: usize = 10;
/// Signatures that are used at most: the fit takes seconds.
pub const MAX_COHORT_SIGNATURES: usize = 4_000;
/// References up to which the population's self-similarity is known.
const MAX_REFERENCES: usize = 10;

/// A fitted whitening.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whitening {
    id: String,
    /// Of the features that it was fitted on.
    recipe: String,
    /// People that it was fitted on.
    subjects: usize,
    mean: Vec<f32>,
    /// Components x features, row by row.
    matrix: Vec<f32>,
    /// Mean over people of how much a signature is like the centroid of the others, of 2, 3, ... references.
    population: Vec<f64>,
}

/// What stands before the numbers of a shipped whitening.
#[derive(Serialize, Deserialize)]
struct Head {
    recipe: String,
    subjects: usize,
    features: usize,
    population: Vec<f64>,
}

impl Whitening {
    /// Fits a whitening on genuine signatures: subject and features (of `recipe`) of each.
    ///
    /// # Errors
    /// `InvalidInput` where there are fewer than [`MIN_COHORT`] subjects or features differ in length.
    pub fn fit(recipe: &str, signatures: &[(String, Vec<f32>)]) -> Result<Whitening> {
        Whitening::fit_mirrored(recipe, signatures, &[])
    }

    /// As [`Whitening::fit`], with features of mirrored pictures beside them: a mirrored signature is one
    /// of another person, as far as features go, so that a cohort says more of how hands differ, and less
    /// of its script. Such a person is none of [`Whitening::subjects`].
    ///
    /// # Errors
    /// As [`Whitening::fit`].
    pub fn fit_mirrored(
        recipe: &str,
        signatures: &[(String, Vec<f32>)],
        mirrored: &[(String, Vec<f32>)],
    ) -> Result<Whitening> {
        let grouped = |signatures| {
            let mut by_subject: BTreeMap<&str, Vec<&Vec<f32>>> = BTreeMap::new();
            let pairs: &[(String, Vec<f32>)] = signatures;
            pairs
                .iter()
                .for_each(|(subject, features)| by_subject.entry(subject).or_default().push(features));
            by_subject
        };
        let (mut by_subject, mut others) = (grouped(signatures), grouped(mirrored));
        let size = signatures.first().map_or(0, |(_, features)| features.len());
        if by_subject.len() < MIN_COHORT {
            return Err(Error::InvalidInput(format!(
                "the cohort holds {} subjects; at least {MIN_COHORT} are needed to fit a whitening",
                by_subject.len()
            )));
        }
        let is_whole = |features: &Vec<f32>| features.len() == size && features.iter().all(|v| v.is_finite());
        if size == 0 || !signatures.iter().chain(mirrored).all(|(_, features)| is_whole(features)) {
            return Err(Error::InvalidInput(
                "the cohort's features differ in length or are no numbers".into(),
            ));
        }
        let each = most_of_each(by_subject.values().chain(others.values()).map(Vec::len));
        by_subject.values_mut().chain(others.values_mut()).for_each(|features| features.truncate(each));
        let people = || by_subject.values().chain(others.values());
        let rows: Vec<&Vec<f32>> = people().flatten().take(MAX_COHORT_SIGNATURES).copied().collect();
        let (mean, matrix) = components(&rows, size)?;
        let matrix = steady(people(), &mean, matrix)?;
        let mut whitening = Whitening {
            id: String::new(),
            recipe: recipe.to_owned(),
            subjects: by_subject.len(),
            mean,
            matrix,
            population: Vec::new(),
        };
        whitening.population = whitening.measure(&by_subject);
        whitening.id = whitening.digest();
        Ok(whitening)
    }

    /// The mean self-similarity of the cohort by the number of references; what too few have enough
    /// signatures for is as with fewer.
    fn measure(&self, by_subject: &BTreeMap<&str, Vec<&Vec<f32>>>) -> Vec<f64> {
        let white: Vec<Vec<Vec<f32>>> =
            by_subject.values().map(|rows| rows.iter().map(|row| self.apply(row)).collect()).collect();
        let mut population: Vec<f64> = Vec::new();
        for count in 2..=MAX_REFERENCES {
            let own = |rows: &Vec<Vec<f32>>| self_similarity(rows.get(..count)?);
            let values: Vec<f64> = white.iter().filter_map(own).collect();
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let before = population.last().copied().unwrap_or(0.0);
            population.push(if values.len() * 2 >= white.len() { mean } else { before });
        }
        population
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.recipe.as_bytes());
        self.mean.iter().chain(&self.matrix).for_each(|value| hash.update(value.to_le_bytes()));
        self.population.iter().for_each(|value| hash.update(value.to_le_bytes()));
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// It as bytes to ship: a line of JSON, then mean and matrix in 16 bits, a quarter of the JSON's size. What
    /// is read back has an id of its own, since its numbers are rounded.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Head {
            recipe: self.recipe.clone(),
            subjects: self.subjects,
            features: self.mean.len(),
            population: self.population.clone(),
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        let values = self.mean.iter().chain(&self.matrix);
        bytes.extend(values.flat_map(|&value| f16::from_f32(value).to_le_bytes()));
        bytes
    }

    /// Reads [`Whitening::to_bytes`]; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Whitening> {
        let at = bytes.iter().position(|&byte| byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..at]).ok()?;
        let pairs = bytes[at + 1..].chunks_exact(2);
        let whole = pairs.remainder().is_empty();
        let mut mean: Vec<f32> = pairs.map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect();
        if !whole || head.features == 0 || mean.len() <= head.features {
            return None;
        }
        let matrix = mean.split_off(head.features);
        let mut whitening = Whitening {
            id: String::new(),
            recipe: head.recipe,
            subjects: head.subjects,
            mean,
            matrix,
            population: head.population,
        };
        whitening.id = whitening.digest();
        whitening.is_whole().then_some(whitening)
    }

    /// 16 hex digits that change with any number of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The recipe of the features that it is for.
    pub fn recipe(&self) -> &str {
        &self.recipe
    }

    /// People that it was fitted on.
    pub fn subjects(&self) -> usize {
        self.subjects
    }

    /// True where its numbers fit together and are those that its id names: it was read back whole.
    pub fn is_whole(&self) -> bool {
        let size = self.mean.len();
        size > 0 && self.matrix.len().is_multiple_of(size) && self.id == self.digest()
    }

    /// Whitened features of norm 1.
    ///
    /// # Errors
    /// `InvalidInput` where `features` has another length than those that it was fitted on.
    pub fn whiten(&self, features: &[f32]) -> Result<Vec<f32>> {
        if features.len() != self.mean.len() {
            return Err(Error::InvalidInput(format!(
                "features of {} values cannot be whitened by `{}`, which is for {}",
                features.len(),
                self.id,
                self.mean.len()
            )));
        }
        Ok(self.apply(features))
    }

    fn apply(&self, features: &[f32]) -> Vec<f32> {
        let centred: Vec<f32> = features.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        let dot = crate::distance::kernels().dot;
        let mut white: Vec<f32> =
            self.matrix.chunks_exact(self.mean.len()).map(|row| dot(row, &centred)).collect();
        crate::distance::normalise(&mut white);
        white
    }

    /// The mean self-similarity of people with so many references; `None` for one, who has none.
    pub(super) fn population(&self, references: usize) -> Option<f64> {
        let at = references.checked_sub(2)?;
        self.population.get(at).or(self.population.last()).copied()
    }
}

/// How many signatures of each person can be used, if those who have more give up the rest.
fn most_of_each(counts: impl Iterator<Item = usize> + Clone) -> usize {
    let most = counts.clone().max().unwrap_or(1);
    let fits =
        |each: &usize| counts.clone().map(|count| count.min(*each)).sum::<usize>() <= MAX_COHORT_SIGNATURES;
    (1..=most).rev().find(fits).unwrap_or(1)
}

/// The rows turned and scaled so that signatures of one hand vary alike along each of them. The fewer
/// differences were seen of a hand, the more their covariance is drawn to a ball.
fn steady<'a>(
    people: impl Iterator<Item = &'a Vec<&'a Vec<f32>>>,
    mean: &[f32],
    matrix: Vec<f32>,
) -> Result<Vec<f32>> {
    let (size, count) = (mean.len(), matrix.len() / mean.len());
    let rows = DMatrix::from_row_iterator(count, size, matrix.iter().map(|&value| f64::from(value)));
    let (mut within, mut seen) = (DMatrix::<f64>::zeros(count, count), 0);
    for signatures in people.filter(|signatures| signatures.len() > 1) {
        let values = signatures.iter().flat_map(|row| row.iter().zip(mean).map(|(v, m)| f64::from(v - m)));
        let mut own = &rows * DMatrix::from_iterator(size, signatures.len(), values);
        let centre = own.column_mean();
        own.column_iter_mut().for_each(|mut column| column -= &centre);
        within += &own * own.transpose();
        seen += signatures.len() - 1;
    }
    let level = within.trace() / count as f64;
    if seen == 0 || level <= 0.0 {
        return Ok(matrix);
    }
    let ball = count as f64 / (count + seen) as f64;
    within *= (1.0 - ball) / level;
    (0..count).for_each(|i| within[(i, i)] += ball);
    let eigen = SymmetricEigen::try_new(within, 1e-12, 10_000)
        .ok_or_else(|| Error::Internal("the cohort's covariance has no eigenvectors".into()))?;
    let gains = eigen.eigenvalues.map(|value| 1.0 / value.max(1e-9).sqrt());
    let turned = DMatrix::from_diagonal(&gains) * eigen.eigenvectors.tr_mul(&rows);
    Ok(turned.transpose().iter().map(|&value| value as f32).collect())
}

/// Mean and whitening rows. The eigenvectors are those of the smaller of the two products.
fn components(rows: &[&Vec<f32>], size: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let count = rows.len();
    let mut data =
        DMatrix::from_iterator(size, count, rows.iter().flat_map(|row| row.iter().map(|&v| f64::from(v))));
    let mean = data.column_mean();
    data.column_iter_mut().for_each(|mut column| column -= &mean);
    let scale = 1.0 / (count.max(2) - 1) as f64;
    let by_rows = size > count;
    let product = if by_rows { data.tr_mul(&data) * scale } else { &data * data.transpose() * scale };
    let eigen = SymmetricEigen::try_new(product, 1e-12, 10_000)
        .ok_or_else(|| Error::Internal("the cohort's covariance has no eigenvectors".into()))?;
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let largest = order.first().map_or(0.0, |&first| eigen.eigenvalues[first]);
    // What the cohort does not span has no direction to be whitened along.
    order.retain(|&i| eigen.eigenvalues[i] > largest * 1e-9);
    order.truncate(COMPONENTS.min(count.saturating_sub(1)));
    if order.is_empty() {
        return Err(Error::InvalidInput("the cohort's signatures are all the same".into()));
    }
    let level = order.iter().map(|&i| eigen.eigenvalues[i]).sum::<f64>() / order.len() as f64;
    let mut matrix = Vec::with_capacity(order.len() * size);
    for &i in &order {
        let vector = eigen.eigenvectors.column(i);
        let mut direction: DVector<f64> =
            if by_rows { (&data * vector).normalize() } else { vector.into_owned() };
        // An eigenvector has no sign of its own: the largest part is made positive.
        if direction[direction.iamax()] < 0.0 {
            direction.neg_mut();
        }
        let gain = 1.0 / ((1.0 - SHRINKAGE) * eigen.eigenvalues[i] + SHRINKAGE * level).sqrt();
        matrix.extend(direction.iter().map(|value| (value * gain) as f32));
    }
    Ok((mean.iter().map(|&value| value as f32).collect(), matrix))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::score::{centroid, cosine};
    use super::*;

    fn cohort(people: usize, size: usize) -> Vec<(String, Vec<f32>)> {
        let mut rng = SmallRng::seed_from_u64(5);
        let mut all = Vec::new();
        for person in 0..people {
            let own: Vec<f32> = (0..size).map(|_| rng.random_range(-1.0..1.0)).collect();
            for _ in 0..6 {
                // A loud direction that says nothing of the person.
                let loud = rng.random_range(-9.0..9.0f32);
                let features = own.iter().enumerate().map(|(i, value)| {
                    value + rng.random_range(-0.3..0.3f32) + if i % 5 == 0 { loud } else { 0.0 }
                });
                all.push((format!("p{person}"), features.collect()));
            }
        }
        all
    }

    #[test]
    fn people_are_apart_after_whitening_who_were_not_before() {
        for size in [20, 200] {
            let all = cohort(60, size);
            let (fitted, others) = all.split_at(240);
            let whitening = Whitening::fit("r", fitted).unwrap();
            let nearest_is_own = |of: &[Vec<f32>]| {
                let best = |i: &usize| {
                    let others = (0..of.len()).filter(|j| j != i);
                    others.max_by(|&a, &b| cosine(&of[*i], &of[a]).total_cmp(&cosine(&of[*i], &of[b])))
                };
                (0..of.len()).filter(|i| best(i).is_some_and(|j| others[j].0 == others[*i].0)).count()
            };
            let raw: Vec<Vec<f32>> = others.iter().map(|(_, features)| features.clone()).collect();
            let white: Vec<Vec<f32>> = raw.iter().map(|row| whitening.whiten(row).unwrap()).collect();
            let (before, after) = (nearest_is_own(&raw), nearest_is_own(&white));
            assert!(after > before && after * 10 > others.len() * 9, "{size}: {before}, {after}");
            assert!(white.iter().all(|row| (cosine(row, row) - 1.0).abs() < 1e-5));
            assert!((0.2..1.0).contains(&whitening.population(5).unwrap()));
            assert_eq!(whitening.population(1), None);
            assert!(centroid(&white[..3]).len() == white[0].len());
        }
    }

    #[test]
    fn mirrored_signatures_add_to_a_small_cohort_and_are_no_people_of_it() {
        let all = cohort(90, 40);
        let (own, mirrored, others) = (&all[..72], &all[72..360], &all[360..]);
        let few = Whitening::fit("r", own).unwrap();
        let more = Whitening::fit_mirrored("r", own, mirrored).unwrap();
        assert_eq!((few.subjects(), more.subjects()), (12, 12));
        assert_ne!(few.id(), more.id());
        let apart = |whitening: &Whitening| {
            let white: Vec<Vec<f32>> = others.iter().map(|(_, row)| whitening.whiten(row).unwrap()).collect();
            let mean = |same: bool| {
                let pairs = (0..white.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
                let found: Vec<f64> = pairs
                    .filter(|(i, j)| (others[*i].0 == others[*j].0) == same)
                    .map(|(i, j)| cosine(&white[i], &white[j]))
                    .collect();
                found.iter().sum::<f64>() / found.len() as f64
            };
            mean(true) - mean(false)
        };
        assert!(apart(&more) > apart(&few) + 0.05, "{} {}", apart(&more), apart(&few));
        let short = [("m".to_owned(), vec![1.0; 9])];
        let refused = Whitening::fit_mirrored("r", own, &short).unwrap_err();
        assert!(refused.to_string().contains("differ in length"));
    }

    #[test]
    fn no_more_signatures_than_the_bound_are_used_and_all_where_they_fit() {
        assert_eq!(most_of_each([24; 80].into_iter().chain([8; 240])), 24);
        assert_eq!(most_of_each([24; 320].into_iter()), MAX_COHORT_SIGNATURES / 320);
        assert_eq!(most_of_each([3; 9_000].into_iter()), 1);
    }

    #[test]
    fn the_id_follows_from_every_number_and_survives_json() {
        let all = cohort(12, 30);
        let whitening = Whitening::fit("r", &all).unwrap();
        assert_eq!(Whitening::fit("r", &all).unwrap(), whitening, "the same cohort, the same numbers");
        let text = serde_json::to_string(&whitening).unwrap();
        let back: Whitening = serde_json::from_str(&text).unwrap();
        assert!(back.is_whole());
        assert_eq!(back, whitening);
        let shipped = Whitening::from_bytes(&whitening.to_bytes()).unwrap();
        assert_eq!(Whitening::from_bytes(&shipped.to_bytes()).unwrap(), shipped);
        let (a, b) = (whitening.whiten(&all[5].1).unwrap(), shipped.whiten(&all[5].1).unwrap());
        assert!(cosine(&a, &b) > 0.999, "16 bits are enough");
        let bytes = whitening.to_bytes();
        assert_eq!(Whitening::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Whitening::from_bytes(b""), None);
        let mut changed = whitening.clone();
        changed.matrix[17] += 1e-3;
        assert!(!changed.is_whole());
        assert_ne!(Whitening::fit("other", &all).unwrap().id(), whitening.id());
    }

    #[test]
    fn a_cohort_that_says_too_little_is_refused_by_name() {
        let all = cohort(9, 10);
        assert!(Whitening::fit("r", &all).unwrap_err().to_string().contains("9 subjects; at least 10"));
        let mut all = cohort(12, 10);
        all[3].1.pop();
        assert!(Whitening::fit("r", &all).unwrap_err().to_string().contains("differ in length"));
        let same: Vec<_> = (0..12).map(|i| (i.to_string(), vec![1.0; 4])).collect();
        assert!(Whitening::fit("r", &same).unwrap_err().to_string().contains("all the same"));
        let whitening = Whitening::fit("r", &cohort(12, 10)).unwrap();
        assert!(whitening.whiten(&[1.0; 9]).unwrap_err().to_string().contains("9 values"));
    }
}
