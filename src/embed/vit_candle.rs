//! The transformers of all layouts by candle's operations, for a GPU. On the CPU the kernels do the same
//! (`vit_cpu.rs`); a test compares the two.

use candle_core::{D, DType, Device, Module, Result as CandleResult, Tensor};
use candle_nn::{Linear, ops};

use super::config::TowerShape;
use super::vit::{Block as Weights, Matrix, Plan, Take, end};
use crate::error::{Error, Result};
use crate::kernels::{Activation, Norm as NormWeights};

/// Both towers.
pub(super) struct CandleTowers {
    image: Image,
    text: Text,
    device: Device,
    /// What is calculated with.
    dtype: DType,
}

struct Image {
    side: usize,
    patch: usize,
    patches: Linear,
    /// [1, 1, width].
    class: Tensor,
    /// [tokens, width].
    positions: Tensor,
    first: Norm,
    blocks: Vec<Block>,
    last: Norm,
    projection: Linear,
}

struct Text {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    last: Norm,
    projection: Linear,
}

struct Norm {
    gain: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl Norm {
    fn apply(&self, x: &Tensor) -> CandleResult<Tensor> {
        ops::layer_norm(&x.contiguous()?, &self.gain, &self.bias, self.epsilon)
    }
}

struct Block {
    norm1: Norm,
    /// Queries, keys and values.
    joint: Linear,
    output: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
    activation: Activation,
}

fn activate(activation: Activation, x: &Tensor) -> CandleResult<Tensor> {
    match activation {
        Activation::QuickGelu => x * ops::sigmoid(&(x * 1.702)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::None => Ok(x.clone()),
        Activation::Relu6 => x.clamp(0f32, 6f32),
    }
}

/// Queries, keys and values [n, heads, rows, numbers] to [n, queries' rows, width].
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> CandleResult<Tensor> {
    let (n, heads, rows, width) = q.dims4()?;
    #[cfg(feature = "flash-attn")]
    if q.dtype() == DType::F16 && q.device().is_cuda() {
        let scale = 1.0 / (width as f32).sqrt();
        let (q, k, v) = (q.transpose(1, 2)?, k.transpose(1, 2)?, v.transpose(1, 2)?);
        // The only mask there is is the causal one.
        let mixed = candle_flash_attn::flash_attn(&q, &k, &v, scale, mask.is_some())?;
        return mixed.reshape((n, rows, heads * width));
    }
    let scores = (q * (1.0 / (width as f64).sqrt()))?.contiguous()?.matmul(&k.t()?.contiguous()?)?;
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    let mixed = ops::softmax_last_dim(&scores)?.matmul(&v.contiguous()?)?;
    mixed.transpose(1, 2)?.reshape((n, rows, heads * width))
}

impl Block {
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> CandleResult<Tensor> {
        let (n, rows, width) = x.dims3()?;
        let joint = self.joint.forward(&self.norm1.apply(x)?)?;
        let joint = joint.reshape((n, rows, 3, self.heads, width / self.heads))?.permute((2, 0, 3, 1, 4))?;
        let mixed = attend(&joint.get(0)?, &joint.get(1)?, &joint.get(2)?, mask)?;
        let x = (x + self.output.forward(&mixed)?)?;
        let hidden = activate(self.activation, &self.up.forward(&self.norm2.apply(&x)?)?)?;
        x + self.down.forward(&hidden)?
    }
}

/// Weights to tensors on a device, of numbers of this kind.
struct Loader<'a>(&'a Device, DType);

impl Loader<'_> {
    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> CandleResult<Tensor> {
        Tensor::from_vec(values, shape, self.0)?.to_dtype(self.1)
    }

    fn linear(&self, layer: Matrix, inputs: usize) -> CandleResult<Linear> {
        let outputs = layer.weight.len() / inputs;
        let bias = if layer.bias.is_empty() { None } else { Some(self.tensor(layer.bias, &[outputs])?) };
        Ok(Linear::new(self.tensor(layer.weight, &[outputs, inputs])?, bias))
    }

    fn norm(&self, norm: NormWeights, epsilon: f32) -> CandleResult<Norm> {
        let width = norm.gain.len();
        Ok(Norm { gain: self.tensor(norm.gain, &[width])?, bias: self.tensor(norm.bias, &[width])?, epsilon })
    }

