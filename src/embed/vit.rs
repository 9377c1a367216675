//! What the transformers of all layouts have in common: their shapes as a plan, and their weights, read by the
//! names of each layout. Both ways to run them, the kernels of the CPU and candle's operations on a GPU, are
//! built from these.
//!
//! Invariant: a plan and its weights say the whole computation; nothing behind them asks for the layout.

use super::config::TowerShape;
use super::dino::interpolate;
use crate::error::{Error, Result};
use crate::kernels::Norm;

/// Tensors by name, as f32, each taken once.
pub(super) trait Take: FnMut(&str) -> Result<Vec<f32>> {}
impl<F: FnMut(&str) -> Result<Vec<f32>>> Take for F {}

/// Whose names and whose parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Clip,
    Siglip,
    Dino,
}

/// The shapes of a model.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub image: ImagePlan,
    /// `None` where it embeds pictures only.
    pub text: Option<TextPlan>,
    /// Length of the embedding.
    pub outputs: usize,
}

/// The shapes of an image tower.
#[derive(Debug, Clone)]
pub(super) struct ImagePlan {
    pub family: Family,
    pub shape: TowerShape,
    /// Side of the square input, and of a patch, pixels.
    pub side: usize,
    pub patch: usize,
}

impl ImagePlan {
    /// Patches along a side.
    pub fn across(&self) -> usize {
        self.side / self.patch
    }

    /// How many layers give all patches: where the class token makes the vector, the last makes it alone.
    pub fn readable(&self) -> usize {
        match self.family {
            Family::Clip | Family::Dino => self.shape.layers - 1,
            Family::Siglip => self.shape.layers,
        }
    }

    /// Bytes that a picture takes on its way: of a layer's inputs and outputs and their copies, and its scores, in
    /// f32.
    pub fn picture_bytes(&self) -> usize {
        let (tokens, shape) = (self.across().pow(2) + 1, &self.shape);
        let numbers = tokens * (14 * shape.width + 2 * shape.mlp_width) + 2 * shape.heads * tokens * tokens;
        4 * (numbers + 3 * self.side * self.side)
    }
}

/// The shapes of a text tower.
#[derive(Debug, Clone)]
pub(super) struct TextPlan {
    pub shape: TowerShape,
    /// With it a token sees only those before it and the text is pooled at its end token; without, at its last
    /// place, whatever stands there.
    pub causal: bool,
}

/// A linear layer.
#[derive(Debug)]
pub(super) struct Matrix {
    /// [outputs, inputs].
    pub weight: Vec<f32>,
    /// `[outputs]`, or empty for none.
    pub bias: Vec<f32>,
}

/// One layer of a tower.
#[derive(Debug)]
pub(super) struct Block {
    pub norm1: Norm,
    pub query: Matrix,
    pub key: Matrix,
    pub value: Matrix,
    pub output: Matrix,
    pub norm2: Norm,
    pub up: Matrix,
    pub down: Matrix,
}

/// An image tower without its layers.
#[derive(Debug)]
pub(super) struct ImageWeights {
    /// [width, 3 * patch * patch].
    pub patches: Matrix,
    /// `[width]`, or empty where there is no class token.
    pub class: Vec<f32>,
    /// [tokens, width].
    pub positions: Vec<f32>,
    /// Before the layers.
    pub first: Option<Norm>,
    pub last: Norm,
    pub head: Head,
}

/// How the rows behind the last layer become a vector.
#[derive(Debug)]
pub(super) enum Head {
    /// The class token is it.
    Class,
    /// The class token through a linear layer.
    Projected(Matrix),
    /// All rows by attention.
    Attention(Box<AttentionHead>),
}

/// A learned query `probe` `[width]` and one layer without norm before its attention.
#[derive(Debug)]
pub(super) struct AttentionHead {
    pub probe: Vec<f32>,
    pub query: Matrix,
    pub key: Matrix,
    pub value: Matrix,
    pub output: Matrix,
    pub norm: Norm,
    pub up: Matrix,
    pub down: Matrix,
}

