//! The transformers of all layouts by candle's operations, for a GPU. On the CPU the kernels do the same
//! (`vit_cpu.rs`); a test compares the two.

use candle_core::{D, DType, Device, Module, Result as CandleResult, Tensor};
use candle_nn::{Linear, ops};

use super::config::TowerShape;
use super::cuda::Fused;
use super::vit::{
    AttentionHead, Block as Weights, Head as HeadWeights, ImagePlan, Matrix, Plan, Take, TextPlan, end,
};
use crate::error::{Error, Result};
use crate::kernels::{Activation, Norm as NormWeights};

/// The towers of a model.
pub(super) struct CandleTowers {
    image: Image,
    /// `None` where it embeds pictures only.
    text: Option<Text>,
    device: Device,
    /// What is calculated with.
    dtype: DType,
}

struct Image {
    side: usize,
    patch: usize,
    patches: Linear,
    /// [1, 1, width].
    class: Option<Tensor>,
    /// [tokens, width].
    positions: Tensor,
    first: Option<Norm>,
    blocks: Vec<Block>,
    last: Norm,
    head: Head,
    fused: Option<Fused>,
}

enum Head {
    Class,
    Projected(Linear),
    Attention(Box<Pooling>),
}

struct Text {
    causal: bool,
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    last: Norm,
    projection: Linear,
    fused: Option<Fused>,
}

pub(super) struct Norm {
    pub gain: Tensor,
    pub bias: Tensor,
    pub epsilon: f32,
}

impl Norm {
    pub fn apply(&self, x: &Tensor) -> CandleResult<Tensor> {
        ops::layer_norm(&x.contiguous()?, &self.gain, &self.bias, self.epsilon)
    }
}

pub(super) struct Block {
    pub norm1: Norm,
    /// Queries, keys and values.
    pub joint: Linear,
    pub output: Linear,
    pub norm2: Norm,
    pub up: Linear,
    pub down: Linear,
    pub heads: usize,
    pub activation: Activation,
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
    /// x [n, rows, width] through the layer; `places` as in [`layers`].
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>, places: Option<&Tensor>) -> CandleResult<Tensor> {
        let (n, rows, width) = x.dims3()?;
        let joint = self.joint.forward(&self.norm1.apply(x)?)?;
        let joint = joint.reshape((n, rows, 3, self.heads, width / self.heads))?.permute((2, 0, 3, 1, 4))?;
        let mixed = attend(&joint.get(0)?, &joint.get(1)?, &joint.get(2)?, mask)?;
        let (x, mixed) = match places {
            Some(places) => (at(x, places)?, at(&mixed, places)?),
            None => (x.clone(), mixed),
        };
        let x = (&x + self.output.forward(&mixed)?)?;
        let hidden = activate(self.activation, &self.up.forward(&self.norm2.apply(&x)?)?)?;
        x + self.down.forward(&hidden)?
    }
}

/// Of x [n, rows, width] those of all n * rows rows that stand at `places`, [m, width].
fn at(x: &Tensor, places: &Tensor) -> CandleResult<Tensor> {
    x.flatten_to(1)?.index_select(places, 0)
}

/// x [n, rows, width] through these layers. Where only the rows at `places` of all n * rows matter behind
/// the last, it makes these alone, [m, width].
fn layers(blocks: &[Block], x: Tensor, causal: bool, places: Option<&Tensor>) -> CandleResult<Tensor> {
    let mask = if causal { Some(causal_mask(x.dim(1)?, x.device(), x.dtype())?) } else { None };
    let Some((last, others)) = blocks.split_last() else { return Ok(x) };
    let x = others.iter().try_fold(x, |x, block| block.forward(&x, mask.as_ref(), None))?;
    last.forward(&x, mask.as_ref(), places)
}

