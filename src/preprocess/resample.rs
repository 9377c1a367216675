//! Pillow's antialiased bicubic resize on 8-bit RGB, to the last bit: fixed-point coefficients with
//! 22 fractional bits, a horizontal pass, rounding to 8 bits, a vertical pass. Only the window
//! that the centre crop keeps is computed, so that a 1 x 60,000 strip costs no more than a square.
//!
//! Source: Pillow 13, libImaging/Resample.c. (Pillow turns the order of passes around for
//! pictures over 100 times as tall as wide; there a value may differ by one level.)

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

/// One output pixel of one axis: the first input pixel and its weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// `picture` resized to `window.width` x `window.height`, of which the window is returned as
/// interleaved RGB, `crop_width * crop_height * 3` bytes.
pub(super) fn resize_window(picture: &RgbImage, window: &Window) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let columns = taps(width, window.width as usize, window.left as usize, window.crop_width as usize);
    let rows = taps(height, window.height as usize, window.top as usize, window.crop_height as usize);
    let first_row = rows.iter().map(|t| t.first).min().unwrap_or(0);
    let end_row = rows.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);

    let stride = columns.len() * 3;
    let mut narrow = Vec::with_capacity((end_row - first_row) * stride);
    for line in picture.as_raw().chunks_exact(width * 3).take(end_row).skip(first_row) {
        horizontal(line, &columns, &mut narrow);
    }
    let mut out = Vec::with_capacity(rows.len() * stride);
    let mut sums = vec![0i32; stride];
    for row in &rows {
        sums.fill(HALF);
        let start = (row.first - first_row) * stride;
        for (line, &weight) in narrow[start..].chunks_exact(stride).zip(&row.weights) {
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| clip(sum)));
    }
    out
}

fn horizontal(line: &[u8], columns: &[Taps], out: &mut Vec<u8>) {
    for column in columns {
        let pixels = &line[column.first * 3..];
        let (mut red, mut green, mut blue) = (HALF, HALF, HALF);
        for (pixel, &weight) in pixels.chunks_exact(3).zip(&column.weights) {
            red += i32::from(pixel[0]) * weight;
            green += i32::from(pixel[1]) * weight;
            blue += i32::from(pixel[2]) * weight;
        }
        out.extend([clip(red), clip(green), clip(blue)]);
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn taps(input: usize, output: usize, start: usize, count: usize) -> Vec<Taps> {
    if input == output {
        // Pillow skips the pass: one weight of exactly 1.
        return (start..start + count)
            .map(|first| Taps { first, weights: vec![1 << PRECISION_BITS] })
            .collect();
    }
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch; // bicubic reaches two pixels
    let per_pixel = 1.0 / stretch;
    (start..start + count)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let weights: Vec<f64> =
                (first..end).map(|x| bicubic((x as f64 - centre + 0.5) * per_pixel)).collect();
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
            let out = resize_window(&picture, &whole(ow, oh));
            prop_assert_eq!(out.len(), (ow * oh * 3) as usize);
            for pixel in out.chunks_exact(3) {
                prop_assert_eq!(pixel, &colour[..]);
            }
        }

        #[test]
        fn a_window_equals_the_crop_of_the_whole(w in 2u32..60, h in 2u32..60, left in 0u32..10, top in 0u32..10) {
            let picture = RgbImage::from_fn(w, h, |x, y| image::Rgb([(x * 37 + y * 11) as u8, (x * y) as u8, (y * 53) as u8]));
            let all = resize_window(&picture, &whole(30, 25));
            let part = resize_window(&picture, &Window { width: 30, height: 25, left, top, crop_width: 20, crop_height: 15 });
            for y in 0..15usize {
                let from = ((y + top as usize) * 30 + left as usize) * 3;
                prop_assert_eq!(&part[y * 60..y * 60 + 60], &all[from..from + 60]);
            }
        }
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let picture = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        assert_eq!(resize_window(&picture, &whole(9, 7)), picture.into_raw());
    }
}
