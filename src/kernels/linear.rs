//! Linear layers: `y = act(x W^T + b)`, the weights packed once, for the kernel that will read them.
//!
//! Weights stand in panels of 32 outputs. A panel of f32 has a row of 32 for each input; one of bf16 has
//! pairs of inputs side by side, one of bytes fours, as the instructions take them. What the outputs and
//! the inputs have too few of for whole panels and lines is zero.
//!
//! With matrix tiles f32 is computed by bf16: both factors are cut in three parts of eight bits, whose sum is
//! the number exactly, and of the nine products the six above 2^-24 are summed in f32 (`amx.rs`). That is 2.7
//! times as fast as multiply-adds of f32 and as exact (property test). The parts of the weights are made on
//! the way, a panel at a time, so that they are read from memory as f32.

use super::buffer::{Buffer, Cells};
use super::epilogue::{Epilogue, Finish, Target, Worth};
use super::float::{PANEL, Product};
use super::isa::{Isa, Level};
use super::laps::{self, Part};
use super::math;
use super::rows::{Format, RowBuffer, Rows, TILE_ROWS};
use super::team::{Pool, Team};
use super::{Activation, Precision, bytes};

/// The weights of a layer as a checkpoint has them.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a> {
    /// [outputs, inputs].
    pub weight: &'a [f32],
    /// `[outputs]`, or empty for none.
    pub bias: &'a [f32],
    /// Columns of `weight`.
    pub inputs: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Multiply-adds of f32.
    Float,
    /// Tiles of bf16 in three parts.
    #[cfg(target_arch = "x86_64")]
    TileThirds,
    #[cfg(target_arch = "x86_64")]
    TileBf16,
    #[cfg(target_arch = "x86_64")]
    TileBytes,
    #[cfg(target_arch = "x86_64")]
    Bf16,
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2Bytes,
    PlainBytes,
}

impl Kernel {
    fn choose(isa: Isa, precision: Precision) -> Kernel {
        match (isa.level, precision) {
            #[cfg(target_arch = "x86_64")]
            (Level::Amx(_), Precision::F32) => Kernel::TileThirds,
            #[cfg(target_arch = "x86_64")]
            (Level::Amx(_), Precision::Bf16) => Kernel::TileBf16,
            #[cfg(target_arch = "x86_64")]
            (Level::Amx(_), Precision::Int8) => Kernel::TileBytes,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512(_), Precision::Bf16) if isa.bf16 => Kernel::Bf16,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512(_), Precision::Int8) if isa.vnni => Kernel::Vnni,
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512(_) | Level::Avx2(_), Precision::Int8) => Kernel::Avx2Bytes,
            (_, Precision::Int8) => Kernel::PlainBytes,
            _ => Kernel::Float,
        }
    }

    fn format(self) -> Format {
        match self {
            Kernel::Float => Format::F32,
            #[cfg(target_arch = "x86_64")]
            Kernel::TileThirds => Format::Thirds,
            #[cfg(target_arch = "x86_64")]
            Kernel::TileBf16 | Kernel::Bf16 => Format::Bf16,
            #[cfg(target_arch = "x86_64")]
            Kernel::TileBytes | Kernel::Vnni => Format::Bytes { most: 255 },
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2Bytes => Format::Bytes { most: 127 },
            Kernel::PlainBytes => Format::Bytes { most: 255 },
        }
    }

    /// Whether it leaves sums of integers.
    fn integers(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::TileBytes => true,
            _ => false,
        }
    }
}

