//! `preprocessor_config.json` to the steps between a decoded picture and a tower: resize, centre
//! crop, scale, normalise. What the file asks for and this code does not do is refused.
//!
//! Source: transformers' `CLIPImageProcessor`, `BitImageProcessor` (DINOv2's) and `SiglipImageProcessor` (those on
//! Pillow), whose defaults stand for absent fields.

use serde_json::Value;

use super::decode::{Enough, Limits, RgbImage, decode};
use super::resample::{Filter, Window, resize_window};
use crate::error::{Error, Result};

/// Sides outside this range are a mistake in the file: 16 is one patch, 1024 is 48 MB a batch of 4.
const SIDES: std::ops::RangeInclusive<u32> = 16..=1024;
/// A picture that is scaled down while it is decoded keeps so many times the pixels of the side it will be
/// resized to, so that the bicubic resize still decides the result. `benches/preprocess.rs` prints the cosine of the
/// vectors to those of the whole picture.
const REDUCED: u32 = 3;
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// One picture ready for the tower: `side * side * 3` bytes of interleaved RGB, not yet normalised
/// (a quarter of the memory of the floats while it waits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop(Vec<u8>);

impl Crop {
    /// Interleaved RGB, `side * side * 3` bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How a picture is resized before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    /// The shorter edge to so many pixels, the longer in proportion.
    ShortestEdge(u32),
    /// To exactly the tower's square, whatever the proportions.
    Square,
}

/// Whose image processor the file is for, which says what absent fields mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// CLIP's and DINOv2's.
    Cropping,
    Siglip,
}

impl Processor {
    fn of(kind: &str) -> Option<Processor> {
        match kind {
            "CLIPImageProcessor"
            | "CLIPImageProcessorFast"
            | "CLIPFeatureExtractor"
            | "BitImageProcessor"
            | "BitImageProcessorFast" => Some(Processor::Cropping),
            "SiglipImageProcessor" | "SiglipImageProcessorFast" => Some(Processor::Siglip),
            _ => None,
        }
    }
}

/// The steps from a picture to a tower's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    resize: Resize,
    filter: Filter,
    side: u32,
    levels: Levels,
}

/// How the bytes of each channel become the values that a tower reads: `byte * scale + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    scale: [f32; 3],
    shift: [f32; 3],
}

impl Levels {
    /// From mean and standard deviation of each channel, of levels from 0 to 1.
    pub fn new(mean: [f64; 3], deviation: [f64; 3]) -> Levels {
        Levels::scaled(mean, deviation, 1.0 / 255.0)
    }

    fn scaled(mean: [f64; 3], deviation: [f64; 3], factor: f64) -> Levels {
        Levels {
            scale: deviation.map(|s| (factor / s) as f32),
            shift: [0, 1, 2].map(|c| (-mean[c] / deviation[c]) as f32),
        }
    }

    /// Grey bytes as three channels, one after the other.
    pub fn of_grey(&self, grey: &[u8]) -> Vec<f32> {
        let channel =
            |(scale, shift): (f32, f32)| grey.iter().map(move |&v| f32::from(v).mul_add(scale, shift));
        self.scale.into_iter().zip(self.shift).flat_map(channel).collect()
    }
}

