//! A transformer: layers of attention and of two linear layers, each added to a stream of f32. Sequences of
//! different lengths stand one behind the other, without padding.
//!
//! What comes out is one row of each sequence. So the last layer makes keys and values of all rows, and
//! everything else of those rows only: exact, since after the last attention no row sees another.

use super::attention::Heads;
use super::buffer::{Buffer, Cells};
use super::isa::Isa;
use super::linear::{Dense, Linear, ThreadScratch};
use super::rows::RowBuffer;
use super::steps::{BLOCK, Run, by_blocks};
use super::team::Pool;
use super::{Activation, Precision, math};

/// Gain and bias of a normalisation over the width.
#[derive(Debug, Clone)]
pub struct Norm {
    /// `[width]`.
    pub gain: Vec<f32>,
    /// `[width]`.
    pub bias: Vec<f32>,
}

/// Where a layer normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What enters each half of a layer, as in CLIP.
    Before,
    /// The stream after each half, as in BERT.
    After,
}

/// What all layers have in common.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Width of the stream; a multiple of `heads`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Between the two linear layers.
    pub activation: Activation,
    /// Where it normalises.
    pub order: Order,
    /// A row sees only the rows before it.
    pub causal: bool,
}

/// One layer as a checkpoint has it.
#[derive(Debug)]
pub struct LayerWeights<'a> {
    /// Of attention.
    pub norm1: Norm,
    /// [width, width].
    pub query: Dense<'a>,
    /// [width, width].
    pub key: Dense<'a>,
    /// [width, width].
    pub value: Dense<'a>,
    /// [width, width].
    pub output: Dense<'a>,
    /// Of the linear layers.
    pub norm2: Norm,
    /// [hidden, width].
    pub up: Dense<'a>,
    /// [width, hidden].
    pub down: Dense<'a>,
}

#[derive(Debug)]
pub(super) enum Inputs {
    /// Queries, keys and values.
    All(Linear),
    /// Of the last layer: queries of few rows, keys and values of all.
    Last { queries: Linear, keys: Linear },
}

#[derive(Debug)]
pub(super) struct Layer {
    pub norm1: Norm,
    pub inputs: Inputs,
    pub output: Linear,
    pub norm2: Norm,
    pub up: Linear,
    pub down: Linear,
}

/// The layers, packed.
#[derive(Debug)]
pub struct Encoder {
    pub(super) isa: Isa,
    pub(super) shape: Shape,
    layers: Vec<Layer>,
}

impl Encoder {
    /// No layers yet.
    pub fn new(isa: Isa, shape: Shape) -> Encoder {
        Encoder { isa, shape, layers: Vec::new() }
    }

    /// Pack the next layer; `last` says that it is the last one.
    pub fn push(&mut self, precision: Precision, weights: LayerWeights, last: bool) {
        let pack = |layers: &[Dense]| Linear::new(self.isa, precision, layers);
        let inputs = if last {
            Inputs::Last { queries: pack(&[weights.query]), keys: pack(&[weights.key, weights.value]) }
        } else {
            Inputs::All(pack(&[weights.query, weights.key, weights.value]))
        };
        self.layers.push(Layer {
            norm1: weights.norm1,
            inputs,
            output: pack(&[weights.output]),
            norm2: weights.norm2,
            up: pack(&[weights.up]),
            down: pack(&[weights.down]),
        });
    }

    /// Run all layers over `stream`, f32 [rows, width]: sequences of `lengths` rows one behind the other. Of
    /// each sequence the row `picked` (counted from its own first) comes out, in `out` [sequences, width];
    /// with [`Order::Before`] it is not yet normalised. The stream is used up.
    ///
    /// # Panics
    /// Where the lengths do not fit, a sequence is empty, or there are no layers or the last was not named.
    pub fn run(
        &self,
        pool: &Pool,
        scratch: &mut EncoderScratch,
        stream: &mut [f32],
        lengths: &[usize],
        picked: &[usize],
        out: &mut [f32],
    ) {
        let (width, count) = (self.shape.width, lengths.len());
        assert!(out.len() == count * width && picked.len() == count);
        assert!(picked.iter().zip(lengths).all(|(at, length)| at < length));
        if !matches!(self.layers.last(), Some(Layer { inputs: Inputs::Last { .. }, .. })) {
            panic_without_layers();
            return;
        }
        self.over(&self.layers, pool, scratch, stream, Sequences { lengths, picked }, out);
    }

