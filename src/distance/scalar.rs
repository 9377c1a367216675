//! The kernels for a machine without a known instruction set: eight partial sums, so that the
//! compiler may use whatever registers there are.

use super::Kernels;

pub(super) const KERNELS: Kernels = Kernels { name: "scalar", dot, squared_euclid, euclid, manhattan };

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| x * y)
}

fn squared_euclid(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| (x - y) * (x - y))
}

fn euclid(a: &[f32], b: &[f32]) -> f32 {
    squared_euclid(a, b).sqrt()
}

fn manhattan(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |x, y| (x - y).abs())
}

#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (a[..n].chunks_exact(8), b[..n].chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&x, &y)| term(x, y)).sum();
    let mut sums = [0.0f32; 8];
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            sums[i] += term(a[i], b[i]);
        }
    }
    sums.iter().sum::<f32>() + rest
}