fn causal_mask(length: usize, device: &Device, dtype: DType) -> CandleResult<Tensor> {
    let seen = |row: usize, column: usize| if column > row { f32::NEG_INFINITY } else { 0.0 };
    let mask: Vec<f32> =
        (0..length).flat_map(|row| (0..length).map(move |column| seen(row, column))).collect();
    Tensor::from_vec(mask, (length, length), device)?.to_dtype(dtype)
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

impl Loader<'_> {
    fn table(&self, values: Vec<f32>, width: usize) -> CandleResult<Tensor> {
        let rows = values.len() / width;
        self.tensor(values, &[rows, width])
    }

    fn pooling(&self, head: AttentionHead, shape: &TowerShape) -> CandleResult<Pooling> {
        let mut keys = head.key;
        keys.weight.extend(head.value.weight);
        keys.bias.extend(head.value.bias);
        let probe = self.tensor(head.probe, &[1, shape.width])?;
        Ok(Pooling {
            query: self.linear(head.query, shape.width)?.forward(&probe)?,
            keys: self.linear(keys, shape.width)?,
            output: self.linear(head.output, shape.width)?,
            norm: self.norm(head.norm, shape.epsilon)?,
            up: self.linear(head.up, shape.width)?,
            down: self.linear(head.down, shape.mlp_width)?,
            heads: shape.heads,
            activation: shape.activation,
        })
    }

    /// In half precision on NVIDIA's GPUs. f32 stays with candle, and is what the gate of `precision.rs` measures
    /// the kernels by.
    fn fused(&self, shape: &TowerShape, blocks: &[Block]) -> Option<Fused> {
        if self.1 == DType::F16 { Fused::new(self.0, shape, blocks) } else { None }
    }

    fn image(&self, plan: &ImagePlan, take: &mut impl Take) -> Result<Image> {
        let shape = &plan.shape;
        let mut blocks = Vec::new();
        for layer in 0..shape.layers {
            blocks.push(self.block(plan.block(layer, take)?, shape).map_err(refuse)?);
        }
        let weights = plan.weights(take)?;
        let tower = || -> CandleResult<Image> {
            let class = match weights.class.is_empty() {
                true => None,
                false => Some(self.tensor(weights.class, &[1, 1, shape.width])?),
            };
            Ok(Image {
                side: plan.side,
                patch: plan.patch,
                patches: self.linear(weights.patches, 3 * plan.patch * plan.patch)?,
                class,
                positions: self.table(weights.positions, shape.width)?,
                first: weights.first.map(|first| self.norm(first, shape.epsilon)).transpose()?,
                fused: self.fused(shape, &blocks),
                blocks,
                last: self.norm(weights.last, shape.epsilon)?,
                head: match weights.head {
                    HeadWeights::Class => Head::Class,
                    HeadWeights::Projected(projection) => {
                        Head::Projected(self.linear(projection, shape.width)?)
                    }
                    HeadWeights::Attention(head) => Head::Attention(Box::new(self.pooling(*head, shape)?)),
                },
            })
        };
        tower().map_err(refuse)
    }

    fn text(&self, plan: &TextPlan, take: &mut impl Take) -> Result<Text> {
        let shape = &plan.shape;
        let mut blocks = Vec::new();
        for layer in 0..shape.layers {
            blocks.push(self.block(plan.block(layer, take)?, shape).map_err(refuse)?);
        }
        let weights = plan.weights(take)?;
        let tower = || -> CandleResult<Text> {
            Ok(Text {
                causal: plan.causal,
                tokens: self.table(weights.tokens, shape.width)?,
                positions: self.table(weights.positions, shape.width)?,
                fused: self.fused(shape, &blocks),
                blocks,
                last: self.norm(weights.last, shape.epsilon)?,
                projection: self.linear(weights.projection, shape.width)?,
            })
        };
        tower().map_err(refuse)
    }
}

fn refuse(error: candle_core::Error) -> Error {
    Error::Model(format!("loading the towers: {error}"))
}

/// One learned query over all rows, and two linear layers.
struct Pooling {
    /// [1, width].
    query: Tensor,
    /// Keys and values.
    keys: Linear,
    output: Linear,
    norm: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
    activation: Activation,
}

impl Pooling {
    /// [n, rows, width] to [n, width].
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let (n, rows, width) = x.dims3()?;
        let part = width / self.heads;
        let joint =
            self.keys.forward(x)?.reshape((n, rows, 2, self.heads, part))?.permute((2, 0, 3, 1, 4))?;
        let query = self.query.reshape((1, self.heads, 1, part))?.broadcast_as((n, self.heads, 1, part))?;
        let mixed = attend(&query, &joint.get(0)?, &joint.get(1)?, None)?;
        let x = self.output.forward(&mixed)?;
        let hidden = activate(self.activation, &self.up.forward(&self.norm.apply(&x)?)?)?;
        (&x + self.down.forward(&hidden)?)?.squeeze(1)
    }
}

impl CandleTowers {
    /// `take` gives the tensors that the layout of the plan names; `dtype` is f32 or f16.
    pub fn new(plan: &Plan, device: &Device, dtype: DType, mut take: impl Take) -> Result<CandleTowers> {
        let load = Loader(device, dtype);
        let text = plan.text.as_ref().map(|text| load.text(text, &mut take)).transpose()?;
        Ok(CandleTowers { image: load.image(&plan.image, &mut take)?, text, device: device.clone(), dtype })
    }