/// A packed layer.
#[derive(Debug)]
pub struct Linear {
    isa: Isa,
    kernel: Kernel,
    inputs: usize,
    outputs: usize,
    /// Lines of 64 bytes of a row of inputs; for f32 of 16 numbers.
    lines: usize,
    panels: Buffer,
    /// Bytes of a panel.
    panel_bytes: usize,
    /// Of bytes: what a weight is worth, and the sum of the weights of an output, for each output.
    scale: Vec<f32>,
    sums: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// Pack layers that take the same inputs, their outputs one behind the other.
    pub fn new(isa: Isa, precision: Precision, layers: &[Dense]) -> Linear {
        let kernel = Kernel::choose(isa, precision);
        let inputs = layers.first().map_or(1, |layer| layer.inputs).max(1);
        let outputs: usize = layers.iter().map(|layer| layer.weight.len() / inputs).sum();
        let format = kernel.format();
        let lines = inputs.div_ceil(format.per_line());
        // A panel of f32 in three parts is cut by whole lines of bf16.
        let depth = match format {
            Format::F32 => inputs,
            _ => lines * format.per_line(),
        };
        let width = match format {
            Format::F32 | Format::Thirds => 4,
            Format::Bf16 => 2,
            Format::Bytes { .. } => 1,
        };
        let panel_bytes = depth * PANEL * width;
        let padded = outputs.next_multiple_of(PANEL);
        let mut linear = Linear {
            isa,
            kernel,
            inputs,
            outputs,
            lines,
            panels: Buffer::zeroed(padded / PANEL * panel_bytes),
            panel_bytes,
            scale: Vec::new(),
            sums: Vec::new(),
            bias: vec![0.0; padded],
        };
        if width == 1 {
            (linear.scale, linear.sums) = (vec![0.0; padded], vec![0.0; padded]);
        }
        let mut output = 0;
        for layer in layers {
            for (at, row) in layer.weight.chunks_exact(inputs).enumerate() {
                linear.pack(output, row);
                linear.bias[output] = layer.bias.get(at).copied().unwrap_or(0.0);
                output += 1;
            }
        }
        linear
    }

    fn pack(&mut self, output: usize, row: &[f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        let start = panel * self.panel_bytes;
        match self.kernel.format() {
            Format::F32 | Format::Thirds => {
                let panel = &mut self.panels.as_mut_slice::<f32>()[start / 4..];
                for (k, value) in row.iter().enumerate() {
                    panel[k * PANEL + column] = *value;
                }
            }
            Format::Bf16 => {
                let panel = &mut self.panels.as_mut_slice::<u16>()[start / 2..];
                for (k, value) in row.iter().enumerate() {
                    panel[(k / 2 * PANEL + column) * 2 + k % 2] = math::bf16(*value);
                }
            }
            Format::Bytes { .. } => {
                let panel = &mut self.panels.as_mut_slice::<i8>()[start..];
                let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
                let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
                let mut sum = 0i32;
                for (k, value) in row.iter().enumerate() {
                    let byte = (value / scale + math::ROUND).to_bits() as i8; // at most 127 either way
                    panel[(k / 4 * PANEL + column) * 4 + k % 4] = byte;
                    sum += i32::from(byte);
                }
                (self.scale[output], self.sums[output]) = (scale, sum as f32 * scale);
            }
        }
    }

    /// Numbers that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers that come out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub(super) fn format(&self) -> Format {
        self.kernel.format()
    }

    /// Scratch that one thread needs, bytes.
    pub(super) fn scratch(&self) -> usize {
        match self.kernel.format() {
            Format::Thirds => self.panel_bytes / 4 * 6,
            _ => 0,
        }
    }

