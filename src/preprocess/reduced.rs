//! A large JPEG that is wanted small comes out of its coefficients at a half, a quarter or an eighth of its
//! size, by the crate jpeg-decoder: no C compiler's work, and half the time of decoding it whole. What it does
//! not take, or has anything against, is left to the crate image.

use std::io::Cursor;

use jpeg_decoder::{CodingProcess, Decoder, PixelFormat};

use super::decode::{Enough, RgbImage};

/// The picture as it lies in the file, at the smallest scale that leaves `enough` pixels. `None` where that is
/// its own size, where it is CMYK, lossless or of more than 8 bits, and where it is damaged.
pub(super) fn decode(bytes: &[u8], enough: Enough) -> Option<RgbImage> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.read_info().ok()?;
    let whole = decoder.info().filter(|info| info.coding_process != CodingProcess::Lossless)?;
    let divisor = enough.divisor(whole.width.into(), whole.height.into())?;
    let small = |side: u16| u32::from(side).div_ceil(divisor) as u16; // no more than the side
    let (width, height) = decoder.scale(small(whole.width), small(whole.height)).ok()?;
    if !enough.holds(width.into(), height.into()) {
        return None;
    }
    let pixels = match whole.pixel_format {
        PixelFormat::RGB24 => decoder.decode().ok()?,
        PixelFormat::L8 => decoder.decode().ok()?.into_iter().flat_map(|grey| [grey; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => return None,
    };
    RgbImage::from_raw(width.into(), height.into(), pixels)
}

#[cfg(test)]
pub(super) mod tests {
    use image::Pixel;
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::crop_imm;
    use proptest::prelude::*;

    use super::*;

    /// A JPEG of even shades, told from each other at every scale.
    pub fn file(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x / 3) as u8, (y / 2) as u8, 90]));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&picture).unwrap();
        bytes
    }

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    #[test]
    fn a_picture_comes_at_the_smallest_scale_that_leaves_enough() {
        let bytes = file(801, 600);
        let size =
            |shorter, longer| decode(&bytes, Enough { shorter, longer }).map(|small| small.dimensions());
        assert_eq!(size(75, 0), Some((101, 75)));
        assert_eq!(size(76, 0), Some((201, 150)));
        assert_eq!(size(76, 202), Some((401, 300)));
        assert_eq!(size(301, 0), None);
        // So narrow that a dimension has one pixel at every scale.
        assert_eq!(decode(&file(7, 3), Enough { shorter: 1, longer: 1 }).unwrap().dimensions(), (1, 1));
    }

    /// Grey, colours at half the resolution, in passes, with an orientation: each is what the other decoder makes
    /// of it, a block for a pixel. Brightness is: of colours that the file has at half the resolution it takes
    /// the same fraction, so that they are blurred over two pixels.
    #[test]
    fn a_scaled_picture_is_the_picture() {
        for name in ["grey.jpg", "progressive.jpg", "turned.jpg"] {
            let bytes = golden(name);
            let whole = image::load_from_memory(&bytes).unwrap().into_rgb8();
            for divisor in [2, 4, 8] {
                let (width, height) = (whole.width().div_ceil(divisor), whole.height().div_ceil(divisor));
                let enough = Enough { shorter: width.min(height), longer: width.max(height) };
                let small = decode(&bytes, enough).unwrap();
                assert_eq!(small.dimensions(), (width, height), "{name} by {divisor}");
                let (across, down) = (whole.width() / divisor, whole.height() / divisor);
                let luma = |pixel: &image::Rgb<u8>| f64::from(pixel.to_luma().0[0]);
                let off = (0..across).flat_map(|x| (0..down).map(move |y| (x, y))).map(|(x, y)| {
                    let block = crop_imm(&whole, x * divisor, y * divisor, divisor, divisor).to_image();
                    let sum: f64 = block.pixels().map(luma).sum();
                    (luma(small.get_pixel(x, y)) - sum / f64::from(divisor * divisor)).abs()
                });
                let off = off.sum::<f64>() / f64::from(across * down);
                assert!(off < 7.0, "{name} by {divisor}: brightness off by {off}");
                for channel in 0..3 {
                    let mean = |picture: &RgbImage| {
                        let sum: f64 = picture.pixels().map(|pixel| f64::from(pixel[channel])).sum();
                        sum / f64::from(picture.width() * picture.height())
                    };
                    let (got, expected) = (mean(&small), mean(&whole));
                    assert!(
                        (got - expected).abs() < 6.0,
                        "{name} by {divisor}, {channel}: {got}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_it_does_not_take_is_left_to_the_other_decoder() {
        assert!(decode(&golden("cmyk.jpg"), Enough { shorter: 1, longer: 1 }).is_none());
        let bytes = file(300, 200);
        let half = &bytes[..bytes.len() / 2];
        assert!(decode(half, Enough { shorter: 1, longer: 1 }).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damaged_bytes_never_panic(at in 0usize..20_000, value: u8) {
            let mut bytes = file(400, 300);
            let at = at % bytes.len();
            bytes[at] = value;
            if let Some(small) = decode(&bytes, Enough { shorter: 1, longer: 1 }) {
                prop_assert!(small.width() > 0);
            }
        }
    }
}
