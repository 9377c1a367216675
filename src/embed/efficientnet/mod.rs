//! EfficientNet-Lite0 as timm's `tf_efficientnet_lite0`: the image tower of a dual encoder, or alone
//! from timm's own checkpoint. 16 blocks of two matrix products around a depthwise convolution.
//!
//! Invariant: block outputs and pooled features are timm's within 1e-3 of their size (BatchNorm is
//! folded into the convolutions when the weights are read), whatever the side of the picture.
//! Source: timm's `_gen_efficientnet_lite`, TensorFlow's padding, BatchNorm epsilon 1e-3.

mod depthwise;
mod product;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::config::refuse as refuse_config;
use super::cuda::Convolutions;
use super::spec::ModelSpec;
use super::weights::{self, Layout};
use super::{EmbedOptions, device, files};
use crate::error::{Error, Result};

pub(super) use depthwise::Place;
use depthwise::{Depthwise, Weights, Window};
use product::{Product, Stem, Then};

/// timm's name.
pub(super) const ARCHITECTURE: &str = "tf_efficientnet_lite0";
/// Channels of the pooled features.
pub(super) const FEATURES: usize = 1280;
/// Sides that the tower takes: 32 leaves one position at the end, 1024 is 400 MB in the first blocks.
pub(super) const SIDES: std::ops::RangeInclusive<usize> = 32..=1024;
/// Names that a checkpoint has and the tower does not need.
pub(super) const IGNORED: [&str; 3] = ["num_batches_tracked", "classifier.weight", "classifier.bias"];
const STEM: usize = 32;
const EPSILON: f64 = 1e-3;
/// Blocks whose pictures are worked off one by one: their layers are so large that those of a whole
/// batch would leave the cache between one pass and the next.
const LARGE_BLOCKS: usize = 5;

/// Blocks of one stage: how many, the window of the first, channels out. The rest has step 1.
struct Stage {
    blocks: usize,
    window: Window,
    expansion: usize,
    channels: usize,
}

const fn stage(blocks: usize, window: Window, expansion: usize, channels: usize) -> Stage {
    Stage { blocks, window, expansion, channels }
}

const STAGES: [Stage; 7] = [
    stage(1, Window::Three, 1, 16),
    stage(2, Window::ThreeHalving, 6, 24),
    stage(2, Window::FiveHalving, 6, 40),
    stage(3, Window::ThreeHalving, 6, 80),
    stage(3, Window::Five, 6, 112),
    stage(4, Window::FiveHalving, 6, 192),
    stage(1, Window::Three, 6, 320),
];

/// One block: names and shapes.
struct Shape {
    /// `blocks.3.0`.
    name: String,
    window: Window,
    input: usize,
    /// Channels of the depthwise convolution; `input` in the first block, which has no expansion.
    middle: usize,
    output: usize,
}

impl Shape {
    fn expands(&self) -> bool {
        self.middle != self.input
    }
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    let mut input = STEM;
    for (at, stage) in STAGES.iter().enumerate() {
        for block in 0..stage.blocks {
            let window = match stage.window {
                Window::ThreeHalving if block > 0 => Window::Three,
                Window::FiveHalving if block > 0 => Window::Five,
                window => window,
            };
            let middle = input * stage.expansion;
            all.push(Shape {
                name: format!("blocks.{at}.{block}"),
                window,
                input,
                middle,
                output: stage.channels,
            });
            input = stage.channels;
        }
    }
    all
}

/// A convolution and the BatchNorm behind it, by name, with the shape of the weight.
fn convolutions() -> Vec<(String, String, [usize; 4])> {
    let mut all = vec![("conv_stem".to_string(), "bn1".to_string(), [STEM, 3, 3, 3])];
    for Shape { name, window, input, middle, output } in shapes() {
        let (k, mut norm) = (window.kernel(), 1);
        let mut add = |part: &str, shape| {
            all.push((format!("{name}.{part}"), format!("{name}.bn{norm}"), shape));
            norm += 1;
        };
        if middle != input {
            add("conv_pw", [middle, input, 1, 1]);
            add("conv_dw", [middle, 1, k, k]);
            add("conv_pwl", [output, middle, 1, 1]);
        } else {
            add("conv_dw", [middle, 1, k, k]);
            add("conv_pw", [output, middle, 1, 1]);
        }
    }
    all.push(("conv_head".into(), "bn2".into(), [FEATURES, STAGES[STAGES.len() - 1].channels, 1, 1]));
    all
}

