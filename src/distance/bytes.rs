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

/// Sum of products of a stored vector's bytes (with their 128) and a query's, exact: at most 1,024
/// lines, which is 65,536 components. (Of unequal lengths it reads the common part.)
pub type ByteKernel = fn(&[Line], &[QueryLine]) -> i32;

/// The fastest of this machine.
pub fn byte_kernel() -> ByteKernel {
    static CHOSEN: OnceLock<ByteKernel> = OnceLock::new();
    *CHOSEN.get_or_init(|| available().first().map_or(scalar as ByteKernel, |(_, kernel)| *kernel))
}

/// Asks the processor to fetch a vector's lines before they are read.
#[inline(always)]
pub fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = data.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(data)).step_by(64) {
            // SAFETY: a prefetch never faults, and the address is within `data`.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(offset)) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Every kernel that this machine can run, fastest first.
fn available() -> Vec<(&'static str, ByteKernel)> {
    let mut all: Vec<(&'static str, ByteKernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            all.push(("avx512vnni", x86::vnni));
        }
        if is_x86_feature_detected!("avx2") {
            all.push(("avx2", x86::avx2));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        all.push(("neon", arm::neon));
    }
    all.push(("scalar", scalar));
    all
}

fn scalar(a: &[Line], b: &[QueryLine]) -> i32 {
    let line = |(a, b): (&Line, &QueryLine)| -> i32 {
        a.0.iter().zip(&b.0).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
    };
    a.iter().zip(b).map(line).sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16,
        _mm256_extracti128_si256, _mm256_load_si256, _mm256_madd_epi16, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_load_si512,
        _mm512_reduce_add_epi32, _mm512_setzero_si512,
    };

    use super::{Line, QueryLine};

    pub(super) fn vnni(a: &[Line], b: &[QueryLine]) -> i32 {
        // SAFETY: handed out only where `avx512f` and `avx512vnni` were detected.
        unsafe { vnni_sum(a, b) }
    }

    pub(super) fn avx2(a: &[Line], b: &[QueryLine]) -> i32 {
        // SAFETY: handed out only where `avx2` was detected.
        unsafe { avx2_sum(a, b) }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn vnni_sum(a: &[Line], b: &[QueryLine]) -> i32 {
        let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let n = a.len().min(b.len());
        let (a, b) = (a[..n].chunks(2), b[..n].chunks(2));
        for (a, b) in a.zip(b) {
            // SAFETY: a line is 64 bytes at an address that 64 divides.
            let (x, y) = unsafe {
                (_mm512_load_si512((&raw const a[0]).cast()), _mm512_load_si512((&raw const b[0]).cast()))
            };
            even = _mm512_dpbusd_epi32(even, x, y);
            if let ([_, a], [_, b]) = (a, b) {
                // SAFETY: as above.
                let (x, y) = unsafe {
                    (_mm512_load_si512((&raw const *a).cast()), _mm512_load_si512((&raw const *b).cast()))
                };
                odd = _mm512_dpbusd_epi32(odd, x, y);
            }
        }
        _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd))
    }

    #[target_feature(enable = "avx2")]
    fn avx2_sum(a: &[Line], b: &[QueryLine]) -> i32 {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (a, b) in a.iter().zip(b) {
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a line is 64 bytes at an address that 64 divides; both halves are within.
                let (x, y): (__m256i, __m256i) = unsafe {
                    (
                        _mm256_load_si256((&raw const a.0[32 * half]).cast()),
                        _mm256_load_si256((&raw const b.0[32 * half]).cast()),
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

    use super::{Line, QueryLine};

    pub(super) fn neon(a: &[Line], b: &[QueryLine]) -> i32 {
        // SAFETY: handed out only where `neon` was detected.
        unsafe { neon_sum(a, b) }
    }

    #[target_feature(enable = "neon")]
    fn neon_sum(a: &[Line], b: &[QueryLine]) -> i32 {
        let mut sums = [vdupq_n_s32(0); 2];
        for (a, b) in a.iter().zip(b) {
            for at in (0..64).step_by(8) {
                // SAFETY: eight bytes from `at` lie within the line.
                let (x, y) = unsafe { (vld1_u8(&raw const a.0[at]), vld1_s8(&raw const b.0[at])) };
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

    fn check(a: &[Line], b: &[QueryLine]) {
        let exact: i64 = a
            .iter()
            .zip(b)
            .flat_map(|(a, b)| a.0.iter().zip(&b.0))
            .map(|(&x, &y)| i64::from(x) * i64::from(y))
            .sum();
        for (name, kernel) in available() {
            assert_eq!(i64::from(kernel(a, b)), exact, "{name} of {} lines", a.len());
        }
    }

    #[test]
    fn every_byte_kernel_is_exact_at_every_number_of_lines() {
        let mut rng = SmallRng::seed_from_u64(3);
        for lines in 0..20 {
            let a: Vec<Line> = (0..lines).map(|_| Line(std::array::from_fn(|_| rng.random()))).collect();
            let b: Vec<QueryLine> =
                (0..lines).map(|_| QueryLine(std::array::from_fn(|_| rng.random()))).collect();
            check(&a, &b);
            prefetch(&a);
        }
    }

    #[test]
    fn the_largest_products_of_the_longest_vector_do_not_overflow() {
        for (x, y) in [(255, 127), (255, -127), (0, 127)] {
            check(&vec![Line([x; 64]); 1024], &vec![QueryLine([y; 64]); 1024]);
        }
    }
}
