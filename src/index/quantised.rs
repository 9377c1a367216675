//! The rows of a graph as bytes, which a walk compares in place of floats: a quarter of the memory
//! to fetch, and four products an instruction. What a walk finds is compared again exactly, so
//! rounding to bytes may cost recall but never a wrong score.
//!
//! One scale serves all components: the few values beyond it (of real CLIP vectors a handful of
//! components stand out, much the same in every vector) are cut off, as Qdrant's quantile does.

use super::arena::Rows;
use super::bits::{Asked, Bits, TRUSTED, TRUSTED_BY_SCAN};
use super::graph::Ranker;
use super::measure::Measure;
use crate::distance::{self, ByteKernel, Line, Pages, QueryLine};
use crate::types::{Distance, Quantization};

/// Share of the sampled values that are not cut off.
const QUANTILE: f64 = 0.9995;
/// Rows that the scale is taken from.
const SAMPLE: usize = 1000;
const LARGEST: f32 = 127.0;

/// Bytes of the rows `0..covered`.
#[derive(Debug)]
pub(super) struct Quantised {
    lines: Pages<Line>,
    lines_per_row: usize,
    /// A byte's worth.
    step: f32,
    /// Of the sampled rows.
    mean_squared_norm: f32,
    /// Mean squared error of a component of the sampled rows, by rounding and by what is cut off.
    noise: f32,
    /// What of a row's rank is not in the product.
    beside: Beside,
    kernel: ByteKernel,
    /// Where the vectors are long.
    bits: Option<Bits>,
}

/// One number a row.
#[derive(Debug)]
enum Beside {
    Nothing,
    /// Under `Euclid`.
    SquaredNorms(Vec<f32>),
    /// Under `Dot`, for a row that is itself the query (see [`Measure::lift`]).
    Lifts(Vec<f32>),
}

impl Quantised {
    /// Bytes, and bits where they are wanted or worth it; `None` under a distance that is not a function of
    /// the dot product.
    pub(super) fn of(
        rows: &Rows,
        covered: usize,
        distance: Distance,
        measure: &Measure,
        quantization: Quantization,
    ) -> Option<Self> {
        let numbers = vec![0.0; if distance == Distance::Cosine { 0 } else { covered }];
        let mut beside = match distance {
            Distance::Cosine => Beside::Nothing,
            Distance::Dot => Beside::Lifts(numbers),
            Distance::Euclid => Beside::SquaredNorms(numbers),
            Distance::Manhattan => return None,
        };
        let lines_per_row = rows.size().div_ceil(Line::WIDTH);
        let Sampled { step, mean_squared_norm, noise } = Sampled::of(rows);
        let mut lines = Pages::huge(covered * lines_per_row);
        lines.resize(covered * lines_per_row, Line::ZERO);
        for (number, chunk) in rows.before(covered).iter().enumerate() {
            for i in 0..chunk.len() {
                let row = number * rows.chunk_rows() + i;
                let vector = chunk.vector(i, rows.size());
                let own = &mut lines[row * lines_per_row..][..lines_per_row];
                for (line, values) in own.iter_mut().zip(vector.chunks(Line::WIDTH)) {
                    for (byte, value) in line.0.iter_mut().zip(values) {
                        *byte = (rounded(*value, step) + 128.0) as u8;
                    }
                }
                match &mut beside {
                    Beside::Nothing => {}
                    Beside::SquaredNorms(norms) => norms[row] = (distance::kernels().dot)(&vector, &vector),
                    Beside::Lifts(lifts) => lifts[row] = measure.lift(&vector),
                }
            }
        }
        let kernel = distance::byte_kernel(lines_per_row);
        let wanted = quantization == Quantization::Binary || Bits::are_worth_it(lines_per_row);
        let bits = wanted.then(|| Bits::of(rows, covered, lines_per_row));
        Some(Self { lines, lines_per_row, step, mean_squared_norm, noise, beside, kernel, bits })
    }

