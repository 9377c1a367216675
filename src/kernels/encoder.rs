//! A transformer: layers of attention and of two linear layers, each added to a stream of f32. Sequences of
//! different lengths stand one behind the other, without padding.
//!
//! What comes out is one row of each sequence. So the last layer makes keys and values of all rows, and
//! everything else of those rows only: exact, since after the last attention no row sees another.

use super::attention::{Heads, Span};
use super::buffer::{Buffer, Cells};
use super::isa::Isa;
use super::epilogue::{Finish, Target};
use super::linear::{Dense, Linear, ThreadScratch, each_tile, prepare};
use super::rows::{RowBuffer, Rows};
use super::team::{Pool, Team};
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
enum Inputs {
    /// Queries, keys and values.
    All(Linear),
    /// Of the last layer: queries of few rows, keys and values of all.
    Last { queries: Linear, keys: Linear },
}

#[derive(Debug)]
struct Layer {
    norm1: Norm,
    inputs: Inputs,
    output: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
}

/// The layers, packed.
#[derive(Debug)]
pub struct Encoder {
    isa: Isa,
    shape: Shape,
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
        hidden_buffer.grow(if format.by_parts() { 0 } else { 4 * rows * hidden });
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
            left: left.rows(format, rows, width),
            few: few.rows(format, count, width),
            wide: wide.rows(format, rows, hidden),
            joint: joint.share(rows * 3 * width),
            mixed: mixed.share(rows * width),
            hidden: hidden_buffer.share(if format.by_parts() { 0 } else { rows * hidden }),
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

/// What the threads of a run share.
struct Run<'a> {
    encoder: &'a Encoder,
    layers: &'a [Layer],
    /// Inputs of a product, [rows, width]; of the picked rows only; and [rows, hidden].
    left: Rows<'a>,
    few: Rows<'a>,
    wide: Rows<'a>,
    /// Queries, keys and values side by side, [rows, 3 width].
    joint: Cells<'a, f32>,
    /// What attention makes, [rows, width].
    mixed: Cells<'a, f32>,
    /// Where a row must be known as a whole before it is prepared, [rows, hidden].
    hidden: Cells<'a, f32>,
    threads: Cells<'a, ThreadScratch>,
    lengths: &'a [usize],
    firsts: &'a [usize],
    picked: &'a [usize],
}

