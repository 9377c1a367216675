//! Which numbers the towers calculate with, and the gate before anything but f32 on the CPU: the model is loaded
//! so first, and its vectors of some golden inputs are compared. Invariant: what is another precision or another
//! device has a cosine of at least [`GATE`] to it on each of them, on this machine, with these weights; f32 on
//! another device at least [`GATE_OF_A_DEVICE`].

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// The same for f32 on a GPU, which may differ in the order of its sums alone: a driver or a kernel that
/// calculates something else is not used.
const GATE_OF_A_DEVICE: f64 = 0.9999;

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

/// Load the towers in the precision that was asked for, on the CPU where the device fails or gives other vectors:
/// ask the towers where they are.
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
    let on_cpu = device.is_cpu();
    let mut candidates = match choice {
        PrecisionChoice::F32 => Vec::new(),
        PrecisionChoice::Bf16 => vec![Precision::Bf16],
        PrecisionChoice::F16 => vec![Precision::F16],
        PrecisionChoice::Int8 => vec![Precision::Int8],
        PrecisionChoice::Auto if on_cpu => Isa::best().faster_than_f32(),
        PrecisionChoice::Auto => vec![Precision::F16],
    };
    candidates.retain(|precision| Towers::has_precision(config, device, *precision));
    let by = if on_cpu { Isa::best().name() } else { super::device::name(device) };
    if candidates.is_empty() && choice != PrecisionChoice::F32 {
        tracing::info!("precision: f32, the only one of this model on this device");
    }
    if candidates.is_empty() && on_cpu {
        return Towers::new(config, device, |name, _shape| weights.read(name));
    }
    if !on_cpu && (candidates.is_empty() || choice == PrecisionChoice::Auto) {
        candidates.push(Precision::F32);
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    let reference = Towers::new(config, &Device::Cpu, |name, _shape| {
        let tensor = weights.read(name)?;
        tensors.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    })?;
    let tensor = |name: &str| {
        tensors.get(name).cloned().ok_or_else(|| Error::Model(format!("weights: {name} is missing")))
    };
    let inputs = Golden::new(text, transform)?;
    let expected = inputs.vectors(&reference)?;
    let count = expected.len();
    for precision in candidates {
        let name = name(precision);
        let tried = tried(on_cpu, || {
            let towers = Towers::with_precision(config, device, precision, |name, _shape| tensor(name))?;
            let cosine = least_cosine(&inputs.vectors(&towers)?, &expected);
            Ok((towers, cosine))
        })?;
        let Ok((towers, cosine)) =
            tried.map_err(|reason| tracing::warn!("device {by}: {reason}; using the CPU"))
        else {
            return Ok(reference);
        };
        let gate = if precision == Precision::F32 { GATE_OF_A_DEVICE } else { GATE };
        if cosine >= gate {
            tracing::info!(
                "precision: {name}, cosine to f32 at least {cosine:.5} on {count} golden inputs, {by} kernels"
            );
            return Ok(towers);
        }
        if precision == Precision::F32 {
            tracing::warn!("device {by}: cosine to the CPU's vectors only {cosine:.5}; using the CPU");
            return Ok(reference);
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

/// What `work` gives; where it is not the CPU's, an error or a panic of it is the device's, and its reason.
fn tried<T>(on_cpu: bool, work: impl FnOnce() -> Result<T>) -> Result<std::result::Result<T, String>> {
    if on_cpu {
        return work().map(Ok);
    }
    Ok(match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it panicked on the golden inputs; details are in the log".to_owned()),
    })
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
    fn what_fails_on_another_device_is_a_reason_and_on_the_cpu_an_error() {
        let refused = || -> Result<u8> { Err(Error::Internal("no memory".into())) };
        assert!(tried(true, refused).is_err());
        assert!(tried(false, refused).unwrap().unwrap_err().contains("no memory"));
        assert!(tried(false, || -> Result<u8> { panic!("a symbol is missing") }).unwrap().is_err());
        assert_eq!(tried(false, || Ok(7)).unwrap(), Ok(7));
    }

    #[test]
    fn the_least_cosine_is_that_of_the_worst_pair_and_of_no_number_none() {
        let a = vec![vec![1.0, 0.0], vec![0.6, 0.8]];
        assert!((least_cosine(&a, &[vec![1.0, 0.0], vec![1.0, 0.0]]) - 0.6).abs() < 1e-6);
        assert!(least_cosine(&a, &[vec![f32::NAN, 0.0], vec![0.6, 0.8]]) < 0.0);
    }
}
