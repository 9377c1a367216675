//! What follows a product: what its sums are worth, the bias, the activation, and where they go.
//!
//! By whole vectors, or in loops long enough to become them: loops over the 32 sums of a row are unrolled first and
//! then stay one number at a time, which took a fifth of a tower's time.

use pulp::{Simd, WithSimd};

use super::buffer::Cells;
use super::float::PANEL;
use super::rows::Rows;
use super::{Activation, math};

/// What is done with the sums of a layer.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub activation: Activation,
    pub target: Target<'a>,
}

/// Where they go.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// f32 [rows, outputs].
    Store(Cells<'a, f32>),
    /// The same, added to.
    Add(Cells<'a, f32>),
    /// Rows for the next product; what is behind the last output is zero.
    Rows(Rows<'a>),
}

/// What products of bytes are worth: that of `q` by `w` is `(low + scale q) (weight w)`, so a sum of them takes the
/// sum of the weights as well.
#[derive(Clone, Copy)]
pub(super) struct Worth<'a> {
    /// Of each row.
    pub scale: &'a [f32],
    pub low: &'a [f32],
    /// Of each output.
    pub weight: &'a [f32; PANEL],
    pub sums: &'a [f32; PANEL],
}

/// The sums of up to 32 rows by the 32 outputs of a panel.
pub(super) struct Epilogue<'a> {
    /// [rows, 32]; used up.
    pub tile: &'a mut [f32],
    /// The sums are the bits of i32.
    pub integers: bool,
    /// Of bytes.
    pub worth: Option<Worth<'a>>,
    pub bias: &'a [f32; PANEL],
    pub finish: Finish<'a>,
    /// The first row, and the panel.
    pub row: usize,
    pub panel: usize,
    /// Of the layer: columns of what is stored.
    pub outputs: usize,
}

impl WithSimd for Epilogue<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Epilogue { tile, integers, worth, bias, finish, row, panel, outputs } = self;
        if integers {
            tile.iter_mut().for_each(|sum| *sum = sum.to_bits().cast_signed() as f32);
        }
        let bias = S::as_simd_f32s(bias).0;
        let rows = tile.chunks_exact_mut(PANEL).map(|row| S::as_mut_simd_f32s(row).0);
        if let Some(Worth { scale, low, weight, sums }) = worth {
            let (weight, sums) = (S::as_simd_f32s(weight).0, S::as_simd_f32s(sums).0);
            for (values, (scale, low)) in rows.zip(scale.iter().zip(low)) {
                let (scale, low) = (simd.splat_f32s(*scale), simd.splat_f32s(*low));
                for (value, ((weight, sum), bias)) in values.iter_mut().zip(weight.iter().zip(sums).zip(bias))
                {
                    let rest = simd.mul_add_f32s(low, *sum, *bias);
                    *value = simd.mul_add_f32s(*value, simd.mul_f32s(scale, *weight), rest);
                }
            }
        } else {
            for values in rows {
                for (value, bias) in values.iter_mut().zip(bias) {
                    *value = simd.add_f32s(*value, *bias);
                }
            }
        }
        match finish.activation {
            Activation::None => {}
            Activation::QuickGelu => each(tile, math::quick_gelu),
            Activation::Gelu => each(tile, math::gelu),
            Activation::GeluTanh => each(tile, math::gelu_tanh),
            Activation::Relu6 => each(tile, math::relu6),
        }
        let width = PANEL.min(outputs - panel * PANEL);
        for (at, values) in tile.as_chunks::<PANEL>().0.iter().enumerate() {
            let (to, add) = match finish.target {
                Target::Rows(to) => {
                    // SAFETY: this task alone has these rows of this panel.
                    unsafe { to.write_32(row + at, panel, values) }
                    continue;
                }
                Target::Store(to) => (to, false),
                Target::Add(to) => (to, true),
            };
            let start = (row + at) * outputs + panel * PANEL;
            // SAFETY: as above.
            let to = unsafe { to.part(start..start + width) };
            let (to, rest) = S::as_mut_simd_f32s(to);
            let (from, _) = S::as_simd_f32s(values);
            let behind = &values[to.len() * S::F32_LANES..];
            if add {
                for (to, value) in to.iter_mut().zip(from) {
                    *to = simd.add_f32s(*to, *value);
                }
                rest.iter_mut().zip(behind).for_each(|(to, value)| *to += value);
            } else {
                to.iter_mut().zip(from).for_each(|(to, value)| *to = *value);
                rest.iter_mut().zip(behind).for_each(|(to, value)| *to = *value);
            }
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}