    /// Run the first `layers` layers over `stream` as [`Encoder::run`] does, and leave in it what comes out of
    /// them: all rows, with [`Order::Before`] not yet normalised.
    ///
    /// # Panics
    /// Where the lengths do not fit, a sequence is empty, or the last layer, which makes few rows, is among
    /// them.
    pub fn run_first(
        &self,
        layers: usize,
        pool: &Pool,
        scratch: &mut EncoderScratch,
        stream: &mut [f32],
        lengths: &[usize],
    ) {
        let layers = &self.layers[..layers];
        assert!(layers.iter().all(|layer| matches!(layer.inputs, Inputs::All(_))));
        self.over(layers, pool, scratch, stream, Sequences { lengths, picked: &[] }, &mut []);
    }

    fn over(
        &self,
        layers: &[Layer],
        pool: &Pool,
        scratch: &mut EncoderScratch,
        stream: &mut [f32],
        sequences: Sequences<'_>,
        out: &mut [f32],
    ) {
        let Some(Layer { up, .. }) = layers.last() else { return };
        let Sequences { lengths, picked } = sequences;
        let (width, count) = (self.shape.width, picked.len());
        let rows: usize = lengths.iter().sum();
        assert!(stream.len() == rows * width && !lengths.contains(&0));
        let format = up.format();
        let hidden = up.outputs();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let mut bytes = Heads::scratch(width / self.shape.heads, longest).max(4 * width);
        for layer in layers {
            for linear in [&layer.output, &layer.up, &layer.down] {
                bytes = bytes.max(linear.scratch());
            }
        }
        scratch.threads.resize_with(pool.threads().max(scratch.threads.len()), ThreadScratch::default);
        scratch.threads.iter_mut().for_each(|thread| thread.extra.grow(bytes));
        let EncoderScratch { left, few, wide, joint, mixed, hidden: hidden_buffer, threads } = scratch;
        joint.grow(4 * rows * 3 * width);
        mixed.grow(4 * rows * width);
        let blocks = by_blocks(self.isa, format, rows, pool.threads());
        let wide_rows = if blocks { count.max(BLOCK * pool.threads()) } else { rows };
        let hidden_rows = match (format.by_parts(), blocks) {
            (true, _) => 0,
            (false, true) => count,
            (false, false) => rows,
        };
        hidden_buffer.grow(4 * hidden_rows * hidden);
        let firsts: Vec<usize> = lengths
            .iter()
            .scan(0, |next, length| {
                *next += length;
                Some(*next - length)
            })
            .collect();
        let run = Run {
            encoder: self,
            layers,
            blocks,
            left: left.rows(self.isa, format, rows, width),
            few: few.rows(self.isa, format, count, width),
            wide: wide.rows(self.isa, format, wide_rows, hidden),
            joint: joint.share(rows * 3 * width),
            mixed: mixed.share(rows * width),
            hidden: hidden_buffer.share(hidden_rows * hidden),
            threads: Cells::new(threads),
            lengths,
            firsts: &firsts,
            picked,
        };
        let (stream, out) = (Cells::new(stream), Cells::new(out));
        pool.run(|team| run.layers(team, stream, out));
    }
}

#[cold]
fn panic_without_layers() {
    debug_assert!(false, "an encoder without a last layer");
}

/// Memory of a run, which the next one uses again.
#[derive(Debug, Default)]
pub struct EncoderScratch {
    left: RowBuffer,
    few: RowBuffer,
    wide: RowBuffer,
    joint: Buffer,
    mixed: Buffer,
    hidden: Buffer,
    threads: Vec<ThreadScratch>,
}

/// Rows of each sequence, and which row of each comes out where only one does.
struct Sequences<'a> {
    lengths: &'a [usize],
    picked: &'a [usize],
}

/// One row: mean 0, variance 1, then gain and bias.
#[inline(always)]
pub(super) fn normalise(row: &[f32], norm: &Norm, epsilon: f32, to: &mut [f32]) {
    let count = row.len() as f32;
    let mean = math::sum(
        row,
        #[inline(always)]
        |v| v,
    ) / count;
    let variance = math::sum(
        row,
        #[inline(always)]
        |v| (v - mean) * (v - mean),
    ) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for (((to, value), gain), bias) in to.iter_mut().zip(row).zip(&norm.gain).zip(&norm.bias) {
        *to = (value - mean) * scale * gain + bias;
    }
}

impl Norm {
    /// Normalise rows of f32 [rows, width], one behind the other.
    pub fn apply(&self, isa: Isa, epsilon: f32, rows: &mut [f32]) {
        let mut line = vec![0f32; self.gain.len()];
        isa.vectorise(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(self.gain.len()) {
                    normalise(row, self, epsilon, &mut line);
                    row.copy_from_slice(&line);
                }
            },
        );
    }
}
