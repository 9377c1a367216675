//! The transformers of all layouts on the CPU, by the kernels: packed weights, no padding, no tensors.
//!
//! A text of CLIP ends at its end token: under the causal mask nothing behind it can reach it. Pictures and texts are
//! worked off in parts of so many rows that what passes between layers stays in the caches.

use std::ops::Range;

use parking_lot::Mutex;

use super::config::TowerShape;
use super::vit::{Block, Head as HeadWeights, ImagePlan, Matrix, Plan, Take, TextPlan, end};
use crate::error::Result;
use crate::kernels::{
    Activation, AttentionPooling, Dense, Encoder, EncoderScratch, Isa, LayerWeights, Linear, Norm, Order,
    Pool, PoolingWeights, Precision, Scratch, Shape, Then,
};

/// Rows that pass through the layers together, about: of 768 numbers 1.5 MB as f32, half of that between layers.
const MAX_ROWS: usize = 512;
/// The same in bytes, which the kernels take through the layers in blocks that stay in the caches, however many there are:
/// then each weight is read for more rows.
const MAX_ROWS_OF_BYTES: usize = 2048;
const PLAIN: Then = Then { activation: Activation::None, add: false };

/// The towers of a model.
pub(super) struct CpuTowers {
    isa: Isa,
    pool: Pool,
    /// `None` where it embeds pictures only.
    text: Option<Text>,
    image: Image,
    outputs: usize,
    /// Rows that pass through the layers together, about.
    max_rows: usize,
    state: Mutex<State>,
}

struct Text {
    encoder: Encoder,
    width: usize,
    epsilon: f32,
    /// Whether a text ends at its end token, or fills its context and is pooled at its last place.
    causal: bool,
    /// [vocabulary, width] and [context, width].
    tokens: Vec<f32>,
    positions: Vec<f32>,
    last: Norm,
    projection: Linear,
}

struct Image {
    encoder: Encoder,
    layers: usize,
    width: usize,
    epsilon: f32,
    side: usize,
    patch: usize,
    patches: Linear,
    /// `[width]` or nothing, and [tokens, width].
    class: Vec<f32>,
    positions: Vec<f32>,
    first: Option<Norm>,
    last: Norm,
    head: Head,
}

enum Head {
    Class,
    Projected(Linear),
    Attention(Box<AttentionPooling>),
}

impl Text {
    /// The last place of a text that counts.
    fn end(&self, text: &[u32]) -> usize {
        if self.causal { end(text) } else { text.len().saturating_sub(1) }
    }
}

impl Image {
    /// Class token and patches.
    fn tokens(&self) -> usize {
        self.positions.len() / self.width
    }
}

