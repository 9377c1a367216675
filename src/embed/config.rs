//! `config.json`: which of the layouts a model has, what all have in common, and the reading of
//! fields. Invariant: a field that asks for something that is not computed here is an error that
//! names it, whatever the layout.

use serde_json::{Map, Value};

use super::clip::ClipConfig;
use super::dino::DinoConfig;
use super::dual::DualConfig;
use super::siglip::SiglipConfig;
use super::vit::Plan;
use super::weights::Layout;
use crate::error::{Error, Result};
use crate::kernels::Activation;

/// The shapes of a transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerShape {
    /// Width of the residual stream.
    pub width: usize,
    /// Width of the hidden layer of each block.
    pub mlp_width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Between the two linear layers of a block.
    pub activation: Activation,
    /// Added to the variance where it normalises.
    pub epsilon: f32,
}

/// The shapes of a model of any layout.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelConfig {
    /// transformers' `CLIPModel`.
    Clip(ClipConfig),
    /// transformers' `SiglipModel`.
    Siglip(SiglipConfig),
    /// transformers' `Dinov2Model`.
    Dino(DinoConfig),
    /// transformers' `VisionTextDualEncoderModel` of EfficientNet-Lite0 and BERT.
    Dual(DualConfig),
}

const KINDS: &str = "\"clip\", \"siglip\", \"dinov2\" and \"vision-text-dual-encoder\"";

impl ModelConfig {
    /// Read `config.json`. `side` is that of the pictures that `preprocessor_config.json` makes:
    /// a CLIP and a SigLIP have it in their own config too, the other towers take any side.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed, out of bounds, or asks for something that is not
    /// implemented; or if the two files disagree on the side.
    pub fn parse(json: &[u8], side: usize) -> Result<ModelConfig> {
        let config = match parse_object(json)?.get("model_type").and_then(Value::as_str) {
            Some("clip") => ModelConfig::Clip(ClipConfig::parse(json)?),
            Some("siglip") => ModelConfig::Siglip(SiglipConfig::parse(json)?),
            Some("dinov2") => ModelConfig::Dino(DinoConfig::parse(json, side)?),
            Some("vision-text-dual-encoder") => ModelConfig::Dual(DualConfig::parse(json, side)?),
            Some("siglip2") => {
                return Err(refuse(
                    "model_type is \"siglip2\", the NaFlex kind for pictures of any proportions, which is not \
                     supported; take a SigLIP 2 of fixed resolution, whose model_type is \"siglip\""
                        .into(),
                ));
            }
            Some(other) => {
                return Err(refuse(format!("model_type is \"{other}\"; only {KINDS} are supported")));
            }
            None => return Err(refuse(format!("model_type is missing; expected one of {KINDS}"))),
        };
        if side != config.image_size() {
            return Err(Error::Model(format!(
                "preprocessor_config.json makes pictures of {side} pixels, config.json has image_size {}",
                config.image_size()
            )));
        }
        Ok(config)
    }

    /// Whether a model of this `config.json` embeds texts, and so has a tokenizer. What does not parse counts as
    /// one that does: its error comes later.
    pub(super) fn has_text(json: &[u8]) -> bool {
        let kind = parse_object(json).ok().and_then(|root| root.get("model_type").cloned());
        kind.as_ref().and_then(Value::as_str) != Some("dinov2")
    }

    /// What can be embedded: `text` and `image`, or `image` alone.
    pub fn modalities(&self) -> &'static [&'static str] {
        match self {
            ModelConfig::Dino(_) => &["image"],
            ModelConfig::Clip(_) | ModelConfig::Siglip(_) | ModelConfig::Dual(_) => &["text", "image"],
        }
    }

    /// Side of the square input, pixels.
    pub fn image_size(&self) -> usize {
        match self {
            ModelConfig::Clip(config) => config.image_size,
            ModelConfig::Siglip(config) => config.image_size,
            ModelConfig::Dino(config) => config.image_size,
            ModelConfig::Dual(config) => config.image_size,
        }
    }

    /// Tokens a text may have, with begin and end; 0 where there are no texts.
    pub fn context_length(&self) -> usize {
        match self {
            ModelConfig::Clip(config) => config.context_length,
            ModelConfig::Siglip(config) => config.context_length,
            ModelConfig::Dino(_) => 0,
            ModelConfig::Dual(config) => config.text.context_length,
        }
    }

    /// Rows of the token table; 0 where there are no texts.
    pub fn vocabulary(&self) -> usize {
        match self {
            ModelConfig::Clip(config) => config.vocabulary,
            ModelConfig::Siglip(config) => config.vocabulary,
            ModelConfig::Dino(_) => 0,
            ModelConfig::Dual(config) => config.text.vocabulary,
        }
    }

    /// Length of the embedding.
    pub fn projection(&self) -> usize {
        match self {
            ModelConfig::Clip(config) => config.projection,
            ModelConfig::Siglip(config) => config.image.width,
            ModelConfig::Dino(config) => config.image.width,
            ModelConfig::Dual(config) => config.projection,
        }
    }

    /// Bytes of memory that a picture takes on its way through the image tower, roughly and rather too many.
    pub(super) fn picture_bytes(&self) -> usize {
        // The widest layer of the convolutional tower has 96 channels of half the side.
        self.plan().map_or(64 << 20, |plan| plan.image.picture_bytes())
    }

    /// The tensors of the checkpoint.
    pub(super) fn layout(&self) -> Layout {
        match self {
            ModelConfig::Clip(config) => config.layout(),
            ModelConfig::Siglip(config) => config.layout(),
            ModelConfig::Dino(config) => config.layout(),
            ModelConfig::Dual(config) => config.layout(),
        }
    }

    /// What runs a model of transformers as CLIP's; `None` for others.
    pub(super) fn plan(&self) -> Option<Plan> {
        match self {
            ModelConfig::Clip(config) => Some(config.plan()),
            ModelConfig::Siglip(config) => Some(config.plan()),
            ModelConfig::Dino(config) => Some(config.plan()),
            ModelConfig::Dual(_) => None,
        }
    }
}

