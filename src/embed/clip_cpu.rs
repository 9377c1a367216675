//! CLIP's two towers on the CPU, by the kernels: packed weights, no padding, no tensors.
//!
//! A text ends at its end token: under the causal mask nothing behind it can reach it. Pictures and texts are
//! worked off in parts of so many rows that what passes between layers stays in the caches.

use parking_lot::Mutex;

use super::clip::ClipConfig;
use super::config::TowerShape;
use crate::error::Result;
use crate::kernels::{
    Activation, Dense, Encoder, EncoderScratch, Isa, LayerWeights, Linear, Norm, Order, Pool, Precision,
    Scratch, Shape, Then,
};

/// Rows that pass through the layers together: of 768 numbers 1.5 MB as f32, half of that between layers.
const MAX_ROWS: usize = 512;
const EPSILON: f32 = 1e-5;
const PLAIN: Then = Then { activation: Activation::None, add: false };

/// Both towers.
pub(super) struct CpuClip {
    isa: Isa,
    pool: Pool,
    text: Text,
    image: Image,
    state: Mutex<State>,
}

struct Text {
    encoder: Encoder,
    width: usize,
    /// [vocabulary, width] and [context, width].
    tokens: Vec<f32>,
    positions: Vec<f32>,
    last: Norm,
    projection: Linear,
}

struct Image {
    encoder: Encoder,
    width: usize,
    side: usize,
    patch: usize,
    patches: Linear,
    /// `[width]`, and [patches + 1, width].
    class: Vec<f32>,
    positions: Vec<f32>,
    first: Norm,
    last: Norm,
    projection: Linear,
}

/// Memory that runs use again.
#[derive(Default)]
struct State {
    scratch: Scratch,
    encoder: EncoderScratch,
    embedded: Vec<f32>,
    stream: Vec<f32>,
    picked: Vec<f32>,
    lengths: Vec<usize>,
    places: Vec<usize>,
}

/// Tensors by name, each taken once.
pub(super) trait Take: FnMut(&str) -> Result<Vec<f32>> {}
impl<F: FnMut(&str) -> Result<Vec<f32>>> Take for F {}

fn norm(take: &mut impl Take, name: &str) -> Result<Norm> {
    Ok(Norm { gain: take(&format!("{name}.weight"))?, bias: take(&format!("{name}.bias"))? })
}

fn dense([weight, bias]: &[Vec<f32>; 2], inputs: usize) -> Dense<'_> {
    Dense { weight, bias, inputs }
}

fn layers(
    isa: Isa,
    precision: Precision,
    tower: &str,
    shape: &TowerShape,
    take: &mut impl Take,
) -> Result<Encoder> {
    let mut encoder = Encoder::new(
        isa,
        Shape {
            width: shape.width,
            heads: shape.heads,
            epsilon: EPSILON,
            activation: Activation::QuickGelu,
            order: Order::Before,
            causal: tower == "text_model",
        },
    );
    for layer in 0..shape.layers {
        let at = format!("{tower}.encoder.layers.{layer}");
        let mut read = |part: &str| -> Result<[Vec<f32>; 2]> {
            Ok([take(&format!("{at}.{part}.weight"))?, take(&format!("{at}.{part}.bias"))?])
        };
        let (query, key, value) =
            (read("self_attn.q_proj")?, read("self_attn.k_proj")?, read("self_attn.v_proj")?);
        let (output, up, down) = (read("self_attn.out_proj")?, read("mlp.fc1")?, read("mlp.fc2")?);
        let (norm1, norm2) =
            (norm(take, &format!("{at}.layer_norm1"))?, norm(take, &format!("{at}.layer_norm2"))?);
        let (width, hidden) = (shape.width, shape.mlp_width);
        let weights = LayerWeights {
            norm1,
            query: dense(&query, width),
            key: dense(&key, width),
            value: dense(&value, width),
            output: dense(&output, width),
            norm2,
            up: dense(&up, width),
            down: dense(&down, hidden),
        };
        encoder.push(precision, weights, layer + 1 == shape.layers);
    }
    Ok(encoder)
}