/// Every tensor that is read, with its shape.
pub(super) fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    for (convolution, norm, shape) in convolutions() {
        all.push((format!("{convolution}.weight"), shape.to_vec()));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            all.push((format!("{norm}.{part}"), vec![shape[0]]));
        }
    }
    all
}

struct Block {
    /// [input, middle]; its bias and ReLU6 are in `depthwise`.
    expand: Option<Tensor>,
    depthwise: Depthwise,
    project: Product,
    residual: bool,
}

impl Block {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let middle = match &self.expand {
            Some(weight) => self.depthwise.forward(&product::multiply(input, weight)?)?,
            None => self.depthwise.forward(input)?,
        };
        self.project.forward(&middle, self.residual.then_some(input))
    }
}

/// The output of a block for some pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Pictures, rows, columns, channels.
    pub shape: [usize; 4],
    /// In that order; a product of `shape` values.
    pub values: Vec<f32>,
}

/// The tower on one device.
pub struct EfficientNet {
    stem: Stem,
    blocks: Vec<Block>,
    head: Product,
    device: Device,
    /// Of a tower that was loaded alone.
    fingerprint: Option<String>,
}

/// A convolution with its BatchNorm folded in.
struct Folded {
    /// [outputs, ...], as in the checkpoint.
    weight: Vec<f32>,
    shape: [usize; 4],
    bias: Vec<f32>,
}

impl Folded {
    fn read(
        (convolution, norm, shape): (String, String, [usize; 4]),
        read: &mut impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Folded> {
        let mut values = |name: String, shape: &[usize]| -> Result<Vec<f32>> {
            let tensor = read(&name, shape)?;
            tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(refuse)
        };
        let mut weight = values(format!("{convolution}.weight"), &shape)?;
        let [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| values(format!("{norm}.{part}"), &[shape[0]]));
        let (gain, shift, mean, variance) = (gain?, shift?, mean?, variance?);
        if let Some(wrong) = variance.iter().find(|v| **v < 0.0) {
            return Err(Error::Model(format!(
                "weights: {norm}.running_var holds {wrong}; a variance is not below 0"
            )));
        }
        let mut bias = Vec::with_capacity(shape[0]);
        for (row, i) in weight.chunks_exact_mut(shape[1] * shape[2] * shape[3]).zip(0..) {
            let scale = f64::from(gain[i]) / (f64::from(variance[i]) + EPSILON).sqrt();
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
            bias.push((f64::from(shift[i]) - f64::from(mean[i]) * scale) as f32);
        }
        Ok(Folded { weight, shape, bias })
    }

    /// Of a 1x1 convolution: [inputs, outputs].
    fn matrix(&self, device: &Device) -> candle_core::Result<Tensor> {
        let weight = Tensor::from_slice(&self.weight, (self.shape[0], self.shape[1]), &Device::Cpu)?;
        weight.t()?.contiguous()?.to_device(device)
    }

    /// Of a depthwise convolution: [kernel * kernel, channels].
    fn taps(&self) -> Vec<f32> {
        let taps = self.shape[2] * self.shape[3];
        (0..self.weight.len()).map(|i| self.weight[i % self.shape[0] * taps + i / self.shape[0]]).collect()
    }
}

fn refuse(error: candle_core::Error) -> Error {
    Error::Model(format!("loading the image tower: {error}"))
}

impl EfficientNet {
    /// The image tower alone, from a checkpoint in timm's layout: a directory or hub repository with
    /// `config.json` ("architecture": "tf_efficientnet_lite0") and `model.safetensors`; the
    /// classifier is not read. Pixels for it are normalised as its `pretrained_cfg` says (for the
    /// published weights mean and standard deviation 0.5).
    ///
    /// Of `options`: device, offline, cache directory. Blocks: reads, and may fetch, all weights.
    ///
    /// # Errors
    /// `Model` if a file is missing, damaged, or of another architecture; `NotFound` if the
    /// directory does not exist; `InvalidInput` for the bundled model, which is not such a tower.
    pub fn load(spec: &ModelSpec, options: &EmbedOptions) -> Result<EfficientNet> {
        let (config, checkpoint) = files::open_tower(spec, options.offline, options.cache_dir.as_deref())?;
        let parsed: Value =
            serde_json::from_slice(&config).map_err(|e| refuse_config(format!("is not JSON: {e}")))?;
        match parsed.get("architecture").and_then(Value::as_str) {
            Some(ARCHITECTURE) => {}
            Some(other) => {
                return Err(refuse_config(format!(
                    "architecture is \"{other}\"; only \"{ARCHITECTURE}\" is supported"
                )));
            }
            None => {
                return Err(refuse_config(format!("architecture is missing; expected \"{ARCHITECTURE}\"")));
            }
        }
        let layout = Layout {
            what: "a checkpoint of tf_efficientnet_lite0 in timm's layout",
            landmark: "conv_stem.weight",
            ignored: &IGNORED,
            tensors: tensors(),
        };
        let mut weights = checkpoint.check(&layout)?;
        let device = device::open(options.device);
        let mut tower = EfficientNet::new(&device, |name, _shape| weights.read(name))?;
        tower.fingerprint = Some(weights::fingerprint(weights.digest(), &[&config]));
        Ok(tower)
    }

