//! How far a hit of a search stands out, as a probability. CLIP scores texts against pictures between 0.2 and
//! 0.3 and pictures against pictures higher, so a score alone says nothing; what it says depends on how this
//! query scores against the collection as a whole.
//!
//! The background of a query is the mean and the deviation of its scores against a sample of the
//! collection. A hit stands so many deviations above the mean, and a logistic curve makes of them the
//! probability that it is a right answer. The curves were fitted on labelled hits of the bundled model
//! (`lookalike eval` prints how well they hold on other data): one for texts that are compared with pictures, one for like with like,
//! whose chance likenesses reach higher. Platt, Probabilistic outputs for support vector machines (1999).
//!
//! Compared and left, each fitted on one family of pictures and measured on another: the number of chance points
//! expected at the score from an exponential tail (two to five times the calibration error on drawings), median and quantiles in place of
//! mean and deviation (no better), the number of points as a second term (does not transfer), the rank of the hit (finds
//! more, but then a hit's relevance hangs on the others of its list).
//!
//! Invariants: larger similarity never means smaller relevance; without a spread there is none.

/// What is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Relation {
    /// A text with pictures: half of the hits at 5.3 deviations are right.
    Across,
    /// Like with like, and whatever is not known to be a text: half at 7.2.
    #[default]
    Within,
}

impl Relation {
    /// (slope, offset) of the curve over deviations.
    fn curve(self) -> (f64, f64) {
        match self {
            Relation::Across => (1.75, -9.2),
            Relation::Within => (1.0, -7.2),
        }
    }
}

/// How one query scores against a collection as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    mean: f64,
    deviation: f64,
}

impl Background {
    /// Points of a collection that a query is scored against: the mean is known to 5 % of the deviation.
    pub const SAMPLE: usize = 512;
    /// Fewest scores that make one.
    pub const FEWEST: usize = 64;

    /// From similarities (larger is better) to a sample of the collection; `None` where they are fewer than
    /// [`Background::FEWEST`] or all alike.
    pub fn of(similarities: impl IntoIterator<Item = f32>) -> Option<Self> {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for similarity in similarities {
            // Welford (1962): no cancellation where the mean is far from 0.
            let similarity = f64::from(similarity);
            count += 1.0;
            let step = similarity - mean;
            mean += step / count;
            squares += step * (similarity - mean);
        }
        let deviation = (squares / count).sqrt();
        let is_enough = count >= Self::FEWEST as f64;
        // What rounding of 32-bit scores makes of equal ones is no spread.
        (is_enough && deviation > mean.abs() * 1e-6).then_some(Self { mean, deviation })
    }

    /// Deviations above the mean.
    pub fn deviations(&self, similarity: f32) -> f64 {
        (f64::from(similarity) - self.mean) / self.deviation
    }

    /// The probability from 0 to 1 that a hit of this similarity is a right answer.
    pub fn relevance(&self, similarity: f32, relation: Relation) -> f32 {
        let (slope, offset) = relation.curve();
        (1.0 / (1.0 + (-(slope * self.deviations(similarity) + offset)).exp())) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_is_where_the_curves_say_and_more_deviations_are_more() {
        let scores: Vec<f32> = (0..100).map(|i| if i % 2 == 0 { 0.1 } else { 0.3 }).collect();
        let background = Background::of(scores).unwrap(); // mean 0.2, deviation 0.1
        assert!((background.deviations(0.5) - 3.0).abs() < 1e-5);
        for (relation, half) in [(Relation::Across, 9.2 / 1.75), (Relation::Within, 7.2)] {
            let at = background.relevance(0.2 + 0.1 * half as f32, relation);
            assert!((at - 0.5).abs() < 1e-3, "{relation:?}: {at}");
            assert!(background.relevance(0.2, relation) < 0.001);
            assert!(background.relevance(2.0, relation) > 0.999);
        }
    }

    #[test]
    fn few_or_equal_scores_are_no_background() {
        assert_eq!(Background::of((0..63).map(|i| i as f32)), None);
        assert!(Background::of((0..64).map(|i| i as f32)).is_some());
        assert_eq!(Background::of(vec![0.7; 500]), None);
        assert_eq!(Background::of(vec![0.0; 500]), None);
        assert_eq!(Background::of(Vec::new()), None);
    }

    proptest! {
        #[test]
        fn it_is_a_probability_that_grows_with_similarity_whatever_the_scale(
            scores in prop::collection::vec(-1f32..1.0, 64..200), scale in 0.01f32..1000.0, shift in -100f32..100.0,
            a in -2f32..2.0, b in -2f32..2.0,
        ) {
            let plain = Background::of(scores.iter().copied());
            let moved = Background::of(scores.iter().map(|s| s * scale + shift));
            let (Some(plain), Some(moved)) = (plain, moved) else { return Ok(()) };
            let (low, high) = (a.min(b), a.max(b));
            for relation in [Relation::Across, Relation::Within] {
                let (least, most) = (plain.relevance(low, relation), plain.relevance(high, relation));
                prop_assert!((0.0..=1.0).contains(&least) && least <= most && most <= 1.0);
                // f32 inputs: what was shifted by 100 has lost digits.
                let same = moved.relevance(high * scale + shift, relation);
                prop_assert!((same - most).abs() < 0.01 || scale < 1.0, "{} and {}", same, most);
            }
        }
    }
}
