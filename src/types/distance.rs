//! How two vectors are compared. The arithmetic is in `distance/`; this is the name, its
//! direction, and what a stored vector must be.

use serde::{Deserialize, Serialize};

/// The comparison a vector is created with. JSON names are Qdrant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Distance {
    /// Cosine similarity in -1..1, larger is nearer. Vectors are normalised when stored.
    Cosine,
    /// Dot product, larger is nearer.
    Dot,
    /// Euclidean distance (not squared) from 0, smaller is nearer.
    Euclid,
    /// Sum of absolute differences from 0, smaller is nearer.
    Manhattan,
}

/// Which end of the scores is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Similarity: the largest score first.
    LargeBetter,
    /// Distance: the smallest score first.
    SmallBetter,
}

impl Distance {
    /// Which end of the scores is the best.
    pub fn order(self) -> Order {
        match self {
            Distance::Cosine | Distance::Dot => Order::LargeBetter,
            Distance::Euclid | Distance::Manhattan => Order::SmallBetter,
        }
    }

    /// The score as a key that sorts ascending, best first.
    pub fn rank(self, score: f32) -> f32 {
        match self.order() {
            Order::LargeBetter => -score,
            Order::SmallBetter => score,
        }
    }

    /// True where `score` is at least as good as `threshold`.
    pub fn reaches(self, score: f32, threshold: f32) -> bool {
        match self.order() {
            Order::LargeBetter => score >= threshold,
            Order::SmallBetter => score <= threshold,
        }
    }
}
