//! A small copy of a picture for people to look at: re-encoded from the decoded pixels, so that nothing of
//! the file goes along, neither its metadata nor whatever else it holds.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::decode::RgbImage;
use super::resample::{Filter, Window, resize_window};
use crate::error::{Error, Result};

/// Quality of the JPEG, 1 to 100: about 10 kB at 256 pixels.
const QUALITY: u8 = 80;

/// The picture as a JPEG whose longer side has at most `side` pixels; a smaller picture keeps its size.
///
/// # Errors
/// `Internal` where the encoder fails.
pub fn thumbnail(picture: &RgbImage, side: u32) -> Result<Vec<u8>> {
    let (width, height) = fit(picture.width(), picture.height(), side);
    let window = Window { width, height, left: 0, top: 0, crop_width: width, crop_height: height };
    let pixels = if (width, height) == picture.dimensions() {
        picture.as_raw().clone()
    } else {
        resize_window(picture, &window, Filter::Bicubic)
    };
    let mut file = Vec::with_capacity(16 * 1024);
    JpegEncoder::new_with_quality(&mut file, QUALITY)
        .encode(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Internal(format!("a thumbnail cannot be encoded: {error}")))?;
    Ok(file)
}

/// Width and height in proportion, the longer at most `side`, none under 1.
fn fit(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= side {
        return (width, height);
    }
    let scaled = |length: u32| {
        let length = u64::from(length) * u64::from(side) + u64::from(longer) / 2;
        u32::try_from(length / u64::from(longer)).unwrap_or(side).max(1)
    };
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::preprocess::{Limits, decode};

    #[test]
    fn a_thumbnail_is_the_picture_made_small() {
        let picture = RgbImage::from_fn(900, 300, |x, _| {
            image::Rgb(if x < 450 { [250, 10, 10] } else { [10, 10, 250] })
        });
        let file = thumbnail(&picture, 256).unwrap();
        let small = decode(&file, &Limits::default()).unwrap();
        assert_eq!(small.dimensions(), (256, 85));
        let (left, right) = (small.get_pixel(30, 40), small.get_pixel(220, 40));
        assert!(left[0] > 200 && left[2] < 60 && right[0] < 60 && right[2] > 200, "{left:?} {right:?}");
        let own_size = thumbnail(&RgbImage::new(20, 10), 256).unwrap();
        assert_eq!(decode(&own_size, &Limits::default()).unwrap().dimensions(), (20, 10));
    }

    proptest! {
        #[test]
        fn no_side_is_too_long_or_gone(width in 1u32..60_000, height in 1u32..60_000, side in 1u32..600) {
            let (w, h) = fit(width, height, side);
            prop_assert!((1..=side.max(width.min(side))).contains(&w) && (1..=side).contains(&h));
            prop_assert!(w == width && h == height || w.max(h) == side);
        }
    }
}
