//! SigLIP and, of fixed resolution, SigLIP 2 (transformers' `SiglipModel`): `config.json` and tensors.
//!
//! Unlike CLIP: no class token, the patches are pooled by attention; a text is filled up to the whole context,
//! sees all of itself with what fills it, and is pooled at the last place. Invariant: a config that parses
//! describes exactly the computation that is carried out.
//!
//! Absent fields have the defaults of transformers' `SiglipTextConfig` and `SiglipVisionConfig`.

use super::config::{MAX_VOCABULARY, Section, TowerDefaults, TowerShape, check_patch, parse_root, refuse};
use super::vit::{Family, ImagePlan, Plan, TextPlan, layer_tensors};
use super::weights::Layout;
use crate::error::Result;
use crate::kernels::Activation;

const DEFAULTS: TowerDefaults = TowerDefaults {
    width: 768,
    mlp_width: 3072,
    heads: 12,
    activations: &[("gelu_pytorch_tanh", Activation::GeluTanh), ("gelu", Activation::Gelu)],
    epsilon: 1e-6,
    any_epsilon: true,
};

/// The shapes of a SigLIP.
#[derive(Debug, Clone, PartialEq)]
pub struct SiglipConfig {
    /// The text tower.
    pub text: TowerShape,
    /// Rows of the token table.
    pub vocabulary: usize,
    /// Tokens of every text, with its end token and what fills it.
    pub context_length: usize,
    /// The image tower; its width is the length of the embedding.
    pub image: TowerShape,
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
}

impl SiglipConfig {
    /// Read `config.json`.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed, out of bounds, or asks for something that is not
    /// implemented.
    pub fn parse(json: &[u8]) -> Result<SiglipConfig> {
        let root = parse_root(json, "siglip")?;
        let text = Section::new(&root, "text_config", "siglip_text_model")?;
        let image = Section::new(&root, "vision_config", "siglip_vision_model")?;
        image.only("num_channels", &3.into())?;
        image.only("vision_use_head", &true.into())?;
        let config = SiglipConfig {
            text: text.tower(&DEFAULTS)?,
            vocabulary: text.number("vocab_size", 32_000, 1..=MAX_VOCABULARY)?,
            context_length: text.number("max_position_embeddings", 64, 3..=1024)?,
            image: image.tower(&DEFAULTS)?,
            image_size: image.number("image_size", 224, 16..=1024)?,
            patch_size: image.number("patch_size", 16, 1..=1024)?,
        };
        check_patch(config.patch_size, config.image_size)?;
        let projection = text.number("projection_size", config.text.width, 1..=65_536)?;
        if projection != config.image.width {
            return Err(refuse(format!(
                "text_config.projection_size is {projection}, vision_config.hidden_size {}: texts and pictures would \
                 have vectors of different lengths",
                config.image.width
            )));
        }
        Ok(config)
    }

    /// Every tensor of the checkpoint that the towers read, with its shape.
    pub(super) fn layout(&self) -> Layout {
        let (text, image) = (&self.text, &self.image);
        let patches = (self.image_size / self.patch_size).pow(2);
        let (w, m) = (image.width, image.mlp_width);
        let mut tensors = vec![
            ("text_model.embeddings.token_embedding.weight".to_string(), vec![self.vocabulary, text.width]),
            ("text_model.embeddings.position_embedding.weight".into(), vec![self.context_length, text.width]),
            ("vision_model.embeddings.position_embedding.weight".into(), vec![patches, w]),
            ("vision_model.head.probe".into(), vec![1, 1, w]),
            ("vision_model.head.attention.in_proj_weight".into(), vec![3 * w, w]),
            ("vision_model.head.attention.in_proj_bias".into(), vec![3 * w]),
        ];
        for (name, weight, bias) in [
            ("text_model.final_layer_norm", vec![text.width], text.width),
            ("text_model.head", vec![w, text.width], w),
            ("vision_model.embeddings.patch_embedding", vec![w, 3, self.patch_size, self.patch_size], w),
            ("vision_model.post_layernorm", vec![w], w),
            ("vision_model.head.attention.out_proj", vec![w, w], w),
            ("vision_model.head.layernorm", vec![w], w),
            ("vision_model.head.mlp.fc1", vec![m, w], m),
            ("vision_model.head.mlp.fc2", vec![w, m], w),
        ] {
            tensors.push((format!("{name}.weight"), weight));
            tensors.push((format!("{name}.bias"), vec![bias]));
        }
        tensors.extend(layer_tensors("text_model", text));
        tensors.extend(layer_tensors("vision_model", image));
        Layout {
            what: "a SigLIP checkpoint in transformers' layout",
            landmark: "text_model.embeddings.token_embedding.weight",
            ignored: &[".position_ids", "logit_scale", "logit_bias"],
            tensors,
        }
    }

    /// The same shapes for what runs them.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            image: ImagePlan {
                family: Family::Siglip,
                shape: self.image.clone(),
                side: self.image_size,
                patch: self.patch_size,
            },
            text: Some(TextPlan { shape: self.text.clone(), causal: false }),
            outputs: self.image.width,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Error;

    fn parse(value: &Value) -> Result<SiglipConfig> {
        SiglipConfig::parse(value.to_string().as_bytes())
    }

    #[test]
    fn absent_fields_are_those_of_the_base_model() {
        let config = parse(&json!({"model_type": "siglip", "text_config": {}, "vision_config": {}})).unwrap();
        assert_eq!((config.context_length, config.patch_size, config.vocabulary), (64, 16, 32_000));
        assert_eq!(config.image.activation, Activation::GeluTanh);
        // Of the published checkpoint, without the scale and the bias of the loss: 16 a layer, 3 tables, 3 of
        // the head's attention, 8 with weight and bias.
        assert_eq!(config.layout().tensors.len(), 24 * 16 + 3 + 3 + 16);
    }

    #[test]
    fn what_the_towers_do_not_compute_is_refused_by_name() {
        let base = json!({"model_type": "siglip", "text_config": {}, "vision_config": {}});
        for (pointer, value, word) in [
            ("/model_type", json!("clip"), "model_type"),
            ("/text_config", json!({"hidden_act": "quick_gelu"}), "text_config.hidden_act"),
            ("/text_config", json!({"projection_size": 512}), "projection_size"),
            ("/vision_config", json!({"vision_use_head": false}), "vision_use_head"),
            ("/vision_config", json!({"num_channels": 1}), "num_channels"),
            ("/vision_config", json!({"patch_size": 300}), "patch_size"),
            ("/vision_config", json!({"model_type": "clip_vision_model"}), "model_type"),
        ] {
            let mut config = base.clone();
            *config.pointer_mut(pointer).unwrap() = value;
            let error = parse(&config).unwrap_err();
            assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
        }
    }
}
