//! Vectors by name. The name `""` and the unnamed vector are the same thing.

use std::collections::BTreeMap;

use super::Distance;
use crate::error::{Error, Result};

/// The name of a vector within its collection; `""` is the unnamed one.
pub type VectorName = String;

/// The unnamed vector.
pub const DEFAULT_VECTOR: &str = "";

/// The vectors of one point by name; each is f32 of the dimension its collection states.
pub type NamedVectors = BTreeMap<VectorName, Vec<f32>>;

/// Below this Euclidean norm a vector has no direction that f32 can hold.
pub const MIN_NORM: f32 = 1e-12;

/// The Euclidean norm, summed in f64: a component near the largest f32 does not overflow it. It is finite
/// exactly where every component is.
pub fn norm(vector: &[f32]) -> f64 {
    // Several sums at a time: each waits for its own last addition only.
    let (eights, rest) = vector.as_chunks::<8>();
    let mut sums = [0.0f64; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

/// Checks one vector before anything stores it or searches with it: exact dimension, every
/// component finite, and under cosine a norm above 1e-12.
///
/// # Errors
/// `InvalidInput` that names the dimension or the component.
pub fn check_vector(vector: &[f32], dimension: usize, distance: Distance) -> Result<()> {
    if vector.len() != dimension {
        return Err(Error::InvalidInput(format!(
            "Vector dimension error: expected dim: {dimension}, got {}",
            vector.len()
        )));
    }
    let norm = norm(vector);
    if !norm.is_finite()
        && let Some(i) = vector.iter().position(|x| !x.is_finite())
    {
        return Err(Error::InvalidInput(format!(
            "vector component {i} is {}, every component must be a finite 32-bit number",
            vector[i]
        )));
    }
    if distance == Distance::Cosine && norm <= f64::from(MIN_NORM) {
        return Err(Error::InvalidInput(
            "a zero vector has no direction and cannot be compared by cosine; send a vector with a norm above 1e-12".into(),
        ));
    }
    // Dot products and squared distances of such vectors must stay finite in f32.
    if norm > 1e18 {
        return Err(Error::InvalidInput(format!(
            "the vector's norm is {norm:e}, at most 1e18 can be compared in 32-bit floats"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_cannot_be_compared_is_refused() {
        let check = |v: &[f32]| check_vector(v, 2, Distance::Cosine);
        assert!(check(&[1.0]).is_err());
        assert!(check(&[f32::NAN, 1.0]).is_err());
        assert!(check(&[f32::INFINITY, 1.0]).is_err());
        assert!(check(&[0.0, 0.0]).is_err());
        assert!(check(&[f32::MAX, f32::MAX]).is_err());
        assert!(check(&[1e-3, 0.0]).is_ok());
        assert!(check_vector(&[0.0, 0.0], 2, Distance::Dot).is_ok());
    }
}
