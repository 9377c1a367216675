//! `config.json` of a CLIP checkpoint: the shapes of both towers, and the refusal of whatever the
//! towers here do not compute. Invariant: a config that parses describes exactly the computation
//! that `towers.rs` carries out; every tensor it needs is in `expected_tensors`.
//!
//! Absent fields have the defaults of transformers' `CLIPTextConfig` and `CLIPVisionConfig`, since
//! checkpoints are saved without the fields that equal them.

use candle_transformers::models::clip::{ClipConfig as CandleConfig, text_model, vision_model};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The part that both towers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TowerShape {
    /// Width of the residual stream.
    pub width: usize,
    /// Width of the hidden layer of each block.
    pub mlp_width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
}

/// The shapes of a CLIP model.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// implemented (`model_type` other than clip, `hidden_act` other than `quick_gelu`,
    /// `layer_norm_eps` other than 1e-5, quantised weights).
    pub fn parse(json: &[u8]) -> Result<ClipConfig> {
        let root: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| refuse(format!("is not a JSON object: {error}")))?;
        match root.get("model_type").and_then(Value::as_str) {
            Some("clip") => {}
            Some(other) => {
                return Err(refuse(format!("model_type is \"{other}\"; only \"clip\" is supported")));
            }
            None => return Err(refuse("model_type is missing; expected \"clip\"".into())),
        }
        if root.get("quantization_config").is_some_and(|v| !v.is_null()) {
            return Err(refuse("quantization_config: quantised checkpoints are not supported".into()));
        }
        let text = Section::new(&root, "text_config", "clip_text_model")?;
        let image = Section::new(&root, "vision_config", "clip_vision_model")?;
        let channels = image.number("num_channels", 3, 1..=16)?;
        if channels != 3 {
            return Err(refuse(format!(
                "vision_config.num_channels is {channels}; only 3 (RGB) is supported"
            )));
        }
        let end_token = text.number("eos_token_id", 49_407, 0..=MAX_VOCABULARY)?;
        let config = ClipConfig {
            text: text.tower(512, 2048, 8)?,
            vocabulary: text.number("vocab_size", 49_408, 1..=MAX_VOCABULARY)?,
            context_length: text.number("max_position_embeddings", 77, 3..=1024)?,
            end_token: (end_token != 2).then_some(end_token as u32), // bounded above
            image: image.tower(768, 3072, 12)?,
            image_size: image.number("image_size", 224, 16..=1024)?,
            patch_size: image.number("patch_size", 32, 1..=1024)?,
            projection: Section { name: "config", fields: &root }.number(
                "projection_dim",
                512,
                1..=65_536,
            )?,
        };
        if config.patch_size > config.image_size {
            return Err(refuse(format!(
                "vision_config.patch_size {} is larger than image_size {}",
                config.patch_size, config.image_size
            )));
        }
        Ok(config)
    }

    /// Every tensor of the checkpoint that the towers read, with its shape.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
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
        for (tower, shape) in [("text_model", text), ("vision_model", image)] {
            for layer in 0..shape.layers {
                let (w, m) = (shape.width, shape.mlp_width);
                let square = |name: &'static str| (name, vec![w, w], w);
                let blocks = [
                    square("self_attn.q_proj"),
                    square("self_attn.k_proj"),
                    square("self_attn.v_proj"),
                    square("self_attn.out_proj"),
                    ("mlp.fc1", vec![m, w], m),
                    ("mlp.fc2", vec![w, m], w),
                    ("layer_norm1", vec![w], w),
                    ("layer_norm2", vec![w], w),
                ];
                for (name, weight, bias) in blocks {
                    let prefix = format!("{tower}.encoder.layers.{layer}.{name}");
                    all.push((format!("{prefix}.weight"), weight));
                    all.push((format!("{prefix}.bias"), vec![bias]));
                }
            }
        }
        all
    }

    /// The same shapes for candle's towers.
    pub(super) fn to_candle(&self) -> CandleConfig {
        CandleConfig {
            text_config: text_model::ClipTextConfig {
                vocab_size: self.vocabulary,
                embed_dim: self.text.width,
                activation: text_model::Activation::QuickGelu,
                intermediate_size: self.text.mlp_width,
                max_position_embeddings: self.context_length,
                pad_with: None,
                num_hidden_layers: self.text.layers,
                num_attention_heads: self.text.heads,
                projection_dim: self.projection,
            },
            vision_config: vision_model::ClipVisionConfig {
                embed_dim: self.image.width,
                activation: text_model::Activation::QuickGelu,
                intermediate_size: self.image.mlp_width,
                num_hidden_layers: self.image.layers,
                num_attention_heads: self.image.heads,
                projection_dim: self.projection,
                num_channels: 3,
                image_size: self.image_size,
                patch_size: self.patch_size,
            },
            logit_scale_init_value: 2.6592, // not used for embeddings
            image_size: self.image_size,
        }
    }
}

