//! Products of pairs of bf16 and of fours of bytes without matrix tiles: AVX512-BF16 and AVX512-VNNI, AVX2,
//! and plain loops. The layout of both factors is that of the tiles (`rows.rs`, `linear.rs`).

use super::rows::TILE_ROWS;

/// A block of up to 16 rows of one tile row by 32 columns.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// `lines` tiles of 1024 bytes.
    pub left: &'a [u8],
    /// `lines` times 16 rows of 128 bytes.
    pub right: &'a [u8],
    pub lines: usize,
    /// 1 to 16.
    pub rows: usize,
    /// So many bytes behind what is read of `right` stands what will be read next; 0 for nothing.
    pub ahead: usize,
}

/// Bytes of a tile.
const TILE: usize = 1024;

impl Block<'_> {
    fn check(&self) {
        assert!(self.left.len() >= self.lines * TILE && self.right.len() >= self.lines * 2 * TILE);
        assert!((1..=TILE_ROWS).contains(&self.rows));
    }
}

/// Four bytes by four for every column, plain. Fills `rows` rows of the tile.
pub(super) fn plain(block: Block, tile: &mut [f32]) {
    block.check();
    for row in 0..block.rows {
        let mut sums = [0i32; 32];
        for line in 0..block.lines {
            let left = &block.left[line * TILE + row * 64..][..64];
            let right = &block.right[line * 2 * TILE..][..2 * TILE];
            for (four, right) in left.chunks_exact(4).zip(right.chunks_exact(128)) {
                for (sum, weights) in sums.iter_mut().zip(right.chunks_exact(4)) {
                    for (a, w) in four.iter().zip(weights) {
                        *sum += i32::from(*a) * i32::from(w.cast_signed());
                    }
                }
            }
        }
        for (to, sum) in tile[row * 32..][..32].iter_mut().zip(sums) {
            *to = sum as f32;
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{avx2, bf16, vnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, TILE};

    macro_rules! wide {
        ($name:ident, $inner:ident, $features:literal, $sum:ty, $zero:expr, $fma:expr, $store:expr, $what:literal) => {
            #[doc = $what]
            ///
            /// # Safety
            #[doc = concat!("The processor has ", $features, ".")]
            #[target_feature(enable = $features)]
            pub unsafe fn $name(block: Block, tile: &mut [f32]) {
                block.check();
                assert!(tile.len() >= block.rows * 32);
                let mut row = 0;
                while row < block.rows {
                    // SAFETY: the lengths were checked, `row` and those behind it are below 16.
                    unsafe {
                        match block.rows - row {
                            1 => $inner::<1>(block, row, tile),
                            2 => $inner::<2>(block, row, tile),
                            3 => $inner::<3>(block, row, tile),
                            4 | 5 => $inner::<4>(block, row, tile),
                            6 | 7 => $inner::<6>(block, row, tile),
                            _ => $inner::<8>(block, row, tile),
                        }
                    }
                    row += match block.rows - row {
                        few @ 1..=3 => few,
                        4 | 5 => 4,
                        6 | 7 => 6,
                        _ => 8,
                    };
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn $inner<const ROWS: usize>(block: Block, row: usize, tile: &mut [f32]) {
                let mut sums: [[$sum; 2]; ROWS] = [[$zero; 2]; ROWS];
                let ahead = if row + ROWS >= block.rows { block.ahead } else { 0 };
                // SAFETY: the caller has checked all lengths: there are `lines` tiles on the left, twice the bytes on
                // the right, and 32 numbers a row in `tile`.
                unsafe {
                    let mut left = block.left.as_ptr().add(row * 64);
                    let mut right = block.right.as_ptr();
                    for _ in 0..block.lines {
                        for pair in 0..16 {
                            let a = _mm512_loadu_si512(right.cast());
                            let b = _mm512_loadu_si512(right.add(64).cast());
                            // Asks for a line, wherever it may lie.
                            _mm_prefetch::<_MM_HINT_T1>(right.wrapping_add(ahead).cast());
                            _mm_prefetch::<_MM_HINT_T1>(right.wrapping_add(ahead + 64).cast());
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let x = _mm512_set1_epi32(
                                    left.add(row * 64 + pair * 4).cast::<i32>().read_unaligned(),
                                );
                                sums[0] = $fma(sums[0], x, a);
                                sums[1] = $fma(sums[1], x, b);
                            }
                            right = right.add(128);
                        }
                        left = left.add(TILE);
                    }
                    for (at, sums) in sums.into_iter().enumerate() {
                        let to = tile.as_mut_ptr().add((row + at) * 32);
                        _mm512_storeu_ps(to, $store(sums[0]));
                        _mm512_storeu_ps(to.add(16), $store(sums[1]));
                    }
                }
            }
        };
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn pairs(sum: __m512, x: __m512i, weights: __m512i) -> __m512 {
        // SAFETY: both types are 512 bits without invalid values.
        unsafe {
            _mm512_dpbf16_ps(
                sum,
                std::mem::transmute::<__m512i, __m512bh>(x),
                std::mem::transmute::<__m512i, __m512bh>(weights),
            )
        }
    }

    wide!(
        bf16,
        bf16_rows,
        "avx512f,avx512bf16",
        __m512,
        _mm512_setzero_ps(),
        pairs,
        std::convert::identity,
        "Pairs of bf16."
    );
    wide!(
        vnni,
        vnni_rows,
        "avx512f,avx512vnni",
        __m512i,
        _mm512_setzero_si512(),
        _mm512_dpbusd_epi32,
        _mm512_cvtepi32_ps,
        "Unsigned by signed bytes."
    );

    /// Unsigned bytes up to 127 by signed ones.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2(block: Block, tile: &mut [f32]) {
        block.check();
        assert!(tile.len() >= block.rows * 32);
        let mut row = 0;
        while row < block.rows {
            // SAFETY: the lengths were checked, `row` and the one behind it are below 16.
            unsafe {
                if block.rows - row > 1 {
                    avx2_rows::<2>(block, row, tile);
                } else {
                    avx2_rows::<1>(block, row, tile);
                }
            }
            row += 2;
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn avx2_rows<const ROWS: usize>(block: Block, row: usize, tile: &mut [f32]) {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 4]; ROWS];
        // SAFETY: as for the wide ones.
        unsafe {
            let mut left = block.left.as_ptr().add(row * 64);
            let mut right = block.right.as_ptr();
            for _ in 0..block.lines {
                for four in 0..16 {
                    for (at, sums) in sums.iter_mut().enumerate() {
                        let x =
                            _mm256_set1_epi32(left.add(at * 64 + four * 4).cast::<i32>().read_unaligned());
                        for (part, sum) in sums.iter_mut().enumerate() {
                            let weights = _mm256_loadu_si256(right.add(part * 32).cast());
                            // Two products of at most 127 * 127 fit 16 bits.
                            let twos = _mm256_maddubs_epi16(x, weights);
                            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(twos, ones));
                        }
                    }
                    right = right.add(128);
                }
                left = left.add(TILE);
            }
            for (at, sums) in sums.into_iter().enumerate() {
                for (part, sum) in sums.into_iter().enumerate() {
                    let to = tile.as_mut_ptr().add((row + at) * 32 + part * 8);
                    _mm256_storeu_ps(to, _mm256_cvtepi32_ps(sum));
                }
            }
        }
    }
}
