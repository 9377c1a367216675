//! The depthwise convolution between two matrix products, with what stands around it in one pass:
//! bias and ReLU6 of the product before, zero padding as TensorFlow's "same", the convolution, its
//! own bias and ReLU6.
//!
//! candle convolves one group at a time, which for hundreds of channels of 9 weights is 30 times
//! the work. Here a vector holds neighbouring channels of one pixel (the layout is [n, h, w, c]), so
//! that no lane ever needs another's value. Each thread keeps a window of as many padded rows as
//! the kernel is high, sorted by vector of channels: all that a weight meets lies in one line.
//! pulp chooses the widest instruction set of the machine at run time, as gemm does.
//!
//! Invariant: the result is that of the naive loop to rounding (property test), and of candle's own
//! convolution, which takes over on a device other than the CPU.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::embed::cuda::Convolutions;

/// Channels come in groups of so many: the lanes of the widest vector.
pub(super) const GROUP: usize = 16;
/// Outputs of a row that are computed together.
const TILE: usize = 4;

/// A square kernel and its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// 3x3, every pixel.
    Three,
    /// 3x3, every second pixel.
    ThreeHalving,
    /// 5x5, every pixel.
    Five,
    /// 5x5, every second pixel.
    FiveHalving,
}

impl Window {
    /// Side of the kernel.
    pub fn kernel(self) -> usize {
        match self {
            Window::Three | Window::ThreeHalving => 3,
            Window::Five | Window::FiveHalving => 5,
        }
    }

    /// Step in both directions.
    pub fn stride(self) -> usize {
        match self {
            Window::Three | Window::Five => 1,
            Window::ThreeHalving | Window::FiveHalving => 2,
        }
    }

    /// Of a side of `input` pixels: the side of the output, and the zeros before the first pixel
    /// and after the last, as TensorFlow's "same" has them (the odd one behind).
    pub fn same(self, input: usize) -> (usize, usize, usize) {
        let output = input.div_ceil(self.stride());
        let zeros = ((output - 1) * self.stride() + self.kernel()).saturating_sub(input);
        (output, zeros / 2, zeros - zeros / 2)
    }
}

/// Where a window stands: its side and step, the zeros above and to the left, and the size of the output.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "a kernel of the GPU's reads them"))]
pub(in crate::embed) struct Place {
    pub side: usize,
    pub stride: usize,
    pub top: usize,
    pub left: usize,
    pub rows: usize,
    pub columns: usize,
}

/// The layer's numbers, BatchNorm folded in.
pub(super) struct Weights {
    /// Bias of the product that made the input, `[channels]`.
    pub before: Vec<f32>,
    /// [kernel * kernel, channels].
    pub kernel: Vec<f32>,
    /// `[channels]`.
    pub bias: Vec<f32>,
}

/// One depthwise layer on one device.
pub(super) enum Depthwise {
    /// The loops of this file.
    Cpu(Loops),
    /// candle's convolution.
    Device { window: Window, before: Tensor, kernel: Tensor, bias: Tensor },
    /// One kernel for all; the weights [kernel * kernel, channels].
    Fused { window: Window, kernels: Arc<Convolutions>, before: Tensor, kernel: Tensor, bias: Tensor },
}

impl Depthwise {
    /// `weights` are for a number of channels that is a multiple of [`GROUP`].
    pub fn new(
        window: Window,
        weights: Weights,
        device: &Device,
        kernels: Option<&Arc<Convolutions>>,
    ) -> Result<Depthwise> {
        let channels = weights.bias.len();
        let taps = window.kernel().pow(2);
        if channels == 0
            || !channels.is_multiple_of(GROUP)
            || weights.before.len() != channels
            || weights.kernel.len() != taps * channels
        {
            candle_core::bail!("a depthwise layer of {channels} channels does not fit its weights");
        }
        if device.is_cpu() {
            return Ok(Depthwise::Cpu(Loops { window, weights }));
        }
        let k = window.kernel();
        let kernel = Tensor::from_vec(weights.kernel, (k, k, 1, channels), device)?;
        let before = Tensor::from_vec(weights.before, channels, device)?;
        let bias = Tensor::from_vec(weights.bias, channels, device)?;
        if let Some(kernels) = kernels.cloned() {
            return Ok(Depthwise::Fused { window, kernels, before, kernel, bias });
        }
        let kernel = kernel.permute((3, 2, 0, 1))?.contiguous()?; // [channels, 1, k, k]
        Ok(Depthwise::Device { window, before, kernel, bias })
    }

    /// [n, h, w, c] to [n, ceil(h / stride), ceil(w / stride), c].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self {
            Depthwise::Cpu(loops) => input.apply_op1_no_bwd(loops),
            Depthwise::Fused { window, kernels, before, kernel, bias } => {
                let (_, h, w, _) = input.dims4()?;
                let ((rows, top, _), (columns, left, _)) = (window.same(h), window.same(w));
                let (side, stride) = (window.kernel(), window.stride());
                kernels.depthwise(
                    input,
                    [before, kernel, bias],
                    Place { side, stride, top, left, rows, columns },
                )
            }
            Depthwise::Device { window, before, kernel, bias } => {
                let (_, h, w, c) = input.dims4()?;
                let ((_, top, bottom), (_, left, right)) = (window.same(h), window.same(w));
                let planes = input.broadcast_add(before)?.clamp(0f32, 6f32)?.permute((0, 3, 1, 2))?;
                let planes = planes.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?;
                let planes = planes.contiguous()?.conv2d(kernel, 0, window.stride(), 1, c)?;
                planes.permute((0, 2, 3, 1))?.contiguous()?.broadcast_add(bias)?.clamp(0f32, 6f32)
            }
        }
    }
}

