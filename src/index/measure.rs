//! How two rows are compared while a graph is built. Never negative, symmetric, smaller is nearer;
//! under `Dot` in a space with one more coordinate, where all rows have the same norm and the
//! nearest by Euclid are the largest by dot product (Bachrach et al. 2014).

use super::arena::Rows;
use crate::distance::{Kernel, kernels};
use crate::types::Distance;

/// The comparison of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    distance: Distance,
    kernel: Kernel,
    largest_squared_norm: f32,
}

impl Measure {
    pub(super) fn new(rows: &Rows, distance: Distance) -> Self {
        let kernel = match distance {
            Distance::Cosine => kernels().dot,
            Distance::Dot | Distance::Euclid => kernels().squared_euclid,
            Distance::Manhattan => kernels().manhattan,
        };
        let largest_squared_norm = match distance {
            Distance::Dot => largest_squared_norm(rows),
            Distance::Cosine | Distance::Euclid | Distance::Manhattan => 0.0,
        };
        Self { distance, kernel, largest_squared_norm }
    }

    /// The additional coordinate of a vector; 0 but under `Dot`.
    pub(super) fn lift(&self, vector: &[f32]) -> f32 {
        match self.distance {
            Distance::Dot => (self.largest_squared_norm - (kernels().dot)(vector, vector)).max(0.0).sqrt(),
            Distance::Cosine | Distance::Euclid | Distance::Manhattan => 0.0,
        }
    }

    /// The distance of two vectors with their lifts.
    #[inline(always)]
    pub(super) fn between(&self, (a, a_lift): (&[f32], f32), (b, b_lift): (&[f32], f32)) -> f32 {
        let value = (self.kernel)(a, b);
        match self.distance {
            Distance::Cosine => (1.0 - value).max(0.0), // rounding may take a dot product above 1
            Distance::Dot => value + (a_lift - b_lift) * (a_lift - b_lift),
            Distance::Euclid | Distance::Manhattan => value,
        }
    }
}

fn largest_squared_norm(rows: &Rows) -> f32 {
    let dot = kernels().dot;
    let mut largest = 0.0f32;
    for chunk in rows.chunks() {
        for i in 0..chunk.len() {
            let vector = chunk.vector(i, rows.size());
            largest = largest.max(dot(&vector, &vector));
        }
    }
    largest
}
