//! The arithmetic of comparing two f32 vectors: dot product, squared Euclidean and Manhattan
//! distance. The widest instruction set of the machine is chosen once, at first use; every
//! kernel agrees with 64-bit arithmetic to rounding (property tests below).
//!
//! This is the only home of `unsafe` for arithmetic. Invariant: a kernel that needs an
//! instruction set is reachable only through [`kernels`], which asked the processor for it.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::types::{Distance, norm};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod half;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pages;
mod scalar;

pub use bytes::{BitKernel, ByteKernel, Line, QueryLine, bit_kernel, byte_kernel, prefetch};
pub use half::{are_halves, prepare, read_halves, write_halves};
pub use pages::Pages;

/// Compares two vectors of equal length. (Of unequal ones it reads the common part.)
pub type Kernel = fn(&[f32], &[f32]) -> f32;

/// One instruction set's kernels.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    /// What they are made of: `avx512`, `avx2`, `neon` or `scalar`.
    pub name: &'static str,
    /// Sum of products.
    pub dot: Kernel,
    /// Sum of squared differences.
    pub squared_euclid: Kernel,
    /// Square root of the sum of squared differences.
    pub euclid: Kernel,
    /// Sum of absolute differences.
    pub manhattan: Kernel,
}

/// The fastest kernels of this machine.
pub fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| *available().first().unwrap_or(&&scalar::KERNELS))
}

/// The kernel that gives the score of `distance`, larger or smaller being better as
/// [`Distance::order`] says. Cosine takes vectors that are normalised already.
pub fn kernel(distance: Distance) -> Kernel {
    let kernels = kernels();
    match distance {
        Distance::Cosine | Distance::Dot => kernels.dot,
        Distance::Euclid => kernels.euclid,
        Distance::Manhattan => kernels.manhattan,
    }
}

/// Scales the vector to Euclidean norm 1, summing in f64. A zero vector stays as it is.
pub fn normalise(vector: &mut [f32]) {
    let norm = norm(vector);
    // A vector that is normalised to the last bit must not change when it is stored again.
    if norm > 0.0 && (norm - 1.0).abs() > 1e-7 {
        for x in vector {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}

/// Every set of kernels that this machine can run, fastest first.
fn available() -> Vec<&'static Kernels> {
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            all.push(&avx512::KERNELS);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(&avx2::KERNELS);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        all.push(&neon::KERNELS);
    }
    all.push(&scalar::KERNELS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    /// The three sums in f64, and for each the sum of absolute terms, which rounding scales with.
    fn exact(a: &[f32], b: &[f32]) -> [(f64, f64); 3] {
        let mut sums = [(0.0, 0.0); 3];
        for (&x, &y) in a.iter().zip(b) {
            let (x, y) = (f64::from(x), f64::from(y));
            for (sum, term) in sums.iter_mut().zip([x * y, (x - y) * (x - y), (x - y).abs()]) {
                *sum = (sum.0 + term, sum.1 + term.abs());
            }
        }
        sums
    }

    fn check(a: &[f32], b: &[f32]) {
        for kernels in available() {
            let [dot, squared, manhattan] = exact(a, b);
            let root = (squared.0.sqrt(), squared.0.sqrt());
            for (what, kernel, (value, scale)) in [
                ("dot", kernels.dot, dot),
                ("squared_euclid", kernels.squared_euclid, squared),
                ("euclid", kernels.euclid, root),
                ("manhattan", kernels.manhattan, manhattan),
            ] {
                let got = f64::from(kernel(a, b));
                let allowed = 1e-5 * scale + 1e-30;
                let (name, n) = (kernels.name, a.len());
                assert!((got - value).abs() <= allowed, "{name} {what} of {n}: {got} for {value}");
            }
        }
    }

    #[test]
    fn every_kernel_agrees_with_f64_at_every_length_up_to_300() {
        let mut rng = SmallRng::seed_from_u64(1);
        let longest = if cfg!(miri) { 70 } else { 300 }; // there an instruction takes some hundred
        for n in 0..=longest {
            let mut draw = || (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
            check(&draw(), &draw());
        }
    }

    #[test]
    fn the_cosine_of_a_vector_with_itself_is_one() {
        for n in [1, 7, 256, 1000] {
            let mut vector: Vec<f32> = (0..n).map(|i| i as f32 - 3.5).collect();
            normalise(&mut vector);
            assert!((kernel(Distance::Cosine)(&vector, &vector) - 1.0).abs() < 1e-6, "{n}");
        }
    }

    proptest! {
        #[test]
        fn kernels_agree_with_f64_on_any_numbers(
            pairs in prop::collection::vec((-1e6f32..1e6, -1e6f32..1e6), 0..=300),
            skip in 0usize..8,
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let skip = skip.min(a.len()); // slices that start at any alignment
            check(&a[skip..], &b[skip..]);
        }

        #[test]
        fn normalising_twice_changes_nothing(
            mut vector in prop::collection::vec(-1e15f32..1e15, 1..300),
        ) {
            prop_assume!(vector.iter().any(|x| x.abs() > 1e-3));
            normalise(&mut vector);
            let once = vector.clone();
            normalise(&mut vector);
            prop_assert_eq!(once, vector);
        }
    }
}
