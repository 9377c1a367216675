//! Vectors on a plane, for people to look at: the two directions of most variance (PCA), or places where
//! what is alike lies together (t-SNE, started from those directions). The same vectors in the same order
//! give the same places.
//!
//! Source: van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008; the constants are scikit-learn's,
//! with 400 steps in place of 1,000.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

/// Most vectors of a t-SNE: its time grows with their square, to about 3 s of one core here.
pub const MAX_PROJECTED: usize = 2_000;
/// Steps of the power iteration; the two directions of CLIP vectors stand after a tenth of them.
const POWER_STEPS: usize = 60;
/// How many neighbours a vector is arranged by.
const PERPLEXITY: f32 = 30.0;
/// Steps, and how many of them pull neighbours together harder.
const STEPS: usize = 400;
const EARLY_STEPS: usize = 100;
const EARLY_PULL: f32 = 12.0;
/// Searches for the width of a vector's neighbourhood.
const WIDTH_STEPS: usize = 40;

/// Where vectors lie on the plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// x and y of each, the longer side of all from -1 to 1.
    pub places: Vec<[f32; 2]>,
    /// The share of the variance along x and y, 0 to 1; of the directions that a t-SNE started from.
    pub explained: [f32; 2],
}

/// The two directions of most variance. `vectors` are `size` components each, one after another.
pub fn principal(vectors: &[f32], size: usize) -> Projection {
    let count = vectors.len() / size.max(1);
    let mut centred = vectors[..count * size].to_vec();
    let mut mean = vec![0.0_f64; size];
    for vector in centred.chunks_exact(size) {
        mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
    for vector in centred.chunks_exact_mut(size) {
        vector.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= *mean as f32);
    }
    let total: f64 = centred.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let mut places = vec![[0.0; 2]; count];
    let mut explained = [0.0; 2];
    for axis in 0..2 {
        let along = direction(&centred, size, axis as u64);
        let mut sum = 0.0;
        for (vector, place) in centred.chunks_exact_mut(size).zip(&mut places) {
            let length = dot(vector, &along);
            place[axis] = length;
            sum += f64::from(length) * f64::from(length);
            // What is left has nothing along it: the next direction is another one.
            vector.iter_mut().zip(&along).for_each(|(value, part)| *value -= length * part);
        }
        explained[axis] = if total > 0.0 { (sum / total) as f32 } else { 0.0 };
    }
    scale(&mut places);
    Projection { places, explained }
}

/// The direction of most variance of centred vectors, its largest component positive.
fn direction(centred: &[f32], size: usize, seed: u64) -> Vec<f32> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut along: Vec<f32> = (0..size).map(|_| random.random_range(-0.5..0.5)).collect();
    for _ in 0..POWER_STEPS {
        let mut next = vec![0.0_f32; size];
        for vector in centred.chunks_exact(size) {
            let length = dot(vector, &along);
            next.iter_mut().zip(vector).for_each(|(sum, value)| *sum += length * value);
        }
        let norm = dot(&next, &next).sqrt();
        if norm <= f32::MIN_POSITIVE {
            break; // no variance is left: any direction will do
        }
        next.iter_mut().for_each(|value| *value /= norm);
        along = next;
    }
    let norm = dot(&along, &along).sqrt().max(f32::MIN_POSITIVE);
    let largest = along.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    along.iter_mut().for_each(|value| *value /= norm * largest.signum());
    along
}

/// Places where what is alike lies together. At most [`MAX_PROJECTED`] vectors are looked at.
pub fn arranged(vectors: &[f32], size: usize) -> Projection {
    let count = (vectors.len() / size.max(1)).min(MAX_PROJECTED);
    let start = principal(&vectors[..count * size], size);
    if count < 4 {
        return start;
    }
    let near = neighbourhoods(&vectors[..count * size], size);
    let mut places: Vec<[f32; 2]> = start.places.iter().map(|[x, y]| [x * 1e-2, y * 1e-2]).collect();
    let mut moves = vec![[0.0_f32; 2]; count];
    let mut gains = vec![[1.0_f32; 2]; count];
    let rate = (count as f32 / EARLY_PULL / 4.0).max(20.0);
    for step in 0..STEPS {
        let (pull, momentum) = if step < EARLY_STEPS { (EARLY_PULL, 0.5) } else { (1.0, 0.8) };
        let forces: Vec<([f32; 2], [f32; 2], f32)> = places
            .par_iter()
            .zip(near.par_chunks_exact(count))
            .map(|(place, near)| forces(*place, near, &places))
            .collect();
        // In the order of the vectors, so that rounding is the same each time.
        let all: f32 = forces.iter().map(|(_, _, weight)| weight).sum::<f32>().max(f32::MIN_POSITIVE);
        for (i, (towards, away, _)) in forces.iter().enumerate() {
            for axis in 0..2 {
                let slope = 4.0 * (pull * towards[axis] - away[axis] / all);
                let same = (slope > 0.0) == (moves[i][axis] > 0.0);
                gains[i][axis] = if same { (gains[i][axis] * 0.8).max(0.01) } else { gains[i][axis] + 0.2 };
                moves[i][axis] = momentum * moves[i][axis] - rate * gains[i][axis] * slope;
                places[i][axis] += moves[i][axis];
            }
        }
    }
    scale(&mut places);
    Projection { places, explained: start.explained }
}

/// What pulls a place towards its neighbours and pushes it from all, and the sum of the weights of the latter.
fn forces(place: [f32; 2], near: &[f32], places: &[[f32; 2]]) -> ([f32; 2], [f32; 2], f32) {
    let (mut towards, mut away, mut sum) = ([0.0; 2], [0.0; 2], 0.0);
    for (other, share) in places.iter().zip(near) {
        let (x, y) = (place[0] - other[0], place[1] - other[1]);
        let weight = 1.0 / (1.0 + x * x + y * y);
        let (pull, push) = (share * weight, weight * weight);
        towards = [towards[0] + pull * x, towards[1] + pull * y];
        away = [away[0] + push * x, away[1] + push * y];
        sum += weight;
    }
    (towards, away, sum - 1.0) // itself
}

