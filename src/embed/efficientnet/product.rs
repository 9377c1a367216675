//! The convolutions that are matrix products, through candle and gemm: 1x1, and the first one over
//! patches. Bias, ReLU6 and residual follow in one pass over the result, in place.
//!
//! Layout [n, h, w, c] throughout, so that a product needs no transposition.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Device, InplaceOp2, InplaceOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::depthwise::Window;
use crate::embed::cuda::Convolutions;

/// Values that one task finishes: 64 kB, some microseconds.
const TASK: usize = 16 << 10;

/// What follows the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: the output of a block is linear.
    Linear,
    /// min(max(x, 0), 6).
    Relu6,
}

/// A 1x1 convolution with its bias.
pub(super) struct Product {
    /// [inputs, outputs].
    weight: Tensor,
    /// `[outputs]`.
    bias: Tensor,
    then: Then,
    kernels: Option<Arc<Convolutions>>,
}

impl Product {
    /// `weight` is [inputs, outputs], `bias` `[outputs]`.
    pub fn new(
        weight: Tensor,
        bias: Vec<f32>,
        then: Then,
        kernels: Option<&Arc<Convolutions>>,
    ) -> Result<Product> {
        let bias = Tensor::from_vec(bias, weight.dim(1)?, weight.device())?;
        Ok(Product { weight, bias, then, kernels: kernels.cloned() })
    }

    /// [n, h, w, inputs] to [n, h, w, outputs], plus `residual` of that shape.
    pub fn forward(&self, input: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let output = multiply(input, &self.weight)?;
        if input.device().is_cpu() {
            let finish = Finish(self.then);
            match residual {
                None => output.inplace_op2(&self.bias, &finish)?,
                Some(residual) => output.inplace_op3(&self.bias, residual, &finish)?,
            }
            return Ok(output);
        }
        if let Some(kernels) = &self.kernels {
            return kernels.finish(&output, &self.bias, residual, self.then == Then::Relu6);
        }
        let output = output.broadcast_add(&self.bias)?;
        let output = if let Some(residual) = residual { (output + residual)? } else { output };
        match self.then {
            Then::Linear => Ok(output),
            Then::Relu6 => output.clamp(0f32, 6f32),
        }
    }
}

/// [n, h, w, inputs] by [inputs, outputs], without bias.
pub(super) fn multiply(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = input.dims4()?;
    input.reshape((n * h * w, c))?.matmul(weight)?.reshape((n, h, w, weight.dim(1)?))
}

/// `out = then(out + bias + residual)`, in place.
struct Finish(Then);

impl Finish {
    fn run(
        &self,
        (out, layout): (&mut CpuStorage, &Layout),
        bias: (&CpuStorage, &Layout),
        residual: Option<(&CpuStorage, &Layout)>,
    ) -> Result<()> {
        let CpuStorage::F32(out) = out else { candle_core::bail!("expected f32") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected contiguous")
        };
        let (out, bias) = (&mut out[start..end], slice(bias)?);
        let residual = residual.map(slice).transpose()?.unwrap_or(&[]);
        let fits = !bias.is_empty()
            && out.len().is_multiple_of(bias.len())
            && (residual.is_empty() || residual.len() == out.len());
        if !fits {
            candle_core::bail!("a bias of {} does not fit {} values", bias.len(), out.len());
        }
        let (task, arch, relu6) = (TASK.next_multiple_of(bias.len()), Arch::new(), self.0 == Then::Relu6);
        out.par_chunks_mut(task).enumerate().for_each(|(at, out)| {
            let residual = if residual.is_empty() { residual } else { &residual[at * task..][..out.len()] };
            arch.dispatch(|| {
                for (at, pixel) in out.chunks_exact_mut(bias.len()).enumerate() {
                    pixel.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                    if !residual.is_empty() {
                        let residual = &residual[at * bias.len()..];
                        pixel.iter_mut().zip(residual).for_each(|(value, other)| *value += other);
                    }
                    if relu6 {
                        pixel.iter_mut().for_each(|value| *value = value.clamp(0.0, 6.0));
                    }
                }
            });
        });
        Ok(())
    }
}

fn slice<'a>((storage, layout): (&'a CpuStorage, &Layout)) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("expected contiguous values"),
    }
}

impl InplaceOp2 for Finish {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(&self, out: &mut CpuStorage, l: &Layout, bias: &CpuStorage, bias_l: &Layout) -> Result<()> {
        self.run((out, l), (bias, bias_l), None)
    }
}

