//! A picture of a signature to its ink alone: what is paper becomes white, and what is left fills
//! the canvas. The paper must go first: a probe that looks at it alone can tell forgeries of one
//! session from genuine signatures of another, and a verifier would learn the scanner.
//!
//! Steps: grey, 3 x 3 mean, Otsu's threshold on it, specks of under 6 pixels dropped, everything but
//! ink white, crop to the ink, letterbox with a margin of 4 %, the darkest tenth of the ink black. Never a
//! centre crop: it cuts wide signatures. Invariant: the same picture on brighter or whiter paper, or with a
//! paler pen, gives nearly the same canvas, and what holds no signature is refused with words that say why.

use super::decode::RgbImage;
use super::print::InkPrint;
use super::resample::{Filter, Window, resize_window};

/// Larger pictures are scaled down first: a signature scanned at 600 dpi has about 1,000 pixels.
const MAX_SIDE: u32 = 1024;
/// Connected ink of fewer pixels is dust.
const SPECK: usize = 6;
/// Levels between the mean of the ink and that of the paper under which the picture is paper only.
const MIN_CONTRAST: f64 = 24.0;
/// The share of the ink that is drawn as black, the darkest first.
const BLACK_SHARE: f64 = 0.1;
/// Share of the canvas left white at each edge.
const MARGIN: f64 = 0.04;
/// The longer side of the ink's box, in pixels, under which nothing can be seen.
pub const MIN_BOX: u32 = 40;
/// Share of the picture's area above which the ink is no signature: a photo, a stamp, a negative.
pub const MAX_INK_SHARE: f64 = 0.4;
/// Connected pieces of ink under which there is too little to compare, pixels in all.
const MIN_INK: usize = 40;
const WHITE: u8 = 255;

/// Facts of the ink.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Ink pixels over all pixels of the picture, 0 to 1.
    pub ink_share: f64,
    /// Width of the box around the ink, pixels (of the picture scaled to at most 1,024).
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Levels between paper and ink, 0 to 255.
    pub contrast: f64,
}

/// Why a picture cannot be judged. Its `Display` is for the one who took the picture.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// No ink.
    #[error("the picture is blank: no ink stands out from the paper")]
    Blank,
    /// The box is under [`MIN_BOX`].
    #[error(
        "the signature is too small: {width} x {height} pixels, at least {MIN_BOX} on the longer side are needed; \
             scan it larger"
    )]
    TooSmall {
        /// Of the ink's box, pixels.
        width: u32,
        /// Of the ink's box, pixels.
        height: u32,
    },
    /// More than [`MAX_INK_SHARE`].
    #[error(
        "{:.0} % of the picture is dark, at most {:.0} % can be a signature; crop it to dark ink on light paper",
        share * 100.0,
        MAX_INK_SHARE * 100.0
    )]
    TooMuchInk {
        /// Ink over area.
        share: f64,
    },
}

/// The steps that a bench switches off to show what they do. All are on otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaning {
    /// Everything but ink becomes white.
    pub remove_paper: bool,
    /// Crop to the ink and keep its proportions; otherwise the shorter side fills the canvas and
    /// the middle is cut out, as for photographs.
    pub letterbox: bool,
    /// The darkest ink becomes black, so that a pale pen or scan counts no less than a dark one.
    pub darken: bool,
}

impl Default for Cleaning {
    fn default() -> Self {
        Cleaning { remove_paper: true, letterbox: true, darken: true }
    }
}

/// A signature without its paper.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Grey in three equal channels, cropped to the ink's box.
    ink: RgbImage,
    quality: Quality,
    letterbox: bool,
    /// What a pixel's distance from white is multiplied by; 1 where the darkest ink is black.
    gain: f32,
}