/// How much each vector counts as a neighbour of each other one, row by row; all of it comes to 1.
fn neighbourhoods(vectors: &[f32], size: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(size).collect();
    let count = rows.len();
    let squares: Vec<f32> = rows.iter().map(|row| dot(row, row)).collect();
    let wanted = PERPLEXITY.min((count - 1) as f32 / 3.0).max(1.0).ln();
    let shares: Vec<Vec<f32>> = (0..count)
        .into_par_iter()
        .map(|i| {
            let apart = |j: usize| (squares[i] + squares[j] - 2.0 * dot(rows[i], rows[j])).max(0.0);
            let distances: Vec<f32> = (0..count).map(apart).collect();
            shares(&distances, i, wanted)
        })
        .collect();
    let mut near = vec![0.0; count * count];
    near.par_chunks_exact_mut(count).enumerate().for_each(|(i, row)| {
        for (j, value) in row.iter_mut().enumerate() {
            *value = (shares[i][j] + shares[j][i]) / (2.0 * count as f32);
        }
    });
    near
}

/// The shares of all others in the neighbourhood of vector `own`, so wide that their entropy is `wanted`.
fn shares(distances: &[f32], own: usize, wanted: f32) -> Vec<f32> {
    let others = || distances.iter().enumerate().filter(|(j, _)| *j != own).map(|(_, d)| *d);
    let nearest = others().fold(f32::INFINITY, f32::min);
    let (mut low, mut high) = (0.0_f32, f32::INFINITY);
    let mean = others().sum::<f32>() / (distances.len() - 1) as f32;
    let mut narrow = 1.0 / (mean - nearest).max(1e-12);
    for _ in 0..WIDTH_STEPS {
        let (mut sum, mut weighted) = (0.0_f32, 0.0_f32);
        for distance in others() {
            let share = (-(distance - nearest) * narrow).exp();
            sum += share;
            weighted += share * (distance - nearest);
        }
        let entropy = sum.ln() + narrow * weighted / sum;
        if (entropy - wanted).abs() < 1e-4 {
            break;
        }
        if entropy > wanted {
            low = narrow;
            narrow = if high.is_finite() { (low + high) / 2.0 } else { narrow * 2.0 };
        } else {
            high = narrow;
            narrow = (low + high) / 2.0;
        }
    }
    let mut shares: Vec<f32> = distances.iter().map(|d| (-(d - nearest) * narrow).exp()).collect();
    shares[own] = 0.0;
    let sum = shares.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// Moves the middle of all to 0 and their longer side to -1..1.
fn scale(places: &mut [[f32; 2]]) {
    let mut longest = 0.0_f32;
    let mut middle = [0.0; 2];
    for axis in 0..2 {
        let low = places.iter().map(|place| place[axis]).fold(f32::INFINITY, f32::min);
        let high = places.iter().map(|place| place[axis]).fold(f32::NEG_INFINITY, f32::max);
        if low.is_finite() && high.is_finite() {
            middle[axis] = f32::midpoint(low, high);
            longest = longest.max(high - low);
        }
    }
    let factor = if longest > 0.0 { 2.0 / longest } else { 0.0 };
    for place in places {
        *place = [(place[0] - middle[0]) * factor, (place[1] - middle[1]) * factor];
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` vectors around each of three corners.
    fn corners(count: usize) -> Vec<f32> {
        let mut random = SmallRng::seed_from_u64(7);
        let mut vectors = Vec::new();
        for i in 0..3 * count {
            vectors.extend((0..8).map(|c| {
                let noise = random.random_range(-0.5..0.5);
                if c == i % 3 { 4.0 + noise } else { noise }
            }));
        }
        vectors
    }

    fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
        ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt()
    }

    #[test]
    fn what_is_alike_lies_together_and_twice_the_same_is_drawn() {
        let vectors = corners(40);
        for project in [principal, arranged] {
            let drawn = project(&vectors, 8);
            assert_eq!(drawn, project(&vectors, 8));
            let places = &drawn.places;
            let mut wrong = 0;
            for (i, place) in places.iter().enumerate() {
                let others = (0..places.len()).filter(|j| *j != i);
                let nearest = others
                    .min_by(|a, b| distance(*place, places[*a]).total_cmp(&distance(*place, places[*b])));
                wrong += usize::from(nearest.unwrap() % 3 != i % 3);
            }
            assert_eq!(wrong, 0, "a nearest neighbour on the plane is of another corner");
            let all = places.iter().flatten();
            assert!(all.clone().all(|value| value.abs() <= 1.0001));
            assert!(all.clone().any(|value| value.abs() > 0.99), "the plane is not filled");
        }
    }

    #[test]
    fn the_first_direction_explains_most_and_little_or_nothing_is_no_error() {
        let line: Vec<f32> = (0..50).flat_map(|i| [i as f32, 0.1 * (i % 2) as f32, 7.0]).collect();
        let drawn = principal(&line, 3);
        assert!(drawn.explained[0] > 0.99 && drawn.explained[1] < 0.01, "{:?}", drawn.explained);
        for count in 0..6 {
            let same = vec![1.5; count * 3];
            for project in [principal, arranged] {
                let drawn = project(&same, 3);
                assert_eq!(drawn.places.len(), count);
                assert!(drawn.places.iter().flatten().all(|value| value.is_finite()), "{drawn:?}");
            }
        }
    }
}
