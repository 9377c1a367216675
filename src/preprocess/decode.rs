//! Bytes to upright 8-bit RGB. Limits are checked on the header, before a pixel is allocated.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::container::{ALLOWED, Format, check_whole};
use crate::error::{Error, Result};

/// 8-bit RGB, row by row.
pub type RgbImage = image::RgbImage;

/// What a picture may cost. Both bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file; 20 MiB by default: a 50-megapixel JPEG at high quality.
    pub max_bytes: usize,
    /// Width times height; 50 million by default: 150 MB decoded.
    pub max_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_bytes: 20 << 20, max_pixels: 50_000_000 }
    }
}

/// The least size that a picture is wanted in: it may come smaller than it is in its file, but no smaller
/// than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enough {
    /// Pixels of the shorter side.
    pub shorter: u32,
    /// Pixels of the longer side.
    pub longer: u32,
}

impl Enough {
    /// What the sides of a JPEG of this size may be divided by while it is decoded: 8, 4 or 2, the largest
    /// that leaves enough; `None` where none does.
    pub(super) fn divisor(self, width: u32, height: u32) -> Option<u32> {
        let fits = |divisor: &u32| self.holds(width.div_ceil(*divisor), height.div_ceil(*divisor));
        [8, 4, 2].into_iter().find(fits)
    }

    /// Whether a picture of this size is enough.
    pub fn holds(self, width: u32, height: u32) -> bool {
        width.min(height) >= self.shorter && width.max(height) >= self.longer
    }
}

/// Decode a JPEG, PNG, WebP or GIF (first frame) file to upright RGB.
///
/// EXIF orientation is applied, transparency is composited over white, 16-bit channels are rounded
/// to 8, grey becomes R = G = B, CMYK is converted as Pillow does. Colour profiles are ignored, as
/// CLIP's own preprocessing ignores them.
///
/// # Errors
/// `TooLarge` if the file or its pixels exceed `limits`; `InvalidInput` if the format is not
/// accepted or the file is damaged or cut short.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    decode_sized(bytes, limits, None)
}

/// The same, but a large JPEG may come scaled down by 2, 4 or 8 as long as it stays `enough`, which takes a
/// fraction of the time (two thirds or less; with the cargo feature `libjpeg` a third). Limits count the pixels of the
/// file.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(bytes: &[u8], limits: &Limits, enough: Enough) -> Result<RgbImage> {
    decode_sized(bytes, limits, Some(enough))
}

fn decode_sized(bytes: &[u8], limits: &Limits, enough: Option<Enough>) -> Result<RgbImage> {
    if bytes.len() > limits.max_bytes {
        return Err(Error::TooLarge(format!(
            "the picture has {:.1} MiB, at most {:.1} MiB are allowed",
            mebibytes(bytes.len()),
            mebibytes(limits.max_bytes)
        )));
    }
    let format = Format::sniff(bytes)?;
    let damaged = |error: ImageError| damaged(format, &error);
    let codec = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec);
    reader.limits(codec_limits(limits));
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        return Err(Error::TooLarge(format!(
            "the picture has {width} x {height} = {:.1} megapixels, at most {:.1} are allowed; scale it down",
            pixels as f64 / 1e6,
            limits.max_pixels as f64 / 1e6
        )));
    }
    if pixels == 0 {
        return Err(Error::InvalidInput(format!("the {format} picture has no pixels ({width} x {height})")));
    }
    check_whole(format, bytes)?;
    // Broken EXIF data beside good pixels: as it stands in the file.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let fast = if format == Format::Jpeg { fast_jpeg(bytes, enough) } else { None };
    let mut picture = match fast {
        Some(picture) => DynamicImage::ImageRgb8(picture),
        None => DynamicImage::from_decoder(decoder).map_err(damaged)?,
    };
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

/// `None` where nothing but the crate image takes it, which has the last word on what is damaged.
fn fast_jpeg(bytes: &[u8], enough: Option<Enough>) -> Option<RgbImage> {
    #[cfg(feature = "libjpeg")]
    if let Some(picture) = super::libjpeg::decode(bytes, enough) {
        return Some(picture);
    }
    super::reduced::decode(bytes, enough?)
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What a codec may allocate: 16-bit RGBA twice, for a canvas and a frame, plus a fixed part.
fn codec_limits(limits: &Limits) -> image::Limits {
    let mut codec = image::Limits::no_limits();
    codec.max_alloc = Some(limits.max_pixels.saturating_mul(16).saturating_add(16 << 20));
    codec
}

fn damaged(format: Format, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => {
            Error::TooLarge(format!("the {format} picture needs too much memory: {error}"))
        }
        ImageError::Unsupported(_) => {
            Error::InvalidInput(format!("this kind of {format} is not supported: {error}; {ALLOWED}"))
        }
        _ => Error::InvalidInput(format!("the {format} picture is damaged or cut short: {error}")),
    }
}

fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.as_raw().chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        rgb.extend(pixel[..3].iter().map(|&c| {
            // In 0..=255: a weighted mean of two bytes, rounded.
            ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        }));
    }
    let (width, height) = rgba.dimensions();
    RgbImage::from_raw(width, height, rgb).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    fn encode(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let mut seed = 7u32;
        let picture = RgbImage::from_fn(width, height, |x, y| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(x * 3) as u8, (y * 5) as u8, (seed >> 24) as u8])
        });
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    #[test]
    fn transparency_becomes_white() {
        let picture = RgbaImage::from_fn(2, 1, |x, _| Rgba([0, 100, 200, if x == 0 { 0 } else { 128 }]));
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        let rgb = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(rgb.as_raw(), &[255, 255, 255, 127, 177, 227]);
    }

    #[test]
    fn the_bounds_are_checked_before_decoding_and_name_themselves() {
        let bytes = encode(ImageFormat::Png, 100, 50);
        let limits = Limits { max_pixels: 4_999, ..Limits::default() };
        let error = decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, Error::TooLarge(_)) && error.to_string().contains("100 x 50"), "{error}");
        let limits = Limits { max_bytes: bytes.len() - 1, ..Limits::default() };
        let error = decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, Error::TooLarge(_)) && error.to_string().contains("MiB"), "{error}");
        // A header alone that announces 60,000 x 60,000: refused although no pixel follows.
        let mut bomb = bytes[..33].to_vec();
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let error = decode(&bomb, &Limits::default()).unwrap_err();
        assert!(!matches!(error, Error::Internal(_)), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Decoders that fill in what is missing would store a wrong picture without a word.
        #[test]
        fn a_truncated_picture_is_an_error_or_the_whole_picture(part in 0.0..1.0f64, which in 0usize..4) {
            let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif][which];
            let whole = encode(format, 60, 45);
            let cut = &whole[..(whole.len() as f64 * part) as usize];
            if let Ok(picture) = decode(cut, &Limits::default()) {
                prop_assert_eq!(picture, decode(&whole, &Limits::default()).unwrap());
            }
            let enough = Enough { shorter: 9, longer: 12 };
            if let Ok(picture) = decode_reduced(cut, &Limits::default(), enough) {
                prop_assert_eq!(picture, decode_reduced(&whole, &Limits::default(), enough).unwrap());
            }
        }

        #[test]
        fn damaged_bytes_never_panic(at in 0usize..2_000, value: u8, which in 0usize..4) {
            let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif][which];
            let mut bytes = encode(format, 24, 17);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = decode(&bytes, &Limits::default());
            let _ = decode_reduced(&bytes, &Limits::default(), Enough { shorter: 1, longer: 1 });
        }
    }
}