impl Run<'_> {
    fn layers(&self, team: &Team, stream: Cells<f32>, out: Cells<f32>) {
        let Shape { width, order, heads, causal, .. } = self.encoder.shape;
        for (at, layer) in self.layers.iter().enumerate() {
            // With `After` the layer before has left its rows prepared.
            if order == Order::Before {
                self.normalise(team, &layer.norm1, stream, self.left, false);
            } else if at == 0 {
                prepare(self.encoder.isa, team, stream, self.left);
            }
            let all = Heads {
                count: heads,
                width: width / heads,
                causal,
                queries: self.joint,
                query_stride: 3 * width,
                keys: self.joint,
                key_stride: 3 * width,
                key_at: width,
                value_at: 2 * width,
            };
            match &layer.inputs {
                Inputs::All(linear) => {
                    linear.multiply(team, self.left, store(self.joint), self.threads);
                    self.attend(team, all, false, self.left);
                    self.rest(team, layer, stream, self.left);
                }
                Inputs::Last { queries, keys } => {
                    // The queries of the picked rows stand behind keys and values of all.
                    let rows = self.left.count;
                    let (key_cells, query_cells) = self.parts(rows * 2 * width);
                    keys.multiply(team, self.left, store(key_cells), self.threads);
                    self.gather(team, stream, out);
                    if order == Order::Before {
                        self.normalise(team, &layer.norm1, out, self.few, false);
                    } else {
                        prepare(self.encoder.isa, team, out, self.few);
                    }
                    queries.multiply(team, self.few, store(query_cells), self.threads);
                    let last = Heads {
                        queries: query_cells,
                        query_stride: width,
                        keys: key_cells,
                        key_stride: 2 * width,
                        key_at: 0,
                        value_at: width,
                        ..all
                    };
                    self.attend(team, last, true, self.few);
                    self.rest(team, layer, out, self.few);
                }
            }
        }
    }

    /// The buffer of queries, keys and values in two.
    fn parts(&self, at: usize) -> (Cells<'_, f32>, Cells<'_, f32>) {
        (self.joint.range(0..at), self.joint.range(at..self.joint.len()))
    }

    /// The picked rows of the stream.
    fn gather(&self, team: &Team, stream: Cells<f32>, out: Cells<f32>) {
        let width = self.encoder.shape.width;
        team.each(self.picked.len(), |at| {
            let from = (self.firsts[at] + self.picked[at]) * width;
            // SAFETY: the stream is only read in this step, and each task has its own row of `out`.
            unsafe { out.part(at * width..(at + 1) * width).copy_from_slice(stream.view(from..from + width)) }
        });
    }

    /// Rows of the stream, normalised, for a product; and with `keep` in the stream as well.
    fn normalise(&self, team: &Team, norm: &Norm, stream: Cells<f32>, to: Rows, keep: bool) {
        let Shape { width, epsilon, .. } = self.encoder.shape;
        each_tile(team, to.count, |rows| {
            // SAFETY: each thread has its own scratch.
            let scratch = unsafe { &mut self.threads.part(team.rank()..team.rank() + 1)[0] };
            let line = &mut scratch.extra.as_mut_slice::<f32>()[..width];
            self.encoder.isa.vectorise(
                #[inline(always)]
                || {
                    for row in rows {
                        // SAFETY: this task alone has these rows.
                        let own = unsafe { stream.part(row * width..(row + 1) * width) };
                        normalise(own, norm, epsilon, line);
                        if keep {
                            own.copy_from_slice(line);
                        }
                        // SAFETY: as above.
                        unsafe { to.write(row, line) }
                    }
                },
            );
        });
    }

    /// Attention of all rows, or with `few` of the picked ones; prepared for a product.
    fn attend(&self, team: &Team, heads: Heads, few: bool, to: Rows) {
        let isa = self.encoder.isa;
        let direct = to.format.by_parts() && heads.width.is_multiple_of(32);
        team.each(self.lengths.len() * heads.count, |task| {
            let (sequence, head) = (task / heads.count, task % heads.count);
            let (key, length) = (self.firsts[sequence], self.lengths[sequence]);
            let span = match few {
                true => Span { head, key, length, query: sequence, queries: 1, place: self.picked[sequence] },
                false => Span { head, key, length, query: key, queries: length, place: 0 },
            };
            // SAFETY: each thread has its own scratch.
            let scratch = unsafe { &mut self.threads.part(team.rank()..team.rank() + 1)[0] };
            isa.vectorise(
                #[inline(always)]
                || {
                    let extra = &mut scratch.extra;
                    // SAFETY: queries and keys are written in earlier steps, and only read in this one.
                    unsafe {
                        heads.run(
                            isa,
                            span,
                            extra,
                            #[inline(always)]
                            |row: usize, values: &[f32]| self.place(row, head, values, direct.then_some(to)),
                        )
                    }
                },
            );
        });
        if !direct {
            prepare(isa, team, self.mixed, to);
        }
    }

    /// What one head makes of one row, to where it is prepared, or to where it waits for the other heads.
    #[inline(always)]
    fn place(&self, row: usize, head: usize, values: &[f32], prepared: Option<Rows>) {
        let start = head * values.len();
        if let Some(to) = prepared {
            for (at, values) in values.as_chunks::<32>().0.iter().enumerate() {
                // SAFETY: this task alone has this head's part of its sequence's rows.
                unsafe { to.write_32(row, start / 32 + at, values) }
            }
        } else {
            let start = row * self.encoder.shape.width + start;
            // SAFETY: as above.
            unsafe { self.mixed.part(start..start + values.len()).copy_from_slice(values) }
        }
    }

    /// Behind attention: its output layer, and the two linear layers. `rows` holds what attention made.
    fn rest(&self, team: &Team, layer: &Layer, stream: Cells<f32>, rows: Rows) {
        let Shape { order, activation, .. } = self.encoder.shape;
        let add = Finish { activation: Activation::None, target: Target::Add(stream) };
        layer.output.multiply(team, rows, add, self.threads);
        match order {
            Order::Before => self.normalise(team, &layer.norm2, stream, rows, false),
            Order::After => self.normalise(team, &layer.norm1, stream, rows, true),
        }
        let wide = Rows { count: rows.count, ..self.wide };
        if wide.format.by_parts() {
            let finish = Finish { activation, target: Target::Rows(wide) };
            layer.up.multiply(team, rows, finish, self.threads);
        } else {
            let finish = Finish { activation, target: Target::Store(self.hidden) };
            layer.up.multiply(team, rows, finish, self.threads);
            prepare(self.encoder.isa, team, self.hidden, wide);
        }
        layer.down.multiply(team, wide, add, self.threads);
        if order == Order::After {
            self.normalise(team, &layer.norm2, stream, rows, true);
        }
    }
}

fn store(to: Cells<f32>) -> Finish {
    Finish { activation: Activation::None, target: Target::Store(to) }
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
