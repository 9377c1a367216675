//! A simple head over a frozen model: an affine map of the query, fitted in closed form on a
//! collection's own labelled points and kept only if it wins on points it has not seen. The
//! stored vectors and the graph stay as they are: `x · (M q + b)` is searched instead of `x · q`.
//!
//! - `head` is the map, `fit` makes one, `figures` measures it, `compare` decides.
//!
//! Pure: vectors come in, heads and figures go out. The only user of nalgebra. Invariants: no
//! figure that decides is measured on points (or copies of points) that the head was fitted on;
//! an adapted query has the length of the query.

mod compare;
mod figures;
mod fit;
mod head;

pub use compare::{
    Candidate, Comparison, Gain, MAX_DIMENSION, MAX_POINTS, MIN_LABELS, MIN_POINTS_PER_LABEL, Outcome, Plan,
    compare,
};
pub use head::{Head, Kind, Modality};

/// Labelled vectors: the points of a collection, or the words of its labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labelled {
    /// All of one length, as they are compared.
    pub vectors: Vec<Vec<f32>>,
    /// The label of each, as a number.
    pub labels: Vec<u32>,
}

impl Labelled {
    /// Those that `keep` lets through, by their place.
    fn only(&self, keep: impl Fn(usize) -> bool) -> Labelled {
        let chosen = |i: &usize| keep(*i);
        let (vectors, labels) =
            (0..self.labels.len()).filter(chosen).map(|i| (self.vectors[i].clone(), self.labels[i])).unzip();
        Labelled { vectors, labels }
    }
}