    /// Leaves the bytes behind where there are bits, which everything is ranked by from now on.
    pub(super) fn into_bits(mut self) -> Self {
        if self.bits.is_some() {
            self.lines = Pages::default();
        }
        self
    }

    /// True where the bytes were left behind.
    pub(super) fn is_bits_alone(&self) -> bool {
        self.bits.is_some() && self.lines.is_empty()
    }

    /// What is added to a rank to make it a distance that is 0 between copies; `None` where there is no such
    /// number.
    pub(super) fn origin(&self) -> Option<f32> {
        match self.beside {
            Beside::Nothing => Some(1.0), // vectors of norm 1
            Beside::SquaredNorms(_) => Some(0.0),
            Beside::Lifts(_) => None,
        }
    }

    /// A row's bytes.
    pub(super) fn row(&self, row: u32) -> &[Line] {
        &self.lines[row as usize * self.lines_per_row..][..self.lines_per_row]
    }

    /// The query in bytes; its own scale uses their whole range.
    pub(super) fn query(&self, vector: &[f32]) -> Query<'_> {
        let largest = vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let step = if largest > 0.0 { largest / LARGEST } else { 1.0 };
        let mut lines = vec![QueryLine::ZERO; self.lines_per_row];
        for (line, values) in lines.iter_mut().zip(vector.chunks(Line::WIDTH)) {
            for (byte, value) in line.0.iter_mut().zip(values) {
                *byte = rounded(*value, step) as i8;
            }
        }
        let squared_norm = (distance::kernels().dot)(vector, vector);
        let doubt = match &self.bits {
            Some(bits) if self.is_bits_alone() => self.of_product(bits.error(squared_norm.sqrt())),
            _ => self.doubt(squared_norm, step * step / 12.0),
        };
        let of_mean = self.bits.as_ref().map(|bits| bits.of_mean(vector));
        let worth = self.step * step;
        let offset = offset(&lines);
        Query { of: self, offset, lines, worth, squared_norm, lift: 0.0, doubt, of_mean }
    }

    /// A row as the query.
    pub(super) fn query_of(&self, row: u32) -> Query<'_> {
        let doubt = self.doubt(self.mean_squared_norm, self.noise);
        let worth = self.step * self.step;
        let mut query = Query {
            of: self,
            lines: Vec::new(),
            worth,
            offset: 0,
            squared_norm: 0.0,
            lift: 0.0,
            doubt,
            of_mean: None,
        };
        query.turn_to(row);
        query
    }

    /// The standard deviation of a rank's error, given the squared norm of the query and the mean squared
    /// error of its components: one that is rounded by up to half a step on either side has a twelfth of
    /// the step's square.
    fn doubt(&self, squared_norm: f32, noise: f32) -> f32 {
        let of_rows = squared_norm * self.noise;
        let of_query = self.mean_squared_norm * noise;
        self.of_product((of_rows + of_query).sqrt())
    }

    /// The error of a rank, given that of its product.
    fn of_product(&self, error: f32) -> f32 {
        match self.beside {
            Beside::Nothing | Beside::Lifts(_) => error,
            Beside::SquaredNorms(_) => 2.0 * error,
        }
    }
}

/// What the 128 added to every stored byte adds to each product.
fn offset(lines: &[QueryLine]) -> i32 {
    128 * lines.iter().flat_map(|line| line.0).map(i32::from).sum::<i32>()
}

/// A query against the bytes of a [`Quantised`].
pub(super) struct Query<'a> {
    of: &'a Quantised,
    lines: Vec<QueryLine>,
    /// What a product of two bytes is worth.
    worth: f32,
    offset: i32,
    /// Counts under `Euclid` only.
    squared_norm: f32,
    lift: f32,
    doubt: f32,
    /// Its product with the mean of the rows, where bits are to be used.
    of_mean: Option<f32>,
}

/// Rows from which on a scan sifts. Measured with 512 components: of 10,000 among a million it takes as long as without,
/// and now and then a hit is lost; of 30,000 among 300,000 two thirds of the time. Tests do with fewer.
const SIFTED: usize = if cfg!(test) { 4_096 } else { 16_384 };
/// Rows whose products are kept between their two loops.
const AT_ONCE: usize = 64;