    fn block(&self, block: Weights, shape: &TowerShape) -> CandleResult<Block> {
        let mut joint = block.query;
        for part in [block.key, block.value] {
            joint.weight.extend(part.weight);
            joint.bias.extend(part.bias);
        }
        Ok(Block {
            norm1: self.norm(block.norm1, shape.epsilon)?,
            joint: self.linear(joint, shape.width)?,
            output: self.linear(block.output, shape.width)?,
            norm2: self.norm(block.norm2, shape.epsilon)?,
            up: self.linear(block.up, shape.width)?,
            down: self.linear(block.down, shape.mlp_width)?,
            heads: shape.heads,
            activation: shape.activation,
        })
    }
}

impl CandleTowers {
    /// `take` gives the tensors that the layout of the plan names; `dtype` is f32 or f16.
    pub fn new(plan: &Plan, device: &Device, dtype: DType, mut take: impl Take) -> Result<CandleTowers> {
        let refuse = |error: candle_core::Error| Error::Model(format!("loading the towers: {error}"));
        let load = Loader(device, dtype);
        let image = &plan.image;
        let mut blocks = Vec::new();
        for layer in 0..image.shape.layers {
            blocks.push(load.block(image.block(layer, &mut take)?, &image.shape).map_err(refuse)?);
        }
        let weights = image.weights(&mut take)?;
        let (width, epsilon) = (image.shape.width, image.shape.epsilon);
        let tower = || -> CandleResult<Image> {
            Ok(Image {
                side: image.side,
                patch: image.patch,
                patches: load.linear(weights.patches, 3 * image.patch * image.patch)?,
                class: load.tensor(weights.class, &[1, 1, width])?,
                positions: {
                    let rows = weights.positions.len() / width;
                    load.tensor(weights.positions, &[rows, width])?
                },
                first: load.norm(weights.first, epsilon)?,
                blocks,
                last: load.norm(weights.last, epsilon)?,
                projection: load.linear(weights.projection, width)?,
            })
        };
        let image = tower().map_err(refuse)?;
        let text = &plan.text;
        let mut blocks = Vec::new();
        for layer in 0..text.shape.layers {
            blocks.push(load.block(text.block(layer, &mut take)?, &text.shape).map_err(refuse)?);
        }
        let weights = text.weights(&mut take)?;
        let width = text.shape.width;
        let tower = || -> CandleResult<Text> {
            let table = |values: Vec<f32>| {
                let rows = values.len() / width;
                load.tensor(values, &[rows, width])
            };
            Ok(Text {
                tokens: table(weights.tokens)?,
                positions: table(weights.positions)?,
                blocks,
                last: load.norm(weights.last, text.shape.epsilon)?,
                projection: load.linear(weights.projection, width)?,
            })
        };
        let text = tower().map_err(refuse)?;
        Ok(CandleTowers { image, text, device: device.clone(), dtype })
    }

