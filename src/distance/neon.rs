//! The kernels for NEON (64-bit ARM): 16 floats a round in four sums, then 4, then one by one.

use std::arch::aarch64::{
    float32x4_t, vabdq_f32, vaddq_f32, vaddvq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vsubq_f32,
};

use super::Kernels;

/// Only for a processor that was found to have `neon`.
pub(super) const KERNELS: Kernels = Kernels { name: "neon", dot, squared_euclid, euclid, manhattan };

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: `KERNELS` is handed out only where `neon` was detected.
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

#[target_feature(enable = "neon")]
fn dot_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [vdupq_n_f32(0.0); 4];
    let mut i = 0;
    while i + 16 <= n {
        sums[0] = vfmaq_f32(sums[0], load(a, i), load(b, i));
        sums[1] = vfmaq_f32(sums[1], load(a, i + 4), load(b, i + 4));
        sums[2] = vfmaq_f32(sums[2], load(a, i + 8), load(b, i + 8));
        sums[3] = vfmaq_f32(sums[3], load(a, i + 12), load(b, i + 12));
        i += 16;
    }
    while i + 4 <= n {
        sums[0] = vfmaq_f32(sums[0], load(a, i), load(b, i));
        i += 4;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| x * y).sum::<f32>()
}

#[target_feature(enable = "neon")]
fn squared_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [vdupq_n_f32(0.0); 4];
    let mut i = 0;
    while i + 16 <= n {
        let d0 = vsubq_f32(load(a, i), load(b, i));
        let d1 = vsubq_f32(load(a, i + 4), load(b, i + 4));
        let d2 = vsubq_f32(load(a, i + 8), load(b, i + 8));
        let d3 = vsubq_f32(load(a, i + 12), load(b, i + 12));
        sums[0] = vfmaq_f32(sums[0], d0, d0);
        sums[1] = vfmaq_f32(sums[1], d1, d1);
        sums[2] = vfmaq_f32(sums[2], d2, d2);
        sums[3] = vfmaq_f32(sums[3], d3, d3);
        i += 16;
    }
    while i + 4 <= n {
        let d = vsubq_f32(load(a, i), load(b, i));
        sums[0] = vfmaq_f32(sums[0], d, d);
        i += 4;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()
}

#[target_feature(enable = "neon")]
fn absolute_sum(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [vdupq_n_f32(0.0); 4];
    let mut i = 0;
    while i + 16 <= n {
        sums[0] = vaddq_f32(sums[0], vabdq_f32(load(a, i), load(b, i)));
        sums[1] = vaddq_f32(sums[1], vabdq_f32(load(a, i + 4), load(b, i + 4)));
        sums[2] = vaddq_f32(sums[2], vabdq_f32(load(a, i + 8), load(b, i + 8)));
        sums[3] = vaddq_f32(sums[3], vabdq_f32(load(a, i + 12), load(b, i + 12)));
        i += 16;
    }
    while i + 4 <= n {
        sums[0] = vaddq_f32(sums[0], vabdq_f32(load(a, i), load(b, i)));
        i += 4;
    }
    total(sums) + a[i..n].iter().zip(&b[i..n]).map(|(x, y)| (x - y).abs()).sum::<f32>()
}

/// `v[i..i + 4]`.
#[inline]
#[target_feature(enable = "neon")]
fn load(v: &[f32], i: usize) -> float32x4_t {
    debug_assert!(i + 4 <= v.len());
    // SAFETY: every caller has checked that 4 floats from `i` lie within both slices.
    unsafe { vld1q_f32(v.as_ptr().add(i)) }
}

#[inline]
#[target_feature(enable = "neon")]
fn total(sums: [float32x4_t; 4]) -> f32 {
    vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])))
}