impl Ranker for Query<'_> {
    /// In the order of the exact ranks, but for rounding. Those for two rows as queries compare with
    /// each other.
    #[inline(always)]
    fn ranks(&self, rows: &[u32], out: &mut [f32]) {
        let (mut sums, mut products) = ([0i32; AT_ONCE], [0.0f32; AT_ONCE]);
        for (rows, out) in rows.chunks(AT_ONCE).zip(out.chunks_mut(AT_ONCE)) {
            let (sums, products) = (&mut sums[..rows.len()], &mut products[..rows.len()]);
            match (&self.of.bits, self.of_mean) {
                (Some(bits), Some(of_mean)) if self.of.is_bits_alone() => {
                    bits.products(rows, &self.asked(of_mean), sums, products);
                }
                _ => {
                    (self.of.kernel)(&self.of.lines, rows, &self.lines, sums);
                    for (product, sum) in products.iter_mut().zip(&*sums) {
                        *product = self.worth * (sum - self.offset) as f32;
                    }
                }
            }
            self.ranks_of(products, rows, out);
        }
    }

    #[inline(always)]
    fn rough_ranks(&self, rows: &[u32], out: &mut [f32]) {
        let (Some(bits), Some(of_mean)) = (&self.of.bits, self.of_mean) else { return self.ranks(rows, out) };
        let (mut sums, mut products) = ([0i32; AT_ONCE], [0.0f32; AT_ONCE]);
        for (rows, out) in rows.chunks(AT_ONCE).zip(out.chunks_mut(AT_ONCE)) {
            bits.products(rows, &self.asked(of_mean), &mut sums[..rows.len()], &mut products[..rows.len()]);
            self.ranks_of(&products[..rows.len()], rows, out);
        }
    }

    #[inline(always)]
    fn fetch(&self, row: u32) {
        if !self.of.lines.is_empty() {
            distance::prefetch(self.of.row(row));
        } else if let Some(bits) = &self.of.bits {
            bits.prefetch(row);
        }
    }

    #[inline(always)]
    fn glance(&self, row: u32) {
        match &self.of.bits {
            Some(bits) if self.of_mean.is_some() => bits.prefetch(row),
            _ => self.fetch(row),
        }
    }

    #[inline(always)]
    fn sift(&self, rows: &mut Vec<u32>, worst: f32) {
        let (Some(bits), Some(of_mean)) = (&self.of.bits, self.of_mean) else { return };
        if self.of.lines.is_empty() {
            return; // they are ranked by bits
        }
        if worst < f32::INFINITY {
            self.sift_by(bits, of_mean, rows, worst);
        }
        rows.iter().for_each(|&row| self.fetch(row));
    }
}

