//! Attention of one head over one sequence, fused: scores, softmax and mixing without a matrix of all scores
//! in memory, 32 queries at a time.
//!
//! The keys are turned to columns once a head, so that both products are those of a linear layer.

use super::buffer::{Buffer, Cells};
use super::float::{PANEL, Product};
use super::isa::Isa;
use super::math::{self, Range};

/// Where queries, keys and values of a sequence stand.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    pub count: usize,
    /// Numbers of a head.
    pub width: usize,
    /// A query sees only the keys up to its own place.
    pub causal: bool,
    /// Rows of `query_stride` numbers, the heads side by side from 0.
    pub queries: Cells<'a, f32>,
    pub query_stride: usize,
    /// Rows of `key_stride` numbers: the keys' heads from `key_at`, the values' from `value_at`.
    pub keys: Cells<'a, f32>,
    pub key_stride: usize,
    pub key_at: usize,
    pub value_at: usize,
}

/// One task.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub head: usize,
    /// The first of its keys' rows, and how many.
    pub key: usize,
    pub length: usize,
    /// The first of its queries' rows, how many, and the place in the sequence of the first.
    pub query: usize,
    pub queries: usize,
    pub place: usize,
}

impl Heads<'_> {
    /// Bytes of scratch for sequences of up to `longest` rows.
    pub fn scratch(width: usize, longest: usize) -> usize {
        let (keys, wide) = (longest.next_multiple_of(PANEL), width.next_multiple_of(PANEL));
        4 * (width * keys + keys * wide + PANEL * keys + PANEL * wide)
    }

    /// The numbers of one head in a row of the keys' buffer.
    ///
    /// # Safety
    /// Nobody writes them.
    #[inline(always)]
    unsafe fn row(&self, span: Span, row: usize, at: usize) -> &[f32] {
        let start = (span.key + row) * self.key_stride + at + span.head * self.width;
        // SAFETY: as the caller says.
        unsafe { self.keys.view(start..start + self.width) }
    }

    /// How many keys a query sees.
    #[inline(always)]
    fn seen(&self, span: Span, query: usize) -> usize {
        if self.causal { (span.place + query + 1).min(span.length) } else { span.length }
    }

    /// Hands `write` each query's row and what the head makes of it.
    ///
    /// # Safety
    /// Nobody writes the queries and the keys.
    #[inline(always)]
    pub unsafe fn run(
        &self,
        isa: Isa,
        span: Span,
        scratch: &mut Buffer,
        mut write: impl FnMut(usize, &[f32]),
    ) {
        let (keys, wide) = (span.length.next_multiple_of(PANEL), self.width.next_multiple_of(PANEL));
        let scratch = scratch.as_mut_slice::<f32>();
        let (turned, scratch) = scratch.split_at_mut(self.width * keys);
        let (values, scratch) = scratch.split_at_mut(keys * wide);
        let (scores, scratch) = scratch.split_at_mut(PANEL * keys);
        let mixed = &mut scratch[..PANEL * wide];
        for place in 0..span.length {
            // SAFETY: as the caller says.
            let (key, value) =
                unsafe { (self.row(span, place, self.key_at), self.row(span, place, self.value_at)) };
            turn(key, place, keys, turned);
            values[place * wide..][..self.width].copy_from_slice(value);
            values[place * wide..][self.width..wide].fill(0.0);
        }
        for column in turned.chunks_exact_mut(keys) {
            column[span.length..].fill(0.0);
        }
        let scale = 1.0 / (self.width as f32).sqrt();
        for first in (0..span.queries).step_by(PANEL) {
            let count = PANEL.min(span.queries - first);
            let start = (span.query + first) * self.query_stride + span.head * self.width;
            let end = start + (count - 1) * self.query_stride + self.width;
            // SAFETY: as the caller says.
            let queries = unsafe { self.queries.view(start..end) };
            // Of all queries of the block, the last sees the most keys.
            let most = self.seen(span, first + count - 1);
            for column in (0..most).step_by(PANEL) {
                isa.dispatch(Product {
                    left: queries,
                    left_stride: self.query_stride,
                    rows: count,
                    right: &turned[column..],
                    right_stride: keys,
                    depth: self.width,
                    tile: &mut scores[column..],
                    tile_stride: keys,
                });
            }
            let mut shares = [0f32; PANEL];
            for (at, share) in shares.iter_mut().enumerate().take(count) {
                let row = &mut scores[at * keys..][..most.next_multiple_of(PANEL)];
                row[self.seen(span, first + at)..].fill(f32::NEG_INFINITY);
                let largest = isa.dispatch(Range(row)).1 * scale;
                for score in &mut *row {
                    *score = math::exp(*score * scale - largest);
                }
                row[self.seen(span, first + at)..].fill(0.0);
                *share = 1.0
                    / math::sum(
                        row,
                        #[inline(always)]
                        |score| score,
                    );
            }
            for column in (0..wide).step_by(PANEL) {
                isa.dispatch(Product {
                    left: scores,
                    left_stride: keys,
                    rows: count,
                    right: &values[column..],
                    right_stride: wide,
                    depth: most,
                    tile: &mut mixed[column..],
                    tile_stride: wide,
                });
            }
            for (at, share) in shares.iter().enumerate().take(count) {
                let row = &mut mixed[at * wide..][..self.width];
                for value in &mut *row {
                    *value *= share;
                }
                write(span.query + first + at, row);
            }
        }
    }
}

/// A key to its place in each of the columns. Not inlined: the loop would become scattered stores of vectors, which are
/// slower than one number at a time.
#[inline(never)]
fn turn(key: &[f32], place: usize, keys: usize, turned: &mut [f32]) {
    for (column, key) in turned.chunks_exact_mut(keys).zip(key) {
        column[place] = *key;
    }
}
