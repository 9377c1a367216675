//! The image and the text tower on one device: candle's CLIP with checked weights. Vectors come
//! out L2-normalised in f32. No queue, no tokenizer: see `mod.rs` and `text.rs`.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::ClipModel;

use super::config::ClipConfig;
use crate::error::{Error, Result};

/// Id that pads short texts of a batch. Under the causal mask it cannot reach the end token, and
/// being smaller than that it is never pooled.
const PAD: u32 = 0;

/// Both towers of a CLIP model.
pub struct Towers {
    model: ClipModel,
    config: ClipConfig,
    device: Device,
}

impl Towers {
    /// Build the towers on `device`; `read` gives each tensor by its name and shape, as f32.
    ///
    /// # Errors
    /// Those of `read`; `Model` if a tensor does not fit or the device refuses it.
    pub fn new(
        config: &ClipConfig,
        device: &Device,
        mut read: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Towers> {
        let refuse = |error: candle_core::Error| Error::Model(format!("loading the towers: {error}"));
        let mut tensors = HashMap::new();
        for (name, shape) in config.expected_tensors() {
            let tensor = read(&name, &shape)?.to_device(device).map_err(refuse)?;
            tensors.insert(name, tensor);
        }
        let builder = VarBuilder::from_tensors(tensors, DType::F32, device);
        let model = ClipModel::new(builder, &config.to_candle()).map_err(refuse)?;
        Ok(Towers { model, config: config.clone(), device: device.clone() })
    }

    /// The shapes.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Embed a batch of pictures.
    ///
    /// `pixels` is f32 [n, 3, `image_size`, `image_size`], normalised. Returns n unit vectors.
    ///
    /// # Errors
    /// `Internal` if the length is not a multiple of one picture above 0 or the device fails.
    pub fn embed_pixels(&self, pixels: &[f32]) -> Result<Vec<Vec<f32>>> {
        let picture = 3 * self.config.image_size.pow(2);
        if pixels.is_empty() || !pixels.len().is_multiple_of(picture) {
            return Err(Error::Internal(format!("{} values are not pictures of {picture}", pixels.len())));
        }
        let (count, side) = (pixels.len() / picture, self.config.image_size);
        let run = || -> candle_core::Result<Vec<Vec<f32>>> {
            let pixels = Tensor::from_slice(pixels, (count, 3, side, side), &self.device)?;
            self.model.get_image_features(&pixels)?.to_vec2::<f32>()
        };
        normalise(run().map_err(failed)?)
    }

    /// Embed a batch of token sequences, each from begin to end token.
    ///
    /// Ids are below `vocabulary`, lengths 1 to `context_length`. Returns n unit vectors.
    ///
    /// # Errors
    /// `Internal` if an id or a length is out of range or the device fails.
    pub fn embed_tokens(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0);
        let shortest = texts.iter().map(|t| t.len()).min().unwrap_or(0);
        let known = |id: &u32| (*id as usize) < self.config.vocabulary;
        if shortest == 0 || longest > self.config.context_length || !texts.iter().all(|t| t.iter().all(known))
        {
            return Err(Error::Internal("token ids outside the text tower's range".into()));
        }
        let mut ids = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), PAD);
        }
        let run = || -> candle_core::Result<Vec<Vec<f32>>> {
            let ids = Tensor::from_vec(ids, (texts.len(), longest), &self.device)?;
            self.model.get_text_features(&ids)?.to_vec2::<f32>()
        };
        normalise(run().map_err(failed)?)
    }
}

fn failed(error: candle_core::Error) -> Error {
    tracing::error!("the tower failed: {error}");
    let text = error.to_string();
    Error::Internal(format!("the model failed on its device: {}", text.lines().next().unwrap_or("unknown")))
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
