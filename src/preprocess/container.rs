//! Picture formats by their first bytes, and the check that a file is whole before it is decoded:
//! decoders fill the missing part of a truncated JPEG with grey and call it a success.

use super::decode::Limits;
use crate::error::{Error, Result};

/// What the server accepts, for error texts.
pub(super) const ALLOWED: &str = "allowed formats: JPEG, PNG, WebP, GIF (first frame)";

/// A picture format, told by the first bytes of the file; names and media types are not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline or progressive: grey, RGB, YCbCr, CMYK, YCCK.
    Jpeg,
    /// PNG, 1 to 16 bits a channel.
    Png,
    /// WebP, lossy or lossless; of an animation the first frame.
    WebP,
    /// GIF; of an animation the first frame.
    Gif,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
        })
    }
}

impl Format {
    /// The format of `bytes`.
    ///
    /// # Errors
    /// `InvalidInput` if the bytes are empty or of a format that is not accepted.
    pub fn sniff(bytes: &[u8]) -> Result<Format> {
        let what = match bytes {
            [0xFF, 0xD8, 0xFF, ..] => return Ok(Format::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => return Ok(Format::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return Ok(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => return Ok(Format::Gif),
            [] => "the picture is empty (0 bytes)",
            [b'B', b'M', ..] => "BMP pictures are not supported",
            [b'I', b'I', 0x2A, 0, ..] | [b'M', b'M', 0, 0x2A, ..] => "TIFF pictures are not supported",
            [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => "AVIF pictures are not supported",
            [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm', ..] => "HEIC pictures are not supported",
            [b'%', b'P', b'D', b'F', ..] => "this is a PDF, not a picture",
            [b'<', ..] => "this is SVG, HTML or XML text, not a picture",
            _ => "not a picture of a known format",
        };
        Err(Error::InvalidInput(format!("{what}; {ALLOWED}")))
    }
}

/// Refuse a file whose container ends early. Returns without a look at the pixels.
pub(super) fn check_whole(format: Format, bytes: &[u8]) -> Result<()> {
    match format {
        Format::Jpeg => check_jpeg(bytes),
        Format::Png => check_png(bytes),
        Format::WebP => check_webp(bytes),
        Format::Gif => Ok(()), // its decoder reports an early end itself
    }
}

fn truncated(format: Format, missing: &str) -> Error {
    Error::InvalidInput(format!("the {format} picture is cut short: {missing}; send the whole file again"))
}

/// Walks the segments up to the end-of-image marker. Inside compressed data 0xFF is followed by 0
/// or a restart marker, so that the walk needs no decoding. Source: ITU-T T.81, annex B.
fn check_jpeg(bytes: &[u8]) -> Result<()> {
    let end = || truncated(Format::Jpeg, "it has no end-of-image marker");
    let mut at = 2;
    let (mut components, mut adobe, mut scans) = (0, false, 0);
    loop {
        at += bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xFF)).ok_or_else(end)?;
        let marker = *bytes.get(at + 1).ok_or_else(end)?;
        match marker {
            0xFF => at += 1,                      // fill byte
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2, // compressed data or a marker without a body
            0xD9 if scans > 0 => break,           // end of image
            0xD9 => return Err(truncated(Format::Jpeg, "it has no image data")),
            _ => {
                let body = at + 2;
                let Some(&[high, low]) = bytes.get(body..body + 2) else { return Err(end()) };
                let length = usize::from(u16::from_be_bytes([high, low])).max(2);
                let segment = bytes.get(body + 2..body + length).ok_or_else(end)?;
                match marker {
                    0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                        components = segment.get(5).copied().unwrap_or(0);
                    }
                    0xEE => adobe |= segment.starts_with(b"Adobe"),
                    0xDA => scans += 1,
                    _ => {}
                }
                at = body + length;
            }
        }
    }
    // The decoder takes every CMYK as Adobe's inverted one; without the marker it would be a negative.
    if components == 4 && !adobe {
        return Err(Error::InvalidInput(
            "a CMYK JPEG without Adobe's colour marker is not supported; save it as RGB".into(),
        ));
    }
    Ok(())
}

fn check_png(bytes: &[u8]) -> Result<()> {
    let mut at = 8;
    loop {
        let Some(&[a, b, c, d, k0, k1, k2, k3]) = bytes.get(at..at + 8) else {
            return Err(truncated(Format::Png, "it has no IEND chunk"));
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        at = at.saturating_add(12).saturating_add(length); // length, kind, body, checksum
        if at > bytes.len() {
            return Err(truncated(Format::Png, "a chunk is longer than the file"));
        }
        if &[k0, k1, k2, k3] == b"IEND" {
            return Ok(());
        }
    }
}

fn check_webp(bytes: &[u8]) -> Result<()> {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else {
        return Err(truncated(Format::WebP, "it has no header"));
    };
    let announced = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    if (bytes.len() as u64) < announced {
        return Err(truncated(Format::WebP, &format!("{} of {announced} bytes are here", bytes.len())));
    }
    Ok(())
}

/// Bytes that decoding a file will hold at most, told by its header: the pixels as the codec makes them, a
/// copy as 8-bit RGB where they are something else, and what the codec keeps beside them. 0 for what
/// [`decode`](super::decode()) refuses before it makes a pixel.
pub fn decoded_bytes(bytes: &[u8], limits: &Limits) -> u64 {
    let header = match Format::sniff(bytes) {
        Ok(Format::Jpeg) => jpeg_header(bytes),
        Ok(Format::Png) => png_header(bytes),
        Ok(Format::WebP) => webp_header(bytes),
        Ok(Format::Gif) => gif_header(bytes),
        Err(_) => None,
    };
    let Some((width, height, per_pixel)) = header else { return 0 };
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels { 0 } else { pixels * per_pixel }
}

/// Width, height, bytes a pixel: RGB; of one that is scaled down while it is decoded also the coefficients that
/// may wait for it, 16 bits each; of a progressive one, which keeps them, as many again.
fn jpeg_header(bytes: &[u8]) -> Option<(u32, u32, u64)> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
        match *bytes.get(at + 1)? {
            0xFF => at += 1,
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            marker => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
                    let &[h0, h1, w0, w1, components] = bytes.get(at + 5..at + 10)? else { return None };
                    let kept = if matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE) { 2 } else { 1 };
                    let coefficients = kept * 2 * jpeg_samples(bytes.get(at + 10..)?, components.into())?;
                    let copy = if components == 4 { 4 } else { 0 };
                    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
                    return Some((width.into(), height.into(), 3 + coefficients + copy));
                }
                at += 2 + length.max(2);
            }
        }
    }
}

