//! A probe against a subject's references, all whitened: the cosine to their centroid, less half of how
//! much more alike the references are among themselves than those of other people. Who signs steadily
//! must be met more closely than who does not.

use super::whitening::Whitening;
use crate::distance::kernels;

/// How much of a subject's own steadiness counts.
const STEADINESS: f64 = 0.5;

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Larger is more alike; -1 to 1, and a little beyond.
    pub score: f64,
    /// The cosine to each reference, in their order.
    pub similarities: Vec<f64>,
}

/// A subject's references as they are compared: worked out once.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Of the whitened references, norm 1.
    pub centroid: Vec<f32>,
    /// What is taken off every score.
    pub offset: f64,
}

impl Template {
    /// From whitened references of norm 1; `None` where there are none.
    pub fn new(references: &[Vec<f32>], whitening: &Whitening) -> Option<Template> {
        if references.is_empty() {
            return None;
        }
        let offset = match (self_similarity(references), whitening.population(references.len())) {
            (Some(own), Some(population)) => STEADINESS * (own - population),
            _ => 0.0,
        };
        Some(Template { centroid: centroid(references), offset })
    }

    /// The score of a whitened probe of norm 1.
    pub fn score(&self, probe: &[f32]) -> f64 {
        cosine(probe, &self.centroid) - self.offset
    }
}

/// Scores a whitened probe against whitened references, all of norm 1; `None` where there are no
/// references.
pub fn score(probe: &[f32], references: &[Vec<f32>], whitening: &Whitening) -> Option<Score> {
    let template = Template::new(references, whitening)?;
    let similarities = references.iter().map(|reference| cosine(probe, reference)).collect();
    Some(Score { score: template.score(probe), similarities })
}

/// The cosine of two vectors of norm 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    f64::from((kernels().dot)(a, b))
}

/// The direction of the sum, norm 1.
pub(super) fn centroid(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    vectors.iter().for_each(|vector| sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value));
    crate::distance::normalise(&mut sum);
    sum
}

/// The mean cosine of each to the centroid of the others; `None` for fewer than two.
pub(super) fn self_similarity(vectors: &[Vec<f32>]) -> Option<f64> {
    if vectors.len() < 2 {
        return None;
    }
    let mut sum = vec![0.0f32; vectors[0].len()];
    vectors.iter().for_each(|vector| sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value));
    let to_others = |vector: &Vec<f32>| {
        let mut others: Vec<f32> = sum.iter().zip(vector).map(|(sum, value)| sum - value).collect();
        crate::distance::normalise(&mut others);
        cosine(vector, &others)
    };
    Some(vectors.iter().map(to_others).sum::<f64>() / vectors.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn unit(mut vector: Vec<f32>) -> Vec<f32> {
        vector[0] += 0.01;
        crate::distance::normalise(&mut vector);
        vector
    }

    fn whitening() -> Whitening {
        let person = |i: usize| {
            (0..4).map(move |j| {
                (
                    i.to_string(),
                    (0..6).map(|k| ((i * 7 + k * 3) as f32).sin() + (j * k) as f32 * 0.02).collect(),
                )
            })
        };
        Whitening::fit("r", &(0..12).flat_map(person).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_steady_hand_must_be_met_more_closely() {
        let whitening = whitening();
        let probe = unit(vec![1.0, 0.3, 0.0]);
        let steady = vec![unit(vec![1.0, 0.0, 0.0]); 3];
        let unsteady: Vec<_> = [0.6, 0.0, -0.6].map(|y| unit(vec![1.0, 0.0, y])).into();
        let (a, b) = (score(&probe, &steady, &whitening), score(&probe, &unsteady, &whitening));
        assert!(a.unwrap().score < b.unwrap().score);
        assert_eq!(score(&probe, &[], &whitening), None);
    }

    proptest! {
        #[test]
        fn the_order_of_references_does_not_count_and_their_scores_are_cosines(
            references in vec(vec(-1.0f32..1.0, 5), 1..6), probe in vec(-1.0f32..1.0, 5)
        ) {
            let whitening = whitening();
            let mut references: Vec<_> = references.into_iter().map(unit).collect();
            let probe = unit(probe);
            let found = score(&probe, &references, &whitening).unwrap();
            prop_assert!(found.similarities.iter().all(|cosine| (-1.001..=1.001).contains(cosine)));
            references.reverse();
            let back = score(&probe, &references, &whitening).unwrap();
            prop_assert!((found.score - back.score).abs() < 1e-5);
            if references.len() == 1 {
                prop_assert!((found.score - found.similarities[0]).abs() < 1e-5);
            }
        }
    }
}