impl Signature {
    /// Find the ink of a decoded picture.
    ///
    /// # Errors
    /// [`Unfit`], in words.
    pub fn find(picture: &RgbImage, cleaning: Cleaning) -> Result<Signature, Unfit> {
        let (grey, width, height) = grey(picture);
        let blurred = blur(&grey, width, height);
        let (threshold, contrast) = otsu(&blurred);
        if contrast < MIN_CONTRAST {
            return Err(Unfit::Blank);
        }
        let mut mask: Vec<bool> = blurred.iter().map(|&level| level <= threshold).collect();
        let ink = drop_specks(&mut mask, width);
        let Some(area) = bounds(&mask, width) else { return Err(Unfit::Blank) };
        let share = ink as f64 / mask.len() as f64;
        let quality =
            Quality { ink_share: share, width: area.width as u32, height: area.height as u32, contrast };
        if share > MAX_INK_SHARE {
            return Err(Unfit::TooMuchInk { share });
        }
        if quality.width.max(quality.height) < MIN_BOX || ink < MIN_INK {
            return Err(Unfit::TooSmall { width: quality.width, height: quality.height });
        }
        let area = if cleaning.letterbox { area } else { Area { left: 0, top: 0, width, height } };
        let ink = RgbImage::from_fn(area.width as u32, area.height as u32, |x, y| {
            let at = (area.top + y as usize) * width + area.left + x as usize;
            let level = if mask[at] || !cleaning.remove_paper { grey[at] } else { WHITE };
            image::Rgb([level; 3])
        });
        let gain = if cleaning.darken { gain(&grey, &mask) } else { 1.0 };
        Ok(Signature { ink, quality, letterbox: cleaning.letterbox, gain })
    }

    /// Facts of the ink.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// Where the ink lies, to find copies by.
    pub fn print(&self) -> InkPrint {
        InkPrint::of(&self.ink)
    }

    fn darkened(&self, level: u8) -> u8 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 255
        let depth = (f32::from(WHITE - level) * self.gain).round_ties_even().min(255.0) as u8;
        WHITE - depth
    }

    /// The ink on a white canvas: `width * height` grey levels, row by row, proportions kept.
    pub fn canvas(&self, width: u32, height: u32) -> Vec<u8> {
        let (from_w, from_h) = (f64::from(self.ink.width()), f64::from(self.ink.height()));
        let inner = |side: u32| f64::from(side) - 2.0 * (f64::from(side) * MARGIN).round();
        let scale = if self.letterbox {
            (inner(width) / from_w).min(inner(height) / from_h)
        } else {
            (f64::from(width) / from_w).max(f64::from(height) / from_h)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of the size of the canvas
        let side = |length: f64| (length * scale).round_ties_even().max(1.0) as u32;
        let (w, h) = (side(from_w), side(from_h));
        let (crop_width, crop_height) = (w.min(width), h.min(height));
        let window = Window {
            width: w,
            height: h,
            left: (w - crop_width) / 2,
            top: (h - crop_height) / 2,
            crop_width,
            crop_height,
        };
        let resized = resize_window(&self.ink, &window, Filter::Bicubic);
        let mut canvas = vec![WHITE; (width * height) as usize];
        let (left, top) = ((width - crop_width) / 2, (height - crop_height) / 2);
        for (y, row) in resized.chunks_exact(crop_width as usize * 3).enumerate() {
            let start = (top as usize + y) * width as usize + left as usize;
            for (to, pixel) in canvas[start..].iter_mut().zip(row.chunks_exact(3)) {
                *to = self.darkened(pixel[0]);
            }
        }
        canvas
    }
}

/// What the distance from white is multiplied by, so that [`BLACK_SHARE`] of the ink is black.
fn gain(grey: &[u8], mask: &[bool]) -> f32 {
    let mut ink: Vec<u8> =
        grey.iter().zip(mask).filter(|(_, inked)| **inked).map(|(level, _)| *level).collect();
    if ink.is_empty() {
        return 1.0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
    let at = ((ink.len() as f64 * BLACK_SHARE) as usize).min(ink.len() - 1);
    let (_, level, _) = ink.select_nth_unstable(at);
    f32::from(WHITE) / f32::from(WHITE - *level).max(1.0)
}

/// Grey levels as Pillow's "L", at most [`MAX_SIDE`] on the longer side.
fn grey(picture: &RgbImage) -> (Vec<u8>, usize, usize) {
    let longer = picture.width().max(picture.height());
    let scaled;
    let picture = if longer > MAX_SIDE {
        let side = |length: u32| (u64::from(length) * u64::from(MAX_SIDE) / u64::from(longer)).max(1) as u32;
        let (width, height) = (side(picture.width()), side(picture.height()));
        let whole = Window { width, height, left: 0, top: 0, crop_width: width, crop_height: height };
        match RgbImage::from_raw(width, height, resize_window(picture, &whole, Filter::Bicubic)) {
            Some(small) => {
                scaled = small;
                &scaled
            }
            None => picture,
        }
    } else {
        picture
    };
    let levels = picture.pixels().map(|pixel| {
        let [r, g, b] = pixel.0.map(u32::from);
        ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
    });
    (levels.collect(), picture.width() as usize, picture.height() as usize)
}

/// The mean of 3 x 3 pixels, the edge repeated.
fn blur(grey: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(grey.len());
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(|row| &grey[row * width..][..width]);
        for x in 0..width {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
            let sum: u32 = rows.iter().flat_map(|row| columns.map(|column| u32::from(row[column]))).sum();
            out.push(((2 * sum + 9) / 18) as u8);
        }
    }
    out
}