/// Samples a pixel, rounded up, of a frame with these components: their sampling factors against the largest.
fn jpeg_samples(specified: &[u8], components: usize) -> Option<u64> {
    let factors = |one: &[u8; 3]| (u64::from(one[1] >> 4), u64::from(one[1] & 15));
    let all: Vec<_> = specified.get(..3 * components)?.as_chunks().0.iter().map(factors).collect();
    let most = all.iter().map(|one| one.0).max()? * all.iter().map(|one| one.1).max()?;
    let sum: u64 = all.iter().map(|(across, down)| across * down).sum();
    Some(sum.div_ceil(most.max(1)))
}

/// Bytes a pixel of the colour type in its bit depth, and a copy as RGB where that is another.
fn png_header(bytes: &[u8]) -> Option<(u32, u32, u64)> {
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour] = bytes.get(16..26)? else { return None };
    // A palette or grey of few bits may become RGBA of 8 bits.
    let channels = match colour {
        0 => 1,
        2 => 3,
        4 => 2,
        _ => 4,
    };
    let own = channels * if depth == 16 { 2 } else { 1 };
    let copy = if own == 3 { 0 } else { 3 };
    Some((u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]), own + copy))
}

/// RGBA, the decoder's planes and the RGB made of it.
fn webp_header(bytes: &[u8]) -> Option<(u32, u32, u64)> {
    let body = bytes.get(20..30)?;
    let little = |at: usize| u32::from(body[at]) | u32::from(body[at + 1]) << 8;
    let (width, height) = match bytes.get(12..16)? {
        b"VP8 " => (little(6) & 0x3FFF, little(8) & 0x3FFF),
        b"VP8L" => {
            let bits = little(1) | little(3) << 16;
            ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        }
        b"VP8X" => {
            let size = |at: usize| (little(at) | u32::from(body[at + 2]) << 16) + 1;
            (size(4), size(7))
        }
        _ => return None,
    };
    Some((width, height, 4 + 4 + 3))
}

