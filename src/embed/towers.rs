//! The image and the text tower of a model on one device, whichever layout it has. Vectors come
//! out L2-normalised in f32. No queue, no tokenizer: see `mod.rs` and `text.rs`.

use std::collections::HashMap;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::config::ModelConfig;
use super::dual::DualTowers;
use super::efficientnet::{EfficientNet, Features};
use super::vit_candle::CandleTowers;
use super::vit_cpu::CpuTowers;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Precision};

/// Id that pads short texts of a batch of BERT. It never shows: the attention mask hides it.
const PAD: u32 = 0;

enum Kind {
    /// Transformers on a GPU.
    Candle(Box<CandleTowers>),
    /// Transformers on the CPU.
    Cpu(Box<CpuTowers>),
    Dual(Box<DualTowers>),
}

/// Both towers of a model.
pub struct Towers {
    /// What [`Towers::blank`] found.
    blank: OnceLock<Features>,
    kind: Kind,
    config: ModelConfig,
    device: Device,
    precision: Precision,
}

impl Towers {
    /// Build the towers on `device`, in f32; `read` gives each tensor by its name and shape, as f32 on the CPU.
    ///
    /// # Errors
    /// Those of `read`; `Model` if a tensor does not fit or the device refuses it.
    pub fn new(
        config: &ModelConfig,
        device: &Device,
        read: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Towers> {
        Towers::with_precision(config, device, Precision::F32, read)
    }

    /// Build the towers on `device`. A transformer is calculated in bf16 and bytes on the CPU and in f16 on a GPU;
    /// everything else in f32.
    ///
    /// # Errors
    /// As [`Towers::new`].
    pub fn with_precision(
        config: &ModelConfig,
        device: &Device,
        precision: Precision,
        mut read: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Towers> {
        let has = Towers::has_precision(config, device, precision);
        let precision = if has { precision } else { Precision::F32 };
        let refuse = |error: candle_core::Error| Error::Model(format!("loading the towers: {error}"));
        let mut tensors = HashMap::new();
        for (name, shape) in config.layout().tensors {
            let tensor = read(&name, &shape)?;
            tensors.insert(name, tensor);
        }
        let kind = match config {
            ModelConfig::Clip(_) | ModelConfig::Siglip(_) | ModelConfig::Dino(_) => {
                let plan = config.plan().ok_or_else(other)?;
                let take = |name: &str| {
                    let tensor = tensors.remove(name);
                    let tensor = tensor.ok_or_else(|| Error::Model(format!("weights: {name} is missing")))?;
                    tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(refuse)
                };
                if device.is_cpu() {
                    Kind::Cpu(Box::new(CpuTowers::new(&plan, Isa::best(), precision, 0, take)?))
                } else {
                    let dtype = if precision == Precision::F16 { DType::F16 } else { DType::F32 };
                    Kind::Candle(Box::new(CandleTowers::new(&plan, device, dtype, take)?))
                }
            }
            ModelConfig::Dual(config) => Kind::Dual(Box::new(DualTowers::new(config, device, tensors)?)),
        };
        Ok(Towers { blank: OnceLock::new(), kind, config: config.clone(), device: device.clone(), precision })
    }

    /// Whether such a model can be calculated in this precision there.
    pub(super) fn has_precision(config: &ModelConfig, device: &Device, precision: Precision) -> bool {
        match precision {
            Precision::F32 => true,
            Precision::Bf16 | Precision::Int8 => !matches!(config, ModelConfig::Dual(_)) && device.is_cpu(),
            Precision::F16 => !matches!(config, ModelConfig::Dual(_)) && !device.is_cpu(),
        }
    }

    /// The numbers that it calculates with.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where it calculates.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The shapes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Embed a batch of pictures.
    ///
    /// `pixels` is f32 [n, 3, `image_size`, `image_size`], normalised. Returns n unit vectors.
    ///
    /// # Errors
    /// `Internal` if the length is not a multiple of one picture above 0 or the device fails.
    pub fn embed_pixels(&self, pixels: &[f32]) -> Result<Vec<Vec<f32>>> {
        let side = self.config.image_size();
        let picture = 3 * side * side;
        if pixels.is_empty() || !pixels.len().is_multiple_of(picture) {
            return Err(Error::Internal(format!("{} values are not pictures of {picture}", pixels.len())));
        }
        if let Kind::Cpu(towers) = &self.kind {
            return normalise(self.rows(&towers.image(pixels)));
        }
        let run = || -> candle_core::Result<Vec<Vec<f32>>> {
            match &self.kind {
                Kind::Candle(towers) => towers.image(&towers.upload(pixels)?)?,
                Kind::Dual(towers) => {
                    let shape = (pixels.len() / picture, 3, side, side);
                    towers.image(&Tensor::from_slice(pixels, shape, &self.device)?)?
                }
                Kind::Cpu(_) => candle_core::bail!("these towers take no tensors"),
            }
            .to_vec2::<f32>()
        };
        normalise(run().map_err(failed)?)
    }

    /// The output of block `block` of the image tower, for pictures as in [`Towers::embed_pixels`]. Of a
    /// transformer a block is a layer, and its output the patches without the class token; where there is
    /// one, the last layer makes it alone.
    ///
    /// # Errors
    /// `InvalidInput` if there is no such block; `Internal` as in [`Towers::embed_pixels`].
    pub fn features(&self, pixels: &[f32], block: usize) -> Result<Features> {
        if let Kind::Dual(towers) = &self.kind {
            return towers.image_tower().features(pixels, self.config.image_size(), block);
        }
        let plan = self.config.plan().ok_or_else(other)?.image;
        if block >= plan.readable() {
            let (layers, readable) = (plan.shape.layers, plan.readable());
            return Err(Error::InvalidInput(format!(
                "block {block}: the image tower has {layers} layers, of which the first {readable} can be read"
            )));
        }
        let (side, across) = (plan.side, plan.across());
        let picture = 3 * side * side;
        if pixels.is_empty() || !pixels.len().is_multiple_of(picture) {
            return Err(Error::Internal(format!("{} values are not pictures of {picture}", pixels.len())));
        }
        let count = pixels.len() / picture;
        let values = match &self.kind {
            Kind::Cpu(towers) => towers.patches(pixels, block),
            Kind::Candle(towers) => towers
                .upload(pixels)
                .and_then(|pixels| towers.patches(&pixels, block)?.flatten_all()?.to_vec1())
                .map_err(failed)?,
            Kind::Dual(_) => Vec::new(),
        };
        Ok(Features { shape: [count, across, across, plan.shape.width], values })
    }

    /// The image tower if it is convolutional.
    pub(super) fn convolutional(&self) -> Option<&EfficientNet> {
        match &self.kind {
            Kind::Dual(towers) => Some(towers.image_tower()),
            Kind::Candle(_) | Kind::Cpu(_) => None,
        }
    }

    /// The output of a block for one picture that is given once and kept: that of the first call.
    pub(super) fn blank(&self, picture: impl FnOnce() -> Result<Features>) -> Result<&Features> {
        if self.blank.get().is_none() {
            let found = picture()?;
            return Ok(self.blank.get_or_init(|| found));
        }
        self.blank.get().ok_or_else(|| Error::Internal("no blank picture".into()))
    }

    /// Embed a batch of token sequences, each from begin to end token.
    ///
    /// Ids are below `vocabulary`, lengths 1 to `context_length`; of a SigLIP, whose texts are filled up,
    /// `context_length`. Returns n unit vectors.
    ///
    /// # Errors
    /// `Internal` if an id or a length is out of range or the device fails.
    pub fn embed_tokens(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let lengths: Vec<usize> = texts.iter().map(|t| t.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let known = |id: &u32| (*id as usize) < self.config.vocabulary();
        let whole = self.config.context_length();
        let filled = !matches!(self.config, ModelConfig::Siglip(_)) || lengths.iter().all(|n| *n == whole);
        if lengths.contains(&0) || !filled || longest > whole || !texts.iter().all(|t| t.iter().all(known)) {
            return Err(Error::Internal("token ids outside the text tower's range".into()));
        }
        if let Kind::Cpu(towers) = &self.kind {
            return normalise(self.rows(&towers.text(texts)));
        }
        if let Kind::Candle(towers) = &self.kind {
            return normalise(towers.text(texts).and_then(|t| t.to_vec2::<f32>()).map_err(failed)?);
        }
        let mut ids = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), PAD);
        }
        let run = || -> candle_core::Result<Vec<Vec<f32>>> {
            let ids = Tensor::from_vec(ids, (texts.len(), longest), &self.device)?;
            match &self.kind {
                Kind::Dual(towers) => towers.text(&ids, &lengths)?,
                Kind::Candle(_) | Kind::Cpu(_) => candle_core::bail!("these towers take no tensors"),
            }
            .to_vec2::<f32>()
        };
        normalise(run().map_err(failed)?)
    }

    fn rows(&self, vectors: &[f32]) -> Vec<Vec<f32>> {
        vectors.chunks_exact(self.config.projection()).map(<[f32]>::to_vec).collect()
    }
}

/// How the errors of a device begin.
pub(super) const DEVICE_FAILED: &str = "the model failed on its device: ";

fn other() -> Error {
    Error::Internal("towers of another model".into())
}

pub(super) fn failed(error: candle_core::Error) -> Error {
    tracing::error!("the tower failed: {error}");
    let text = error.to_string();
    Error::Internal(format!("{DEVICE_FAILED}{}", text.lines().next().unwrap_or("unknown")))
}

fn normalise(mut vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>> {
    for vector in &mut vectors {
        let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm < 1e-12 {
            return Err(Error::Internal(
                "the model gave a vector without direction (zero or not finite)".into(),
            ));
        }
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
    Ok(vectors)
}
