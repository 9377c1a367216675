//! Vectors that are the same but for rounding: the same picture embedded twice. Found by comparing, not by
//! the graph, so that none is missed however many there are.
//!
//! Two directions that differ by little have projections that differ by no more; so the vectors are put in
//! the cells of a grid by two projections of their direction, and each is compared with those in its cell
//! and the eight around it. A vector joins the first original that it is a copy of; originals are no
//! copies of each other, so nothing chains.

use std::collections::HashMap;

use crate::distance::kernels;

/// Two vectors are the same where their difference is at most this part of the length of the one. The
/// model gives the same picture alone and in a batch to 1e-5 a component, 2e-4 of the length at 400 components.
const ROUNDING: f32 = 2.5e-4;
/// Side of a cell: directions of the same vectors differ by at most twice the rounding.
const CELL: f32 = 4.0 * ROUNDING;

/// The projections of one vector's direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Place {
    along: [f32; 2],
}

/// Two fixed directions of unit length.
pub(super) struct Projections {
    axes: [Vec<f32>; 2],
}

impl Projections {
    /// For vectors of `size` components.
    pub(super) fn new(size: usize) -> Self {
        let axis = |seed: u64| {
            let sign = |i: usize| {
                let mixed = super::sample::mixed(seed.wrapping_add(i as u64));
                if mixed & 1 == 0 { 1.0 } else { -1.0 }
            };
            (0..size).map(|i| sign(i) / (size as f32).sqrt()).collect()
        };
        Self { axes: [axis(1), axis(1 << 32)] }
    }

    /// Where a vector stands.
    pub(super) fn place(&self, vector: &[f32]) -> Place {
        let dot = kernels().dot;
        let norm = dot(vector, vector).sqrt();
        if !norm.is_normal() {
            return Place::default(); // all together, and compared with each other
        }
        Place { along: [dot(&self.axes[0], vector) / norm, dot(&self.axes[1], vector) / norm] }
    }
}

/// True where `copy` is `original` but for rounding.
pub(super) fn is_copy(original: &[f32], copy: &[f32]) -> bool {
    let kernels = kernels();
    let allowed = ROUNDING * ROUNDING * (kernels.dot)(original, original);
    (kernels.squared_euclid)(original, copy) <= allowed
}

/// For each vector, by its number, the number of its original; its own where it is one. The original is the
/// first: `vector` gives a vector by its number, `None` where it is gone meanwhile.
pub(super) fn originals(places: &[Place], vector: impl Fn(usize) -> Option<Vec<f32>>) -> Vec<u32> {
    let mut cells: HashMap<(i32, i32), Vec<u32>> = HashMap::with_capacity(places.len());
    let mut originals = Vec::with_capacity(places.len());
    for (number, place) in (0_u32..).zip(places) {
        let [x, y] = place.along.map(|along| (along / CELL).floor() as i32); // -1000 to 1000
        let mut candidates: Vec<u32> = (-1..=1)
            .flat_map(|dx| (-1..=1).map(move |dy| (x + dx, y + dy)))
            .filter_map(|cell| cells.get(&cell))
            .flatten()
            .copied()
            .filter(|&other| near(places[other as usize], *place))
            .collect();
        candidates.sort_unstable();
        let own = if candidates.is_empty() { None } else { vector(number as usize) };
        let original = own.and_then(|own| {
            let is_original = |other: &u32| vector(*other as usize).is_some_and(|v| is_copy(&v, &own));
            candidates.into_iter().find(is_original)
        });
        if original.is_none() {
            cells.entry((x, y)).or_default().push(number);
        }
        originals.push(original.unwrap_or(number));
    }
    originals
}

fn near(a: Place, b: Place) -> bool {
    a.along.iter().zip(b.along).all(|(a, b)| (a - b).abs() <= CELL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(vectors: &[Vec<f32>]) -> Vec<u32> {
        let projections = Projections::new(vectors[0].len());
        let places: Vec<Place> = vectors.iter().map(|v| projections.place(v)).collect();
        originals(&places, |i| Some(vectors[i].clone()))
    }

    #[test]
    fn a_thousand_copies_have_one_original_and_zeros_are_copies_of_zeros() {
        let mut vectors = vec![vec![0.3, -0.4, 0.5]; 1000];
        vectors.push(vec![0.0; 3]);
        vectors.push(vec![0.3, -0.4, 0.51]);
        vectors.push(vec![0.0; 3]);
        let originals = found(&vectors);
        assert!(originals[..1000].iter().all(|&original| original == 0));
        assert_eq!(originals[1000..], [1000, 1001, 1000]);
    }

    #[test]
    fn a_multiple_of_a_vector_is_no_copy_of_it() {
        assert_eq!(found(&[vec![1.0, 2.0], vec![2.0, 4.0], vec![1.0, 2.0]]), [0, 1, 0]);
    }

    proptest! {
        #[test]
        fn every_copy_is_found_whatever_rounding_made_of_it(
            bases in prop::collection::vec(prop::collection::vec(-1f32..1.0, 8), 1..20),
            noise in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(-3e-5f32..3e-5, 8)), 0..40),
        ) {
            prop_assume!(bases.iter().all(|b| b.iter().map(|x| x * x).sum::<f32>() > 0.25));
            let mut vectors = bases.clone();
            for (of, noise) in &noise {
                vectors.push(bases[of.index(bases.len())].iter().zip(noise).map(|(a, b)| a + b).collect());
            }
            let originals = found(&vectors);
            for (i, &original) in originals.iter().enumerate() {
                // What brute force says: the first original that it is a copy of.
                let expected = (0..i).find(|&j| originals[j] as usize == j && is_copy(&vectors[j], &vectors[i]));
                prop_assert_eq!(original as usize, expected.unwrap_or(i));
            }
            for (k, (of, _)) in noise.iter().enumerate() {
                let (at, base) = (bases.len() + k, of.index(bases.len()));
                prop_assert!(originals[at] as usize != at, "copy {} of {} was not found", at, base);
            }
        }
    }
}
