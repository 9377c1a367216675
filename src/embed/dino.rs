//! DINOv2 (transformers' `Dinov2Model`): pictures only. `config.json`, tensors, and the positions of another
//! side than that of training.
//!
//! The vector is the class token behind the last norm. Invariant: a config that parses describes exactly the
//! computation that is carried out. Absent fields have the defaults of transformers' `Dinov2Config`.

use super::config::{Section, TowerDefaults, TowerShape, check_patch, parse_root, refuse};
use super::vit::{Family, ImagePlan, Plan};
use super::weights::Layout;
use crate::error::{Error, Result};
use crate::kernels::Activation;

/// The shapes of a DINOv2.
#[derive(Debug, Clone, PartialEq)]
pub struct DinoConfig {
    /// The tower; its width is the length of the embedding.
    pub image: TowerShape,
    /// Side of the square input, pixels; any, whatever the side of training.
    pub image_size: usize,
    /// Side of the pictures of training, pixels: the positions of the checkpoint are of these.
    pub trained_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
}

impl DinoConfig {
    /// Read `config.json`; `side` is what `preprocessor_config.json` makes.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed, out of bounds, or asks for something that is not
    /// implemented, among them `use_swiglu_ffn` of the giant model.
    pub fn parse(json: &[u8], side: usize) -> Result<DinoConfig> {
        let root = parse_root(json, "dinov2")?;
        let section = Section { name: "config", fields: &root };
        section.only("num_channels", &3.into())?;
        section.only("use_swiglu_ffn", &false.into())?;
        section.only("qkv_bias", &true.into())?;
        let width = section.number("hidden_size", 768, 1..=16_384)?;
        let ratio = match section.get("mlp_ratio") {
            None => 4.0,
            Some(value) => value
                .as_f64()
                .filter(|ratio| (0.1..=64.0).contains(ratio))
                .ok_or_else(|| refuse(format!("mlp_ratio is {value}; expected a number from 0.1 to 64")))?,
        };
        let mut image = section.tower(&TowerDefaults {
            width,
            mlp_width: 1,
            heads: 12,
            activations: &[("gelu", Activation::Gelu), ("gelu_pytorch_tanh", Activation::GeluTanh)],
            epsilon: 1e-6,
            any_epsilon: true,
        })?;
        image.mlp_width = ((width as f64 * ratio) as usize).max(1); // cut as Python's int() does
        let config = DinoConfig {
            image,
            image_size: side,
            trained_size: section.number("image_size", 224, 16..=1024)?,
            patch_size: section.number("patch_size", 14, 1..=1024)?,
        };
        check_patch(config.patch_size, config.trained_size)?;
        if side < config.patch_size {
            return Err(Error::Model(format!(
                "preprocessor_config.json makes pictures of {side} pixels, config.json has patch_size {}",
                config.patch_size
            )));
        }
        Ok(config)
    }

    /// Every tensor of the checkpoint that the tower reads, with its shape.
    pub(super) fn layout(&self) -> Layout {
        let (w, m, patch) = (self.image.width, self.image.mlp_width, self.patch_size);
        let patches = (self.trained_size / patch).pow(2);
        let mut tensors = vec![
            ("embeddings.cls_token".to_string(), vec![1, 1, w]),
            ("embeddings.position_embeddings".into(), vec![1, patches + 1, w]),
        ];
        let mut add = |name: String, weight: Vec<usize>, bias: usize| {
            tensors.push((format!("{name}.weight"), weight));
            tensors.push((format!("{name}.bias"), vec![bias]));
        };
        add("embeddings.patch_embeddings.projection".into(), vec![w, 3, patch, patch], w);
        add("layernorm".into(), vec![w], w);
        for layer in 0..self.image.layers {
            for (name, weight, bias) in [
                ("attention.attention.query", vec![w, w], w),
                ("attention.attention.key", vec![w, w], w),
                ("attention.attention.value", vec![w, w], w),
                ("attention.output.dense", vec![w, w], w),
                ("mlp.fc1", vec![m, w], m),
                ("mlp.fc2", vec![w, m], w),
                ("norm1", vec![w], w),
                ("norm2", vec![w], w),
            ] {
                add(format!("encoder.layer.{layer}.{name}"), weight, bias);
            }
        }
        for layer in 0..self.image.layers {
            for half in [1, 2] {
                tensors.push((format!("encoder.layer.{layer}.layer_scale{half}.lambda1"), vec![w]));
            }
        }
        Layout {
            what: "a DINOv2 checkpoint in transformers' layout",
            landmark: "embeddings.cls_token",
            ignored: &["embeddings.mask_token"],
            tensors,
        }
    }