/// So many parts of about `max_rows` rows as sequences of these lengths need, all about as long as each other: a last
/// part of a few rows would stream all weights for them.
fn parts(lengths: &[usize], max_rows: usize) -> Vec<Range<usize>> {
    let all: usize = lengths.iter().sum();
    let count = all.div_ceil(max_rows).clamp(1, lengths.len().max(1));
    let (mut parts, mut begin, mut rows) = (Vec::with_capacity(count), 0, 0);
    for (at, length) in lengths.iter().enumerate() {
        rows += length;
        // The part ends where its share of the rows does.
        if rows * count >= all * (parts.len() + 1) || at + 1 == lengths.len() {
            parts.push(begin..at + 1);
            begin = at + 1;
        }
    }
    parts
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

/// The layers of a tower, packed as they are read; with `all_rows` the last one too gives all rows.
fn layers(
    isa: Isa,
    precision: Precision,
    shape: &TowerShape,
    causal: bool,
    all_rows: bool,
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
        encoder.push(precision, weights, layer + 1 == shape.layers && !all_rows);
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
        let pack = Pack { isa, precision };
        let text = plan.text.as_ref().map(|text| pack.text(text, &mut take)).transpose()?;
        let image = pack.image(&plan.image, &mut take)?;
        let (pool, state) = (Pool::new(threads)?, Mutex::new(State::default()));
        let by_blocks = precision == Precision::Int8 && isa.takes_blocks();
        let max_rows = if by_blocks { MAX_ROWS_OF_BYTES } else { MAX_ROWS };
        Ok(CpuTowers { isa, pool, text, image, outputs: plan.outputs, max_rows, state })
    }

    /// Pictures f32 [n, 3, side, side] to vectors [n, outputs], one behind the other.
    pub fn image(&self, pixels: &[f32]) -> Vec<f32> {
        let tower = &self.image;
        let picture = 3 * tower.side * tower.side;
        let mut vectors = vec![0f32; pixels.len() / picture * self.outputs];
        let mut state = self.state.lock();
        for part in parts(&vec![tower.tokens(); pixels.len() / picture], self.max_rows) {
            let vectors = &mut vectors[part.start * self.outputs..part.end * self.outputs];
            self.pictures(&mut state, &pixels[part.start * picture..part.end * picture], vectors);
        }
        vectors
    }

    /// The patches of pictures f32 [n, 3, side, side] as they come out of layer `block`, [n, rows, columns,
    /// width]; `block` is below [`ImagePlan::readable`].
    pub fn patches(&self, pixels: &[f32], block: usize) -> Vec<f32> {
        let Image { width, side, ref encoder, ref class, .. } = self.image;
        let tokens = self.image.tokens();
        let picture = 3 * side * side;
        let count = pixels.len() / picture;
        let mut state = self.state.lock();
        let mut found = Vec::with_capacity(count * tokens * width);
        for part in parts(&vec![tokens; count], self.max_rows) {
            self.begin(&mut state, &pixels[part.start * picture..part.end * picture]);
            let State { encoder: scratch, stream, lengths, .. } = &mut *state;
            encoder.run_first(block + 1, &self.pool, scratch, stream, lengths);
            for picture in stream.chunks_exact(tokens * width) {
                found.extend_from_slice(&picture[class.len()..]);
            }
        }
        found
    }

    fn pictures(&self, state: &mut State, pixels: &[f32], vectors: &mut [f32]) {
        let Image { width, epsilon, ref encoder, ref last, ref head, .. } = self.image;
        self.begin(state, pixels);
        let State { scratch, encoder: memory, stream, picked, lengths, places, .. } = state;
        if let Head::Attention(pooling) = head {
            encoder.run_first(self.image.layers, &self.pool, memory, stream, lengths);
            let picture = self.image.tokens() * width;
            self.pool.chunks(stream, picture, |_, rows| last.apply(self.isa, epsilon, rows));
            return pooling.run(&self.pool, scratch, stream, self.image.tokens(), vectors);
        }
        places.clear();
        places.resize(lengths.len(), 0);
        picked.resize(lengths.len() * width, 0.0);
        encoder.run(&self.pool, memory, stream, lengths, places, picked);
        last.apply(self.isa, epsilon, picked);
        match head {
            Head::Projected(projection) => projection.forward(&self.pool, scratch, picked, PLAIN, vectors),
            Head::Class | Head::Attention(_) => vectors.copy_from_slice(picked),
        }
    }

    /// Pictures to what enters the first layer: the class token, if there is one, and the patches of each.
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
        let (Image { class, positions, first, epsilon, .. }, tokens) = (&self.image, self.image.tokens());
        stream.resize(count * tokens * width, 0.0);
        self.pool.chunks(stream, tokens * width, |picture, rows| {
            let (head, body) = rows.split_at_mut(class.len());
            head.copy_from_slice(class);
            body.copy_from_slice(&embedded[picture * body.len()..][..body.len()]);
            rows.iter_mut().zip(positions).for_each(|(x, p)| *x += p);
            if let Some(first) = first {
                first.apply(self.isa, *epsilon, rows);
            }
        });
        lengths.clear();
        lengths.resize(count, self.image.tokens());
    }

    /// Texts, each as the text tower of its kind takes them, to vectors [n, outputs], one behind the other;
    /// nothing without a text tower.
    pub fn text(&self, texts: &[&[u32]]) -> Vec<f32> {
        let Some(tower) = &self.text else { return Vec::new() };
        let mut vectors = vec![0f32; texts.len() * self.outputs];
        let mut state = self.state.lock();
        let lengths: Vec<usize> = texts.iter().map(|text| tower.end(text) + 1).collect();
        for part in parts(&lengths, self.max_rows) {
            let vectors = &mut vectors[part.start * self.outputs..part.end * self.outputs];
            self.texts(tower, &mut state, &texts[part], vectors);
        }
        vectors
    }

    fn texts(&self, tower: &Text, state: &mut State, texts: &[&[u32]], vectors: &mut [f32]) {
        let Text { width, tokens, positions, .. } = tower;
        let State { scratch, encoder, stream, picked, lengths, places, .. } = state;
        stream.clear();
        lengths.clear();
        places.clear();
        for text in texts {
            let end = tower.end(text);
            for (token, position) in text[..=end].iter().zip(positions.chunks_exact(*width)) {
                let token = &tokens[*token as usize * width..][..*width];
                stream.extend(token.iter().zip(position).map(|(t, p)| t + p));
            }
            lengths.push(end + 1);
            places.push(end);
        }
        picked.resize(texts.len() * width, 0.0);
        tower.encoder.run(&self.pool, encoder, stream, lengths, places, picked);
        tower.last.apply(self.isa, tower.epsilon, picked);
        tower.projection.forward(&self.pool, scratch, picked, PLAIN, vectors);
    }
}