/// The level up to which a pixel is dark, by the largest variance between the two classes, and how
/// far apart their means are.
fn otsu(levels: &[u8]) -> (u8, f64) {
    let mut histogram = [0u64; 256];
    levels.iter().for_each(|&level| histogram[level as usize] += 1);
    let total = levels.len() as f64;
    let sum: f64 = histogram.iter().zip(0u32..).map(|(&n, level)| n as f64 * f64::from(level)).sum();
    let (mut dark, mut dark_sum) = (0.0, 0.0);
    let (mut best, mut threshold, mut contrast) = (0.0, 0, 0.0);
    for level in 0..255u8 {
        let count = histogram[level as usize] as f64;
        dark += count;
        dark_sum += count * f64::from(level);
        let light = total - dark;
        if dark > 0.0 && light > 0.0 {
            let apart = (sum - dark_sum) / light - dark_sum / dark;
            let between = dark * light * apart * apart;
            if between > best {
                (best, threshold, contrast) = (between, level, apart);
            }
        }
    }
    (threshold, contrast)
}

/// Clears connected pieces (also diagonally) of fewer than [`SPECK`] pixels. Returns what is left.
fn drop_specks(mask: &mut [bool], width: usize) -> usize {
    let height = mask.len() / width;
    let mut seen = vec![false; mask.len()];
    let (mut piece, mut left) = (Vec::new(), 0);
    for start in 0..mask.len() {
        if !mask[start] || seen[start] {
            continue;
        }
        piece.clear();
        piece.push(start);
        seen[start] = true;
        let mut next = 0;
        while let Some(&at) = piece.get(next) {
            next += 1;
            let (x, y) = (at % width, at / width);
            for row in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for column in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let neighbour = row * width + column;
                    if mask[neighbour] && !seen[neighbour] {
                        seen[neighbour] = true;
                        piece.push(neighbour);
                    }
                }
            }
        }
        if piece.len() < SPECK {
            piece.iter().for_each(|&at| mask[at] = false);
        } else {
            left += piece.len();
        }
    }
    left
}

/// A box of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

