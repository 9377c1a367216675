//! What a server says of its model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::signature::SignatureInfo;

/// What there is to know of a loaded model.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// `bundled`, the last part of the path, or the hub id.
    pub name: String,
    /// 16 hex digits that change with any byte of weights, config, tokenizer or preprocessing.
    pub fingerprint: String,
    /// Length of the vectors.
    pub dimension: usize,
    /// What can be embedded: `text` and `image`, or `image` alone.
    pub modalities: &'static [&'static str],
    /// `cpu`, `cuda` or `metal`, as it was loaded; see [`ModelInfo::running_on`].
    pub device: &'static str,
    /// The numbers that the towers calculate with: `f32`, `bf16`, `f16` or `int8`. It is not part of the
    /// fingerprint: vectors of another precision are those of f32 within the gate of `precision.rs`.
    pub precision: &'static str,
    /// Side of the square that a picture becomes, pixels.
    pub image_size: usize,
    /// Tokens of a text, with begin and end; the rest is cut. 0 where no texts are embedded.
    pub context_length: usize,
    /// Bytes of all its weights as f32.
    pub weight_bytes: u64,
    /// How it makes features of signatures; `None` where it cannot.
    pub signature: Option<SignatureInfo>,
    /// How long loading took.
    pub load_time: Duration,
    /// Its device has failed, and the CPU has taken over.
    pub(super) fallen: Arc<AtomicBool>,
}

impl ModelInfo {
    /// The device and the numbers that it calculates with now.
    pub fn running_on(&self) -> (&'static str, &'static str) {
        if self.fallen.load(Ordering::Relaxed) { ("cpu", "f32") } else { (self.device, self.precision) }
    }
}
