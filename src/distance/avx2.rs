//! The kernels for AVX2 with FMA: 32 floats a round in four sums, then 8, then one by one.

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_andnot_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm256_sub_ps,
};

use super::Kernels;

/// Only for a processor that was found to have `avx2` and `fma`.
pub(super) const KERNELS: Kernels = Kernels { name: "avx2", dot, squared_euclid, euclid, manhattan };

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: `KERNELS` is handed out only where `avx2` and `fma` were detected.
    unsafe { dot_sum(a, b) }
}

fn squared_euclid(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: as for `dot`.
    unsafe { squared_sum(a, b) }
}

fn euclid(a: &[f32], b: &[f32]) -> f32 {
    squared_euclid(a, b).sqrt()
}

fn manhattan(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: as for `dot`.
    unsafe { absolute_sum(a, b) }
}

#[target_feature(enable = "avx2,fma")]
fn dot_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i + 32 <= n {
        sums[0] = _mm256_fmadd_ps(load(a, i), load(b, i), sums[0]);
        sums[1] = _mm256_fmadd_ps(load(a, i + 8), load(b, i + 8), sums[1]);
        sums[2] = _mm256_fmadd_ps(load(a, i + 16), load(b, i + 16), sums[2]);
        sums[3] = _mm256_fmadd_ps(load(a, i + 24), load(b, i + 24), sums[3]);
        i += 32;
    }
    while i + 8 <= n {
        sums[0] = _mm256_fmadd_ps(load(a, i), load(b, i), sums[0]);
        i += 8;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| x * y).sum::<f32>()
}

#[target_feature(enable = "avx2,fma")]
fn squared_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i + 32 <= n {
        let d0 = _mm256_sub_ps(load(a, i), load(b, i));
        let d1 = _mm256_sub_ps(load(a, i + 8), load(b, i + 8));
        let d2 = _mm256_sub_ps(load(a, i + 16), load(b, i + 16));
        let d3 = _mm256_sub_ps(load(a, i + 24), load(b, i + 24));
        sums[0] = _mm256_fmadd_ps(d0, d0, sums[0]);
        sums[1] = _mm256_fmadd_ps(d1, d1, sums[1]);
        sums[2] = _mm256_fmadd_ps(d2, d2, sums[2]);
        sums[3] = _mm256_fmadd_ps(d3, d3, sums[3]);
        i += 32;
    }
    while i + 8 <= n {
        let d = _mm256_sub_ps(load(a, i), load(b, i));
        sums[0] = _mm256_fmadd_ps(d, d, sums[0]);
        i += 8;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()
}

#[target_feature(enable = "avx2,fma")]
fn absolute_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let sign = _mm256_set1_ps(-0.0);
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i + 32 <= n {
        let d0 = _mm256_sub_ps(load(a, i), load(b, i));
        let d1 = _mm256_sub_ps(load(a, i + 8), load(b, i + 8));
        let d2 = _mm256_sub_ps(load(a, i + 16), load(b, i + 16));
        let d3 = _mm256_sub_ps(load(a, i + 24), load(b, i + 24));
        sums[0] = _mm256_add_ps(sums[0], _mm256_andnot_ps(sign, d0));
        sums[1] = _mm256_add_ps(sums[1], _mm256_andnot_ps(sign, d1));
        sums[2] = _mm256_add_ps(sums[2], _mm256_andnot_ps(sign, d2));
        sums[3] = _mm256_add_ps(sums[3], _mm256_andnot_ps(sign, d3));
        i += 32;
    }
    while i + 8 <= n {
        sums[0] = _mm256_add_ps(sums[0], _mm256_andnot_ps(sign, _mm256_sub_ps(load(a, i), load(b, i))));
        i += 8;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| (x - y).abs()).sum::<f32>()
}

/// `v[i..i + 8]`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(v: &[f32], i: usize) -> __m256 {
    debug_assert!(i + 8 <= v.len());
    // SAFETY: every caller has checked that 8 floats from `i` lie within both slices.
    unsafe { _mm256_loadu_ps(v.as_ptr().add(i)) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn total(sums: [__m256; 4]) -> f32 {
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let mut lanes = [0.0f32; 8];
    // SAFETY: `lanes` holds the 8 floats that are written.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
    lanes.iter().sum()
}
