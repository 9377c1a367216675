//! The layers of a transformer with the fused kernels: seven launches beside four products, where candle's
//! operations take thirty.

use candle_core::{Device, Result, Tensor};

use super::Kernels;
use crate::embed::config::TowerShape;
use crate::embed::vit_candle::{Block, Norm};

/// A tower's layers, by the kernels for its shape.
pub struct Fused(Kernels);

/// The weights and biases of a layer.
struct Layer<'a> {
    joint: (&'a Tensor, &'a Tensor),
    output: (&'a Tensor, &'a Tensor),
    up: (&'a Tensor, &'a Tensor),
    down: (&'a Tensor, &'a Tensor),
}

impl<'a> Layer<'a> {
    /// `None` where a linear layer has no bias.
    fn of(block: &'a Block) -> Option<Layer<'a>> {
        let both = |linear: &'a candle_nn::Linear| Some((linear.weight(), linear.bias()?));
        Some(Layer {
            joint: both(&block.joint)?,
            output: both(&block.output)?,
            up: both(&block.up)?,
            down: both(&block.down)?,
        })
    }
}

/// Rows [m, inputs] by a weight [outputs, inputs].
fn multiply(rows: &Tensor, weight: &Tensor) -> Result<Tensor> {
    rows.matmul(&weight.t()?)
}

impl Fused {
    /// `None` where the GPU or the tower is not made for the kernels.
    pub fn new(device: &Device, shape: &TowerShape, blocks: &[Block]) -> Option<Fused> {
        if !blocks.iter().all(|block| Layer::of(block).is_some()) {
            return None;
        }
        Kernels::new(device, shape).map(Fused)
    }

    /// Normalised pixels to the GPU, f16 of this shape.
    pub fn upload(&self, pixels: &[f32], shape: (usize, usize, usize, usize)) -> Result<Tensor> {
        self.0.upload(pixels, shape)
    }

    /// The patches of pixels [n, 3, side, side], [n, across * across, 3 * patch * patch]; `patch` is even.
    pub fn patches(&self, pixels: &Tensor, across: usize, patch: usize) -> Result<Tensor> {
        self.0.patches(pixels, across, patch)
    }

    /// x [n, rows, width] through the layers; of the last only the rows at `places` of all n * rows, [m, width],
    /// where that is asked for.
    pub fn layers(
        &self,
        blocks: &[Block],
        x: &Tensor,
        causal: bool,
        places: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (n, rows, width) = x.dims3()?;
        let mut x = x.reshape((n * rows, width))?;
        let Some(first) = blocks.first() else { return x.reshape((n, rows, width)) };
        let mut normed = first.norm1.apply(&x)?;
        for (at, block) in blocks.iter().enumerate() {
            let Some(layer) = Layer::of(block) else { candle_core::bail!("a layer without a bias") };
            let joint = multiply(&normed, layer.joint.0)?.reshape((n, rows, 3 * width))?;
            let mut mixed = self.0.attention(&joint, layer.joint.1, causal)?.reshape((n * rows, width))?;
            let last = at + 1 == blocks.len();
            if let Some(places) = places.filter(|_| last) {
                (x, mixed) = (x.index_select(places, 0)?, mixed.index_select(places, 0)?);
            }
            let more = multiply(&mixed, layer.output.0)?;
            (x, normed) = self.0.join(&x, &more, layer.output.1, &block.norm2)?;
            let hidden = multiply(&normed, layer.up.0)?;
            let hidden = self.0.activate(block.activation, &hidden, layer.up.1)?;
            let more = multiply(&hidden, layer.down.0)?;
            // Behind the last layer this normalises for nobody: what follows differs from tower to tower.
            let next: &Norm = blocks.get(at + 1).map_or(&block.norm2, |next| &next.norm1);
            (x, normed) = self.0.join(&x, &more, layer.down.1, next)?;
        }
        if places.is_some() { Ok(x) } else { x.reshape((n, rows, width)) }
    }
}