impl InplaceOp3 for Finish {
    fn name(&self) -> &'static str {
        "bias-residual"
    }

    fn cpu_fwd(
        &self,
        out: &mut CpuStorage,
        l: &Layout,
        bias: &CpuStorage,
        bias_l: &Layout,
        residual: &CpuStorage,
        residual_l: &Layout,
    ) -> Result<()> {
        self.run((out, l), (bias, bias_l), Some((residual, residual_l)))
    }
}

/// The first convolution, 3x3 with step 2 over 3 channels, without bias.
pub(super) enum Stem {
    /// [3 * 3 * 3, outputs], for a product over patches.
    Cpu(Tensor),
    /// [outputs, 3, 3, 3], for candle's convolution.
    Device(Tensor),
}

impl Stem {
    /// `weight` is [outputs, 3, 3, 3] on the tower's device.
    pub fn new(weight: Tensor, device: &Device) -> Result<Stem> {
        if device.is_cpu() {
            return Ok(Stem::Cpu(weight.flatten_from(1)?.t()?.contiguous()?));
        }
        Ok(Stem::Device(weight))
    }

    /// [n, 3, h, w] to [n, ceil(h / 2), ceil(w / 2), outputs].
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        match self {
            Stem::Cpu(weight) => multiply(&pixels.apply_op1_no_bwd(&Patches)?, weight),
            Stem::Device(weight) => {
                let (_, _, h, w) = pixels.dims4()?;
                let window = Window::ThreeHalving;
                let ((_, top, bottom), (_, left, right)) = (window.same(h), window.same(w));
                let pixels = pixels.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?;
                pixels.contiguous()?.conv2d(weight, 0, 2, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()
            }
        }
    }
}

/// [n, 3, h, w] to the patches under the first convolution, [n, ceil(h / 2), ceil(w / 2), 27], each
/// in the order channel, row, column.
struct Patches;

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, channels, h, w) = layout.shape().dims4()?;
        let pixels = slice((storage, layout))?;
        if channels != 3 || pixels.is_empty() {
            candle_core::bail!("expected pictures of 3 channels");
        }
        let ((rows, above, _), (columns, left, _)) =
            (Window::ThreeHalving.same(h), Window::ThreeHalving.same(w));
        let mut patches = vec![0f32; n * rows * columns * 27];
        patches.par_chunks_mut(columns * 27).enumerate().for_each(|(at, line)| {
            let (image, y) = (at / rows, at % rows);
            for part in 0..9 {
                let (channel, ky) = (part / 3, part % 3);
                let Some(row) = (2 * y + ky).checked_sub(above).filter(|row| *row < h) else { continue };
                let row = &pixels[((image * 3 + channel) * h + row) * w..][..w];
                for (x, patch) in line.chunks_exact_mut(27).enumerate() {
                    for kx in 0..3 {
                        if let Some(value) = (2 * x + kx).checked_sub(left).and_then(|x| row.get(x)) {
                            patch[part * 3 + kx] = *value;
                        }
                    }
                }
            }
        });
        Ok((CpuStorage::F32(patches), Shape::from((n, rows, columns, 27))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(shape: &[usize], step: f32) -> Tensor {
        let values = (0..shape.iter().product()).map(|i: usize| 4.0 * (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn assert_close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.dims(), b.dims());
        for (a, b) in values(a).into_iter().zip(values(b)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn the_first_convolution_is_the_same_by_patches_and_by_candle() {
        for (h, w) in [(8, 8), (7, 10), (9, 5), (1, 2)] {
            let (pixels, weight) = (wave(&[2, 3, h, w], 0.7), wave(&[32, 3, 3, 3], 0.3));
            let patches = Stem::new(weight.clone(), &Device::Cpu).unwrap();
            assert!(matches!(patches, Stem::Cpu(_)));
            assert_close(&patches.forward(&pixels).unwrap(), &Stem::Device(weight).forward(&pixels).unwrap());
        }
    }

    #[test]
    fn a_product_adds_bias_and_residual_and_then_cuts() {
        let (input, weight, residual) =
            (wave(&[3, 20, 30, 8], 0.7), wave(&[8, 24], 0.3), wave(&[3, 20, 30, 24], 0.2));
        let bias = wave(&[24], 1.1);
        let sum = multiply(&input, &weight).unwrap().broadcast_add(&bias).unwrap();
        let product = |then| Product::new(weight.clone(), values(&bias), then, None).unwrap();
        assert_close(&product(Then::Linear).forward(&input, None).unwrap(), &sum);
        let cut = sum.clamp(0f32, 6f32).unwrap();
        assert_close(&product(Then::Relu6).forward(&input, None).unwrap(), &cut);
        let both = (sum + &residual).unwrap();
        assert_close(&product(Then::Linear).forward(&input, Some(&residual)).unwrap(), &both);
    }
}
