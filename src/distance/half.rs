//! Numbers of 16 bits: vectors that are stored as such are rounded once, when they come in, so that
//! every score is that of what is stored. The conversions are those of the crate `half`, which uses
//! the processor's instructions for it.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::normalise;
use crate::error::{Error, Result};
use crate::types::{Datatype, Distance, norm};

/// Numbers that are converted at a time.
const AT_ONCE: usize = 256;
/// Rounding moves the norm of a vector of norm 1 by less than this.
const ROUNDED: f64 = 1e-3;

/// Makes a vector that passed `check_vector` what is stored and compared: normalised under cosine, rounded
/// where it is stored in 16 bits. Doing it again changes nothing.
///
/// # Errors
/// `InvalidInput` that names the component which 16 bits cannot hold.
pub fn prepare(vector: &mut [f32], distance: Distance, datatype: Datatype) -> Result<()> {
    let halves = datatype == Datatype::Float16;
    // Rounding leaves the norm a little off 1; normalising and rounding that again would not come to an end.
    if distance == Distance::Cosine && !(halves && are_halves(vector) && (norm(vector) - 1.0).abs() < ROUNDED)
    {
        normalise(vector);
    }
    if halves {
        round(vector)?;
    }
    Ok(())
}

/// Rounds every component to the nearest of 16 bits.
fn round(vector: &mut [f32]) -> Result<()> {
    let largest = f16::MAX.to_f32();
    if let Some(i) = vector.iter().position(|x| !f16::from_f32(*x).is_finite()) {
        return Err(Error::InvalidInput(format!(
            "vector component {i} is {}, `float16` holds numbers from -{largest} to {largest}; scale the vectors or \
             use `float32`",
            vector[i]
        )));
    }
    let mut halves = [f16::ZERO; AT_ONCE];
    for part in vector.chunks_mut(AT_ONCE) {
        let halves = &mut halves[..part.len()];
        halves.convert_from_f32_slice(part);
        halves.convert_to_f32_slice(part);
    }
    Ok(())
}

/// True where 16 bits hold every component as it is.
pub fn are_halves(vector: &[f32]) -> bool {
    vector.iter().all(|x| f16::from_f32(*x).to_f32().to_bits() == x.to_bits())
}

/// Appends the components in 16 bits each, little-endian; only of what [`are_halves`].
pub fn write_halves(vector: &[f32], out: &mut Vec<u8>) {
    vector.iter().for_each(|x| out.extend_from_slice(&f16::from_f32(*x).to_le_bytes()));
}

/// Reads as many components as `out` has from 16 bits each; false where there are fewer.
pub fn read_halves(bytes: &[u8], out: &mut [f32]) -> bool {
    let (numbers, _) = bytes.as_chunks::<2>();
    let Some(numbers) = numbers.get(..out.len()) else { return false };
    let mut halves = [f16::ZERO; AT_ONCE];
    for (numbers, out) in numbers.chunks(AT_ONCE).zip(out.chunks_mut(AT_ONCE)) {
        let halves = &mut halves[..numbers.len()];
        halves.iter_mut().zip(numbers).for_each(|(half, bytes)| *half = f16::from_le_bytes(*bytes));
        halves.convert_to_f32_slice(out);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_prepared_is_held_by_16_bits_and_stays_as_it_is(
            vector in prop::collection::vec(-60_000f32..60_000.0, 1..600),
            cosine in any::<bool>(),
        ) {
            prop_assume!(norm(&vector) > 1.0);
            let distance = if cosine { Distance::Cosine } else { Distance::Dot };
            let mut once = vector.clone();
            prepare(&mut once, distance, Datatype::Float16).unwrap();
            prop_assert!(are_halves(&once));
            let mut again = once.clone();
            prepare(&mut again, distance, Datatype::Float16).unwrap();
            prop_assert_eq!(&again, &once);
            let scale = if cosine { norm(&vector) } else { 1.0 };
            for (x, rounded) in vector.iter().zip(&once) {
                let exact = f64::from(*x) / scale;
                // Half of the last of 11 bits, or of the smallest step.
                let allowed = exact.abs() / 2048.0 + 3e-8;
                prop_assert!((f64::from(*rounded) - exact).abs() <= allowed * 1.001, "{x} {rounded}");
            }
            let mut bytes = Vec::new();
            write_halves(&once, &mut bytes);
            prop_assert_eq!(bytes.len(), 2 * once.len());
            let mut back = vec![0.0; once.len()];
            prop_assert!(read_halves(&bytes, &mut back));
            prop_assert_eq!(&back, &once);
            prop_assert!(!read_halves(&bytes[1..], &mut back));
        }
    }

    #[test]
    fn what_16_bits_cannot_hold_is_named() {
        let error = prepare(&mut [1.0, 65_520.0], Distance::Euclid, Datatype::Float16).unwrap_err();
        assert!(error.to_string().contains("component 1 is 65520"), "{error}");
        let mut fits = [1.0, 65_504.0];
        prepare(&mut fits, Distance::Euclid, Datatype::Float16).unwrap();
        assert_eq!(fits, [1.0, 65_504.0]);
        assert!(!are_halves(&[0.1]) && are_halves(&[-0.0, 0.5]) && !are_halves(&[1e6]));
    }
}