/// The layer on the CPU.
pub(super) struct Loops {
    window: Window,
    weights: Weights,
}

impl CustomOp1 for Loops {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a depthwise layer needs contiguous input");
        };
        if c != self.weights.bias.len() || n * h * w == 0 {
            candle_core::bail!("a depthwise layer does not fit {:?}", layout.shape());
        }
        let input = &storage.as_slice::<f32>()?[start..end];
        let (rows, columns) = (self.window.same(h).0, self.window.same(w).0);
        let mut output = vec![0f32; n * rows * columns * c];
        // Whole pictures to each thread while there are enough; else bands of rows.
        let band = if n >= rayon::current_num_threads() {
            rows
        } else {
            rows.div_ceil(rayon::current_num_threads())
        };
        let arch = Arch::new();
        output.par_chunks_mut(rows * columns * c).zip(input.par_chunks(h * w * c)).for_each(
            |(output, input)| {
                output.par_chunks_mut(band * columns * c).enumerate().for_each(|(at, output)| {
                    arch.dispatch(Band { layer: self, input, h, w, first: at * band, columns, output });
                });
            },
        );
        Ok((CpuStorage::F32(output), Shape::from((n, rows, columns, c))))
    }
}

/// Some rows of one picture's output.
struct Band<'a> {
    layer: &'a Loops,
    /// [h, w, channels].
    input: &'a [f32],
    h: usize,
    w: usize,
    /// The first output row.
    first: usize,
    /// Width of the output.
    columns: usize,
    /// [rows of the band, columns, channels].
    output: &'a mut [f32],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The last number is what a tile of outputs covers of a padded row: (TILE - 1) * stride + kernel.
        match self.layer.window {
            Window::Three => self.run::<S, 3, 1, 6>(simd),
            Window::ThreeHalving => self.run::<S, 3, 2, 9>(simd),
            Window::Five => self.run::<S, 5, 1, 8>(simd),
            Window::FiveHalving => self.run::<S, 5, 2, 11>(simd),
        }
    }
}