impl Query<'_> {
    /// Whether a scan is to sift: there are bits beside the bytes, and so many rows that reading their bits alone
    /// pays.
    pub(super) fn is_worth_sifting(&self, rows: usize) -> bool {
        self.of_mean.is_some() && !self.of.lines.is_empty() && rows >= SIFTED
    }

    /// As [`Ranker::glance`], for a scan that sifts.
    pub(super) fn glance_for_scan(&self, row: u32) {
        if let Some(bits) = &self.of.bits {
            bits.prefetch_all(row);
        }
    }

    /// A scan leaves out rows whose rank is estimated by so much above that of the last hit: hardly one that belongs
    /// among the hits is.
    pub(super) fn room_of_scan(&self) -> f32 {
        let error = self.of.bits.as_ref().map_or(0.0, |bits| bits.error(self.squared_norm.sqrt()));
        self.of.of_product(TRUSTED_BY_SCAN * error)
    }

    /// Ranks of rows, given their products.
    #[inline(always)]
    fn ranks_of(&self, products: &[f32], rows: &[u32], out: &mut [f32]) {
        match &self.of.beside {
            Beside::Nothing => out.iter_mut().zip(products).for_each(|(out, value)| *out = -*value),
            Beside::SquaredNorms(norms) => {
                for ((out, value), &row) in out.iter_mut().zip(products).zip(rows) {
                    *out = self.squared_norm + norms[row as usize] - 2.0 * *value;
                }
            }
            Beside::Lifts(_) if self.lift == 0.0 => {
                out.iter_mut().zip(products).for_each(|(out, value)| *out = -*value);
            }
            Beside::Lifts(lifts) => {
                for ((out, value), &row) in out.iter_mut().zip(products).zip(rows) {
                    *out = -(*value + self.lift * lifts[row as usize]);
                }
            }
        }
    }

    fn asked(&self, of_mean: f32) -> Asked<'_> {
        Asked { lines: &self.lines, step: self.worth / self.of.step, sum: self.offset / 128, of_mean }
    }

    /// Leaves out rows whose ranks are above `worst` even if their estimates are off by as much as is trusted.
    fn sift_by(&self, bits: &Bits, of_mean: f32, rows: &mut Vec<u32>, worst: f32) {
        let (mut sums, mut products) = ([0i32; AT_ONCE], [0.0f32; AT_ONCE]);
        let (asked, room) = (self.asked(of_mean), TRUSTED * bits.error(self.squared_norm.sqrt()));
        let (mut from, mut kept) = (0, 0);
        while from < rows.len() {
            let until = (from + AT_ONCE).min(rows.len());
            let count = until - from;
            bits.products(&rows[from..until], &asked, &mut sums[..count], &mut products[..count]);
            for at in from..until {
                let (row, product) = (rows[at], products[at - from] + room);
                let least = match &self.of.beside {
                    Beside::Nothing | Beside::Lifts(_) => -product,
                    Beside::SquaredNorms(norms) => self.squared_norm + norms[row as usize] - 2.0 * product,
                };
                rows[kept] = row;
                kept += usize::from(least < worst);
            }
            from = until;
        }
        rows.truncate(kept);
    }

    /// Another row as the query; only of a query that is a row.
    pub(super) fn turn_to(&mut self, row: u32) {
        let signed = |line: &Line| QueryLine(line.0.map(|byte| (byte ^ 128) as i8)); // the byte less 128
        self.lines.clear();
        self.lines.extend(self.of.row(row).iter().map(signed));
        self.offset = offset(&self.lines);
        match &self.of.beside {
            Beside::Nothing => {}
            Beside::SquaredNorms(norms) => self.squared_norm = norms[row as usize],
            Beside::Lifts(lifts) => self.lift = lifts[row as usize],
        }
    }

    /// Two ranks that differ by more than this are in the right order (three standard deviations of
    /// the error of a difference).
    pub(super) fn doubtful(&self) -> f32 {
        3.0 * std::f32::consts::SQRT_2 * self.doubt
    }
}

/// A value in steps, as a byte holds it.
fn rounded(value: f32, step: f32) -> f32 {
    let steps = (value / step).clamp(-LARGEST, LARGEST);
    // As `round` does, which is a call where the compiler may not use the instruction for it.
    (steps + 0.5f32.copysign(steps)).trunc()
}

/// What a sample of the rows says.
struct Sampled {
    /// A byte's worth, of which 127 hold all but a few values; positive.
    step: f32,
    mean_squared_norm: f32,
    /// Mean squared error of a component.
    noise: f32,
}