/// The canvas and a frame as RGBA, and the RGB made of it.
fn gif_header(bytes: &[u8]) -> Option<(u32, u32, u64)> {
    let &[w0, w1, h0, h1] = bytes.get(6..10)? else { return None };
    Some((u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into(), 4 + 4 + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_bytes_and_others_are_refused_with_the_allowed_list() {
        assert_eq!(Format::sniff(b"GIF89a....").unwrap(), Format::Gif);
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"BM123", "BMP"),
            (b"<svg xmlns", "SVG"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"hello", "not a picture"),
        ] {
            let error = Format::sniff(bytes).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("JPEG, PNG, WebP, GIF"), "{error}");
        }
    }

    #[test]
    fn the_bytes_of_a_picture_are_told_by_its_header_in_every_format() {
        use image::ImageFormat::{Gif, Jpeg, Png, WebP};
        let picture = image::RgbImage::new(300, 20);
        for (format, per_pixel) in [(Jpeg, 9), (Png, 3), (WebP, 11), (Gif, 11)] {
            let mut bytes = Vec::new();
            picture.write_to(&mut std::io::Cursor::new(&mut bytes), format).unwrap();
            assert_eq!(decoded_bytes(&bytes, &Limits::default()), 6_000 * per_pixel, "{format:?}");
            let small = Limits { max_pixels: 5_999, ..Limits::default() };
            assert_eq!(decoded_bytes(&bytes, &small), 0, "{format:?} is refused");
            for cut in 0..bytes.len().min(64) {
                decoded_bytes(&bytes[..cut], &Limits::default()); // no panic
            }
        }
        // Progressive, colours at half the resolution: 1.5 samples a pixel, two coefficients kept for each.
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures");
        let mut bytes = std::fs::read(format!("{folder}/progressive.jpg")).unwrap();
        assert_eq!(decoded_bytes(&bytes, &Limits::default()), 140 * 100 * (3 + 2 * 2 * 2));
        // Sampling factors of 0, no components, as many as there may be.
        let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
        for (at, value) in [(11, 0), (14, 0), (17, 0), (9, 0), (9, 255)] {
            bytes[frame + at] = value;
            decoded_bytes(&bytes, &Limits::default()); // no panic
            assert!(super::super::decode(&bytes, &Limits::default()).is_err(), "{at}");
        }
        let mut grey = Vec::new();
        let deep = image::ImageBuffer::<image::LumaA<u16>, _>::new(10, 10);
        image::DynamicImage::ImageLumaA16(deep).write_to(&mut std::io::Cursor::new(&mut grey), Png).unwrap();
        assert_eq!(decoded_bytes(&grey, &Limits::default()), 100 * 7);
    }

    #[test]
    fn a_cmyk_jpeg_without_adobe_marker_is_refused() {
        let mut bytes = vec![0xFF, 0xD8];
        bytes.extend([0xFF, 0xC0, 0, 8, 8, 0, 1, 0, 1, 4]); // 1 x 1, 4 components
        bytes.extend([0xFF, 0xDA, 0, 2, 1, 2, 3, 0xFF, 0xD9]);
        let error = check_jpeg(&bytes).unwrap_err().to_string();
        assert!(error.contains("CMYK"), "{error}");
    }
}