fn parse_object(json: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(json).map_err(|error| refuse(format!("is not a JSON object: {error}")))
}

/// The root of a file of that `model_type`.
pub(super) fn parse_root(json: &[u8], model_type: &str) -> Result<Map<String, Value>> {
    let root = parse_object(json)?;
    match root.get("model_type").and_then(Value::as_str) {
        Some(found) if found == model_type => {}
        Some(other) => {
            return Err(refuse(format!("model_type is \"{other}\"; only \"{model_type}\" is supported")));
        }
        None => return Err(refuse(format!("model_type is missing; expected \"{model_type}\""))),
    }
    if root.get("quantization_config").is_some_and(|v| !v.is_null()) {
        return Err(refuse("quantization_config: quantised checkpoints are not supported".into()));
    }
    Ok(root)
}

/// What an absent field of a transformer means, and what is computed.
pub(super) struct TowerDefaults {
    pub width: usize,
    pub mlp_width: usize,
    pub heads: usize,
    /// The first is what an absent field means, the others are computed as well.
    pub activations: &'static [(&'static str, Activation)],
    pub epsilon: f64,
    /// Whether another epsilon is computed as well.
    pub any_epsilon: bool,
}

/// The largest epsilon accepted: beyond it the field is a mistake.
const MAX_EPSILON: f64 = 1e-2;

/// The largest token table accepted: 1 million rows, twenty times CLIP's.
pub(super) const MAX_VOCABULARY: usize = 1_000_000;

/// A patch must fit the picture.
pub(super) fn check_patch(patch: usize, side: usize) -> Result<()> {
    match patch > side {
        true => Err(refuse(format!("patch_size {patch} is larger than image_size {side}"))),
        false => Ok(()),
    }
}

pub(super) fn refuse(text: String) -> Error {
    Error::Model(format!("config.json: {text}"))
}

/// One object of the file, with its name for errors.
pub(super) struct Section<'a> {
    pub name: &'static str,
    pub fields: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// `name`, or `name_dict` where an old file has it: there the latter wins, as in transformers.
    pub fn new(root: &'a Map<String, Value>, name: &'static str, model_type: &str) -> Result<Section<'a>> {
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

    /// The field unless it is absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|v| !v.is_null())
    }

    /// An integer within `range`.
    pub fn number(&self, key: &str, default: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_u64().and_then(|v| usize::try_from(v).ok()).filter(|v| range.contains(v)).ok_or_else(|| {
            refuse(format!("{}.{key} is {value}; expected {} to {}", self.name, range.start(), range.end()))
        })
    }

    /// A field that may be absent or have the one value that is computed here.
    pub fn only(&self, key: &str, value: &Value) -> Result<()> {
        match self.get(key) {
            Some(other) if other != value => Err(refuse(format!(
                "{}.{key} is {other}; only {value} is supported, with it the vectors would be wrong",
                self.name
            ))),
            _ => Ok(()),
        }
    }

    fn activation(&self, known: &[(&'static str, Activation)]) -> Result<Activation> {
        let Some(value) = self.get("hidden_act") else { return Ok(known[0].1) };
        let found = known.iter().find(|(name, _)| value.as_str() == Some(*name));
        found.map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            refuse(format!(
                "{}.hidden_act is {value}; only {} is supported, with it the vectors would be wrong",
                self.name,
                names.join(", ")
            ))
        })
    }

    /// The shape of a transformer.
    pub fn tower(&self, defaults: &TowerDefaults) -> Result<TowerShape> {
        let name = self.name;
        let activation = self.activation(defaults.activations)?;
        let epsilon = match self.get("layer_norm_eps") {
            None => defaults.epsilon,
            Some(value) => {
                let same = |eps: &f64| (eps / defaults.epsilon - 1.0).abs() < 1e-4;
                let good = |eps: &f64| same(eps) || defaults.any_epsilon && *eps > 0.0 && *eps <= MAX_EPSILON;
                value.as_f64().filter(good).ok_or_else(|| {
                    let expected = match defaults.any_epsilon {
                        true => format!("expected a number above 0, at most {MAX_EPSILON:e}"),
                        false => format!("only {:e} is supported", defaults.epsilon),
                    };
                    refuse(format!("{name}.layer_norm_eps is {value}; {expected}"))
                })?
            }
        };
        let shape = TowerShape {
            width: self.number("hidden_size", defaults.width, 1..=16_384)?,
            mlp_width: self.number("intermediate_size", defaults.mlp_width, 1..=65_536)?,
            layers: self.number("num_hidden_layers", 12, 1..=128)?,
            heads: self.number("num_attention_heads", defaults.heads, 1..=256)?,
            activation,
            epsilon: epsilon as f32,
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