/// How weights are packed.
struct Pack {
    isa: Isa,
    precision: Precision,
}

impl Pack {
    /// The first and the last product see raw pixels and make the vector: bytes are too coarse for them.
    fn ends(&self) -> Precision {
        if self.precision == Precision::Int8 { Precision::Bf16 } else { self.precision }
    }

    fn ending(&self, layer: &Matrix, inputs: usize) -> Linear {
        Linear::new(self.isa, self.ends(), &[dense(layer, inputs)])
    }

    fn text(&self, plan: &TextPlan, take: &mut impl Take) -> Result<Text> {
        let shape = &plan.shape;
        let block = |layer| plan.block(layer, take);
        let encoder = layers(self.isa, self.precision, shape, plan.causal, false, block)?;
        let weights = plan.weights(take)?;
        Ok(Text {
            encoder,
            width: shape.width,
            epsilon: shape.epsilon,
            causal: plan.causal,
            tokens: weights.tokens,
            positions: weights.positions,
            last: weights.last,
            projection: self.ending(&weights.projection, shape.width),
        })
    }

    fn image(&self, plan: &ImagePlan, take: &mut impl Take) -> Result<Image> {
        let shape = &plan.shape;
        let all_rows = plan.readable() == shape.layers;
        let block = |layer| plan.block(layer, take);
        let encoder = layers(self.isa, self.precision, shape, false, all_rows, block)?;
        let weights = plan.weights(take)?;
        let head = match weights.head {
            HeadWeights::Class => Head::Class,
            HeadWeights::Projected(projection) => Head::Projected(self.ending(&projection, shape.width)),
            HeadWeights::Attention(head) => {
                let weights = PoolingWeights {
                    probe: &head.probe,
                    query: dense(&head.query, shape.width),
                    key: dense(&head.key, shape.width),
                    value: dense(&head.value, shape.width),
                    output: dense(&head.output, shape.width),
                    norm: head.norm,
                    up: dense(&head.up, shape.width),
                    down: dense(&head.down, shape.mlp_width),
                };
                let (isa, ends) = (self.isa, self.ends());
                let TowerShape { heads, epsilon, activation, .. } = *shape;
                Head::Attention(Box::new(AttentionPooling::new(
                    isa, ends, heads, epsilon, activation, weights,
                )))
            }
        };
        Ok(Image {
            encoder,
            layers: shape.layers,
            width: shape.width,
            epsilon: shape.epsilon,
            side: plan.side,
            patch: plan.patch,
            patches: self.ending(&weights.patches, 3 * plan.patch.pow(2)),
            class: weights.class,
            positions: weights.positions,
            first: weights.first,
            last: weights.last,
            head,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_hold_every_sequence_once_and_are_about_as_long_as_each_other(
            lengths in prop::collection::vec(1usize..80, 0..60), max_rows in 1usize..1000,
        ) {
            let parts = parts(&lengths, max_rows);
            let all: Vec<usize> = parts.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for part in &parts {
                let rows: usize = lengths[part.clone()].iter().sum();
                prop_assert!(part.len() == 1 || rows < max_rows + 2 * 80, "{rows}");
            }
        }
    }
}