impl Transform {
    /// Read `preprocessor_config.json`.
    ///
    /// # Errors
    /// `Model` naming the field that is malformed or asks for something else than bicubic or bilinear
    /// resize, square centre crop, scale and normalise.
    pub fn parse(json: &[u8]) -> Result<Transform> {
        let config: Value =
            serde_json::from_slice(json).map_err(|error| refuse(format!("is not JSON: {error}")))?;
        if !config.is_object() {
            return Err(refuse("is not a JSON object".into()));
        }
        let mut processor = Processor::Cropping;
        for key in ["feature_extractor_type", "image_processor_type"] {
            if let Some(kind) = config.get(key).and_then(Value::as_str) {
                processor = Processor::of(kind).ok_or_else(|| {
                    refuse(format!(
                        "{key} is \"{kind}\"; only CLIPImageProcessor, SiglipImageProcessor and BitImageProcessor are \
                         supported"
                    ))
                })?;
            }
        }
        for key in ["do_resize", "do_rescale"] {
            if !flag(&config, key)? {
                return Err(refuse(format!("{key} is false; only true is supported")));
            }
        }
        let filter = match config.get("resample") {
            None | Some(Value::Null) => Filter::Bicubic,
            Some(code) => match code.as_u64() {
                Some(2) => Filter::Bilinear,
                Some(3) => Filter::Bicubic,
                _ => {
                    return Err(refuse(format!(
                        "resample is {code}; only 2 (bilinear) and 3 (bicubic) are supported"
                    )));
                }
            },
        };
        let cropping = processor == Processor::Cropping && flag(&config, "do_center_crop")?;
        let crop = if cropping { Some(square(&config, "crop_size")?) } else { None };
        let edge = match processor {
            Processor::Siglip => Edge::Square(square(&config, "size")?),
            Processor::Cropping => edge(&config)?,
        };
        let (resize, side) = match (edge, crop) {
            (Edge::Shortest(edge), Some(side)) if side <= edge => (Resize::ShortestEdge(edge), side),
            (Edge::Square(size), Some(side)) if side == size => (Resize::Square, side),
            (Edge::Square(size), None) => (Resize::Square, size),
            (edge, Some(side)) => {
                return Err(refuse(format!(
                    "size {edge:?} and crop_size {side} would pad; only crop_size <= size is supported"
                )));
            }
            (Edge::Shortest(_), None) => {
                return Err(refuse(
                    "do_center_crop is false, so pictures would not be square; set it to true".into(),
                ));
            }
        };
        let factor = match config.get("rescale_factor") {
            None | Some(Value::Null) => 1.0 / 255.0,
            Some(value) => value
                .as_f64()
                .filter(|f| *f > 0.0 && *f <= 1.0)
                .ok_or_else(|| refuse(format!("rescale_factor is {value}; expected a number in (0, 1]")))?,
        };
        let (mean, std) = if flag(&config, "do_normalize")? {
            let (mean, std) = match processor {
                Processor::Cropping => (CLIP_MEAN, CLIP_STD),
                Processor::Siglip => ([0.5; 3], [0.5; 3]),
            };
            (channels(&config, "image_mean", mean)?, channels(&config, "image_std", std)?)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        if std.iter().any(|s| *s <= 0.0) {
            return Err(refuse(format!("image_std is {std:?}; expected numbers above 0")));
        }
        Ok(Transform {
            resize,
            filter,
            side,
            levels: Levels::scaled(mean.map(f64::from), std.map(f64::from), factor),
        })
    }

    /// How bytes become values.
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// The side of the tower's square input, in pixels.
    pub fn side(&self) -> usize {
        self.side as usize
    }

    /// How small a picture may be decoded for [`Transform::crop_decoded`].
    pub fn enough(&self) -> Enough {
        let side = match self.resize {
            Resize::ShortestEdge(edge) => edge,
            Resize::Square => self.side,
        };
        Enough { shorter: REDUCED * side, longer: 0 }
    }

    /// Decode, resize and crop. Pixels are at most one level away from Pillow's.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn crop(&self, bytes: &[u8], limits: &Limits) -> Result<Crop> {
        Ok(self.crop_decoded(&decode(bytes, limits)?))
    }

    /// Resize and crop a decoded picture.
    pub fn crop_decoded(&self, picture: &RgbImage) -> Crop {
        Crop(resize_window(picture, &self.window(picture.width(), picture.height()), self.filter))
    }

    fn window(&self, width: u32, height: u32) -> Window {
        let side = self.side;
        let (w, h) = match self.resize {
            Resize::Square => (side, side),
            Resize::ShortestEdge(edge) => {
                // At most 1024 * 50e6: exact in f64, cut as Python's int() does.
                let long =
                    |long: u32, short: u32| (f64::from(edge) * f64::from(long) / f64::from(short)) as u32;
                if width <= height { (edge, long(height, width)) } else { (long(width, height), edge) }
            }
        };
        Window {
            width: w,
            height: h,
            left: (w - side) / 2,
            top: (h - side) / 2,
            crop_width: side,
            crop_height: side,
        }
    }

    /// Append f32 [3, side, side] (channel, row, column), scaled and normalised, to `out`.
    pub fn normalise(&self, crop: &Crop, out: &mut Vec<f32>) {
        for channel in 0..3 {
            let (scale, shift) = (self.levels.scale[channel], self.levels.shift[channel]);
            out.extend(crop.0.iter().skip(channel).step_by(3).map(|&v| f32::from(v).mul_add(scale, shift)));
        }
    }

    /// Picture bytes to f32 [3, side, side], RGB, normalised.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn prepare(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<f32>> {
        let crop = self.crop(bytes, limits)?;
        let mut out = Vec::with_capacity(crop.0.len());
        self.normalise(&crop, &mut out);
        Ok(out)
    }
}

fn refuse(text: String) -> Error {
    Error::Model(format!("preprocessor_config.json: {text}"))
}

fn flag(config: &Value, key: &str) -> Result<bool> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(refuse(format!("{key} is {other}; expected true or false"))),
    }
}

fn side(value: &Value, key: &str) -> Result<u32> {
    value.as_u64().and_then(|v| u32::try_from(v).ok()).filter(|v| SIDES.contains(v)).ok_or_else(|| {
        refuse(format!("{key} is {value}; expected {} to {} pixels", SIDES.start(), SIDES.end()))
    })
}

