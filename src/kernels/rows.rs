//! The left side of a product, prepared: rows of numbers in the format that the kernel reads.
//!
//! Formats other than f32 lie in tiles of 16 rows by 64 bytes, so that a tile is one piece of memory: the
//! line of 64 bytes `l` of row `r` stands at line `((r / 16) * lines + l) * 16 + r % 16`. What a row has too
//! few of for a whole line is zero.

use super::buffer::{Buffer, Cells, LINE};
use super::isa::{Isa, Level};
use super::math::{self, Range};

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 16;

/// How the numbers of a row are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// f32, row after row.
    F32,
    /// bf16, in tiles.
    Bf16,
    /// Three bf16 for each number, whose sum it is: three planes of tiles.
    Thirds,
    /// A byte q for each number, which is `low + scale * q` with a low and a scale for each row. The byte is
    /// 0 to `most`: 255, or 127 where the kernel's sums of two would not fit 16 bits.
    Bytes { most: u8 },
}

impl Format {
    /// Numbers of a line of 64 bytes.
    pub fn per_line(self) -> usize {
        match self {
            Format::F32 => 16,
            Format::Bf16 | Format::Thirds => 32,
            Format::Bytes { .. } => 64,
        }
    }

    fn planes(self) -> usize {
        if self == Format::Thirds { 3 } else { 1 }
    }

    /// Whether a part of a row can be written before the rest is known.
    pub fn by_parts(self) -> bool {
        !matches!(self, Format::Bytes { .. })
    }
}

/// Memory for rows.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    data: Buffer,
    scale: Buffer,
    low: Buffer,
}

impl RowBuffer {
    /// Room for `count` rows of `width` numbers.
    pub fn rows(&mut self, isa: Isa, format: Format, count: usize, width: usize) -> Rows<'_> {
        let lines = width.div_ceil(format.per_line());
        let padded = count.next_multiple_of(2 * TILE_ROWS);
        let bytes = format.planes() * padded * lines * LINE;
        self.data.grow(bytes);
        self.scale.grow(padded * size_of::<f32>());
        self.low.grow(padded * size_of::<f32>());
        Rows {
            isa,
            format,
            count,
            width,
            lines,
            plane: padded * lines * LINE,
            data: self.data.share(bytes),
            scale: self.scale.share(padded),
            low: self.low.share(padded),
        }
    }
}

/// Prepared rows, shared by the threads of a run.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub isa: Isa,
    pub format: Format,
    pub count: usize,
    pub width: usize,
    /// Lines of 64 bytes a row has (in one plane).
    pub lines: usize,
    /// Bytes from one plane to the next.
    pub plane: usize,
    pub data: Cells<'a, u8>,
    pub scale: Cells<'a, f32>,
    pub low: Cells<'a, f32>,
}

impl<'a> Rows<'a> {
    /// The byte where the tile of `row` (a multiple of 16) begins; for f32 the row itself.
    #[inline(always)]
    pub fn offset(&self, row: usize) -> usize {
        row * self.lines * LINE
    }

    /// Rows from a multiple of 16, as rows from 0.
    pub fn some(&self, range: std::ops::Range<usize>) -> Rows<'a> {
        debug_assert!(range.start.is_multiple_of(TILE_ROWS));
        Rows {
            count: range.len(),
            data: self.data.range(self.offset(range.start)..self.data.len()),
            scale: self.scale.range(range.start..self.scale.len()),
            low: self.low.range(range.start..self.low.len()),
            ..*self
        }
    }

    #[inline(always)]
    fn line(&self, row: usize, line: usize, plane: usize) -> usize {
        match self.format {
            Format::F32 => (row * self.lines + line) * LINE,
            _ => {
                plane * self.plane
                    + ((row / TILE_ROWS * self.lines + line) * TILE_ROWS + row % TILE_ROWS) * LINE
            }
        }
    }

    /// # Safety
    /// Nobody else uses this line.
    #[inline(always)]
    unsafe fn part<T: super::buffer::Number>(&self, at: usize) -> &'a mut [T] {
        // SAFETY: as the caller says.
        let bytes = unsafe { self.data.part(at..at + LINE) };
        // SAFETY: a line is aligned to 64 bytes, and any bytes are a valid `T`.
        unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), LINE / size_of::<T>()) }
    }

    /// Write a whole row.
    ///
    /// # Safety
    /// Nobody else uses this row.
    #[inline(always)]
    pub unsafe fn write(&self, row: usize, values: &[f32]) {
        debug_assert!(values.len() == self.width && row < self.count);
        match self.format {
            Format::Bytes { most } => {
                let (low, high) = self.isa.dispatch(Range(values));
                let scale = (high - low) / f32::from(most);
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                for (at, chunk) in values.chunks(64).enumerate() {
                    // SAFETY: a line of this row, which the caller has for himself.
                    let line = unsafe { self.part::<u8>(self.line(row, at, 0)) };
                    if let Some(chunk) = chunk.first_chunk::<64>() {
                        for (to, value) in line.iter_mut().zip(chunk) {
                            *to = math::byte((*value - low) * inverse);
                        }
                    } else {
                        line.fill(0);
                        for (to, value) in line.iter_mut().zip(chunk) {
                            *to = math::byte((*value - low) * inverse);
                        }
                    }
                }
                // SAFETY: numbers of this row.
                unsafe {
                    self.scale.part(row..row + 1)[0] = scale;
                    self.low.part(row..row + 1)[0] = low;
                }
            }
            Format::F32 => {
                let at = self.line(row, 0, 0);
                // SAFETY: as for a line.
                let bytes = unsafe { self.data.part(at..at + self.lines * LINE) };
                // SAFETY: lines are aligned to 64 bytes, and a row is a whole number of them.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<f32>(), self.lines * 16)
                };
                to[..values.len()].copy_from_slice(values);
                to[values.len()..].fill(0.0);
            }
            Format::Bf16 | Format::Thirds => {
                for (at, chunk) in values.chunks(32).enumerate() {
                    if let Some(chunk) = chunk.first_chunk::<32>() {
                        // SAFETY: a part of this row.
                        unsafe { self.write_32(row, at, chunk) }
                    } else {
                        let mut whole = [0f32; 32];
                        whole[..chunk.len()].copy_from_slice(chunk);
                        // SAFETY: a part of this row.
                        unsafe { self.write_32(row, at, &whole) }
                    }
                }
            }
        }
    }

    /// Write numbers `32 * at ..` of a row, in a format that can be written by parts. The last part of a row
    /// has zeros where it ends before.
    ///
    /// # Safety
    /// Nobody else uses this part of the row.
    #[inline(always)]
    pub unsafe fn write_32(&self, row: usize, at: usize, values: &[f32; 32]) {
        match self.format {
            Format::Bf16 => {
                // SAFETY: a line of this part of the row.
                let line = unsafe { self.part::<u16>(self.line(row, at, 0)) };
                #[cfg(target_arch = "x86_64")]
                if let Level::Amx(_) | Level::Avx512(_) = self.isa.level {
                    // SAFETY: who has such a level has AVX-512.
                    return unsafe { bf16_wide(values, line) };
                }
                for (to, value) in line.iter_mut().zip(values) {
                    *to = math::bf16(*value);
                }
            }
            Format::Thirds => {
                // SAFETY: lines of this part of the row, one in each plane.
                let (a, b, c) = unsafe {
                    (
                        self.part::<u16>(self.line(row, at, 0)),
                        self.part::<u16>(self.line(row, at, 1)),
                        self.part::<u16>(self.line(row, at, 2)),
                    )
                };
                for (((a, b), c), value) in a.iter_mut().zip(b).zip(c).zip(values) {
                    let [high, middle, low] = math::thirds(*value);
                    (*a, *b, *c) = ((high >> 16) as u16, (middle >> 16) as u16, (low >> 16) as u16);
                }
            }
            Format::F32 => {
                for (half, values) in values.chunks_exact(16).enumerate() {
                    if 2 * at + half < self.lines {
                        // SAFETY: a line of this part of the row.
                        let line = unsafe { self.part::<f32>(self.line(row, 2 * at + half, 0)) };
                        line.copy_from_slice(values);
                    }
                }
            }
            Format::Bytes { .. } => unreachable_format(),
        }
    }
}