    /// Pixels [n, 3, side, side], normalised, to the device.
    pub fn upload(&self, pixels: &[f32]) -> CandleResult<Tensor> {
        let side = self.image.side;
        let shape = (pixels.len() / (3 * side * side), 3, side, side);
        if let Some(fused) = &self.image.fused {
            return fused.upload(pixels, shape);
        }
        Tensor::from_slice(pixels, shape, &self.device)?.to_dtype(self.dtype)
    }

    /// Pixels [n, 3, side, side] to patches [n, across * across, 3 * patch * patch].
    fn cut(&self, pixels: &Tensor) -> CandleResult<Tensor> {
        let Image { side, patch, .. } = self.image;
        let (n, across) = (pixels.dim(0)?, side / patch);
        if let Some(fused) = self.image.fused.as_ref().filter(|_| patch.is_multiple_of(2)) {
            return fused.patches(pixels, across, patch);
        }
        let whole = pixels.narrow(2, 0, across * patch)?.narrow(3, 0, across * patch)?.contiguous()?;
        whole.reshape(&[n, 3, across, patch, across, patch][..])?.permute(&[0, 2, 4, 1, 3, 5][..])?.reshape((
            n,
            across * across,
            3 * patch * patch,
        ))
    }

    /// Uploaded pixels to what comes out of the first `count` layers, [n, tokens, width], or of the class token
    /// alone, [n, width].
    fn through(&self, pixels: &Tensor, count: usize, class_alone: bool) -> CandleResult<Tensor> {
        let n = pixels.dim(0)?;
        let patches = self.image.patches.forward(&self.cut(pixels)?)?;
        let tokens = match &self.image.class {
            Some(class) => Tensor::cat(&[&class.broadcast_as((n, 1, patches.dim(2)?))?, &patches], 1)?,
            None => patches,
        };
        let x = tokens.broadcast_add(&self.image.positions)?;
        let x = match &self.image.first {
            Some(first) => first.apply(&x)?,
            None => x,
        };
        let tokens = x.dim(1)? as u32; // at most 5,330
        let places = (0..n as u32).map(|picture| picture * tokens).collect::<Vec<u32>>(); // at most 256 pictures
        let places = if class_alone { Some(Tensor::new(places, &self.device)?) } else { None };
        let blocks = &self.image.blocks[..count];
        if let Some(fused) = &self.image.fused {
            return fused.layers(blocks, &x, false, places.as_ref());
        }
        layers(blocks, x, false, places.as_ref())
    }

    /// Uploaded pixels to vectors f32 [n, outputs].
    pub fn image(&self, pixels: &Tensor) -> CandleResult<Tensor> {
        let class_alone = !matches!(self.image.head, Head::Attention(_));
        let x = self.through(pixels, self.image.blocks.len(), class_alone)?;
        let normed = self.image.last.apply(&x)?;
        match &self.image.head {
            Head::Attention(pooling) => pooling.forward(&normed)?,
            Head::Projected(projection) => projection.forward(&normed)?,
            Head::Class => normed,
        }
        .to_dtype(DType::F32)
    }

    /// The patches of uploaded pixels as they come out of layer `block`, f32 [n, patches, width].
    pub fn patches(&self, pixels: &Tensor, block: usize) -> CandleResult<Tensor> {
        let x = self.through(pixels, block + 1, false)?;
        let class = usize::from(self.image.class.is_some());
        x.narrow(1, class, x.dim(1)? - class)?.to_dtype(DType::F32)
    }