impl Sampled {
    fn of(rows: &Rows) -> Self {
        let every = (rows.end() / SAMPLE).max(1);
        let (mut values, mut rows_seen, mut squares) = (Vec::new(), 0.0f32, 0.0f32);
        for row in (0..rows.end()).step_by(every) {
            let (chunk, i) = rows.locate(row as u32); // rows are numbered by u32
            if i < chunk.len() {
                let vector = chunk.vector(i, rows.size());
                values.extend(vector.iter().map(|value| value.abs()));
                squares += (distance::kernels().dot)(&vector, &vector);
                rows_seen += 1.0;
            }
        }
        if values.is_empty() {
            return Self { step: 1.0, mean_squared_norm: 0.0, noise: 0.0 };
        }
        let at = ((values.len() - 1) as f64 * QUANTILE) as usize;
        let (_, &mut quantile, above) = values.select_nth_unstable_by(at, f32::total_cmp);
        let largest = above.iter().fold(quantile, |most, &value| most.max(value));
        let step = [quantile, largest].into_iter().find(|scale| *scale > 0.0).unwrap_or(1.0) / LARGEST;
        let error = |value: &f32| f64::from(value - step * rounded(*value, step)).powi(2);
        let noise = values.iter().map(error).sum::<f64>() / values.len() as f64;
        Self { step, mean_squared_norm: squares / rows_seen, noise: noise as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::arena::Chunk;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    fn rows_of(vectors: &[Vec<f32>]) -> Rows {
        let mut rows = Rows::new(vectors[0].len());
        for (n, part) in vectors.chunks(rows.chunk_rows()).enumerate() {
            let mut chunk = Chunk::with_room(rows.chunk_rows());
            for (i, vector) in part.iter().enumerate() {
                chunk.push((n * 10_000 + i) as u32, vector);
            }
            rows.seal(chunk);
        }
        rows
    }

    fn of(rows: &Rows, distance: Distance) -> Option<Quantised> {
        Quantised::of(rows, rows.end(), distance, &Measure::new(rows, distance), Quantization::Scalar)
    }

    fn rank(query: &Query<'_>, row: u32) -> f32 {
        let mut out = [0.0];
        query.ranks(&[row], &mut out);
        out[0]
    }

    #[test]
    fn a_row_as_the_query_is_nearest_to_itself() {
        let mut rng = SmallRng::seed_from_u64(6);
        let vectors: Vec<Vec<f32>> =
            (0..100).map(|_| (0..70).map(|_| rng.random_range(-1.0f32..3.0)).collect()).collect();
        let rows = rows_of(&vectors);
        for distance in [Distance::Dot, Distance::Euclid] {
            let bytes = of(&rows, distance).unwrap();
            for row in 0..100 {
                let query = bytes.query_of(row);
                let best = (0..100).min_by(|&a, &b| rank(&query, a).total_cmp(&rank(&query, b)));
                assert_eq!(best, Some(row), "{distance:?}");
            }
        }
    }

    #[test]
    fn bytes_keep_the_order_of_what_is_clearly_apart() {
        let mut rng = SmallRng::seed_from_u64(5);
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            let mut draw = || -> Vec<f32> { (0..100).map(|_| rng.random_range(-2.0f32..2.0)).collect() };
            let vectors: Vec<Vec<f32>> = (0..300).map(|_| draw()).collect();
            let query = draw();
            let rows = rows_of(&vectors);
            let bytes = of(&rows, distance).unwrap();
            let asked = bytes.query(&query);
            let exact = |row: usize| distance.rank(distance::kernel(distance)(&query, &vectors[row]));
            let mut order: Vec<usize> = (0..300).collect();
            order.sort_by(|&a, &b| rank(&asked, a as u32).total_cmp(&rank(&asked, b as u32)));
            let mut best: Vec<usize> = (0..300).collect();
            best.sort_by(|&a, &b| exact(a).total_cmp(&exact(b)));
            assert!(best[..10].iter().all(|row| order[..20].contains(row)), "{distance:?}");
        }
    }

    #[test]
    fn zeros_and_a_few_huge_values_are_quantised_too() {
        let mut vectors = vec![vec![0.0f32; 70]; 40];
        let all_zero = rows_of(&vectors);
        let bytes = of(&all_zero, Distance::Dot).unwrap();
        let query = bytes.query(&[0.0; 70]);
        assert_eq!(rank(&query, 3), rank(&query, 4));
        vectors[7][3] = 1e30;
        let one_huge = rows_of(&vectors);
        let bytes = of(&one_huge, Distance::Dot).unwrap();
        let mut query = vec![0.0; 70];
        query[3] = 1.0;
        let query = bytes.query(&query);
        assert!(rank(&query, 7) < rank(&query, 8));
        assert!(of(&one_huge, Distance::Manhattan).is_none());
    }
}