/// The largest token table accepted: 1 million rows, twenty times CLIP's.
const MAX_VOCABULARY: usize = 1_000_000;

fn refuse(text: String) -> Error {
    Error::Model(format!("config.json: {text}"))
}

struct Section<'a> {
    name: &'static str,
    fields: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// `name`, or `name_dict` where an old file has it: there the latter wins, as in transformers.
    fn new(root: &'a Map<String, Value>, name: &'static str, model_type: &str) -> Result<Section<'a>> {
        let old = root.get(&format!("{name}_dict")).filter(|v| !v.is_null());
        let fields = match old.or_else(|| root.get(name)) {
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(refuse(format!("{name} is not an object"))),
            None => return Err(refuse(format!("{name} is missing"))),
        };
        match fields.get("model_type").and_then(Value::as_str) {
            Some(other) if other != model_type => {
                Err(refuse(format!("{name}.model_type is \"{other}\"; only \"{model_type}\" is supported")))
            }
            _ => Ok(Section { name, fields }),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|v| !v.is_null())
    }

    fn number(&self, key: &str, default: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_u64().and_then(|v| usize::try_from(v).ok()).filter(|v| range.contains(v)).ok_or_else(|| {
            refuse(format!("{}.{key} is {value}; expected {} to {}", self.name, range.start(), range.end()))
        })
    }

    fn tower(&self, width: usize, mlp_width: usize, heads: usize) -> Result<TowerShape> {
        let name = self.name;
        if let Some(act) = self.get("hidden_act")
            && act.as_str() != Some("quick_gelu")
        {
            return Err(refuse(format!(
                "{name}.hidden_act is {act}; only \"quick_gelu\" is supported, with it the vectors would be wrong"
            )));
        }
        if let Some(eps) = self.get("layer_norm_eps")
            && !eps.as_f64().is_some_and(|eps| (eps - 1e-5).abs() < 1e-9)
        {
            return Err(refuse(format!("{name}.layer_norm_eps is {eps}; only 1e-5 is supported")));
        }
        let shape = TowerShape {
            width: self.number("hidden_size", width, 1..=16_384)?,
            mlp_width: self.number("intermediate_size", mlp_width, 1..=65_536)?,
            layers: self.number("num_hidden_layers", 12, 1..=128)?,
            heads: self.number("num_attention_heads", heads, 1..=256)?,
        };
        if !shape.width.is_multiple_of(shape.heads) {
            return Err(refuse(format!(
                "{name}.hidden_size {} is not a multiple of num_attention_heads {}",
                shape.width, shape.heads
            )));
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(config.expected_tensors().len(), 24 * 16 + 5 + 6 + 2);
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
            ("/text_config", json!({"hidden_act": "gelu"}), "text_config.hidden_act"),
            ("/vision_config", json!({"hidden_act": "gelu"}), "vision_config.hidden_act"),
            ("/vision_config", json!({"layer_norm_eps": 1e-6}), "layer_norm_eps"),
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