/// A text tower without its layers.
#[derive(Debug)]
pub(super) struct TextWeights {
    /// [vocabulary, width].
    pub tokens: Vec<f32>,
    /// [context, width].
    pub positions: Vec<f32>,
    pub last: Norm,
    pub projection: Matrix,
}

fn norm(take: &mut impl Take, name: &str) -> Result<Norm> {
    Ok(Norm { gain: take(&format!("{name}.weight"))?, bias: take(&format!("{name}.bias"))? })
}

fn matrix(take: &mut impl Take, name: &str) -> Result<Matrix> {
    Ok(Matrix { weight: take(&format!("{name}.weight"))?, bias: take(&format!("{name}.bias"))? })
}

fn without_bias(take: &mut impl Take, name: &str) -> Result<Matrix> {
    Ok(Matrix { weight: take(&format!("{name}.weight"))?, bias: Vec::new() })
}

impl ImagePlan {
    /// What stands before and behind the layers.
    pub fn weights(&self, take: &mut impl Take) -> Result<ImageWeights> {
        match self.family {
            Family::Clip => Ok(ImageWeights {
                patches: without_bias(take, "vision_model.embeddings.patch_embedding")?,
                class: take("vision_model.embeddings.class_embedding")?,
                positions: take("vision_model.embeddings.position_embedding.weight")?,
                first: Some(norm(take, "vision_model.pre_layrnorm")?),
                last: norm(take, "vision_model.post_layernorm")?,
                head: Head::Projected(without_bias(take, "visual_projection")?),
            }),
            Family::Siglip => Ok(ImageWeights {
                patches: matrix(take, "vision_model.embeddings.patch_embedding")?,
                class: Vec::new(),
                positions: take("vision_model.embeddings.position_embedding.weight")?,
                first: None,
                last: norm(take, "vision_model.post_layernorm")?,
                head: Head::Attention(Box::new(AttentionHead::read(self.shape.width, take)?)),
            }),
            Family::Dino => {
                let positions = take("embeddings.position_embeddings")?;
                Ok(ImageWeights {
                    patches: matrix(take, "embeddings.patch_embeddings.projection")?,
                    class: take("embeddings.cls_token")?,
                    positions: interpolate(&positions, self.shape.width, self.across()),
                    first: None,
                    last: norm(take, "layernorm")?,
                    head: Head::Class,
                })
            }
        }
    }

    /// One layer.
    pub fn block(&self, layer: usize, take: &mut impl Take) -> Result<Block> {
        match self.family {
            Family::Clip | Family::Siglip => {
                Block::read(&format!("vision_model.encoder.layers.{layer}"), take)
            }
            Family::Dino => Block::read_scaled(&format!("encoder.layer.{layer}"), take),
        }
    }
}

impl TextPlan {
    /// What stands before and behind the layers.
    pub fn weights(&self, take: &mut impl Take) -> Result<TextWeights> {
        Ok(TextWeights {
            tokens: take("text_model.embeddings.token_embedding.weight")?,
            positions: take("text_model.embeddings.position_embedding.weight")?,
            last: norm(take, "text_model.final_layer_norm")?,
            projection: match self.causal {
                true => without_bias(take, "text_projection")?,
                false => matrix(take, "text_model.head")?,
            },
        })
    }

    /// One layer.
    pub fn block(&self, layer: usize, take: &mut impl Take) -> Result<Block> {
        Block::read(&format!("text_model.encoder.layers.{layer}"), take)
    }
}

impl Block {
    fn read(at: &str, take: &mut impl Take) -> Result<Block> {
        let mut part = |name: &str| matrix(take, &format!("{at}.{name}"));
        let (query, key, value) =
            (part("self_attn.q_proj")?, part("self_attn.k_proj")?, part("self_attn.v_proj")?);
        let (output, up, down) = (part("self_attn.out_proj")?, part("mlp.fc1")?, part("mlp.fc2")?);
        let (norm1, norm2) =
            (norm(take, &format!("{at}.layer_norm1"))?, norm(take, &format!("{at}.layer_norm2"))?);
        Ok(Block { norm1, query, key, value, output, norm2, up, down })
    }

