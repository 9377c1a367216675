//! Which numbers the towers calculate with, and the gate before anything but f32: the model is loaded in f32
//! first, and its vectors of some golden inputs are compared. Invariant: what is not f32 differs from it by a
//! cosine of at least [`GATE`] on each of them, on this machine, with these weights.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::config::ModelConfig;
use super::text::TextEncoder;
use super::towers::Towers;
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Precision};
use crate::preprocess::{RgbImage, Transform};

/// The least cosine to f32, of every golden input. At 0.999 two vectors stand 2.6 degrees apart, where
/// those of two different pictures stand 30 and more.
const GATE: f64 = 0.999;

/// What the operator asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// f32.
    #[default]
    F32,
    /// bf16, or loading fails.
    Bf16,
    /// f16, on a GPU, or loading fails.
    F16,
    /// Bytes, or loading fails.
    Int8,
    /// The fastest that passes the gate.
    Auto,
}

/// `f32`, `bf16`, `f16` or `int8`.
pub(super) fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
        Precision::F16 => "f16",
        Precision::Int8 => "int8",
    }
}

/// Load the towers in the precision that was asked for.
///
/// # Errors
/// Those of reading the weights; `Model` if a precision that was asked for by name does not pass the gate.
pub(super) fn build(
    choice: PrecisionChoice,
    config: &ModelConfig,
    device: &Device,
    text: &TextEncoder,
    transform: &Transform,
    weights: &mut Weights,
) -> Result<Towers> {
    let mut candidates = match choice {
        PrecisionChoice::F32 => Vec::new(),
        PrecisionChoice::Bf16 => vec![Precision::Bf16],
        PrecisionChoice::F16 => vec![Precision::F16],
        PrecisionChoice::Int8 => vec![Precision::Int8],
        PrecisionChoice::Auto if device.is_cpu() => Isa::best().faster_than_f32(),
        PrecisionChoice::Auto => vec![Precision::F16],
    };
    candidates.retain(|precision| Towers::has_precision(config, device, *precision));
    let by = if device.is_cpu() { Isa::best().name() } else { super::device::name(device) };
    let asked = choice != PrecisionChoice::F32;
    if candidates.is_empty() {
        if asked {
            tracing::info!("precision: f32, the only one of this model on this device");
        }
        return Towers::new(config, device, |name, _shape| weights.read(name));
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    let reference = Towers::new(config, device, |name, _shape| {
        let tensor = weights.read(name)?;
        tensors.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    })?;
    let tensor = |name: &str| {
        tensors.get(name).cloned().ok_or_else(|| Error::Model(format!("weights: {name} is missing")))
    };
    let inputs = Golden::new(text, transform)?;
    let expected = inputs.vectors(&reference)?;
    for precision in candidates {
        let name = name(precision);
        let towers = Towers::with_precision(config, device, precision, |name, _shape| tensor(name))?;
        let cosine = least_cosine(&inputs.vectors(&towers)?, &expected);
        let count = expected.len();
        if cosine >= GATE {
            tracing::info!(
                "precision: {name}, cosine to f32 at least {cosine:.5} on {count} golden inputs, {by} kernels"
            );
            return Ok(towers);
        }
        if choice != PrecisionChoice::Auto {
            return Err(Error::Model(format!(
                "precision {name}: the cosine to f32 is only {cosine:.5} on the golden inputs of this model, at \
                 least {GATE} is needed; use auto or f32"
            )));
        }
        tracing::info!(
            "precision: not {name}, cosine to f32 only {cosine:.5} on {count} golden inputs, {GATE} needed"
        );
    }
    tracing::info!("precision: f32");
    Ok(reference)
}

/// The smallest cosine of unit vectors, pair by pair; below any gate where something is not a number.
fn least_cosine(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        if sum.is_finite() { sum } else { -1.0 }
    };
    found.iter().zip(expected).map(cosine).fold(1.0, f64::min)
}

/// Texts of all lengths, and pictures that are smooth, sharp, busy and dark.
struct Golden {
    texts: Vec<Vec<u32>>,
    pixels: Vec<f32>,
}

const TEXTS: [&str; 8] = [
    "",
    "a",
    "dog",
    "a photo of a red shoe",
    "Two children play football on a beach at sunset, 1987!",
    "een zwarte jas met rits, maat 38",
    "blue blue blue blue blue blue blue blue blue blue blue blue",
    "A very long caption that names a house, a garden, seven trees, a bicycle leaning against the wall, a cat \
     asleep on the warm stones, an old man who reads the newspaper, and the sky, which is grey; it may rain before \
     the evening, and nobody has thought of an umbrella, so that all of them will have to run when it begins.",
];

impl Golden {
    fn new(text: &TextEncoder, transform: &Transform) -> Result<Golden> {
        let words = if text.takes_texts() { &TEXTS[..] } else { &[] };
        let texts = words.iter().map(|words| text.encode(words)).collect::<Result<_>>()?;
        let side = transform.side() as u32; // at most 1024
        let mut pixels = Vec::new();
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut add = |colour: &mut dyn FnMut(u32, u32) -> [u8; 3]| {
            let mut picture = RgbImage::new(side, side);
            for (x, y, pixel) in picture.enumerate_pixels_mut() {
                pixel.0 = colour(x, y);
            }
            transform.normalise(&transform.crop_decoded(&picture), &mut pixels);
        };
        let level = |at: u32| (at * 255 / side) as u8;
        add(&mut |x, y| [level(x), level(y), 128]);
        add(&mut |x, y| if (x / 9 + y / 13) % 2 == 0 { [230, 30, 40] } else { [250, 250, 240] });
        add(&mut |_, _| [noise(), noise(), noise()]);
        add(&mut |x, y| {
            if x.abs_diff(side / 2) + y.abs_diff(side / 3) < side / 4 { [90, 200, 60] } else { [6, 6, 9] }
        });
        Ok(Golden { texts, pixels })
    }

    fn vectors(&self, towers: &Towers) -> Result<Vec<Vec<f32>>> {
        let texts: Vec<&[u32]> = self.texts.iter().map(Vec::as_slice).collect();
        let mut vectors = towers.embed_tokens(&texts)?;
        vectors.extend(towers.embed_pixels(&self.pixels)?);
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_cosine_is_that_of_the_worst_pair_and_of_no_number_none() {
        let a = vec![vec![1.0, 0.0], vec![0.6, 0.8]];
        assert!((least_cosine(&a, &[vec![1.0, 0.0], vec![1.0, 0.0]]) - 0.6).abs() < 1e-6);
        assert!(least_cosine(&a, &[vec![f32::NAN, 0.0], vec![0.6, 0.8]]) < 0.0);
    }
}