fn bounds(mask: &[bool], width: usize) -> Option<Area> {
    let has = |row: &&[bool]| row.contains(&true);
    let rows: Vec<&[bool]> = mask.chunks_exact(width).collect();
    let top = rows.iter().position(has)?;
    let bottom = rows.iter().rposition(has)?;
    let filled = |column: &usize| rows.iter().any(|row| row[*column]);
    let left = (0..width).find(filled)?;
    let right = (0..width).rev().find(filled)?;
    Some(Area { left, top, width: right + 1 - left, height: bottom + 1 - top })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A wave of ink, 3 pixels thick, on paper.
    fn wave(width: u32, height: u32, paper: u8, ink: u8) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let inside = x > width / 8 && x < width * 7 / 8;
            let line = f64::from(height) * (0.5 + 0.3 * (f64::from(x) / f64::from(width) * 20.0).sin());
            let level = if inside && (f64::from(y) - line).abs() < 2.0 { ink } else { paper };
            image::Rgb([level; 3])
        })
    }

    fn find(picture: &RgbImage) -> Result<Signature, Unfit> {
        Signature::find(picture, Cleaning::default())
    }

    #[test]
    fn the_ink_fills_the_canvas_up_to_the_margin_and_keeps_its_proportions() {
        let signature = find(&wave(400, 160, 230, 30)).unwrap();
        let quality = signature.quality();
        assert!((295..=303).contains(&quality.width) && (90..=104).contains(&quality.height), "{quality:?}");
        let canvas = signature.canvas(224, 224);
        let dark = |at: usize| canvas[at] < 128;
        let columns: Vec<usize> = (0..224).filter(|x| (0..224).any(|y| dark(y * 224 + x))).collect();
        let rows: Vec<usize> = (0..224).filter(|y| (0..224).any(|x| dark(y * 224 + x))).collect();
        assert!(columns[0] >= 9 && columns[0] <= 11 && *columns.last().unwrap() <= 214, "{columns:?}");
        let (wide, high) = (columns.len() as f64, rows.len() as f64);
        let proportion = f64::from(quality.width) / f64::from(quality.height);
        assert!((wide / high / proportion - 1.0).abs() < 0.06, "{wide} {high} {proportion}");
    }

    #[test]
    fn the_paper_leaves_no_trace() {
        let original = wave(400, 160, 255, 30);
        let clean = find(&original).unwrap().canvas(224, 224);
        // A gradient, a grain and dust.
        let mut dirty = wave(400, 160, 0, 0);
        for (x, y, pixel) in dirty.enumerate_pixels_mut() {
            let ink = original.get_pixel(x, y)[0] == 30;
            let paper = 200 + (x / 20) as u8 + ((x * 7 + y * 13) % 9) as u8;
            let dust = x % 97 == 3 && y % 41 == 5;
            *pixel = image::Rgb(
                [if ink {
                    30
                } else if dust {
                    60
                } else {
                    paper
                }; 3],
            );
        }
        let cleaned = find(&dirty).unwrap().canvas(224, 224);
        let far = clean.iter().zip(&cleaned).filter(|(a, b)| a.abs_diff(**b) > 32).count();
        assert!(far < 1500, "{far} of 50,176 pixels differ");
        assert_eq!(cleaned[0], WHITE);
        let kept = Signature::find(&dirty, Cleaning { remove_paper: false, ..Cleaning::default() });
        assert_ne!(kept.unwrap().canvas(224, 224), cleaned);
    }

    #[test]
    fn a_pale_pen_is_drawn_as_a_dark_one() {
        let dark = find(&wave(400, 160, 255, 0)).unwrap().canvas(224, 224);
        for ink in [60, 130, 200] {
            let pale = wave(400, 160, 255, ink);
            let found = find(&pale).unwrap().canvas(224, 224);
            let far = dark.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // Scaling cuts off what would be darker than black, at other places for another pen.
            assert!(far <= 16, "{ink}: {far} levels");
            let kept = Signature::find(&pale, Cleaning { darken: false, ..Cleaning::default() }).unwrap();
            assert!(*kept.canvas(224, 224).iter().min().unwrap() >= ink - 40, "{ink}");
        }
    }

    #[test]
    fn what_holds_no_signature_is_refused_in_plain_words() {
        let grain = RgbImage::from_fn(200, 100, |x, y| image::Rgb([230 + ((x * 7 + y * 13) % 12) as u8; 3]));
        for (picture, words) in [
            (RgbImage::from_pixel(200, 100, image::Rgb([255; 3])), "blank"),
            (grain, "blank"),
            (RgbImage::from_pixel(1, 1, image::Rgb([0; 3])), "blank"),
            (wave(40, 16, 255, 0), "too small"),
            (wave(400, 160, 10, 240), "% of the picture is dark"),
        ] {
            let unfit = find(&picture).unwrap_err();
            assert!(unfit.to_string().contains(words), "{words}: {unfit}");
        }
    }

    #[test]
    fn a_large_scan_and_a_small_one_come_to_nearly_the_same() {
        let near = |picture: &RgbImage| find(picture).unwrap().canvas(224, 224);
        let (large, small) = (near(&wave(3200, 1280, 250, 20)), near(&wave(1600, 640, 250, 20)));
        let dark = |canvas: &[u8]| canvas.iter().filter(|level| **level < 200).count() as f64;
        assert!(dark(&large) > 50.0 && dark(&small) > 50.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn where_on_the_page_it_stands_does_not_matter(left in 0u32..90, top in 0u32..90) {
            let signature = wave(200, 80, 240, 20);
            let mut page = RgbImage::from_pixel(300, 180, image::Rgb([240; 3]));
            image::imageops::replace(&mut page, &signature, i64::from(left), i64::from(top));
            prop_assert_eq!(find(&page).unwrap().canvas(96, 64), find(&signature).unwrap().canvas(96, 64));
        }

        #[test]
        fn any_picture_is_cleaned_or_refused(w in 1u32..70, h in 1u32..70, bytes in prop::collection::vec(any::<u8>(), 64)) {
            let picture = RgbImage::from_fn(w, h, |x, y| image::Rgb([bytes[((x / 5 + y / 3 * 7) % 64) as usize]; 3]));
            for letterbox in [true, false] {
                if let Ok(signature) = Signature::find(&picture, Cleaning { letterbox, ..Cleaning::default() }) {
                    prop_assert_eq!(signature.canvas(64, 32).len(), 64 * 32);
                }
            }
        }
    }
}