    /// Texts, each as the text tower of its kind takes them, to vectors [n, outputs]. What pads a shorter text
    /// of a causal tower needs no mask: it cannot reach the end token.
    pub fn text(&self, texts: &[&[u32]]) -> CandleResult<Tensor> {
        let Some(tower) = &self.text else { candle_core::bail!("there is no text tower") };
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(1);
        let mut ids = Vec::with_capacity(texts.len() * longest);
        let mut places = Vec::with_capacity(texts.len());
        for text in texts {
            let place = if tower.causal { end(text) } else { longest - 1 };
            places.push((ids.len() + place) as u32); // at most 256 texts of 1,024 tokens
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), 0);
        }
        let ids = Tensor::new(ids, &self.device)?;
        let width = tower.tokens.dim(D::Minus1)?;
        let tokens = tower.tokens.index_select(&ids, 0)?.reshape((texts.len(), longest, width))?;
        let x = tokens.broadcast_add(&tower.positions.narrow(0, 0, longest)?)?;
        let places = Tensor::new(places, &self.device)?;
        let pooled = self.text_layers(tower, x, &places)?;
        tower.projection.forward(&tower.last.apply(&pooled)?)?.to_dtype(DType::F32)
    }

    fn text_layers(&self, tower: &Text, x: Tensor, places: &Tensor) -> CandleResult<Tensor> {
        if let Some(fused) = &tower.fused {
            return fused.layers(&tower.blocks, &x, tower.causal, Some(places));
        }
        layers(&tower.blocks, x, tower.causal, Some(places))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::Device;
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use serde_json::{Value, json};

    use super::super::config::ModelConfig;
    use super::super::vit_cpu::CpuTowers;
    use super::*;
    use crate::kernels::{Isa, Precision};

    fn weights(config: &ModelConfig) -> HashMap<String, Vec<f32>> {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut all = HashMap::new();
        for (name, shape) in config.layout().tensors {
            let spread = match shape.len() {
                1 => 0.2,
                _ => (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt(),
            };
            let middle = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
            let count = shape.iter().product::<usize>();
            let values = (0..count).map(|_| middle + rng.random_range(-spread..spread)).collect();
            all.insert(name, values);
        }
        all
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// Half precision gives the vectors of f32 within the gate, and not the same.
    fn assert_alike(whole: &Tensor, half: &Tensor) {
        let (whole, half) = (whole.to_vec2::<f32>().unwrap(), half.to_vec2::<f32>().unwrap());
        assert_ne!(whole, half);
        for (a, b) in whole.iter().zip(&half) {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            assert!(cosine >= 0.999, "{cosine}");
        }
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// By the kernels and by candle: vectors, and the patches of every layer that gives them.
    fn compare(config: &Value, side: usize, texts: &[&[u32]]) {
        let config = ModelConfig::parse(config.to_string().as_bytes(), side).unwrap();
        let (plan, weights) = (config.plan().unwrap(), weights(&config));
        let take = |name: &str| Ok(weights[name].clone());
        let own = CpuTowers::new(&plan, Isa::best(), Precision::F32, 2, take).unwrap();
        let candle = CandleTowers::new(&plan, &Device::Cpu, DType::F32, take).unwrap();
        let half = CandleTowers::new(&plan, &Device::Cpu, DType::F16, take).unwrap();
        let mut rng = SmallRng::seed_from_u64(2);
        let pixels: Vec<f32> = (0..3 * 3 * side * side).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (tensor, halved) = (candle.upload(&pixels).unwrap(), half.upload(&pixels).unwrap());
        for block in 0..plan.image.readable() {
            let far = largest_difference(
                &own.patches(&pixels, block),
                &values(&candle.patches(&tensor, block).unwrap()),
            );
            assert!(far < 1e-3, "{config:?} layer {block}: {far}");
        }
        let far = largest_difference(&own.image(&pixels), &values(&candle.image(&tensor).unwrap()));
        assert!(far < 1e-3, "{config:?} image: {far}");
        assert_alike(&candle.image(&tensor).unwrap(), &half.image(&halved).unwrap());
        assert_eq!(half.patches(&halved, 0).unwrap().dtype(), DType::F32);
        if plan.text.is_some() {
            let far = largest_difference(&own.text(texts), &values(&candle.text(texts).unwrap()));
            assert!(far < 1e-3, "{config:?} text: {far}");
            assert_alike(&candle.text(texts).unwrap(), &half.text(texts).unwrap());
        }
    }

    fn tower(activation: &str) -> Value {
        json!({"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 4,
            "image_size": 44, "patch_size": 8, "vocab_size": 16, "max_position_embeddings": 8, "hidden_act": activation})
    }

    #[test]
    fn a_clip_by_candle_is_that_by_the_kernels() {
        for activation in ["quick_gelu", "gelu"] {
            let tower = tower(activation);
            let config = json!({"model_type": "clip", "projection_dim": 24, "text_config": tower, "vision_config": tower});
            compare(&config, 44, &[&[1, 2, 15], &[1, 15], &[3, 4, 5, 6, 7, 8, 9, 15]]);
        }
    }

    #[test]
    fn a_siglip_by_candle_is_that_by_the_kernels() {
        let tower = tower("gelu_pytorch_tanh");
        let config = json!({"model_type": "siglip", "text_config": tower, "vision_config": tower});
        compare(&config, 44, &[&[3, 4, 1, 1, 1, 1, 1, 1], &[9, 8, 7, 6, 5, 4, 3, 1]]);
    }

    #[test]
    fn a_dinov2_by_candle_is_that_by_the_kernels() {
        let mut config = tower("gelu");
        config["model_type"] = json!("dinov2");
        for side in [44, 30, 60] {
            compare(&config, side, &[]);
        }
    }
}