    /// `input` is f32 [rows, inputs], and what comes out [rows, outputs]; `out` is overwritten or added to.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn forward(&self, pool: &Pool, scratch: &mut Scratch, input: &[f32], then: Then, out: &mut [f32]) {
        assert!(input.len() / self.inputs == out.len() / self.outputs);
        let fill =
            |row: usize, line: &mut [f32]| line.copy_from_slice(&input[row * self.inputs..][..self.inputs]);
        self.forward_with(pool, scratch, fill, then, out);
    }

    /// As [`Linear::forward`], for rows that `fill` makes one by one: it gets a row's number and place.
    ///
    /// # Panics
    /// Where `out` is not a whole number of rows.
    pub fn forward_with(
        &self,
        pool: &Pool,
        scratch: &mut Scratch,
        fill: impl Fn(usize, &mut [f32]) + Sync,
        then: Then,
        out: &mut [f32],
    ) {
        let count = out.len() / self.outputs;
        assert!(out.len() == count * self.outputs);
        scratch.threads(pool.threads(), self.scratch().max(4 * self.inputs));
        let rows = scratch.left.rows(self.isa, self.format(), count, self.inputs);
        let out = Cells::new(out);
        let target = match then.add {
            true => Target::Add(out),
            false => Target::Store(out),
        };
        let finish = Finish { activation: then.activation, target };
        let threads = Cells::new(&mut scratch.threads);
        pool.run(|team| {
            each_tile(team, count, |range| {
                // SAFETY: each thread has its own place.
                let scratch = unsafe { &mut threads.part(team.rank()..team.rank() + 1)[0] };
                let line = &mut scratch.extra.as_mut_slice::<f32>()[..self.inputs];
                laps::turn_to(Part::Rows);
                self.isa.vectorise(
                    #[inline(always)]
                    || {
                        for row in range {
                            fill(row, line);
                            // SAFETY: this task alone has these rows.
                            unsafe { rows.write(row, line) }
                        }
                    },
                );
            });
            self.multiply(team, rows, finish, threads);
        });
    }

    /// The product of prepared rows, as a step of a team.
    pub(super) fn multiply(&self, team: &Team, rows: Rows, finish: Finish, threads: Cells<ThreadScratch>) {
        debug_assert!(rows.format == self.format() && rows.width == self.inputs);
        let panels = self.outputs.div_ceil(PANEL);
        // A task is a panel by so many rows that its part of the left side stays in the cache, and that the
        // weights, which are read again for each part, are read seldom enough.
        let part = (MAX_LEFT_BYTES / (self.lines * 64)).next_multiple_of(32).clamp(64, MAX_PART);
        let parts = rows.count.div_ceil(part);
        team.each(parts * panels, |task| {
            let (panel, at) = (task % panels, task / panels);
            let range = at * part..((at + 1) * part).min(rows.count);
            // SAFETY: each thread has its own place.
            let scratch = unsafe { &mut threads.part(team.rank()..team.rank() + 1)[0] };
            laps::turn_to(Part::Products);
            self.isa.vectorise(
                #[inline(always)]
                || self.task(rows, range, panel, false, &finish, scratch),
            );
        });
    }

    /// The product of a few prepared rows, by one thread.
    pub(super) fn multiply_block(&self, rows: Rows, finish: Finish, scratch: &mut ThreadScratch) {
        debug_assert!(rows.format == self.format() && rows.width == self.inputs);
        laps::turn_to(Part::Products);
        self.isa.vectorise(
            #[inline(always)]
            || {
                for panel in 0..self.outputs.div_ceil(PANEL) {
                    self.task(rows, 0..rows.count, panel, true, &finish, scratch);
                }
            },
        );
    }

    #[inline(always)]
    fn task(
        &self,
        rows: Rows,
        range: std::ops::Range<usize>,
        panel: usize,
        on: bool,
        finish: &Finish,
        scratch: &mut ThreadScratch,
    ) {
        let weights = &self.panels.as_slice::<u8>()[panel * self.panel_bytes..][..self.panel_bytes];
        let ThreadScratch { tiles: tiles_of_sums, extra, .. } = scratch;
        let tile = &mut tiles_of_sums[0].0;
        // SAFETY: rows are written in an earlier step, and only read in this one.
        let left = unsafe { rows.data.view(0..rows.data.len()) };
        match self.kernel {
            Kernel::Float => {
                let right = floats(weights);
                let left = floats(left);
                let stride = rows.lines * 16;
                let step = if let Level::Scalar = self.isa.level { 32 } else { self.rows_at_once() };
                for row in range.clone().step_by(step) {
                    let count = step.min(range.end - row);
                    self.isa.dispatch(Product {
                        left: &left[row * stride..],
                        left_stride: stride,
                        rows: count,
                        right,
                        right_stride: PANEL,
                        depth: self.inputs,
                        tile,
                        tile_stride: PANEL,
                    });
                    self.finish(rows, row, count, panel, finish, tile);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::TileThirds | Kernel::TileBf16 | Kernel::TileBytes => {
                let right = if self.kernel == Kernel::TileThirds {
                    cut(floats(weights), extra.as_mut_slice());
                    extra.as_slice::<u8>()
                } else {
                    weights
                };
                let planes = (rows.plane, self.panel_bytes / 2);
                let whole = range.len() / 32 * 32;
                for (range, count) in [
                    (range.start..range.start + whole, 32),
                    (range.start + whole..range.end, range.len() - whole),
                ] {
                    if range.is_empty() {
                        continue;
                    }
                    // SAFETY: this kernel is chosen only where tiles were granted.
                    let tiles = unsafe { super::amx::Tiles::new(count) };
                    // Over all rows with so much of the panel that it stays in the first cache; then the next.
                    let steps = match self.kernel {
                        Kernel::TileThirds => 4,
                        _ => 12,
                    };
                    let sums = if steps < self.lines { tiles_of_sums.len() } else { 2 };
                    for line in (0..self.lines).step_by(steps) {
                        let lines = steps.min(self.lines - line);
                        // A tile is finished while the next one is multiplied: what tiles store can only be
                        // read after a while.
                        let mut before = None;
                        for (at, row) in range.clone().step_by(32).enumerate() {
                            let block = super::amx::Block {
                                left: left[rows.offset(row) + line * 1024..].as_ptr(),
                                down: rows.offset(TILE_ROWS),
                                right: right[line * 2048..].as_ptr(),
                                lines,
                                fresh: line == 0,
                            };
                            let tile = &mut tiles_of_sums[at % sums].0;
                            // SAFETY: the buffer of rows ends with a whole pair of tile rows; the panel has 2048
                            // bytes for each line, in each of its parts.
                            unsafe {
                                match self.kernel {
                                    Kernel::TileThirds => tiles.thirds(block, planes, tile),
                                    Kernel::TileBf16 => tiles.bf16(block, tile),
                                    _ => tiles.bytes(block, tile),
                                }
                            }
                            if line + lines < self.lines {
                                continue;
                            }
                            if let Some((at, row)) = before.replace((at, row)) {
                                let tile = &mut tiles_of_sums[at % sums].0;
                                self.finish(rows, row, tiles.rows(), panel, finish, tile);
                            }
                        }
                        if let Some((at, row)) = before {
                            let tile = &mut tiles_of_sums[at % sums].0;
                            self.finish(rows, row, tiles.rows(), panel, finish, tile);
                        }
                    }
                }
            }
            _ => {
                for row in range.clone().step_by(TILE_ROWS) {
                    let count = TILE_ROWS.min(range.end - row);
                    let left = &left[rows.offset(row)..][..rows.offset(TILE_ROWS)];
                    // Where this thread goes on with the next panel, that comes with the last rows of this one.
                    let ahead = if on && row + TILE_ROWS >= range.end { self.panel_bytes } else { 0 };
                    let block = bytes::Block { left, right: weights, lines: self.lines, rows: count, ahead };
                    match self.kernel {
                        // SAFETY: these kernels are chosen only where the processor has their instructions.
                        #[cfg(target_arch = "x86_64")]
                        Kernel::Bf16 => unsafe { bytes::bf16(block, tile) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        Kernel::Vnni => unsafe { bytes::vnni(block, tile) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        Kernel::Avx2Bytes => unsafe { bytes::avx2(block, tile) },
                        _ => bytes::plain(block, tile),
                    }
                    self.finish(rows, row, count, panel, finish, tile);
                }
            }
        }
    }

    /// Rows of a block of f32: whole steps of the kernel.
    fn rows_at_once(&self) -> usize {
        match self.isa.level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => 30,
            _ => 32,
        }
    }

    /// What follows the product, on a tile of `count` rows from `row`.
    #[inline(always)]
    fn finish(
        &self,
        rows: Rows,
        row: usize,
        count: usize,
        panel: usize,
        finish: &Finish,
        tile: &mut [f32; 1024],
    ) {
        let columns = panel * PANEL..(panel + 1) * PANEL;
        let Some(bias) = self.bias[columns.clone()].first_chunk() else { return };
        let weight = self.scale.get(columns.clone()).and_then(|scale| scale.first_chunk());
        let sums = self.sums.get(columns).and_then(|sums| sums.first_chunk());
        let worth = weight.zip(sums).map(|(weight, sums)| {
            let own = row..row + count;
            // SAFETY: written in an earlier step, only read in this one.
            let (scale, low) = unsafe { (rows.scale.view(own.clone()), rows.low.view(own)) };
            Worth { scale, low, weight, sums }
        });
        self.isa.dispatch(Epilogue {
            tile: &mut tile[..count * PANEL],
            integers: self.kernel.integers(),
            worth,
            bias,
            finish: *finish,
            row,
            panel,
            outputs: self.outputs,
        });
    }
}

/// Bytes of the left side that a task goes over for a panel: half of a core's second cache.
const MAX_LEFT_BYTES: usize = 1 << 20;
/// Rows of a task at most: their sums of a panel take 128 kB.
const MAX_PART: usize = 1024;

/// What is done with a product.
#[derive(Debug, Clone, Copy)]
pub struct Then {
    /// On the sum with the bias.
    pub activation: Activation,
    /// Add to what stands in the output instead of replacing it.
    pub add: bool,
}

/// Memory that runs use again: prepared rows, and what each thread needs.
#[derive(Debug, Default)]
pub struct Scratch {
    left: RowBuffer,
    threads: Vec<ThreadScratch>,
}

impl Scratch {
    fn threads(&mut self, count: usize, bytes: usize) {
        self.threads.resize_with(count.max(self.threads.len()), ThreadScratch::default);
        self.threads.iter_mut().for_each(|thread| thread.extra.grow(bytes));
    }
}

/// What one thread needs.
#[derive(Debug)]
pub(super) struct ThreadScratch {
    /// Sums of a panel by the rows of a task.
    tiles: Vec<Tile>,
    pub extra: Buffer,
    /// Rows of sums of a whole layer.
    pub made: Buffer,
}

/// 32 rows of 32 sums.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Tile([f32; 1024]);

impl Default for ThreadScratch {
    fn default() -> Self {
        ThreadScratch {
            tiles: vec![Tile([0.0; 1024]); MAX_PART / 32],
            extra: Buffer::default(),
            made: Buffer::default(),
        }
    }
}

/// Rows of f32 to prepared rows, as a step of a team.
pub(super) fn prepare(isa: Isa, team: &Team, input: Cells<f32>, rows: Rows) {
    each_tile(team, rows.count, |range| prepare_block(isa, range, input, rows));
}

/// The same for some rows, by one thread.
pub(super) fn prepare_block(isa: Isa, range: std::ops::Range<usize>, input: Cells<f32>, rows: Rows) {
    laps::turn_to(Part::Rows);
    isa.vectorise(
        #[inline(always)]
        || {
            for row in range {
                // SAFETY: this task alone has these rows; the input is only read in this step.
                unsafe {
                    let values = input.view(row * rows.width..(row + 1) * rows.width);
                    rows.write(row, values);
                }
            }
        },
    );
}

/// Tasks of 16 rows.
pub(super) fn each_tile(team: &Team, rows: usize, task: impl Fn(std::ops::Range<usize>)) {
    team.each(rows.div_ceil(TILE_ROWS), |tile| task(tile * TILE_ROWS..((tile + 1) * TILE_ROWS).min(rows)));
}

/// A panel of f32 in three parts, pairs of inputs side by side.
#[inline(always)]
fn cut(panel: &[f32], parts: &mut [u32]) {
    let plane = panel.len() / 2;
    let (a, rest) = parts.split_at_mut(plane);
    let (b, c) = rest.split_at_mut(plane);
    let rows = panel.as_chunks::<64>().0;
    let (a, b, c) = (a.as_chunks_mut::<32>().0, b.as_chunks_mut::<32>().0, c.as_chunks_mut::<32>().0);
    for (((pair, a), b), c) in rows.iter().zip(a).zip(b).zip(c) {
        for column in 0..32 {
            let (even, odd) = (math::thirds(pair[column]), math::thirds(pair[32 + column]));
            a[column] = even[0] >> 16 | odd[0];
            b[column] = even[1] >> 16 | odd[1];
            c[column] = even[2] >> 16 | odd[2];
        }
    }
}

/// Bytes of a buffer of f32.
fn floats(bytes: &[u8]) -> &[f32] {
    debug_assert!(bytes.as_ptr().addr().is_multiple_of(4));
    // SAFETY: all buffers begin at cache lines and panels and rows at a multiple of four bytes within them;
    // any bits are an f32.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / 4) }
}