impl CpuClip {
    /// `take` gives the tensors that [`ClipConfig::layout`] names; `threads` is 1 to 64, or 0 for all cores.
    pub fn new(
        config: &ClipConfig,
        isa: Isa,
        precision: Precision,
        threads: usize,
        mut take: impl FnMut(&str) -> Result<Vec<f32>>,
    ) -> Result<CpuClip> {
        // The first and the last product see raw pixels and make the vector: bytes are too coarse for them.
        let ends = if precision == Precision::Int8 { Precision::Bf16 } else { precision };
        let ending =
            |take: &mut dyn FnMut(&str) -> Result<Vec<f32>>, name: &str, inputs: usize| -> Result<Linear> {
                let weight = take(name)?;
                Ok(Linear::new(isa, ends, &[Dense { weight: &weight, bias: &[], inputs }]))
            };
        let (text, image) = (&config.text, &config.image);
        let patch = 3 * config.patch_size.pow(2);
        let text = Text {
            encoder: layers(isa, precision, "text_model", text, &mut take)?,
            width: text.width,
            tokens: take("text_model.embeddings.token_embedding.weight")?,
            positions: take("text_model.embeddings.position_embedding.weight")?,
            last: norm(&mut take, "text_model.final_layer_norm")?,
            projection: ending(&mut take, "text_projection.weight", text.width)?,
        };
        let image = Image {
            encoder: layers(isa, precision, "vision_model", image, &mut take)?,
            width: image.width,
            side: config.image_size,
            patch: config.patch_size,
            patches: ending(&mut take, "vision_model.embeddings.patch_embedding.weight", patch)?,
            class: take("vision_model.embeddings.class_embedding")?,
            positions: take("vision_model.embeddings.position_embedding.weight")?,
            first: norm(&mut take, "vision_model.pre_layrnorm")?,
            last: norm(&mut take, "vision_model.post_layernorm")?,
            projection: ending(&mut take, "visual_projection.weight", image.width)?,
        };
        Ok(CpuClip { isa, pool: Pool::new(threads)?, text, image, state: Mutex::new(State::default()) })
    }

    /// Pictures f32 [n, 3, side, side] to vectors [n, projection], one behind the other.
    pub fn image(&self, pixels: &[f32]) -> Vec<f32> {
        let tower = &self.image;
        let picture = 3 * tower.side * tower.side;
        let mut vectors = vec![0f32; pixels.len() / picture * tower.projection.outputs()];
        let rows = (tower.side / tower.patch).pow(2) + 1;
        let part = (MAX_ROWS / rows).max(1);
        let mut state = self.state.lock();
        for (pixels, vectors) in
            pixels.chunks(part * picture).zip(vectors.chunks_mut(part * tower.projection.outputs()))
        {
            self.pictures(&mut state, pixels, vectors);
        }
        vectors
    }

    /// The patches of pictures f32 [n, 3, side, side] as they come out of layer `block`, [n, rows, columns,
    /// width]; `block` is that of none but the last layer.
    pub fn patches(&self, pixels: &[f32], block: usize) -> Vec<f32> {
        let Image { width, side, patch, ref encoder, .. } = self.image;
        let rows = (side / patch).pow(2) + 1;
        let part = (MAX_ROWS / rows).max(1) * 3 * side * side;
        let mut state = self.state.lock();
        let mut found = Vec::with_capacity(pixels.len() / (3 * side * side) * (rows - 1) * width);
        for pixels in pixels.chunks(part) {
            self.begin(&mut state, pixels);
            let State { encoder: scratch, stream, lengths, .. } = &mut *state;
            encoder.run_first(block + 1, &self.pool, scratch, stream, lengths);
            for picture in stream.chunks_exact(rows * width) {
                found.extend_from_slice(&picture[width..]);
            }
        }
        found
    }

    fn pictures(&self, state: &mut State, pixels: &[f32], vectors: &mut [f32]) {
        let width = self.image.width;
        self.begin(state, pixels);
        let State { scratch, encoder, stream, picked, lengths, places, .. } = state;
        places.clear();
        places.resize(lengths.len(), 0);
        picked.resize(lengths.len() * width, 0.0);
        self.image.encoder.run(&self.pool, encoder, stream, lengths, places, picked);
        self.image.last.apply(self.isa, EPSILON, picked);
        self.image.projection.forward(&self.pool, scratch, picked, PLAIN, vectors);
    }

