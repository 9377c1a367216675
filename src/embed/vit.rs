//! What the transformers of all layouts have in common: their shapes as a plan, and their weights, read by the
//! names of each layout. Both ways to run them, the kernels of the CPU and candle's operations on a GPU, are
//! built from these.
//!
//! Invariant: a plan and its weights say the whole computation; nothing behind them asks for the layout.

use super::config::TowerShape;
use crate::error::Result;
use crate::kernels::Norm;

/// Tensors by name, as f32, each taken once.
pub(super) trait Take: FnMut(&str) -> Result<Vec<f32>> {}
impl<F: FnMut(&str) -> Result<Vec<f32>>> Take for F {}

/// The shapes of a model.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub image: ImagePlan,
    pub text: TextPlan,
    /// Length of the embedding.
    pub outputs: usize,
}

/// The shapes of an image tower.
#[derive(Debug, Clone)]
pub(super) struct ImagePlan {
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
    /// `[width]`.
    pub class: Vec<f32>,
    /// [tokens, width].
    pub positions: Vec<f32>,
    /// Before the layers.
    pub first: Norm,
    pub last: Norm,
    pub projection: Matrix,
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
        Ok(ImageWeights {
            patches: without_bias(take, "vision_model.embeddings.patch_embedding")?,
            class: take("vision_model.embeddings.class_embedding")?,
            positions: take("vision_model.embeddings.position_embedding.weight")?,
            first: norm(take, "vision_model.pre_layrnorm")?,
            last: norm(take, "vision_model.post_layernorm")?,
            projection: without_bias(take, "visual_projection")?,
        })
    }

    /// One layer.
    pub fn block(&self, layer: usize, take: &mut impl Take) -> Result<Block> {
        Block::read(&format!("vision_model.encoder.layers.{layer}"), take)
    }
}

impl TextPlan {
    /// What stands before and behind the layers.
    pub fn weights(&self, take: &mut impl Take) -> Result<TextWeights> {
        Ok(TextWeights {
            tokens: take("text_model.embeddings.token_embedding.weight")?,
            positions: take("text_model.embeddings.position_embedding.weight")?,
            last: norm(take, "text_model.final_layer_norm")?,
            projection: without_bias(take, "text_projection")?,
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