impl Band<'_> {
    #[inline(always)]
    fn run<S: Simd, const K: usize, const STRIDE: usize, const SPAN: usize>(self, simd: S) {
        let Weights { before, kernel, bias } = &self.layer.weights;
        let (before, kernel, bias) =
            (S::as_simd_f32s(before).0, S::as_simd_f32s(kernel).0, S::as_simd_f32s(bias).0);
        let input = S::as_simd_f32s(self.input).0;
        let output = S::as_mut_simd_f32s(self.output).0;
        let vectors = bias.len(); // of one pixel
        let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
        let relu6 = |v| simd.min_f32s(simd.max_f32s(v, zero), six);
        let (columns, h, w) = (self.columns, self.h, self.w);
        let (above, left) = (self.layer.window.same(h).1, self.layer.window.same(w).1);
        // Columns that the last tile reads beyond the padding are zeros, and their outputs unused.
        let padded = (columns.next_multiple_of(TILE) - 1) * STRIDE + K;
        let line = K * padded;
        // [vectors, K, padded]; row r of the padded picture stands at r % K.
        let mut window = vec![zero; vectors * line];
        let mut next = self.first * STRIDE; // the first row that is not yet in the window
        for (at, output) in output.chunks_exact_mut(columns * vectors).enumerate() {
            let top = (self.first + at) * STRIDE;
            for row in next..top + K {
                let source = row
                    .checked_sub(above)
                    .filter(|y| *y < h)
                    .and_then(|y| input.get(y * w * vectors..(y + 1) * w * vectors));
                let slot = row % K * padded;
                for (v, (line, before)) in window.chunks_exact_mut(line).zip(before).enumerate() {
                    let line = &mut line[slot..slot + padded];
                    match source {
                        None => line.fill(zero),
                        Some(source) => {
                            let pixels = source.chunks_exact(vectors);
                            for (to, pixel) in line[left..].iter_mut().zip(pixels) {
                                *to = relu6(simd.add_f32s(pixel[v], *before));
                            }
                        }
                    }
                }
            }
            next = top + K;
            for (v, line) in window.chunks_exact(line).enumerate() {
                let mut weights = [[zero; K]; K];
                let mut rows = [line; K];
                for y in 0..K {
                    for x in 0..K {
                        weights[y][x] = kernel[(y * K + x) * vectors + v];
                    }
                    let slot = (top + y) % K * padded;
                    rows[y] = &line[slot..slot + padded];
                }
                let bias = bias[v];
                for (at, tile) in output.chunks_mut(TILE * vectors).enumerate() {
                    let mut sums = [bias; TILE];
                    for (row, weights) in rows.iter().zip(&weights) {
                        let Some(span) = row[at * TILE * STRIDE..].first_chunk::<SPAN>() else { return };
                        for (x, weight) in weights.iter().enumerate() {
                            for (t, sum) in sums.iter_mut().enumerate() {
                                *sum = simd.mul_add_e_f32s(span[t * STRIDE + x], *weight, *sum);
                            }
                        }
                    }
                    for (pixel, sum) in tile.chunks_exact_mut(vectors).zip(sums) {
                        pixel[v] = relu6(sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOWS: [Window; 4] = [Window::Three, Window::ThreeHalving, Window::Five, Window::FiveHalving];

    fn naive(window: Window, weights: &Weights, input: &[f32], [n, h, w, c]: [usize; 4]) -> Vec<f32> {
        let ((rows, above, _), (columns, left, _)) = (window.same(h), window.same(w));
        let mut output = Vec::new();
        for (image, y, x, channel) in itertools(n, rows, columns, c) {
            let mut sum = weights.bias[channel];
            for ky in 0..window.kernel() {
                for kx in 0..window.kernel() {
                    let (row, column) = (y * window.stride() + ky, x * window.stride() + kx);
                    if row < above || column < left || row - above >= h || column - left >= w {
                        continue;
                    }
                    let at = ((image * h + row - above) * w + column - left) * c + channel;
                    let value = (input[at] + weights.before[channel]).clamp(0.0, 6.0);
                    sum += value * weights.kernel[(ky * window.kernel() + kx) * c + channel];
                }
            }
            output.push(sum.clamp(0.0, 6.0));
        }
        output
    }

    fn itertools(
        a: usize,
        b: usize,
        c: usize,
        d: usize,
    ) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
    }

    fn values(count: usize, seed: u64, scale: f32) -> Vec<f32> {
        let mut rng = <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(seed);
        (0..count).map(|_| scale * rand::Rng::random_range(&mut rng, -1.0f32..1.0)).collect()
    }

    fn weights(window: Window, channels: usize, seed: u64) -> Weights {
        Weights {
            before: values(channels, seed, 1.0),
            kernel: values(window.kernel().pow(2) * channels, seed + 1, 0.7),
            bias: values(channels, seed + 2, 2.0),
        }
    }

    fn difference(a: &Tensor, b: &[f32]) -> f32 {
        let a = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    proptest! {
        #[test]
        fn the_loops_are_the_naive_convolution(
            which in 0..4usize, n in 1..4usize, h in 1..14usize, w in 1..14usize, groups in 1..4usize, seed: u32,
        ) {
            let (window, c) = (WINDOWS[which], groups * GROUP);
            let input = values(n * h * w * c, u64::from(seed), 4.0);
            let expected = naive(window, &weights(window, c, u64::from(seed)), &input, [n, h, w, c]);
            let tensor = Tensor::from_vec(input, (n, h, w, c), &Device::Cpu).unwrap();
            let layer = Depthwise::new(window, weights(window, c, u64::from(seed)), &Device::Cpu, None).unwrap();
            let got = layer.forward(&tensor).unwrap();
            prop_assert_eq!(got.dims(), [n, h.div_ceil(window.stride()), w.div_ceil(window.stride()), c]);
            prop_assert!(difference(&got, &expected) < 1e-4);
        }
    }

    #[test]
    fn the_path_for_other_devices_is_the_same_convolution() {
        for window in WINDOWS {
            let (n, h, w, c) = (2, 9, 12, 32);
            let input = values(n * h * w * c, 5, 4.0);
            let numbers = weights(window, c, 6);
            let expected = naive(window, &numbers, &input, [n, h, w, c]);
            let k = window.kernel();
            let tensor =
                |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
            let layer = Depthwise::Device {
                window,
                before: tensor(&numbers.before, &[c]),
                kernel: tensor(&numbers.kernel, &[k, k, 1, c])
                    .permute((3, 2, 0, 1))
                    .unwrap()
                    .contiguous()
                    .unwrap(),
                bias: tensor(&numbers.bias, &[c]),
            };
            let got = layer.forward(&tensor(&input, &[n, h, w, c])).unwrap();
            assert!(difference(&got, &expected) < 1e-4, "{window:?}");
        }
    }

    #[test]
    fn padding_is_that_of_tensorflow() {
        assert_eq!(Window::Three.same(7), (7, 1, 1));
        assert_eq!(Window::ThreeHalving.same(224), (112, 0, 1));
        assert_eq!(Window::ThreeHalving.same(7), (4, 1, 1));
        assert_eq!(Window::FiveHalving.same(56), (28, 1, 2));
        assert_eq!(Window::FiveHalving.same(1), (1, 2, 2));
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let mut wrong = weights(Window::Three, 32, 1);
        wrong.kernel.pop();
        assert!(Depthwise::new(Window::Three, wrong, &Device::Cpu, None).is_err());
        assert!(Depthwise::new(Window::Three, weights(Window::Three, 24, 1), &Device::Cpu, None).is_err());
    }
}