    /// Build the tower on `device`; `read` gives each tensor by timm's name and its shape, as f32.
    ///
    /// # Errors
    /// Those of `read`; `Model` if a variance is negative or the device refuses a tensor.
    pub fn new(
        device: &Device,
        mut read: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<EfficientNet> {
        let mut folded = convolutions()
            .into_iter()
            .map(|names| Folded::read(names, &mut read))
            .collect::<Result<Vec<_>>>()?
            .into_iter();
        let mut next =
            || folded.next().ok_or_else(|| Error::Internal("the image tower's table is short".into()));
        let kernels = Convolutions::new(device).map(Arc::new);
        let kernels = kernels.as_ref();
        let stem = next()?;
        let weight = Tensor::from_slice(&stem.weight, &stem.shape, device).map_err(refuse)?;
        // The bias and ReLU6 of each product before a depthwise convolution are done by the latter.
        let mut before = stem.bias;
        let stem = Stem::new(weight, device).map_err(refuse)?;
        let mut blocks = Vec::new();
        for shape in shapes() {
            let expand = if shape.expands() {
                let expand = next()?;
                before.clone_from(&expand.bias);
                Some(expand.matrix(device).map_err(refuse)?)
            } else {
                None
            };
            let (depthwise, project) = (next()?, next()?);
            let weights = Weights {
                before: std::mem::take(&mut before),
                kernel: depthwise.taps(),
                bias: depthwise.bias,
            };
            blocks.push(Block {
                expand,
                depthwise: Depthwise::new(shape.window, weights, device, kernels).map_err(refuse)?,
                project: Product::new(
                    project.matrix(device).map_err(refuse)?,
                    project.bias,
                    Then::Linear,
                    kernels,
                )
                .map_err(refuse)?,
                residual: shape.window.stride() == 1 && shape.input == shape.output,
            });
        }
        let head = next()?;
        let head = Product::new(head.matrix(device).map_err(refuse)?, head.bias, Then::Relu6, kernels)
            .map_err(refuse)?;
        Ok(EfficientNet { stem, blocks, head, device: device.clone(), fingerprint: None })
    }

    /// 16 hex digits that change with any byte of weights or config; `None` for a tower that is part
    /// of a model, which has its own.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The output of one block, before the next: its linear sum with the residual.
    ///
    /// `pixels` is f32 [n, 3, `side`, `side`], normalised; `side` 32 to 1024; `block` 0 to 15. Block
    /// 10 of a picture of 224 pixels is 14 x 14 positions of 112 channels.
    ///
    /// # Errors
    /// `InvalidInput` if `side` or `block` is out of range; `Internal` if the length is not a
    /// multiple of one picture above 0 or the device fails.
    pub fn features(&self, pixels: &[f32], side: usize, block: usize) -> Result<Features> {
        if !SIDES.contains(&side) || block >= self.blocks.len() {
            return Err(Error::InvalidInput(format!(
                "side {side}, block {block}: expected a side of {} to {} pixels and a block of 0 to {}",
                SIDES.start(),
                SIDES.end(),
                self.blocks.len() - 1
            )));
        }
        let picture = 3 * side * side;
        if pixels.is_empty() || !pixels.len().is_multiple_of(picture) {
            return Err(Error::Internal(format!("{} values are not pictures of {picture}", pixels.len())));
        }
        let maps = self.maps(pixels, (side, side), &[block])?.pop();
        maps.ok_or_else(|| Error::Internal("the image tower gave no map".into()))
    }

    /// The outputs of some blocks, in ascending order of the blocks, of pictures that need not be square.
    ///
    /// `pixels` is f32 [n, 3, height, width], normalised, for `size` (height, width).
    ///
    /// # Errors
    /// `Internal` if the lengths do not fit, a block is not there, or the device fails.
    pub(super) fn maps(
        &self,
        pixels: &[f32],
        size: (usize, usize),
        wanted: &[usize],
    ) -> Result<Vec<Features>> {
        let picture = 3 * size.0 * size.1;
        let fits = !pixels.is_empty() && pixels.len().is_multiple_of(picture);
        let (Some(&last), true) = (wanted.last().filter(|last| **last < self.blocks.len()), fits) else {
            return Err(Error::Internal("no such block, or values that are no pictures".into()));
        };
        let run = || -> candle_core::Result<Vec<Features>> {
            let n = pixels.len() / picture;
            let pixels = Tensor::from_slice(pixels, (n, 3, size.0, size.1), &self.device)?;
            let mut values = self.stem.forward(&pixels)?;
            let mut found = Vec::new();
            for (number, block) in self.blocks[..=last].iter().enumerate() {
                values = block.forward(&values)?;
                if wanted.contains(&number) {
                    let (n, h, w, c) = values.dims4()?;
                    found.push(Features { shape: [n, h, w, c], values: values.flatten_all()?.to_vec1()? });
                }
            }
            Ok(found)
        };
        run().map_err(super::towers::failed)
    }

    /// The pooled features: pixels [n, 3, side, side] to [n, 1280].
    pub(super) fn pooled(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let last = self.blocks(pixels, self.blocks.len() - 1)?;
        self.head.forward(&last, None)?.flatten(1, 2)?.mean(1)
    }

    /// [n, 3, h, w] to the output of block `last`, [n, h', w', c].
    fn blocks(&self, pixels: &Tensor, last: usize) -> candle_core::Result<Tensor> {
        let (large, small) = self.blocks[..=last].split_at(LARGE_BLOCKS.min(last + 1));
        let early = |pixels: &Tensor| {
            large.iter().try_fold(self.stem.forward(pixels)?, |values, block| block.forward(&values))
        };
        let n = pixels.dim(0)?;
        let values = if self.device.is_cpu() && n > 1 {
            let each: Vec<Tensor> =
                (0..n).map(|i| early(&pixels.narrow(0, i, 1)?)).collect::<candle_core::Result<_>>()?;
            Tensor::cat(&each, 0)?
        } else {
            early(pixels)?
        };
        small.iter().try_fold(values, |values, block| block.forward(&values))
    }
}

impl std::fmt::Debug for EfficientNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EfficientNet").field("device", &self.device).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_published_model() {
        let shapes = shapes();
        assert_eq!(shapes.len(), 16);
        assert_eq!((shapes[10].name.as_str(), shapes[10].output), ("blocks.4.2", 112));
        // timm counts 3,371,008 parameters without the classifier; its BatchNorm means and variances are buffers.
        let parameters: usize = tensors()
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(parameters, 3_371_008);
    }
}