#[derive(Debug)]
enum Edge {
    Shortest(u32),
    Square(u32),
}

/// `size`: a number or {shortest_edge} scales the shorter edge, {height, width} squeezes.
fn edge(config: &Value) -> Result<Edge> {
    match config.get("size") {
        None | Some(Value::Null) => Ok(Edge::Shortest(224)),
        Some(Value::Object(fields)) => match fields.get("shortest_edge") {
            Some(value) if fields.len() == 1 => Ok(Edge::Shortest(side(value, "size.shortest_edge")?)),
            Some(_) => Err(refuse("size: shortest_edge together with other fields is not supported".into())),
            None => Ok(Edge::Square(square(config, "size")?)),
        },
        Some(value) => Ok(Edge::Shortest(side(value, "size")?)),
    }
}

/// A number or {height, width} of equal numbers.
fn square(config: &Value, key: &str) -> Result<u32> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(224),
        Some(Value::Object(fields)) => {
            let get = |name: &str| {
                let value = fields.get(name).ok_or_else(|| refuse(format!("{key} has no field {name}")))?;
                side(value, &format!("{key}.{name}"))
            };
            let (height, width) = (get("height")?, get("width")?);
            if height != width {
                return Err(refuse(format!("{key} is {height} x {width}; only squares are supported")));
            }
            Ok(height)
        }
        Some(value) => side(value, key),
    }
}

fn channels(config: &Value, key: &str, default: [f32; 3]) -> Result<[f64; 3]> {
    let Some(value) = config.get(key).filter(|v| !v.is_null()) else { return Ok(default.map(f64::from)) };
    let numbers: Vec<f64> =
        value.as_array().map(|a| a.iter().filter_map(Value::as_f64).collect()).unwrap_or_default();
    <[f64; 3]>::try_from(numbers).map_err(|_| refuse(format!("{key} is {value}; expected three numbers")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_a_number_an_edge_or_a_square() {
        for (json, expected) in [
            (r#"{}"#, (Resize::ShortestEdge(224), 224)),
            (r#"{"size": 112, "crop_size": 112}"#, (Resize::ShortestEdge(112), 112)),
            (
                r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#,
                (Resize::ShortestEdge(256), 224),
            ),
            (r#"{"size": {"height": 64, "width": 64}, "do_center_crop": false}"#, (Resize::Square, 64)),
            (r#"{"image_processor_type": "SiglipImageProcessor"}"#, (Resize::Square, 224)),
            (
                r#"{"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}}"#,
                (Resize::Square, 384),
            ),
            (
                r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}}"#,
                (Resize::ShortestEdge(256), 224),
            ),
        ] {
            let transform = Transform::parse(json.as_bytes()).unwrap();
            assert_eq!((transform.resize, transform.side), expected, "{json}");
        }
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (json, word) in [
            (r#"[]"#, "JSON object"),
            (r#"{"resample": 0}"#, "resample"),
            (r#"{"do_resize": false}"#, "do_resize"),
            (r#"{"do_center_crop": false}"#, "do_center_crop"),
            (r#"{"do_normalize": 1}"#, "do_normalize"),
            (r#"{"size": 112, "crop_size": 224}"#, "crop_size"),
            (r#"{"size": 0}"#, "size"),
            (r#"{"crop_size": {"height": 224, "width": 200}}"#, "squares"),
            (r#"{"image_mean": [0.5]}"#, "image_mean"),
            (r#"{"image_std": [0.5, 0.5, 0]}"#, "image_std"),
            (r#"{"image_processor_type": "Siglip2ImageProcessor"}"#, "Siglip2ImageProcessor"),
            (r#"{"image_processor_type": "SiglipImageProcessor", "size": {"shortest_edge": 9}}"#, "size"),
        ] {
            let error = Transform::parse(json.as_bytes()).unwrap_err();
            assert!(matches!(&error, Error::Model(text) if text.contains(word)), "{json}: {error}");
        }
    }

    #[test]
    fn the_crop_is_the_centre_and_channels_come_first() {
        let transform = Transform::parse(
            br#"{"size": 16, "crop_size": 16, "image_mean": [0,0,0], "image_std": [1,1,1]}"#,
        )
        .unwrap();
        let picture = RgbImage::from_fn(48, 16, |x, _| {
            image::Rgb(if (16..32).contains(&x) { [255, 0, 51] } else { [0, 255, 0] })
        });
        let crop = transform.crop_decoded(&picture);
        let mut out = Vec::new();
        transform.normalise(&crop, &mut out);
        assert_eq!(out.len(), 3 * 16 * 16);
        assert!(out[..256].iter().all(|v| (v - 1.0).abs() < 1e-6));
        assert!(out[256..512].iter().all(|v| v.abs() < 1e-6));
        assert!(out[512..].iter().all(|v| (v - 0.2).abs() < 1e-6));
    }
}
