//! Quantised vectors: lines of 64 bytes that start at cache lines, and their dot product. A stored
//! vector's bytes are unsigned (the value + 128), a query's signed, as the instruction that
//! multiplies them four at a time wants it; what a vector has too few of is filled up with zeros.

use std::sync::OnceLock;

/// 64 components of a stored vector, each its value + 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub struct Line(pub [u8; 64]);

/// 64 components of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub struct QueryLine(pub [i8; 64]);

impl Line {
    /// Components of a line.
    pub const WIDTH: usize = 64;
    /// A line of value 0.
    pub const ZERO: Line = Line([128; 64]);
}

impl QueryLine {
    /// A line of value 0.
    pub const ZERO: QueryLine = QueryLine([0; 64]);
}

/// Sums of products of a query's bytes and those of some stored vectors (with their 128), exact: at
/// most 1,024 lines a vector, which is 65,536 components. `rows` are numbers of vectors in `lines`,
/// each of as many lines as the query has; the sums stand in `out` in their order.
///
/// # Panics
/// Where a row lies outside `lines`, or `out` is not as long as `rows`.
pub type ByteKernel = fn(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]);

/// The fastest of this machine for vectors of so many lines.
pub fn byte_kernel(lines_per_row: usize) -> ByteKernel {
    available(lines_per_row).first().map_or(scalar as ByteKernel, |(_, kernel)| *kernel)
}

/// The lines of a row.
#[inline(always)]
fn row_of(lines: &[Line], row: u32, width: usize) -> &[Line] {
    &lines[row as usize * width..][..width]
}

