//! The steps of a run through the layers of an encoder: by all threads, a product at a time, or where that is faster by
//! blocks of rows, each of which one thread takes through all that lies between two attentions.

use std::ops::Range;

use super::Activation;
use super::attention::{Heads, Span};
use super::buffer::Cells;
use super::encoder::{Encoder, Inputs, Layer, Norm, Order, Shape, normalise};
use super::epilogue::{Finish, Target};
use super::isa::Isa;
use super::laps::{self, Part};
use super::linear::{ThreadScratch, each_tile, prepare, prepare_block};
use super::rows::{Format, Rows, TILE_ROWS};
use super::team::Team;

/// Rows that one thread takes through all that needs no other rows: of 3072 sums 384 kB, which stay in its cache.
pub(super) const BLOCK: usize = 2 * TILE_ROWS;
/// Rows for each thread below which the threads share each product instead, so that none is without work.
const MIN_ROWS: usize = 128;

/// Whether so many rows go by blocks. Of bytes a row has to be known as a whole before it is prepared: so it is made and
/// prepared in the cache. bf16 and f32 are prepared by parts, and gain nothing.
pub(super) fn by_blocks(isa: Isa, format: Format, rows: usize, threads: usize) -> bool {
    isa.takes_blocks() && !format.by_parts() && rows >= MIN_ROWS * threads
}

/// Rows in blocks: large ones first, and tiles for the end, so that the threads end together.
struct Cut {
    rows: usize,
    large: usize,
}

impl Cut {
    fn new(rows: usize, threads: usize) -> Cut {
        Cut { rows, large: rows.div_ceil(TILE_ROWS).saturating_sub(2 * threads) / 2 }
    }

    fn blocks(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS) - self.large
    }

    fn block(&self, at: usize) -> Range<usize> {
        let tile = |at: usize| at + at.min(self.large);
        tile(at) * TILE_ROWS..(tile(at + 1) * TILE_ROWS).min(self.rows)
    }
}

/// What the threads of a run share.
pub(super) struct Run<'a> {
    pub encoder: &'a Encoder,
    pub layers: &'a [Layer],
    /// As [`by_blocks`] says.
    pub blocks: bool,
    /// Inputs of a product, [rows, width]; of the picked rows only; and [rows, hidden], or by
    /// blocks a block of each thread.
    pub left: Rows<'a>,
    pub few: Rows<'a>,
    pub wide: Rows<'a>,
    /// Queries, keys and values side by side, [rows, 3 width].
    pub joint: Cells<'a, f32>,
    /// What attention makes, [rows, width].
    pub mixed: Cells<'a, f32>,
    /// Where a row must be known as a whole before it is prepared, [rows, hidden]; by blocks of the picked rows only.
    pub hidden: Cells<'a, f32>,
    pub threads: Cells<'a, ThreadScratch>,
    pub lengths: &'a [usize],
    pub firsts: &'a [usize],
    pub picked: &'a [usize],
}

