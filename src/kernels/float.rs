//! Products of f32 by fused multiply-adds, a few rows by two vectors at a time. pulp chooses the vectors.

use pulp::{Simd, WithSimd};

/// Columns of a panel of weights, and of the tile that a product fills.
pub(super) const PANEL: usize = 32;

/// `tile[r][c] = sum over k of left[r][k] * right[k][c]`, for up to 32 rows and 32 columns.
pub(super) struct Product<'a> {
    /// Rows of `left_stride` numbers, of which `depth` count.
    pub left: &'a [f32],
    pub left_stride: usize,
    pub rows: usize,
    /// `depth` rows of `right_stride` numbers, of which the first 32 count.
    pub right: &'a [f32],
    pub right_stride: usize,
    pub depth: usize,
    /// Rows of `tile_stride` numbers, at least 32.
    pub tile: &'a mut [f32],
    pub tile_stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // As many sums as there are registers for: two a row, beside the two vectors of weights.
        let step = match S::F32_LANES {
            16 | 4 => 8, // AVX-512 and NEON have 32 registers
            8 => 6,
            _ => 4,
        };
        let mut row = 0;
        while row < self.rows {
            let rows = step.min(self.rows - row);
            match rows {
                8 => self.part::<S, 8>(simd, row),
                7 => self.part::<S, 7>(simd, row),
                6 => self.part::<S, 6>(simd, row),
                5 => self.part::<S, 5>(simd, row),
                4 => self.part::<S, 4>(simd, row),
                3 => self.part::<S, 3>(simd, row),
                2 => self.part::<S, 2>(simd, row),
                _ => self.part::<S, 1>(simd, row),
            }
            row += rows;
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn part<S: Simd, const ROWS: usize>(&mut self, simd: S, first: usize) {
        let lanes = S::F32_LANES;
        let depth = self.depth;
        let left: [&[f32]; ROWS] =
            std::array::from_fn(|row| &self.left[(first + row) * self.left_stride..][..depth]);
        let mut column = 0;
        while column < PANEL {
            let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
            let right = self.right.get(column..).unwrap_or(&[]);
            for (k, right) in right.chunks(self.right_stride).take(depth).enumerate() {
                let vectors = S::as_simd_f32s(&right[..2 * lanes]).0;
                let (a, b) = (vectors[0], vectors[1]);
                for (sums, left) in sums.iter_mut().zip(&left) {
                    // SAFETY: `k` is below `depth`, the length of each row.
                    let x = simd.splat_f32s(unsafe { *left.get_unchecked(k) });
                    sums[0] = simd.mul_add_e_f32s(x, a, sums[0]);
                    sums[1] = simd.mul_add_e_f32s(x, b, sums[1]);
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                let to = &mut self.tile[(first + row) * self.tile_stride + column..][..2 * lanes];
                S::as_mut_simd_f32s(to).0.copy_from_slice(sums);
            }
            column += 2 * lanes;
        }
    }
}