    /// Of DINOv2, where what each half of a layer adds is scaled: the scales become part of its last weights.
    fn read_scaled(at: &str, take: &mut impl Take) -> Result<Block> {
        let scales =
            [take(&format!("{at}.layer_scale1.lambda1"))?, take(&format!("{at}.layer_scale2.lambda1"))?];
        let mut part = |name: &str| matrix(take, &format!("{at}.{name}"));
        let (query, key, value) = (
            part("attention.attention.query")?,
            part("attention.attention.key")?,
            part("attention.attention.value")?,
        );
        let (mut output, up, mut down) =
            (part("attention.output.dense")?, part("mlp.fc1")?, part("mlp.fc2")?);
        output.scale(&scales[0]);
        down.scale(&scales[1]);
        let (norm1, norm2) = (norm(take, &format!("{at}.norm1"))?, norm(take, &format!("{at}.norm2"))?);
        Ok(Block { norm1, query, key, value, output, norm2, up, down })
    }
}

impl Matrix {
    /// Each output times its scale.
    fn scale(&mut self, scales: &[f32]) {
        let inputs = self.weight.len() / scales.len();
        for (row, scale) in self.weight.chunks_exact_mut(inputs).zip(scales) {
            row.iter_mut().for_each(|weight| *weight *= scale);
        }
        self.bias.iter_mut().zip(scales).for_each(|(bias, scale)| *bias *= scale);
    }
}

impl AttentionHead {
    /// PyTorch's `MultiheadAttention` has query, key and value one below the other.
    fn read(width: usize, take: &mut impl Take) -> Result<AttentionHead> {
        let joint = take("vision_model.head.attention.in_proj_weight")?;
        let biases = take("vision_model.head.attention.in_proj_bias")?;
        let mut parts = joint.chunks_exact(width * width).zip(biases.chunks_exact(width));
        let mut part = || match parts.next() {
            Some((weight, bias)) => Ok(Matrix { weight: weight.to_vec(), bias: bias.to_vec() }),
            None => {
                Err(Error::Model("weights: vision_model.head.attention.in_proj_weight is too short".into()))
            }
        };
        let (query, key, value) = (part()?, part()?, part()?);
        Ok(AttentionHead {
            probe: take("vision_model.head.probe")?,
            query,
            key,
            value,
            output: matrix(take, "vision_model.head.attention.out_proj")?,
            norm: norm(take, "vision_model.head.layernorm")?,
            up: matrix(take, "vision_model.head.mlp.fc1")?,
            down: matrix(take, "vision_model.head.mlp.fc2")?,
        })
    }
}

/// The tensors of the layers of a tower in the layout of `CLIPModel`, with their shapes.
pub(super) fn layer_tensors(tower: &str, shape: &TowerShape) -> Vec<(String, Vec<usize>)> {
    let (w, m) = (shape.width, shape.mlp_width);
    let parts = [
        ("self_attn.q_proj", vec![w, w], w),
        ("self_attn.k_proj", vec![w, w], w),
        ("self_attn.v_proj", vec![w, w], w),
        ("self_attn.out_proj", vec![w, w], w),
        ("mlp.fc1", vec![m, w], m),
        ("mlp.fc2", vec![w, m], w),
        ("layer_norm1", vec![w], w),
        ("layer_norm2", vec![w], w),
    ];
    let of_layer = |layer: usize| {
        parts.clone().into_iter().flat_map(move |(name, weight, bias)| {
            let at = format!("{tower}.encoder.layers.{layer}.{name}");
            [(format!("{at}.weight"), weight), (format!("{at}.bias"), vec![bias])]
        })
    };
    (0..shape.layers).flat_map(of_layer).collect()
}

/// The place of a text's end token: that of the largest id, as CLIP pools.
pub(super) fn end(text: &[u32]) -> usize {
    let largest = text.iter().copied().max().unwrap_or(0);
    text.iter().position(|id| *id == largest).unwrap_or(0)
}
