//! JPEG by libjpeg-turbo, which is what Pillow decodes with: the same pixels to the last bit, and a picture that
//! is wanted small comes out of its coefficients at a half, a quarter or an eighth of its size. Cargo
//! feature `libjpeg`; without it, and for what it does not take, `reduced` and the crate image decode.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use super::decode::{Enough, RgbImage};

/// The picture as it lies in the file, at the smallest scale that leaves `enough` pixels. `None` where it is not for
/// this decoder (CMYK, lossless) or it says anything against the file, be it a warning: the other decoder,
/// which says what is wrong, has the last word.
pub(super) fn decode(bytes: &[u8], enough: Option<Enough>) -> Option<RgbImage> {
    let mut decoder = Decompressor::new().ok()?;
    let header = decoder.read_header(bytes).ok()?;
    if header.is_lossless || matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
        return None;
    }
    let (width, height) = (u32::try_from(header.width).ok()?, u32::try_from(header.height).ok()?);
    // libjpeg-turbo has vector code for these scales and for no other.
    let divisor = enough.and_then(|enough| enough.divisor(width, height)).unwrap_or(1);
    let factor = ScalingFactor::new(1, divisor as usize);
    decoder.set_scaling_factor(factor).ok()?;
    let scaled = header.scaled(factor);
    let mut pixels = vec![0; scaled.width * scaled.height * 3];
    let image = Image {
        pixels: pixels.as_mut_slice(),
        width: scaled.width,
        pitch: scaled.width * 3,
        height: scaled.height,
        format: PixelFormat::RGB,
    };
    decoder.decompress(bytes, image).ok()?;
    RgbImage::from_raw(u32::try_from(scaled.width).ok()?, u32::try_from(scaled.height).ok()?, pixels)
}

#[cfg(test)]
mod tests {
    use super::super::reduced::tests::file;
    use super::*;

    #[test]
    fn a_picture_comes_at_the_smallest_scale_that_leaves_enough() {
        let bytes = file(801, 600);
        let size = |shorter, longer| decode(&bytes, Some(Enough { shorter, longer })).unwrap().dimensions();
        assert_eq!(decode(&bytes, None).unwrap().dimensions(), (801, 600));
        assert_eq!(size(75, 0), (101, 75));
        assert_eq!(size(76, 0), (201, 150));
        assert_eq!(size(76, 202), (401, 300));
        assert_eq!(size(301, 0), (801, 600));
    }

    #[test]
    fn a_scaled_picture_is_the_picture() {
        let bytes = file(800, 600);
        let small = decode(&bytes, Some(Enough { shorter: 75, longer: 0 })).unwrap();
        for (x, y) in [(10, 10), (50, 30), (99, 74)] {
            let (got, full) = (small.get_pixel(x, y), [(x * 8 + 4) / 3, (y * 8 + 4) / 2, 90]);
            let near = got.0.iter().zip(full).all(|(got, full)| u32::from(*got).abs_diff(full & 255) < 8);
            assert!(near, "{got:?} at {x}, {y}, expected {full:?}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_left_to_the_other_decoder() {
        let bytes = file(300, 200);
        let mut cut = bytes[..bytes.len() / 2].to_vec();
        assert!(decode(&cut, None).is_none());
        cut.extend([0xFF, 0xD9]); // an end marker does not make it whole
        assert!(decode(&cut, None).is_none());
    }
}
