//! Pillow's antialiased bicubic or bilinear resize on 8-bit RGB, to the last bit: fixed-point coefficients with
//! 22 fractional bits, a horizontal pass, rounding to 8 bits, a vertical pass. Only the window
//! that the centre crop keeps is computed, so that a 1 x 60,000 strip costs no more than a square.
//!
//! The sums run over blocks of whole pixels in plain loops that pulp compiles for the widest vectors of the
//! machine; integers add up to the same in any order.
//!
//! Source: Pillow 13, libImaging/Resample.c. (Pillow turns the order of passes around for
//! pictures over 100 times as tall as wide and for most that become a square and are taller than wide; there a
//! value may differ by one level.)

use pulp::Arch;

use super::decode::RgbImage;

/// 32 bits less 8 for the value and 2 for overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The resized size of a whole picture and the part of it that is wanted, in output pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub width: u32,
    pub height: u32,
    pub left: u32,
    pub top: u32,
    pub crop_width: u32,
    pub crop_height: u32,
}

/// How far an output pixel reaches, and what it takes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Bilinear,
    Bicubic,
}

impl Filter {
    /// Pixels on each side.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Filter::Bilinear => (1.0 - x.abs()).max(0.0),
            Filter::Bicubic => bicubic(x),
        }
    }
}

/// One output pixel of one axis: the first input pixel and its weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Bytes of a block of the horizontal pass: 8 pixels, three vectors of 8 numbers.
const BLOCK: usize = 24;
/// Values that the vertical pass sums at once.
const COLUMNS: usize = 64;

/// `picture` resized to `window.width` x `window.height`, of which the window is returned as
/// interleaved RGB, `crop_width * crop_height * 3` bytes.
pub(super) fn resize_window(picture: &RgbImage, window: &Window, filter: Filter) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let columns =
        taps(filter, width, window.width as usize, window.left as usize, window.crop_width as usize);
    let rows = taps(filter, height, window.height as usize, window.top as usize, window.crop_height as usize);
    let first_row = rows.iter().map(|t| t.first).min().unwrap_or(0);
    let end_row = rows.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);
    let arch = Arch::new();
    let source = Source { bytes: picture.as_raw(), line: width * 3, first_row, end_row };
    let narrow = if width == window.width as usize {
        source.cut(window.left as usize * 3, columns.len() * 3) // Pillow skips the pass
    } else {
        let columns = Columns::new(&columns);
        arch.dispatch(|| columns.pass(&source))
    };
    arch.dispatch(|| vertical(&narrow, columns.len() * 3, first_row, &rows))
}

/// The lines of a picture that are resized.
struct Source<'a> {
    bytes: &'a [u8],
    /// Bytes of a line.
    line: usize,
    first_row: usize,
    end_row: usize,
}

impl Source<'_> {
    /// `count` bytes of each line from the byte `start`.
    fn cut(&self, start: usize, count: usize) -> Vec<u8> {
        let lines = self.bytes.chunks_exact(self.line).take(self.end_row).skip(self.first_row);
        lines.flat_map(|line| &line[start..start + count]).copied().collect()
    }
}

/// The weights of the horizontal pass, each three times over for the channels of a pixel, in whole blocks of
/// [`BLOCK`] bytes: behind the last weight of a column stand zeros.
struct Columns {
    /// For each column its first byte.
    first: Vec<usize>,
    /// For each column the end of its blocks.
    ends: Vec<usize>,
    blocks: Vec<[i32; BLOCK]>,
}

impl Columns {
    fn new(columns: &[Taps]) -> Self {
        let (mut ends, mut blocks) = (Vec::with_capacity(columns.len()), Vec::new());
        for column in columns {
            for weights in column.weights.chunks(BLOCK / 3) {
                let mut block = [0; BLOCK];
                for (three, weight) in block.chunks_exact_mut(3).zip(weights) {
                    three.fill(*weight);
                }
                blocks.push(block);
            }
            ends.push(blocks.len());
        }
        Columns { first: columns.iter().map(|t| t.first * 3).collect(), ends, blocks }
    }

