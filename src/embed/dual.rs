//! transformers' `VisionTextDualEncoderModel`: EfficientNet-Lite0 for pictures, BERT for texts, a
//! projection behind each. Its `config.json`, its tensors, its two towers. Invariant: a config that
//! parses describes exactly the computation that is carried out.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::bert::{Bert, BertConfig};
use super::config::{Section, parse_root, refuse};
use super::efficientnet::{self, EfficientNet, FEATURES, SIDES};
use super::weights::Layout;
use crate::error::{Error, Result};

const TEXT: &str = "text_model.";
const IMAGE: &str = "vision_model.timm_model.";
const TEXT_PROJECTION: &str = "text_projection.weight";
const IMAGE_PROJECTION: &str = "visual_projection.weight";

/// The shapes of a dual encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DualConfig {
    /// The text tower.
    pub text: BertConfig,
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Length of the embedding.
    pub projection: usize,
}

impl DualConfig {
    /// Read `config.json`; `side` is what `preprocessor_config.json` makes, 32 to 1024 pixels.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed, out of bounds, or asks for something that is not
    /// implemented: an image tower other than timm's `tf_efficientnet_lite0` with pooling and
    /// without classifier, a text tower other than BERT.
    pub fn parse(json: &[u8], side: usize) -> Result<DualConfig> {
        let root = parse_root(json, "vision-text-dual-encoder")?;
        let text = Section::new(&root, "text_config", "bert")?;
        let image = Section::new(&root, "vision_config", "timm_wrapper")?;
        // Without a model_type of their own the sections could be any model.
        for section in [&text, &image] {
            if section.get("model_type").is_none() {
                return Err(refuse(format!("{}.model_type is missing", section.name)));
            }
        }
        if image.get("architecture").is_none() {
            return Err(refuse("vision_config.architecture is missing".into()));
        }
        image.only("architecture", &efficientnet::ARCHITECTURE.into())?;
        image.only("num_classes", &0.into())?;
        image.only("do_pooling", &true.into())?;
        image.only("hidden_size", &FEATURES.into())?;
        if let Some(arguments) = image.get("model_args")
            && !arguments.as_object().is_some_and(|fields| fields.is_empty())
        {
            return Err(refuse(format!("vision_config.model_args is {arguments}; only null is supported")));
        }
        if !SIDES.contains(&side) {
            return Err(Error::Model(format!(
                "preprocessor_config.json makes pictures of {side} pixels; expected {} to {}",
                SIDES.start(),
                SIDES.end()
            )));
        }
        Ok(DualConfig {
            text: BertConfig::parse(&text)?,
            image_size: side,
            projection: Section { name: "config", fields: &root }.number(
                "projection_dim",
                512,
                1..=65_536,
            )?,
        })
    }

    /// Every tensor of the checkpoint that the towers read, with its shape.
    pub(super) fn layout(&self) -> Layout {
        let named = |prefix: &'static str, tensors: Vec<(String, Vec<usize>)>| {
            tensors.into_iter().map(move |(name, shape)| (format!("{prefix}{name}"), shape))
        };
        let mut tensors: Vec<_> = named(TEXT, self.text.tensors()).collect();
        tensors.extend(named(IMAGE, efficientnet::tensors()));
        tensors.push((TEXT_PROJECTION.into(), vec![self.projection, self.text.shape.width]));
        tensors.push((IMAGE_PROJECTION.into(), vec![self.projection, FEATURES]));
        Layout {
            what: "a VisionTextDualEncoderModel of timm's tf_efficientnet_lite0 and BERT",
            landmark: "text_model.embeddings.word_embeddings.weight",
            ignored: &[".position_ids", "logit_scale", "num_batches_tracked"],
            tensors,
        }
    }
}

/// Both towers on one device.
pub(super) struct DualTowers {
    text: Bert,
    /// [width, projection].
    text_projection: Tensor,
    image: EfficientNet,
    /// [1280, projection].
    image_projection: Tensor,
}