/// [`math::bf16`] of 32 numbers: as a plain loop it stays one number at a time.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn bf16_wide(values: &[f32; 32], line: &mut [u16]) {
    use std::arch::x86_64::*;
    assert!(line.len() == 32);
    for half in [0, 16] {
        // SAFETY: 16 of the 32 numbers are read and of the 32 halves written.
        unsafe {
            let bits = _mm512_loadu_si512(values.as_ptr().add(half).cast());
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, _mm512_set1_epi32(0x8000)));
            _mm256_storeu_si256(line.as_mut_ptr().add(half).cast(), _mm512_cvtepi32_epi16(rounded));
        }
    }
}

/// Bytes are written by whole rows, as [`Format::by_parts`] says; who writes by parts asks it first.
#[cold]
fn unreachable_format() {
    debug_assert!(false, "bytes are written by whole rows");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a row means, number by number.
    fn read(rows: &Rows, row: usize) -> Vec<f64> {
        // SAFETY: the test has the rows for itself.
        let data = unsafe { rows.data.view(0..rows.data.len()) };
        let number = |at: usize| -> f64 {
            let bytes = LINE / rows.format.per_line();
            let place = |plane| {
                rows.line(row, at / rows.format.per_line(), plane) + at % rows.format.per_line() * bytes
            };
            let half = |plane| {
                f64::from(half::bf16::from_le_bytes([data[place(plane)], data[place(plane) + 1]]).to_f32())
            };
            match rows.format {
                Format::F32 => {
                    let at = place(0);
                    f64::from(f32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]))
                }
                Format::Bf16 => half(0),
                Format::Thirds => half(0) + half(1) + half(2),
                // SAFETY: as above.
                Format::Bytes { .. } => unsafe {
                    f64::from(rows.low.view(row..row + 1)[0])
                        + f64::from(rows.scale.view(row..row + 1)[0]) * f64::from(data[place(0)])
                },
            }
        };
        (0..rows.width).map(number).collect()
    }

    proptest! {
        #[test]
        fn a_row_means_what_was_written(
            count in 1usize..40, width in 1usize..200, seed: u64, which in 0usize..5,
        ) {
            let format = [Format::F32, Format::Bf16, Format::Thirds, Format::Bytes { most: 255 },
                Format::Bytes { most: 127 }][which];
            let isa = Isa::best();
            let values = super::super::tests::numbers(count * width, seed, 3.0);
            let mut buffer = RowBuffer::default();
            let rows = buffer.rows(isa, format, count, width);
            for (row, values) in values.chunks(width).enumerate() {
                // SAFETY: one thread.
                unsafe { rows.write(row, values) };
            }
            for (row, values) in values.chunks(width).enumerate() {
                let allowed = |v: f32| match format {
                    Format::F32 | Format::Thirds => 0.0,
                    Format::Bf16 => f64::from(v.abs()) / 256.0,
                    Format::Bytes { most } => 6.0 / f64::from(most) * 0.501,
                };
                for (got, value) in read(&rows, row).into_iter().zip(values) {
                    prop_assert!((got - f64::from(*value)).abs() <= allowed(*value), "{got} {value}");
                }
            }
        }
    }
}
