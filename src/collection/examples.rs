//! Scores of a point by several examples: what recommendations, discovery and context ask for beside one
//! vector. Larger is better, whatever the distance. The formulas are Qdrant's.

use crate::distance::{Kernels, kernels};
use crate::error::{Error, Result};
use crate::types::{Distance, check_vector};

/// Most examples of one query: every point is compared with each.
pub const MAX_EXAMPLES: usize = 256;
/// Pairs in which both sides are as near as this count as equal.
const EPSILON: f32 = 1.192_092_9e-7;

/// Vectors to be like, and not to be like; normalised by the collection under cosine.
#[derive(Debug, Clone, PartialEq)]
pub enum Examples {
    /// As near to its nearest positive as can be, unless a negative is nearer still: such points
    /// come last.
    Best {
        /// To be like.
        positive: Vec<Vec<f32>>,
        /// Not to be like.
        negative: Vec<Vec<f32>>,
    },
    /// The sum of the scores to the positives, less those to the negatives.
    Sum {
        /// To be like.
        positive: Vec<Vec<f32>>,
        /// Not to be like.
        negative: Vec<Vec<f32>>,
    },
    /// On the positive side of as many pairs as can be, then near the target.
    Discover {
        /// To be like.
        target: Vec<f32>,
        /// (positive, negative)
        context: Vec<(Vec<f32>, Vec<f32>)>,
    },
    /// On the positive side of all pairs: 0 there, the less the further on the other side.
    Context {
        /// (positive, negative)
        context: Vec<(Vec<f32>, Vec<f32>)>,
    },
}

fn sigmoid(x: f32) -> f32 {
    if x.is_finite() { x / (1.0 + x.abs()) } else { x }
}

fn scaled_sigmoid(x: f32) -> f32 {
    0.5 * (sigmoid(x) + 1.0)
}

/// Similarity: the dot product, or the distance (squared under Euclid) with its sign turned.
fn similarity(distance: Distance, kernels: &Kernels, a: &[f32], b: &[f32]) -> f32 {
    match distance {
        Distance::Cosine | Distance::Dot => (kernels.dot)(a, b),
        Distance::Euclid => -(kernels.squared_euclid)(a, b),
        Distance::Manhattan => -(kernels.manhattan)(a, b),
    }
}

impl Examples {
    /// Every vector.
    pub(super) fn vectors_mut(&mut self) -> Vec<&mut Vec<f32>> {
        match self {
            Examples::Best { positive, negative } | Examples::Sum { positive, negative } => {
                positive.iter_mut().chain(negative).collect()
            }
            Examples::Discover { target, context } => {
                std::iter::once(target).chain(context.iter_mut().flat_map(|(a, b)| [a, b])).collect()
            }
            Examples::Context { context } => context.iter_mut().flat_map(|(a, b)| [a, b]).collect(),
        }
    }

    /// Checked, and normalised under cosine.
    ///
    /// # Errors
    /// `InvalidInput` where a vector cannot be compared, or there are more than [`MAX_EXAMPLES`] or none.
    pub(super) fn prepared(mut self, size: usize, distance: Distance) -> Result<Self> {
        let mut vectors = self.vectors_mut();
        if !(1..=MAX_EXAMPLES).contains(&vectors.len()) {
            let count = vectors.len();
            return Err(Error::InvalidInput(format!(
                "a query has 1 to {MAX_EXAMPLES} examples, not {count}"
            )));
        }
        for vector in &mut vectors {
            check_vector(vector, size, distance)?;
            if distance == Distance::Cosine {
                crate::distance::normalise(vector);
            }
        }
        Ok(self)
    }

    /// The score of a vector of the collection.
    pub(super) fn score(&self, distance: Distance, vector: &[f32]) -> f32 {
        let kernels = kernels();
        let to = |example: &[f32]| similarity(distance, kernels, example, vector);
        match self {
            Examples::Best { positive, negative } => {
                let best = |of: &[Vec<f32>]| of.iter().map(|v| to(v)).fold(f32::NEG_INFINITY, f32::max);
                let (positive, negative) = (best(positive), best(negative));
                if positive > negative { scaled_sigmoid(positive) } else { -scaled_sigmoid(negative) }
            }
            Examples::Sum { positive, negative } => {
                let sum = |of: &[Vec<f32>]| of.iter().map(|v| to(v)).sum::<f32>();
                sum(positive) - sum(negative)
            }
            Examples::Discover { target, context } => {
                let side = |(positive, negative): &(Vec<f32>, Vec<f32>)| {
                    let (positive, negative) = (to(positive), to(negative));
                    f32::from(i8::from(positive > negative) - i8::from(positive < negative))
                };
                context.iter().map(side).sum::<f32>() + scaled_sigmoid(to(target))
            }
            Examples::Context { context } => {
                let loss = |(positive, negative): &(Vec<f32>, Vec<f32>)| {
                    sigmoid((to(positive) - to(negative) - EPSILON).min(0.0))
                };
                context.iter().map(loss).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_point_nearer_to_a_negative_comes_behind_every_other() {
        let best = Examples::Best { positive: vec![vec![1.0, 0.0]], negative: vec![vec![0.0, 1.0]] };
        let score = |x: f32, y: f32| best.score(Distance::Dot, &[x, y]);
        assert!(score(0.9, 0.1) > score(0.5, 0.4));
        assert!(score(0.5, 0.4) > 0.0 && score(0.4, 0.5) < 0.0);
        assert!(score(0.0, 0.2) > score(0.0, 0.9));
    }

    #[test]
    fn sums_weigh_all_examples_alike() {
        let sum =
            Examples::Sum { positive: vec![vec![1.0, 0.0], vec![0.0, 2.0]], negative: vec![vec![1.0, 1.0]] };
        assert_eq!(sum.score(Distance::Dot, &[3.0, 5.0]), 3.0 + 10.0 - 8.0);
    }

    #[test]
    fn none_and_too_many_examples_are_refused_and_cosine_normalises() {
        let of = |n: usize| Examples::Sum { positive: vec![vec![3.0, 4.0]; n], negative: Vec::new() };
        for n in [0, MAX_EXAMPLES + 1] {
            let error = of(n).prepared(2, Distance::Cosine).unwrap_err().to_string();
            assert!(error.contains("examples"), "{error}");
        }
        let Examples::Sum { positive, .. } = of(1).prepared(2, Distance::Cosine).unwrap() else {
            panic!("it is a sum")
        };
        assert!((positive[0][0] - 0.6).abs() < 1e-6);
        assert!(of(1).prepared(3, Distance::Dot).is_err());
    }

    proptest! {
        #[test]
        fn the_side_of_pairs_counts_more_than_the_target(
            target in prop::collection::vec(-9f32..9.0, 2), point in prop::collection::vec(-9f32..9.0, 2),
        ) {
            let pair = (vec![1.0, 0.0], vec![-1.0, 0.0]);
            let discover = Examples::Discover { target, context: vec![pair.clone()] };
            let context = Examples::Context { context: vec![pair] };
            let right = point[0] > 1e-3;
            prop_assume!(point[0].abs() > 1e-3);
            prop_assert_eq!(discover.score(Distance::Dot, &point) > 0.0, right);
            prop_assert_eq!(context.score(Distance::Dot, &point) == 0.0, right);
        }
    }
}