    #[inline(always)]
    fn pass(&self, source: &Source<'_>) -> Vec<u8> {
        let stride = self.first.len() * 3;
        let mut out = vec![0; (source.end_row - source.first_row) * stride];
        let mut last = Vec::new();
        for (row, out) in (source.first_row..source.end_row).zip(out.chunks_exact_mut(stride)) {
            let start = row * source.line;
            // A block may reach over the end of its line, where its weights are 0; not over that of the picture.
            let line = match source.bytes.get(start..start + source.line + BLOCK) {
                Some(line) => line,
                None => {
                    last.clear();
                    last.extend_from_slice(&source.bytes[start..start + source.line]);
                    last.resize(source.line + BLOCK, 0);
                    &last
                }
            };
            self.line(line, out);
        }
        out
    }

    #[inline(always)]
    fn line(&self, line: &[u8], out: &mut [u8]) {
        let mut from = 0;
        let columns = self.first.iter().zip(&self.ends);
        for ((&first, &end), out) in columns.zip(out.as_chunks_mut::<3>().0) {
            let mut sums = [0i32; BLOCK];
            for (block, pixels) in self.blocks[from..end].iter().zip(line[first..].as_chunks::<BLOCK>().0) {
                for ((sum, &value), &weight) in sums.iter_mut().zip(pixels).zip(block) {
                    // Cannot overflow: 255 times the sum of the weights' sizes is under 2^31.
                    *sum = sum.wrapping_add(i32::from(value).wrapping_mul(weight));
                }
            }
            from = end;
            // Every half is whole pixels: the channels stay in their places.
            let sums: [i32; 3] = halved::<6, 3>(halved::<12, 6>(halved::<BLOCK, 12>(sums)));
            *out = sums.map(|sum| clip(sum.wrapping_add(HALF)));
        }
    }
}

/// The sums of the first half and the second.
#[inline(always)]
fn halved<const N: usize, const HALF_N: usize>(sums: [i32; N]) -> [i32; HALF_N] {
    let mut half = [0; HALF_N];
    for ((half, &low), &high) in half.iter_mut().zip(&sums[..HALF_N]).zip(&sums[HALF_N..]) {
        *half = low.wrapping_add(high);
    }
    half
}