impl DualTowers {
    /// `tensors` holds what [`DualConfig::layout`] names, on the CPU.
    pub fn new(
        config: &DualConfig,
        device: &Device,
        mut tensors: HashMap<String, Tensor>,
    ) -> Result<DualTowers> {
        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| Error::Model(format!("weights: {name} is missing")))
        };
        let image = EfficientNet::new(device, |name, _shape| take(&format!("{IMAGE}{name}")))?;
        let refuse = |error: candle_core::Error| Error::Model(format!("loading the towers: {error}"));
        let mut projection = |name: &str| {
            let weight = take(name)?;
            weight.t().and_then(|t| t.contiguous()).and_then(|t| t.to_device(device)).map_err(refuse)
        };
        let (text_projection, image_projection) =
            (projection(TEXT_PROJECTION)?, projection(IMAGE_PROJECTION)?);
        let mut text = HashMap::new();
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix(TEXT) {
                text.insert(name.to_string(), tensor.to_device(device).map_err(refuse)?);
            }
        }
        let text = Bert::new(&config.text, device, text).map_err(refuse)?;
        Ok(DualTowers { text, text_projection, image, image_projection })
    }

    /// The image tower.
    pub fn image_tower(&self) -> &EfficientNet {
        &self.image
    }

    /// Pixels f32 [n, 3, side, side] to vectors [n, projection].
    pub fn image(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        self.image.pooled(pixels)?.matmul(&self.image_projection)
    }

    /// Ids u32 [n, longest], of which text i has `lengths[i]`, to vectors [n, projection].
    pub fn text(&self, ids: &Tensor, lengths: &[usize]) -> candle_core::Result<Tensor> {
        self.text.pooled(ids, lengths)?.matmul(&self.text_projection)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn base() -> Value {
        json!({
            "model_type": "vision-text-dual-encoder", "projection_dim": 256,
            "text_config": {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 3, "vocab_size": 8000,
                "intermediate_size": 1536, "max_position_embeddings": 64, "hidden_act": "gelu"},
            "vision_config": {"model_type": "timm_wrapper", "architecture": "tf_efficientnet_lite0",
                "num_classes": 0, "do_pooling": true, "model_args": null, "hidden_size": 1280},
        })
    }

    #[test]
    fn the_config_that_transformers_writes_is_read() {
        let config = DualConfig::parse(base().to_string().as_bytes(), 160).unwrap();
        assert_eq!((config.image_size, config.projection, config.text.context_length), (160, 256, 64));
        // 5 a convolution; 16 a layer of BERT, 3 tables, a norm, the pooler; 2 projections.
        assert_eq!(config.layout().tensors.len(), 5 * (1 + 2 + 15 * 3 + 1) + 3 * 16 + 3 + 2 + 2 + 2);
    }

    #[test]
    fn what_the_towers_do_not_compute_is_refused_by_name() {
        for (pointer, value, word) in [
            ("/model_type", json!("clip"), "model_type"),
            ("/text_config/model_type", json!("roberta"), "text_config.model_type"),
            ("/text_config/model_type", json!(null), "text_config.model_type"),
            ("/text_config/hidden_act", json!("relu"), "text_config.hidden_act"),
            ("/text_config", json!({"model_type": "bert", "layer_norm_eps": 1e-5}), "layer_norm_eps"),
            ("/text_config", json!({"model_type": "bert", "is_decoder": true}), "is_decoder"),
            (
                "/text_config",
                json!({"model_type": "bert", "position_embedding_type": "relative_key"}),
                "position_embedding_type",
            ),
            ("/text_config/max_position_embeddings", json!(5000), "max_position_embeddings"),
            ("/vision_config/architecture", json!("resnet50"), "vision_config.architecture"),
            ("/vision_config/architecture", json!(null), "vision_config.architecture"),
            ("/vision_config/num_classes", json!(1000), "num_classes"),
            ("/vision_config/do_pooling", json!(false), "do_pooling"),
            ("/vision_config/model_args", json!({"act_layer": "silu"}), "model_args"),
            ("/vision_config/model_type", json!("vit"), "vision_config.model_type"),
        ] {
            let mut config = base();
            *config.pointer_mut(pointer).unwrap() = value;
            let error = DualConfig::parse(config.to_string().as_bytes(), 160).unwrap_err();
            assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
        }
        for side in [16, 31, 1025] {
            let error = DualConfig::parse(base().to_string().as_bytes(), side).unwrap_err();
            assert!(error.to_string().contains("preprocessor_config.json"), "{error}");
        }
    }
}