    /// The same shapes for what runs them.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            image: ImagePlan {
                family: Family::Dino,
                shape: self.image.clone(),
                side: self.image_size,
                patch: self.patch_size,
            },
            text: None,
            outputs: self.image.width,
        }
    }
}

/// One output place of one axis: four input places and what they count.
type Taps = [(usize, f64); 4];

/// PyTorch's bicubic interpolation without antialiasing (a = -0.75, `align_corners` false), as transformers calls it.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale - 0.5;
            let (first, t) = (centre.floor(), centre - centre.floor());
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            [0, 1, 2, 3].map(|tap| {
                let place = (first + tap as f64 - 1.0).clamp(0.0, (from - 1) as f64);
                (place as usize, weights[tap])
            })
        })
        .collect()
}

/// The positions [1 + n * n, width] of the class token and of square patches, for `across` patches a side.
pub(super) fn interpolate(positions: &[f32], width: usize, across: usize) -> Vec<f32> {
    let (class, patches) = positions.split_at(width);
    let trained = ((patches.len() / width) as f64).sqrt().round() as usize;
    if trained == across {
        return positions.to_vec();
    }
    let taps = taps(trained, across);
    let mut out = class.to_vec();
    for row in &taps {
        for column in &taps {
            let mut sums = vec![0f64; width];
            for (y, by_row) in row {
                for (x, by_column) in column {
                    let place = &patches[(y * trained + x) * width..][..width];
                    let weight = by_row * by_column;
                    sums.iter_mut().zip(place).for_each(|(sum, value)| *sum += weight * f64::from(*value));
                }
            }
            out.extend(sums.into_iter().map(|sum| sum as f32));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: &Value, side: usize) -> Result<DinoConfig> {
        DinoConfig::parse(value.to_string().as_bytes(), side)
    }

    #[test]
    fn the_config_that_is_published_is_read_and_pictures_may_be_smaller_than_those_of_training() {
        let base = json!({"model_type": "dinov2", "hidden_size": 768, "mlp_ratio": 4, "image_size": 518});
        let config = parse(&base, 224).unwrap();
        assert_eq!((config.image.mlp_width, config.image_size, config.patch_size), (3072, 224, 14));
        let layout = config.layout();
        // 18 a layer, two tables, patches and norm.
        assert_eq!(layout.tensors.len(), 12 * 18 + 2 + 4);
        assert!(
            layout.tensors.contains(&("embeddings.position_embeddings".into(), vec![1, 37 * 37 + 1, 768]))
        );
    }

    #[test]
    fn what_the_tower_does_not_compute_is_refused_by_name() {
        for (field, value, word) in [
            ("use_swiglu_ffn", json!(true), "use_swiglu_ffn"),
            ("qkv_bias", json!(false), "qkv_bias"),
            ("mlp_ratio", json!("wide"), "mlp_ratio"),
            ("hidden_act", json!("relu"), "hidden_act"),
            ("num_channels", json!(4), "num_channels"),
            ("patch_size", json!(300), "patch_size"),
            ("model_type", json!("dinov2_with_registers"), "dinov2_with_registers"),
        ] {
            let mut config = json!({"model_type": "dinov2"});
            config[field] = value;
            let error = parse(&config, 224).unwrap_err();
            assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{word}: {error}");
        }
        let error = parse(&json!({"model_type": "dinov2", "patch_size": 32}), 16).unwrap_err();
        assert!(error.to_string().contains("preprocessor_config.json"), "{error}");
    }

    #[test]
    fn positions_of_the_side_of_training_stay_and_a_flat_field_stays_flat() {
        let flat = vec![0.5; (1 + 9) * 2];
        assert_eq!(interpolate(&flat, 2, 3), flat);
        let wider = interpolate(&flat, 2, 5);
        assert_eq!(wider.len(), (1 + 25) * 2);
        assert!(wider.iter().all(|value| (value - 0.5).abs() < 1e-6));
    }
}
