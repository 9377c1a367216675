//! The transformers of all layouts on the CPU, by the kernels: packed weights, no padding, no tensors.
//!
//! A text of CLIP ends at its end token: under the causal mask nothing behind it can reach it. Pictures and texts are
//! worked off in parts of so many rows that what passes between layers stays in the caches.

use parking_lot::Mutex;

use super::config::TowerShape;
use super::vit::{Block, Matrix, Plan, Take, end};
use crate::error::Result;
use crate::kernels::{
    Activation, Dense, Encoder, EncoderScratch, Isa, LayerWeights, Linear, Norm, Order, Pool, Precision,
    Scratch, Shape, Then,
};

/// Rows that pass through the layers together: of 768 numbers 1.5 MB as f32, half of that between layers.
const MAX_ROWS: usize = 512;
const PLAIN: Then = Then { activation: Activation::None, add: false };

/// Both towers.
pub(super) struct CpuTowers {
    isa: Isa,
    pool: Pool,
    text: Text,
    image: Image,
    state: Mutex<State>,
}

struct Text {
    encoder: Encoder,
    width: usize,
    epsilon: f32,
    /// [vocabulary, width] and [context, width].
    tokens: Vec<f32>,
    positions: Vec<f32>,
    last: Norm,
    projection: Linear,
}

struct Image {
    encoder: Encoder,
    width: usize,
    epsilon: f32,
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

fn dense(layer: &Matrix, inputs: usize) -> Dense<'_> {
    Dense { weight: &layer.weight, bias: &layer.bias, inputs }
}

/// The layers of a tower, packed as they are read.
fn layers(
    isa: Isa,
    precision: Precision,
    shape: &TowerShape,
    causal: bool,
    mut block: impl FnMut(usize) -> Result<Block>,
) -> Result<Encoder> {
    let TowerShape { width, mlp_width, heads, activation, epsilon, .. } = *shape;
    let mut encoder =
        Encoder::new(isa, Shape { width, heads, epsilon, activation, order: Order::Before, causal });
    for layer in 0..shape.layers {
        let block = block(layer)?;
        let weights = LayerWeights {
            query: dense(&block.query, width),
            key: dense(&block.key, width),
            value: dense(&block.value, width),
            output: dense(&block.output, width),
            up: dense(&block.up, width),
            down: dense(&block.down, mlp_width),
            norm1: block.norm1,
            norm2: block.norm2,
        };
        encoder.push(precision, weights, layer + 1 == shape.layers);
    }
    Ok(encoder)
}

impl CpuTowers {
    /// `take` gives the tensors that the layout of the plan names; `threads` is 1 to 64, or 0 for all cores.
    pub fn new(
        plan: &Plan,
        isa: Isa,
        precision: Precision,
        threads: usize,
        mut take: impl Take,
    ) -> Result<CpuTowers> {
        // The first and the last product see raw pixels and make the vector: bytes are too coarse for them.
        let ends = if precision == Precision::Int8 { Precision::Bf16 } else { precision };
        let ending = |layer: &Matrix, inputs: usize| Linear::new(isa, ends, &[dense(layer, inputs)]);
        let (of_text, shape) = (&plan.text, &plan.text.shape);
        let encoder = layers(isa, precision, shape, true, |layer| of_text.block(layer, &mut take))?;
        let weights = of_text.weights(&mut take)?;
        let text = Text {
            encoder,
            width: shape.width,
            epsilon: shape.epsilon,
            tokens: weights.tokens,
            positions: weights.positions,
            last: weights.last,
            projection: ending(&weights.projection, shape.width),
        };
        let (of_image, shape) = (&plan.image, &plan.image.shape);
        let encoder = layers(isa, precision, shape, false, |layer| of_image.block(layer, &mut take))?;
        let weights = of_image.weights(&mut take)?;
        let image = Image {
            encoder,
            width: shape.width,
            epsilon: shape.epsilon,
            side: of_image.side,
            patch: of_image.patch,
            patches: ending(&weights.patches, 3 * of_image.patch.pow(2)),
            class: weights.class,
            positions: weights.positions,
            first: weights.first,
            last: weights.last,
            projection: ending(&weights.projection, shape.width),
        };
        Ok(CpuTowers { isa, pool: Pool::new(threads)?, text, image, state: Mutex::new(State::default()) })
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
        self.image.last.apply(self.isa, self.image.epsilon, picked);
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
        self.image.first.apply(self.isa, self.image.epsilon, stream);
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
        self.text.last.apply(self.isa, self.text.epsilon, picked);
        self.text.projection.forward(&self.pool, scratch, picked, PLAIN, vectors);
    }
}
