//! CLIP as OpenAI and, with another activation, OpenCLIP published it: two transformers, its `config.json`.
//! Invariant: a config that parses describes exactly the computation that is carried out; every tensor it
//! needs is in [`ClipConfig::layout`].
//!
//! Absent fields have the defaults of transformers' `CLIPTextConfig` and `CLIPVisionConfig`, since
//! checkpoints are saved without the fields that equal them.

use super::config::{MAX_VOCABULARY, Section, TowerDefaults, TowerShape, check_patch, parse_root};
use super::vit::{Family, ImagePlan, Plan, TextPlan, layer_tensors};
use super::weights::Layout;
use crate::error::Result;
use crate::kernels::Activation;

/// Those of the image tower; the text tower is narrower.
const DEFAULTS: TowerDefaults = TowerDefaults {
    width: 768,
    mlp_width: 3072,
    heads: 12,
    activations: &[
        ("quick_gelu", Activation::QuickGelu),
        ("gelu", Activation::Gelu),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
    ],
    epsilon: 1e-5,
    any_epsilon: true,
};

/// The shapes of a CLIP model.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// The text tower.
    pub text: TowerShape,
    /// Rows of the token table.
    pub vocabulary: usize,
    /// Tokens a text may have, with begin and end.
    pub context_length: usize,
    /// The end token, at whose place the text is pooled; `None` in old files, which pool at the
    /// largest id (transformers takes the id 2 as the mark of such a file).
    pub end_token: Option<u32>,
    /// The image tower.
    pub image: TowerShape,
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
    /// Length of the embedding.
    pub projection: usize,
}

impl ClipConfig {
    /// Read `config.json`.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed, out of bounds, or asks for something that is not
    /// implemented (`model_type` other than clip, `hidden_act` other than `quick_gelu`, `gelu` and
    /// `gelu_pytorch_tanh`, quantised weights).
    pub fn parse(json: &[u8]) -> Result<ClipConfig> {
        let root = parse_root(json, "clip")?;
        let text = Section::new(&root, "text_config", "clip_text_model")?;
        let image = Section::new(&root, "vision_config", "clip_vision_model")?;
        image.only("num_channels", &3.into())?;
        let end_token = text.number("eos_token_id", 49_407, 0..=MAX_VOCABULARY)?;
        let config = ClipConfig {
            text: text.tower(&TowerDefaults { width: 512, mlp_width: 2048, heads: 8, ..DEFAULTS })?,
            vocabulary: text.number("vocab_size", 49_408, 1..=MAX_VOCABULARY)?,
            context_length: text.number("max_position_embeddings", 77, 3..=1024)?,
            end_token: (end_token != 2).then_some(end_token as u32), // bounded above
            image: image.tower(&DEFAULTS)?,
            image_size: image.number("image_size", 224, 16..=1024)?,
            patch_size: image.number("patch_size", 32, 1..=1024)?,
            projection: Section { name: "config", fields: &root }.number(
                "projection_dim",
                512,
                1..=65_536,
            )?,
        };
        check_patch(config.patch_size, config.image_size)?;
        Ok(config)
    }

    /// Every tensor of the checkpoint that the towers read, with its shape.
    pub(super) fn layout(&self) -> Layout {
        Layout {
            what: "a CLIP checkpoint in transformers' layout",
            landmark: "text_model.embeddings.token_embedding.weight",
            ignored: &[".position_ids", "logit_scale"],
            tensors: self.tensors(),
        }
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (text, image) = (&self.text, &self.image);
        let patches = (self.image_size / self.patch_size).pow(2);
        let mut all = vec![
            ("text_model.embeddings.token_embedding.weight".to_string(), vec![self.vocabulary, text.width]),
            ("text_model.embeddings.position_embedding.weight".into(), vec![self.context_length, text.width]),
            ("text_projection.weight".into(), vec![self.projection, text.width]),
            ("vision_model.embeddings.class_embedding".into(), vec![image.width]),
            (
                "vision_model.embeddings.patch_embedding.weight".into(),
                vec![image.width, 3, self.patch_size, self.patch_size],
            ),
            ("vision_model.embeddings.position_embedding.weight".into(), vec![patches + 1, image.width]),
            ("visual_projection.weight".into(), vec![self.projection, image.width]),
        ];
        let norms = [
            ("text_model.final_layer_norm", text.width),
            ("vision_model.pre_layrnorm", image.width),
            ("vision_model.post_layernorm", image.width),
        ];
        for (name, width) in norms {
            all.extend(["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![width])));
        }
        all.extend(layer_tensors("text_model", text));
        all.extend(layer_tensors("vision_model", image));
        all
    }

    /// The same shapes for what runs them.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            image: ImagePlan {
                family: Family::Clip,
                shape: self.image.clone(),
                side: self.image_size,
                patch: self.patch_size,
            },
            text: Some(TextPlan { shape: self.text.clone(), causal: true }),
            outputs: self.projection,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Error;

    fn parse(value: &Value) -> Result<ClipConfig> {
        ClipConfig::parse(value.to_string().as_bytes())
    }

    #[test]
    fn absent_fields_are_those_of_vit_b_32() {
        let config = parse(&json!({"model_type": "clip", "text_config": {}, "vision_config": {}})).unwrap();
        assert_eq!(
            (config.text.width, config.image.width, config.patch_size, config.projection),
            (512, 768, 32, 512)
        );
        assert_eq!(config.end_token, Some(49_407));
        // Of the published checkpoint: 16 a layer, 2 + 3 embeddings, 3 norms, 2 projections.
        assert_eq!(config.tensors().len(), 24 * 16 + 5 + 6 + 2);
    }

    #[test]
    fn old_files_with_a_config_dict_are_read_as_transformers_reads_them() {
        let config = parse(&json!({
            "model_type": "clip", "projection_dim": 768,
            "text_config": {"hidden_size": 1}, "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12, "eos_token_id": 2},
            "vision_config": {}, "vision_config_dict": null,
        }))
        .unwrap();
        assert_eq!((config.text.width, config.projection, config.end_token), (768, 768, None));
    }

    #[test]
    fn what_the_towers_do_not_compute_is_refused_by_name() {
        let base = json!({"model_type": "clip", "text_config": {}, "vision_config": {}});
        for (pointer, value, word) in [
            ("/model_type", json!("siglip"), "siglip"),
            ("/text_config", json!({"hidden_act": "relu"}), "text_config.hidden_act"),
            ("/vision_config", json!({"hidden_act": "silu"}), "vision_config.hidden_act"),
            ("/vision_config", json!({"layer_norm_eps": 0.0}), "layer_norm_eps"),
            ("/text_config", json!({"layer_norm_eps": 0.1}), "layer_norm_eps"),
            ("/vision_config", json!({"num_channels": 4}), "num_channels"),
            ("/vision_config", json!({"patch_size": 0}), "patch_size"),
            ("/vision_config", json!({"model_type": "siglip_vision_model"}), "model_type"),
            ("/text_config", json!({"num_attention_heads": 7}), "num_attention_heads"),
            ("/text_config", json!(3), "not an object"),
        ] {
            let mut config = base.clone();
            *config.pointer_mut(pointer).unwrap() = value;
            let error = parse(&config).unwrap_err();
            assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
        }
    }
}