/// Lines of `stride` bytes, the first of which is line `first_row` of the picture, to the lines of `rows`.
#[inline(always)]
fn vertical(lines: &[u8], stride: usize, first_row: usize, rows: &[Taps]) -> Vec<u8> {
    let mut out = vec![0; rows.len() * stride];
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(stride)) {
        let lines = &lines[(row.first - first_row) * stride..];
        let whole = stride - stride % COLUMNS;
        for (block, out) in out.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            let mut sums = [HALF; COLUMNS];
            for (line, &weight) in lines.chunks_exact(stride).zip(&row.weights) {
                let Some(values) = line[block * COLUMNS..].first_chunk::<COLUMNS>() else { break };
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum = sum.wrapping_add(i32::from(value).wrapping_mul(weight));
                }
            }
            *out = sums.map(clip);
        }
        for (at, out) in out.iter_mut().enumerate().skip(whole) {
            let values = lines.chunks_exact(stride).zip(&row.weights);
            *out = clip(values.fold(HALF, |sum, (line, &weight)| {
                sum.wrapping_add(i32::from(line[at]).wrapping_mul(weight))
            }));
        }
    }
    out
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn taps(filter: Filter, input: usize, output: usize, start: usize, count: usize) -> Vec<Taps> {
    if input == output {
        // Pillow skips the pass: one weight of exactly 1.
        return (start..start + count)
            .map(|first| Taps { first, weights: vec![1 << PRECISION_BITS] })
            .collect();
    }
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let per_pixel = 1.0 / stretch;
    (start..start + count)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let weights: Vec<f64> =
                (first..end).map(|x| filter.weight((x as f64 - centre + 0.5) * per_pixel)).collect();
            let total: f64 = weights.iter().sum();
            let total = if total == 0.0 { 1.0 } else { total };
            let fixed = |w: f64| {
                let scaled = w / total * f64::from(1 << PRECISION_BITS);
                (scaled + 0.5f64.copysign(scaled)) as i32
            };
            Taps { first, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

/// Keys' cubic with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(width: u32, height: u32) -> Window {
        Window { width, height, left: 0, top: 0, crop_width: width, crop_height: height }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn one_colour_stays_that_colour_at_every_size(w in 1u32..90, h in 1u32..90, ow in 1u32..70, oh in 1u32..70, colour: [u8; 3]) {
            let picture = RgbImage::from_pixel(w, h, image::Rgb(colour));
            let out = resize_window(&picture, &whole(ow, oh), Filter::Bicubic);
            prop_assert_eq!(out.len(), (ow * oh * 3) as usize);
            for pixel in out.chunks_exact(3) {
                prop_assert_eq!(pixel, &colour[..]);
            }
        }

        #[test]
        fn a_window_equals_the_crop_of_the_whole(w in 2u32..60, h in 2u32..60, left in 0u32..10, top in 0u32..10) {
            let picture = RgbImage::from_fn(w, h, |x, y| image::Rgb([(x * 37 + y * 11) as u8, (x * y) as u8, (y * 53) as u8]));
            let all = resize_window(&picture, &whole(30, 25), Filter::Bicubic);
            let part = resize_window(&picture, &Window { width: 30, height: 25, left, top, crop_width: 20, crop_height: 15 }, Filter::Bicubic);
            for y in 0..15usize {
                let from = ((y + top as usize) * 30 + left as usize) * 3;
                prop_assert_eq!(&part[y * 60..y * 60 + 60], &all[from..from + 60]);
            }
        }
    }

    /// As Pillow's C code is written: a value at a time.
    fn plainly(picture: &RgbImage, window: &Window, filter: Filter) -> Vec<u8> {
        let [width, height] = [picture.width(), picture.height()].map(|side| side as usize);
        let columns =
            taps(filter, width, window.width as usize, window.left as usize, window.crop_width as usize);
        let rows =
            taps(filter, height, window.height as usize, window.top as usize, window.crop_height as usize);
        let across = |x: usize, y: usize, c: usize| {
            let column = &columns[x];
            let values = column.weights.iter().enumerate();
            clip(values.fold(HALF, |sum, (k, w)| {
                sum + w * i32::from(picture.as_raw()[(y * width + column.first + k) * 3 + c])
            }))
        };
        let mut out = Vec::new();
        for row in &rows {
            for x in 0..columns.len() {
                for c in 0..3 {
                    let values = row.weights.iter().enumerate();
                    out.push(clip(
                        values.fold(HALF, |sum, (k, w)| sum + w * i32::from(across(x, row.first + k, c))),
                    ));
                }
            }
        }
        out
    }

    #[test]
    fn blocks_of_every_size_are_the_sums_one_by_one() {
        let mut seed = 3u32;
        for (w, h, ow, oh) in [
            (7, 5, 31, 22),
            (40, 61, 33, 40),
            (97, 20, 24, 9),
            (150, 90, 22, 22),
            (400, 33, 21, 30),
            (1_200, 40, 9, 8),
        ] {
            let picture = RgbImage::from_fn(w, h, |_, _| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                image::Rgb([(seed >> 24) as u8, if seed & 256 == 0 { 0 } else { 255 }, (seed >> 16) as u8])
            });
            let window =
                Window { width: ow, height: oh, left: 1, top: 2, crop_width: ow - 2, crop_height: oh - 3 };
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                assert!(
                    resize_window(&picture, &window, filter) == plainly(&picture, &window, filter),
                    "{w} x {h} to {ow} x {oh}, {filter:?}"
                );
            }
        }
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let picture = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        assert_eq!(resize_window(&picture, &whole(9, 7), Filter::Bicubic), picture.into_raw());
    }
}