impl Run<'_> {
    pub fn layers(&self, team: &Team, stream: Cells<f32>, out: Cells<f32>) {
        let Shape { width, order, heads, causal, .. } = self.encoder.shape;
        let (rows, blocks) = (self.left.count, self.blocks);
        let between = |at: usize| {
            let cut = Cut::new(rows, team.threads());
            team.each(cut.blocks(), |block| self.block(at, cut.block(block), stream, team.rank()));
        };
        for (at, layer) in self.layers.iter().enumerate() {
            if blocks {
                between(at);
            } else if order == Order::Before {
                self.normalise(team, &layer.norm1, stream, self.left, false);
            } else if at == 0 {
                // Later the layer before has left its rows prepared.
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
                    if !blocks {
                        linear.multiply(team, self.left, store(self.joint), self.threads);
                    }
                    self.attend(team, all, false, self.left);
                    if !blocks {
                        self.collect(team, self.left);
                        self.rest(team, layer, stream, self.left);
                    }
                }
                Inputs::Last { queries, keys } => {
                    // The queries of the picked rows stand behind keys and values of all.
                    let (key_cells, query_cells) = self.parts(rows * 2 * width);
                    if !blocks {
                        keys.multiply(team, self.left, store(key_cells), self.threads);
                    }
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
                    self.collect(team, self.few);
                    self.rest(team, layer, out, self.few);
                    return;
                }
            }
        }
        if blocks {
            between(self.layers.len());
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
        each_tile(team, to.count, |rows| {
            // SAFETY: each thread has its own scratch.
            let scratch = unsafe { &mut self.threads.part(team.rank()..team.rank() + 1)[0] };
            self.normalise_block(rows, norm, stream, to, keep, scratch);
        });
    }

    /// The same for some rows, by one thread.
    fn normalise_block(
        &self,
        rows: Range<usize>,
        norm: &Norm,
        stream: Cells<f32>,
        to: Rows,
        keep: bool,
        scratch: &mut ThreadScratch,
    ) {
        let Shape { width, epsilon, .. } = self.encoder.shape;
        let line = &mut scratch.extra.as_mut_slice::<f32>()[..width];
        laps::turn_to(Part::Rows);
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
    }

    /// Whether attention leaves its rows prepared.
    fn direct(&self) -> bool {
        let Shape { width, heads, .. } = self.encoder.shape;
        self.left.format.by_parts() && (width / heads).is_multiple_of(32)
    }

    /// What lies between the attention of the layer before `at` and that of `at`, for some rows by one thread: nothing
    /// there sees other rows.
    fn block(&self, at: usize, range: Range<usize>, stream: Cells<f32>, rank: usize) {
        let Shape { width, order, activation, .. } = self.encoder.shape;
        let isa = self.encoder.isa;
        // SAFETY: each thread has its own scratch.
        let scratch = unsafe { &mut self.threads.part(rank..rank + 1)[0] };
        let (count, left) = (range.len(), self.left.some(range.clone()));
        let stream = of(stream, &range, width);
        let add = Finish { activation: Activation::None, target: Target::Add(stream) };
        if let Some(layer) = at.checked_sub(1).and_then(|before| self.layers.get(before)) {
            if !self.direct() {
                prepare_block(isa, 0..count, of(self.mixed, &range, width), left);
            }
            layer.output.multiply_block(left, add, scratch);
            let after = order == Order::After;
            let norm = if after { &layer.norm1 } else { &layer.norm2 };
            self.normalise_block(0..count, norm, stream, left, after, scratch);
            let wide = Rows { count, ..self.wide.some(rank * BLOCK..(rank + 1) * BLOCK) };
            if wide.format.by_parts() {
                layer.up.multiply_block(left, Finish { activation, target: Target::Rows(wide) }, scratch);
            } else {
                let mut made = std::mem::take(&mut scratch.made);
                made.grow(4 * count * wide.width);
                let sums = made.share(count * wide.width);
                layer.up.multiply_block(left, Finish { activation, target: Target::Store(sums) }, scratch);
                prepare_block(isa, 0..count, sums, wide);
                scratch.made = made;
            }
            layer.down.multiply_block(wide, add, scratch);
            if after {
                self.normalise_block(0..count, &layer.norm2, stream, left, true, scratch);
            }
        }
        let Some(layer) = self.layers.get(at) else { return };
        if order == Order::Before {
            self.normalise_block(0..count, &layer.norm1, stream, left, false, scratch);
        } else if at == 0 {
            prepare_block(isa, 0..count, stream, left);
        }
        let (linear, to) = match &layer.inputs {
            Inputs::All(linear) => (linear, of(self.joint, &range, 3 * width)),
            Inputs::Last { keys, .. } => (keys, of(self.joint, &range, 2 * width)),
        };
        linear.multiply_block(left, store(to), scratch);
    }

    /// Attention of all rows, or with `few` of the picked ones; prepared for a product.
    fn attend(&self, team: &Team, heads: Heads, few: bool, to: Rows) {
        let isa = self.encoder.isa;
        let direct = self.direct();
        team.each(self.lengths.len() * heads.count, |task| {
            laps::turn_to(Part::Attention);
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
    }

    /// What attention made, as a step of a team, where it has not left it prepared.
    fn collect(&self, team: &Team, to: Rows) {
        if !self.direct() {
            prepare(self.encoder.isa, team, self.mixed, to);
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

/// Some rows of `width` numbers.
fn of<'a>(cells: Cells<'a, f32>, rows: &Range<usize>, width: usize) -> Cells<'a, f32> {
    cells.range(rows.start * width..rows.end * width)
}

fn store(to: Cells<f32>) -> Finish {
    Finish { activation: Activation::None, target: Target::Store(to) }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn blocks_hold_every_row_once_and_begin_at_tiles() {
        for (rows, threads) in (1..400).flat_map(|rows| [(rows, 1), (rows, 2), (rows, 7)]) {
            let cut = Cut::new(rows, threads);
            let blocks: Vec<_> = (0..cut.blocks()).map(|at| cut.block(at)).collect();
            assert!(blocks.iter().all(|block| block.start % 16 == 0 && (1..=32).contains(&block.len())));
            assert_eq!(blocks.into_iter().flatten().collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
        }
    }
}