    /// Pixels f32 [n, 3, side, side] to what comes out of the first `layers` layers, [n, tokens, width].
    fn through(&self, pixels: &Tensor, layers: usize) -> CandleResult<Tensor> {
        let Image { side, patch, .. } = self.image;
        let (n, across) = (pixels.dim(0)?, side / patch);
        let whole = pixels.narrow(2, 0, across * patch)?.narrow(3, 0, across * patch)?.contiguous()?;
        let patches = whole
            .to_dtype(self.dtype)?
            .reshape(&[n, 3, across, patch, across, patch][..])?
            .permute(&[0, 2, 4, 1, 3, 5][..])?
            .reshape((n, across * across, 3 * patch * patch))?;
        let patches = self.image.patches.forward(&patches)?;
        let class = self.image.class.broadcast_as((n, 1, patches.dim(2)?))?;
        let x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.image.positions)?;
        let mut x = self.image.first.apply(&x)?;
        for block in &self.image.blocks[..layers] {
            x = block.forward(&x, None)?;
        }
        Ok(x)
    }

    /// Pixels f32 [n, 3, side, side] to vectors [n, outputs].
    pub fn image(&self, pixels: &Tensor) -> CandleResult<Tensor> {
        let x = self.through(pixels, self.image.blocks.len())?;
        let class = x.narrow(1, 0, 1)?.squeeze(1)?;
        self.image.projection.forward(&self.image.last.apply(&class)?)?.to_dtype(DType::F32)
    }

    /// The patches of pixels f32 [n, 3, side, side] as they come out of layer `block`, [n, patches, width].
    pub fn patches(&self, pixels: &Tensor, block: usize) -> CandleResult<Tensor> {
        let x = self.through(pixels, block + 1)?;
        x.narrow(1, 1, x.dim(1)? - 1)?.to_dtype(DType::F32)
    }

    /// Texts, each from begin to end token, to vectors [n, outputs]. What pads a shorter text needs no mask:
    /// under the causal one it cannot reach the end token.
    pub fn text(&self, texts: &[&[u32]]) -> CandleResult<Tensor> {
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(1);
        let mut ids = Vec::with_capacity(texts.len() * longest);
        let mut places = Vec::with_capacity(texts.len());
        for text in texts {
            places.push((ids.len() + end(text)) as u32); // at most 256 texts of 1,024 tokens
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), 0);
        }
        let ids = Tensor::new(ids, &self.device)?;
        let width = self.text.tokens.dim(D::Minus1)?;
        let tokens = self.text.tokens.index_select(&ids, 0)?.reshape((texts.len(), longest, width))?;
        let mut x = tokens.broadcast_add(&self.text.positions.narrow(0, 0, longest)?)?;
        let mask = self.causal_mask(longest)?;
        for block in &self.text.blocks {
            x = block.forward(&x, Some(&mask))?;
        }
        let places = Tensor::new(places, &self.device)?;
        let pooled = x.reshape((texts.len() * longest, width))?.index_select(&places, 0)?;
        self.text.projection.forward(&self.text.last.apply(&pooled)?)?.to_dtype(DType::F32)
    }

    fn causal_mask(&self, length: usize) -> CandleResult<Tensor> {
        let seen = |row: usize, column: usize| if column > row { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> =
            (0..length).flat_map(|row| (0..length).map(move |column| seen(row, column))).collect();
        Tensor::from_vec(mask, (length, length), &self.device)?.to_dtype(self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use serde_json::json;

    use super::super::clip::ClipConfig;
    use super::*;

    #[test]
    fn half_precision_gives_the_vectors_of_f32_within_the_gate() {
        let tower = json!({"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3,
            "image_size": 40, "patch_size": 8, "vocab_size": 16, "max_position_embeddings": 8});
        let config =
            json!({"model_type": "clip", "projection_dim": 16, "text_config": tower, "vision_config": tower});
        let config = ClipConfig::parse(config.to_string().as_bytes()).unwrap();
        let mut rng = SmallRng::seed_from_u64(2);
        let mut weights: HashMap<String, Vec<f32>> = HashMap::new();
        for (name, shape) in config.layout().tensors {
            let inputs = shape.iter().skip(1).product::<usize>() as f32;
            let spread = if shape.len() > 1 { (3.0 / inputs).sqrt() } else { 0.5 };
            let count = shape.iter().product();
            weights.insert(name, (0..count).map(|_| rng.random_range(-spread..spread)).collect());
        }
        let towers = |dtype| {
            CandleTowers::new(&config.plan(), &Device::Cpu, dtype, |name: &str| Ok(weights[name].clone()))
                .unwrap()
        };
        let (whole, half) = (towers(DType::F32), towers(DType::F16));
        let pixels: Vec<f32> = (0..2 * 3 * 40 * 40).map(|_| rng.random_range(-2.0..2.0)).collect();
        let pixels = Tensor::from_slice(&pixels, (2, 3, 40, 40), &Device::Cpu).unwrap();
        let texts: [&[u32]; 2] = [&[1, 5, 7, 15], &[1, 2, 3, 4, 5, 6, 15]];
        let vectors = |towers: &CandleTowers| {
            let mut all = towers.image(&pixels).unwrap().to_vec2::<f32>().unwrap();
            all.extend(towers.text(&texts).unwrap().to_vec2::<f32>().unwrap());
            all
        };
        let (expected, found) = (vectors(&whole), vectors(&half));
        assert_ne!(expected, found);
        for (a, b) in expected.iter().zip(&found) {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            assert!(cosine >= 0.999, "{cosine}");
        }
        let patches = half.patches(&pixels, 1).unwrap();
        assert_eq!((patches.dims(), patches.dtype()), (&[2, 25, 64][..], DType::F32));
    }
}