    /// Pictures to what enters the first layer: the class token and the patches of each.
    fn begin(&self, state: &mut State, pixels: &[f32]) {
        let Image { width, side, patch, .. } = self.image;
        let across = side / patch;
        let count = pixels.len() / (3 * side * side);
        let State { scratch, embedded, stream, lengths, .. } = state;
        embedded.resize(count * across * across * width, 0.0);
        let fill = |row: usize, line: &mut [f32]| {
            let (picture, at) = (row / (across * across), row % (across * across));
            let corner = at / across * patch * side + at % across * patch;
            for (strip, to) in line.chunks_exact_mut(patch).enumerate() {
                let (channel, y) = (strip / patch, strip % patch);
                let start = ((picture * 3 + channel) * side + y) * side + corner;
                to.copy_from_slice(&pixels[start..start + patch]);
            }
        };
        self.image.patches.forward_with(&self.pool, scratch, fill, PLAIN, embedded);
        stream.clear();
        for patches in embedded.chunks_exact(across * across * width) {
            let from = stream.len();
            stream.extend_from_slice(&self.image.class);
            stream.extend_from_slice(patches);
            stream[from..].iter_mut().zip(&self.image.positions).for_each(|(x, p)| *x += p);
        }
        self.image.first.apply(self.isa, EPSILON, stream);
        lengths.clear();
        lengths.resize(count, across * across + 1);
    }

    /// Texts, each from begin to end token, to vectors [n, projection], one behind the other.
    pub fn text(&self, texts: &[&[u32]]) -> Vec<f32> {
        let outputs = self.text.projection.outputs();
        let mut vectors = vec![0f32; texts.len() * outputs];
        let mut state = self.state.lock();
        let mut done = 0;
        while done < texts.len() {
            let mut rows = 0;
            let fitting = texts[done..].iter().take_while(|text| {
                rows += end(text) + 1;
                rows <= MAX_ROWS
            });
            let count = fitting.count().max(1);
            let vectors = &mut vectors[done * outputs..(done + count) * outputs];
            self.texts(&mut state, &texts[done..done + count], vectors);
            done += count;
        }
        vectors
    }

    fn texts(&self, state: &mut State, texts: &[&[u32]], vectors: &mut [f32]) {
        let Text { width, tokens, positions, .. } = &self.text;
        let State { scratch, encoder, stream, picked, lengths, places, .. } = state;
        stream.clear();
        lengths.clear();
        places.clear();
        for text in texts {
            let end = end(text);
            for (token, position) in text[..=end].iter().zip(positions.chunks_exact(*width)) {
                let token = &tokens[*token as usize * width..][..*width];
                stream.extend(token.iter().zip(position).map(|(t, p)| t + p));
            }
            lengths.push(end + 1);
            places.push(end);
        }
        picked.resize(texts.len() * width, 0.0);
        self.text.encoder.run(&self.pool, encoder, stream, lengths, places, picked);
        self.text.last.apply(self.isa, EPSILON, picked);
        self.text.projection.forward(&self.pool, scratch, picked, PLAIN, vectors);
    }
}

/// The place of the end token: that of the largest id, as CLIP pools.
fn end(text: &[u32]) -> usize {
    let largest = text.iter().copied().max().unwrap_or(0);
    text.iter().position(|id| *id == largest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use serde_json::json;

    use super::super::clip::ClipTowers;
    use super::*;

    #[test]
    fn the_patches_of_every_layer_but_the_last_are_those_of_candle() {
        let tower = json!({"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 4,
            "image_size": 40, "patch_size": 8, "vocab_size": 16, "max_position_embeddings": 8});
        let config =
            json!({"model_type": "clip", "projection_dim": 16, "text_config": tower, "vision_config": tower});
        let config = ClipConfig::parse(config.to_string().as_bytes()).unwrap();
        let mut rng = SmallRng::seed_from_u64(1);
        let mut weights = HashMap::new();
        for (name, shape) in config.layout().tensors {
            let spread = if shape.len() > 1 {
                (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt()
            } else {
                0.5
            };
            let values: Vec<f32> =
                (0..shape.iter().product()).map(|_| rng.random_range(-spread..spread)).collect();
            weights.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
        }
        let take = |name: &str| Ok(weights[name].flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let own = CpuClip::new(&config, Isa::best(), Precision::F32, 2, take).unwrap();
        let candle = ClipTowers::new(&config, &Device::Cpu, weights.clone()).unwrap();
        // More pictures than pass through the layers together.
        let count = MAX_ROWS / 26 + 2;
        let pixels: Vec<f32> = (0..count * 3 * 40 * 40).map(|_| rng.random_range(-2.0..2.0)).collect();
        let tensor = Tensor::from_slice(&pixels, (count, 3, 40, 40), &Device::Cpu).unwrap();
        for block in 0..3 {
            let found = own.patches(&pixels, block);
            let expected = candle.patches(&tensor, block).unwrap();
            assert_eq!(expected.dims(), [count, 25, 64]);
            let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(found.len(), expected.len());
            let far = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-3, "layer {block}: {far}");
        }
        // What a vector is made of stays as it was.
        let vectors = candle.image(&tensor).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let far = own.image(&pixels).iter().zip(&vectors).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-3, "{far}");
    }
}
