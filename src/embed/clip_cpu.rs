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

    fn pictures(&self, state: &mut State, pixels: &[f32], vectors: &mut [f32]) {
        let Image { width, side, patch, .. } = self.image;
        let across = side / patch;
        let count = pixels.len() / (3 * side * side);
        let State { scratch, encoder, embedded, stream, picked, lengths, places } = state;
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
        places.clear();
        places.resize(count, 0);
        picked.resize(count * width, 0.0);
        self.image.encoder.run(&self.pool, encoder, stream, lengths, places, picked);
        self.image.last.apply(self.isa, EPSILON, picked);
        self.image.projection.forward(&self.pool, scratch, picked, PLAIN, vectors);
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