/// Asks the processor to fetch a vector's lines before they are read: into its second cache. Few lines can be
/// on their way to the first at once, and who asks for more waits; a walk asks for a hundred. Measured on
/// words and clustered vectors: queries take 1.4 to 1.6 times as long when lines are asked into the first.
#[inline(always)]
pub fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let start = data.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(data)).step_by(64) {
            // SAFETY: a prefetch never faults, and the address is within `data`.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.add(offset)) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Every kernel that this machine can run, fastest first.
fn available(lines_per_row: usize) -> Vec<(&'static str, ByteKernel)> {
    let mut all: Vec<(&'static str, ByteKernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            // The usual dimensions up to 768 have kernels whose query stays in registers.
            all.push(match lines_per_row {
                1 => ("avx512vnni", x86::vnni::<1>),
                2 => ("avx512vnni", x86::vnni::<2>),
                4 => ("avx512vnni", x86::vnni::<4>),
                6 => ("avx512vnni", x86::vnni::<6>),
                8 => ("avx512vnni", x86::vnni::<8>),
                12 => ("avx512vnni", x86::vnni::<12>),
                _ => ("avx512vnni", x86::vnni::<0>),
            });
        }
        if is_x86_feature_detected!("avx2") {
            all.push(("avx2", x86::avx2));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        all.push(("neon", arm::neon));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lines_per_row;
    all.push(("scalar", scalar));
    all
}

fn scalar(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
    assert_eq!(rows.len(), out.len());
    let line = |(a, b): (&Line, &QueryLine)| -> i32 {
        a.0.iter().zip(&b.0).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
    };
    for (&row, out) in rows.iter().zip(out) {
        *out = row_of(lines, row, query.len()).iter().zip(query).map(line).sum();
    }
}

/// Sums of a query's bytes where bits of some rows are set: a word a line. As [`ByteKernel`].
pub type BitKernel = fn(words: &[u64], rows: &[u32], query: &[QueryLine], out: &mut [i32]);

/// The fastest of this machine.
pub fn bit_kernel() -> BitKernel {
    static CHOSEN: OnceLock<BitKernel> = OnceLock::new();
    *CHOSEN.get_or_init(|| bit_sums().first().map_or(scalar_bits as BitKernel, |(_, kernel)| *kernel))
}

fn bit_sums() -> Vec<(&'static str, BitKernel)> {
    let mut all: Vec<(&'static str, BitKernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
    {
        all.push(("avx512vnni", x86::vnni_bits));
    }
    all.push(("scalar", scalar_bits));
    all
}

fn scalar_bits(words: &[u64], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
    assert_eq!(rows.len(), out.len());
    let sum = |(&word, line): (&u64, &QueryLine)| -> i32 {
        line.0
            .iter()
            .enumerate()
            .filter(|(at, _)| word >> at & 1 == 1)
            .map(|(_, &byte)| i32::from(byte))
            .sum()
    };
    for (&row, out) in rows.iter().zip(out) {
        *out = words[row as usize * query.len()..][..query.len()].iter().zip(query).map(sum).sum();
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm_add_epi32, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
        _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32,
        _mm256_load_si256, _mm256_madd_epi16, _mm256_setzero_si256, _mm256_storeu_si256,
        _mm512_castsi512_si256, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64, _mm512_load_si512,
        _mm512_maskz_mov_epi8, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512,
    };

    use super::{Line, QueryLine, row_of};

    /// `N` is the number of lines of a vector, 0 where it is known only at run time.
    pub(super) fn vnni<const N: usize>(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        // SAFETY: handed out only where `avx512f` and `avx512vnni` were detected.
        unsafe { vnni_sums::<N>(lines, rows, query, out) }
    }

    pub(super) fn vnni_bits(words: &[u64], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        // SAFETY: handed out only where `avx512f`, `avx512bw` and `avx512vnni` were detected.
        unsafe { vnni_bit_sums(words, rows, query, out) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn vnni_bit_sums(words: &[u64], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        let ones = _mm512_set1_epi8(1);
        let words_of = |row: u32| &words[row as usize * query.len()..][..query.len()];
        let (fours, rest) = rows.as_chunks::<4>();
        let (sums, last) = out.as_chunks_mut::<4>();
        for (four, sums) in fours.iter().zip(sums) {
            let of = four.map(words_of);
            let mut wide = [_mm512_setzero_si512(); 4];
            for (at, query) in query.iter().enumerate() {
                // SAFETY: a line is 64 bytes at an address that 64 divides.
                let query = unsafe { _mm512_load_si512((&raw const query.0).cast()) };
                for (wide, words) in wide.iter_mut().zip(of) {
                    *wide = _mm512_dpbusd_epi32(*wide, _mm512_maskz_mov_epi8(words[at], ones), query);
                }
            }
            let [a, b, c, d] = wide.map(|wide| halved(wide));
            let sum = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            // SAFETY: `sums` has room for 16 bytes.
            unsafe { _mm_storeu_si128(sums.as_mut_ptr().cast(), sum) };
        }
        for (&row, out) in rest.iter().zip(last) {
            let mut wide = _mm512_setzero_si512();
            for (&word, query) in words_of(row).iter().zip(query) {
                // SAFETY: as above.
                let query = unsafe { _mm512_load_si512((&raw const query.0).cast()) };
                wide = _mm512_dpbusd_epi32(wide, _mm512_maskz_mov_epi8(word, ones), query);
            }
            *out = _mm512_reduce_add_epi32(wide);
        }
    }

    pub(super) fn avx2(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        for (&row, out) in rows.iter().zip(out) {
            // SAFETY: handed out only where `avx2` was detected.
            *out = unsafe { avx2_sum(row_of(lines, row, query.len()), query) };
        }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn vnni_sums<const N: usize>(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        assert!(N == 0 || query.len() == N);
        let width = if N == 0 { query.len() } else { N };
        let query = &query[..width];
        // Four vectors at a time: their loads do not wait for each other.
        let (fours, rest) = rows.as_chunks::<4>();
        let (sums, last) = out.as_chunks_mut::<4>();
        for (four, sums) in fours.iter().zip(sums) {
            let of = four.map(|row| row_of(lines, row, width));
            let mut wide = [_mm512_setzero_si512(); 4];
            for (at, query) in query.iter().enumerate() {
                // SAFETY: a line is 64 bytes at an address that 64 divides.
                let query = unsafe { _mm512_load_si512((&raw const query.0).cast()) };
                for (wide, row) in wide.iter_mut().zip(of) {
                    // SAFETY: as above.
                    let line = unsafe { _mm512_load_si512((&raw const row[at].0).cast()) };
                    *wide = _mm512_dpbusd_epi32(*wide, line, query);
                }
            }
            let [a, b, c, d] = wide.map(|wide| halved(wide));
            let sum = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            // SAFETY: `sums` has room for 16 bytes.
            unsafe { _mm_storeu_si128(sums.as_mut_ptr().cast(), sum) };
        }
        for (&row, out) in rest.iter().zip(last) {
            let mut wide = _mm512_setzero_si512();
            for (line, query) in row_of(lines, row, width).iter().zip(query) {
                // SAFETY: as above.
                let (line, query) = unsafe {
                    (
                        _mm512_load_si512((&raw const line.0).cast()),
                        _mm512_load_si512((&raw const query.0).cast()),
                    )
                };
                wide = _mm512_dpbusd_epi32(wide, line, query);
            }
            *out = _mm512_reduce_add_epi32(wide);
        }
    }

    /// Eight sums of sixteen.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn halved(wide: __m512i) -> __m256i {
        _mm256_add_epi32(_mm512_castsi512_si256(wide), _mm512_extracti64x4_epi64::<1>(wide))
    }

    #[target_feature(enable = "avx2")]
    fn avx2_sum(a: &[Line], b: &[QueryLine]) -> i32 {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (a, b) in a.iter().zip(b) {
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a line is 64 bytes at an address that 64 divides; both halves are within.
                let (x, y): (__m256i, __m256i) = unsafe {
                    (
                        _mm256_load_si256(a.0[32 * half..].as_ptr().cast()),
                        _mm256_load_si256(b.0[32 * half..].as_ptr().cast()),
                    )
                };
                let low = _mm256_madd_epi16(
                    _mm256_cvtepu8_epi16(_mm256_castsi256_si128(x)),
                    _mm256_cvtepi8_epi16(_mm256_castsi256_si128(y)),
                );
                let high = _mm256_madd_epi16(
                    _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(x)),
                    _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(y)),
                );
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(low, high));
            }
        }
        let mut lanes = [0i32; 8];
        // SAFETY: `lanes` has room for 32 bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), _mm256_add_epi32(sums[0], sums[1])) };
        lanes.iter().sum()
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{
        vaddvq_s32, vdupq_n_s32, vget_high_s16, vget_low_s16, vld1_s8, vld1_u8, vmlal_s16, vmovl_s8,
        vmovl_u8, vreinterpretq_s16_u16,
    };

    use super::{Line, QueryLine, row_of};

    pub(super) fn neon(lines: &[Line], rows: &[u32], query: &[QueryLine], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        for (&row, out) in rows.iter().zip(out) {
            // SAFETY: handed out only where `neon` was detected.
            *out = unsafe { neon_sum(row_of(lines, row, query.len()), query) };
        }
    }

    #[target_feature(enable = "neon")]
    fn neon_sum(a: &[Line], b: &[QueryLine]) -> i32 {
        let mut sums = [vdupq_n_s32(0); 2];
        for (a, b) in a.iter().zip(b) {
            for at in (0..64).step_by(8) {
                // SAFETY: eight bytes from `at` lie within the line.
                let (x, y) = unsafe { (vld1_u8(a.0[at..].as_ptr()), vld1_s8(b.0[at..].as_ptr())) };
                let (x, y) = (vreinterpretq_s16_u16(vmovl_u8(x)), vmovl_s8(y));
                sums[0] = vmlal_s16(sums[0], vget_low_s16(x), vget_low_s16(y));
                sums[1] = vmlal_s16(sums[1], vget_high_s16(x), vget_high_s16(y));
            }
        }
        vaddvq_s32(sums[0]) + vaddvq_s32(sums[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    /// Under Miri an instruction takes some hundred.
    const LINES: usize = if cfg!(miri) { 5 } else { 20 };

    /// Rows in any order, some of them twice.
    fn check(lines: &[Line], query: &[QueryLine]) {
        let count = lines.len().checked_div(query.len()).unwrap_or(3) as u32;
        let rows: Vec<u32> = (0..count).rev().chain((0..count).step_by(2)).collect();
        let exact = |&row: &u32| -> i64 {
            let products =
                row_of(lines, row, query.len()).iter().zip(query).flat_map(|(a, b)| a.0.iter().zip(&b.0));
            products.map(|(&x, &y)| i64::from(x) * i64::from(y)).sum()
        };
        let exact: Vec<i64> = rows.iter().map(exact).collect();
        for (name, kernel) in available(query.len()) {
            let mut out = vec![-1; rows.len()];
            kernel(lines, &rows, query, &mut out);
            let out: Vec<i64> = out.into_iter().map(i64::from).collect();
            assert_eq!(out, exact, "{name} of {} lines", query.len());
        }
    }

    #[test]
    fn every_byte_kernel_is_exact_at_every_number_of_lines_and_rows() {
        let mut rng = SmallRng::seed_from_u64(3);
        for width in 0..LINES {
            for count in 0..8 {
                let lines: Vec<Line> =
                    (0..width * count).map(|_| Line(std::array::from_fn(|_| rng.random()))).collect();
                let query: Vec<QueryLine> =
                    (0..width).map(|_| QueryLine(std::array::from_fn(|_| rng.random()))).collect();
                check(&lines, &query);
                prefetch(&lines);
            }
        }
    }

    #[test]
    fn every_bit_kernel_adds_up_what_stands_under_set_bits() {
        let mut rng = SmallRng::seed_from_u64(4);
        for width in 1..10 {
            let words: Vec<u64> = (0..width * 7).map(|_| rng.random()).collect();
            let query: Vec<QueryLine> =
                (0..width).map(|_| QueryLine(std::array::from_fn(|_| rng.random()))).collect();
            let rows = [3, 0, 6, 6, 1, 2, 5];
            let (mut expected, mut out) = ([0; 7], [-1; 7]);
            scalar_bits(&words, &rows, &query, &mut expected);
            let all = QueryLine([1; 64]);
            assert_eq!(words[..1].iter().map(|word| word.count_ones() as i32).sum::<i32>(), {
                let mut one = [0];
                scalar_bits(&words[..1], &[0], &[all], &mut one);
                one[0]
            });
            for (name, kernel) in bit_sums() {
                kernel(&words, &rows, &query, &mut out);
                assert_eq!(out, expected, "{name} of {width} words");
            }
        }
    }

    #[test]
    fn the_largest_products_of_the_longest_vector_do_not_overflow() {
        for (x, y) in [(255, 127), (255, -127), (0, 127)] {
            let lines = if cfg!(miri) { 4 } else { 1024 };
            check(&vec![Line([x; 64]); lines], &vec![QueryLine([y; 64]); lines]);
        }
    }
}
