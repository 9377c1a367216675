//! Functions of one number in plain arithmetic, without branches, so that a loop over them becomes vectors
//! of whatever width the instruction set has. Multiply-adds are fused: one instruction on any processor of
//! the last ten years, a slow call on those before.

use std::f32::consts::{LOG2_E, SQRT_2};

use pulp::{Simd, WithSimd};

/// 1.5 * 2^23: adding it rounds a number below 2^22 to the nearest integer, which then stands in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// e^x within 2e-7 of its size, for x from -87 to 88; beyond it stays at the ends. Not-a-number stays.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x)); // ln 2 in two parts
    let mut y = 1.987_569_1e-4f32;
    y = y.mul_add(r, 1.398_199_9e-3);
    y = y.mul_add(r, 8.333_452e-3);
    y = y.mul_add(r, 4.166_579_6e-2);
    y = y.mul_add(r, 1.666_666_5e-1);
    y = y.mul_add(r, 0.5);
    y = y.mul_add(r * r, r + 1.0);
    y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000)) // times 2^n
}

/// x * sigmoid(1.702 x), as OpenAI's CLIP has it.
#[inline(always)]
pub(super) fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(-1.702 * x))
}

/// x times the normal distribution's share below x, by Abramowitz and Stegun 7.1.26 (1.5e-7 absolute).
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let z = x.abs() * (1.0 / SQRT_2);
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * exp(-z * z); // of the side that x is on
    let share = if x < 0.0 { tail } else { 1.0 - tail };
    x * share
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as PyTorch's gelu of the kind "tanh" has it: x times the
/// sigmoid of twice the argument.
#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    const TWICE: f32 = 1.595_769; // 2 sqrt(2/pi)
    x / (1.0 + exp(-TWICE * x * (0.044_715 * x).mul_add(x, 1.0)))
}

/// Between 0 and 6.
#[inline(always)]
pub(super) fn relu6(x: f32) -> f32 {
    x.clamp(0.0, 6.0)
}

/// The sum in sixteen lanes, one after the other at the end.
#[inline(always)]
pub(super) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] += term(chunk[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// The smallest and the largest; by whole vectors, since plain loops over both become shuffles.
pub(super) struct Range<'a>(pub &'a [f32]);

impl WithSimd for Range<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
        let (vectors, rest) = S::as_simd_f32s(self.0);
        let mut low = [simd.splat_f32s(f32::INFINITY); 2];
        let mut high = [simd.splat_f32s(f32::NEG_INFINITY); 2];
        let (pairs, last) = vectors.as_chunks::<2>();
        for pair in pairs {
            for i in 0..2 {
                low[i] = simd.min_f32s(pair[i], low[i]);
                high[i] = simd.max_f32s(pair[i], high[i]);
            }
        }
        for vector in last {
            low[0] = simd.min_f32s(*vector, low[0]);
            high[0] = simd.max_f32s(*vector, high[0]);
        }
        let low = simd.reduce_min_f32s(simd.min_f32s(low[0], low[1]));
        let high = simd.reduce_max_f32s(simd.max_f32s(high[0], high[1]));
        (rest.iter().copied().fold(low, f32::min), rest.iter().copied().fold(high, f32::max))
    }
}

/// The nearest integer of a number from 0 to 255.
#[inline(always)]
pub(super) fn byte(x: f32) -> u8 {
    (x + ROUND).to_bits() as u8
}

/// The nearest bf16, ties away from zero: an addition and a shift, which become vectors, as ties to even do
/// not.
#[inline(always)]
pub(super) fn bf16(x: f32) -> u16 {
    (x.to_bits().wrapping_add(0x8000) >> 16) as u16
}

/// Three bf16 whose sum is the number exactly: eight bits of the significand each.
#[inline(always)]
pub(super) fn thirds(x: f32) -> [u32; 3] {
    const TOP: u32 = 0xffff_0000;
    let high = x.to_bits() & TOP;
    let rest = x - f32::from_bits(high);
    let middle = rest.to_bits() & TOP;
    let low = (rest - f32::from_bits(middle)).to_bits();
    [high, middle, low & TOP]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::isa::Isa;
    use super::*;

    fn close(got: f32, exact: f64, allowed: f64) -> bool {
        (f64::from(got) - exact).abs() <= allowed
    }

    proptest! {
        #[test]
        fn functions_agree_with_f64(x in -87.0f32..88.0, y in -30.0f32..30.0) {
            let exact = f64::from(x).exp();
            prop_assert!(close(exp(x), exact, 2e-7 * exact), "exp {x}: {} for {exact}", exp(x));
            let y64 = f64::from(y);
            prop_assert!(close(quick_gelu(y), y64 / (1.0 + (-1.702 * y64).exp()), 1e-6 * (1.0 + y64.abs())));
            let tanh = (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (y64 + 0.044_715 * y64.powi(3))).tanh()) / 2.0;
            prop_assert!(close(gelu_tanh(y), y64 * tanh, 1e-6 * (1.0 + y64.abs())), "{y}: {} {}", gelu_tanh(y), y64 * tanh);
            // The share below y, by Simpson's rule from 0.
            let steps = 2000;
            let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let h = y64 / f64::from(steps);
            let inner: f64 =
                (1..steps).map(|i| f64::from(2 + 2 * (i % 2)) * density(f64::from(i) * h)).sum();
            let share = 0.5 + h / 3.0 * (density(0.0) + inner + density(y64));
            prop_assert!(close(gelu(y), y64 * share, 1e-6 * (1.0 + y64.abs())), "{y}: {} {}", gelu(y), y64 * share);
        }

        #[test]
        fn three_bf16_are_the_number(bits: u32) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite() && x.abs() > 1e-30);
            let sum: f64 = thirds(x).iter().map(|part| f64::from(f32::from_bits(*part))).sum();
            prop_assert_eq!(sum, f64::from(x));
        }

        #[test]
        fn bf16_is_as_near_as_that_of_half(x: f32) {
            let off = |bits: u16| (f64::from(f32::from_bits(u32::from(bits) << 16)) - f64::from(x)).abs();
            let best = off(half::bf16::from_f32(x).to_bits());
            prop_assert!(off(bf16(x)) == best || best.is_infinite(), "{x}: {} {best}", off(bf16(x)));
        }

        #[test]
        fn sums_and_ranges_are_those_of_the_whole(values in prop::collection::vec(-1e3f32..1e3, 1..80)) {
            let exact: f64 = values.iter().map(|v| f64::from(*v)).sum();
            prop_assert!(close(sum(&values, |v| v), exact, 1e-2));
            let expected = values.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            for isa in Isa::available() {
                prop_assert_eq!(isa.dispatch(Range(&values)), expected);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_that() {
        assert!(exp(f32::NAN).is_nan() && quick_gelu(f32::NAN).is_nan() && gelu(f32::NAN).is_nan());
        assert!(gelu_tanh(f32::NAN).is_nan());
        assert_eq!((exp(-1e9), exp(0.0)), (exp(-87.0), 1.0));
        assert!(f32::from_bits(u32::from(bf16(f32::NAN)) << 16).is_nan());
    }
}
