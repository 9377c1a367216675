//! One bit a component beside the bytes of long vectors: whether it is above the mean. What a walk meets
//! is estimated by bits first, an eighth of the memory to read, and only what may be among the best is
//! compared by bytes (the estimator is that of RaBitQ, Gao and Long 2024, without its rotation).
//!
//! Of a row less the mean of all, `o`, the signs times `|o|^2 / sum |o_i|` are an estimate of `o` whose
//! product with a query is right in the mean; its error is written down as `spread`.

use super::arena::Rows;
use crate::distance::{self, BitKernel, QueryLine};

/// Vectors of fewer lines of bytes (64 components each) are read as fast as their bits. Measured with 100
/// components: no gain; with 512: a fifth less time at recall 0.95 to 0.99.
const WORTH_IT: usize = 5;
/// Rows that the mean is taken from.
const SAMPLE: usize = 2_000;
/// An estimate is trusted to so many standard deviations by a walk: at 1.5 the same `ef` finds as much.
pub(super) const TRUSTED: f32 = 1.5;
/// And by a scan, which is to find all: of the rows that are as far as the last hit one in 160 is farther off, of
/// nearer ones fewer.
pub(super) const TRUSTED_BY_SCAN: f32 = 2.5;

/// Bits of the rows `0..covered`.
#[derive(Debug)]
pub(super) struct Bits {
    words: distance::Pages<u64>,
    words_per_row: usize,
    /// What a sum of the query's components with the row's signs is multiplied by.
    scales: Vec<f32>,
    /// Standard deviation of an estimate for a query of norm 1.
    spread: f32,
    mean: Vec<f32>,
    kernel: BitKernel,
}

/// A query of bits.
pub(super) struct Asked<'a> {
    /// Its bytes.
    pub(super) lines: &'a [QueryLine],
    /// What each is worth.
    pub(super) step: f32,
    /// Their sum.
    pub(super) sum: i32,
    /// Its product with the mean of the rows.
    pub(super) of_mean: f32,
}

impl Bits {
    /// True where they are worth having beside bytes.
    pub(super) fn are_worth_it(lines_per_row: usize) -> bool {
        lines_per_row >= WORTH_IT
    }

    pub(super) fn of(rows: &Rows, covered: usize, lines_per_row: usize) -> Self {
        let size = rows.size();
        let mean = mean(rows);
        let mut words = distance::Pages::huge(covered * lines_per_row);
        words.resize(covered * lines_per_row, 0u64);
        let mut scales = vec![0.0; covered];
        let (mut squared_errors, mut count) = (0.0f64, 0.0f64);
        for (number, chunk) in rows.before(covered).iter().enumerate() {
            for i in 0..chunk.len() {
                let row = number * rows.chunk_rows() + i;
                let own = &mut words[row * lines_per_row..][..lines_per_row];
                let (mut squares, mut sum) = (0.0f32, 0.0f32);
                for (at, (value, mean)) in chunk.vector(i, size).iter().zip(&mean).enumerate() {
                    let value = value - mean;
                    squares += value * value;
                    sum += value.abs();
                    own[at / 64] |= u64::from(value >= 0.0) << (at % 64);
                }
                if sum > 0.0 && squares.is_finite() {
                    scales[row] = squares / sum;
                    let aligned = f64::from(sum) * f64::from(sum) / (f64::from(squares) * size as f64);
                    squared_errors += f64::from(squares) * (1.0 / aligned - 1.0) / size as f64;
                    count += 1.0;
                }
            }
        }
        let spread = (squared_errors / count.max(1.0)).max(0.0).sqrt() as f32;
        let kernel = distance::bit_kernel();
        Self { words, words_per_row: lines_per_row, scales, spread, mean, kernel }
    }

    /// The product of a query and the mean of the rows.
    pub(super) fn of_mean(&self, query: &[f32]) -> f32 {
        (distance::kernels().dot)(query, &self.mean)
    }

    /// Estimated products of some rows with a query.
    pub(super) fn products(&self, rows: &[u32], asked: &Asked<'_>, sums: &mut [i32], out: &mut [f32]) {
        (self.kernel)(&self.words, rows, asked.lines, sums);
        for ((&row, sums), out) in rows.iter().zip(sums).zip(out) {
            *out = asked.of_mean + self.scales[row as usize] * asked.step * (2 * *sums - asked.sum) as f32;
        }
    }

    /// Standard deviation of an estimate for a query of this norm.
    pub(super) fn error(&self, norm: f32) -> f32 {
        self.spread * norm
    }

    /// Fetches a row's bits; a walk's next rows are read together, so that their scales are waited for once.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u32) {
        distance::prefetch(&self.words[row as usize * self.words_per_row..][..self.words_per_row]);
    }

    /// Fetches a row's scale as well.
    #[inline(always)]
    pub(super) fn prefetch_all(&self, row: u32) {
        self.prefetch(row);
        distance::prefetch(&self.scales[row as usize..=row as usize]);
    }
}

fn mean(rows: &Rows) -> Vec<f32> {
    let mut mean = vec![0.0f32; rows.size()];
    let mut count = 0.0f32;
    for row in (0..rows.end()).step_by((rows.end() / SAMPLE).max(1)) {
        let (chunk, i) = rows.locate(row as u32); // rows are numbered by u32
        if i < chunk.len() {
            count += 1.0;
            chunk.vector(i, rows.size()).iter().zip(&mut mean).for_each(|(value, mean)| *mean += value);
        }
    }
    mean.iter_mut().for_each(|mean| *mean /= count.max(1.0));
    mean
}
