//! The kernels for AVX-512: 64 floats a round in four sums, the tail by masked loads.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_abs_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps,
    _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_sub_ps,
};

use super::Kernels;

/// Only for a processor that was found to have `avx512f`.
pub(super) const KERNELS: Kernels = Kernels { name: "avx512", dot, squared_euclid, euclid, manhattan };

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: `KERNELS` is handed out only where `avx512f` was detected.
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

#[target_feature(enable = "avx512f")]
fn dot_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut i = 0;
    while i + 64 <= n {
        sums[0] = _mm512_fmadd_ps(load(a, i), load(b, i), sums[0]);
        sums[1] = _mm512_fmadd_ps(load(a, i + 16), load(b, i + 16), sums[1]);
        sums[2] = _mm512_fmadd_ps(load(a, i + 32), load(b, i + 32), sums[2]);
        sums[3] = _mm512_fmadd_ps(load(a, i + 48), load(b, i + 48), sums[3]);
        i += 64;
    }
    while i < n {
        sums[0] = _mm512_fmadd_ps(load_tail(a, i, n), load_tail(b, i, n), sums[0]);
        i += 16;
    }
    total(sums)
}

#[target_feature(enable = "avx512f")]
fn squared_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut i = 0;
    while i + 64 <= n {
        let d0 = _mm512_sub_ps(load(a, i), load(b, i));
        let d1 = _mm512_sub_ps(load(a, i + 16), load(b, i + 16));
        let d2 = _mm512_sub_ps(load(a, i + 32), load(b, i + 32));
        let d3 = _mm512_sub_ps(load(a, i + 48), load(b, i + 48));
        sums[0] = _mm512_fmadd_ps(d0, d0, sums[0]);
        sums[1] = _mm512_fmadd_ps(d1, d1, sums[1]);
        sums[2] = _mm512_fmadd_ps(d2, d2, sums[2]);
        sums[3] = _mm512_fmadd_ps(d3, d3, sums[3]);
        i += 64;
    }
    while i < n {
        let d = _mm512_sub_ps(load_tail(a, i, n), load_tail(b, i, n));
        sums[0] = _mm512_fmadd_ps(d, d, sums[0]);
        i += 16;
    }
    total(sums)
}

#[target_feature(enable = "avx512f")]
fn absolute_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut i = 0;
    while i + 64 <= n {
        sums[0] = _mm512_add_ps(sums[0], _mm512_abs_ps(_mm512_sub_ps(load(a, i), load(b, i))));
        sums[1] = _mm512_add_ps(sums[1], _mm512_abs_ps(_mm512_sub_ps(load(a, i + 16), load(b, i + 16))));
        sums[2] = _mm512_add_ps(sums[2], _mm512_abs_ps(_mm512_sub_ps(load(a, i + 32), load(b, i + 32))));
        sums[3] = _mm512_add_ps(sums[3], _mm512_abs_ps(_mm512_sub_ps(load(a, i + 48), load(b, i + 48))));
        i += 64;
    }
    while i < n {
        let d = _mm512_sub_ps(load_tail(a, i, n), load_tail(b, i, n));
        sums[0] = _mm512_add_ps(sums[0], _mm512_abs_ps(d));
        i += 16;
    }
    total(sums)
}

/// `v[i..i + 16]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(v: &[f32], i: usize) -> __m512 {
    debug_assert!(i + 16 <= v.len());
    // SAFETY: every caller has checked that 16 floats from `i` lie within both slices.
    unsafe { _mm512_loadu_ps(v.as_ptr().add(i)) }
}

/// `v[i..n]`, at most 16 of it, zeros after it.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_tail(v: &[f32], i: usize, n: usize) -> __m512 {
    debug_assert!(i < n && n <= v.len());
    let mask: __mmask16 = if n - i >= 16 { !0 } else { (1 << (n - i)) - 1 };
    // SAFETY: the mask names only floats before `n`, which is within both slices; masked-out
    // lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(mask, v.as_ptr().add(i)) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn total(sums: [__m512; 4]) -> f32 {
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])))
}
